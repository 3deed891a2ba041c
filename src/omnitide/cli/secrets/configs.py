"""`omnitide config set`, `get`, `ls` and `rm`: configuration that the fabric holds for instances."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import configs
from omnitide.cli.secrets.values import Force, FromEnvironment, FromFile, read_value
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.secrets import ConfigChanged, ConfigList
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("CONFIG"),
    Column("VERSION", right=True),
    Column("SIZE", right=True, rank=2),
    Column("CHANGED", right=True, rank=1),
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name, or namespace/name.", autocompletion=configs)]


def set_config(context: typer.Context, name: _Name, from_file: FromFile = None, from_env: FromEnvironment = "") -> None:
    """Give the fabric a piece of configuration for instances: a new one, or its next version."""
    session = session_of(context)
    namespace, own = session.name(name)
    value = read_value(session, name, from_file, from_env, hidden=False)
    with session.client() as client:
        _tell(session, f"{namespace}/{own}", client.set_config(namespace, own, value))


def get_config(context: typer.Context, name: _Name) -> None:
    """Print a piece of configuration that the fabric holds, byte for byte."""
    import base64
    import sys

    session = session_of(context)
    namespace, own = session.name(name)
    with session.client() as client:
        found = client.get_config(namespace, own)
    if session.plain:
        session.emit(found)
        return
    sys.stdout.buffer.write(base64.b64decode(found.data))
    sys.stdout.buffer.flush()


def list_configs(context: typer.Context, watch: WatchOption = False) -> None:
    """List the configuration that the fabric holds for instances."""
    session = session_of(context)

    def read(client: "Client") -> "ConfigList":
        from omnitide.model.secrets import ConfigList

        items = tuple(client.configs(namespace=session.options.namespace))
        return ConfigList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "ConfigList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago
    from omnitide.model.quantity import format_bytes

    if not found.items:
        return ["no configs"]
    rows = [
        [f"{one.namespace}/{one.name}", str(one.version), format_bytes(one.size_bytes), ago(one.changed_ms)]
        for one in found.items
    ]
    return table(_COLUMNS, rows, color=session.color, width=width)


def remove_config(context: typer.Context, name: _Name, force: Force = False) -> None:
    """Remove a piece of configuration. One that agents or jobs use is kept, and they are named, unless --force is
    given: then what runs goes on, and what uses it does not start any more."""
    session = session_of(context)
    namespace, own = session.name(name)
    with session.client() as client:
        _tell(session, f"{namespace}/{own}", client.remove_config(namespace, own, force=force))


def _tell(session: Session, name: str, changed: "ConfigChanged") -> None:
    if session.plain:
        session.emit(changed)
        return
    version = f", version {changed.config.version}" if changed.config is not None else ""
    session.say(f"  {name} {changed.change}{version}")
