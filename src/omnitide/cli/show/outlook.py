"""`--dry-run` of what moves or ends replicas: where each would go, and what would not fit, as Nexus foresees it."""

from typing import TYPE_CHECKING, Final

from omnitide.cli.show import foreseen
from omnitide.cli.show.table import Cell, Column, table, terminal_width
from omnitide.model.names import called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omnitide.cli.session import Session
    from omnitide.model.foreseen import ForeseenReplica, Outlook
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("REPLICA"),
    Column("WOULD"),
    Column("FROM", rank=1),
    Column("TO"),
    Column("WHY", free=True, rank=2),
)
_WORDS: Final = {
    "starts": "start",
    "moves": "move",
    "renews": "be replaced",
    "stops": "stop",
    "stays": "stay",
    "blocked": "stay",
    "unheard": "stay",
    "waits": "wait",
}


def foretell(session: "Session", client: "Client", changes: "Sequence[dict[str, str | int]]") -> None:
    """Say what would come of changes that are not made. Raises FabricError: also for one that would be refused."""
    outlook = client.foresee_changes(changes)
    if session.plain:
        session.emit(outlook)
        return
    if outlook.replicas:
        rows = [_row(one) for one in outlook.replicas]
        for line in table(_COLUMNS, rows, color=session.color, width=terminal_width()):
            session.say(line)
    for text in sentences(outlook):
        session.say(f"  {text}")
    session.say("  nothing was changed")


def sentences(outlook: "Outlook") -> list[str]:
    found = [text for _, text in foreseen.fates(outlook)]
    found += filter(None, (foreseen.kept(outlook), foreseen.held(outlook), foreseen.tasks(outlook)))
    if len(outlook.replicas) < sum(outlook.counts.values()):
        found.append(f"only the first {len(outlook.replicas)} are listed, those that are worse off before the others")
    found += filter(None, (foreseen.lost(outlook), foreseen.unseen(outlook)))
    if not outlook.finished:
        found.append("it goes on for longer than was looked ahead")
    return found or ["nothing would move or stop"]


def _row(one: "ForeseenReplica") -> list[Cell]:
    style = {"waits": "red", "stays": "yellow", "blocked": "yellow", "unheard": "yellow"}.get(one.fate, "")
    return [
        Cell(f"{called(one.namespace, one.agent)}-{one.slot}"),
        Cell(_WORDS[one.fate], style),
        Cell(one.before),
        Cell(one.after),
        Cell(one.why),
    ]
