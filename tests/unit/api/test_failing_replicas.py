"""A replica that ends again and again is failing, whether or not it runs at this moment: one word in every view."""

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.api.test_view_hub import Watching, check

from omnitide.cli.agents.agents import notes_of
from omnitide.cli.agents.history import _works
from omnitide.cli.fabric.status import _states
from omnitide.cli.show.table import Cell
from omnitide.cli.top.words import agent_state
from omnitide.fabric import commands as cm
from omnitide.fabric.rules.failing import halted_by
from omnitide.fabric.state import InstanceStatus
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec, Restart
from omnitide.operations import concerns as concerns_module
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_agent
from omnitide.operations.missing import MISSING
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.viewing import hub as hub_module
from omnitide.operations.views import failing as failing_module
from omnitide.operations.views.failing import LONG_PENDING_MS, changes_at_ms
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


async def test_one_that_ends_again_and_again_is_not_counted_a_second_time_for_what_it_does_now(
    runtime: MemoryRuntime,
) -> None:
    runtime.exit(WEB, code=7)
    runtime.settle()
    runtime.exit(WEB, code=7)
    told = (await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)).text
    begins = "0 of 1 replicas are known to run, 1 ends again and again; of these 1 starting, such as web-1.1: waits "
    assert told.startswith(begins)


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


async def test_what_waits_for_a_node_for_long_is_not_failing_whatever_it_did_before(runtime: MemoryRuntime) -> None:
    """The verdict, the counters and the agent's status tell of one fabric."""
    for _ in range(3):
        runtime.exit(WEB, code=7)
        runtime.settle()
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.SuspectNode(node="n-alpha", session=session, cause="silent"))
    not_before_ms = runtime.state.instances["web.1.2"].not_before_ms
    runtime.tick(not_before_ms + LONG_PENDING_MS - runtime.now_ms())
    assert (instance(runtime, "web.1.2").failing, agent(runtime).status) == (True, "failing"), "it may be placed yet"
    runtime.tick(1)
    assert (instance(runtime, "web.1.2").failing, agent(runtime).failing) == (False, 0)
    assert agent_state(agent(runtime)).text == "waiting"
    first = (await concerns(runtime, runtime.state, runtime.now_ms()))[0]
    assert first.text == "no node is live: nothing runs that is known of; 1 pending waits for one"


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
    not_before_ms = runtime.state.instances["web.1.2"].not_before_ms
    runtime.tick(8_000)
    assert due("web.1.2") == not_before_ms + LONG_PENDING_MS + 1
    runtime.tick(LONG_PENDING_MS + 1)
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


async def test_of_more_replicas_than_are_looked_at_what_is_counted_is_told_as_a_part(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=4))
    runtime.settle()
    for _ in range(2):
        for slot in (1, 2, 3):
            runtime.exit(f"web.{slot}.1", code=7)
        runtime.settle()

    async def told() -> tuple[list[str], list[str], str, str, str]:
        shown = agent(runtime)
        assert shown.failing_at_least == (failing_module.EXAMINED_SLOTS < 4)
        declaration = REGISTRY["fabric.status"]
        context = Context(principal="system:test", correlation="c")
        status = (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]
        (concern,) = await concerns(runtime, runtime.state, runtime.now_ms())
        explained = (await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)).text
        notes = notes_of(shown.counts, shown.failing, at_least=shown.failing_at_least)
        return notes, _states(status), agent_state(shown).more, concern.text, explained

    notes, states, top, concern, explained = await told()
    assert (notes, states) == (["3 failing"], ["1 running", "3 failing"])
    assert top == "3 replicas end again and again"
    assert concern.startswith("3 of 4 end again and again, such as ")
    assert ", 3 end again and again" in explained

    monkeypatch.setattr(failing_module, "EXAMINED_SLOTS", 2)
    monkeypatch.setattr(concerns_module, "SAMPLED_SLOTS", 2)
    notes, states, top, concern, explained = await told()
    assert (notes, states) == (["at least 2 failing"], ["2 running", "at least 2 failing"])
    assert top == "at least 2 replicas end again and again"
    assert concern.startswith("at least 2 of 4 end again and again, such as ")
    assert ", at least 2 end again and again" in explained


async def asked_versions(runtime: MemoryRuntime, name: str = "web") -> tuple[ob.AgentVersion, ...]:
    declaration = REGISTRY["agents.versions"]
    context = Context(principal="system:test", correlation="c")
    asked = declaration.input(namespace="default", name=name)
    return (await perform(declaration, runtime, context, asked)).value.items  # type: ignore[arg-type]


async def faults(runtime: MemoryRuntime) -> list[tuple[int, bool, str]]:
    return [(one.number, one.proven, one.fault) for one in await asked_versions(runtime)]


async def test_of_a_version_that_has_failed_it_is_known_that_it_does_not_work(runtime: MemoryRuntime) -> None:
    assert await faults(runtime) == [(1, True, "")]
    for number in (2, 3):
        spec = replace(SPEC, command=("y", str(number)))
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec))
        assert (await faults(runtime))[0] == (number, False, ""), "it has not been tried"
        for _ in range(10):
            if halted_by(runtime.state, runtime.state.agents["web"]):
                break
            runtime.settle(in_no_time=True)
            for one in runtime.state.instances.values():
                if one.version == number and one.status is InstanceStatus.RUNNING:
                    runtime.exit(one.id, code=7)
                    break
        ((_, proven, fault), *before) = await faults(runtime)
        assert not proven
        assert fault.startswith("web-1."), fault
        assert " times in a row before it was available" in fault
    assert before == [(2, False, "web-1 ended again and again before it was available"), (1, True, "")]
    told = [_works(version) for version in (await asked_versions(runtime))]
    assert [one.text if isinstance(one, Cell) else one for one in told] == ["no", "no", "yes"]


async def test_a_first_version_that_ends_again_and_again_does_not_work_as_long_as_it_does(
    runtime: MemoryRuntime,
) -> None:
    new = replace(SPEC, command=("z",))
    runtime.apply(cm.DeployAgent(agent="new", namespace="default", name="new", spec=new, replicas=1))
    for _ in range(2):
        runtime.settle()
        runtime.exit("new.1.1", code=7)
    (version,) = await asked_versions(runtime, "new")
    assert (version.proven, version.fault) == (False, "new-1.1 ends again and again")
