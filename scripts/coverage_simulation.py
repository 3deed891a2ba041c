"""Runs the simulation alone and prints how much of the code that it is there for it reaches.

Fails where a file of REQUIRED is below LEAST per cent of its lines, naming the lines. The other files are printed to be
looked at: what they do besides belongs to disks, sockets and processes, which the simulation replaces.

CPython 3.11 loses the line events that follow an `async with` (a few lines of node/session.py), so its numbers are a
little too low.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src" / "omnitide"
LEAST: Final = 90
REQUIRED: Final = (
    "node/session.py",
    "node/reconciler.py",
    "nexus/engine.py",
    "nexus/sessions.py",
    # What these four delegate to.
    "node/actions.py",
    "node/desired.py",
    "node/endpoints.py",
    "node/instance.py",
    "node/lanes.py",
    "node/proxy.py",
    "node/restarts.py",
    "node/retention.py",
    "node/timers.py",
    "node/watching.py",
    "nexus/leases.py",
    "nexus/placer.py",
    "nexus/translate.py",
    "nexus/watching.py",
)
SHOWN: Final = ("node/launching.py", "node/outbox.py", "node/tunnels.py", "nexus/nexus.py", "nexus/tunnels.py")
TESTS: Final = ("tests/simulation/test_simulation.py", "-k", "test_every_fabric_comes_right")


def measure(scratch: Path) -> dict[str, Any]:
    """The `files` of coverage's JSON report, by path. Raises CalledProcessError if a seed fails."""
    data = scratch / "data"
    files = ",".join(str(SOURCE / name) for name in (*REQUIRED, *SHOWN))
    coverage = (sys.executable, "-m", "coverage")
    pytest = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    subprocess.run(
        [*coverage, "run", "--rcfile=", f"--data-file={data}", f"--include={files}", *pytest], cwd=ROOT, check=True
    )
    report = scratch / "report.json"
    subprocess.run([*coverage, "json", "--rcfile=", "-q", f"--data-file={data}", "-o", report], cwd=ROOT, check=True)
    return json.loads(report.read_text())["files"]


def spans(lines: list[int]) -> str:
    """`[1, 2, 3, 7]` as `1-3 7`."""
    found: list[list[int]] = []
    for line in lines:
        if found and found[-1][1] == line - 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        measured = {Path(name).resolve(): file for name, file in measure(Path(scratch)).items()}
    poor: list[str] = []
    print(f"\n{'lines reached by the simulation':40} {'covered':>9} {'of':>5}   not reached")
    for name in (*REQUIRED, *SHOWN):
        file = measured.get((SOURCE / name).resolve())
        summary = file["summary"] if file else {"percent_covered": 0.0, "num_statements": 0}
        percent = summary["percent_covered"]
        if name in REQUIRED and percent < LEAST:
            poor.append(name)
        missing = spans(file["missing_lines"]) if file else "all"
        note = "" if name in REQUIRED else " (not required)"
        print(f"{name + note:40} {percent:8.1f}% {summary['num_statements']:5}   {missing}")
    if poor:
        print(f"\nbelow {LEAST} %: {', '.join(poor)}", file=sys.stderr)
    return 1 if poor else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"the simulation did not pass: {error}")
