"""How often replicas of each agent ended by themselves, counted from what is committed.

An instance is replaced by its next generation after a few ends, and its own series with it: what is to be told of an
agent's ends has to be counted for the agent.
"""

from collections.abc import Iterable, Mapping

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry
from omnitide.fabric.state import ASKED_FOR, ExitRecord, FabricState

_BY_ITSELF = ("failed", "succeeded")


class Ends:
    """Since this Nexus began; a counter as Prometheus has them. Holds a number for each agent that there is."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}

    def on_commit(self, before: FabricState, after: FabricState, entries: Iterable[tuple[int, Entry]]) -> None:
        for _, entry in entries:
            for event in entry.events:
                agent = _ended(event)
                if agent in after.agents:
                    self._ends[agent] = self._ends.get(agent, 0) + 1
        if before.agents is not after.agents and len(self._ends) > len(after.agents):
            self._ends = {agent: number for agent, number in self._ends.items() if agent in after.agents}

    def by_agent(self) -> Mapping[str, int]:
        """By the id of the agent; of one that is not in it none has ended."""
        return self._ends


def _ended(event: ev.Event) -> str:
    """The agent or job of what ended by itself; else empty."""
    match event:
        case ev.InstanceExited():
            by_itself = not _asked_for(event.exit)
        case ev.InstanceEnded():
            by_itself = event.status in _BY_ITSELF and not _asked_for(event.exit)
        case _:
            return ""
    return event.instance.rsplit(".", 2)[0] if by_itself else ""


def _asked_for(record: ExitRecord | None) -> bool:
    return record is not None and record.reason in ASKED_FOR
