"""What sets the waits of replicas apart, so that each kind of wait is told of once: a sentence for each."""

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.fabric.state import Instance
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec, Resources
from omnitide.operations.pending_kinds import pending_kind

KEPT = AgentSpec(command=("x",), resources=Resources(cpu=3000), volumes={"data": Volume(target="data")})


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=KEPT, replicas=1))
    made.settle()
    return made


def waits(runtime: MemoryRuntime) -> Instance:
    """The replica, restarted: it waits for the node of its volume, which takes nothing new."""
    runtime.apply(cm.CordonNode(node="n-alpha"))
    runtime.apply(cm.RestartInstance(instance="web.1.1"))
    runtime.settle()
    one = runtime.state.instances["web.1.2"]
    assert one.status.value == "pending"
    return one


def kind(runtime: MemoryRuntime, instance: Instance) -> tuple[str, ...]:
    return pending_kind(runtime.state, instance, runtime.now_ms())


def test_what_is_alike_is_of_one_kind(runtime: MemoryRuntime) -> None:
    one = waits(runtime)
    assert kind(runtime, one) == kind(runtime, replace(one, since_ms=one.since_ms + 1, generation=9))


def test_one_of_another_version_waits_apart(runtime: MemoryRuntime) -> None:
    one = waits(runtime)
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=replace(KEPT, command=("y",))))
    assert kind(runtime, one) != kind(runtime, replace(one, version=2))


def test_one_that_was_sent_to_a_node_waits_apart_from_one_that_its_volume_binds_there(runtime: MemoryRuntime) -> None:
    one = waits(runtime)
    runtime.apply(cm.UncordonNode(node="n-alpha"))
    sent = replace(one, pinned="n-alpha")
    assert kind(runtime, one)[1] == kind(runtime, sent)[1] == "n-alpha"
    assert ("sent" in kind(runtime, one), "sent" in kind(runtime, sent)) == (False, True)
    assert kind(runtime, one) != kind(runtime, sent)


def test_one_that_waits_for_the_end_of_its_generation_before_waits_apart(runtime: MemoryRuntime) -> None:
    """Both may go to the node of their volume alone; that one of them is still held up there is another wait."""
    runtime.add_node("beta")
    runtime.apply(cm.MigrateInstance(instance="web.1.1", node="beta", leave_volumes=True))
    runtime.apply(cm.RemoveNode(node="beta", force=True))
    one = runtime.state.instances["web.1.2"]
    held = kind(runtime, one)
    runtime.apply(cm.CordonNode(node="n-alpha"))
    runtime.settle()
    again = runtime.state.instances["web.1.2"]
    assert (again.status, again.version, again.pinned) == (one.status, one.version, one.pinned)
    assert held[1] == kind(runtime, again)[1] == "n-alpha"
    assert "web.1.1" in held
    assert held != kind(runtime, again)


def test_one_that_waits_for_its_back_off_waits_apart_until_that_is_over(runtime: MemoryRuntime) -> None:
    one, now = waits(runtime), runtime.now_ms()
    assert kind(runtime, one) != kind(runtime, replace(one, not_before_ms=now + 1))
    assert kind(runtime, one) == kind(runtime, replace(one, not_before_ms=now))
