"""`omnitide status`: the fabric at a glance."""

from typing import TYPE_CHECKING, Final

import typer

from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.visible import painted_lines, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omnitide.model.inventory import Concern, FabricStatus, NodeCounts
    from omnitide.sdk.client import Client


_WORDS: Final = {"starting": "starting or waiting to start again"}
"""Where a count holds what `ps` tells apart."""


def status(context: typer.Context, watch: WatchOption = False) -> None:
    """Show the fabric at a glance: nodes, instances, room, and what wants an eye.

    On a machine that has only joined: its node, as the machine itself sees it.
    """
    from omnitide.cli.fabric.here import concerns_of, record_of, silent
    from omnitide.cli.fabric.kept import read_record
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.sdk.errors import FabricError
    from omnitide.sdk.target import NoFabric

    session = session_of(context)

    def read(client: "Client") -> "FabricStatus":
        from msgspec.structs import replace

        found = client.get_fabric()
        return replace(found, concerns=(*concerns_of(record_of(session)), *found.concerns))

    try:
        show(session, read, _lines, watch=watch)
    except NoFabric as error:
        record = read_record(layout_of(session))
        if "nexus" in record.children and not session.options.url:
            raise silent(layout_of(session), record, error.detail) from None
        if not _node(session, watch=watch):
            raise
    except FabricError as error:
        record = record_of(session) if error.code == "unreachable" else None
        if record is None or not record.children:
            raise
        raise silent(layout_of(session), record, error.detail) from None


def _node(session: Session, *, watch: bool) -> bool:
    """Show the node of this machine; False if it is none."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import kept
    from omnitide.cli.fabric.here import concerns_of, local_node, node_lines
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.cli.show.table import paint

    layout = layout_of(session)
    node = local_node(layout)
    if node is None:
        return False
    if watch:
        raise Failure("--watch follows a fabric, and this machine is only a node of one", code=Exit.USAGE)
    concerns = concerns_of(kept.read_record(layout))
    if session.plain:
        session.emit({"node": node, "concerns": concerns})
        return True
    for title, text in node_lines(node):
        print(f"{paint(f'{title:<10}', 'bold', session.color)} {visible(text)}")
    for line in _concern_lines(session, concerns):
        print(painted_lines(line))
    return True


def _lines(session: Session, found: "FabricStatus", width: int | None) -> list[str]:
    del width
    from omnitide.cli.fabric.here import process_lines, record_of
    from omnitide.cli.show.table import paint
    from omnitide.cli.show.words import ago

    failed_jobs = f", {found.jobs_failed} failed" if found.jobs_failed else ""
    states = _states(found)
    rows = [
        *([("demo", "its machines are simulated, and what runs there is made up")] if found.demo else []),
        ("fabric", f'"{found.fabric_id}"   Nexus {found.version}, up for {ago(found.started_ms, found.time_ms)}'),
        ("nodes", _node_words(found.nodes)),
        ("agents", str(found.agents)),
        ("jobs", f"{found.jobs_active} active of {found.jobs}{failed_jobs}" if found.jobs else "0"),
        ("instances", ", ".join(states) or "none"),
        ("reserved", _room(found)),
        ("revision", str(found.revision)),
        *(("here" if number == 0 else "", text) for number, text in enumerate(process_lines(record_of(session)))),
    ]
    lines = [f"{paint(f'{title:<10}', 'bold', session.color)} {visible(text)}" for title, text in rows]
    return lines + _concern_lines(session, found.concerns)


def _node_words(nodes: "NodeCounts") -> str:
    kinds = ("joined", "stalled", "stopped", "left", "unreachable", "lost")
    others = [f"{getattr(nodes, kind)} {kind}" for kind in kinds if getattr(nodes, kind)]
    closed = f"   {nodes.closed} of them cordoned, draining or drained" if nodes.closed else ""
    return ", ".join([f"{nodes.live} live", *others]) + closed


def _states(found: "FabricStatus") -> list[str]:
    """How many instances there are in each, those that end again and again, and those whose node is away, apart from
    what they do or did, as in `ps`."""
    kinds = ("running", "starting", "placed", "pending", "stopping", "failed", "lost", "unknown")
    apart = {"failing": found.failing, "away": found.away}
    counts = {kind: getattr(found.instances, kind) for kind in kinds}
    for one in apart.values():
        counts = {kind: number - getattr(one, kind) for kind, number in counts.items()}
    told = {"running": counts.pop("running")}
    told |= {word: sum(getattr(one, kind) for kind in kinds) for word, one in apart.items()}
    told |= counts
    few = {"failing": "at least "} if found.failing_at_least else {}
    return [f"{few.get(kind, '')}{number} {_WORDS.get(kind, kind)}" for kind, number in told.items() if number]


def _room(found: "FabricStatus") -> str:
    """What is reserved of what live nodes have, and what of the whole nobody is given."""
    from omnitide.cli.show.words import cpu, share
    from omnitide.model.quantity import format_bytes

    told = f"cpu {share(found.reserved_cpu_milli, found.cpu_milli, 'cpu')}"
    told += f"   memory {share(found.reserved_memory_bytes, found.memory_bytes, 'bytes')}"
    if not (found.closed_cpu_milli or found.closed_memory_bytes):
        return told
    closed = f"{cpu(found.closed_cpu_milli)} cpu and {format_bytes(found.closed_memory_bytes)} of the whole are"
    if (found.closed_cpu_milli, found.closed_memory_bytes) == (found.cpu_milli, found.memory_bytes):
        closed = "the whole is"
    return f"{told}   {closed} on nodes that take nothing new"


def _concern_lines(session: Session, concerns: "Sequence[Concern]") -> list[str]:
    from omnitide.cli.show.table import paint
    from omnitide.cli.show.words import plural
    from omnitide.model.inventory import WHOLE

    lines = ["", f"{plural(len(concerns), 'concern')}:"] if concerns else []
    for concern in concerns:
        color = "red" if concern.subject == WHOLE else "yellow"
        lines.append(f"  {paint(concern.subject, color, session.color)}: {visible(concern.text)}")
        if concern.hint:
            lines.append(f"    {visible(concern.hint)}")
    return lines
