"""`--dry-run` of what moves or ends replicas: where each would go, and what would not fit, as Nexus foresees it."""

from typing import TYPE_CHECKING, Final

from omnitide.cli.show.table import Cell, Column, table, terminal_width
from omnitide.cli.show.words import plural
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
_TOTALS: Final = (
    ("waits", "would fit nowhere and wait"),
    ("stays", "would fit on no other node and stay"),
    ("unheard", "would not hear of it and stay: nothing is heard from {its} node"),
    ("blocked", "would stay: the update lets no more be away at once"),
    ("stops", "would stop"),
    ("moves", "would move"),
    ("renews", "would be replaced on the same node"),
    ("starts", "would start"),
)
"""The worst first."""


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
    counts = [(outlook.counts.get(fate, 0), word) for fate, word in _TOTALS]
    found = [f"{plural(count, 'replica')} {word.format(its=_its(count))}" for count, word in counts if count]
    if outlook.kept:
        as_is = "it is" if outlook.kept == 1 else "they are"
        found.append(f"{plural(outlook.kept, 'replica')} would be kept as {as_is}")
    if outlook.held:
        found.append(held(outlook))
    if outlook.tasks:
        verb = "runs to its" if outlook.tasks == 1 else "run to their"
        found.append(f"{plural(outlook.tasks, 'task')} of jobs {verb} end there")
    if len(outlook.replicas) < sum(outlook.counts.values()):
        found.append(f"only the first {len(outlook.replicas)} are listed, those that are worse off before the others")
    if outlook.lost:
        found.append(lost(outlook))
    if outlook.unseen:
        found.append(f"{plural(outlook.unseen, 'further replica')} were not looked at: too many")
    if not outlook.finished:
        found.append("it goes on for longer than was looked ahead")
    return found or ["nothing would move or stop"]


def held(outlook: "Outlook") -> str:
    """Of replicas that what was foreseen leaves at the version before, or does not reach."""
    if outlook.finished:
        return f"{plural(outlook.held, 'replica')} would stay at the version before"
    return f"{outlook.held} more {'replica was' if outlook.held == 1 else 'replicas were'} not looked ahead to"


def lost(outlook: "Outlook") -> str:
    """Of replicas that are lost on a node that is to be drained."""
    one = outlook.lost == 1
    are, them = ("is", "it") if one else ("are", "them")
    return f"{plural(outlook.lost, 'replica')} there {are} lost already: what replaces {them} does so anyway"


def _its(count: int) -> str:
    return "its" if count == 1 else "their"


def _row(one: "ForeseenReplica") -> list[Cell]:
    style = {"waits": "red", "stays": "yellow", "blocked": "yellow", "unheard": "yellow"}.get(one.fate, "")
    return [
        Cell(f"{called(one.namespace, one.agent)}-{one.slot}"),
        Cell(_WORDS[one.fate], style),
        Cell(one.before),
        Cell(one.after),
        Cell(one.why),
    ]
