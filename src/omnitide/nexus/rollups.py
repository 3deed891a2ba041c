"""Samples by the minute, for a week: taken from memory once a minute is over, and asked for when memory does not reach.

All work on disk is done in a thread of its own. When it fails, minutes are missing: nothing else waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import numpy as np

from omnitide.store.protocol import LogUnavailable
from omnitide.store.rollups import RollupStore, Slot
from omnitide.store.worker import Worker
from omnitide.telemetry import logs
from omnitide.telemetry.series.blocks import (
    HOUR,
    MINUTE_S,
    Block,
    BlockDamaged,
    Plane,
    block_of,
    decode,
    encode,
    gather,
    merged,
)
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.partials import Gathered, Partials, Window
from omnitide.telemetry.series.recent import Entry, NodeSeries, Recent
from omnitide.telemetry.series.rings import Ring
from omnitide.telemetry.series.selecting import BadQuery, Selection

_log = logs.get(__name__)

KEEP_HOURS: Final = 7 * 24
SOON_S: Final = 12
"""After the end of a minute until it is kept: a batch has ten seconds, and is under way for a moment. A process that is
killed loses no more than that, and the minute under way."""
LATE_S: Final = 75
"""The same until it is looked at again: a node that was cut off for a minute has sent what it kept by then."""
MOST_LATE: Final = 12
"""Minutes that are made up for, after a pause; memory has no older ones."""
NODES_AT_ONCE: Final = 50
"""That are copied before others get their turn in the event loop."""
MAX_BLOCKS: Final = 5_000
"""Node-hours that one question may read."""
PAUSE_S: Final = 0.02
"""Between two nodes whose hour is put together."""

_Copied = tuple[str, list[tuple[list[SeriesInfo], Plane, int]]]
"""A node, and of each ring its series, their samples of the minute, and how many seconds apart those are."""


class Rolled:
    """A SeriesTier."""

    def __init__(
        self,
        store: RollupStore,
        recent: Recent,
        now_s: Callable[[], int],
        node_id: Callable[[str], str | None],
    ) -> None:
        """`node_id`: of a node by its name."""
        self._store = store
        self._worker = Worker("rollups")
        self._recent = recent
        self._now_s = now_s
        self._node_id = node_id
        self._began = now_s() // MINUTE_S
        self._next = self._began - 1
        """The first minute that was not taken yet. What nodes send after a restart may be of the one before it."""
        self._settled = self._next
        """The first minute that may still get samples of nodes that were cut off."""
        self._taken: dict[int, dict[str, int]] = {}
        """Of minutes from that one on: how many samples of each node were kept."""
        self._before: dict[tuple[int, str], bytes | None] = {}
        """What the process before this one kept of a minute, by node, until that minute is settled."""
        self._hours_done = 0
        """All hours before this one were put together."""

    def taken_s(self) -> int:
        """Up to when minutes were taken from memory, by this process."""
        return self._next * MINUTE_S

    # -- writing -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self.keep_due()
            now = self._now_s()
            await asyncio.sleep(min(MINUTE_S - (now - lag) % MINUTE_S for lag in (SOON_S, LATE_S)))

    async def keep_due(self) -> None:
        """All that is to be on disk by now."""
        now = self._now_s()
        settled = (now - LATE_S) // MINUTE_S
        try:
            await self.take_until((now - SOON_S) // MINUTE_S)
            await self.settle_until(settled)
            await self._put_together(settled // HOUR)
        except LogUnavailable as error:
            _log.warning("samples by the minute could not be kept", error=str(error))

    async def take_until(self, minute: int) -> None:
        """Keep all minutes before this one. Raises LogUnavailable."""
        self._next = max(self._next, minute - MOST_LATE)
        while self._next < minute:
            taken, self._next = self._next, self._next + 1
            await self._take(taken)

    async def settle_until(self, minute: int) -> None:
        """Of minutes before this one, keep what has come since they were taken. Raises LogUnavailable."""
        minute = min(minute, self._next)
        self._settled = max(self._settled, minute - MOST_LATE)
        while self._settled < minute:
            settled, self._settled = self._settled, self._settled + 1
            await self._take(settled)
        self._taken = {number: nodes for number, nodes in self._taken.items() if number >= self._settled}
        if self._settled > self._began:
            self._before.clear()

    async def _take(self, minute: int) -> None:
        """What memory has of a minute, of nodes of which it has more than was kept."""
        kept = self._taken.setdefault(minute, {})
        copied: list[_Copied] = []
        numbers: dict[str, int] = {}
        for index, (node, known) in enumerate(list(self._recent.nodes())):
            parts, number = _copy(known, minute)
            if number > kept.get(node, 0):
                copied.append((node, parts))
                numbers[node] = number
            if index % NODES_AT_ONCE == NODES_AT_ONCE - 1:
                await asyncio.sleep(0)
        if copied:
            await self._worker.call(partial(self._keep, minute, copied))
            kept.update(numbers)

    def _keep(self, minute: int, copied: Sequence[_Copied]) -> None:
        values: dict[str, bytes] = {}
        for node, parts in copied:
            blocks = [_minute_block(minute, series, samples, step) for series, samples, step in parts]
            before = self._kept_before(minute, node)
            if before is not None:
                blocks = [*_readable([before]), *blocks]
            values[node] = encode(blocks[0] if len(blocks) == 1 else merged(blocks, minute, 1))
        self._store.put_minutes(minute, values)

    def _kept_before(self, minute: int, node: str) -> bytes | None:
        """Read before this process puts its own in that place."""
        if minute > self._began:
            return None
        if (minute, node) not in self._before:
            self._before[minute, node] = self._store.minute(minute, node)
        return self._before[minute, node]

    async def _put_together(self, hour: int) -> None:
        """Hours before this one become one value each, and what is too old goes. Raises LogUnavailable."""
        if hour <= self._hours_done:
            return
        for slot in await self._worker.call(lambda: self._store.open_hours(hour)):
            await self._worker.call(partial(self._put_hour, slot))
            await asyncio.sleep(PAUSE_S)
        await self._worker.call(lambda: self._store.drop_before(hour - KEEP_HOURS))
        self._hours_done = hour

    def _put_hour(self, slot: Slot) -> None:
        blocks = [*_readable(self._store.hours([slot.number], slot.node)), *_readable(self._minutes(slot))]
        self._store.put_hour(slot.number, slot.node, encode(merged(blocks, slot.number * HOUR, HOUR)))

    def _minutes(self, slot: Slot) -> list[bytes]:
        return self._store.minutes_of(slot.number, slot.node)

    async def close(self) -> None:
        """Keep what there is, the present minute included as far as it has come."""
        try:
            await self.take_until(self._now_s() // MINUTE_S + 1)
            await self.settle_until(self._next)
        except LogUnavailable as error:
            _log.warning("the last minutes of samples could not be kept", error=str(error))
        await self._worker.stop()
        self._store.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    async def read(self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float) -> Partials:
        """Raises BadQuery."""
        if quantile > 0:
            raise BadQuery("a quantile needs samples as they came; these are kept by the minute", "aggregate")
        name = selection.exactly("node")
        node = self._node_id(name) if name else None
        try:
            return await self._worker.call(lambda: self._read(selection, start_s, end_s, window, node))
        except LogUnavailable as error:
            raise BadQuery(f"what is older than some minutes cannot be had now: {error}") from error

    def _read(self, selection: Selection, start_s: int, end_s: int, window: Window, node: str | None) -> Partials:
        first, end = start_s // MINUTE_S // HOUR, -(-end_s // MINUTE_S // HOUR)
        first = max(first, self._now_s() // MINUTE_S // HOUR - KEEP_HOURS)
        end = max(first, end)
        if node is not None:
            slots = [Slot(hour, node) for hour in range(first, end)]
        else:
            known = self._store.nodes(first, end, MAX_BLOCKS)
            if known is None:
                raise BadQuery(f"more than {MAX_BLOCKS} hours of nodes: ask for less time, or name a node with node=")
            slots = known
        by_node: dict[str, list[int]] = {}
        for slot in slots:
            by_node.setdefault(slot.node, []).append(slot.number)
        gathered = Gathered(window)
        for one, hours in by_node.items():
            # In order of time, as the last sample of a step is that of the last piece.
            for block in _readable(self._store.hours(sorted(hours), one)):
                gather(block, selection, start_s, end_s, window, gathered)
            for hour in sorted(hour for hour in hours if hour >= self._hours_done):
                for block in _readable(self._minutes(Slot(hour, one))):
                    gather(block, selection, start_s, end_s, window, gathered)
        return gathered.partials()


def _copy(known: NodeSeries, minute: int) -> tuple[list[tuple[list[SeriesInfo], Plane, int]], int]:
    """The samples of a minute, and how many there are."""
    by_ring: dict[Ring, list[Entry]] = {}
    for entry in known.entries.values():
        by_ring.setdefault(entry.ring, []).append(entry)
    parts: list[tuple[list[SeriesInfo], Plane, int]] = []
    number = 0
    for ring, entries in by_ring.items():
        first = -(-minute * MINUTE_S // ring.step_s)
        count = -(-(minute + 1) * MINUTE_S // ring.step_s) - first
        if count > 0:
            samples = ring.read(np.array([entry.row for entry in entries], np.intp), first, count)
            there = ~np.isnan(samples)
            some: list[int] = np.flatnonzero(there.any(axis=1)).tolist()
            if some:
                parts.append(([entries[row].info for row in some], samples[some], count))
                number += int(np.count_nonzero(there))
    return parts, number


def _minute_block(minute: int, series: list[SeriesInfo], samples: Plane, count: int) -> Block:
    return block_of(minute, series, samples, [0] * count, 1)


def _readable(values: Sequence[bytes]) -> list[Block]:
    found: list[Block] = []
    for value in values:
        try:
            found.append(decode(value))
        except BlockDamaged as error:
            _log.warning("some minutes of samples are lost", error=str(error))
    return found
