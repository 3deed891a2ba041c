"""Names of what events speak of. Events hold opaque ids; people and filters want names, also of what is gone."""

from collections import OrderedDict
from typing import Final

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry
from omnitide.fabric.state import FabricState

_REMEMBERED: Final = 50_000
"""Names that are remembered of what may be gone; the least recently used are forgotten first."""

Scoped = tuple[str, str]
"""Namespace and name."""


class KnownNames:
    """Looks an id up in the newest state, then in the state before, then in what was learned from events on the way:
    those of a beginning name it, and those of a removal.

    What was gone before anyone looked is called by its id, in the namespace `-`.
    """

    def __init__(self, state: FabricState) -> None:
        self._state = state
        self._before = state
        self._learned: OrderedDict[str, Scoped] = OrderedDict()

    def move_to(self, state: FabricState) -> None:
        """The state that holds after the entries that are looked at next."""
        if state is not self._state:
            self._before, self._state = self._state, state

    def learn(self, entry: Entry) -> None:
        """Also of entries that come later: what was removed there had its name before."""
        for event in entry.events:
            if isinstance(event, ev.AgentCreated) or (isinstance(event, ev.AgentRemoved) and event.name):
                self._remember(event.agent, (event.namespace, event.name))
            elif isinstance(event, ev.JobCreated):
                self._remember(event.job, (event.namespace, event.name))
            elif isinstance(event, ev.JobsRemoved):
                for job, (namespace, name) in zip(event.jobs, event.names, strict=False):
                    self._remember(job, (namespace, name))
            elif isinstance(event, ev.NodeJoined) or (isinstance(event, ev.NodeRemoved) and event.name):
                self._remember(event.node, ("", event.name))

    def _remember(self, identifier: str, name: Scoped) -> None:
        self._learned[identifier] = name
        self._learned.move_to_end(identifier)
        if len(self._learned) > _REMEMBERED:
            self._learned.popitem(last=False)

    def workload(self, identifier: str) -> Scoped:
        """Of an agent or a job."""
        for state in (self._state, self._before):
            found = state.agents.get(identifier) or state.jobs.get(identifier)
            if found is not None:
                return found.namespace, found.name
        return self._learned.get(identifier, ("-", identifier))

    def node_of(self, instance: str) -> str:
        """Id of the node that an instance is or was last on; empty if it is not known."""
        for state in (self._state, self._before):
            found = state.instances.get(instance)
            if found is not None and found.node:
                return found.node
        return ""

    def node(self, identifier: str) -> str:
        for state in (self._state, self._before):
            found = state.nodes.get(identifier)
            if found is not None:
                return found.name
        return self._learned.get(identifier, ("", identifier))[1]
