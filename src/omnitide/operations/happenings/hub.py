"""The live stream of events: one reader of the log, one frame for each filter and tick, any number of watchers.

A watcher first reads old entries at its own pace and joins the live stream where it has caught up with it. Its queue is
bounded; one that overflows ends with the revision to resume from, and costs neither the writer nor other watchers.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from omnitide.operations.closing import closing
from omnitide.operations.failures import failed
from omnitide.operations.fanout import Direct, Watcher, hand_out, queued, tick_s
from omnitide.operations.happenings.filters import EventFilter, Selection
from omnitide.operations.happenings.frames import Frame, frames_of
from omnitide.operations.happenings.known import KnownNames, book_of
from omnitide.operations.happenings.translate import Happening, Translator
from omnitide.operations.runtime import Committed, Runtime, StreamEnded, Trimmed, WatchLagged
from omnitide.telemetry import logs

TICK_S: Final = 0.03
"""Events within a tick of each other leave together."""
SHORT_TICK_S: Final = 0.002
"""While little happens ticks are so short, so that one deploy is seen at once; they double while much happens."""
MUCH: Final = 20
"""Entries in one tick."""
BOOKMARK_S: Final = 10.0
"""A watcher without events is told this often how far the stream has come."""
CATCHUP_ENTRIES: Final = 500
TURN_EVENTS: Final = 500
"""Made at one go; then whatever else waits in the loop has its turn."""
MAX_PENDING_ENTRIES: Final = 20_000
"""Entries that wait for the next tick; the reader waits beyond that, and its own buffer overflows if it must."""

_log = logs.get(__name__)


class _Live:
    """One run of the reader, from the first watcher's coming to the last one's leaving."""

    def __init__(self, runtime: Runtime) -> None:
        state = runtime.committed()
        self.position = state.revision
        """Everything up to here has been handed out."""
        self.groups: dict[str, dict[EventFilter, set[Watcher[Frame]]]] = {}
        """Watchers by filter, and filters by the subject that they are for: a tick costs what happened in it, and not
        a look at all of it for each of a thousand watchers."""
        self.failure: Exception | None = None
        self._runtime = runtime
        self._names = KnownNames(state, book_of(runtime))
        self._translator = Translator(runtime.log_id(), state.fabric_id, self._names)
        self._pending: list[Committed] = []
        self._arrived = asyncio.Event()
        self._drained = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="event-hub")

    def join(self, wanted: EventFilter, watcher: Watcher[Frame]) -> None:
        """From now on the watcher is offered what comes after `position`."""
        self.groups.setdefault(wanted.subject, {}).setdefault(wanted, set()).add(watcher)
        watcher.failure = self.failure

    def leave(self, wanted: EventFilter, watcher: Watcher[Frame]) -> None:
        filters = self.groups.get(wanted.subject, {})
        watchers = filters.get(wanted, set())
        watchers.discard(watcher)
        if not watchers:
            filters.pop(wanted, None)
        if not filters:
            self.groups.pop(wanted.subject, None)

    def watchers(self) -> Iterator[Watcher[Frame]]:
        return (watcher for filters in self.groups.values() for group in filters.values() for watcher in group)

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hand_out())
                await self._read()
                raise StreamEnded
        except* (StreamEnded, Trimmed) as group:
            self._end(group.exceptions[0])
        except* Exception as group:
            _log.error("the stream of events broke", error=repr(group.exceptions[0]))
            self._end(StreamEnded())

    def _end(self, failure: BaseException) -> None:
        self.failure = failure if isinstance(failure, StreamEnded | Trimmed) else StreamEnded()
        for watcher in self.watchers():
            watcher.fail(self.failure)

    async def _read(self) -> None:
        """Collect entries for the next tick; returns when there will be none."""
        after = self.position
        while True:
            try:
                async with closing(self._runtime.watch(after)) as batches:
                    async for batch in batches:
                        self._pending.extend(batch)
                        after = batch[-1][0]
                        self._arrived.set()
                        while len(self._pending) >= MAX_PENDING_ENTRIES:
                            self._drained.clear()
                            await self._drained.wait()
                return
            except WatchLagged as lagged:
                after = max(after, lagged.resume_from)

    async def _hand_out(self) -> None:
        """At most once a tick: everything that has arrived, to every watcher who wants some of it."""
        tick = SHORT_TICK_S
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            entries, self._pending = self._pending, []
            self._drained.set()
            tick = min(TICK_S, 2 * tick) if len(entries) > MUCH else SHORT_TICK_S
            took_s = 0.0
            if entries:
                took_s = await hand_out(self._offers(await self._translate(entries), entries[-1][0]))
            await asyncio.sleep(max(0.0, tick_s(tick, took_s) - took_s))

    async def _translate(self, entries: list[Committed]) -> list[Happening]:
        self._names.move_to(self._runtime.committed())
        happenings: list[Happening] = []
        for committed in entries:
            for happening in self._translator.translate(committed):
                happenings.append(happening)
                if len(happenings) % TURN_EVENTS == 0:
                    await asyncio.sleep(0)
        self._names.missed.clear()
        return happenings

    def _offers(self, happenings: list[Happening], position: int) -> list[tuple[Frame, tuple[Watcher[Frame], ...]]]:
        """Who is to be offered what. Without awaiting: watchers join at a position, so the position and what is to be
        offered move together."""
        offers: list[tuple[Frame, tuple[Watcher[Frame], ...]]] = []
        selection = Selection(happenings)
        only_whole = self.groups.keys() <= {""}
        for subject in [""] if only_whole else ["", *selection.concerns()]:
            for wanted, watchers in self.groups.get(subject, {}).items():
                those = tuple(watchers)
                offers.extend((frame, those) for frame in frames_of(selection.of(wanted), position))
        self.position = position
        return offers


class EventHub:
    """All event streams of one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = weakref.ref(runtime)
        self._live: _Live | None = None
        self._watchers = 0

    @property
    def watchers(self) -> int:
        return self._watchers

    async def watch(self, wanted: EventFilter, after: int, direct: Direct[Frame] | None = None) -> AsyncIterator[Frame]:
        """Frames of the events after a revision, but those that `direct` has sent. Raises Failed, Trimmed, WatchLagged,
        StreamEnded."""
        runtime = self._runtime()
        if runtime is None:
            raise StreamEnded
        limits = runtime.limits()
        if self._watchers >= limits.watchers:
            raise failed("busy", f"{limits.watchers} event streams are open, the most there can be")
        self._watchers += 1
        if self._live is None or self._live.failure is not None:
            self._live = _Live(runtime)
        live = self._live
        watcher = Watcher[Frame](limits.watcher_events, direct=direct)
        try:
            old = _Old(runtime, wanted, after)
            while old.position != live.position:
                for frame in await old.read(live.position):
                    yield frame
            # No await since the comparison: nothing can fall between the old and the live.
            live.join(wanted, watcher)
            yield Frame((), old.position)
            watcher.position = old.position
            stream = queued(watcher, BOOKMARK_S, lambda: Frame((), live.position))
            async with closing(stream) as frames:
                async for frame in frames:
                    yield frame
        finally:
            live.leave(wanted, watcher)
            self._watchers -= 1
            if not self._watchers:
                live.stop()
                self._live = None


class _Old:
    """A watcher's way through old entries."""

    def __init__(self, runtime: Runtime, wanted: EventFilter, after: int) -> None:
        self.position = after
        self._runtime = runtime
        self._wanted = wanted
        self._names = KnownNames(runtime.committed(), book_of(runtime))
        self._translator = Translator(runtime.log_id(), runtime.committed().fabric_id, self._names)

    async def read(self, until: int) -> list[Frame]:
        """Frames of the next entries, and none beyond `until`: those will be in the live stream."""
        entries = await self._runtime.entries(self.position, CATCHUP_ENTRIES)
        entries = [committed for committed in entries if committed[0] <= until]
        if not entries:
            await asyncio.sleep(TICK_S)  # durable already, and handed out at the next tick
            return []
        self._names.move_to(self._runtime.committed())
        self._translator.look_ahead(entries)
        happenings = await self._wanted_of(entries)
        if self._names.missed:
            # Of things that were removed later than these entries.
            missed, self._names.missed = self._names.missed, set()
            await book_of(self._runtime).look_ahead(self._runtime, self.position, missed)
            happenings = await self._wanted_of(entries)
            self._names.missed.clear()
        self.position = entries[-1][0]
        return list(frames_of(happenings, self.position))

    async def _wanted_of(self, entries: Sequence[Committed]) -> list[Happening]:
        happenings: list[Happening] = []
        made = 0
        for committed in entries:
            for happening in self._translator.translate(committed):
                if self._wanted.admits(happening):
                    happenings.append(happening)
                made += 1
                if made % TURN_EVENTS == 0:
                    await asyncio.sleep(0)
        return happenings


_hubs: "weakref.WeakKeyDictionary[Runtime, EventHub]" = weakref.WeakKeyDictionary()


def hub_of(runtime: Runtime) -> EventHub:
    """The one hub of a runtime."""
    hub = _hubs.get(runtime)
    if hub is None:
        hub = _hubs[runtime] = EventHub(runtime)
    return hub
