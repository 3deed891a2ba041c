"""What a tier says of series within steps of time: enough to join the answers of several, whatever is asked of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.selecting import BadQuery, Selection

Cells = npt.NDArray[np.float64]

AT_ONCE: Final = 50_000
"""Cells that are worked on in the event loop; more of them in a thread."""
MAX_CELLS: Final = 5_000_000
"""Samples that one question may have looked at, in all series."""
MAX_PARTIAL_CELLS: Final = 1_000_000
"""Steps times series of what a tier answers: each has seven numbers."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_s` on, `count` steps of `step_s` seconds each. `start_s` is a multiple of the step."""

    start_s: int
    step_s: int
    count: int

    @property
    def end_s(self) -> int:
        return self.start_s + self.count * self.step_s

    def starts(self) -> npt.NDArray[np.int64]:
        """When each step begins."""
        return self.start_s + np.arange(self.count, dtype=np.int64) * self.step_s


@dataclass(slots=True)
class Partials:
    """A row for each series, a column for each step: least, sum, most and number of samples, the last of them, and from
    when up to when (seconds since 1970, within the step) there were some. Where there are none, the number is 0 and the
    others are NaN (the sum 0)."""

    series: list[SeriesInfo]
    least: Cells
    most: Cells
    total: Cells
    number: Cells
    last: Cells
    begin: Cells
    end: Cells
    quantile: Cells | None = None

    @classmethod
    def empty(cls, window: Window, rows: int = 0) -> "Partials":
        shape = (rows, window.count)
        nothing = np.full(shape, np.nan)
        return cls([], nothing, nothing.copy(), np.zeros(shape), np.zeros(shape), *(nothing.copy() for _ in range(3)))

    def cut(self, rows: int) -> "Partials":
        """The first rows alone."""
        quantile = None if self.quantile is None else self.quantile[:rows]
        arrays: dict[str, Cells] = {name: getattr(self, name)[:rows] for name in ARRAYS}
        return Partials(self.series[:rows], **arrays, quantile=quantile)


def require_room(rows: int, window: Window) -> None:
    """Raises BadQuery where an answer of so many series would be too large to be made."""
    if rows * window.count > MAX_PARTIAL_CELLS:
        raise BadQuery(
            f"{rows} series of {window.count} steps would have to be put together: ask for a longer step, less time or "
            "fewer series",
            "step",
        )


class Gathered:
    """Partials that are put together piece by piece, each of some series and some steps, the older first."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._rows: dict[SeriesInfo, int] = {}
        self._whole = Partials.empty(window, 8)

    def add(self, piece: Partials, steps: npt.NDArray[np.intp]) -> None:
        """A piece that has a column for each of `steps`. Raises BadQuery for more series than there is room for."""
        for info in piece.series:
            self._rows.setdefault(info, len(self._rows))
        require_room(len(self._rows), self._window)
        if len(self._rows) > len(self._whole.least):
            fresh = Partials.empty(self._window, max(2 * len(self._whole.least), len(self._rows)))
            for name in ARRAYS:
                getattr(fresh, name)[: len(self._whole.least)] = getattr(self._whole, name)
            self._whole = fresh
        at = np.array([self._rows[info] for info in piece.series], np.intp)[:, None]
        _merge(self._whole, (at, steps), piece)

    def partials(self) -> "Partials":
        self._whole.series = list(self._rows)
        return self._whole.cut(len(self._rows))


ARRAYS: Final = ("least", "most", "total", "number", "last", "begin", "end")


def _merge(whole: Partials, at: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp] | slice], piece: Partials) -> None:
    """Add what a piece has to these cells: it is of later, or of other, samples."""
    whole.least[at] = np.fmin(whole.least[at], piece.least)
    whole.most[at] = np.fmax(whole.most[at], piece.most)
    whole.total[at] += piece.total
    whole.number[at] += piece.number
    whole.last[at] = np.where(np.isnan(piece.last), whole.last[at], piece.last)
    whole.begin[at] = np.fmin(whole.begin[at], piece.begin)
    whole.end[at] = np.fmax(whole.end[at], piece.end)


class SeriesTier(Protocol):
    """Where samples of some time are kept: the rings, the roll-ups, a database."""

    async def read(self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float) -> Partials:
        """What there is from `start_s` up to before `end_s`, in the steps of `window`. `quantile` above 0: also that
        one, by a tier that keeps samples as they came. Raises BadQuery for more than may be asked at once."""
        ...


def reduce(samples: npt.NDArray[np.floating], offsets: Sequence[int], count: int, quantile: float) -> tuple[Cells, ...]:
    """Samples (a row a series) into steps. `offsets`: the step of each column, rising. Returns least, most, total,
    number, last and, for a quantile above 0, that."""
    rows = len(samples)
    shape = (rows, count)
    least, most, last = (np.full(shape, np.nan) for _ in range(3))
    total, number = np.zeros(shape), np.zeros(shape)
    found = np.full(shape, np.nan)
    if rows and len(offsets):
        steps = np.asarray(offsets)
        starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
        at = steps[starts]
        wide: Cells = samples.astype(np.float64)
        there: npt.NDArray[np.bool_] = ~np.isnan(wide)
        least[:, at] = np.fmin.reduceat(wide, starts, axis=1)
        most[:, at] = np.fmax.reduceat(wide, starts, axis=1)
        total[:, at] = np.add.reduceat(np.where(there, wide, 0.0), starts, axis=1)
        number[:, at] = np.add.reduceat(there.astype(np.float64), starts, axis=1)
        last[:, at] = last_of(wide, there, starts)
        if quantile > 0:
            found[:, at] = _quantiles(wide, starts, quantile)
    return (least, most, total, number, last, found) if quantile > 0 else (least, most, total, number, last)


def extents(samples: npt.NDArray[np.floating], offsets: Sequence[int], count: int) -> tuple[Cells, Cells]:
    """Of the same samples and steps as `reduce`: the columns of the first and of the last sample in each step."""
    first, last = (np.full((len(samples), count), np.nan) for _ in range(2))
    if len(samples) and len(offsets):
        steps = np.asarray(offsets)
        starts = np.flatnonzero(np.r_[True, steps[1:] != steps[:-1]])
        there, columns = ~np.isnan(samples), np.arange(samples.shape[1], dtype=np.int32)
        behind = np.int32(samples.shape[1])
        oldest = np.minimum.reduceat(np.where(there, columns, behind), starts, axis=1)
        newest = np.maximum.reduceat(np.where(there, columns, np.int32(-1)), starts, axis=1)
        some = newest >= 0
        first[:, steps[starts]] = np.where(some, oldest, np.nan)
        last[:, steps[starts]] = np.where(some, newest, np.nan)
    return first, last


def last_of(samples: Cells, there: npt.NDArray[np.bool_], starts: npt.NDArray[np.intp]) -> Cells:
    """The last sample of each part; NaN where it has none. The parts begin at `starts`."""
    columns: npt.NDArray[np.int64] = np.where(there, np.arange(samples.shape[1], dtype=np.int64), -1)
    newest = np.maximum.reduceat(columns, starts, axis=1)
    picked = np.take_along_axis(samples, np.maximum(newest, 0), axis=1)
    return np.where(newest >= 0, picked, np.nan)


def _quantiles(samples: Cells, starts: npt.NDArray[np.intp], quantile: float) -> Cells:
    """Linear between neighbours, as NumPy does by default; samples that are missing do not count."""
    ends = np.r_[starts[1:], samples.shape[1]]
    found = np.full((len(samples), len(starts)), np.nan)
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        part = np.sort(samples[:, start:end], axis=1)  # NaN last
        number = (~np.isnan(part)).sum(axis=1)
        place = np.maximum(number - 1, 0) * quantile
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(number - 1, 0))
        lower = np.take_along_axis(part, low[:, None], axis=1)[:, 0]
        upper = np.take_along_axis(part, high[:, None], axis=1)[:, 0]
        found[:, index] = np.where(number > 0, lower + (upper - lower) * (place - low), np.nan)
    return found


def joined(window: Window, parts: Sequence[Partials]) -> Partials:
    """Of the same steps, from tiers that hold different times, the older first: no sample is in two of them."""
    rows: dict[SeriesInfo, int] = {}
    for part in parts:
        for info in part.series:
            rows.setdefault(info, len(rows))
    whole = Partials.empty(window, len(rows))
    whole.series = list(rows)
    quantile = next((part.quantile for part in parts if part.quantile is not None), None)
    if quantile is not None:
        whole.quantile = np.full((len(rows), window.count), np.nan)
    for part in parts:
        at = np.array([rows[info] for info in part.series], np.intp)
        if not len(at):
            continue
        _merge(whole, (at, slice(None)), part)
        if part.quantile is not None and whole.quantile is not None:
            whole.quantile[at] = part.quantile
    return whole
