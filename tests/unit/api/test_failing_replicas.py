"""A replica that ends again and again is failing, whether or not it runs at this moment: one word in every view."""

import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.api.test_view_hub import Watching, check

from omnitide.fabric import commands as cm
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec, Restart
from omnitide.operations.missing import MISSING
from omnitide.operations.viewing import hub as hub_module
from omnitide.operations.views.failing import changes_at_ms
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.workloads import show_agent

WEB = "web.1.1"
SPEC = AgentSpec(command=("x",), restart=Restart(attempts=2, backoff=8_000, reset_after=60_000))


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=SPEC, replicas=1))
    made.settle()
    return made


def agent(runtime: MemoryRuntime) -> ob.Agent:
    return show_agent(runtime.state, runtime.state.agents["web"], runtime.now_ms())


def instance(runtime: MemoryRuntime, identifier: str = WEB) -> ob.Instance:
    return show_instance(runtime.state, runtime.state.instances[identifier], runtime.now_ms())


async def test_one_end_is_an_accident_and_a_second_soon_after_is_failing(runtime: MemoryRuntime) -> None:
    assert (agent(runtime).status, agent(runtime).failing, instance(runtime).condition) == ("running", 0, "running")
    runtime.exit(WEB, code=7)
    shown = instance(runtime)
    assert (shown.status, shown.condition, shown.ends, shown.failing) == ("starting", "waiting", 1, False)
    assert agent(runtime).status == "degraded"
    runtime.settle()
    assert (agent(runtime).status, instance(runtime).failing) == ("running", False)
    runtime.exit(WEB, code=7)
    assert (instance(runtime).condition, instance(runtime).ends, instance(runtime).failing) == ("waiting", 2, True)
    assert (agent(runtime).status, agent(runtime).failing) == ("failing", 1)


async def test_it_is_failing_while_it_runs_between_two_ends_until_it_has_run_well(runtime: MemoryRuntime) -> None:
    for _ in range(2):
        runtime.exit(WEB, code=7)
        runtime.settle()
    assert (instance(runtime).status, instance(runtime).condition) == ("running", "running")
    assert (instance(runtime).failing, agent(runtime).status, agent(runtime).available) == (True, "failing", 1)
    runtime.tick(60_000)
    assert (instance(runtime).failing, agent(runtime).status, agent(runtime).failing) == (False, "running", 0)


async def test_the_next_generation_waits_for_its_back_off_and_goes_on_failing(runtime: MemoryRuntime) -> None:
    for _ in range(3):
        runtime.exit(WEB, code=7)
        runtime.settle()
    shown = instance(runtime, "web.1.2")
    assert (shown.status, shown.condition, shown.failing) == ("pending", "waiting", True)
    assert agent(runtime).status == "failing"
    assert shown.ends == 3
    runtime.tick(8_000)
    assert instance(runtime, "web.1.2").condition == "pending"


async def test_what_is_no_replica_any_more_has_no_ends_in_a_row(runtime: MemoryRuntime) -> None:
    """It is lost, and another has taken its place and its count."""
    for _ in range(2):
        runtime.exit(WEB, code=7)
        runtime.settle()
    session = runtime.nodes["alpha"].session
    runtime.silence("alpha")
    runtime.apply(cm.DeclareLost(node="n-alpha", session=session, silent_ms=10_000, default_lost_after_ms=1))
    assert (instance(runtime).status, instance(runtime).ends) == ("lost", 0)
    assert instance(runtime, "web.1.2").ends == 2


async def test_one_that_failed_for_good_is_told_before_others_that_still_try(runtime: MemoryRuntime) -> None:
    spec = AgentSpec(command=("x",), restart=Restart(attempts=2, reschedules=0))
    runtime.apply(cm.DeployAgent(agent="db", namespace="default", name="db", spec=spec, replicas=2))
    runtime.settle()
    for identifier, times in (("db.1.1", 3), ("db.2.1", 2)):
        for _ in range(times):
            runtime.exit(identifier, code=7)
            runtime.settle()
    shown = show_agent(runtime.state, runtime.state.agents["db"], runtime.now_ms())
    assert (shown.status, shown.failing, shown.counts.failed, shown.running) == ("degraded", 1, 1, 1)


async def test_what_waits_for_a_value_that_there_is_none_of_is_not_failing(runtime: MemoryRuntime) -> None:
    """However often it was tried: it starts when somebody sets that, and nothing is wrong with it itself."""
    for _ in range(2):
        runtime.settle()
        runtime.exit(WEB, code=None, cause=MISSING)
    shown = instance(runtime)
    assert (shown.condition, shown.ends, shown.failing) == ("waiting", 2, False)
    assert (agent(runtime).status, agent(runtime).failing) == ("degraded", 0)
    runtime.settle()
    runtime.exit(WEB, code=7)
    assert instance(runtime, runtime.state.agents["web"].slots[1].current).failing, "any other end counts as before"


async def test_what_is_stopped_or_has_failed_for_good_is_not_failing(runtime: MemoryRuntime) -> None:
    for _ in range(2):
        runtime.exit(WEB, code=7)
        runtime.settle()
    runtime.apply(cm.StopAgent(namespace="default", name="web"))
    assert (agent(runtime).status, agent(runtime).failing, instance(runtime).failing) == ("stopped", 0, False)
    never = AgentSpec(command=("x",), restart=Restart(policy="on-failure", attempts=1, reschedules=0))
    runtime.apply(cm.DeployAgent(agent="once", namespace="default", name="once", spec=never, replicas=1))
    runtime.settle()
    for _ in range(2):
        runtime.exit("once.1.1", code=7)
        runtime.settle()
    shown = show_agent(runtime.state, runtime.state.agents["once"], runtime.now_ms())
    assert (shown.status, shown.failing, shown.counts.failed) == ("degraded", 0, 1)


async def test_only_what_time_will_show_otherwise_is_looked_at_again(runtime: MemoryRuntime) -> None:
    """Each other instance would cost a look each second, for nothing."""

    def due(identifier: str = WEB) -> int:
        return changes_at_ms(runtime.state.agents, runtime.state.instances[identifier], runtime.now_ms())

    assert due() == 0, "it has never ended"
    runtime.exit(WEB, code=7)
    runtime.settle()
    assert due() == runtime.state.instances[WEB].started_ms + 60_000
    runtime.tick(60_000)
    assert due() == 0, "it has run well"
    while WEB in runtime.state.instances:
        runtime.exit(WEB, code=7)
        runtime.settle()
    assert due("web.1.2") == runtime.state.instances["web.1.2"].not_before_ms > runtime.now_ms()
    runtime.tick(8_000)
    assert due("web.1.2") == 0, "it only waits for a node now"


async def test_a_view_says_so_and_when_it_is_over_without_anything_happening(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LOOK_S", 0.01)
    watching = Watching(runtime)
    await check(runtime, watching)
    for _ in range(2):
        runtime.exit(WEB, code=7)
        runtime.settle()
    await check(runtime, watching)
    assert watching.objects["agent"]["web"]["status"] == "failing"
    assert watching.objects["instance"][WEB]["failing"]
    runtime.tick(60_000)
    while watching.objects["agent"]["web"]["status"] != "running" or watching.objects["instance"][WEB]["failing"]:
        await watching.take()
    await watching.close()
