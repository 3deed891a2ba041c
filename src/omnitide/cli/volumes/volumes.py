"""`omnitide volume`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import nodes, volumes
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.volumes import KeptVolume, SilentNode, VolumeList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="What nodes keep for instances: each volume is a directory of one node, and outlives those that use it.",
)

_COLUMNS: Final = (
    Column("VOLUME"),
    Column("NODE"),
    Column("SIZE", right=True),
    Column("INSTANCES", rank=1, free=True),
    Column("USED BY", free=True),
)
_Node = Annotated[str, typer.Option("--node", help="Only of this node.", autocompletion=nodes)]


@app.command("ls")
def ls(
    context: typer.Context,
    node: _Node = "",
    orphans: Annotated[bool, typer.Option("--orphans", help="Only those that nothing uses.")] = False,
    watch: WatchOption = False,
) -> None:
    """List the volumes: on which node each is, how large, and who uses it.

    Each node is asked; one that cannot be is named. A volume that nothing uses is an orphan: `volume rm` frees its
    room. How large a volume of very many files is, is not measured.
    """
    from omnitide.cli.instances.resolve import require_namespace

    session = session_of(context)

    def read(client: "Client") -> "VolumeList":
        require_namespace(session, client)
        found = _all(client, session.options.namespace, node)
        if not orphans:
            return found
        from msgspec.structs import replace

        return replace(found, items=tuple(one for one in found.items if not (one.used_by or one.instances)))

    show(session, read, _lines, watch=watch)


def _all(client: "Client", namespace: str, node: str) -> "VolumeList":
    from omnitide.model.volumes import VolumeList

    items: list[KeptVolume] = []
    silent: list[SilentNode] = []
    cursor, revision = "", 0
    while True:
        page = client.list_volumes(namespace=namespace, node=node, cursor=cursor)
        items += page.items
        silent += page.silent
        revision, cursor = page.revision, page.next_cursor
        if not cursor:
            return VolumeList(items=tuple(items), silent=tuple(silent), revision=revision)


def _lines(session: Session, found: "VolumeList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.visible import visible
    from omnitide.cli.show.words import ago
    from omnitide.model.quantity import format_bytes

    rows = [
        [
            f"{one.namespace}/{one.name}",
            one.node,
            "?" if one.size_bytes is None else format_bytes(one.size_bytes),
            ", ".join(one.instances) or "-",
            ", ".join(one.used_by) or "nobody",
        ]
        for one in found.items
    ]
    lines = table(_COLUMNS, rows, color=session.color, width=width) if rows else ["no volumes"]
    for one in found.silent:
        since = f" for {ago(one.since_ms)}" if one.since_ms else ""
        why = f"{visible(one.reason)}{since}"
        lines.append(f"node {visible(one.node)} could not be asked, its volumes are not known: {why}")
    return lines


@app.command()
def rm(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="VOLUME", help="Name, or namespace/name.", autocompletion=volumes)],
    node: Annotated[
        str,
        typer.Option("--node", help="The node that it is on. Needed where several have one.", autocompletion=nodes),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Even if an agent or job that has nothing running there would miss it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say whether it could be done, and do nothing.")] = False,
) -> None:
    """Remove a volume that nothing uses, with all that is in it. There is no way back.

    One that an instance has now is never removed: stop that first.
    """
    from omnitide.cli.exits import Exit, Failure

    session = session_of(context)
    namespace, own = session.name(name)
    with session.client() as client:
        where = node
        if not where:
            found = _all(client, namespace, "")
            there = [one.node for one in found.items if one.name == own]
            unknown = [one.node for one in found.silent]
            if len(there) > 1:
                raise Failure(
                    f"the volume {namespace}/{own} is on {len(there)} nodes: {', '.join(there)}",
                    "say which with --node",
                    Exit.USAGE,
                )
            if not there:
                beside = f"; {', '.join(unknown)} could not be asked" if unknown else ""
                raise Failure(
                    f"there is no volume {namespace}/{own} on any node{beside}", "omnitide volume ls", Exit.NOT_FOUND
                )
            where = there[0]
        removed = client.remove_volume(where, own, namespace=namespace, force=force, dry_run=dry_run)
    if session.plain:
        session.emit(removed)
    else:
        done = "could be removed from" if removed.dry_run else "removed from"
        session.say(f"  {removed.namespace}/{removed.name} {done} {removed.node}")
