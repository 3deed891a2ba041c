"""Series as text: by Prometheus's own parsers, in both formats, whatever agents call theirs."""

from importlib import import_module
from typing import Any

import pytest

from omnitide.telemetry.series.exposition import Sample, exposition
from support.prometheus import promtool

OPEN = "application/openmetrics-text; version=1.0.0"


def families(samples: list[Sample], accept: str) -> dict[str, Any]:
    text, kind = exposition(samples, accept)
    parser = import_module(f"prometheus_client{'.openmetrics' if kind.startswith(OPEN[:28]) else ''}.parser")
    return {one.name: one for one in parser.text_string_to_metric_families(text.decode())}


def gauge(name: str, value: float = 1.0, **labels: str) -> Sample:
    return Sample(name, tuple(sorted(labels.items())), "gauge", "", "What.", value)


def counter(name: str, value: float = 1.0, **labels: str) -> Sample:
    return Sample(name, tuple(sorted(labels.items())), "counter", "", "What.", value)


def values(found: dict[str, Any]) -> dict[str, float]:
    return {sample.name: sample.value for family in found.values() for sample in family.samples}


@pytest.mark.parametrize("accept", ["", OPEN])
def test_every_series_keeps_its_name_whatever_its_kind(accept: str) -> None:
    """An agent's own: the parts of a histogram are counters whose names do not end as a counter's."""
    samples = [
        counter("took_seconds_bucket", 3.0, le="1"),
        counter("took_seconds_count", 4.0),
        counter("hits_total", 5.0),
    ]
    assert values(families(samples, accept)) == {
        "took_seconds_bucket": 3.0,
        "took_seconds_count": 4.0,
        "hits_total": 5.0,
    }


@pytest.mark.parametrize("accept", ["", OPEN])
def test_two_agents_that_mean_different_things_by_one_name_do_not_spoil_the_page(accept: str) -> None:
    samples = [gauge("jobs", 1.0, agent="a"), counter("jobs_total", 2.0, agent="b"), counter("jobs", 3.0, agent="c")]
    found = families(samples, accept)
    assert sum(len(family.samples) for family in found.values()) == 3
    assert values(found)["jobs_total"] == 2.0


def test_a_sample_has_the_time_at_which_it_was_taken() -> None:
    sample = gauge("load")._replace(at_s=1_700_000_000)
    assert exposition([sample], "")[0].endswith(b"load 1.0 1700000000000\n")
    assert b"load 1.0 1700000000\n" in exposition([sample], OPEN)[0]


@pytest.mark.parametrize("accept", ["", OPEN])
def test_a_histogram_is_one(accept: str) -> None:
    parts = {"bucket": 1.0, "sum": 0.5, "count": 1.0}
    samples = [
        Sample(
            f"took_seconds_{part}",
            (("le", "+Inf"),) if part == "bucket" else (),
            "histogram",
            "seconds",
            "Time.",
            value,
        )
        for part, value in parts.items()
    ]
    found = families(samples, accept)["took_seconds"]
    assert found.type == "histogram"
    assert values({"took_seconds": found}) == {f"took_seconds_{part}": value for part, value in parts.items()}


def test_promtool_finds_nothing_wrong_with_a_page_of_both() -> None:
    page, _ = exposition([gauge("omnitide_nodes", status="live"), counter("omnitide_samples_total")], "")
    checked = promtool("check", "metrics", stdin=page.decode())
    assert (checked.returncode, checked.stderr) == (0, "")
