"""What is seen of instances whose runtime does not answer its node: that, since when, and what was known last."""

import pytest
from tests.support.honest import facts
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.state import DriverFact, Health
from omnitide.model.probes import Probe, Probes
from omnitide.model.services import ServiceEndpoint
from omnitide.model.spec import AgentSpec, Port
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_agent, explain_instance
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.reaching import ARCHIVE, EXEC, EXTRACT, FORWARD, prepare
from omnitide.operations.services import show_service
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.inventory import show_node
from omnitide.operations.views.silence import Hidden
from omnitide.operations.views.workloads import show_agent

DOCKER = DriverFact(name="docker", enforces=("cpu", "memory", "pids"))
AWAY = DriverFact(name="docker", healthy=False, silent=True, detail="the engine has hung up")
PROCESS = DriverFact(name="process", enforces=("cpu", "memory", "pids"))
WEB = "web.1.1"
HTTP = Probe(type="http")
CHECK = Probe(type="exec", command=("check",))


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha", drivers=(DOCKER, PROCESS))
    return made


def deploy(runtime: MemoryRuntime, health: Probes | None = None, driver: str = "docker", name: str = "web") -> None:
    spec = AgentSpec(command=("x",), driver=driver, ports={"http": Port()}, health=health or Probes())
    runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=spec, replicas=1))
    runtime.settle()


def tell(runtime: MemoryRuntime, driver: DriverFact) -> None:
    session = runtime.nodes["alpha"].session
    told = facts(address="127.0.0.1", drivers=(driver, PROCESS))
    runtime.apply(cm.ChangeNodeFacts(node="n-alpha", session=session, facts=told), principal="node:n-alpha")


def say(runtime: MemoryRuntime, health: Health) -> None:
    node = runtime.nodes["alpha"]
    node.set_health(WEB, health)
    reports = node.reports()
    assert reports is not None
    runtime.apply(reports, principal=node.principal)
    node.acknowledged(node.sent + len(node.unsent))


def endpoint(runtime: MemoryRuntime) -> ServiceEndpoint:
    (found,) = show_service(runtime.state, runtime.state.agents["web"]).endpoints
    return found


async def test_its_instances_are_unknown_since_then_in_every_view_and_others_are_not(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    deploy(runtime, driver="process", name="other")
    tell(runtime, AWAY)
    since = runtime.state.time_ms
    runtime.tick(12_000)
    shown = show_instance(runtime.state, runtime.state.instances[WEB])
    assert (shown.status, shown.last_status, shown.unknown_since_ms) == ("unknown", "running", since)
    assert shown.unknown_because == "the container engine of node alpha does not answer"
    other = show_instance(runtime.state, runtime.state.instances["other.1.1"])
    assert (other.status, other.unknown_since_ms, other.unknown_because) == ("running", 0, "")

    agent = show_agent(runtime.state, runtime.state.agents["web"], runtime.now_ms())
    assert (agent.status, agent.running, agent.counts.running, agent.counts.unknown) == ("unknown", 0, 0, 1)
    assert Hidden(runtime.state).total() == {"running": 1}

    text = "the container engine of node alpha does not answer, for 12 s now; it was running then"
    explained = await explain_instance(runtime, runtime.state, runtime.state.instances[WEB], 0)
    assert explained.text == text
    of_agent = await explain_agent(runtime, runtime.state, runtime.state.agents["web"], 0)
    assert of_agent.text == f"0 of 1 replicas are known to run; 1 unknown, such as web-1.1: {text}"

    node = show_node(runtime.state.nodes["n-alpha"], None)
    assert [(one.name, one.healthy, one.silent_since_ms) for one in node.drivers] == [
        ("docker", False, since),
        ("process", True, 0),
    ]
    (concern,) = await concerns(runtime, runtime.state, runtime.now_ms())
    assert (concern.subject, concern.since_ms) == ("node alpha", since)
    assert concern.text == (
        "the container engine of node alpha does not answer, for 12 s now; what it runs is shown as it was then: "
        "the engine has hung up"
    )


def test_all_of_it_is_as_before_once_the_runtime_answers(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    before = show_instance(runtime.state, runtime.state.instances[WEB])
    tell(runtime, AWAY)
    tell(runtime, DOCKER)
    assert show_instance(runtime.state, runtime.state.instances[WEB]) == before
    assert Hidden(runtime.state).total() == {}


def test_a_node_that_is_silent_itself_hides_more_and_says_so(runtime: MemoryRuntime) -> None:
    deploy(runtime)
    tell(runtime, AWAY)
    runtime.tick(1000)
    runtime.silence("alpha")
    shown = show_instance(runtime.state, runtime.state.instances[WEB])
    assert shown.unknown_because == "node alpha has not been heard from"
    assert shown.unknown_since_ms == runtime.state.nodes["n-alpha"].since_ms


@pytest.mark.parametrize(
    ("probes", "health", "ready"),
    [
        (Probes(), Health.UNKNOWN, False),
        (Probes(readiness=HTTP), Health.HEALTHY, True),
        (Probes(readiness=HTTP), Health.UNHEALTHY, False),
        (Probes(readiness=HTTP), Health.UNKNOWN, False),
        (Probes(readiness=CHECK, liveness=HTTP), Health.HEALTHY, False),
        (Probes(readiness=HTTP, liveness=CHECK), Health.HEALTHY, True),
        (Probes(liveness=HTTP), Health.HEALTHY, True),
        (Probes(liveness=CHECK), Health.HEALTHY, False),
    ],
)
def test_a_service_is_ready_then_only_if_a_probe_over_the_network_says_so(
    runtime: MemoryRuntime, probes: Probes, health: Health, ready: bool
) -> None:
    deploy(runtime, probes)
    if health is not Health.UNKNOWN:
        say(runtime, health)
    assert endpoint(runtime).unknown_since_ms == 0
    tell(runtime, AWAY)
    found = endpoint(runtime)
    assert (found.ready, found.unknown_since_ms) == (ready, runtime.state.time_ms)
    assert (found.name, found.port) == ("web-1.1", 20000)


def test_what_a_probe_says_over_the_network_is_shown_and_out_of_date_health_is_not(runtime: MemoryRuntime) -> None:
    deploy(runtime, Probes(readiness=HTTP))
    say(runtime, Health.HEALTHY)
    tell(runtime, AWAY)
    assert show_instance(runtime.state, runtime.state.instances[WEB]).health == "healthy"
    say(runtime, Health.UNHEALTHY)
    assert show_instance(runtime.state, runtime.state.instances[WEB]).health == "unhealthy"


@pytest.mark.parametrize("way", [EXEC, FORWARD, ARCHIVE, EXTRACT], ids=lambda way: way.name)
def test_whoever_reaches_into_it_is_told_the_same_at_once(runtime: MemoryRuntime, way: object) -> None:
    deploy(runtime)
    tell(runtime, AWAY)
    with pytest.raises(Failed) as refused:
        prepare(way, runtime, Context(principal="system:test", correlation="c"), WEB)  # type: ignore[arg-type]
    problem = refused.value.problem
    assert (problem.code, problem.status, problem.retryable) == ("runtime-away", 503, True)
    assert problem.detail.startswith("the container engine of node alpha does not answer (since 20")
    assert (problem.subject, problem.since_ms) == ("node alpha", runtime.state.time_ms)
    assert "omnitide nodes show alpha" in problem.hint


async def test_nothing_new_comes_there_and_that_is_the_reason(runtime: MemoryRuntime) -> None:
    tell(runtime, AWAY)
    deploy(runtime)
    assert runtime.state.instances[WEB].status.value == "pending"
    explained = await explain_instance(runtime, runtime.state, runtime.state.instances[WEB], 0)
    assert "the engine has hung up" in explained.text
    tell(runtime, DOCKER)
    runtime.settle()
    assert runtime.state.instances[WEB].status.value == "running"
