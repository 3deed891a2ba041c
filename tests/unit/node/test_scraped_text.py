"""What an instance's endpoint answers: kinds, names of labels, and what is left out."""

import pytest

from omnitide.node.metrics.exposition import MAX_SAMPLES, ScrapedSeries, Unreadable

TEXT = """# HELP hits_total Questions.
# TYPE hits_total counter
hits_total{path="/",instance="x"} 7
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 0.5
took_seconds_count 4
# TYPE room gauge
room 42
odd NaN
"""
OPEN = """# TYPE took_seconds counter
# UNIT took_seconds seconds
# HELP took_seconds Time.
took_seconds_total 1.5
took_seconds_created 1700000000
# EOF
"""


def taken(scraped: ScrapedSeries, text: str, kind: str = "text/plain") -> tuple[dict[str, float], int]:
    found, left_out = scraped.take(text, kind)
    return {
        f"{one.name}{{{','.join(f'{key}={value}' for key, value in one.labels)}}} {one.kind}": value
        for one, value in found.items()
    }, left_out


def test_kinds_are_as_declared_and_labels_that_are_ours_are_renamed() -> None:
    found, left_out = taken(ScrapedSeries("i1", 15_000, 100), TEXT)
    assert left_out == 0
    assert found.pop("odd{instance=i1} gauge") != 0
    assert found == {
        "hits_total{exported_instance=x,instance=i1,path=/} counter": 7,
        "took_seconds_bucket{instance=i1,le=0.1} counter": 3,
        "took_seconds_bucket{instance=i1,le=+Inf} counter": 4,
        "took_seconds_sum{instance=i1} counter": 0.5,
        "took_seconds_count{instance=i1} counter": 4,
        "room{instance=i1} gauge": 42,
    }


def test_open_metrics_has_units_and_times_of_creation_that_are_no_samples() -> None:
    scraped = ScrapedSeries("i1", 15_000, 100)
    found, _ = scraped.take(OPEN, "application/openmetrics-text; version=1.0.0")
    ((series, value),) = found.items()
    assert (series.name, series.unit, series.help, series.kind, value) == (
        "took_seconds_total",
        "seconds",
        "Time.",
        "counter",
        1.5,
    )


def test_of_too_many_series_those_that_were_taken_stay() -> None:
    scraped = ScrapedSeries("i1", 1000, 3)
    first, left_out = taken(scraped, "".join(f"m{number} 1\n" for number in range(5)))
    assert (sorted(first), left_out) == ([f"m{number}{{instance=i1}} gauge" for number in range(3)], 2)
    assert scraped.refused == {"m3": 1, "m4": 1}, "what was left out, by name"
    again, left_out = taken(scraped, "new 1\n" + "".join(f"m{number} 1\n" for number in range(2)))
    assert (len(again), left_out) == (3, 0), "what is gone makes room"
    assert taken(scraped, "new 1\nm0 1\nm1 1\nm7 1\n")[1] == 1


@pytest.mark.parametrize(
    "line", ["omnitide_node_load1 7", f'm{{a="{"x" * 300}"}} 1', f"{'m' * 300} 1"], ids=["ours", "label", "name"]
)
def test_what_cannot_be_taken_is_left_out_and_counted(line: str) -> None:
    found, left_out = taken(ScrapedSeries("i1", 1000, 10), f"{line}\nfine 1\n")
    assert (list(found), left_out) == (["fine{instance=i1} gauge"], 1)


@pytest.mark.parametrize("text", ["<html>", "m{ 1", "m one", 'm{a="b} 1'])
def test_what_is_none_of_prometheus_formats_is_told_as_such(text: str) -> None:
    with pytest.raises(Unreadable):
        ScrapedSeries("i1", 1000, 10).take(text, "text/plain")


def test_no_more_than_so_many_lines_are_looked_at() -> None:
    with pytest.raises(Unreadable, match="more than"):
        ScrapedSeries("i1", 1000, 10).take("m 1\n" * (MAX_SAMPLES + 1), "")
