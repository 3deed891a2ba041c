"""Global options: before the name of a command and behind it, once or more often."""

from typing import Any

import pytest

from omnitide.cli.globals import Globals
from omnitide.cli.main import main
from omnitide.cli.root import make_root


def given(*words: str) -> Globals:
    """What a command line says, without running it."""
    state = Globals()
    context: Any = make_root().make_context("omnitide", list(words), obj=state)
    rest = [*context._protected_args, *context.args]
    name, command, left = context.command.resolve_command(context, rest)
    command.make_context(name, left, parent=context)
    return state


@pytest.mark.parametrize(
    "words",
    [
        ("-n", "shop", "ps", "-n", "office"),
        ("ps", "-n", "shop", "--namespace", "office"),
        ("-n", "shop", "-n", "office", "ps"),
        ("--url", "https://a:1", "ps", "--url", "https://b:1"),
        ("ps", "--data", "/a", "--data", "/b"),
    ],
)
def test_two_that_differ_are_refused_wherever_they_stand(words: tuple[str, ...], capsys: Any) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "which?" in told
    assert "give it once" in told


def test_the_same_twice_is_the_same() -> None:
    assert given("-n", "shop", "ps", "-n", "shop").namespace == "shop"
    assert given("ps", "-n", "shop", "-n", "shop").namespace == "shop"


def test_of_two_forms_of_output_the_later_one_wins() -> None:
    assert given("-o", "json", "ps", "-o", "yaml").output == "yaml"
    assert given("ps", "-o", "json", "-o", "table").output == "table"
    with pytest.raises(Exception, match="xml"):
        given("ps", "-o", "xml")
    assert given("-q", "ps", "--no-color").quiet
    assert given("ps") == Globals()


def test_an_argument_of_a_command_is_no_global_option() -> None:
    assert given("join", "https://nexus:7400", "--token", "-") == Globals()
    assert given("join", "https://nexus:7400", "--token", "-", "--data", "/d").data == "/d"
