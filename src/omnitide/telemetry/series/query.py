"""One question about samples over time, answered from the tiers that hold them.

A question has a name and conditions, a time, a step, how the samples of a step are made one (`aggregate`), and which
labels to keep (`by`), with how the series that then are the same are made one (`combine`). Of counters, what is looked
at is always their rate a second.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from omnitide.telemetry.series.combining import Aggregate, Combine, Presence
from omnitide.telemetry.series.definition import LABEL, Kind, Labels, SeriesInfo
from omnitide.telemetry.series.partials import (
    ARRAYS,
    AT_ONCE,
    MAX_CELLS,
    MAX_PARTIAL_CELLS,
    Cells,
    Partials,
    SeriesTier,
    Window,
    joined,
)
from omnitide.telemetry.series.selecting import BadQuery, Selection

MAX_STEPS: Final = 11_000
MAX_ANSWER: Final = 300_000
"""Values in an answer: steps times series."""
MAX_GROUPS: Final = 1_000
MAX_BY: Final = 16
MINUTE_S: Final = 60
QUANTILE: Final = 0.95
MISSED_S: Final = 5
"""A question for all that is kept by the second is on its way for a while; what is gone by then is not known."""
PARTS_S: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Of a minute: steps of which each lies within one, so that a value by the minute can be drawn beside those by the
second."""
MAX_PARTS: Final = 1_800
"""Where such steps would be more, all are whole minutes."""
SENT_LATE_S: Final = 180
"""So much older than all that memory has wholly may be what a node had kept while Nexus was away."""


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
    """Of the samples that were looked at; of those of two tiers, the coarser."""
    by_minute_until_s: int = 0
    """Each step before has the value of its whole minute unless it is known by the second. 0: none is by the minute."""
    looked_at: tuple[SeriesInfo, ...] = ()
    """Of what `found` is made, with labels that it does not keep; of two tiers some are there twice."""


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
        step_s = next((part for part in PARTS_S if part >= _step(question)), MINUTE_S)
        parts = (question.end_s - question.start_s) // step_s
        if step_s < MINUTE_S and parts <= MAX_PARTS and question.end_s > recent_from:
            return await self._by_second_and_minute(question, self._rolled, step_s, recent_from)
        return await self._by_minute(question, self._rolled, recent_from)

    async def _by_minute(self, question: Question, rolled: SeriesTier, recent_from: int) -> Answer:
        window = _window(question, MINUTE_S)
        # Minutes are whole in either tier: the first that begins when the recent one knows all of it.
        border = -(-recent_from // MINUTE_S) * MINUTE_S
        begin = recent_from // MINUTE_S * MINUTE_S
        older = await rolled.read(question.selection, window.start_s, min(border, window.end_s), window, 0.0)
        if window.step_s == MINUTE_S and not older.number[:, : (begin - window.start_s) // MINUTE_S].any():
            # Nothing is older: what there is, a Nexus that has just begun has by the second.
            return await self._by_second(question)
        if question.aggregate == "p95":
            raise self._no_quantile(recent_from)
        parts = [older]
        if self._rolled_until_s is None or self._rolled_until_s() > begin:
            begin = border
        # Else, after a restart, each tier has a part of that minute, and none has what the other has.
        if begin < window.end_s:
            start = max(begin, window.start_s)
            parts.append(await self._recent.read(question.selection, start, window.end_s, window, 0.0))
        return await self._answer_of(question, window, parts, MINUTE_S)

    async def _by_second_and_minute(
        self, question: Question, rolled: SeriesTier, step_s: int, recent_from: int
    ) -> Answer:
        """In steps that are parts of a minute: those that memory does not reach have what is known of their minute."""
        window = _window(question, step_s)
        first = window.start_s // MINUTE_S * MINUTE_S
        minutes = Window(first, MINUTE_S, -(-(recent_from - first) // MINUTE_S))
        coarse = await rolled.read(question.selection, first, minutes.end_s, minutes, 0.0)
        if len(coarse.series) * window.count > MAX_PARTIAL_CELLS:
            return await self._by_minute(question, rolled, recent_from)
        older = _drawn_by_minute(coarse, minutes, window, recent_from)
        if not older.number.any():
            return await self._by_second(question)
        if question.aggregate == "p95":
            raise self._no_quantile(recent_from)
        start = max(window.start_s, (recent_from - SENT_LATE_S) // window.step_s * window.step_s)
        recent = await self._recent.read(question.selection, start, window.end_s, window, 0.0)
        _give_way(older, recent)
        drawn = np.flatnonzero(older.number.any(axis=0))
        until_s = int(window.starts()[drawn[-1]]) + window.step_s if len(drawn) else 0
        return await self._answer_of(question, window, [older, recent], MINUTE_S, until_s)

    def _no_quantile(self, recent_from: int) -> BadQuery:
        age = max(0, self._now_s() - recent_from)
        return BadQuery(f"p95 needs samples as they came, and those are of the last {age} s", "aggregate")

    async def _by_second(self, question: Question) -> Answer:
        window = _window(question, 1)
        quantile = QUANTILE if question.aggregate == "p95" else 0.0
        parts = [await self._recent.read(question.selection, window.start_s, window.end_s, window, quantile)]
        return await self._answer_of(question, window, parts, 1)

    async def _answer_of(
        self, question: Question, window: Window, parts: list[Partials], resolution_s: int, by_minute_until_s: int = 0
    ) -> Answer:
        cells = sum(len(part.series) for part in parts) * window.count
        if cells > MAX_CELLS:
            raise BadQuery(f"{cells} values would have to be looked at; ask for less time or fewer series")
        now_s = self._now_s()
        if cells > AT_ONCE:
            made = await asyncio.to_thread(_answer, question, window, parts, resolution_s, now_s)
        else:
            made = _answer(question, window, parts, resolution_s, now_s)
        looked_at = tuple(one for part in parts for one in part.series)
        return replace(made, by_minute_until_s=by_minute_until_s, looked_at=looked_at)


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


def _step(question: Question) -> int:
    return question.step_s or max(1, (question.end_s - question.start_s) // 300)


def _window(question: Question, least_s: int) -> Window:
    step = _step(question)
    step = -(-max(step, least_s) // least_s) * least_s
    start = question.start_s // step * step
    count = -(-(question.end_s - start) // step)
    if count > MAX_STEPS:
        raise BadQuery(f"{count} steps; {MAX_STEPS} are the most: ask for a longer step or less time", "step")
    return Window(start, step, count)


def _drawn_by_minute(coarse: Partials, minutes: Window, window: Window, before_s: int) -> Partials:
    """What is known by the minute, in each step that begins before that time and in which the series was there."""
    starts = window.starts()
    steps = np.flatnonzero(starts < before_s)
    of_minute = (starts[steps] - minutes.start_s) // MINUTE_S
    drawn = Partials.empty(window, len(coarse.series))
    drawn.series = coarse.series
    for name in ARRAYS:
        getattr(drawn, name)[:, steps] = getattr(coarse, name)[:, of_minute]
    drawn.begin = np.fmax(drawn.begin, starts)
    drawn.end = np.fmin(drawn.end, starts + window.step_s)
    with np.errstate(invalid="ignore"):
        there = (drawn.number > 0) & (drawn.begin < drawn.end)
    _clear(drawn, ~there)
    return drawn


def _give_way(older: Partials, recent: Partials) -> None:
    """Where both have something of a series, it is the same: what is known by the second counts."""
    rows = {info: row for row, info in enumerate(older.series)}
    both = [(rows[info], row) for row, info in enumerate(recent.series) if info in rows]
    at = np.array(both, np.intp).reshape(-1, 2)
    known = np.zeros(older.number.shape, np.bool_)
    known[at[:, 0]] = recent.number[at[:, 1]] > 0
    _clear(older, known)


def _clear(partials: Partials, cells: npt.NDArray[np.bool_]) -> None:
    for name in ARRAYS:
        getattr(partials, name)[cells] = 0.0 if name in ("total", "number") else np.nan


def _answer(question: Question, window: Window, parts: list[Partials], resolution_s: int, now_s: int) -> Answer:
    whole = joined(window, parts)
    kinds = {info.kind for info in whole.series}
    kind: Kind = "counter" if kinds == {"counter"} else "gauge"
    aggregate: Aggregate = question.aggregate or ("rate" if kind == "counter" else "avg")
    if aggregate == "rate" and "gauge" in kinds:
        raise BadQuery(f"{question.selection.name} is no counter: it has no rate", "aggregate")
    values = _aggregated(whole, aggregate)
    found = _grouped(question, window, whole, values, aggregate, now_s)
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


def _grouped(
    question: Question, window: Window, whole: Partials, values: Cells, aggregate: Aggregate, now_s: int
) -> tuple[Found, ...]:
    if question.by is None:
        found = [Found(info.labels, values[row]) for row, info in enumerate(whole.series)]
    else:
        groups: dict[Labels, list[int]] = {}
        for row, info in enumerate(whole.series):
            kept = tuple((label, info.label(label)) for label in sorted(set(question.by)))
            groups.setdefault(kept, []).append(row)
        presence = Presence(whole, window, now_s)
        found = [
            Found(labels, presence.combined(rows, values, aggregate, question.combine))
            for labels, rows in groups.items()
        ]
    return tuple(sorted(found, key=lambda one: one.labels))
