"""A look ahead, however much it is about, holds nobody else up, and looks do not add up."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest
from tests.support.memory_runtime import MemoryRuntime, until

from omnitide.cli.show.outlook import sentences
from omnitide.cli.top.outlook import outlook_lines
from omnitide.fabric import commands as cm
from omnitide.model.foreseen import Outlook
from omnitide.model.spec import AgentSpec, JobSpec, Update
from omnitide.operations import foreseeing
from omnitide.operations.failures import Failed
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.scheduler import foresee as foresee_module
from omnitide.scheduler.foresee import Foresight

SCALE: Mapping[str, object] = {"verb": "agent.scale", "name": "web", "replicas": 3}


class Held:
    """The deciding of changes, which waits until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.now = self.most = self.begun = 0


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=AgentSpec(command=("x",)), replicas=1))
    made.settle()
    return made


@pytest.fixture
async def held(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Held]:
    found, real = Held(), Foresight.change

    def change(self: Foresight, command: cm.Command, principal: str) -> object:
        found.begun += 1
        found.now += 1
        found.most = max(found.most, found.now)
        assert found.go.wait(20)
        found.now -= 1
        return real(self, command, principal)

    monkeypatch.setattr(Foresight, "change", change)
    yield found
    found.go.set()
    await until(lambda: foreseeing.under_way() == 0)


async def foresee(runtime: MemoryRuntime, *changes: Mapping[str, object]) -> Outlook:
    operation = next(one for one in REGISTRY if one.name == "changes.foresee")
    asked = msgspec.convert({"changes": changes or (SCALE,)}, type=operation.input)
    value = (await perform(operation, runtime, Context(principal="system:test", correlation="c-1"), asked)).value
    assert isinstance(value, Outlook)
    return value


async def test_the_loop_goes_on_while_a_change_is_decided_and_looks_take_turns(
    runtime: MemoryRuntime, held: Held
) -> None:
    looks = [asyncio.create_task(foresee(runtime)) for _ in range(foreseeing.AT_ONCE)]
    await until(lambda: held.begun == 1 and foreseeing.under_way() == foreseeing.AT_ONCE)
    with pytest.raises(Failed) as refused:
        await foresee(runtime)
    assert (refused.value.problem.code, refused.value.problem.retry_after_s) == ("busy", foreseeing.AGAIN_S)
    held.go.set()
    outlooks = await asyncio.gather(*looks)
    assert [one.counts for one in outlooks] == [{"starts": 2}] * foreseeing.AT_ONCE
    assert held.most == 1


async def test_a_look_that_nobody_waits_for_any_more_ends_before_its_next_change(
    runtime: MemoryRuntime, held: Held
) -> None:
    look = asyncio.create_task(foresee(runtime, SCALE, SCALE, SCALE))
    await until(lambda: held.begun == 1)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    held.go.set()
    await until(lambda: foreseeing.under_way() == 0)
    assert held.begun == 1


async def test_of_very_many_new_replicas_some_are_looked_at_and_it_is_told_how_many_are_not(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreseeing, "MOST_ADDED", 5)
    found = await foresee(runtime, {**SCALE, "replicas": 100_000})
    assert (found.counts, found.unseen) == ({"starts": 5}, 99_994)
    assert "99994 further replicas were not looked at: too many" in sentences(found)
    spec = {"command": ["x"]}
    found = await foresee(runtime, {"verb": "agent.deploy", "name": "new", "spec": spec, "replicas": 7})
    assert (found.counts, found.unseen) == ({"starts": 5}, 2)
    assert (await foresee(runtime, {**SCALE, "replicas": 6})).unseen == 0


async def test_what_a_rollback_keeps_is_told(runtime: MemoryRuntime) -> None:
    update = Update(max_unavailable=0, max_surge=1)
    for word in ("x", "y"):
        spec = AgentSpec(command=(word,), update=update)
        runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=3))
        if word == "x":
            runtime.settle()
    found = await foresee(runtime, {"verb": "agent.rollback", "name": "web"})
    assert (found.counts, found.kept) == ({}, 3)
    assert sentences(found) == ["3 replicas would be kept as they are"]


async def test_changes_that_take_too_long_are_refused_with_how_many_were_looked_at(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreseeing, "WITHIN_S", -1.0)
    with pytest.raises(Failed) as refused:
        await foresee(runtime, SCALE, SCALE)
    assert refused.value.problem.code == "too-large"
    assert "0 of 2 were looked at" in str(refused.value)


def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On which each look at it takes a second."""
    seconds = itertools.count()
    monkeypatch.setattr(foreseeing, "monotonic", lambda: float(next(seconds)))


async def test_a_look_ends_at_its_deadline_however_far_it_came(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = {"verb": "agent.restart", "name": "web"}
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=8))
    runtime.settle()
    whole = await foresee(runtime, rollout)
    assert (whole.counts, whole.finished) == ({"renews": 8}, True)
    clock(monkeypatch)
    part = await foresee(runtime, rollout)
    assert not part.finished
    assert 0 < part.counts["renews"] < 8
    assert (part.counts["renews"] + part.held, part.unseen) == (8, 0)


async def test_what_is_told_ends_at_the_deadline_too_and_the_rest_is_unseen(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(monkeypatch)
    monkeypatch.setattr(foresee_module, "TOLD_AT_ONCE", 2)
    found = await foresee(runtime, {**SCALE, "replicas": 41})
    assert 0 < found.counts["starts"] < 40
    assert found.counts["starts"] + 1 + found.unseen == 41


async def test_what_a_lost_node_had_is_told_where_a_drain_of_it_moves_nothing(runtime: MemoryRuntime) -> None:
    job = JobSpec(command=("x",))
    runtime.apply(cm.RunJob(job="work", namespace="default", name="work", spec=job))
    keeps = AgentSpec(command=("x",), on_disconnect="keep")
    runtime.apply(cm.DeployAgent(agent="db", namespace="default", name="db", spec=keeps, replicas=1))
    runtime.settle()
    session = runtime.nodes["alpha"].session
    runtime.silence("alpha")
    drain = {"verb": "node.drain", "name": "alpha"}
    found = await foresee(runtime, drain)
    assert (found.counts, found.lost, found.tasks) == ({"unheard": 2}, 0, 1)

    runtime.apply(cm.DeclareLost(node="n-alpha", session=session, silent_ms=60_000, default_lost_after_ms=1000))
    found = await foresee(runtime, drain)
    assert (found.counts, found.lost, found.tasks) == ({"unheard": 1}, 1, 0)
    assert sentences(found) == [
        "1 replica would not hear of it and stay: nothing is heard from its node",
        "1 replica there is lost already: what replaces it does so anyway",
    ]
    told = ["".join(cell.text for cell in line) for line in outlook_lines(found)]
    assert [one for one in told if one[2:] in sentences(found)] == [told[0], told[-1]]
