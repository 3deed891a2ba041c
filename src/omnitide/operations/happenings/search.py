"""Old events, a page at a time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

from omnitide.model.happenings import CloudEvent, EventPage
from omnitide.operations.happenings.filters import EventFilter
from omnitide.operations.happenings.known import KnownNames, book_of
from omnitide.operations.happenings.translate import Happening, Translator, count
from omnitide.operations.runtime import Committed, Runtime, Trimmed

SEARCHED_ENTRIES: Final = 5000
"""Entries that are looked at for one page; a page says where to go on."""
SEARCHED_EVENTS: Final = 50_000
"""Events that are looked at for one page: one entry may hold as many."""
_CHUNK: Final = 500
_FIRST_CHUNK: Final = 32
"""Few pages need many entries; one that does reads more each time."""
_SLICE: Final = 500
"""Events of an entry that are made at once; then whatever else waits in the loop has its turn."""


class _Place(NamedTuple):
    """Where a page goes on: after a revision, without the first so many events of the one that follows."""

    after: int
    skip: int = 0


class _Reader:
    """What one page needs: the events of entries under their names, and how much was looked at."""

    def __init__(self, runtime: Runtime, wanted: EventFilter) -> None:
        state = runtime.committed()
        self._runtime = runtime
        self._wanted = wanted
        self._book = book_of(runtime)
        self._names = KnownNames(state, self._book)
        self._translator = Translator(runtime.log_id(), state.fabric_id, self._names)
        self._looked_after = 0
        self.entries = 0
        self.events = 0

    @property
    def enough(self) -> bool:
        """So much was looked at that the rest is for another page."""
        return self.entries >= SEARCHED_ENTRIES or self.events >= SEARCHED_EVENTS

    @property
    def filters(self) -> bool:
        return self._wanted != EventFilter()

    def learn(self, entries: Sequence[Committed]) -> None:
        self._translator.look_ahead(entries)

    async def events_of(self, committed: Committed, first: int, until: int) -> list[tuple[int, Happening]]:
        """Those that are wanted of a part of an entry, each with its number in the entry."""
        made = self._made(committed, first, until)
        if self._names.missed and self._looked_after < committed[0]:
            # Removed later than what has been read so far. Once for each entry is enough: what the log does not tell
            # within the bound keeps its id.
            self._looked_after = committed[0]
            missed, self._names.missed = self._names.missed, set()
            await self._book.look_ahead(self._runtime, committed[0], missed)
            made = self._made(committed, first, until)
        self._names.missed.clear()
        self.events += until - first
        await asyncio.sleep(0)
        return made

    def _made(self, committed: Committed, first: int, until: int) -> list[tuple[int, Happening]]:
        made = enumerate(self._translator.translate(committed, first, until), first)
        return [(number, happening) for number, happening in made if self._wanted.admits(happening)]


def _page(found: list[CloudEvent], revision: int, place: _Place, *, more: bool) -> EventPage:
    return EventPage(items=tuple(found), revision=revision, next_after=place.after, next_skip=place.skip, more=more)


async def page_after(runtime: Runtime, wanted: EventFilter, after: int, skip: int, limit: int) -> EventPage:
    """The first `limit` events after a revision, without the first `skip` of the revision that follows it.

    Raises Trimmed.
    """
    revision = runtime.committed().revision
    reader = _Reader(runtime, wanted)
    found: list[CloudEvent] = []
    place = _Place(after, skip)
    size = 1 if skip else _FIRST_CHUNK
    while place.after < revision and not reader.enough:
        entries = await runtime.entries(place.after, min(size, SEARCHED_ENTRIES - reader.entries))
        if not entries:
            break
        reader.learn(entries)
        for committed in entries:
            went_on = await _take(reader, committed, place.skip, limit, found)
            if went_on is not None:
                place = _Place(committed[0] - 1, went_on)
                return _page(found, revision, place, more=True)
            place = _Place(committed[0])
        reader.entries += len(entries)
        size = min(_CHUNK, 2 * size)
    newest = runtime.committed().revision
    return _page(found, newest, place, more=place.after < newest)


async def _take(reader: _Reader, committed: Committed, first: int, limit: int, found: list[CloudEvent]) -> int | None:
    """The wanted events of one entry; the number of the first that is for another page, None if there is none."""
    width = count(committed[1])
    while first < width:
        if reader.enough:
            return first
        # Where all are wanted, no more than there is room for and the one that tells that there are more.
        size = _SLICE if reader.filters else min(_SLICE, limit - len(found) + 1)
        until = min(width, first + size)
        for number, happening in await reader.events_of(committed, first, until):
            if len(found) == limit:
                return number
            found.append(happening.event)
        first = until
    return None


async def last(runtime: Runtime, wanted: EventFilter, limit: int) -> EventPage:
    """The newest `limit` events, in order; `next_after` is the present."""
    revision = runtime.committed().revision
    reader = _Reader(runtime, wanted)
    newest_first: list[CloudEvent] = []
    async for entries in backwards(runtime, revision):
        reader.learn(entries)
        for committed in reversed(entries):
            await _take_newest(reader, committed, limit, newest_first)
        reader.entries += len(entries)
        if len(newest_first) >= limit or reader.enough:
            break
    return _page(newest_first[::-1], revision, _Place(revision), more=False)


async def _take_newest(reader: _Reader, committed: Committed, limit: int, newest_first: list[CloudEvent]) -> None:
    until = count(committed[1])
    while until > 0 and len(newest_first) < limit and not reader.enough:
        first = max(0, until - _SLICE)
        events = await reader.events_of(committed, first, until)
        newest_first.extend(happening.event for _, happening in reversed(events[-(limit - len(newest_first)) :]))
        until = first


async def backwards(runtime: Runtime, until: int) -> AsyncGenerator[Sequence[Committed]]:
    """The entries up to a revision, as far as they are kept: those that are nearest to it first, and in order among
    themselves; few at first, as few questions need many. Raises NotServing."""
    size = _FIRST_CHUNK
    while until > 0:
        entries = await _window(runtime, max(0, until - size), until)
        if entries is None:
            # Too large to be read at one go. What is nearest to the end is wanted, so the window becomes smaller.
            size = max(1, size // 2)
            continue
        if not entries:
            return
        yield entries
        until = entries[0][0] - 1
        size = min(_CHUNK, 2 * size)


async def _window(runtime: Runtime, after: int, until: int) -> Sequence[Committed] | None:
    """The entries after a revision up to another, as far as they are kept; None if they are too large for one read."""
    try:
        entries = await runtime.entries(after, until - after)
    except Trimmed as trimmed:
        if trimmed.first > until:
            return []
        after = trimmed.first - 1
        entries = await runtime.entries(after, until - after)
    return entries if not entries or entries[-1][0] >= until else None
