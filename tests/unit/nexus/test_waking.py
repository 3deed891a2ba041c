"""What has the rollouts and the placer look again: also a commit that changes an instance and not its agent or job."""

import asyncio
from collections.abc import Awaitable, Callable

from omnitide.fabric.commands import (
    ConnectNode,
    CreateFabric,
    DeployAgent,
    Header,
    InstanceReport,
    IssueToken,
    JoinNode,
    PlaceChoice,
    PlaceInstances,
    ReportInstances,
    RunJob,
)
from omnitide.fabric.decide import Decision
from omnitide.fabric.state import DriverFact, Health, InstanceStatus, NodeFacts, Phase, TokenPurpose, find_agent
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, JobSpec, Update
from omnitide.nexus.engine import Engine
from omnitide.nexus.placer import Placer
from omnitide.nexus.rollouts import Rollouts
from omnitide.store.memory import MemoryLog, MemoryStorage
from simulation.virtual_loop import run as run_virtual
from simulation.world import WorldClock

ADMIN = Header(principal="system:test")
FACTS = NodeFacts(cpu_milli=4000, memory_bytes=8 << 30, drivers=(DriverFact(name="process", healthy=True),))
READY = Probes(readiness=Probe(type="exec", command=("well",)))


class Stand:
    def __init__(self, engine: Engine, clock: WorldClock) -> None:
        self.engine = engine
        self.clock = clock
        self.session = 0
        self._sequence = 0

    async def do(self, command: object) -> Decision:
        outcome = await self.engine.submit(command, ADMIN)  # type: ignore[arg-type]
        assert isinstance(outcome, Decision), outcome
        return outcome

    async def place(self) -> None:
        choices = tuple(PlaceChoice(instance, "n1", ()) for instance in sorted(self.engine.committed().pending))
        await self.do(PlaceInstances(seen_revision=0, choices=choices))

    async def say(self, instance: str, phase: Phase, health: Health = Health.UNKNOWN) -> None:
        self._sequence += 1
        report = InstanceReport(instance=instance, attempt=1, phase=phase, health=health)
        command = ReportInstances(
            node="n1", session=self.session, outbox="o", first_sequence=self._sequence, reports=(report,)
        )
        await self.do(command)


def run(test: Callable[[Stand], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = WorldClock()
        engine = await Engine.open(MemoryLog(MemoryStorage()), clock)
        stand = Stand(engine, clock)
        await stand.do(CreateFabric(fabric_id="f"))
        await stand.do(IssueToken(id="t", purpose=TokenPurpose.JOIN, digest="-", expires_ms=clock.now_ms() + 10**7))
        await stand.do(JoinNode(token="t", node="n1", name="alpha", key_digest="k1", facts=FACTS))
        connected = await stand.do(ConnectNode(node="n1", key_digest="k1", facts=FACTS, outbox="o", instances=()))
        stand.session = int(connected.result["session"])
        parts = [
            asyncio.ensure_future(part.run()) for part in (Placer(engine, engine.time), Rollouts(engine, engine.time))
        ]
        try:
            await test(stand)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await engine.close()

    run_virtual(main())


async def _ready_during_a_rollout(stand: Stand, min_healthy: int) -> None:
    """Its first version runs, and its second does and has not said yet whether it is ready."""
    update = Update(max_unavailable=1, min_healthy=min_healthy)
    for command in (("first",), ("second",)):
        spec = AgentSpec(command=command, health=READY, update=update)
        await stand.do(DeployAgent(agent="db", namespace="default", name="db", spec=spec))
        await asyncio.sleep(1)
        if command == ("second",):
            await stand.say("db.1.1", Phase.ENDED)
            await asyncio.sleep(1)
        current = find_current(stand, "db")
        assert stand.engine.committed().instances[current].status is InstanceStatus.PLACED
        await stand.say(current, Phase.RUNNING)
        await asyncio.sleep(1)
        if command == ("first",):
            await stand.say(current, Phase.RUNNING, Health.HEALTHY)
            await asyncio.sleep(60)


def find_current(stand: Stand, name: str) -> str:
    agent = find_agent(stand.engine.committed(), "default", name)
    assert agent is not None
    return agent.slots[1].current


def test_a_rollout_is_over_although_nothing_happens_after_its_last_replica_became_ready() -> None:
    async def check(stand: Stand) -> None:
        await _ready_during_a_rollout(stand, 5000)
        assert stand.engine.committed().rolling
        await stand.say(find_current(stand, "db"), Phase.RUNNING, Health.HEALTHY)
        await asyncio.sleep(4)
        assert stand.engine.committed().rolling
        await asyncio.sleep(2)
        assert not stand.engine.committed().rolling

    run(check)


def late(stand: Stand) -> int:
    agent = find_agent(stand.engine.committed(), "default", "db")
    assert agent is not None
    return agent.late


def test_a_rollout_that_comes_no_further_is_halted_at_its_deadline() -> None:
    async def check(stand: Stand) -> None:
        await _ready_during_a_rollout(stand, 1000)
        await asyncio.sleep(590)
        assert not late(stand)
        await asyncio.sleep(15)
        assert late(stand) == 1
        await stand.say(find_current(stand, "db"), Phase.RUNNING, Health.HEALTHY)
        await asyncio.sleep(5)
        assert not late(stand), "it is ready after all"
        assert not stand.engine.committed().rolling

    run(check)


def test_time_in_which_nexus_did_not_run_is_nobody_s_lateness() -> None:
    """Nodes get a while to tell how they are before it is concluded that they have nothing to tell."""

    async def check(stand: Stand) -> None:
        await _ready_during_a_rollout(stand, 1000)
        await asyncio.sleep(60)
        stand.clock.stopped_s += 3600
        await asyncio.sleep(700)
        assert late(stand) == 1, "of which it has been late by now"

    async def soon(stand: Stand) -> None:
        await _ready_during_a_rollout(stand, 1000)
        await asyncio.sleep(580)
        stand.clock.stopped_s += 3600
        await asyncio.sleep(30)
        assert not late(stand)
        await asyncio.sleep(30)
        assert late(stand) == 1

    run(check)
    run(soon)


def test_nor_is_it_where_another_replica_is_looked_at_meanwhile() -> None:
    """One of the version before is available again in those seconds: that has the rollout looked at, and no more."""

    async def check(stand: Stand) -> None:
        update = Update(max_unavailable=1, min_healthy=20_000)
        for command in (("first",), ("second",)):
            spec = AgentSpec(command=command, health=READY, update=update)
            await stand.do(DeployAgent(agent="db", namespace="default", name="db", replicas=3, spec=spec))
            await asyncio.sleep(1)
            for name in ("db.1.1", "db.2.1", "db.3.1") if command == ("first",) else ():
                await stand.say(name, Phase.RUNNING, Health.HEALTHY)
                await asyncio.sleep(1)
        await stand.say("db.1.1", Phase.ENDED)
        await asyncio.sleep(1)
        await stand.say(find_current(stand, "db"), Phase.RUNNING)
        await asyncio.sleep(560)
        await stand.say("db.3.1", Phase.RUNNING)
        await asyncio.sleep(1)
        await stand.say("db.3.1", Phase.RUNNING, Health.HEALTHY)
        await asyncio.sleep(1)
        before = stand.engine.committed()
        assert "db.3.1" in before.agents["db"].watched
        stand.clock.stopped_s += 3600
        await asyncio.sleep(20)
        assert stand.engine.committed().revision > before.revision, "it was looked at"
        assert not late(stand)
        await asyncio.sleep(30)
        assert late(stand) == 1

    run(check)


def test_what_needs_an_agent_to_be_ready_is_placed_once_it_is_also_while_that_rolls_out() -> None:
    async def check(stand: Stand) -> None:
        await _ready_during_a_rollout(stand, 3_600_000)
        spec = AgentSpec(command=("run",), needs={"db": "ready"})
        await stand.do(DeployAgent(agent="web", namespace="default", name="web", spec=spec))
        await asyncio.sleep(1)
        assert stand.engine.committed().pending
        await stand.say(find_current(stand, "db"), Phase.RUNNING, Health.HEALTHY)
        await asyncio.sleep(1)
        assert not stand.engine.committed().pending
        assert stand.engine.committed().rolling

    run(check)


def test_what_needs_a_job_to_have_started_is_placed_once_its_task_runs() -> None:
    async def check(stand: Stand) -> None:
        await stand.do(RunJob(job="j", namespace="default", name="load", spec=JobSpec(command=("load",))))
        spec = AgentSpec(command=("run",), needs={"load": "started"})
        await stand.do(DeployAgent(agent="web", namespace="default", name="web", spec=spec))
        await asyncio.sleep(1)
        assert [*stand.engine.committed().pending] == ["web.1.1"]
        await stand.say("j.1.1", Phase.RUNNING)
        await asyncio.sleep(1)
        assert not stand.engine.committed().pending

    run(check)
