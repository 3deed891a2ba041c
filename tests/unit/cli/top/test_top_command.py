"""The command itself: where it may run, and that no other command pays for it."""

import subprocess
import sys

import pytest

from omnitide.cli.globals import Globals
from omnitide.cli.main import main
from omnitide.cli.top.top import flags_of


@pytest.mark.parametrize("command", [["top", "--help"], ["status", "--help"], ["--help"]])
def test_what_it_draws_with_is_loaded_when_it_draws(command: list[str]) -> None:
    program = f"import sys; from omnitide.cli.main import main; main({command!r}); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {name for name in ran.stderr.split() if name.partition(".")[0] == "textual"}


def test_without_a_terminal_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top"]) == 2
    assert "omnitide top --once" in capsys.readouterr().err
    assert main(["top", "--colours", "pink"]) == 2
    assert "terminal, dark, light" in capsys.readouterr().err


def test_commands_that_are_shown_name_the_same_fabric() -> None:
    assert flags_of(Globals(url="https://h:7400", data="/d", namespace="shop")) == [
        "--url",
        "https://h:7400",
        "--data",
        "/d",
    ]
