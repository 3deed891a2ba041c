"""What wants an eye when no node is live, and of nodes that were stopped: what is the case first, what follows not."""

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.nodes.nodes import _driver
from omnitide.cli.top.words import node_state
from omnitide.fabric import commands as cm
from omnitide.model import inventory as inv
from omnitide.model.spec import AgentSpec, Constraint, Resources
from omnitide.operations.concerns import concerns
from omnitide.operations.views.inventory import show_node

SMALL = AgentSpec(command=("x",))
ON_THE_MOON = AgentSpec(command=("x",), constraints=(Constraint(label="zone", values=("moon",)),))
DEAD = "no node is live: nothing runs that is known of"


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    return made


def deploy(runtime: MemoryRuntime, name: str, spec: AgentSpec = SMALL, *, replicas: int = 1) -> None:
    runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=spec, replicas=replicas))
    runtime.settle()


async def found(runtime: MemoryRuntime) -> list[inv.Concern]:
    return list(await concerns(runtime, runtime.state, runtime.now_ms()))


async def texts(runtime: MemoryRuntime) -> dict[str, str]:
    told = await found(runtime)
    assert len({one.subject for one in told}) == len(told), "one thing is told of once"
    return {one.subject: one.text for one in told}


class TestNoLiveNode:
    async def test_that_is_the_first_and_says_since_when(self, runtime: MemoryRuntime) -> None:
        runtime.add_node("beta")
        deploy(runtime, "web", replicas=2)
        runtime.silence("alpha")
        assert all(one.subject != "fabric" for one in await found(runtime))
        runtime.tick(5_000)
        runtime.silence("beta")
        silent_ms = runtime.state.time_ms
        runtime.tick(20_000)
        first, *others = await found(runtime)
        assert (first.subject, first.text, first.since_ms) == ("fabric", DEAD, silent_ms)
        assert [one.subject for one in others] == ["node alpha", "node beta"]

    async def test_what_only_waits_for_one_is_counted_there_and_no_concern_of_its_own(
        self, runtime: MemoryRuntime
    ) -> None:
        runtime.silence("alpha")
        for number in range(9):
            deploy(runtime, f"web{number}", replicas=2)
        deploy(runtime, "apollo", ON_THE_MOON)
        runtime.tick(20_000)
        told = await texts(runtime)
        assert list(told) == ["fabric", "node alpha", "agent default/apollo"]
        assert told["fabric"] == f"{DEAD}; 19 pending wait for one"

    async def test_a_fabric_that_no_node_has_joined_says_so_in_its_own_words(self) -> None:
        empty = MemoryRuntime()
        assert await found(empty) == []


async def test_each_that_waits_says_why(runtime: MemoryRuntime) -> None:
    deploy(runtime, "full", AgentSpec(command=("x",), resources=Resources(cpu=3900)))
    for number in range(12):
        deploy(runtime, f"web{number:02}", AgentSpec(command=("x",), resources=Resources(cpu=200)))
    runtime.tick(20_000)
    told = await found(runtime)
    assert len(told) == 12
    assert all("; 0 of 1 node has it" in one.text for one in told)


@pytest.mark.parametrize("closed", ["offline", "draining"])
async def test_a_reason_that_lasts_stays_the_reason_while_nodes_are_away_or_closed(
    runtime: MemoryRuntime, closed: str
) -> None:
    # Whoever places here asks no constraint.
    runtime.apply(cm.DeployAgent(agent="apollo", namespace="default", name="apollo", spec=ON_THE_MOON, replicas=1))
    if closed == "offline":
        runtime.add_node("beta")
        runtime.silence("alpha")
        runtime.silence("beta")
    else:
        runtime.apply(cm.DrainNode(node="alpha"))
    runtime.tick(20_000)
    (text,) = [text for subject, text in (await texts(runtime)).items() if subject.endswith("apollo")]
    assert "needs zone = moon" in text
    (waits,) = runtime.state.pending
    told = await runtime.explain(waits, 0)
    assert told.reasons[0].rule == "constraint"
    assert {"offline": "are offline", "draining": "closed to new instances"}[closed] in told.text


class TestAReplicaThatEndsAgainAndAgain:
    async def test_nothing_is_told_of_its_ends_while_nothing_is_heard_of_it(self, runtime: MemoryRuntime) -> None:
        runtime.add_node("beta")
        runtime.apply(cm.CordonNode(node="beta"))
        deploy(runtime, "crasher")
        for _ in range(3):
            runtime.exit(next(iter(runtime.state.instances)), code=1)
            runtime.settle(in_no_time=True)
        assert "end again and again" in (await texts(runtime))["agent default/crasher"]
        runtime.silence("alpha")
        assert list(await texts(runtime)) == ["node alpha"]


class TestAStoppedNode:
    @pytest.mark.parametrize("back_within_ms", [0, 30_000])
    async def test_its_drivers_are_no_news(self, runtime: MemoryRuntime, back_within_ms: int) -> None:
        runtime.add_node("beta")
        node = runtime.nodes["alpha"]
        facts = runtime.state.nodes["n-alpha"].facts
        off = tuple(replace(one, healthy=False, detail="this node is being shut down") for one in facts.drivers)
        assert off
        runtime.apply(cm.ChangeNodeFacts(node="n-alpha", session=node.session, facts=replace(facts, drivers=off)))
        runtime.apply(
            cm.DepartNode(
                node="n-alpha", session=node.session, reason="off", back_within_ms=back_within_ms, stopped=True
            )
        )
        assert await texts(runtime) == {"node alpha": "stopped by its operator 0 ms ago"}
        shown = show_node(runtime.state.nodes["n-alpha"], None)
        assert _driver(shown, shown.drivers[0]) == "process"
        assert node_state(shown).told == "stopped, by its operator"
