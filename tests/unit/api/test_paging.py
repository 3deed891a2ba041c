"""Lists in pages: what is there from the first page to the last is shown exactly once, whatever comes and goes."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec, JobSpec, Resources
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY

SPEC = AgentSpec(command=("x",), resources=Resources(cpu=1, memory=1))


async def page(runtime: MemoryRuntime, operation: str, **fields: Any) -> Any:
    declaration = REGISTRY[operation]
    context = Context(principal="system:test", correlation="c")
    return (await perform(declaration, runtime, context, declaration.input(**fields))).value  # type: ignore[arg-type]


def make_agent(runtime: MemoryRuntime, name: str, replicas: int = 1, namespace: str = "default") -> None:
    runtime.apply(
        cm.DeployAgent(agent=runtime.new_id("agent"), namespace=namespace, name=name, spec=SPEC, replicas=replicas)
    )


async def read_all(runtime: MemoryRuntime, operation: str, limit: int, **fields: Any) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        got = await page(runtime, operation, cursor=cursor, limit=limit, **fields)
        assert len(got.items) <= limit
        items += got.items
        cursor = got.next_cursor
        if not cursor:
            return items


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 1000])
async def test_pages_of_any_size_make_the_same_list(limit: int) -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    for number in range(4):
        make_agent(runtime, f"agent-{number}", replicas=number)
        runtime.apply(
            cm.RunJob(job=f"job-{number}", namespace="default", name=f"job-{number}", spec=JobSpec(command=("x",)))
        )
        runtime.apply(cm.CreateNamespace(name=f"space-{number}"))
        runtime.api_token()
    runtime.settle()
    expected = {
        "agents.list": 4,
        "jobs.list": 4,
        "namespaces.list": 5,
        "nodes.list": 1,
        "tokens.list": len(runtime.state.tokens),
        "instances.list": 6 + 4,
    }
    for operation, count in expected.items():
        items = await read_all(runtime, operation, limit)
        assert len(items) == count, operation
        assert len({repr(item) for item in items}) == count


async def test_instances_come_by_workload_then_by_slot_as_numbers() -> None:
    runtime = MemoryRuntime()
    make_agent(runtime, "web", replicas=12)
    make_agent(runtime, "api", replicas=1)
    names = [item.name for item in await read_all(runtime, "instances.list", 5)]
    assert names == ["api-1.1", *(f"web-{slot}.1" for slot in range(1, 13))]


async def test_every_instance_of_the_state_is_in_the_whole_list() -> None:
    """Also those that are no slot's current one: being stopped, lost, replaced."""
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.add_node("beta")
    make_agent(runtime, "web", replicas=5)
    runtime.apply(cm.RunJob(job="job-1", namespace="default", name="job", spec=JobSpec(command=("x",))))
    runtime.settle()
    node = runtime.nodes["alpha"]
    session = node.session
    runtime.silence("alpha")
    runtime.apply(cm.DeclareLost(node=node.id, session=session, silent_ms=10_000, default_lost_after_ms=1))
    runtime.settle()
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=2))
    listed = await read_all(runtime, "instances.list", 2, all=True)
    assert {item.id for item in listed} == set(runtime.state.instances)
    assert {item.status for item in listed} >= {"lost", "running", "stopping"}


async def test_the_fabrics_counters_are_those_of_a_count_of_all() -> None:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.add_node("beta")
    make_agent(made, "web", replicas=5)
    make_agent(made, "api", replicas=3)
    made.apply(cm.RunJob(job="job-1", namespace="default", name="job", spec=JobSpec(command=("x",))))
    made.settle()
    node = made.nodes["alpha"]
    session = node.session
    made.silence("alpha")
    made.apply(cm.DeclareLost(node=node.id, session=session, silent_ms=10_000, default_lost_after_ms=1))
    made.apply(cm.ScaleAgent(namespace="default", name="web", replicas=9))
    counted = Counter(item.status for item in await read_all(made, "instances.list", 100, all=True))
    shown = (await page(made, "fabric.status")).instances
    assert {status: getattr(shown, status) for status in shown.__struct_fields__ if getattr(shown, status)} == counted


NAMES = st.sampled_from([f"a{number}" for number in range(8)])
CHANGES = st.lists(st.tuples(st.sampled_from(["make", "delete", "scale"]), NAMES, st.integers(0, 6)), max_size=6)


@given(st.lists(st.tuples(NAMES, st.integers(0, 6)), max_size=8), st.lists(CHANGES, max_size=8), st.integers(1, 5))
async def test_what_stays_is_shown_once_while_other_things_come_and_go(
    first: list[tuple[str, int]], rounds: list[list[tuple[str, str, int]]], limit: int
) -> None:
    runtime = MemoryRuntime()
    for name, replicas in dict(first).items():
        make_agent(runtime, name, replicas)
    before = set(runtime.state.instances)
    seen: list[str] = []
    cursor = ""
    changes = iter(rounds)
    while True:
        got = await page(runtime, "instances.list", cursor=cursor, limit=limit, all=True)
        seen += [item.id for item in got.items]
        cursor = got.next_cursor
        if not cursor:
            break
        for change, name, number in next(changes, []):
            known = f"default/{name}" in runtime.state.agent_names
            if change == "make" and not known:
                make_agent(runtime, name, number)
            elif change == "delete" and known:
                runtime.apply(cm.DeleteAgent(namespace="default", name=name))
            elif change == "scale" and known:
                runtime.apply(cm.ScaleAgent(namespace="default", name=name, replicas=number))
    stayed = before & set(runtime.state.instances)
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


async def refused(runtime: MemoryRuntime, operation: str, **fields: Any) -> Failed:
    with pytest.raises(Failed) as caught:
        await page(runtime, operation, **fields)
    return caught.value


async def test_a_cursor_goes_on_only_where_it_came_from() -> None:
    runtime = MemoryRuntime()
    make_agent(runtime, "web", replicas=3)
    cursor = (await page(runtime, "instances.list", limit=1)).next_cursor
    for operation, fields in (
        ("agents.list", {}),
        ("instances.list", {"status": "pending"}),
        ("instances.list", {"agent": "web"}),
    ):
        failure = await refused(runtime, operation, cursor=cursor, **fields)
        assert failure.problem.errors[0].field == "cursor"
        assert failure.problem.status == 422


@given(st.text(max_size=60))
async def test_no_text_is_a_cursor_by_chance(text: str) -> None:
    if text:
        assert (await refused(MemoryRuntime(), "agents.list", cursor=text)).problem.code == "invalid"


async def test_a_cursor_made_up_with_the_wrong_kind_of_key_is_refused() -> None:
    from omnitide.operations.paging import _encode  # type: ignore[attr-defined]

    runtime = MemoryRuntime()
    for key in ((), (1,), ("a", "b"), (True,)):
        cursor = _encode("agents ", 1, key)
        assert (await refused(runtime, "agents.list", cursor=cursor)).problem.code == "invalid"


async def test_a_cursor_from_a_revision_that_is_not_reached_here_waits_and_then_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from omnitide.operations import paging

    monkeypatch.setattr(paging, "_WAIT_S", 0.01)
    runtime = MemoryRuntime()
    cursor = paging._encode("agents ", 10_000, ("default/a",))
    assert (await refused(runtime, "agents.list", cursor=cursor)).problem.code == "behind"


async def test_each_page_names_the_revision_that_it_shows() -> None:
    runtime = MemoryRuntime()
    make_agent(runtime, "a", 3)
    first = await page(runtime, "instances.list", limit=1)
    make_agent(runtime, "b", 1)
    second = await page(runtime, "instances.list", limit=1, cursor=first.next_cursor)
    assert (first.revision, second.revision) == (runtime.state.revision - 1, runtime.state.revision)
