"""Nodes, namespaces and tokens."""

from typing import Final, Literal

from omnitide.fabric.state import Namespace, Node, NodeStatus, Token, TokenPurpose
from omnitide.model import inventory as inv
from omnitide.operations.runtime import HostUse, NodeLive
from omnitide.operations.views.silence import SILENT, node_away

NodeCounted = Literal[inv.NodeStatus, "stopped", "left"]
COUNTED: Final[tuple[NodeCounted, ...]] = ("joined", "live", "stalled", "stopped", "left", "unreachable", "lost")


def node_status(node: Node, live: NodeLive | None) -> inv.NodeStatus:
    if node.status is NodeStatus.LIVE and live is not None and live.stalled_since_ms:
        return "stalled"
    return node.status.value


def counted_as(node: Node, live: NodeLive | None) -> NodeCounted:
    """Where nodes are counted: as its status, but once its operator stopped it, or it left, as that alone, until it is
    back or removed."""
    if node.stopped_ms:
        return "stopped"
    return "left" if node.left else node_status(node, live)


def shown_as(node: Node, live: NodeLive | None) -> tuple[inv.NodeShown, ...]:
    """The words for a node: what it counts as, and that it is away for a while."""
    counted: inv.NodeShown = counted_as(node, live)
    return (counted, "away") if node_away(node) else (counted,)


def show_node(node: Node, live: NodeLive | None) -> inv.Node:
    facts = node.facts
    return inv.Node(
        id=node.id,
        name=node.name,
        status=node_status(node, live),
        since_ms=node.since_ms,
        unknown_since_ms=node.since_ms if node.status in SILENT else 0,
        stalled_since_ms=live.stalled_since_ms if live is not None else 0,
        scheduling=node.scheduling.value,
        departing=node.departing,
        back_within_ms=node.back_within_ms,
        stopped_ms=node.stopped_ms,
        draining_since_ms=node.draining_since_ms,
        address=facts.address,
        session_address=live.session_address if live is not None else "",
        labels={**facts.labels, **node.join_labels},
        platform=facts.platform,
        software=facts.software,
        drivers=tuple(
            inv.Driver(
                name=driver.name,
                version=driver.version,
                healthy=driver.healthy,
                detail=driver.detail,
                enforces=driver.enforces,
                absent=driver.absent,
                silent_since_ms=node.silent_drivers.get(driver.name, 0),
            )
            for driver in facts.drivers
        ),
        cpu_milli=facts.cpu_milli,
        memory_bytes=facts.memory_bytes,
        disk_bytes=facts.disk_bytes,
        reserved_cpu_milli=node.used_cpu_milli,
        reserved_memory_bytes=node.used_memory_bytes,
        port_first=facts.port_first,
        port_last=facts.port_last,
        ports_used=len(node.ports),
        instances=len(node.instances),
        use=_show_use(live.use) if live is not None and live.use is not None else None,
        last_beat_ms=live.last_beat_ms if live is not None else 0,
        clock_ahead_ms=live.clock_ahead_ms if live is not None else 0,
        session=node.session,
        joined_ms=node.joined_ms,
        revision=node.revision,
    )


def _show_use(use: HostUse) -> inv.NodeUse:
    return inv.NodeUse(
        at_ms=use.at_ms,
        cpu_milli=use.cpu_milli_used,
        memory_bytes=use.memory_used_bytes,
        disk_bytes=use.disk_used_bytes,
        network_received_bytes=use.network_received_bytes,
        network_sent_bytes=use.network_sent_bytes,
        load_milli=use.load_milli,
    )


def show_namespace(namespace: Namespace) -> inv.Namespace:
    return inv.Namespace(
        name=namespace.name,
        agents=namespace.agents,
        jobs=namespace.jobs,
        created_ms=namespace.created_ms,
        revision=namespace.revision,
    )


def show_token(token: Token, now_ms: int) -> inv.Token:
    return inv.Token(
        id=token.id,
        purpose=token.purpose.value,
        state=_token_state(token, now_ms),
        note=token.note,
        labels=token.labels,
        uses_left=token.uses_left,
        created_ms=token.created_ms,
        created_by=token.principal,
        expires_ms=token.expires_ms,
        revision=token.revision,
    )


def _token_state(token: Token, now_ms: int) -> inv.TokenState:
    if token.revoked:
        return "revoked"
    if token.expires_ms and token.expires_ms <= now_ms:
        return "expired"
    counted = token.purpose in (TokenPurpose.JOIN, TokenPurpose.LOGIN)
    return "used-up" if counted and token.uses_left < 1 else "valid"
