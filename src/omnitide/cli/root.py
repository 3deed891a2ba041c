"""The tree of commands: made as far as one call needs it, with the global options on every command, and its errors."""

import copy
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final, cast

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from omnitide.cli.commands import COMMANDS
from omnitide.cli.examples import add_examples
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.globals import Globals, add_globals

_EPILOG = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 unavailable, 6 unauthorized, 7 timeout, "
    "8 rollout failed. A TIME has a unit: 500ms, 10s, 5m, 1h."
)


_NEAR_ENOUGH: Final = 0.75
"""To be offered what ends something: a letter or two apart, as `dwon`. Typer offers the others from 0.6."""


def _may_be_meant(word: str) -> list[str]:
    """The commands that may be offered to whoever wrote a word that is none, by what they do."""
    from difflib import SequenceMatcher

    return [
        name
        for name, entry in COMMANDS.items()
        if not entry.ends or SequenceMatcher(None, name, word).ratio() >= _NEAR_ENOUGH
    ]


class LazyGroup(TyperGroup):
    """A group whose commands are loaded when they are called, and neither for the help nor for completion of names."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # typer's own subclass
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override] # as above
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            # Typer suggests from what is loaded.
            self.commands = cast("Any", dict.fromkeys(_may_be_meant(cmd_name)))
            return None
        return TyperCommand(cmd_name, help=entry.summary, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override] # as above
        name, listed, rest = super().resolve_command(cast("Any", ctx), args)
        return name, load(str(name)) if listed is not None else None, rest


def load(name: str) -> Any:
    """The command of a name, as Typer makes it. `Any`: Typer keeps its commands' type to itself."""
    entry = COMMANDS[name]
    module, _, attribute = entry.target.partition(":")
    found = getattr(import_module(f"omnitide.cli.{module}"), attribute)
    app = found
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        settings = {"allow_interspersed_args": False} if entry.foreign_options else {}
        app.command(name, context_settings=settings)(found)
    command: Any = typer.main.get_command(app)
    command.name = name
    command.rich_help_panel = entry.panel
    add_globals(command)
    add_examples(command, name)
    _flow(command)
    _alias(command)
    return command


_ALIASES: Final = {"list": "ls", "ls": "list"}


def _alias(group: Any) -> None:
    """Take `ls` for `list` and the other way round; the help shows the one that there is. `Any`: as of `load`."""
    below = getattr(group, "commands", {})
    for name, other in _ALIASES.items():
        if name in below and other not in below:
            same = copy.copy(below[name])
            same.name, same.hidden = other, True
            below[other] = same
            return


def _flow(command: Any) -> None:
    """Let paragraphs of a help fill the width there is, which Typer does only to the first. `Any`: as of `load`."""
    if command.help:
        paragraphs = cleandoc(command.help).split("\n\n")
        command.help = "\n\n".join(text.replace("\n", " ") for text in paragraphs)
    for below in getattr(command, "commands", {}).values():
        _flow(below)


def make_root() -> Any:
    """The whole tree. `Any`: as of `load`."""
    root = LazyGroup(
        name="omnitide",
        help="A compute fabric: pools the computers you have, keeps agents running on them, and shows it live.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog=_EPILOG,
    )
    add_globals(root)
    return root


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name; tell errors; the exit code is the result."""
    state = Globals()
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--no-color" in own:
        os.environ["NO_COLOR"] = "1"  # for the help too, which is drawn before options are read
    completing = "_OMNITIDE_COMPLETE" in os.environ
    if completing:
        # Typer teaches its completion classes to whoever has its own options for it, which we have as commands.
        from typer.completion import completion_init  # pyright: ignore[reportPrivateImportUsage]

        completion_init()
    try:
        code = make_root().main(args=list(arguments), prog_name="omnitide", standalone_mode=False, obj=state)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        if completing:
            raise
        # Whoever read our output has enough, such as `head`. (Typer, which meets that first in a help, then exits by
        # itself, and else only when it completes.) Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Exception as error:
        return _tell(error, state)
    return code if isinstance(code, int) else 0


def _tell(error: Exception, state: Globals) -> int:
    """One line of what, where and why, and one with the next step; a problem in JSON if so asked."""
    from omnitide.cli.show.errors import tell_fabric_error, tell_failure, tell_manifest_error, tell_usage

    if isinstance(error, Failure):
        return tell_failure(error, state)
    if isinstance(error, typer.TyperException):
        return tell_usage(error, state)
    from omnitide.model.manifest import ManifestError

    if isinstance(error, ManifestError):
        return tell_manifest_error(error, state)
    from omnitide.sdk.errors import FabricError

    if isinstance(error, FabricError):
        return tell_fabric_error(error, state)
    raise error
