"""`omnitide status`: the fabric at a glance."""

from typing import TYPE_CHECKING

import typer

from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show

if TYPE_CHECKING:
    from omnitide.cli.fabric.kept import Record
    from omnitide.model.inventory import FabricStatus
    from omnitide.sdk.client import Client


def status(context: typer.Context, watch: WatchOption = False) -> None:
    """Show the fabric at a glance: nodes, instances, room, and what wants an eye."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.sdk.errors import FabricError

    session = session_of(context)
    try:
        show(session, _read, _lines, watch=watch)
    except FabricError as error:
        gave_up = _given_up(session) if error.code == "unreachable" else ""
        if not gave_up:
            raise
        raise Failure(
            f"Nexus is not started again: {gave_up}", "mend that, then: omnitide up", Exit.UNAVAILABLE
        ) from None


def _read(client: "Client") -> "FabricStatus":
    return client.get_fabric()


def _record(session: Session) -> "Record":
    """What the supervisor of this machine keeps, if that is of the fabric that is meant."""
    from omnitide.cli.fabric.kept import Record, read_record
    from omnitide.cli.fabric.layout import layout_of

    if session.options.url or not session.target.local:
        return Record()
    return read_record(layout_of(session))


def _given_up(session: Session) -> str:
    nexus = _record(session).children.get("nexus")
    return f"{nexus.gave_up} (its log: {nexus.log})" if nexus is not None and nexus.gave_up else ""


def _kept(session: Session) -> list[str]:
    """One line a process that this machine keeps."""
    from omnitide.cli.show.words import ago, plural

    found: list[str] = []
    for name, kept in sorted(_record(session).children.items()):
        title = "Nexus" if name == "nexus" else "node proxy"
        if kept.gave_up:
            found.append(f"{title}: not started again: {kept.gave_up}; its log: {kept.log}")
        elif kept.wanted:
            how = f"process {kept.pid}" if kept.alive else "being started again"
            last = f", the last {ago(kept.last_end_ms)} ago: {kept.last_end}" if kept.restarts else ""
            found.append(f"{title}: {how}, {plural(kept.restarts, 'restart')}{last}")
    return found


def _lines(session: Session, found: "FabricStatus", width: int | None) -> list[str]:
    del width
    from omnitide.cli.show.table import paint
    from omnitide.cli.show.words import ago, plural, share

    nodes, instances = found.nodes, found.instances
    away = [
        f"{getattr(nodes, kind)} {kind}"
        for kind in ("joined", "stalled", "unreachable", "lost")
        if getattr(nodes, kind)
    ]
    closed = [f"{nodes.closed} closed"] if nodes.closed else []
    states = [
        f"{getattr(instances, kind)} {kind}"
        for kind in ("running", "starting", "placed", "pending", "stopping", "failed", "lost", "unknown")
        if getattr(instances, kind)
    ]
    cpu = share(found.reserved_cpu_milli, found.cpu_milli, "cpu")
    memory = share(found.reserved_memory_bytes, found.memory_bytes, "bytes")
    rows = [
        ("fabric", f'"{found.fabric_id}"   Nexus {found.version}, up for {ago(found.started_ms, found.time_ms)}'),
        ("nodes", ", ".join([f"{nodes.live} live", *away, *closed])),
        ("agents", str(found.agents)),
        ("jobs", f"{found.jobs_active} active of {found.jobs}" if found.jobs else "0"),
        ("instances", ", ".join(states) or "none"),
        ("reserved", f"cpu {cpu}   memory {memory}"),
        ("revision", str(found.revision)),
        *(("here" if number == 0 else "", text) for number, text in enumerate(_kept(session))),
    ]
    lines = [f"{paint(f'{title:<10}', 'bold', session.color)} {text}" for title, text in rows]
    if found.concerns:
        lines.append("")
        lines.append(f"{plural(len(found.concerns), 'concern')}:")
    for concern in found.concerns:
        lines.append(f"  {paint(concern.subject, 'yellow', session.color)}: {concern.text}")
        if concern.hint:
            lines.append(f"    {concern.hint}")
    return lines
