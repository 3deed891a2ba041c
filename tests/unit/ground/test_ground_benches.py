"""Benchmarks can fail: a figure that is not what it is to be ends one with its own code, and `make bench` goes on."""

import contextlib
import io
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench._panel_map import growth
from bench._targets import MISSED, Targets

ROOT = Path(__file__).parents[3]
BENCHES = sorted(path for path in (ROOT / "bench").glob("[a-z]*.py") if '__name__ == "__main__"' in path.read_text())


def judged(targets: Targets, *, report_only: bool = False) -> tuple[int, str]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = targets.end(report_only)
    return code, said.getvalue()


def test_what_is_met_says_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    targets = Targets()
    targets.below("a chart", 19.9, 20.0, "ms")
    targets.above("commands", 20_001, 20_000, "commands/s")
    targets.most("ended", 0, 0)
    targets.least("a score", 95, 95)
    assert judged(targets) == (0, "")
    assert "target met     a chart: 19.9 ms, below 20 ms\n" in capsys.readouterr().out


@pytest.mark.parametrize(("way", "value"), [("below", 20.0), ("above", 20.0), ("most", 20.1), ("least", 19.9)])
def test_what_is_missed_is_named_and_ends_with_its_own_code(way: str, value: float) -> None:
    for figure in (value, math.nan):
        targets = Targets()
        targets.below("another", 1, 2)
        getattr(targets, way)("a chart", figure, 20.0, "ms")
        code, said = judged(targets)
        assert code == MISSED
        assert "1 of 2 targets NOT MET:\n  a chart: " in said
        assert judged(targets, report_only=True) == (0, said)


def test_memory_that_goes_up_and_down_stays_and_memory_that_grows_does_not() -> None:
    assert abs(growth([50, 58, 49, 51, 57, 50, 50, 49, 58])) < 0.05
    assert growth([50 + minute * 0.2 for minute in range(57)]) > 0.1


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_one_that_has_a_target_judges_by_it(path: Path) -> None:
    """A bound that is printed and not judged is what a benchmark cannot fail by."""
    text = path.read_text()
    assert "NOT MET" not in text
    assert ("TARGET" in text) <= ("Targets()" in text)
    if "Targets()" in text or "Targets:" in text:
        assert "add_report_only(parser)" in text
        assert ".end(options.report_only)" in text or ".end(given.report_only)" in text
        assert re.search(r"sys\.exit\((asyncio\.run\()?main\(\)", text), "the code is the process's"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """With four benchmarks that take no time, of which the first and the third miss."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/bench", tmp_path / "scripts/bench")
    (tmp_path / "bench").mkdir()
    shutil.copy(ROOT / "bench/_targets.py", tmp_path / "bench/_targets.py")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    body = (
        "import argparse, sys\n"
        "from bench._targets import Targets, add_report_only\n"
        'if __name__ == "__main__":\n'
        "    parser = argparse.ArgumentParser()\n"
        "    add_report_only(parser)\n"
        "    options = parser.parse_args()\n"
        "    targets = Targets()\n"
        "    targets.below('time', {}, 5, 'ms')\n"
        "    sys.exit(targets.end(options.report_only))\n"
    )
    for name, value in (("alpha", 6), ("beta", 4), ("gamma", 5)):
        (tmp_path / f"bench/{name}.py").write_text(body.format(value))
    (tmp_path / "bench/delta.py").write_text(
        'NEEDS = "--image IMAGE"\nif __name__ == "__main__":\n    raise SystemExit(2)\n'
    )
    return tmp_path


def bench(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(checkout / "scripts/bench"), *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)


def test_all_are_run_and_those_that_missed_are_named_at_the_end(checkout: Path) -> None:
    ran = bench(checkout)
    assert re.findall(r"^== (\S+)$", ran.stdout, re.MULTILINE) == ["alpha", "beta", "gamma"]
    assert '== delta: left out, it needs "--image IMAGE"' in ran.stdout
    assert ran.stderr == "== NOT MET: alpha gamma\n"
    assert ran.returncode == MISSED


def test_who_wants_figures_alone_gets_them(checkout: Path) -> None:
    ran = bench(checkout, "--report-only")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("NOT MET") == 4
    assert bench(checkout, "alpha").returncode == MISSED
    assert bench(checkout, "alpha", "--report-only").returncode == 0


def test_one_that_fails_is_no_figure_and_does_not_end_the_others(checkout: Path) -> None:
    (checkout / "bench/beta.py").write_text('if __name__ == "__main__":\n    raise RuntimeError("broken")\n')
    ran = bench(checkout)
    assert ran.returncode == 1
    assert "== NOT MET: alpha gamma\n== failed: beta\n" in ran.stderr
