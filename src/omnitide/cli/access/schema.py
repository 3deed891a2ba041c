"""`omnitide schema`: JSON Schemas of what people write."""

import typer

from omnitide.cli.session import session_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help="JSON Schemas of what people write.")


@app.callback()
def schemas() -> None:
    """JSON Schemas of what people write, for editors and CI."""


@app.command()
def agent(context: typer.Context) -> None:
    """Print the JSON Schema of an agent's manifest."""
    from omnitide.cli.show.forms import write
    from omnitide.model.schema import agent_manifest_schema

    session = session_of(context)
    write(agent_manifest_schema(), session.output if session.plain else "json")


@app.command()
def config(context: typer.Context) -> None:
    """Print the JSON Schema of the configuration file."""
    from omnitide.cli.show.forms import write
    from omnitide.config.report import schema as make

    session = session_of(context)
    write(make(), session.output if session.plain else "json")
