"""What failed in a version that has been replaced since: the state keeps no more of what ran in it, the log does."""

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry
from omnitide.fabric.state import Agent, ExitRecord
from omnitide.operations.forgotten import IDENTIFIER
from omnitide.operations.happenings.search import window
from omnitide.operations.runtime import NotServing, Runtime, Trimmed
from omnitide.operations.views.instances import show_exit

LOOKED_ENTRIES: Final = 2000
"""Newest entries of the time of a version that are looked through: what failed for good is mostly replaced soon."""
LOOKED_TOGETHER: Final = 5000
"""For all versions of one question; who asks again gets further."""
REMEMBERED: Final = 10_000
"""Versions of which it is remembered: what was, stays."""
_CHUNK: Final = 500

_Known = OrderedDict[tuple[str, int], str]
_known: "weakref.WeakKeyDictionary[Runtime, _Known]" = weakref.WeakKeyDictionary()


async def faults_of(runtime: Runtime, agent: Agent, numbers: Iterable[int]) -> dict[int, str]:
    """Of each of these versions which replica had failed for good when the next one took its place, and how; of others
    nothing. As far as the log is kept, and no further back than the bounds."""
    known = _known.setdefault(runtime, _Known())
    found: dict[int, str] = {}
    looked = 0
    for number in sorted(numbers, reverse=True):
        key = agent.id, number
        if key not in known:
            following = agent.versions.get(number + 1)
            if following is None or looked >= LOOKED_TOGETHER:
                continue
            life = _Life(agent, number)
            try:
                looked += await _look(runtime, life, following.created_ms)
            except (NotServing, Trimmed):
                break
            known[key] = life.fault()
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        known.move_to_end(key)
        if known[key]:
            found[number] = known[key]
    return found


class _Life:
    """Of a version, from its end backwards."""

    def __init__(self, agent: Agent, number: int) -> None:
        self._agent = agent
        self._number = number
        self._began_ms = agent.versions[number].created_ms
        self._ended = False
        """The event that made the next version was met: what is before it is of this one's time."""
        self._followed: set[int] = set()
        """Slots in which another generation was made, in whatever version."""
        self._ends: dict[int, tuple[int, ExitRecord | None]] = {}
        """Generation and exit of what failed and was not followed by another in its slot."""
        self._failed: dict[int, tuple[int, ExitRecord | None]] = {}
        """Those of them that were made in this version."""
        self.over = False

    def take(self, entry: Entry) -> None:
        """The entry before those that were taken."""
        for event in reversed(entry.events):
            if isinstance(event, ev.AgentUpdated | ev.AgentRestarted | ev.AgentRolledBack):
                if event.agent == self._agent.id:
                    self._ended = self._ended or event.version == self._number + 1
                    self.over = event.version <= self._number
            elif isinstance(event, ev.AgentCreated):
                self.over = event.agent == self._agent.id
            elif self._ended:
                self._take(event)
            if self.over:
                return
        self.over = entry.time_ms < self._began_ms

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, ev.InstancesCreated) and event.workload == self._agent.id:
            for slot, generation in ((one.slot, one.generation) for one in event.slots):
                ended = self._ends.get(slot)
                if ended is not None and ended[0] == generation and event.version == self._number:
                    self._failed[slot] = ended
                self._followed.add(slot)
        elif isinstance(event, ev.InstanceEnded) and event.status == "failed":
            named = IDENTIFIER.fullmatch(event.instance)
            if named is not None and named[1] == self._agent.id and int(named[2]) not in self._followed:
                self._ends.setdefault(int(named[2]), (int(named[3]), event.exit))

    def fault(self) -> str:
        """Empty: nothing of the kind is known."""
        if not self._failed:
            return ""
        slot = min(self._failed)
        generation, ending = self._failed[slot]
        shown = show_exit(ending)
        return f"{self._agent.name}-{slot}.{generation} had failed for good{f': {shown.text}' if shown else ''}"


async def _look(runtime: Runtime, life: _Life, until_ms: int) -> int:
    """How many entries were looked at. Raises NotServing, Trimmed."""
    end, looked, size = await _last_at(runtime, until_ms), 0, _CHUNK
    while end > 0 and looked < LOOKED_ENTRIES and not life.over:
        entries = await window(runtime, max(0, end - size), end)
        if entries is None:
            size = max(1, size // 2)
            continue
        if not entries:
            break
        for _, entry in reversed(entries):
            if not life.over:
                life.take(entry)
        looked += len(entries)
        end = entries[0][0] - 1
    return looked


async def _last_at(runtime: Runtime, time_ms: int) -> int:
    """Revision of the last entry that was made by then: times in the log never fall. Raises NotServing."""
    low, high = 0, runtime.committed().revision
    while low < high:
        middle = (low + high + 1) // 2
        try:
            ((_, entry),) = await runtime.entries(middle - 1, 1)
        except Trimmed as trimmed:
            low = max(low, trimmed.first - 1, middle)
            continue
        if entry.time_ms <= time_ms:
            low = middle
        else:
            high = middle - 1
    return low
