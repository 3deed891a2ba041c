"""`omnitide metrics query`: a name that is not there is not an answer of nothing."""

import pytest

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.metrics.metrics import check_metric

KNOWN = (
    "omnitide_node_cpu_used_seconds_total",
    "omnitide_node_load1",
    "omnitide_node_memory_total_bytes",
    "omnitide_node_memory_used_bytes",
    "http_requests_total",
)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("omnitide_node_memory_used", "omnitide_node_memory_used_bytes"),
        ("omnitide_node_laod1", "omnitide_node_load1"),
        ("memory_used", "omnitide_node_memory_used_bytes"),
        ("http_request_total", "http_requests_total"),
    ],
)
def test_an_unknown_name_is_an_error_with_names_that_are_near(name: str, near: str) -> None:
    with pytest.raises(Failure) as refused:
        check_metric(name, KNOWN)
    assert refused.value.code is Exit.NOT_FOUND
    assert refused.value.what == f"there is no metric {name!r}"
    assert refused.value.hint.startswith(f"did you mean {near}")


def test_with_nothing_near_the_list_is_named() -> None:
    with pytest.raises(Failure) as refused:
        check_metric("zzz", KNOWN)
    assert refused.value.hint == "omnitide metrics ls"


def test_a_known_name_and_a_fabric_without_samples_are_no_error() -> None:
    check_metric("omnitide_node_load1", KNOWN)
    check_metric("omnitide_node_load1", ())
