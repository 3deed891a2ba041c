"""One question about samples over time, answered from the tiers that hold them.

A question has a name and conditions, a time, a step, how the samples of a step are made one (`aggregate`), and which
labels to keep (`by`), with how the series that then are the same are made one (`combine`). Of counters, what is looked
at is always their rate a second.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from omnitide.telemetry.series.definition import LABEL, Kind, Labels, SeriesInfo
from omnitide.telemetry.series.partials import AT_ONCE, MAX_CELLS, Cells, Partials, SeriesTier, Window, joined
from omnitide.telemetry.series.selecting import BadQuery, Selection

Aggregate = Literal["avg", "min", "max", "last", "p95", "rate"]
Combine = Literal["sum", "avg", "min", "max"]

MAX_STEPS: Final = 11_000
MAX_ANSWER: Final = 300_000
"""Values in an answer: steps times series."""
MAX_GROUPS: Final = 1_000
MAX_BY: Final = 16
MINUTE_S: Final = 60
QUANTILE: Final = 0.95
MISSED_S: Final = 5
"""A question for all that is kept by the second is on its way for a while; what is gone by then is not known."""


@dataclass(frozen=True, slots=True)
class Question:
    selection: Selection
    start_s: int
    end_s: int
    step_s: int = 0
    """0: as fits some 300 of them into the time."""
    aggregate: Aggregate | Literal[""] = ""
    """Empty: `rate` of counters, `avg` of others."""
    by: tuple[str, ...] | None = None
    """None: each series for itself."""
    combine: Combine = "sum"


@dataclass(frozen=True, slots=True)
class Found:
    labels: Labels
    values: Cells


@dataclass(frozen=True, slots=True)
class Answer:
    window: Window
    aggregate: Aggregate
    kind: Kind
    unit: str
    help: str
    found: tuple[Found, ...]
    resolution_s: int
    """Of the samples that were looked at."""


class Tiers:
    """The tiers of a Nexus: what came last as it came, what is older by the minute."""

    def __init__(
        self,
        recent: SeriesTier,
        rolled: SeriesTier | None,
        now_s: Callable[[], int],
        recent_from_s: Callable[[], int],
        rolled_until_s: Callable[[], int] | None = None,
    ) -> None:
        """`recent_from_s`: the oldest time of which `recent` has all that there is. `rolled_until_s`: up to when
        `rolled` has taken minutes from it; left out: always all that are older."""
        self._recent = recent
        self._rolled = rolled
        self._now_s = now_s
        self._recent_from_s = recent_from_s
        self._rolled_until_s = rolled_until_s

    async def ask(self, question: Question) -> Answer:
        """Raises BadQuery."""
        _check(question)
        recent_from = self._recent_from_s()
        if self._rolled is None or question.start_s >= recent_from - MISSED_S:
            return await self._by_second(question)
        window = _window(question, MINUTE_S)
        # Minutes are whole in either tier: the first that begins when the recent one knows all of it.
        border = -(-recent_from // MINUTE_S) * MINUTE_S
        begin = recent_from // MINUTE_S * MINUTE_S
        rolled = await self._rolled.read(question.selection, window.start_s, min(border, window.end_s), window, 0.0)
        if window.step_s == MINUTE_S and not rolled.number[:, : (begin - window.start_s) // MINUTE_S].any():
            # Nothing is older: what there is, a Nexus that has just begun has by the second.
            return await self._by_second(question)
        if question.aggregate == "p95":
            age = max(0, self._now_s() - recent_from)
            raise BadQuery(f"p95 needs samples as they came, and those are of the last {age} s", "aggregate")
        parts = [rolled]
        if self._rolled_until_s is None or self._rolled_until_s() > begin:
            begin = border
        # Else, after a restart, each tier has a part of that minute, and none has what the other has.
        if begin < window.end_s:
            start = max(begin, window.start_s)
            parts.append(await self._recent.read(question.selection, start, window.end_s, window, 0.0))
        return await _answer_of(question, window, parts, MINUTE_S)

    async def _by_second(self, question: Question) -> Answer:
        window = _window(question, 1)
        quantile = QUANTILE if question.aggregate == "p95" else 0.0
        parts = [await self._recent.read(question.selection, window.start_s, window.end_s, window, quantile)]
        return await _answer_of(question, window, parts, 1)


async def _answer_of(question: Question, window: Window, parts: list[Partials], resolution_s: int) -> Answer:
    cells = sum(len(part.series) for part in parts) * window.count
    if cells > MAX_CELLS:
        raise BadQuery(f"{cells} values would have to be looked at; ask for less time or fewer series")
    if cells > AT_ONCE:
        return await asyncio.to_thread(_answer, question, window, parts, resolution_s)
    return _answer(question, window, parts, resolution_s)


def _check(question: Question) -> None:
    if question.end_s <= question.start_s:
        raise BadQuery("the end is not after the start", "end")
    if question.step_s < 0:
        raise BadQuery("a step has at least a second", "step")
    if question.by is not None:
        if len(question.by) > MAX_BY:
            raise BadQuery(f"{len(question.by)} labels; {MAX_BY} are the most", "by")
        for label in question.by:
            if not LABEL.fullmatch(label):
                raise BadQuery(f"{label[:100]!r} is no name of a label", "by")


def _window(question: Question, least_s: int) -> Window:
    step = question.step_s or max(1, (question.end_s - question.start_s) // 300)
    step = -(-max(step, least_s) // least_s) * least_s
    start = question.start_s // step * step
    count = -(-(question.end_s - start) // step)
    if count > MAX_STEPS:
        raise BadQuery(f"{count} steps; {MAX_STEPS} are the most: ask for a longer step or less time", "step")
    return Window(start, step, count)


def _answer(question: Question, window: Window, parts: list[Partials], resolution_s: int) -> Answer:
    whole = joined(window, parts)
    kinds = {info.kind for info in whole.series}
    kind: Kind = "counter" if kinds == {"counter"} else "gauge"
    aggregate: Aggregate = question.aggregate or ("rate" if kind == "counter" else "avg")
    if aggregate == "rate" and "gauge" in kinds:
        raise BadQuery(f"{question.selection.name} is no counter: it has no rate", "aggregate")
    values = _aggregated(whole, aggregate)
    found = _grouped(question, whole.series, values)
    if len(found) > MAX_GROUPS or len(found) * window.count > MAX_ANSWER:
        raise BadQuery(
            f"the answer would have {len(found)} series of {window.count} steps; {MAX_GROUPS} series and {MAX_ANSWER} "
            "values are the most: add conditions, keep fewer labels, or ask for a longer step"
        )
    first = whole.series[0] if whole.series else SeriesInfo("", ())
    return Answer(window, aggregate, kind, first.unit, first.help, found, resolution_s)


def _aggregated(whole: Partials, aggregate: Aggregate) -> Cells:
    match aggregate:
        case "avg" | "rate":
            with np.errstate(invalid="ignore", divide="ignore"):
                return whole.total / whole.number
        case "min":
            return whole.least
        case "max":
            return whole.most
        case "last":
            return whole.last
        case "p95":
            return whole.quantile if whole.quantile is not None else np.full_like(whole.last, np.nan)


def _grouped(question: Question, series: list[SeriesInfo], values: Cells) -> tuple[Found, ...]:
    if question.by is None:
        found = [Found(info.labels, values[row]) for row, info in enumerate(series)]
    else:
        groups: dict[Labels, list[int]] = {}
        for row, info in enumerate(series):
            kept = tuple((label, info.label(label)) for label in sorted(set(question.by)))
            groups.setdefault(kept, []).append(row)
        found = [Found(labels, _combined(values[rows], question.combine)) for labels, rows in groups.items()]
    return tuple(sorted(found, key=lambda one: one.labels))


def _combined(values: Cells, combine: Combine) -> Cells:
    """Of series that are one; where none of them has a value, there is none."""
    there = ~np.isnan(values)
    some = there.any(axis=0)
    match combine:
        case "sum":
            made = np.where(there, values, 0.0).sum(axis=0)
        case "avg":
            made = np.where(there, values, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        case "min":
            made = np.fmin.reduce(values, axis=0)
        case "max":
            made = np.fmax.reduce(values, axis=0)
    return np.where(some, made, np.nan)
