"""Times, sizes and states as people read them."""

import time
from typing import Final

from omnitide.cli.show.table import Cell
from omnitide.model import inventory as inv
from omnitide.model import objects as ob
from omnitide.model.quantity import format_bytes, format_cpu, format_duration

_STYLES: Final = {
    "running": "green",
    "live": "green",
    "succeeded": "green",
    "healthy": "green",
    "valid": "green",
    "progressing": "cyan",
    "starting": "cyan",
    "placed": "cyan",
    "pending": "yellow",
    "stopping": "yellow",
    "active": "cyan",
    "degraded": "red",
    "failing": "red",
    "waiting": "yellow",
    "failed": "red",
    "lost": "red",
    "unhealthy": "red",
    "unreachable": "red",
    "stalled": "yellow",
    "unknown": "magenta",
    "away": "yellow",
    "cordoned": "yellow",
    "draining": "yellow",
    "drained": "yellow",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ago(at_ms: int, now: int | None = None) -> str:
    """`12 s`; a dash for what has not been. Clocks of two machines differ: never less than nothing."""
    if not at_ms:
        return "-"
    return format_duration(max(0, (now_ms() if now is None else now) - at_ms))


def spell(at_ms: int, now: int | None = None) -> str:
    """`12s`, `1m5s`: as `ago`, in one word, for the columns of tables."""
    return ago(at_ms, now).replace(" ", "")


def state(text: str, since_ms: int = 0) -> Cell:
    """A status in its colour; what is unknown says since when."""
    shown = f"{text} since {ago(since_ms)}" if since_ms and text in ("unknown", "unreachable", "lost") else text
    return Cell(shown, _STYLES.get(text, ""))


def only_waits(agent: ob.AgentSummary) -> bool:
    """Whether all that is wrong with it is that replicas wait for a place."""
    missing = agent.replicas - agent.running
    counts = agent.counts
    return agent.status == "degraded" and not (counts.failed or agent.failing) and 0 < missing <= counts.pending


def agent_status(agent: ob.AgentSummary) -> Cell:
    """As the panel and `top` call it."""
    return Cell("waiting", _STYLES["waiting"]) if only_waits(agent) else state(agent.status)


def has_left(node: inv.Node) -> bool:
    """Whether it said goodbye for good, and not that its operator stopped it."""
    gone = node.status in ("unreachable", "lost")
    return gone and bool(node.departing) and not (node.back_within_ms or node.stopped_ms)


def is_silent(node: inv.Node) -> bool:
    """Nothing is heard of it, whether or not it was meant to be so."""
    return bool(node.stopped_ms) or node.status in ("unreachable", "lost")


def away_of(node: inv.Node) -> str:
    """What is said of a node that its operator stopped, that has left, or that has said goodbye for a while and counts
    as live meanwhile; else empty."""
    if node.stopped_ms:
        return f"stopped by its operator {ago(node.stopped_ms)} ago"
    if has_left(node):
        return f"left {ago(node.since_ms)} ago"
    if node.status != "live" or not (node.departing and node.back_within_ms):
        return ""
    return f"away, back within {format_duration(node.back_within_ms)}"


def cpu(milli: int) -> str:
    return format_cpu(milli) or "0"


def share(used: int, whole: int, form: str) -> str:
    """`0.4/4`, `96 MiB/7.6 GiB`."""
    shape = cpu if form == "cpu" else format_bytes
    return f"{shape(used)}/{shape(whole)}"


def replicas(agent: ob.AgentSummary) -> str:
    """`3/3`; `3/3 +1` where one more runs than is asked for, until it is stopped."""
    surplus = agent.running - agent.replicas
    return f"{min(agent.running, agent.replicas)}/{agent.replicas}" + (f" +{surplus}" if surplus > 0 else "")


def ending(exit_: ob.InstanceExit | None) -> str:
    return exit_.text if exit_ is not None else ""


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
