"""`omnitide history`: an agent's versions, and what each changed."""

from typing import TYPE_CHECKING, Final

import typer

from omnitide.cli.agents.change import AgentName
from omnitide.cli.session import session_of
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.objects import AgentVersion

_COLUMNS: Final = (
    Column("VERSION", right=True),
    Column("AGE", right=True, rank=2),
    Column("WORKS"),
    Column("REASON"),
    Column("BY", rank=3),
    Column("CHANGED", free=True),
)
_NEXUS: Final = "Nexus"
"""By itself."""
_SHOWN: Final = 3
"""Differences that a line names."""


def history(context: typer.Context, name: AgentName) -> None:
    """List an agent's versions, newest first, with what each changed. The newest 20 are kept.

    Works: every replica was available in it when a rollout of it was over, or whenever its agent was about to change.
    No: a replica is known to have failed in it, for good, again and again, or to come up in time.

    To go back to one: `omnitide rollback AGENT`, with its number as `--to`. `-o json` has every spec whole.
    """
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago

    session = session_of(context)
    namespace, agent = session.name(name)
    with session.client() as client:
        found = client.list_agent_versions(agent, namespace=namespace)
    if session.plain:
        session.emit(found)
        return
    rows: list[list[Cell | str]] = [
        [
            f"{'*' if one.current else ''}{one.number}",
            ago(one.created_ms),
            _works(one),
            one.reason,
            one.by or _NEXUS,
            _changed(one),
        ]
        for one in found.items
    ]
    for line in table(_COLUMNS, rows, color=session.color, width=None):
        session.say(line)


def _works(version: "AgentVersion") -> Cell | str:
    if version.proven:
        return "yes"
    if version.fault:
        return Cell("no", "red")
    return "not yet" if version.current else "not known"


def _changed(version: "AgentVersion") -> str:
    changed = _difference(version)
    fault = f"did not work: {version.fault}" if version.fault else ""
    return "; ".join(filter(None, (changed, fault)))


def _difference(version: "AgentVersion") -> str:
    if version.reason == "rolled-back":
        text = f"as version {version.source}"
        return f"{text}; {version.cause}" if version.cause else text
    named = [f"{one.path} {one.before or '(none)'} -> {one.after or '(none)'}" for one in version.differences[:_SHOWN]]
    more = len(version.differences) - _SHOWN
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")
