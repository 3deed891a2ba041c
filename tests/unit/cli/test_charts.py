"""Samples as lines of text."""

import pytest

from omnitide.cli.show.charts import amount, chart_lines, sparkline
from omnitide.model.metrics import MetricAnswer, MetricSeries


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8], 9, "▁▂▃▄▅▆▇██"),
        ([0, None, 8], 9, "▁ █"),
        ([0, 8, 0, 0], 2, "█▁"),
        ([None, None], 2, "  "),
        ([], 3, "   "),
    ],
)
def test_a_curve_is_drawn_with_the_highest_of_what_falls_on_one_place(
    values: list[float | None], width: int, expected: str
) -> None:
    assert sparkline(values, width, 0, 8) == expected


@pytest.mark.parametrize(
    ("value", "unit", "rate", "text"),
    [
        (1.5 * (1 << 30), "bytes", False, "1.5 GiB"),
        (2048, "bytes", True, "2.0 KiB/s"),
        (12, "bytes", False, "12 B"),
        (0.251, "seconds", True, "0.251"),
        (0.25, "seconds", False, "0.25 s"),
        (61, "celsius", False, "61 °C"),
        (3, "", True, "3/s"),
        (None, "bytes", False, "-"),
    ],
)
def test_an_amount_has_its_unit_and_processor_time_a_second_is_processors(
    value: float | None, unit: str, rate: bool, text: str
) -> None:
    assert amount(value, unit, rate=rate) == text


def answer(*series: MetricSeries) -> MetricAnswer:
    return MetricAnswer(
        name="m",
        kind="gauge",
        unit="",
        help="",
        aggregate="avg",
        start_ms=0,
        step_ms=1000,
        resolution_ms=1000,
        items=series,
        revision=1,
    )


def test_what_all_series_share_is_said_once() -> None:
    one = MetricSeries(labels={"agent": "web", "node": "alpha"}, values=(1.0, 2.0, None))
    two = MetricSeries(labels={"agent": "web", "node": "beta"}, values=(None, None, None))
    head, titles, first, second = chart_lines(answer(one, two), color=False, width=None)
    assert head == "m  avg  3 s in steps of 1 s  agent=web"
    assert titles.split() == ["SERIES", "NOW", "MIN", "MAX", "OVER", "TIME"]
    assert first.split() == ["node=alpha", "2", "1", "2", "▅█"]
    assert second.split() == ["node=beta", "-", "-", "-"]


def test_the_time_that_was_asked_for_is_said_however_the_steps_lie() -> None:
    one = MetricSeries(labels={}, values=(1.0,) * 61)
    head = chart_lines(answer(one), color=False, width=None, span_ms=60_000)[0]
    assert head == "m  avg  1 m in steps of 1 s"


def test_nothing_known_is_said_in_words() -> None:
    assert chart_lines(answer(), color=False, width=80) == [
        "m  avg: nothing of that is known in this time; its labels: omnitide metrics ls m"
    ]
