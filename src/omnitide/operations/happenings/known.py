"""Names of what events speak of. Events hold opaque ids; people and filters want names, also of what is gone."""

import weakref
from collections import OrderedDict
from typing import Final

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry
from omnitide.fabric.state import FabricState
from omnitide.operations.runtime import Runtime, Trimmed
from omnitide.operations.views.callers import caller_words

_REMEMBERED: Final = 50_000
"""Names that are remembered of what may be gone; the least recently used are forgotten first."""

LOOKED_THROUGH: Final = 20_000
"""Entries that are looked through at one go for the names of what was removed later."""
_READS: Final = 40
"""Reads of the log for it: entries may be large."""
_CHUNK: Final = 500
_MISSED: Final = 1000

_NAMING: Final = frozenset(
    {ev.AgentCreated, ev.AgentRemoved, ev.JobCreated, ev.JobsRemoved, ev.NodeJoined, ev.NodeRemoved}
)
"""Events that tell a name. An entry may hold many thousands of others."""

Scoped = tuple[str, str]
"""Namespace and name."""


class NameBook:
    """Names learned from the events of one log, shared by all who read it: an id never comes to mean another thing.

    What was removed has its name in the event of its removal, which may be long after the events that are shown.
    """

    def __init__(self) -> None:
        self._names: OrderedDict[str, Scoped] = OrderedDict()
        self._searched = (0, 0)
        """Names of all that was removed after the first of these revisions, up to the second, have been learned."""

    def learn(self, entry: Entry) -> None:
        """Also of entries that come later: what was removed there had its name before."""
        for event in entry.events:
            if type(event) not in _NAMING:
                continue
            if isinstance(event, ev.AgentCreated) or (isinstance(event, ev.AgentRemoved) and event.name):
                self._remember(event.agent, (event.namespace, event.name))
            elif isinstance(event, ev.JobCreated):
                self._remember(event.job, (event.namespace, event.name))
            elif isinstance(event, ev.JobsRemoved):
                for job, (namespace, name) in zip(event.jobs, event.names, strict=False):
                    self._remember(job, (namespace, name))
            elif isinstance(event, ev.NodeJoined) or (isinstance(event, ev.NodeRemoved) and event.name):
                self._remember(event.node, ("", event.name))

    def get(self, identifier: str) -> Scoped | None:
        return self._names.get(identifier)

    async def look_ahead(self, runtime: Runtime, after: int, wanted: set[str]) -> None:
        """Learn from the entries after a revision until all of these ids have names, or the bound is reached.

        What has been looked through before is not read again: who asks on gets further each time.
        """
        start, end = self._searched
        if not start <= after <= end:
            start = end = after
        through = 0
        for _ in range(_READS):
            if through >= LOOKED_THROUGH or all(one in self._names for one in wanted):
                break
            try:
                entries = await runtime.entries(end, _CHUNK)
            except Trimmed as trimmed:
                end = trimmed.first - 1
                continue
            if not entries:
                break
            for _, entry in entries:
                self.learn(entry)
            through += len(entries)
            end = entries[-1][0]
        self._searched = (start, end)

    def _remember(self, identifier: str, name: Scoped) -> None:
        self._names[identifier] = name
        self._names.move_to_end(identifier)
        if len(self._names) > _REMEMBERED:
            self._names.popitem(last=False)
            self._searched = (0, 0)


_books: "weakref.WeakKeyDictionary[Runtime, NameBook]" = weakref.WeakKeyDictionary()


def book_of(runtime: Runtime) -> NameBook:
    """The one book of a runtime."""
    book = _books.get(runtime)
    if book is None:
        book = _books[runtime] = NameBook()
    return book


class KnownNames:
    """Looks an id up in the newest state, then in the state before, then in the book.

    What is in none of them is called by its id, in the namespace `-`.
    """

    def __init__(self, state: FabricState, book: NameBook | None = None) -> None:
        self._state = state
        self._before = state
        self._book = book if book is not None else NameBook()
        self.missed: set[str] = set()
        """Ids that were asked for and are in none of them."""

    def move_to(self, state: FabricState) -> None:
        """The state that holds after the entries that are looked at next."""
        if state is not self._state:
            self._before, self._state = self._state, state

    def learn(self, entry: Entry) -> None:
        self._book.learn(entry)

    def _learned(self, identifier: str, otherwise: Scoped) -> Scoped:
        known = self._book.get(identifier)
        if known is None and len(self.missed) < _MISSED:
            self.missed.add(identifier)
        return known or otherwise

    def workload(self, identifier: str) -> Scoped:
        """Of an agent or a job."""
        for state in (self._state, self._before):
            found = state.agents.get(identifier) or state.jobs.get(identifier)
            if found is not None:
                return found.namespace, found.name
        return self._learned(identifier, ("-", identifier))

    def node_of(self, instance: str) -> str:
        """Id of the node that an instance is or was last on; empty if it is not known."""
        for state in (self._state, self._before):
            found = state.instances.get(instance)
            if found is not None and found.node:
                return found.node
        return ""

    def caller(self, principal: str) -> str:
        """In words; empty for the fabric's own parts and for nodes."""
        known = principal.partition(":")[2] in self._state.tokens
        return caller_words(self._state if known else self._before, principal)

    def node(self, identifier: str) -> str:
        for state in (self._state, self._before):
            found = state.nodes.get(identifier)
            if found is not None:
                return found.name
        return self._learned(identifier, ("", identifier))[1]
