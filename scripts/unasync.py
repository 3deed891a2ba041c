"""Makes `omnitide.sdk.synchronous` from `omnitide.sdk.asynchronous`. Usage: python scripts/unasync.py [FOLDER]

The two clients differ in `async`, `await` and a few names, so one is written and the other made from it, as httpcore
and psycopg do. The result is checked in; a test compares it with what this makes. ruff brings it into form.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "omnitide" / "sdk" / "asynchronous"
TARGET = ROOT / "src" / "omnitide" / "sdk" / "synchronous"

SUBSTITUTIONS = [
    (r"one file a noun, with `await`", "one file a noun, without `await`"),
    (r" `synchronous`, beside it, is made .*", ""),
    (r"Belongs to one event loop\.", "Thread-safe as far as httpx is."),
    (r"The iteration then ends\.", "Also from another thread: the iteration then ends."),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAwaitable\[((?:[^\[\]]|\[[^\[\]]*\])*)\]", r"\1"),
    (r"\bwebsockets\.asyncio\b", "websockets.sync"),
    (r"\basyncio\b", "time"),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"\b__a(enter|exit|iter)__\b", r"__\1__"),
    (r"\ba(close|read|iter_lines|iter_raw)\b", r"\1"),
    (r"\basynchronous\b", "synchronous"),
]
HEADER = "# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.{name}`; change that.\n"
REPAIRS = "F401,I001,UP028"
"""What is then left over or out of order: imports, and loops that `yield from` says shorter."""


def synchronous(text: str) -> str:
    for pattern, replacement in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text)
    return text


def in_form(text: str, name: str) -> str:
    """As ruff would leave it in the target's folder. Raises CalledProcessError."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    place = ["--stdin-filename", str(TARGET / name), "--quiet", "-"]
    for command in (
        [ruff, "check", "--select", REPAIRS, "--fix-only", "--unsafe-fixes", *place],
        [ruff, "format", *place],
    ):
        ran = subprocess.run(command, input=text, capture_output=True, check=True, cwd=ROOT, text=True)
        text = ran.stdout
    return text


def generate(target: Path) -> list[Path]:
    """Write the modules into `target`, remove those whose source is gone; returns them. Raises CalledProcessError."""
    target.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for source in sorted(SOURCE.glob("*.py")):
        text = in_form(HEADER.format(name=source.stem) + synchronous(source.read_text()), source.name)
        path = target / source.name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        made.append(path)
    for stale in set(target.glob("*.py")) - set(made):
        stale.unlink()
    return made


if __name__ == "__main__":
    try:
        for path in generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET):
            print(path.name)
    except subprocess.CalledProcessError as error:
        sys.exit(f"ruff failed:\n{error.stderr}")
