"""What a deployment takes for the end of an agent's work: only of one that is not started again after it."""

from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.agents.follow import has_ended_well
from omnitide.fabric import commands as cm
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec, Restart
from omnitide.operations.views.workloads import show_agent


def agent(restart: Restart, **counts: int) -> ob.Agent:
    """Of two replicas, with instances in these states."""
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    spec = AgentSpec(command=("x",), restart=restart)
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=2))
    runtime.settle()
    shown = show_agent(runtime.state, runtime.state.agents["web"], runtime.now_ms())
    assert shown.rollout is None
    return replace(shown, counts=replace(shown.counts, **{"running": 0, **counts}))


def test_all_have_succeeded_or_run_and_one_has_at_least() -> None:
    once = Restart(policy="on-failure")
    assert has_ended_well(agent(once, succeeded=2))
    assert has_ended_well(agent(once, running=1, succeeded=1))
    assert not has_ended_well(agent(once, running=2))
    assert not has_ended_well(agent(once, succeeded=1))
    assert not has_ended_well(agent(once, succeeded=2, failed=1))


def test_what_is_started_again_after_a_success_has_not_ended_by_one() -> None:
    assert not has_ended_well(agent(Restart(policy="always"), running=1, succeeded=1))
