"""The last quarter of an hour of every node, in memory: which series there are, and where in which ring each lies."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.partials import (
    AT_ONCE,
    MAX_CELLS,
    Partials,
    Window,
    extents,
    reduce,
    require_room,
)
from omnitide.telemetry.series.rings import NEVER, Ring
from omnitide.telemetry.series.selecting import BadQuery, Selection

SPAN_S: Final = 900
MAX_SERIES_OF_NODE: Final = 20_000
SCRAPED_SHARE: Final = 0.7
INSTANCE_SHARE: Final = 0.9
"""Of the memory: when so much is used, no more series of this sort are taken, so that those of nodes find room."""
MAX_MATCHED: Final = 50_000
INSTANCE_CPU: Final = "omnitide_instance_cpu_seconds_total"
INSTANCE_MEMORY: Final = "omnitide_instance_memory_working_set_bytes"
NODE_CPU: Final = "omnitide_node_cpu_used_seconds_total"
NODE_MEMORY: Final = "omnitide_node_memory_used_bytes"
STEPS_S: Final = (1, 5, 10, 15, 30, 60, 120, 300)
"""Steps for which there are rings; a series with another one lies in the ring of the next shorter one."""


@dataclass(slots=True, eq=False)
class Entry:
    """A series of a node."""

    info: SeriesInfo
    ring: Ring
    row: int
    """Below 0: it was forgotten, and its row may be another's."""
    step_s: int
    idle: bool = False
    """The sweep before this one has found no sample of it."""


@dataclass(slots=True, eq=False)
class NodeSeries:
    """All series of a node."""

    entries: dict[SeriesInfo, Entry] = field(default_factory=dict[SeriesInfo, Entry])
    rings: dict[int, Ring] = field(default_factory=dict[int, Ring])


class Recent:
    """A SeriesTier. `memory`: bound of all rings together, in bytes."""

    def __init__(self, memory: int, span_s: int = SPAN_S) -> None:
        self.memory = memory
        self.span_s = span_s
        self._nodes: dict[str, NodeSeries] = {}
        self._by_name: dict[str, dict[str, dict[SeriesInfo, Entry]]] = {}
        """Name -> node -> its series of that name."""
        self._of_instance: dict[str, dict[str, Entry]] = {INSTANCE_CPU: {}, INSTANCE_MEMORY: {}}
        """The same of an instance by its id, for names that are asked for row by row."""
        self._bytes = 0
        self._series = 0
        self.refused = 0
        """Series that found no room, since the start."""
        self.removals = 0
        """Rises when rows are given back: whoever keeps places of series has to look again."""

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def series(self) -> int:
        return self._series

    def node(self, node: str) -> NodeSeries | None:
        return self._nodes.get(node)

    def nodes(self) -> Iterator[tuple[str, NodeSeries]]:
        return iter(self._nodes.items())

    def by_name(self, prefix: str = "") -> dict[str, list[SeriesInfo]]:
        return {
            name: [info for entries in nodes.values() for info in entries]
            for name, nodes in sorted(self._by_name.items())
            if name.startswith(prefix)
        }

    def of_name(self, name: str) -> Iterator[Entry]:
        for entries in self._by_name.get(name, {}).values():
            yield from entries.values()

    def of_instance(self, name: str, instance: str) -> Entry | None:
        """`name`: INSTANCE_CPU or INSTANCE_MEMORY."""
        return self._of_instance[name].get(instance)

    def of_node(self, name: str, node: str) -> Entry | None:
        """`name`: of which a node has one series, such as NODE_CPU."""
        return next(iter(self._by_name.get(name, {}).get(node, {}).values()), None)

    def entry(self, node: str, info: SeriesInfo, step_s: int, share: float = 1.0) -> Entry | None:
        """The place of a series, made if there is none. None where there is no room for one more: `share` of the
        memory is used, or the node has as many as it may."""
        known = self._nodes.get(node)
        entry = known.entries.get(info) if known is not None else None
        if entry is not None:
            return entry
        if known is None:
            known = self._nodes[node] = NodeSeries()
        step = max((one for one in STEPS_S if one <= step_s), default=1)
        ring = known.rings.get(step) or Ring(step, self.span_s)
        more = ring.bytes_for_row()
        if len(known.entries) >= MAX_SERIES_OF_NODE or self._bytes + more > share * self.memory:
            self.refused += 1
            return None
        known.rings[step] = ring
        self._bytes += more
        self._series += 1
        entry = known.entries[info] = Entry(info, ring, ring.allocate(), step_s)
        self._by_name.setdefault(info.name, {}).setdefault(node, {})[info] = entry
        if info.name in self._of_instance:
            self._of_instance[info.name][info.label("instance_id")] = entry
        return entry

    def sweep(self, now_s: int) -> int:
        """Forget series of which the last sample is too old to be shown. Returns how many."""
        gone = 0
        for node, known in list(self._nodes.items()):
            old = [entry for entry in known.entries.values() if self._is_old(entry, now_s)]
            for entry in old:
                self._remove(node, known, entry)
            gone += len(old)
            if not known.entries:
                self._bytes -= sum(ring.bytes for ring in known.rings.values())
                del self._nodes[node]
        return gone

    def _is_old(self, entry: Entry, now_s: int) -> bool:
        last = entry.ring.last_slot(entry.row)
        if last != NEVER:
            return (last + 1) * entry.ring.step_s < now_s - self.span_s
        idle, entry.idle = entry.idle, True
        return idle

    def forget(self, node: str) -> None:
        """A node that is not of the fabric any more."""
        known = self._nodes.pop(node, None)
        if known is not None:
            for entry in list(known.entries.values()):
                self._remove(node, known, entry)
            self._bytes -= sum(ring.bytes for ring in known.rings.values())

    def _remove(self, node: str, known: NodeSeries, entry: Entry) -> None:
        del known.entries[entry.info]
        of_instance = self._of_instance.get(entry.info.name)
        if of_instance is not None and of_instance.get(entry.info.label("instance_id")) is entry:
            del of_instance[entry.info.label("instance_id")]
        entry.ring.free(entry.row)
        entry.row = -1
        self.removals += 1
        self._series -= 1
        named = self._by_name[entry.info.name]
        del named[node][entry.info]
        if not named[node]:
            del named[node]
        if not named:
            del self._by_name[entry.info.name]

    # -- SeriesTier --------------------------------------------------------------------------------------------------

    async def read(self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float) -> Partials:
        groups = self._matching(selection)
        cells = sum(len(entries) * max(0, end_s - start_s) // ring.step_s for ring, entries in groups)
        if cells > MAX_CELLS:
            raise BadQuery(f"{cells} samples would have to be looked at; ask for less time or fewer series")
        rows = sum(len(entries) for _, entries in groups)
        require_room(rows, window)
        found = Partials.empty(window, rows)
        if quantile > 0:
            found.quantile = np.full((rows, window.count), np.nan)
        at = 0
        by_step: dict[int, list[tuple[Ring, list[Entry]]]] = {}
        for ring, entries in groups:
            by_step.setdefault(ring.step_s, []).append((ring, entries))
        for step, same in by_step.items():
            first = -(-start_s // step)
            count = -(-end_s // step) - first
            if count <= 0:
                continue
            # Of all nodes in one array: what is done for each node alone is only the copy.
            samples = np.concatenate(
                [ring.read(np.array([entry.row for entry in entries], np.intp), first, count) for ring, entries in same]
            )
            offsets = ((np.arange(first, first + count) * step) - window.start_s) // window.step_s
            steps: list[int] = offsets.tolist()
            if samples.size > AT_ONCE:
                parts = await asyncio.to_thread(reduce, samples, steps, window.count, quantile)
                oldest, newest = await asyncio.to_thread(extents, samples, steps, window.count)
            else:
                parts = reduce(samples, steps, window.count, quantile)
                oldest, newest = extents(samples, steps, window.count)
            span = slice(at, at + len(samples))
            found.least[span], found.most[span], found.total[span], found.number[span], found.last[span] = parts[:5]
            found.begin[span] = (first + oldest) * step
            found.end[span] = np.minimum((first + newest + 1) * step, window.starts() + window.step_s)
            if found.quantile is not None:
                found.quantile[span] = parts[5]
            found.series += [entry.info for _, entries in same for entry in entries]
            at += len(samples)
        return found if at == rows else found.cut(at)

    def _matching(self, selection: Selection) -> list[tuple[Ring, list[Entry]]]:
        groups: dict[Ring, list[Entry]] = {}
        matched = 0
        for entry in self.of_name(selection.name):
            if selection.matchers and not selection.matches(entry.info):
                continue
            groups.setdefault(entry.ring, []).append(entry)
            matched += 1
            if matched > MAX_MATCHED:
                raise BadQuery(f"more than {MAX_MATCHED} series are meant: add conditions", "match")
        return list(groups.items())

    def latest(self, name: str, within_s: int) -> Iterable[tuple[str, Entry, float]]:
        """The newest value of each series of a name, with its node; NaN for one that has none within so many seconds
        before its node's newest."""
        for node, entries in self._by_name.get(name, {}).items():
            for entry in entries.values():
                yield node, entry, entry.ring.newest(entry.row, max(1, within_s // entry.ring.step_s))
