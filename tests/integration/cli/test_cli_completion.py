"""`completion install` through the installed command: a script that the shell takes, and that completes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.fabric_processes import OMNITIDE

PLACES = {
    "bash": ".bash_completions/omnitide.sh",
    "zsh": ".zfunc/_omnitide",
    "fish": ".config/fish/completions/omnitide.fish",
}
CHECK = {"bash": ("bash", "-n"), "zsh": ("zsh", "-n"), "fish": ("fish", "--no-execute")}


def omnitide(home: Path, *words: str, code: int = 0, **told: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "OMNITIDE_", "COMP_"))}
    environment = {**kept, "HOME": str(home), **told}
    ran = subprocess.run([OMNITIDE, *words], capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("shell", PLACES)
def test_it_is_installed_where_the_shell_looks_and_twice_is_once(tmp_path: Path, shell: str) -> None:
    for _ in range(2):
        assert f"completion for {shell} installed in {tmp_path}" in omnitide(tmp_path, "completion", "install", shell)
    script = tmp_path / PLACES[shell]
    # fish's names the variable in the program's own call of itself.
    assert "_OMNITIDE_COMPLETE" in script.read_text()
    start = tmp_path / f".{shell}rc"
    if start.exists():
        lines = [line for line in start.read_text().splitlines() if "omnitide" in line or "zfunc" in line]
        assert len(lines) == len(set(lines))
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here to read the script: apt-get install {shell}")
    ran = subprocess.run([*CHECK[shell], str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_it_is_installed_for_the_shell_in_use_if_none_is_named(tmp_path: Path) -> None:
    assert "completion for zsh" in omnitide(tmp_path, "completion", "install", SHELL="/usr/bin/zsh")
    assert (tmp_path / PLACES["zsh"]).exists()
    assert "no completion for 'tcsh'" in omnitide(tmp_path, "completion", "install", code=2, SHELL="/bin/tcsh")


def test_bash_completes_by_what_was_installed(tmp_path: Path) -> None:
    """As bash does it: the function that the script registers is called with the words of the line."""
    omnitide(tmp_path, "completion", "install", "bash")
    program = (
        f"PATH={OMNITIDE.parent}:$PATH; source {tmp_path / PLACES['bash']}; COMP_WORDS=(omnitide dep); COMP_CWORD=1; "
        "COMP_LINE='omnitide dep'; COMP_POINT=12; function=$(complete -p omnitide | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); "
        '$function omnitide dep omnitide; echo "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["deploy"], ran.stderr


def test_fish_completes_by_what_was_installed(tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here: apt-get install fish")
    omnitide(tmp_path, "completion", "install", "fish")
    program = f"set -x PATH {OMNITIDE.parent} $PATH; source {tmp_path / PLACES['fish']}; complete -C 'omnitide dep'"
    environment = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(
        ["fish", "-c", program], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert [line.split()[0] for line in ran.stdout.splitlines()] == ["deploy"], ran.stderr
