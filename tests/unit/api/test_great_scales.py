"""A change of very many replicas is made in steps, between which others have their turn, and is one request all the
same."""

import msgspec
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.model import objects as ob
from omnitide.model.spec import AgentSpec
from omnitide.operations import scaling
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> MemoryRuntime:
    monkeypatch.setattr(scaling, "AT_ONCE", 3)
    made = MemoryRuntime()
    made.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=AgentSpec(command=("x",)), replicas=1))
    return made


async def asked(runtime: MemoryRuntime, what: str, context: Context | None = None, **fields: object) -> ob.AgentChanged:
    operation = REGISTRY[what]
    request = msgspec.convert({"namespace": "default", "name": "web", **fields}, type=operation.input)
    context = context or Context(principal="system:test", correlation="c")
    value = (await perform(operation, runtime, context, request)).value
    assert isinstance(value, ob.AgentChanged)
    return value


def numbers(runtime: MemoryRuntime) -> list[int]:
    return [event.replicas for entry in runtime.log for event in entry.events if isinstance(event, ev.AgentScaled)]


async def test_it_goes_up_and_down_in_steps(runtime: MemoryRuntime) -> None:
    up = await asked(runtime, "agents.scale", replicas=9)
    assert (up.change, up.revision, up.agent and up.agent.replicas) == ("scaled", runtime.state.revision, 9)
    assert numbers(runtime) == [4, 7, 9]
    down = await asked(runtime, "agents.scale", replicas=0)
    assert (down.change, down.agent and down.agent.replicas) == ("scaled", 0)
    assert numbers(runtime) == [4, 7, 9, 6, 3, 0]
    assert (await asked(runtime, "agents.scale", replicas=0)).change == "unchanged"


async def test_a_dry_run_says_where_it_would_end_and_decides_no_more_than_a_step(runtime: MemoryRuntime) -> None:
    context = Context(principal="system:test", correlation="c", dry_run=True)
    would = await asked(runtime, "agents.scale", context, replicas=9)
    assert (would.change, would.agent and would.agent.replicas, would.dry_run) == ("scaled", 9, True)
    assert numbers(runtime) == []


async def test_a_deployed_agent_gets_its_replicas_in_steps_and_the_plan_tells_of_all(runtime: MemoryRuntime) -> None:
    spec = {"command": ["y"]}
    made = await asked(runtime, "agents.deploy", spec=spec, replicas=8)
    assert (made.change, made.agent and (made.agent.version, made.agent.replicas)) == ("updated", (2, 8))
    assert numbers(runtime) == [4, 7, 8]
    assert runtime.state.agents["web"].replicas_owner == "manifest"
    new = await asked(runtime, "agents.deploy", name="new", spec=spec, replicas=8)
    assert (new.change, new.agent and new.agent.replicas) == ("created", 8)


class Broken(MemoryRuntime):
    """Something happens after the first step: another scale, or the end of whoever asked."""

    after: cm.ScaleAgent | None = None

    async def submit(self, command: cm.Command, header: cm.Header) -> Decision | Rejection:
        outcome = await super().submit(command, header)
        if self.after is not None:
            then, self.after = self.after, None
            self.apply(then)
        return outcome


async def test_where_somebody_else_sets_another_number_meanwhile_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "AT_ONCE", 3)
    runtime = Broken()
    runtime.apply(
        cm.DeployAgent(agent="web", namespace="default", name="web", spec=AgentSpec(command=("x",)), replicas=1)
    )
    runtime.after = cm.ScaleAgent(namespace="default", name="web", replicas=2)
    with pytest.raises(Failed, match="was given 2 replicas by somebody else on its way to 9") as refused:
        await asked(runtime, "agents.scale", replicas=9)
    assert refused.value.problem.code == "conflict"
    assert numbers(runtime) == [4, 2]


async def test_the_same_request_again_changes_nothing_more(runtime: MemoryRuntime) -> None:
    context = Context(principal="system:test", correlation="c", idempotency_key="k" * 200, fingerprint="f")
    await asked(runtime, "agents.scale", context, replicas=9)
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=5))
    again = await asked(runtime, "agents.scale", context, replicas=9)
    assert again.replayed
    assert numbers(runtime) == [4, 7, 9, 5]


async def test_an_if_match_is_about_what_there_was_before_the_first_step(runtime: MemoryRuntime) -> None:
    revision = runtime.state.agents["web"].revision
    context = Context(principal="system:test", correlation="c", if_match=revision)
    assert (await asked(runtime, "agents.scale", context, replicas=9)).change == "scaled"
    with pytest.raises(Failed) as refused:
        await asked(runtime, "agents.scale", context, replicas=1)
    assert refused.value.problem.code == "precondition-failed"
