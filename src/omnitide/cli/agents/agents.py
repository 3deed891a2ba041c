"""`omnitide agents`: the list."""

from typing import TYPE_CHECKING, Final

import typer

from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.objects import AgentList, InstanceCounts
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("NAMESPACE", rank=1),
    Column("AGENT"),
    Column("STATUS"),
    Column("RUNNING", right=True),
    Column("VERSION", right=True, rank=3),
    Column("DRIVER", rank=4),
    Column("CPU", right=True, rank=5),
    Column("MEMORY", right=True, rank=5),
    Column("AGE", right=True, rank=2),
    Column("NOTE", rank=6, free=True),
)


def agents(context: typer.Context, watch: WatchOption = False) -> None:
    """List the agents."""
    session = session_of(context)

    from omnitide.cli.instances.resolve import require_namespace

    def read(client: "Client") -> "AgentList":
        from omnitide.model.objects import AgentList

        items = tuple(client.agents(namespace=session.options.namespace))
        if not items:
            require_namespace(session, client)
        return AgentList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "AgentList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import agent_status, cpu, replicas, spell
    from omnitide.model.quantity import format_bytes

    if not found.items:
        return ["no agents; the first: omnitide deploy FILE"]
    rows: list[list[Cell | str]] = []
    for agent in found.items:
        note = notes_of(agent.counts, agent.failing, at_least=agent.failing_at_least)
        if agent.rollout is not None:
            word = "rollout halted" if agent.rollout.halted else "rolling out"
            note.append(f"{word}: {agent.rollout.asked}/{agent.rollout.replicas}")
        rows.append(
            [
                agent.namespace,
                agent.name,
                agent_status(agent),
                replicas(agent),
                str(agent.version),
                agent.driver,
                cpu(agent.cpu_milli),
                format_bytes(agent.memory_bytes).replace(" ", ""),
                spell(agent.created_ms),
                ", ".join(note),
            ]
        )
    return table(_COLUMNS, rows, color=session.color, width=width)


def notes_of(counts: "InstanceCounts", failing: int, *, at_least: bool = False) -> list[str]:
    """What keeps replicas from running, each of them counted once.

    One that fails may be pending at this moment. How many are both is not told; where the sums leave it open, what
    else is pending is given as a bound. `at_least`: not all were looked at for whether they fail.
    """
    found = [f"{counts.unknown} unknown"] if counts.unknown else []
    found += [f"{'at least ' if at_least else ''}{failing} failing"] if failing else []
    others = counts.pending + counts.placed + counts.starting + counts.running + counts.unknown - failing
    least, most = max(0, counts.pending - failing), min(counts.pending, max(0, others))
    if most > 0:
        found.append(f"{most} pending" if least == most else f"up to {most} more pending")
    found += [f"{counts.failed} failed"] if counts.failed else []
    return found
