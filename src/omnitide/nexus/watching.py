"""Watchers of the log: durable entries in order, from any kept revision on, at each watcher's own pace.

A watcher's buffer is bounded. One that falls behind is told where to resume and costs the writer nothing more.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

from omnitide.fabric.events import Entry
from omnitide.operations.runtime import WatchLagged


class Committed(NamedTuple):
    """A durable entry of the log."""

    revision: int
    entry: Entry


Catchup = Callable[[int, int], Awaitable[list[Committed]]]
"""Reads durable entries: (after, limit)."""

CATCHUP_ENTRIES: Final = 1000


class Watcher:
    """One watcher's place and buffer."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._batches: deque[list[Committed]] = deque()
        self._buffered = 0
        self._wake = asyncio.Event()
        self.lagged = False
        self.closed = False

    @property
    def buffered(self) -> int:
        """Entries that wait for it."""
        return self._buffered

    def offer(self, batch: list[Committed]) -> None:
        """Called by the engine for each durable batch; never waits. The list is shared and not changed."""
        if self.lagged:
            return
        if self._buffered + len(batch) > self._bound:
            self.lagged = True
            self._batches.clear()
            self._buffered = 0
        else:
            self._batches.append(batch)
            self._buffered += len(batch)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def next(self) -> list[Committed] | None:
        """The next batch; None if lagging or closed."""
        while not self._batches and not self.lagged and not self.closed:
            self._wake.clear()
            await self._wake.wait()
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._buffered -= len(batch)
        return batch


class Watchers:
    """All watchers of one engine."""

    def __init__(self, bound: int, recent: int) -> None:
        self._bound = bound
        self._watchers: dict[Watcher, None] = {}
        self._recent: deque[Committed] = deque(maxlen=recent)

    def __len__(self) -> int:
        return len(self._watchers)

    def most_buffered(self) -> int:
        """Entries that wait for the slowest watcher: how near the bound they are."""
        return max((watcher.buffered for watcher in self._watchers), default=0)

    def publish(self, batch: list[Committed]) -> None:
        self._recent.extend(batch)
        for watcher in self._watchers:
            watcher.offer(batch)

    def recent_after(self, after: int, limit: int) -> list[Committed] | None:
        """From memory, if everything after `after` is still there."""
        if not self._recent or self._recent[0].revision > after + 1:
            return None
        skip = max(0, after + 1 - self._recent[0].revision)
        return [self._recent[index] for index in range(skip, min(len(self._recent), skip + limit))]

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()

    async def watch(self, after: int, catchup: Catchup) -> AsyncIterator[list[Committed]]:
        """Everything after `after`, then what comes. Raises WatchLagged."""
        watcher = Watcher(self._bound)
        self._watchers[watcher] = None
        try:
            # Registered first: what is committed while older entries are read waits in the buffer.
            position = after
            while batch := await catchup(position, CATCHUP_ENTRIES):
                yield batch
                position = batch[-1].revision
            while (live := await watcher.next()) is not None:
                fresh = live if live[0].revision > position else [c for c in live if c.revision > position]
                if fresh:
                    yield fresh
                    position = fresh[-1].revision
            if watcher.lagged:
                raise WatchLagged(position)
        finally:
            self._watchers.pop(watcher, None)
