"""What instances and nodes use, for rows of tables: each is of one, or of some instances added up, over two minutes.

Rows are asked for by whoever has them in sight, again and again, and by many at a time: a row is made once for each
step of time, and given to all who ask for it meanwhile.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from omnitide.telemetry.series.partials import AT_ONCE, Cells
from omnitide.telemetry.series.recent import INSTANCE_CPU, INSTANCE_MEMORY, NODE_CPU, NODE_MEMORY, Entry, Recent
from omnitide.telemetry.series.rings import FloatRows, Ring

STEP_S: Final = 5
STEPS: Final = 24
SETTLED_S: Final = 11
"""A node of which nobody asks sends each 10 s: a sum of several is not made of what not all have sent."""
MAX_ADDED: Final = 500
"""Instances that are added up in one row."""
_OF_NODE: Final = {INSTANCE_CPU: NODE_CPU, INSTANCE_MEMORY: NODE_MEMORY}
AT_A_TIME: Final = 64
"""Rings that are read before others have their turn."""


@dataclass(frozen=True, slots=True)
class Row:
    """A value for each step; None where nothing is known."""

    cpu_milli: tuple[int | None, ...]
    memory_bytes: tuple[int | None, ...]
    instances: int
    """That have sent samples in the last step of which something is known."""


@dataclass(frozen=True, slots=True)
class Rows:
    start_s: int
    rows: dict[str, Row]
    """By what was asked for; without those of which nothing is known."""


class RowMaker:
    def __init__(self, recent: Recent, now_s: Callable[[], int]) -> None:
        self._recent = recent
        self._now_s = now_s
        self._start_s = 0
        self._made: dict[str, Row | None] = {}
        """Of the steps from `_start_s` on; there are as many as were asked for in five seconds."""

    async def rows(self, asked: Sequence[str], members: Callable[[str], Sequence[str]]) -> Rows:
        """`members`: ids of the instances that a row is of, MAX_ADDED at most; or that of a node."""
        start_s = (self._now_s() // STEP_S + 1 - STEPS) * STEP_S
        if start_s != self._start_s:
            self._start_s, self._made = start_s, {}
        made = self._made
        # Of what there is not, nothing is kept: whoever asks for it could ask for anything.
        missing = {one: of[:MAX_ADDED] for one in asked if one not in made and (of := members(one))}
        if missing:
            made.update(await self._make(start_s, missing))
        return Rows(start_s, {one: row for one in asked if (row := made.get(one)) is not None})

    async def _make(self, start_s: int, groups: dict[str, Sequence[str]]) -> dict[str, Row | None]:
        cpu = await self._sums(INSTANCE_CPU, start_s, groups)
        memory = await self._sums(INSTANCE_MEMORY, start_s, groups)
        made: dict[str, Row | None] = {}
        for one in groups:
            values, known = cpu[one]
            bytes_, also = memory[one]
            last = np.flatnonzero(known) if known.any() else np.flatnonzero(also)
            if len(last):
                made[one] = Row(_whole(values * 1000), _whole(bytes_), int(max(known[last[-1]], also[last[-1]])))
            else:
                made[one] = None
        return made

    async def _sums(self, name: str, start_s: int, groups: dict[str, Sequence[str]]) -> dict[str, tuple[Cells, Cells]]:
        """Of each group: what its instances use together in each step, and of how many that is known."""
        found = {
            one: [entry for member in members if (entry := self._entry(name, member)) is not None]
            for one, members in groups.items()
        }
        means = await self._means([entry for entries in found.values() for entry in entries], start_s)
        there = ~np.isnan(means)
        settled = np.arange(STEPS) * STEP_S + start_s + STEP_S <= self._now_s() - SETTLED_S
        sums: dict[str, tuple[Cells, Cells]] = {}
        at = 0
        for one, entries in found.items():
            span = slice(at, at + len(entries))
            at += len(entries)
            known = there[span].sum(axis=0).astype(np.float64)
            if len(groups[one]) > 1:
                known[~settled] = 0
            total = np.where(there[span], means[span], 0.0).sum(axis=0)
            sums[one] = np.where(known > 0, total, np.nan), known
        return sums

    def _entry(self, name: str, member: str) -> Entry | None:
        """Of an instance, or of what is none: then of a node."""
        return self._recent.of_instance(name, member) or self._recent.of_node(_OF_NODE[name], member)

    async def _means(self, entries: Sequence[Entry], start_s: int) -> Cells:
        """A row for each, in their order."""
        means = np.full((len(entries), STEPS), np.nan)
        rings: dict[Ring, list[int]] = {}
        for place, entry in enumerate(entries):
            rings.setdefault(entry.ring, []).append(place)
        by_step: dict[int, tuple[list[int], list[FloatRows]]] = {}
        for number, (ring, places) in enumerate(rings.items(), start=1):
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
            # What was forgotten meanwhile has no row any more.
            there = [place for place in places if entries[place].row >= 0]
            first, count = _slots(ring.step_s, start_s)
            rows = np.array([entries[place].row for place in there], np.intp)
            all_places, samples = by_step.setdefault(ring.step_s, ([], []))
            all_places.extend(there)
            samples.append(ring.read(rows, first, count))
        for step_s, (all_places, samples) in by_step.items():
            read = np.concatenate(samples)
            if read.size > AT_ONCE:
                means[all_places] = await asyncio.to_thread(_meaned, read, step_s, start_s)
            else:
                means[all_places] = _meaned(read, step_s, start_s)
        return means


def _slots(step_s: int, start_s: int) -> tuple[int, int]:
    """Of a ring of this step: the first slot of the rows' time, and how many there are."""
    first = -(-start_s // step_s)
    return first, -(-(start_s + STEPS * STEP_S) // step_s) - first


def _meaned(samples: FloatRows, step_s: int, start_s: int) -> Cells:
    """The mean of each step; NaN where there is none."""
    first, count = _slots(step_s, start_s)
    steps = (np.arange(first, first + count) * step_s - start_s) // STEP_S
    starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    there = ~np.isnan(samples)
    total = np.add.reduceat(np.where(there, samples, np.float32(0)), starts, axis=1, dtype=np.float64)
    number = np.add.reduceat(there, starts, axis=1, dtype=np.int64)
    means = np.full((len(samples), STEPS), np.nan)
    means[:, steps[starts]] = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return means


def _whole(values: Cells) -> tuple[int | None, ...]:
    return tuple(round(value) if value == value else None for value in values.tolist())
