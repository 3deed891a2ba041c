"""`omnitide namespace`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import namespaces
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.inventory import NamespaceChanged, NamespaceList
    from omnitide.sdk.client import Client

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Namespaces: names of their own for teams and uses.")

NamespaceArgument = Annotated[str, typer.Argument(metavar="NAME")]
_COLUMNS: Final = (
    Column("NAMESPACE"),
    Column("AGENTS", right=True),
    Column("JOBS", right=True),
    Column("AGE", right=True, rank=1),
)


@app.command()
def create(context: typer.Context, name: NamespaceArgument) -> None:
    """Make a namespace."""
    session = session_of(context)
    with session.client() as client:
        _tell(session, name, client.create_namespace(name))


@app.command("list")
def list_(context: typer.Context, watch: WatchOption = False) -> None:
    """List the namespaces."""

    def read(client: "Client") -> "NamespaceList":
        from omnitide.model.inventory import NamespaceList

        return NamespaceList(items=tuple(client.namespaces()), revision=client.seen)

    show(session_of(context), read, _lines, watch=watch)


def _lines(session: Session, found: "NamespaceList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import spell

    rows = [[one.name, str(one.agents), str(one.jobs), spell(one.created_ms)] for one in found.items]
    return table(_COLUMNS, rows, color=session.color, width=width)


@app.command()
def rm(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=namespaces)]) -> None:
    """Remove a namespace, which must be empty."""
    session = session_of(context)
    with session.client() as client:
        _tell(session, name, client.delete_namespace(name))


def _tell(session: Session, name: str, changed: "NamespaceChanged") -> None:
    if session.plain:
        session.emit(changed)
    else:
        session.say(f"  {name} {changed.change}")
