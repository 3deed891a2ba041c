"""A version that had failed for good when another took its place is known not to work, as far as the log tells."""

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.api.test_failing_replicas import faults

from omnitide.fabric import commands as cm
from omnitide.fabric.state import InstanceStatus
from omnitide.model.spec import AgentSpec, Restart
from omnitide.operations import replaced_versions

SPEC = AgentSpec(command=("x",), restart=Restart(attempts=0, reschedules=0))


def deploy(runtime: MemoryRuntime, text: str) -> None:
    spec = replace(SPEC, command=(text,))
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=2))
    runtime.settle(in_no_time=True)


def die(runtime: MemoryRuntime, slot: int) -> None:
    """What runs of the newest version in a slot, or comes to."""
    newest = runtime.state.agents["web"].version
    for _ in range(10):
        for one in list(runtime.state.instances.values()):
            if one.slot == slot and one.version == newest and one.status is InstanceStatus.RUNNING:
                runtime.exit(one.id, code=7)
                return
        runtime.settle(in_no_time=True)
    raise AssertionError("it does not come to run")


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    deploy(made, "one")
    made.tick(60_000)
    made.settle()
    return made


@pytest.mark.parametrize("passes_ms", [0, 1000], ids=["at one time", "one after another"])
async def test_it_is_told_what_failed_in_it_and_how(runtime: MemoryRuntime, passes_ms: int) -> None:
    runtime.tick(passes_ms)
    deploy(runtime, "two")
    die(runtime, 1)
    ((number, proven, fault), *_) = await faults(runtime)
    assert (number, proven, fault) == (2, False, "web-1.2 has failed for good")
    runtime.tick(passes_ms)
    deploy(runtime, "three")
    runtime.tick(60_000)
    runtime.settle()
    expected = [(3, True, ""), (2, False, "web-1.2 had failed for good: exit code 7"), (1, True, "")]
    assert await faults(runtime) == expected
    for number in range(100):
        runtime.apply(cm.CreateNamespace(name=f"n{number}"))
    deploy(runtime, "four")
    assert (await faults(runtime))[2:] == expected[1:]


def tries_on(runtime: MemoryRuntime, text: str, *, ends: int, slot: int = 1, run_ms: int = 0) -> None:
    """A version that is tried again after each end, whose replica has ended so often."""
    spec = AgentSpec(command=(text,), restart=Restart(attempts=20, backoff=1_000, reset_after=60_000))
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=2))
    for _ in range(ends):
        runtime.settle(in_no_time=True)
        runtime.tick(run_ms)
        die(runtime, slot)


@pytest.mark.parametrize("comes_back", [False, True], ids=["waiting", "running"])
async def test_it_is_told_what_ended_again_and_again_until_somebody_rolled_back(
    runtime: MemoryRuntime, comes_back: bool
) -> None:
    tries_on(runtime, "two", ends=2)
    assert (await faults(runtime))[0] == (2, False, "web-1.2 ends again and again")
    if comes_back:
        runtime.settle(in_no_time=True)
    runtime.apply(cm.RollBackAgent(namespace="default", name="web", version=1))
    runtime.settle(in_no_time=True)
    assert (await faults(runtime))[1] == (2, False, "web-1.2 had ended again and again: exit code 7")


async def test_that_it_ended_once_or_ran_well_since_is_no_fault_of_it(runtime: MemoryRuntime) -> None:
    tries_on(runtime, "two", ends=1)
    tries_on(runtime, "three", ends=2, run_ms=60_000)
    tries_on(runtime, "four", ends=2)
    (now, *_) = await faults(runtime)
    assert now == (4, False, "web-1.4 ends again and again"), "it ends again and again now"
    runtime.settle(in_no_time=True)
    runtime.tick(60_000)
    deploy(runtime, "five")
    found = {number: fault for number, _, fault in await faults(runtime)}
    assert found == {5: "", 4: "", 3: "", 2: "", 1: ""}


async def test_ends_that_somebody_asked_for_are_no_fault_of_it(runtime: MemoryRuntime) -> None:
    tries_on(runtime, "two", ends=1)
    for _ in range(2):
        runtime.settle(in_no_time=True)
        current = runtime.state.agents["web"].slots[1].current
        runtime.apply(cm.RestartInstance(instance=current))
    runtime.settle(in_no_time=True)
    deploy(runtime, "three")
    assert [fault for _, _, fault in await faults(runtime)] == ["", "", ""]


async def test_of_one_that_was_only_replaced_it_is_not_known(runtime: MemoryRuntime) -> None:
    deploy(runtime, "two")
    deploy(runtime, "three")
    assert [fault for _, _, fault in await faults(runtime)] == ["", "", ""]


async def test_a_replica_that_was_tried_again_and_ran_is_no_fault_of_it(runtime: MemoryRuntime) -> None:
    deploy(runtime, "two")
    die(runtime, 1)
    (failed,) = runtime.state.agents["web"].failed
    runtime.apply(cm.RestartInstance(instance=failed))
    runtime.settle(in_no_time=True)
    deploy(runtime, "three")
    assert [fault for _, _, fault in await faults(runtime)] == ["", "", ""]


async def test_what_failed_of_the_version_before_is_no_fault_of_it(runtime: MemoryRuntime) -> None:
    die(runtime, 2)
    deploy(runtime, "two")
    deploy(runtime, "three")
    found = [fault for _, _, fault in await faults(runtime)]
    assert found == ["", "", "web-2.1 had failed for good: exit code 7"]


async def test_the_log_is_looked_through_once_and_within_bounds(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(runtime, "two")
    die(runtime, 1)
    deploy(runtime, "three")
    monkeypatch.setattr(replaced_versions, "LOOKED_TOGETHER", 0)
    assert not any(fault for _, _, fault in await faults(runtime)), "who asks again gets further"
    monkeypatch.undo()
    read = 0
    entries = runtime.entries

    async def counted(after: int, limit: int) -> object:
        nonlocal read
        read += 1
        return await entries(after, limit)

    monkeypatch.setattr(runtime, "entries", counted)
    known = await faults(runtime)
    assert any(fault for _, _, fault in known)
    assert 0 < read < 20
    read = 0
    assert await faults(runtime) == known
    assert read == 0


async def test_what_the_log_keeps_no_more_is_not_told(runtime: MemoryRuntime) -> None:
    deploy(runtime, "two")
    die(runtime, 1)
    runtime.tick(1)
    deploy(runtime, "three")
    runtime.first = runtime.state.revision
    assert [fault for _, _, fault in await faults(runtime)] == ["", "", ""]
