"""The rules of tests/conftest.py, seen by running pytest over small suites with that very file."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"
SETTINGS = """
[pytest]
addopts = --strict-markers --import-mode=importlib -p no:cacheprovider
markers =
    root: needs root
    soak: long
"""
SUITE = """
import os
import pytest

@pytest.mark.root
def test_for_root(): pass

@pytest.mark.root
def test_for_root_that_gives_up(): pytest.skip("no cgroups here")

@pytest.mark.soak
def test_long(): pass

@pytest.mark.root
@pytest.mark.soak
def test_long_for_root(): pass

def test_plain(): assert [name for name in os.environ if name.startswith("OMNITIDE_")] == ["OMNITIDE_FABRICS"]

def test_skipped(): pytest.skip("some other reason")

def test_where_the_kernel_has_none(): pytest.skip("this machine has no IPv6 loopback")
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_small.py").write_text(SUITE)
    return tmp_path


def run(suite: Path, *arguments: str, ci: bool = False, as_user: bool = False) -> dict[str, int]:
    """Outcomes of a run: name to number."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    environment |= {"OMNITIDE_LOG_LEVEL": "loud", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | (
        {"CI": "true"} if ci else {}
    )
    program = "import os, sys, pytest\n"
    if as_user:
        # The rules ask for the user's id and nothing else; that a real one is not root needs a real one, which a
        # checkout below /root would not let in.
        program += "os.geteuid = lambda: 1000\n"
    program += "sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "-q", "-rA", *arguments, str(suite)]
    ran = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, timeout=100, check=False)
    summary = [line for line in ran.stdout.splitlines() if " in " in line][-1]
    words = summary.strip("= ").partition(" in ")[0].split(", ")
    return {name: int(number) for number, name in (word.split() for word in words)}


@pytest.mark.root
def test_as_root_only_long_tests_are_left_out(suite: Path) -> None:
    assert run(suite) == {"passed": 2, "skipped": 5}
    assert run(suite, "--soak") == {"passed": 4, "skipped": 3}


def test_as_a_user_tests_for_root_are_left_out(suite: Path) -> None:
    assert run(suite, "--soak", as_user=True) == {"passed": 2, "skipped": 5}


@pytest.mark.root
def test_in_ci_only_the_skips_on_the_list_are_skips(suite: Path) -> None:
    assert run(suite, ci=True) == {"failed": 2, "passed": 2, "skipped": 3}
    assert run(suite, ci=True, as_user=True) == {"errors": 2, "failed": 1, "passed": 1, "skipped": 3}


def test_in_ci_a_file_that_is_skipped_as_a_whole_fails(suite: Path) -> None:
    (suite / "test_small.py").write_text("import pytest\npytest.importorskip('no_such_module')\ndef test_it(): pass\n")
    assert run(suite) == {"skipped": 1}
    assert run(suite, ci=True) == {"error": 1}


def test_every_skip_on_the_list_is_still_one_of_the_suite() -> None:
    """By the words before what differs each time; a reason that no test gives any more hides nothing and goes."""
    spec = importlib.util.spec_from_file_location("rules_of_the_suite", CONFTEST)
    assert spec is not None
    assert spec.loader is not None
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    tests = [path.read_text() for path in CONFTEST.parent.rglob("*.py") if path != Path(__file__)]
    for reason, why in rules.ALLOWED_SKIPS.items():
        words = reason.partition("\\")[0]
        assert sum(text.count(words) for text in tests) > 1, f"no test is skipped because {reason}"
        assert why


def test_tests_that_take_the_machine_run_in_one_worker(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    body = (
        "import os, pytest\n"
        "@pytest.mark.parametrize('n', range(6))\n"
        "def test_x(n):\n"
        "    with open({!r}, 'a') as record: record.write(f'{{os.getpid()}} ')\n"
    )
    for folder in ("chaos", "e2e", "unit"):
        (tmp_path / folder).mkdir()
        record = tmp_path / ("serial" if folder != "unit" else "parallel")
        (tmp_path / folder / f"test_{folder}.py").write_text(body.format(str(record)))
    # In a folder of its own: in that of all runs pytest warns of what an earlier one has left behind.
    assert run(tmp_path, "-p", "xdist.plugin", "-n", "2", f"--basetemp={tmp_path}/temporary") == {"passed": 18}
    workers = (tmp_path / "serial").read_text().split()
    assert len(workers) == 12
    assert len(set(workers)) == 1
    assert len((tmp_path / "parallel").read_text().split()) == 6
