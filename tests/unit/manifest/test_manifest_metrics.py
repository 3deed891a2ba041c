"""`[metrics]`: what may be said of an agent's own endpoint, and what is wrong with it."""

import pytest

from omnitide.model.checks import spec_faults
from omnitide.model.scrape import Metrics
from omnitide.model.spec import AgentSpec, Port

TWO = {"http": Port(), "admin": Port()}


@pytest.mark.parametrize(
    ("metrics", "ports", "expected"),
    [
        (Metrics(), {"http": Port()}, []),
        (Metrics(port="admin", interval=300_000), TWO, []),
        (Metrics(), TWO, [("metrics", "port")]),
        (Metrics(), {}, [("metrics", "port")]),
        (Metrics(port="other"), TWO, [("metrics", "port")]),
        (Metrics(port="http", interval=300_001), TWO, [("metrics", "interval")]),
    ],
)
def test_it_names_a_port_that_there_is(
    metrics: Metrics, ports: dict[str, Port], expected: list[tuple[str, str]]
) -> None:
    spec = AgentSpec(command=("serve",), ports=ports, metrics=metrics)
    assert [fault.path for fault in spec_faults(spec)] == expected


def test_left_out_it_is_left_out() -> None:
    assert AgentSpec(command=("serve",)).metrics is None
    assert (Metrics().path, Metrics().interval) == ("/metrics", 15_000)
