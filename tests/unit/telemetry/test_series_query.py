"""Questions about samples: steps, aggregates, labels, and what may not be asked."""

import asyncio
import time

import numpy as np
import pytest

from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.partials import Partials, Window, reduce
from omnitide.telemetry.series.query import Answer, Question, Tiers
from omnitide.telemetry.series.recent import Recent
from omnitide.telemetry.series.selecting import BadQuery, Matcher, Selection, checked, selection_of, split_selector

NOW = 6000
nan = float("nan")


def recent_of(
    series: dict[tuple[tuple[str, str], ...], list[float]], *, counter: bool = False, first: int = 0
) -> Recent:
    recent = Recent(1 << 26)
    for labels, values in series.items():
        info = SeriesInfo("m", labels, "counter" if counter else "gauge", "bytes", "A thing.")
        entry = recent.entry(dict(labels)["node"], info, 1)
        assert entry is not None
        data = np.array([values])
        entry.ring.write(np.array([entry.row]), first or NOW - len(values), data, np.array([counter]), np.isnan(data))
    return recent


async def ask(recent: Recent, question: Question) -> Answer:
    return await Tiers(recent, None, lambda: NOW, lambda: NOW - 900).ask(question)


def values_of(answer: Answer) -> dict[str, list[float | None]]:
    return {
        ",".join(f"{key}={value}" for key, value in one.labels): [
            None if np.isnan(value) else float(value) for value in one.values
        ]
        for one in answer.found
    }


TWO = {(("node", "a"), ("zone", "x")): [1.0, 2, 3, 4, nan, 6], (("node", "b"), ("zone", "x")): [10.0] * 6}


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("avg", [2, 5]),
        ("min", [1, 4]),
        ("max", [3, 6]),
        ("last", [3, 6]),
        ("p95", [2.9, 5.9]),
        ("", [2, 5]),
    ],
)
async def test_the_samples_of_a_step_are_made_one(aggregate: str, expected: list[float]) -> None:
    question = Question(selection_of("m", ("node=a",)), NOW - 6, NOW, 3, aggregate)  # type: ignore[arg-type]
    answer = await ask(recent_of(TWO), question)
    assert values_of(answer)["node=a,zone=x"] == pytest.approx(expected)
    assert (answer.window, answer.unit, answer.help) == (Window(NOW - 6, 3, 2), "bytes", "A thing.")


async def test_series_that_are_the_same_but_for_labels_left_out_are_made_one() -> None:
    question = Question(selection_of("m", ()), NOW - 6, NOW, 2, "max", ("zone",), "sum")
    assert values_of(await ask(recent_of(TWO), question)) == {"zone=x": [12, 14, 16]}
    question = Question(selection_of("m", ()), NOW - 6, NOW, 2, "max", (), "min")
    assert values_of(await ask(recent_of(TWO), question)) == {"": [2, 4, 6]}


async def test_of_a_counter_the_rate_is_shown_and_of_a_gauge_there_is_none() -> None:
    counters = recent_of({(("node", "a"),): [0.0, 10, 30, 30]}, counter=True)
    answer = await ask(counters, Question(selection_of("m", ()), NOW - 4, NOW, 1))
    assert (answer.aggregate, values_of(answer)) == ("rate", {"node=a": [None, 10, 20, 0]})
    with pytest.raises(BadQuery, match="no counter"):
        await ask(recent_of(TWO), Question(selection_of("m", ()), NOW - 4, NOW, 1, "rate"))


async def test_a_chart_of_a_quarter_of_an_hour_has_some_300_steps() -> None:
    answer = await ask(recent_of(TWO), Question(selection_of("m", ()), NOW - 900, NOW))
    assert (answer.window.step_s, answer.window.count) == (3, 300)


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("node=a", {"a"}),
        ("node!=a", {"b"}),
        ('node=~"a|b"', {"a", "b"}),
        ("node!~a.*", {"b"}),
        ("absent=", {"a", "b"}),
        ("absent!=", set[str]()),
    ],
)
async def test_conditions_choose_series(text: str, matching: set[str]) -> None:
    answer = await ask(recent_of(TWO), Question(selection_of("m", (text,)), NOW - 6, NOW, 6))
    assert {dict(one.labels)["node"] for one in answer.found} == matching


def test_a_selector_is_read_as_prometheus_writes_it() -> None:
    assert split_selector('m{a="x, y",b=~"z\\\\d",c!="q\\"q"}') == ("m", ("a=x, y", "b=~z\\\\d", 'c!=q"q'))
    assert split_selector(" m ") == ("m", ())
    for text in ("m{", "m{a}", "{a=1}", "m{a=1}", "1m"):
        with pytest.raises(BadQuery):
            split_selector(text)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)*", ".*.*.*", "a" * 201, "(", "(?=a)", "(a)\\1", "[", "(a){2,}"])
def test_a_pattern_that_could_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(BadQuery):
        checked(Matcher("node", "=~", pattern))


def test_the_worst_pattern_that_is_taken_is_over_soon() -> None:
    matcher = checked(Matcher("node", "=~", "(a|a).*a.*b"))
    began = time.process_time()
    assert not matcher.matches(SeriesInfo("m", (("node", "a" * 256),)))
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (Question(Selection("m"), 10, 10), "end is not after"),
        (Question(Selection("m"), 0, 50_000, 1), "steps"),
        (Question(Selection("m"), 0, 10, 1, "", ("1",)), "no name of a label"),
        (Question(Selection("m"), 0, 10, -1), "at least a second"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_a_reason(question: Question, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        await ask(recent_of(TWO), question)


async def test_an_answer_is_bounded() -> None:
    many = {(("node", f"n{number}"),): [1.0] for number in range(60)}
    recent = recent_of(many)
    with pytest.raises(BadQuery, match="the answer would have 60 series"):
        await ask(recent, Question(selection_of("m", ()), NOW - 9000, NOW, 1))
    answer = await ask(recent, Question(selection_of("m", ()), NOW - 9000, NOW, 1, by=()))
    assert len(answer.found) == 1


class _Minutes:
    """A tier that has the number of the minute as its only sample, as long as it has any."""

    def __init__(self, until_s: int, unit: str = "", text: str = "") -> None:
        self._info = SeriesInfo("m", (("node", "a"),), "gauge", unit, text)
        self.asked: list[tuple[int, int]] = []
        self._until_s = until_s

    async def read(self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float) -> Partials:
        self.asked.append((start_s, end_s))
        found = Partials.empty(window, 1)
        found.series = [self._info]
        for minute in range(-(-start_s // 60), -(-min(end_s, self._until_s) // 60)):
            step = (minute * 60 - window.start_s) // window.step_s
            found.number[0, step] += 1
            found.total[0, step] += minute
            found.least[0, step] = np.fmin(found.least[0, step], minute)
            found.most[0, step] = np.fmax(found.most[0, step], minute)
            found.last[0, step] = minute
            found.begin[0, step] = np.fmin(found.begin[0, step], minute * 60)
            found.end[0, step] = np.fmax(found.end[0, step], minute * 60 + 60)
        return found


@pytest.mark.parametrize("now", [6000, 6001, 6059, 6030])
@pytest.mark.parametrize("step", [60, 120, 300])
async def test_two_tiers_are_joined_without_a_minute_twice_or_never(now: int, step: int) -> None:
    old, recent = _Minutes(10**9), Recent(1 << 26)
    entry = recent.entry("a", SeriesInfo("m", (("node", "a"),)), 1)
    assert entry is not None
    held = np.arange(now - 899, now + 1)
    entry.ring.write(np.array([entry.row]), now - 899, (held // 60 * 1.0)[None], np.array([False]), None)
    tiers = Tiers(recent, old, lambda: now, lambda: now - 899)
    window_start = 2400
    answer = await tiers.ask(Question(selection_of("m", ()), window_start, now + 1, step, "min"))
    least = answer.found[0].values
    expected = [(answer.window.start_s + index * step) // 60 for index in range(answer.window.count)]
    assert least.tolist() == expected
    ((asked_from, border),) = old.asked
    assert asked_from == answer.window.start_s
    assert border % 60 == 0
    assert now - 899 <= border < now - 899 + 60
    assert answer.resolution_s == 60


async def test_the_minute_that_memory_has_a_part_of_is_of_one_tier_unless_a_restart_parted_it() -> None:
    now = NOW + 30
    began = now - 899  # within a minute
    recent = Recent(1 << 26)
    entry = recent.entry("a", SeriesInfo("m", (("node", "a"),)), 1)
    assert entry is not None
    entry.ring.write(np.array([entry.row]), began, np.full((1, 899), 1000.0), np.array([False]), None)
    minute = began // 60
    for taken_until_s, most in ((now // 60 * 60, minute), (minute * 60, 1000)):
        tiers = Tiers(recent, _Minutes(10**9), lambda: now, lambda: began, lambda until=taken_until_s: until)
        answer = await tiers.ask(Question(selection_of("m", ()), minute * 60 - 120, now, 60, "max"))
        assert answer.found[0].values[:4].tolist() == [minute - 2, minute - 1, most, 1000]


async def test_a_step_of_seconds_becomes_a_minute_where_there_are_no_seconds() -> None:
    tiers = Tiers(Recent(1 << 26), _Minutes(10**9), lambda: NOW, lambda: NOW - 899)
    answer = await tiers.ask(Question(selection_of("m", ()), NOW - 1500, NOW - 960, 10))
    assert (answer.window.step_s, answer.by_minute_until_s) == (60, 0)
    with pytest.raises(BadQuery, match="p95 needs samples as they came"):
        await tiers.ask(Question(selection_of("m", ()), NOW - 1200, NOW, 10, "p95"))


async def test_older_minutes_are_drawn_as_such_before_what_is_known_by_the_second() -> None:
    """As after a restart, 90 s ago."""
    began = NOW - 90
    recent = recent_of({(("node", "a"),): [float(second % 7) for second in range(85)]})
    tiers = Tiers(recent, _Minutes(began, "bytes", "A thing."), lambda: NOW, lambda: began, lambda: began // 60 * 60)
    for step, expected in ((1, 1), (0, 1), (7, 10), (3, 3)):
        answer = await tiers.ask(Question(selection_of("m", ()), NOW - 300, NOW, step, "last"))
        assert (answer.window.step_s, answer.resolution_s) == (expected, 60)
        assert answer.by_minute_until_s == began, "up to the restart, and not to the end of its minute"
        ((_, cells),) = [(one.labels, one.values) for one in answer.found]
        starts = answer.window.starts()
        old = starts < began
        assert cells[old].tolist() == (starts[old] // 60).tolist(), "of each minute its own value"
        assert np.isnan(cells[~old & (starts + expected <= NOW - 85)]).all(), "nobody sampled then"
        seconds = [min(start + expected, NOW) - 1 - (NOW - 85) for start in starts if start >= NOW - 85]
        assert cells[starts >= NOW - 85].tolist() == [second % 7 for second in seconds]


async def test_what_a_node_kept_while_nexus_was_away_is_shown_by_the_second() -> None:
    """It sends that after the restart, and each sample is looked at once."""
    began = NOW - 30
    old = _Minutes(NOW - 60, "bytes", "A thing.")
    tiers = Tiers(recent_of({(("node", "a"),): [1.0] * 80}), old, lambda: NOW, lambda: began)
    answer = await tiers.ask(Question(selection_of("m", ()), NOW - 120, NOW, 1, "max"))
    assert answer.found[0].values.tolist() == [(NOW - 120) // 60] * 40 + [1.0] * 80
    assert answer.by_minute_until_s == NOW - 80


async def test_many_steps_over_a_long_time_are_whole_minutes() -> None:
    tiers = Tiers(Recent(1 << 26), _Minutes(10**9), lambda: 50_000, lambda: 50_000 - 899)
    for start_s, step_s, expected in ((1_800, 1, 1), (1_802, 1, 60), (36_000, 1, 60), (36_000, 20, 20)):
        answer = await tiers.ask(Question(selection_of("m", ()), 50_000 - start_s, 50_000, step_s))
        assert answer.window.step_s == expected


async def test_more_minutes_than_can_be_drawn_in_small_steps_are_shown_as_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("omnitide.telemetry.series.query.MAX_PARTIAL_CELLS", 120)
    tiers = Tiers(Recent(1 << 26), _Minutes(10**9), lambda: NOW, lambda: NOW - 60)
    for seconds, step_s in ((120, 1), (180, 60)):
        answer = await tiers.ask(Question(selection_of("m", ()), NOW - seconds, NOW, 1))
        assert answer.window.step_s == step_s
        assert answer.by_minute_until_s == (NOW - 60 if step_s == 1 else 0)
        assert answer.found[0].values[0] == (NOW - seconds) // 60


async def test_a_minute_is_drawn_only_where_the_series_was_there() -> None:
    class _Part(_Minutes):
        async def read(
            self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float
        ) -> Partials:
            found = await super().read(selection, start_s, end_s, window, quantile)
            found.begin[:] = np.where(found.number > 0, found.begin + 20, np.nan)
            found.end[:] = np.where(found.number > 0, found.end - 10, np.nan)
            return found

    tiers = Tiers(Recent(1 << 26), _Part(10**9), lambda: NOW, lambda: NOW - 60)
    answer = await tiers.ask(Question(selection_of("m", ()), NOW - 120, NOW, 1))
    known = ~np.isnan(answer.found[0].values)
    assert known.tolist() == [False] * 20 + [True] * 30 + [False] * 70


class _Nothing:
    """A tier of a Nexus that has just begun: it has no minute before `from_s`."""

    def __init__(self, from_s: int) -> None:
        self._from_s = from_s

    async def read(self, selection: Selection, start_s: int, end_s: int, window: Window, quantile: float) -> Partials:
        if end_s <= self._from_s:
            return Partials.empty(window)
        found = await _Minutes(10**9).read(selection, max(start_s, self._from_s // 60 * 60), end_s, window, quantile)
        found.begin = np.fmax(found.begin, self._from_s)
        return found


async def test_all_that_is_kept_by_the_second_can_be_asked_for_by_the_second() -> None:
    """A person asks for 15 minutes; the question takes its time, and the oldest second is gone when it is looked at."""
    tiers = Tiers(recent_of(TWO), _Minutes(10**9), lambda: NOW, lambda: NOW - 899)
    answer = await tiers.ask(Question(selection_of("m", ()), NOW - 901, NOW + 1, 1))
    assert (answer.window.step_s, answer.resolution_s) == (1, 1)
    assert values_of(answer)["node=b,zone=x"] == [None] * 895 + [10.0] * 6 + [None]
    answer = await tiers.ask(Question(selection_of("m", ()), NOW - 920, NOW + 1, 1))
    assert (answer.window.step_s, answer.by_minute_until_s) == (1, NOW - 899)
    older = values_of(answer)["node=a"]
    assert older == [(NOW - 920 + second) // 60 for second in range(21)] + [None] * 900


async def test_a_nexus_that_has_just_begun_has_seconds_and_nothing_before_them() -> None:
    for began in (NOW - 90, NOW - 30):
        tiers = Tiers(recent_of(TWO), _Nothing(began), lambda: NOW, lambda began=began: began)
        answer = await tiers.ask(Question(selection_of("m", ()), NOW - 300, NOW + 1, 1))
        assert (answer.window.step_s, answer.resolution_s) == (1, 1)
        assert values_of(answer)["node=b,zone=x"][-7:] == [10.0] * 6 + [None]
        assert (await tiers.ask(Question(selection_of("m", ()), NOW - 300, NOW + 1, 1, "p95"))).aggregate == "p95"


def test_steps_are_reduced_as_one_would_by_hand() -> None:
    samples = np.array([[1, nan, 3, 4, 5], [nan, nan, 1, nan, nan]], np.float32)
    least, most, total, number, last, quantile = reduce(samples, [0, 0, 1, 1, 3], 4, 0.5)
    np.testing.assert_array_equal(least, [[1, 3, nan, 5], [nan, 1, nan, nan]])
    np.testing.assert_array_equal(most, [[1, 4, nan, 5], [nan, 1, nan, nan]])
    np.testing.assert_array_equal(total, [[1, 7, 0, 5], [0, 1, 0, 0]])
    np.testing.assert_array_equal(number, [[1, 2, 0, 1], [0, 1, 0, 0]])
    np.testing.assert_array_equal(last, [[1, 4, nan, 5], [nan, 1, nan, nan]])
    np.testing.assert_array_equal(quantile, [[1, 3.5, nan, 5], [nan, 1, nan, nan]])


async def test_a_large_question_does_not_hold_the_event_loop() -> None:
    many = {(("node", f"n{number}"),): [1.0] * 300 for number in range(400)}
    recent = recent_of(many)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.ensure_future(count())
    await asyncio.sleep(0)
    answer = await ask(recent, Question(selection_of("m", ()), NOW - 300, NOW, 1, by=()))
    counting.cancel()
    assert answer.found[0].values.tolist() == [400.0] * 300
    assert turns > 1
