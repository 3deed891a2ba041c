"""`omnitide secret`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import secrets
from omnitide.cli.secrets.values import Force, FromEnvironment, FromFile, read_value
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.secrets import SecretChanged, SecretList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Secrets: values that instances are given and nobody is shown."
)

_COLUMNS: Final = (
    Column("SECRET"),
    Column("VERSION", right=True),
    Column("SIZE", right=True, rank=2),
    Column("CHANGED", right=True, rank=1),
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name, or namespace/name.", autocompletion=secrets)]


@app.command("set")
def set_(context: typer.Context, name: _Name, from_file: FromFile = None, from_env: FromEnvironment = "") -> None:
    """Give a secret a value: a new secret, or its next version. Without an option: from standard input.

    What uses it gets the new value as its spec says (on_change). The same value again changes nothing.
    """
    session = session_of(context)
    namespace, own = session.name(name)
    value = read_value(session, name, from_file, from_env, hidden=True)
    with session.client() as client:
        _tell(session, f"{namespace}/{own}", client.set_secret(namespace, own, value))


@app.command("ls")
def ls(context: typer.Context, watch: WatchOption = False) -> None:
    """List the secrets, without their values."""
    session = session_of(context)

    def read(client: "Client") -> "SecretList":
        from omnitide.model.secrets import SecretList

        items = tuple(client.secrets(namespace=session.options.namespace))
        return SecretList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "SecretList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago
    from omnitide.model.quantity import format_bytes

    if not found.items:
        return ["no secrets"]
    rows = [
        [f"{one.namespace}/{one.name}", str(one.version), format_bytes(one.size_bytes), ago(one.changed_ms)]
        for one in found.items
    ]
    return table(_COLUMNS, rows, color=session.color, width=width)


@app.command()
def inspect(context: typer.Context, name: _Name) -> None:
    """Show a secret's version, age and users; its value is shown to nobody."""
    session = session_of(context)
    namespace, own = session.name(name)
    with session.client() as client:
        found = client.get_secret(namespace, own)
    if session.plain:
        session.emit(found)
        return
    from omnitide.cli.show.words import ago

    print(f"{found.namespace}/{found.name}")
    print(f"  version  {found.version}, changed {ago(found.changed_ms)} ago, made {ago(found.created_ms)} ago")
    print(f"  size     {found.size_bytes} B")
    print(f"  used by  {', '.join(found.used_by) or 'nothing'}")


@app.command()
def rm(context: typer.Context, name: _Name, force: Force = False) -> None:
    """Erase a secret for good. One that agents or jobs use is kept, and they are named, unless --force is given: then
    what runs goes on, and what uses it does not start any more."""
    session = session_of(context)
    namespace, own = session.name(name)
    with session.client() as client:
        _tell(session, f"{namespace}/{own}", client.remove_secret(namespace, own, force=force))


def _tell(session: Session, name: str, changed: "SecretChanged") -> None:
    if session.plain:
        session.emit(changed)
        return
    version = f", version {changed.secret.version}" if changed.secret is not None else ""
    session.say(f"  {name} {changed.change}{version}")
