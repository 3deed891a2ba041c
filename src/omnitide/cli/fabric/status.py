"""`omnitide status`: the fabric at a glance."""

from typing import TYPE_CHECKING

import typer

from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show

if TYPE_CHECKING:
    from omnitide.model.inventory import FabricStatus
    from omnitide.sdk.client import Client


def status(context: typer.Context, watch: WatchOption = False) -> None:
    """Show the fabric at a glance: nodes, instances, room, and what wants an eye."""
    session = session_of(context)
    show(session, _read, _lines, watch=watch)


def _read(client: "Client") -> "FabricStatus":
    return client.get_fabric()


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
