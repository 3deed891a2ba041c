"""The everyday commands: all are listed, each sets itself up on a clean checkout, and what is missing is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, re.MULTILINE)


def run(*command: str, cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The commands in a checkout where nothing was set up."""
    for name in ("Makefile", "pyproject.toml", "requirements", "scripts"):
        source = ROOT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    return tmp_path


def test_the_commands_that_the_project_promises_are_there() -> None:
    assert {"help", "up", "test", "lint", "typecheck", "bench", "soak", "clean", "proto", "lock"} <= set(TARGETS)


def test_help_is_the_default_and_lists_every_command(checkout: Path) -> None:
    shown = run("make", cwd=checkout)
    assert shown.returncode == 0
    assert re.findall(r"^  make (\S+)  +\S", shown.stdout, re.MULTILINE) == TARGETS
    assert shown.stdout == run("make", "help", cwd=checkout).stdout


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("help", "clean")])
def test_each_command_sets_itself_up(checkout: Path, target: str) -> None:
    planned = run("make", "-n", target, cwd=checkout).stdout
    lock = {"up": "runtime", "web": "runtime", "bench": "bench"}.get(target, "dev")
    assert planned.splitlines()[0] == f"scripts/setup {lock}"


def test_nothing_is_set_up_again_until_a_lock_changes(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    for name in ("runtime", "dev", "bench"):
        (checkout / ".venv" / f".{name}").touch()
    assert "scripts/setup" not in run("make", "-n", "test", cwd=checkout).stdout
    later = (checkout / ".venv/.dev").stat().st_mtime + 10
    os.utime(checkout / "requirements/dev.txt", (later, later))
    assert "scripts/setup dev" in run("make", "-n", "test", cwd=checkout).stdout
    assert "scripts/setup" not in run("make", "-n", "up", cwd=checkout).stdout


def test_what_a_fabric_runs_by_is_not_taken_away_from_it(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    data = checkout / "data folder"
    program = "import time; print(flush=True); time.sleep(300)"
    # As `ps` shows a supervisor; nothing else of it matters.
    command = [str(python), "-I", "-S", "-c", f"{program} # omnitide.supervisor", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            refused = run("make", "clean", cwd=checkout)
            assert refused.returncode != 0
            assert f"(processes {running.pid})" in refused.stderr
            assert f"  .venv/bin/omnitide --data '{data}' down\n" in refused.stderr
            assert "make clean FORCE=1" in refused.stderr
            assert python.exists()
            assert run("make", "clean", "FORCE=1", cwd=checkout).returncode == 0
            assert not python.exists()
        finally:
            running.kill()
    python.parent.mkdir(parents=True)
    assert run("make", "clean", cwd=checkout).returncode == 0
    assert not python.parent.exists()


def fake_python(folder: Path, body: str) -> str:
    """A PATH on which every Python is this shell script."""
    folder.mkdir()
    for tool in ("bash", "dirname", "env", "cat"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_without_a_python_that_is_new_enough_it_says_what_to_install(checkout: Path) -> None:
    failed = run("scripts/setup", "runtime", cwd=checkout, path=fake_python(checkout / "bin", "exit 1"))
    assert failed.returncode != 0
    assert "needs Python 3.11 or newer" in failed.stderr
    assert "apt-get install python3 python3-venv" in failed.stderr


def test_without_debians_venv_package_it_says_what_to_install(checkout: Path) -> None:
    path = fake_python(checkout / "bin", '[[ "$*" != *ensurepip* ]]')
    failed = run("scripts/setup", "runtime", cwd=checkout, path=path)
    assert failed.returncode != 0
    assert "cannot make virtual environments" in failed.stderr
    assert "apt-get install python3 python3-venv" in failed.stderr
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    "script",
    [
        ".ci/run",
        "scripts/bench",
        "scripts/lock",
        "scripts/not-running",
        "scripts/setup",
        "scripts/system-packages",
        "scripts/web",
    ],
)
def test_scripts_can_be_run_and_stop_at_the_first_failure(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text()
    assert run("bash", "-n", str(path), cwd=ROOT).returncode == 0


def test_ci_runs_what_anyone_can_run() -> None:
    steps = re.findall(r"^make (\S+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert steps == ["lint", "typecheck", "test"]
