"""Series that are made one: added up, or the mean, least or greatest of them, step by step.

Not all of them ran for the whole of a step: one replica may have taken the place of another within it. Both together
have used what one uses, so each counts for the time in which it had samples, and only those count at once that were
there at once. What is not known from a step's numbers is which sample was when: a greatest sum is that of the greatest
samples of those that were there at the same time, which is the most that it may have been; a least one the other way.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from omnitide.telemetry.series.partials import Cells, Partials, Window

Aggregate = Literal["avg", "min", "max", "last", "p95", "rate"]
Combine = Literal["sum", "avg", "min", "max"]

BRIDGED_S: Final = 5.0
"""A pause of so long is a sample that was lost, not an end; rates are made across as much. It is longer, too, where
samples are further apart."""
LATE_S: Final = 11
"""A node of which nobody asks sends each 10 s: what is not there of the time since is still to come."""


class Presence:
    """From when up to when each series (a row) was there within each step (a column)."""

    def __init__(self, whole: Partials, window: Window, now_s: int) -> None:
        starts = window.starts().astype(np.float64)
        ends = np.minimum(starts + window.step_s, max(now_s + 1, window.start_s + 1))
        begin, end = whole.begin.copy(), whole.end.copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            bridged = np.fmax(BRIDGED_S, 1.5 * (end - begin) / whole.number)
            begin[:, :1] = np.where(begin[:, :1] - starts[0] <= bridged[:, :1], starts[0], begin[:, :1])
            through = whole.begin[:, 1:] - whole.end[:, :-1] <= np.fmax(bridged[:, 1:], bridged[:, :-1])
            late = (end > now_s - LATE_S) & ~np.isnan(end)
        begin[:, 1:] = np.where(through, starts[1:], begin[:, 1:])
        end[:, :-1] = np.where(through, ends[:-1], end[:, :-1])
        self.begin = begin
        self.end = np.where(late, np.fmax(end, ends), end)

    def combined(self, rows: Sequence[int], values: Cells, aggregate: Aggregate, combine: Combine) -> Cells:
        """What these rows are together; NaN in steps in which none of them has a value. `values`: of all rows."""
        mine = values[rows]
        there = ~np.isnan(mine)
        begin, end = np.where(there, self.begin[rows], np.nan), np.where(there, self.end[rows], np.nan)
        if aggregate == "last":
            there &= _still_there(begin, end)
            mine = np.where(there, mine, np.nan)
        known = np.where(there, mine, 0.0)
        match combine:
            case "min":
                return np.fmin.reduce(mine, axis=0)
            case "max":
                return np.fmax.reduce(mine, axis=0)
            case "avg":
                weight = there.astype(np.float64) if aggregate == "last" else np.where(there, end - begin, 0.0)
                with np.errstate(invalid="ignore", divide="ignore"):
                    return (known * weight).sum(axis=0) / weight.sum(axis=0)
            case "sum":
                total = np.where(there.any(axis=0), known.sum(axis=0), np.nan)
                if aggregate != "last":
                    uneven = np.flatnonzero(_differ(begin) | _differ(end))
                    if len(uneven):
                        at = (slice(None), uneven)
                        total[uneven] = _summed(known[at], there[at], begin[at], end[at], aggregate)
                return total


def _differ(times: Cells) -> npt.NDArray[np.bool_]:
    return np.fmin.reduce(times, axis=0) < np.fmax.reduce(times, axis=0)


def _still_there(begin: Cells, end: Cells) -> npt.NDArray[np.bool_]:
    """Which of them had not ended before the step did, as far as the others tell, nor before another began."""
    latest = np.fmax.reduce(end, axis=0) - BRIDGED_S
    return (end >= latest) & (end > np.fmax.reduce(begin, axis=0))


def _summed(values: Cells, there: npt.NDArray[np.bool_], begin: Cells, end: Cells, aggregate: Aggregate) -> Cells:
    """Of steps in which not all were there for the same time."""
    # Each comes and goes: in order of time, who goes before who comes at the same moment.
    times = np.where(np.isnan(np.r_[begin, end]), np.inf, np.r_[begin, end])
    comes = np.r_[np.ones_like(begin), np.zeros_like(end)]
    order = np.lexsort((comes, times), axis=0)
    times = np.take_along_axis(times, order, axis=0)
    present = there.astype(np.int64)
    number = np.take_along_axis(np.r_[present, -present], order, axis=0).cumsum(axis=0)[:-1]
    with np.errstate(invalid="ignore"):
        lasts: Cells = np.where(number > 0, np.diff(times, axis=0), 0.0)
    if aggregate in ("avg", "rate"):
        return (values * np.where(there, end - begin, 0.0)).sum(axis=0) / lasts.sum(axis=0)
    at_once = np.take_along_axis(np.r_[values, -values], order, axis=0).cumsum(axis=0)[:-1]
    if aggregate == "min":
        # A moment with fewer may be only a sample that was lost.
        long = lasts > BRIDGED_S
        counted = np.where(long.any(axis=0), long, lasts > 0)
        return np.where(counted, at_once, np.inf).min(axis=0)
    return np.where(lasts > 0, at_once, -np.inf).max(axis=0)
