"""Options that every command takes, before or after its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from omnitide.cli.access.names import namespaces
from omnitide.cli.exits import Exit, Failure

OUTPUTS = ("table", "json", "yaml")


@dataclass
class Globals:
    """What was given. Of two forms of output the later one wins; two of what else has a value are refused, unless they
    say the same: which of two namespaces or fabrics is meant is not to be guessed."""

    output: str = "table"
    namespace: str = ""
    """Empty: not said. Lists then show all, single things are looked for in `default`."""
    url: str = ""
    token_file: str = ""
    ca: str = ""
    config: str = ""
    data: str = ""
    no_color: bool = False
    quiet: bool = False


def _output(value: str | None) -> str | None:
    if value is not None and value not in OUTPUTS:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(OUTPUTS)}")
    return value


_PANEL = "Global options"
_OWN = "global_"


def _options(
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FORM", help="table, json or yaml.", rich_help_panel=_PANEL),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace.", rich_help_panel=_PANEL, autocompletion=namespaces
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="Address of Nexus, else the local one.", rich_help_panel=_PANEL),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="API token.", rich_help_panel=_PANEL)
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="The fabric's CA (PEM).", rich_help_panel=_PANEL)
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Configuration file.", rich_help_panel=_PANEL)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Data folder of a local fabric.", rich_help_panel=_PANEL),
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="Plain text.", rich_help_panel=_PANEL)] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only what was asked for.", rich_help_panel=_PANEL)
    ] = False,
) -> None:
    """Never called: Typer makes the options of its parameters."""


def _parameters() -> list[Any]:
    """`Any`: Typer keeps its parameters' type to itself."""
    app = typer.Typer(add_completion=False)
    app.command()(_options)
    command: Any = typer.main.get_command(app)
    return [one for one in command.params if one.name != "help"]


def add_globals(command: Any) -> None:
    """Give a command, and all below it, the global options. An option of its own wins over a global one."""
    taken = {name for one in command.params for name in one.opts}
    named = {one.name for one in command.params}
    for parameter in _parameters():
        parameter.opts = [name for name in parameter.opts if name not in taken]
        if not parameter.opts:
            continue
        if parameter.name in named:
            # Of `join URL` and --url each has its own value.
            parameter.name = f"{_OWN}{parameter.name}"
        parameter.expose_value = False
        parameter.callback = _remember
        if not parameter.is_flag:
            # All that are given are handed on, and not the last one alone.
            parameter.multiple, parameter.default = True, None
        command.params.append(parameter)
    for below in getattr(command, "commands", {}).values():
        add_globals(below)


def _remember(context: typer.Context, parameter: Any, value: Any) -> Any:
    """Keep what was given, here and before the name of the command; `Any` as in `_parameters`. Raises Failure."""
    state = context.find_object(Globals)
    assert state is not None
    name = str(parameter.name).removeprefix(_OWN)
    if parameter.is_flag:
        if value:
            setattr(state, name, True)
        return value
    for text in map(str, value or ()):
        if name == "output":
            _output(text)
        elif getattr(state, name) not in ("", text) and not context.resilient_parsing:
            flag = max(parameter.opts, key=len)
            raise Failure(f"{flag} {getattr(state, name)} and {flag} {text}: which?", "give it once", Exit.USAGE)
        setattr(state, name, text)
    return value
