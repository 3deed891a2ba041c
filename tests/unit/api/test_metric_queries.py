"""The question for samples as the API asks it: times in milliseconds, and which nodes somebody now looks at."""

from typing import Any

import numpy as np
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.model.metrics import MetricAnswer
from omnitide.model.spec import AgentSpec, Resources
from omnitide.operations.failures import Failed
from omnitide.operations.metrics import (
    MAX_WATCHED,
    OPERATIONS,
    ListMetricsRequest,
    QueryMetricsRequest,
    ReadUseRequest,
)
from omnitide.operations.operation import Context
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.query import Answer, Found, Question, Window
from omnitide.telemetry.series.recent import INSTANCE_MEMORY

BY_NAME = {one.name: one for one in OPERATIONS}


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    for number in range(MAX_WATCHED + 1):
        made.add_node(f"n{number}")
    return made


async def ask(runtime: MemoryRuntime, request: QueryMetricsRequest) -> MetricAnswer:
    answer = await BY_NAME["metrics.query"].handler(runtime, Context("user:test", "c1"), request)
    found = answer.value
    assert isinstance(found, MetricAnswer)
    return found


def sample(runtime: MemoryRuntime, node: str, values: list[float], kind: str = "gauge") -> None:
    """One a second, up to now."""
    recent, now = runtime.metrics().recent, runtime.metrics().now_s()
    info = SeriesInfo("m", (("node", node),), kind, "bytes", "A thing.")  # type: ignore[arg-type]
    entry = recent.entry(f"n-{node}", info, 1)
    assert entry is not None
    data = np.array([values])
    counters = np.array([kind == "counter"])
    entry.ring.write(np.array([entry.row]), now + 1 - len(values), data, counters, np.isnan(data))


async def test_times_are_milliseconds_whatever_they_are_kept_in(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Question] = []
    values = np.array([1.0, np.nan, np.inf, -np.inf])

    async def answer(question: Question) -> Answer:
        asked.append(question)
        found = (Found((("node", "n0"),), values),)
        return Answer(Window(1_200, 20, 4), "max", "gauge", "bytes", "A thing.", found, 60, by_minute_until_s=1_260)

    monkeypatch.setattr(runtime.metrics(), "ask", answer)
    shown = await ask(
        runtime,
        QueryMetricsRequest(
            name='m{zone="x"}', match=("node=n0",), start_ms=1_200_999, end_ms=1_280_001, step_ms=1_001, by=("*",)
        ),
    )
    (question,) = asked
    assert (question.start_s, question.end_s, question.step_s) == (1_200, 1_281, 2), "all of the time is asked for"
    assert [(one.label, one.value) for one in question.selection.matchers] == [("zone", "x"), ("node", "n0")]
    assert question.by is None
    assert (shown.start_ms, shown.step_ms, shown.resolution_ms) == (1_200_000, 20_000, 60_000)
    assert shown.by_minute_until_ms == 1_260_000
    assert (shown.aggregate, shown.kind, shown.unit, shown.help) == ("max", "gauge", "bytes", "A thing.")
    assert [(one.labels, one.values) for one in shown.items] == [({"node": "n0"}, (1.0, None, None, None))]
    for by, kept in (((), None), (("-",), ()), (("zone", "-"), ("zone",))):
        await ask(runtime, QueryMetricsRequest(name="m", by=by))
        assert asked[-1].by == kept


async def test_a_time_of_nothing_or_less_is_before_now_and_what_is_to_come_is_not_asked_for(
    runtime: MemoryRuntime,
) -> None:
    sample(runtime, "n0", [1.0, 2.0, 3.0])
    now_ms = runtime.metrics().now_s() * 1000
    shown = await ask(runtime, QueryMetricsRequest(name="m", start_ms=-2_000, step_ms=1_000))
    assert (shown.start_ms, shown.items[0].values) == (now_ms - 2_000, (1.0, 2.0, 3.0))
    shown = await ask(runtime, QueryMetricsRequest(name="m", start_ms=-2_000, end_ms=now_ms + 60_000, step_ms=1_000))
    assert shown.items[0].values == (1.0, 2.0, 3.0)
    with pytest.raises(Failed, match="before 1970"):
        await ask(runtime, QueryMetricsRequest(name="m", start_ms=-now_ms - 1_000))
    with pytest.raises(Failed, match="aggregate: m is no counter"):
        await ask(runtime, QueryMetricsRequest(name="m", aggregate="rate"))


@pytest.mark.parametrize(
    ("nodes", "asked", "watched"),
    [
        (1, {}, True),
        (MAX_WATCHED, {}, True),
        (MAX_WATCHED + 1, {}, False),
        (1, {"step_ms": 2_000}, True),
        (1, {"step_ms": 3_000}, False),
        (1, {"end_ms": -5_000}, True),
        (1, {"end_ms": -7_000}, False),
        (2, {"by": ("-",)}, True),
        (MAX_WATCHED + 1, {"by": ("-",)}, False),
    ],
)
async def test_who_asks_for_the_newest_seconds_of_a_few_nodes_looks_at_them(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch, nodes: int, asked: dict[str, Any], watched: bool
) -> None:
    found: list[str] = []
    monkeypatch.setattr(runtime.metrics(), "watch_node", found.append)
    names = [f"n{number}" for number in range(nodes)]
    for name in names:
        sample(runtime, name, [1.0] * 60)
    await ask(runtime, QueryMetricsRequest(name="m", **{"start_ms": -30_000, "step_ms": 1_000, **asked}))
    assert found == ([f"n-{name}" for name in names] if watched else [])


async def test_samples_of_a_node_that_has_gone_meanwhile_are_shown_and_nobody_is_watched_for_them(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(runtime.metrics(), "watch_node", found.append)
    sample(runtime, "gone", [1.0] * 10)
    sample(runtime, "n0", [2.0] * 10)
    shown = await ask(runtime, QueryMetricsRequest(name="m", start_ms=-5_000, step_ms=1_000))
    assert [one.labels["node"] for one in shown.items] == ["gone", "n0"]
    assert found == ["n-n0"]


async def test_the_row_of_an_agent_is_of_each_of_its_replicas(runtime: MemoryRuntime) -> None:
    spec = AgentSpec(command=("x",), resources=Resources(cpu=1, memory=1))
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=3))
    runtime.settle()
    runtime.tick(60_000)
    recent, now = runtime.metrics().recent, runtime.metrics().now_s()
    for one in runtime.state.instances.values():
        entry = recent.entry(one.node, SeriesInfo(INSTANCE_MEMORY, (("instance_id", one.id), ("node", one.node))), 1)
        assert entry is not None
        entry.ring.write(np.array([entry.row]), now - 59, np.full((1, 60), 10.0), np.array([False]), None)
    handler = BY_NAME["metrics.use"].handler
    asked = ReadUseRequest(instance=("web.1.1",), agent=("web", "nothing"), node=("n-n0",))
    shown = (await handler(runtime, Context("user:test", "c1"), asked)).value
    assert {one.id: one.instances for one in shown.items} == {"web": 3, "web.1.1": 1}
    assert shown.step_ms == 5_000
    of = {one.id: one.memory_bytes for one in shown.items}
    assert (of["web"][-5], of["web.1.1"][-5]) == (30, 10)


async def test_a_name_is_listed_with_how_many_values_each_label_has(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("n0", "n1"):
        sample(runtime, name, [1.0], kind="counter")
    handler = BY_NAME["metrics.list"].handler
    listed = (await handler(runtime, Context("user:test", "c1"), ListMetricsRequest())).value
    (one,) = listed.items
    assert (one.name, one.kind, one.unit, one.series, one.labels) == ("m", "counter", "bytes", 2, {"node": 2})
    assert (listed.series, listed.dropped, listed.dropped_by) == (2, 0, {})
    assert 0 < listed.memory_bytes <= listed.memory_bound_bytes
    none = (await handler(runtime, Context("user:test", "c1"), ListMetricsRequest(prefix="x"))).value
    assert none.items == ()
    monkeypatch.setattr("omnitide.operations.metrics.MAX_NAMES", 0)
    with pytest.raises(Failed, match="1 names begin so"):
        await handler(runtime, Context("user:test", "c1"), ListMetricsRequest())
