"""Old events, a page at a time."""

from typing import Final

from omnitide.model.happenings import CloudEvent, EventPage
from omnitide.operations.happenings.filters import EventFilter
from omnitide.operations.happenings.known import KnownNames
from omnitide.operations.happenings.translate import Translator
from omnitide.operations.runtime import Committed, Runtime, Trimmed

SEARCHED_ENTRIES: Final = 5000
"""Entries that are looked at for one page; a page says where to go on."""
_CHUNK: Final = 500


async def page_after(runtime: Runtime, wanted: EventFilter, after: int, skip: int, limit: int) -> EventPage:
    """The first `limit` events after a revision, without the first `skip` of the revision that follows it.

    Raises Trimmed.
    """
    state = runtime.committed()
    translator = Translator(runtime.log_id(), state.fabric_id, KnownNames(state))
    found: list[CloudEvent] = []
    position, searched = after, 0
    while searched < SEARCHED_ENTRIES and position < state.revision:
        entries = await runtime.entries(position, _CHUNK)
        if not entries:
            break
        translator.look_ahead(entries)
        for committed in entries:
            taken = 0
            for index, happening in enumerate(translator.translate(committed)):
                if index < skip or not wanted.admits(happening):
                    continue
                if len(found) == limit:
                    return EventPage(
                        items=tuple(found),
                        revision=state.revision,
                        next_after=committed[0] - 1,
                        next_skip=index if taken or skip else 0,
                        more=True,
                    )
                found.append(happening.event)
                taken += 1
            skip = 0
            position = committed[0]
        searched += len(entries)
    newest = runtime.committed().revision
    return EventPage(items=tuple(found), revision=newest, next_after=position, more=position < newest)


async def last(runtime: Runtime, wanted: EventFilter, limit: int) -> EventPage:
    """The newest `limit` events, in order; `next_after` is the present."""
    state = runtime.committed()
    translator = Translator(runtime.log_id(), state.fabric_id, KnownNames(state))
    found: list[CloudEvent] = []
    end, searched = state.revision, 0
    while end > 0 and len(found) < limit and searched < SEARCHED_ENTRIES:
        start = max(0, end - _CHUNK)
        entries = await _between(runtime, start, end)
        if not entries:
            break
        translator.look_ahead(entries)
        events = [
            happening.event
            for committed in entries
            for happening in translator.translate(committed)
            if wanted.admits(happening)
        ]
        found = events[-(limit - len(found)) :] + found if events else found
        searched += len(entries)
        end = entries[0][0] - 1
    return EventPage(items=tuple(found), revision=state.revision, next_after=state.revision, more=False)


async def _between(runtime: Runtime, after: int, until: int) -> list[Committed]:
    """Entries after a revision up to another, as far as they are kept."""
    try:
        entries = await runtime.entries(after, until - after)
    except Trimmed as trimmed:
        if trimmed.first > until:
            return []
        entries = await runtime.entries(trimmed.first - 1, until - trimmed.first + 1)
    return [committed for committed in entries if committed[0] <= until]
