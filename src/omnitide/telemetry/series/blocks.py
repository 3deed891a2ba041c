"""Samples by the minute: blocks of the series of one node over some minutes, as they lie on disk.

A series has for each minute the least, the mean, the greatest and the last of its samples, how many there were, and
from which second to which: 20 bytes before they are compressed. The series of a block are in front of it: nothing else
is needed to read it.
"""

import functools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from omnitide.telemetry.series.definition import Kind, SeriesInfo
from omnitide.telemetry.series.partials import Cells, Gathered, Partials, Window, extents, last_of, reduce
from omnitide.telemetry.series.selecting import Selection

MINUTE_S: Final = 60
HOUR: Final = 60
"""Minutes of a large block."""
LEVEL: Final = 1
"""Of zlib: these are small, and time is dearer than room."""
MAX_NUMBER: Final = 65535

Plane = npt.NDArray[np.float32]
Seconds = npt.NDArray[np.uint8]


class BlockDamaged(ValueError):
    """Bytes that are no block."""


class _Told(msgspec.Struct, array_like=True):
    """A series as a block has it."""

    name: str
    labels: list[tuple[str, str]]
    kind: Kind
    unit: str
    help: str


class _Head(msgspec.Struct, array_like=True):
    first: int
    """Minute since 1970."""
    minutes: int
    series: bytes
    planes: bytes
    spans: bytes = b""
    """Of blocks of before it was kept, empty; behind all else, so that who knows nothing of it reads the rest."""


_HEAD: Final = msgspec.msgpack.Decoder(_Head)
_SERIES: Final = msgspec.msgpack.Decoder(list[_Told])


@dataclass(slots=True)
class Block:
    """Rows are series, columns minutes from `first` on."""

    first: int
    series: Sequence[SeriesInfo]
    least: Plane
    mean: Plane
    most: Plane
    last: Plane
    number: npt.NDArray[np.uint16]
    spans: Seconds | None = None
    """Of each cell the first second that has a sample, and the one behind the last; first all of the former, then all
    of the latter. None: not known."""

    def begins_ends(self) -> Seconds:
        """What is not known to be less, is the whole minute."""
        if self.spans is not None:
            return self.spans
        return np.stack((np.zeros_like(self.number, np.uint8), np.where(self.number > 0, MINUTE_S, 0).astype(np.uint8)))

    @property
    def minutes(self) -> int:
        return self.number.shape[1]


def block_of(first: int, series: Sequence[SeriesInfo], samples: Plane, minutes: Sequence[int], count: int) -> Block:
    """Of samples as they came: `minutes` is that of each column, from 0 on and rising, of `count` in all. The columns
    of a minute are as far apart as fills it."""
    least, most, total, number, last = reduce(samples, minutes, count, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = (total / number).astype(np.float32)
        return Block(
            first,
            series,
            least.astype(np.float32),
            mean,
            most.astype(np.float32),
            last.astype(np.float32),
            np.minimum(number, MAX_NUMBER).astype(np.uint16),
            _spans_of(samples, minutes, count),
        )


def _spans_of(samples: Plane, minutes: Sequence[int], count: int) -> Seconds:
    first, last = extents(samples, minutes, count)
    columns = np.bincount(np.asarray(minutes, np.intp), minlength=count)
    before = np.cumsum(columns) - columns
    apart = MINUTE_S / np.maximum(columns, 1)
    return np.nan_to_num(np.stack(((first - before) * apart, (last + 1 - before) * apart))).astype(np.uint8)


def encode(block: Block) -> bytes:
    told = [_Told(one.name, list(one.labels), one.kind, one.unit, one.help) for one in block.series]
    planes = b"".join(plane.tobytes() for plane in (block.least, block.mean, block.most, block.last, block.number))
    return msgspec.msgpack.encode(
        _Head(
            block.first,
            block.minutes,
            zlib.compress(msgspec.msgpack.encode(told), LEVEL),
            zlib.compress(planes, LEVEL),
            b"" if block.spans is None else zlib.compress(block.spans.tobytes(), LEVEL),
        )
    )


@functools.lru_cache(maxsize=4096)
def _series_of(packed: bytes) -> tuple[SeriesInfo, ...]:
    """Most blocks of a node have the same series."""
    told = _SERIES.decode(zlib.decompress(packed))
    return tuple(SeriesInfo(one.name, tuple(one.labels), one.kind, one.unit, one.help) for one in told)


def decode(data: bytes) -> Block:
    """Raises BlockDamaged."""
    try:
        head = _HEAD.decode(data)
        series = _series_of(head.series)
        planes = zlib.decompress(head.planes)
        spans = zlib.decompress(head.spans) if head.spans else b""
    except (msgspec.DecodeError, msgspec.ValidationError, zlib.error) as error:
        raise BlockDamaged(f"a block of samples cannot be read: {error}") from error
    cells = len(series) * head.minutes
    if len(planes) != cells * 18 or (head.spans and len(spans) != cells * 2):
        size = len(planes) + len(spans)
        raise BlockDamaged(f"a block of {len(series)} series and {head.minutes} minutes has {size} bytes")
    shape = (len(series), head.minutes)
    wide = np.frombuffer(planes, np.float32, 4 * cells).reshape(4, *shape)
    number = np.frombuffer(planes, np.uint16, cells, 16 * cells).reshape(shape)
    known = np.frombuffer(spans, np.uint8).reshape(2, *shape) if head.spans else None
    return Block(head.first, series, wide[0], wide[1], wide[2], wide[3], number, known)


def merged(blocks: Iterable[Block], first: int, count: int) -> Block:
    """One of so many minutes. Of a minute that is in several, each is counted by its number of samples; what came last
    is that of the last block."""
    parts = list(blocks)
    rows: dict[SeriesInfo, int] = {}
    for block in parts:
        for info in block.series:
            rows.setdefault(info, len(rows))
    shape = (len(rows), count)
    least, mean, most, last = (np.full(shape, np.nan, np.float32) for _ in range(4))
    number, spans = np.zeros(shape, np.uint16), np.zeros((2, *shape), np.uint8)
    for block in parts:
        at = np.array([rows[info] for info in block.series], np.intp)[:, None]
        begin, end = max(block.first, first), min(block.first + block.minutes, first + count)
        if begin >= end or not len(block.series):
            continue
        here: npt.NDArray[np.intp] = np.arange(begin - first, end - first)
        there = slice(begin - block.first, end - block.first)
        before, added = number[at, here].astype(np.float64), block.number[:, there].astype(np.float64)
        old, new = np.where(before > 0, mean[at, here], 0.0), np.where(added > 0, block.mean[:, there], 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[at, here] = (old * before + new * added) / (before + added)
        least[at, here] = np.fmin(least[at, here], block.least[:, there])
        most[at, here] = np.fmax(most[at, here], block.most[:, there])
        last[at, here] = np.where(added > 0, block.last[:, there], last[at, here])
        number[at, here] = np.minimum(before + added, MAX_NUMBER)
        begins: Seconds = block.begins_ends()[0, :, there]
        ends: Seconds = block.begins_ends()[1, :, there]
        known: Seconds = spans[0][at, here]
        spans[0][at, here] = np.where(added > 0, np.where(before > 0, np.minimum(known, begins), begins), known)
        spans[1][at, here] = np.maximum(spans[1][at, here], ends)
    return Block(first, list(rows), least, mean, most, last, number, spans)


def gather(block: Block, selection: Selection, start_s: int, end_s: int, window: Window, into: Gathered) -> None:
    """Add what a block has of a selection from `start_s` up to before `end_s`. Raises BadQuery as `Gathered.add`."""
    rows = [row for row, info in enumerate(block.series) if selection.matches(info)]
    first = max(block.first, -(-start_s // MINUTE_S))
    end = min(block.first + block.minutes, -(-end_s // MINUTE_S))
    if not rows or first >= end:
        return
    at = np.array(rows, np.intp)[:, None]
    columns: npt.NDArray[np.intp] = np.arange(first - block.first, end - block.first)
    steps: npt.NDArray[np.intp] = (np.arange(first, end) * MINUTE_S - window.start_s) // window.step_s
    starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
    number = block.number[at, columns].astype(np.float64)
    there: npt.NDArray[np.bool_] = number > 0
    mean = np.where(there, block.mean[at, columns], 0.0).astype(np.float64)
    seconds: Cells = np.where(there, block.begins_ends()[:, at, columns] + np.arange(first, end) * MINUTE_S, np.nan)
    piece = Partials(
        [block.series[row] for row in rows],
        np.fmin.reduceat(block.least[at, columns].astype(np.float64), starts, axis=1),
        np.fmax.reduceat(block.most[at, columns].astype(np.float64), starts, axis=1),
        np.add.reduceat(mean * number, starts, axis=1),
        np.add.reduceat(number, starts, axis=1),
        last_of(block.last[at, columns].astype(np.float64), there, starts),
        np.fmin.reduceat(seconds[0], starts, axis=1),
        np.fmax.reduceat(seconds[1], starts, axis=1),
    )
    into.add(piece, steps[starts])
