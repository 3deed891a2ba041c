"""`omnitide config`: every setting, its value and where that comes from; and what the fabric holds for instances."""

from typing import Annotated, Final

import typer

from omnitide.cli.secrets.configs import get_config, list_configs, remove_config, set_config
from omnitide.cli.session import session_of
from omnitide.cli.show.table import Cell, Column

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Configuration that the fabric holds for instances; and (show, schema) the settings of Omnitide here.",
)

for name, command in (("set", set_config), ("get", get_config), ("ls", list_configs), ("rm", remove_config)):
    app.command(name)(command)

_COLUMNS: Final = (
    Column("SETTING"),
    Column("VALUE"),
    Column("SOURCE"),
    Column("RELOADS", rank=1),
    Column("VARIABLE", rank=2),
)


@app.command("show")
def show_(
    context: typer.Context,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not as by default.")] = False,
) -> None:
    """Show every setting with its value and the file, variable or flag that it comes from.

    Also the flags that `omnitide up` was given and keeps; what is set and waits for the next `up` is said.
    """
    from omnitide.cli.fabric.in_force import in_force
    from omnitide.cli.show.table import table, terminal_width
    from omnitide.config.report import rows

    session = session_of(context)
    now = in_force(session)
    found = [row for row in rows(now.loaded) if not changed or row.source != "default"]
    if session.plain:
        session.emit(found)
        return
    lines: list[list[Cell | str]] = [
        [
            row.key,
            f"{row.text} ({now.got[row.key]} now)" if row.key in now.got else row.text,
            Cell(row.source, "" if row.source == "default" else "cyan"),
            "live" if row.reloadable else "-",
            row.variable,
        ]
        for row in found
    ]
    for line in table(_COLUMNS, lines, color=session.color, width=terminal_width()):
        print(line)
    if now.waiting:
        session.note(f"  not in force yet: {'; '.join(now.waiting)}. omnitide up takes it over")


@app.command()
def schema(context: typer.Context) -> None:
    """Print the JSON Schema of the configuration file."""
    from omnitide.cli.show.forms import write
    from omnitide.config.report import schema as make

    session = session_of(context)
    write(make(), session.output if session.plain else "json")
