"""Samples as batches of one stream: series declared once by a small number, values as differences along time."""

from collections.abc import Iterable, Sequence
from typing import Final

from omnitide.node.metrics.buffer import Scraped, Tick
from omnitide.telemetry.series.definition import Series
from omnitide.wire import node_pb2 as pb

_KINDS: Final = {"gauge": pb.SERIES_KIND_GAUGE, "counter": pb.SERIES_KIND_COUNTER}
FORGET_AFTER: Final = 6
"""Batches without a sample after which a series is ended."""


class Encoder:
    """Of one stream."""

    def __init__(self) -> None:
        self._ids: dict[Series, int] = {}
        self._next = 1
        self._told: set[str] = set()
        """Names of which unit and help were told."""
        self._rows: tuple[Series, ...] = ()
        self._sources: dict[str, tuple[int, tuple[Series, ...]]] = {}
        self._seen: dict[Series, int] = {}
        """Number of the batch with the last sample of each."""
        self._batch = 0
        self._next_source = 1

    def batch(self, ticks: Sequence[Tick], scrapes: Iterable[Scraped], now_tick: int, age_ms: int) -> pb.SampleBatch:
        """`ticks`: one at least, rising. `age_ms`: of `now_tick`, at which the last of them may well lie before."""
        batch = pb.SampleBatch(first_tick=ticks[0].number, ticks=ticks[-1].number - ticks[0].number + 1)
        batch.age_ms = (now_tick - ticks[-1].number) * 1000 + age_ms
        self._batch += 1
        self._values(batch, ticks)
        for scrape in scrapes:
            self._scrape(batch, scrape)
        old = [series for series, number in self._seen.items() if number + self._life(series) < self._batch]
        for series in old:
            del self._seen[series]
            batch.end.append(self._ids.pop(series))
        if old:
            gone = set(old)
            if not gone.isdisjoint(self._rows):
                self._rows = ()
            self._sources = {one: kept for one, kept in self._sources.items() if gone.isdisjoint(kept[1])}
        return batch

    def _life(self, series: Series) -> int:
        # Batches come each second at most.
        return FORGET_AFTER * max(1, series.step_ms // 1000)

    def _values(self, batch: pb.SampleBatch, ticks: Sequence[Tick]) -> None:
        rows = tuple({series: None for tick in ticks for series in tick.values})
        ids = [self._id(batch, series) for series in rows]
        if rows != self._rows:
            self._rows = rows
            batch.rows.extend(ids)
        by_number = {tick.number: tick.values for tick in ticks}
        columns = [by_number.get(number, {}) for number in range(ticks[0].number, ticks[-1].number + 1)]
        deltas: list[int] = []
        holes: list[int] = []
        for series in rows:
            last = 0
            for column in columns:
                value = column.get(series)
                if value is None:
                    holes.append(len(deltas))
                    value = last
                deltas.append(value - last)
                last = value
        batch.deltas.extend(deltas)
        if holes:
            bits = bytearray(-(-len(deltas) // 8))
            for hole in holes:
                bits[hole >> 3] |= 1 << (hole & 7)
            batch.gaps = bytes(bits)

    def _scrape(self, batch: pb.SampleBatch, scraped: Scraped) -> None:
        rows = tuple(scraped.values)
        source, before = self._sources.get(scraped.source, (0, ()))
        if not source:
            source = self._next_source
            self._next_source += 1
        scrape = batch.scrapes.add(tick=scraped.tick, values=scraped.values.values(), source=source)
        ids = [self._id(batch, series) for series in rows]
        if rows != before:
            self._sources[scraped.source] = (source, rows)
            scrape.rows.extend(ids)

    def _id(self, batch: pb.SampleBatch, series: Series) -> int:
        self._seen[series] = self._batch
        number = self._ids.get(series)
        if number is None:
            number = self._ids[series] = self._next
            self._next += 1
            fresh = series.name not in self._told
            self._told.add(series.name)
            batch.declare.add(
                id=number,
                name=series.name,
                labels=[text for pair in series.labels for text in pair],
                kind=_KINDS[series.kind],
                unit=series.unit if fresh else "",
                help=series.help if fresh else "",
                exponent=series.exponent,
                step_ms=0 if series.step_ms == 1000 else series.step_ms,
                scraped=series.scraped,
            )
        return number
