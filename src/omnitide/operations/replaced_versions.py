"""What failed in a version that has been replaced since, for good or again and again: the state keeps no more of what
ran in it, the log does."""

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry
from omnitide.fabric.state import ASKED_FOR, Agent, ExitRecord
from omnitide.operations.forgotten import IDENTIFIER
from omnitide.operations.happenings.search import backwards
from omnitide.operations.missing import MISSING
from omnitide.operations.runtime import NotServing, Runtime, Trimmed
from omnitide.operations.views.failing import LOOP
from omnitide.operations.views.instances import show_exit

LOOKED_ENTRIES: Final = 2000
"""Newest entries of the time of a version that are looked through: what failed for good is mostly replaced soon."""
LOOKED_TOGETHER: Final = 5000
"""For all versions of one question; who asks again gets further."""
REMEMBERED: Final = 10_000
"""Versions of which it is remembered: what was, stays."""

_Known = OrderedDict[tuple[str, int], str]
_known: "weakref.WeakKeyDictionary[Runtime, _Known]" = weakref.WeakKeyDictionary()


async def faults_of(runtime: Runtime, agent: Agent, numbers: Iterable[int]) -> dict[int, str]:
    """Of each of these versions which replica had failed for good when the next one took its place, or had ended again
    and again until then, and how; of others nothing. As far as the log is kept, and no further back than the bounds."""
    known = _known.setdefault(runtime, _Known())
    found: dict[int, str] = {}
    looked = 0
    for number in sorted(numbers, reverse=True):
        key = agent.id, number
        if key not in known:
            following = agent.versions.get(number + 1)
            if following is None or looked >= LOOKED_TOGETHER:
                continue
            life = _Life(agent, number, following.created_ms)
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


class _Turn(NamedTuple):
    """An attempt of a generation that began to run, or ended."""

    time_ms: int
    is_end: bool
    ending: ExitRecord | None = None
    """None of an end: somebody asked for it."""


class _Life:
    """Of a version, from its end backwards."""

    def __init__(self, agent: Agent, number: int, until_ms: int) -> None:
        """`until_ms`: when the next one took its place."""
        self._agent = agent
        self._number = number
        self._until_ms = until_ms
        self._began_ms = agent.versions[number].created_ms
        self._ended = False
        """The event that made the next version was met: what is before it is of this one's time."""
        self._followed: set[int] = set()
        """Slots in which another generation was made, in whatever version."""
        self._ends: dict[int, tuple[int, ExitRecord | None]] = {}
        """Generation and exit of what failed and was not followed by another in its slot."""
        self._failed: dict[int, tuple[int, ExitRecord | None]] = {}
        """Those of them that were made in this version."""
        self._turns: dict[tuple[int, int], list[_Turn]] = {}
        """By slot and generation, of whatever version; newest first."""
        self._made: dict[int, list[int]] = {}
        """By slot, the generations that were made in this version, newest first."""
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
                self._take(event, entry.time_ms)
            if self.over:
                return
        self.over = entry.time_ms < self._began_ms

    def _take(self, event: ev.Event, time_ms: int) -> None:
        if isinstance(event, ev.InstancesCreated):
            if event.workload == self._agent.id:
                self._take_made(event)
        elif isinstance(event, ev.InstanceRunning | ev.InstanceExited | ev.InstanceEnded):
            named = IDENTIFIER.fullmatch(event.instance)
            if named is None or named[1] != self._agent.id:
                return
            slot, generation = int(named[2]), int(named[3])
            turns = self._turns.setdefault((slot, generation), [])
            if isinstance(event, ev.InstanceRunning):
                turns.append(_Turn(time_ms, is_end=False))
                return
            ending = event.exit
            asked = ending is not None and ending.reason in ASKED_FOR
            if isinstance(event, ev.InstanceEnded):
                asked = asked or bool(event.asked) or event.status == "stopped"
                if event.status == "failed" and slot not in self._followed:
                    self._ends.setdefault(slot, (generation, ending))
            if asked or (ending is not None and ending.cause != MISSING):
                turns.append(_Turn(time_ms, is_end=True, ending=None if asked else ending))

    def _take_made(self, event: ev.InstancesCreated) -> None:
        for slot, generation in ((one.slot, one.generation) for one in event.slots):
            ended = self._ends.get(slot)
            if ended is not None and ended[0] == generation and event.version == self._number:
                self._failed[slot] = ended
            self._followed.add(slot)
            if event.version == self._number:
                self._made.setdefault(slot, []).append(generation)

    def fault(self) -> str:
        """Empty: nothing of the kind is known."""
        if self._failed:
            slot = min(self._failed)
            generation, ending = self._failed[slot]
            return self._told(slot, generation, "had failed for good", ending)
        for slot in sorted(self._made):
            ends, ending = self._in_a_row(slot)
            if ends >= LOOP:
                return self._told(slot, self._made[slot][0], "had ended again and again", ending)
        return ""

    def _in_a_row(self, slot: int) -> tuple[int, ExitRecord | None]:
        """How often what was made in a slot had ended by itself when the next version came, and how the last time:
        since it had run for `reset_after`, or was stopped because somebody asked for it."""
        reset_after_ms = self._agent.versions[self._number].spec.restart.reset_after
        ends, last, until_ms = 0, None, self._until_ms
        for generation in self._made[slot]:
            for turn in self._turns.get((slot, generation), ()):
                if turn.is_end and turn.ending is None:
                    return ends, last
                if turn.is_end:
                    ends, last = ends + 1, last or turn.ending
                elif until_ms - turn.time_ms >= reset_after_ms:
                    return ends, last
                until_ms = turn.time_ms
        return ends, last

    def _told(self, slot: int, generation: int, what: str, ending: ExitRecord | None) -> str:
        shown = show_exit(ending)
        return f"{self._agent.name}-{slot}.{generation} {what}{f': {shown.text}' if shown else ''}"


async def _look(runtime: Runtime, life: _Life, until_ms: int) -> int:
    """How many entries were looked at. Raises NotServing, Trimmed."""
    looked = 0
    async for entries in backwards(runtime, await _last_at(runtime, until_ms)):
        for _, entry in reversed(entries):
            if not life.over:
                life.take(entry)
        looked += len(entries)
        if life.over or looked >= LOOKED_ENTRIES:
            break
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
