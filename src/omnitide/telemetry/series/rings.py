"""The last minutes of many series, column by column: one array of float32, a row a series, a column a step of time.

A row is reused when its series has ended and its last sample has left the ring. A sample costs four bytes, so a series
of a second has 3,600 bytes for a quarter of an hour, plus 16 for what its next rate is made from.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

FloatRows = npt.NDArray[np.float32]
WideRows = npt.NDArray[np.float64]
Slots = npt.NDArray[np.int64]

LEAST_ROWS: Final = 8
NEVER: Final = np.int64(-(1 << 62))
BRIDGED_STEPS: Final = 5
"""A rate is made over a pause of so many steps; after a longer one nobody knows when what was counted happened."""


class Ring:
    """Series of one step. A *slot* is a step of time, counted since 1970."""

    def __init__(self, step_s: int, span_s: int) -> None:
        self.step_s = step_s
        self.columns = max(2, span_s // step_s)
        self._data = np.full((0, self.columns), np.nan, np.float32)
        self._last = np.full(0, np.nan, np.float64)
        """The last value of each counter."""
        self._last_slot = np.full(0, NEVER, np.int64)
        self._end = 0
        """One behind the newest slot that was written."""
        self._free: list[int] = []
        self._used = 0

    @property
    def bytes(self) -> int:
        return self._data.nbytes + self._last.nbytes + self._last_slot.nbytes

    @property
    def rows(self) -> int:
        """In use."""
        return self._used - len(self._free)

    @property
    def end(self) -> int:
        return self._end

    def bytes_for_row(self) -> int:
        """What one more row would take now."""
        if self._free or self._used < len(self._data):
            return 0
        return self._more() * self.row_bytes()

    def row_bytes(self) -> int:
        return 4 * self.columns + 16

    def _more(self) -> int:
        return max(LEAST_ROWS, len(self._data) // 4)

    def allocate(self) -> int:
        """A row without samples."""
        if self._free:
            row = self._free.pop()
        else:
            if self._used == len(self._data):
                self._grow(self._more())
            row = self._used
            self._used += 1
        self._data[row] = np.nan
        self._last[row] = np.nan
        self._last_slot[row] = NEVER
        return row

    def free(self, row: int) -> None:
        self._free.append(row)

    def last_slot(self, row: int) -> int:
        """Of the newest sample of a row; NEVER if there was none."""
        return int(self._last_slot[row])

    def write(
        self,
        rows: npt.NDArray[np.intp],
        first: int,
        values: WideRows,
        counters: npt.NDArray[np.bool_],
        gaps: npt.NDArray[np.bool_] | None,
    ) -> None:
        """Take in samples of consecutive slots from `first` on: `values` has a row for each of `rows`, which are
        different ones; a counter's are its totals. Where `gaps` is set there is none."""
        count = values.shape[1]
        skip = max(0, self._end - self.columns - first)
        if skip >= count:
            return
        if gaps is not None and not gaps.any():
            gaps = None
        self._advance(first + count)
        columns: Slots = np.arange(first + skip, first + count, dtype=np.int64) % self.columns
        if counters.any():
            values = values.copy()
            holes = None if gaps is None else gaps[counters]
            rates = self._rates(rows[counters], first, values[counters], holes)
            if (self._last_slot[rows[counters]] >= first).any():
                # Sent again, or late: what its rates would be made from is over, but they may be known already.
                known = self._data[rows[counters][:, None], columns]
                rates[:, skip:] = np.where(np.isnan(rates[:, skip:]), known, rates[:, skip:])
            values[counters] = rates
        if gaps is not None:
            values = np.where(gaps & ~counters[:, None], np.nan, values)
            there = ~gaps
            newest = np.where(there.any(axis=1), first + count - 1 - there[:, ::-1].argmax(axis=1), NEVER)
            self._last_slot[rows] = np.maximum(self._last_slot[rows], newest)
        else:
            self._last_slot[rows] = np.maximum(self._last_slot[rows], first + count - 1)
        with np.errstate(over="ignore"):
            self._data[rows[:, None], columns] = values[:, skip:]

    def _rates(
        self, rows: npt.NDArray[np.intp], first: int, totals: WideRows, gaps: npt.NDArray[np.bool_] | None
    ) -> WideRows:
        """Rates a second of counters' totals, each over the time since the sample before."""
        count = totals.shape[1]
        slots = np.broadcast_to(np.arange(first, first + count, dtype=np.int64), totals.shape)
        # What is known from the sample before on, and by column which of it is the last.
        known = np.concatenate((self._last[rows][:, None], totals), axis=1)
        since = np.concatenate((self._last_slot[rows][:, None], slots), axis=1)
        if gaps is None:
            before, since, last, newest_slot = known[:, :-1], since[:, :-1], known[:, -1], since[:, -1]
        else:
            each = np.arange(len(rows))[:, None]
            at: Slots = np.arange(1, count + 1, dtype=np.int64)
            at = np.maximum.accumulate(np.where(gaps, 0, at), axis=1)
            last, newest_slot = known[each, at[:, -1:]][:, 0], since[each, at[:, -1:]][:, 0]
            at[:, 1:] = at[:, :-1]
            at[:, 0] = 0
            before, since = known[each, at], since[each, at]
        passed = slots - since
        risen = np.where(totals < before, totals, totals - before)
        usable: npt.NDArray[np.bool_] = (passed > 0) & (passed <= BRIDGED_STEPS) & ~np.isnan(before)
        if gaps is not None:
            usable &= ~gaps
        rates = np.where(usable, risen / np.maximum(passed * self.step_s, 1), np.nan)
        self._last[rows] = np.where(newest_slot > self._last_slot[rows], last, self._last[rows])
        return rates

    def read(self, rows: npt.NDArray[np.intp], first: int, count: int) -> FloatRows:
        """A copy of `count` slots from `first` on; what is not held is NaN."""
        slots = np.arange(first, first + count)
        found = self._data[rows[:, None], slots % self.columns]
        held = (slots >= self._end - self.columns) & (slots < self._end)
        if not held.all():
            found[:, ~held] = np.nan
        return found

    def newest(self, row: int, within: int) -> float:
        """The last value of a row within so many slots before the end; NaN where there is none."""
        # Cell by cell: it is nearly always the last one, and arrays would cost more than all else.
        data = self._data[row]
        for slot in range(self._end - 1, self._end - 1 - min(within, self.columns), -1):
            value = data.item(slot % self.columns)
            if value == value:
                return value
        return math.nan

    def shown(self, rows: npt.NDArray[np.intp], counters: npt.NDArray[np.bool_]) -> tuple[WideRows, Slots]:
        """The newest sample of each row, of counters the total, and its slot (NEVER where there is none)."""
        slots: Slots = self._last_slot[rows]
        held = slots >= self._end - self.columns
        values = self._data[rows, np.where(held, slots, 0) % self.columns].astype(np.float64)
        return np.where(counters, self._last[rows], values), np.where(held, slots, NEVER)

    def _advance(self, end: int) -> None:
        """What is between the newest slot and this one holds samples of a round before: gone."""
        if end <= self._end:
            return
        fresh = min(end - self._end, self.columns)
        if fresh == self.columns:
            self._data[: self._used] = np.nan
        else:
            start, stop = self._end % self.columns, end % self.columns
            if start < stop:
                self._data[: self._used, start:stop] = np.nan
            else:
                self._data[: self._used, start:] = np.nan
                self._data[: self._used, :stop] = np.nan
        self._end = end

    def _grow(self, more: int) -> None:
        self._data = np.concatenate((self._data, np.full((more, self.columns), np.nan, np.float32)))
        self._last = np.concatenate((self._last, np.full(more, np.nan)))
        self._last_slot = np.concatenate((self._last_slot, np.full(more, NEVER, np.int64)))
