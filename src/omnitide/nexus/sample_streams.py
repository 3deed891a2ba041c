"""The samples of one node: what it declares, and its batches as rows of the rings. No I/O.

A node's clock is not asked: a batch says how old it is, and the time is Nexus's own. Whatever a node sends, the most
that it can do is to lose its own samples.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from omnitide.nexus.manners import ProtocolFault
from omnitide.telemetry.series.definition import OWN_PREFIX, EndpointTrouble, Labels, SeriesInfo, fault_of
from omnitide.telemetry.series.recent import INSTANCE_SHARE, MAX_SERIES_OF_NODE, SCRAPED_SHARE, Entry, Recent
from omnitide.telemetry.series.rings import Ring
from omnitide.wire import node_pb2 as pb

MAX_TICKS: Final = 64
MAX_VALUES: Final = 200_000
"""In a batch."""
MAX_AGE_MS: Final = 120_000
MAX_EXPONENT: Final = 12
MAX_STEP_MS: Final = 300_000
MAX_SOURCES: Final = 2_000
MAX_IDS: Final = 2 * MAX_SERIES_OF_NODE
"""That a stream has declared and not ended."""
SLACK_MS: Final = 1_000
"""A tick may seem to lie so far outside of its second before the seconds are counted anew: messages take their time."""
RESERVED: Final = frozenset({"node", "namespace", "agent", "job", "instance", "instance_id"})
"""Labels that Nexus gives; a node says only the id of an instance."""

MAX_REASON: Final = 300
NOT_HERE: Final = "ended"
NO_ROOM: Final = "no room"
TOO_OLD: Final = "too old"
REFUSED: Final = "refused"
DROPPED: Final = (NOT_HERE, NO_ROOM, TOO_OLD, REFUSED)
"""Why samples or series are not taken: they are of an instance that is over by now, as those that its node sends last
always may be; memory is full; they came too late to be told when they were taken; the node sent what is no batch."""

LabelsOf = Callable[[str], Labels | None]
"""Labels of an instance on this node by its id, in order; of the node itself for an empty one. None: it has no such."""


class _Known(NamedTuple):
    entry: Entry | None
    """None: there was no room, or it is of an instance that is not here."""
    scale: float
    counter: bool
    share: float
    """Of the memory, up to which there is room for it."""


class _Rows(NamedTuple):
    """The series that a message is of, and where they go."""

    ids: tuple[int, ...]
    plans: "tuple[_Plan, ...]"


class _Plan(NamedTuple):
    """Where the rows of a batch go, in one ring: made once for as long as the rows stay the same."""

    ring: Ring
    at: npt.NDArray[np.intp]
    """Which rows of the message."""
    rows: npt.NDArray[np.intp]
    """Of the ring."""
    scale: npt.NDArray[np.float64]
    counters: npt.NDArray[np.bool_]
    whole: bool
    """Every row of the message, in order."""


class SampleStream:
    """One stream, from its first batch on."""

    def __init__(self, node: str, recent: Recent, labels_of: LabelsOf) -> None:
        self.node = node
        self._recent = recent
        self._labels_of = labels_of
        self._known: dict[int, _Known] = {}
        self._highest = 0
        self._helps: dict[str, tuple[str, str]] = {}
        """Unit and help by name, as first declared."""
        self._rows = _Rows((), ())
        """Of the batch before."""
        self._sources: dict[int, _Rows] = {}
        """Of the scrape before, by source."""
        self._removals = recent.removals
        self._offset: int | None = None
        """What is added to a tick to get the second since 1970."""
        self.samples = 0
        self.dropped: Counter[str] = Counter()
        """Samples or series that were not taken, by why."""
        self.node_dropped = 0
        """Samples that the node says to have lost."""
        self.troubles: dict[str, EndpointTrouble] = {}
        """By the id of the instance: what its node says of its own endpoint."""

    def take(self, batch: pb.SampleBatch, now_ms: int) -> None:
        """Raises ProtocolFault for what is no batch."""
        self._end(batch.end)
        for declared in batch.declare:
            self._declare(declared)
        self.node_dropped = batch.dropped
        self.troubles = {
            instance: EndpointTrouble(told.left_out, told.fault[:MAX_REASON])
            for instance, told in batch.endpoints.items()
            if self._labels_of(instance) is not None
        }
        count, ticks = len(batch.deltas), batch.ticks
        if not count and not batch.scrapes and not batch.rows:
            return
        if ticks > MAX_TICKS or count > MAX_VALUES:
            raise ProtocolFault(
                f"{count} values of {ticks} seconds in a batch; {MAX_VALUES} of {MAX_TICKS} are the most"
            )
        if self._removals != self._recent.removals:
            self._find_again()
        if batch.rows:
            self._rows = self._plan(batch.rows, whole_seconds=True)
        if batch.age_ms > MAX_AGE_MS:
            self.dropped[TOO_OLD] += count
            return
        last = batch.first_tick + max(1, ticks) - 1
        offset = self._second_of(last, now_ms - batch.age_ms)
        if count:
            self._take_values(batch, count, ticks, offset + batch.first_tick)
        for scrape in batch.scrapes:
            self._take_scrape(scrape, offset, last)

    def _second_of(self, tick: int, at_ms: int) -> int:
        """The offset for a tick that was at that time. It stays as it is while that makes sense, so that no second is
        there twice or never."""
        if self._offset is not None:
            start_ms = (self._offset + tick) * 1000
            if start_ms - SLACK_MS <= at_ms < start_ms + 1000 + SLACK_MS:
                return self._offset
        self._offset = at_ms // 1000 - tick
        return self._offset

    def _take_values(self, batch: pb.SampleBatch, count: int, ticks: int, first: int) -> None:
        if not ticks or count != len(self._rows.ids) * ticks:
            raise ProtocolFault(f"{count} values for {len(self._rows.ids)} rows of {ticks} seconds")
        values = np.fromiter(batch.deltas, np.int64, count).reshape(-1, ticks).cumsum(axis=1)
        gaps: npt.NDArray[np.bool_] | None = None
        if batch.gaps:
            bits = np.frombuffer(batch.gaps, np.uint8)
            if len(bits) != -(-count // 8):
                raise ProtocolFault(f"{len(bits)} bytes of gaps for {count} values")
            gaps = np.unpackbits(bits, count=count, bitorder="little").astype(np.bool_).reshape(-1, ticks)
        self._write(self._rows.plans, values, gaps, first)

    def _take_scrape(self, scrape: pb.Scrape, offset: int, last: int) -> None:
        number = len(scrape.values)
        if number > MAX_VALUES:
            raise ProtocolFault(f"{number} values in a scrape; {MAX_VALUES} are the most")
        if not last - MAX_AGE_MS // 1000 <= scrape.tick <= last:
            self.dropped[TOO_OLD] += number
            return
        if scrape.rows:
            if scrape.source not in self._sources and len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            self._sources[scrape.source] = self._plan(scrape.rows, whole_seconds=False)
        rows = self._sources.get(scrape.source, _Rows((), ()))
        if len(rows.ids) != number:
            raise ProtocolFault(f"{number} values for {len(rows.ids)} rows of a scrape")
        values = np.fromiter(scrape.values, np.float64, number)[:, None]
        self._write(rows.plans, values, np.isnan(values), offset + scrape.tick)

    def _write(
        self,
        plans: Sequence[_Plan],
        values: npt.NDArray[np.int64] | npt.NDArray[np.float64],
        gaps: npt.NDArray[np.bool_] | None,
        first_s: int,
    ) -> None:
        for plan in plans:
            part = values if plan.whole else values[plan.at]
            holes = gaps if gaps is None or plan.whole else gaps[plan.at]
            with np.errstate(over="ignore"):
                wide = part * plan.scale
            plan.ring.write(plan.rows, first_s // plan.ring.step_s, wide, plan.counters, holes)
            self.samples += part.size if holes is None else int(part.size - holes.sum())

    def _plan(self, ids: Sequence[int], *, whole_seconds: bool) -> _Rows:
        if len(ids) > MAX_SERIES_OF_NODE or len(set(ids)) != len(ids):
            raise ProtocolFault(f"{len(ids)} rows; {MAX_SERIES_OF_NODE} different ones are the most")
        at: dict[Ring, list[int]] = {}
        for index, number in enumerate(ids):
            known = self._known.get(number)
            if known is None:
                raise ProtocolFault(f"samples of series {number}, which is not declared")
            if known.entry is None:
                continue
            if whole_seconds and known.entry.ring.step_s != 1:
                raise ProtocolFault(f"series {number} is not sampled each second")
            at.setdefault(known.entry.ring, []).append(index)
        return _Rows(tuple(ids), tuple(self._part(ring, ids, chosen) for ring, chosen in at.items()))

    def _find_again(self) -> None:
        """Rows were given back since: those of this stream too, where it has sent nothing of a series for long."""
        self._removals = self._recent.removals
        for number, known in self._known.items():
            if known.entry is not None and known.entry.row < 0:
                lost = known.entry
                entry = self._recent.entry(self.node, lost.info, lost.step_s, known.share)
                self._known[number] = known._replace(entry=entry)
        # Series that were ended meanwhile are of no message to come.
        self._rows = self._again(self._rows)
        self._sources = {source: self._again(rows) for source, rows in self._sources.items()}

    def _again(self, rows: _Rows) -> _Rows:
        if not all(number in self._known for number in rows.ids):
            return _Rows((), ())
        return self._plan(rows.ids, whole_seconds=False)

    def _part(self, ring: Ring, ids: Sequence[int], chosen: list[int]) -> _Plan:
        known = [self._known[ids[index]] for index in chosen]
        return _Plan(
            ring=ring,
            at=np.array(chosen, np.intp),
            rows=np.array([one.entry.row for one in known if one.entry is not None], np.intp),
            scale=np.array([[one.scale] for one in known]),
            counters=np.array([one.counter for one in known], np.bool_),
            whole=len(chosen) == len(ids),
        )

    # -- declarations ------------------------------------------------------------------------------------------------

    def _end(self, ids: Sequence[int]) -> None:
        for number in ids:
            self._known.pop(number, None)

    def _declare(self, declared: pb.SeriesDeclaration) -> None:
        if declared.id <= self._highest:
            raise ProtocolFault(f"series {declared.id} after {self._highest}: ids only rise")
        if len(self._known) >= MAX_IDS:
            raise ProtocolFault(f"{MAX_IDS} series are declared already")
        self._highest = declared.id
        counter = declared.kind == pb.SERIES_KIND_COUNTER
        pairs = list(declared.labels)
        if len(pairs) % 2 or abs(declared.exponent) > MAX_EXPONENT or declared.step_ms > MAX_STEP_MS:
            raise ProtocolFault(f"a declaration that cannot be, of {declared.name[:100]!r}")
        labels = tuple(zip(pairs[::2], pairs[1::2], strict=True))
        unit, text = self._helps.setdefault(declared.name, (declared.unit, declared.help))
        fault = fault_of(declared.name, labels, unit, text)
        if fault or declared.scraped == declared.name.startswith(OWN_PREFIX):
            raise ProtocolFault(fault or f"{declared.name[:100]} is no name for this sort of series")
        entry, share = None, 1.0
        own = self._whose(labels)
        if own is None:
            reserved = any(key in RESERVED and key != "instance" for key, _ in labels)
            self.dropped[REFUSED if reserved else NOT_HERE] += 1
        else:
            info = SeriesInfo(declared.name, own, "counter" if counter else "gauge", unit, text)
            if declared.scraped:
                share = SCRAPED_SHARE
            elif info.label("instance_id"):
                share = INSTANCE_SHARE
            entry = self._recent.entry(self.node, info, max(1, declared.step_ms // 1000), share)
            if entry is None:
                self.dropped[NO_ROOM] += 1
        self._known[declared.id] = _Known(entry, 10.0**declared.exponent, counter, share)

    def _whose(self, labels: Labels) -> Labels | None:
        """With what Nexus knows of the instance and node. None: of no instance that is here."""
        instance, rest = "", list[tuple[str, str]]()
        for key, value in labels:
            if key == "instance":
                instance = value
            elif key in RESERVED:
                return None
            else:
                rest.append((key, value))
        known = self._labels_of(instance)
        return None if known is None else tuple(sorted((*known, *rest)))
