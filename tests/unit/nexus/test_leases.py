"""Leases on a virtual clock: who is declared what, and when; a pause of Nexus itself is nobody's silence."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from omnitide.fabric.commands import (
    ConnectNode,
    CreateFabric,
    CreateNamespace,
    DepartNode,
    DeployAgent,
    Header,
    IssueToken,
    JoinNode,
    PlaceChoice,
    PlaceInstances,
)
from omnitide.fabric.decide import Decision
from omnitide.fabric.events import NodeLost, NodeUnreachable
from omnitide.fabric.state import DriverFact, InstanceStatus, NodeFacts, NodeStatus, TokenPurpose
from omnitide.model.spec import AgentSpec
from omnitide.nexus.engine import Engine
from omnitide.nexus.leases import MAX_DEPARTURE_MS, Leases, LeaseTimes
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.store.protocol import Batch
from simulation.virtual_loop import run as run_virtual

Blame = NodeUnreachable | NodeLost
ADMIN = Header(principal="system:test")
TIMES = LeaseTimes(reconnect_grace_ms=2_000, lost_after_ms=10_000, startup_grace_ms=8_000)
FACTS = NodeFacts(cpu_milli=4000, memory_bytes=8 << 30, drivers=(DriverFact(name="process", healthy=True),))


class Machine:
    """Its monotonic clock goes on while the process, and with it the loop, is stopped."""

    def __init__(self) -> None:
        self.stopped_s = 0.0

    def now_ms(self) -> int:
        return 1_800_000_000_000 + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.stopped_s


class Stand:
    def __init__(self, machine: Machine, engine: Engine, storage: MemoryStorage, disk: asyncio.Event) -> None:
        self.machine = machine
        self.disk = disk
        """While it is clear, what is written stays on its way to the disk."""
        self.engine = engine
        self.storage = storage
        self.leases = Leases(engine, machine, lambda: TIMES)
        self.session = 0

    async def connect(self) -> None:
        outcome = await self.engine.submit(
            ConnectNode(node="n1", key_digest="k1", facts=FACTS, outbox="o", instances=()), ADMIN
        )
        assert isinstance(outcome, Decision), outcome
        self.session = int(outcome.result["session"])
        self.leases.session_opened("n1")

    def disconnect(self) -> None:
        self.leases.session_closed("n1", self.session)

    @property
    def status(self) -> NodeStatus:
        return self.engine.committed().nodes["n1"].status

    async def restart(self) -> None:
        """Nexus starts anew on the same log."""
        await self.leases.close()
        self.leases = Leases(self.engine, self.machine, lambda: TIMES)
        self.leases.start()


def run(test: Callable[[Stand], Awaitable[None]]) -> None:
    async def main() -> None:
        machine = Machine()
        storage, disk = MemoryStorage(), asyncio.Event()
        disk.set()

        async def write(_: Batch) -> None:
            await disk.wait()

        engine = await Engine.open(MemoryLog(storage, write), machine)
        await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
        token = IssueToken(id="t", purpose=TokenPurpose.JOIN, digest="-", expires_ms=machine.now_ms() + 10**7)
        await engine.submit(token, ADMIN)
        await engine.submit(JoinNode(token="t", node="n1", name="alpha", key_digest="k1", facts=NodeFacts()), ADMIN)
        stand = Stand(machine, engine, storage, disk)
        await stand.connect()
        stand.leases.start()
        stand.leases.session_opened("n1")
        try:
            await test(stand)
        finally:
            disk.set()
            await stand.leases.close()
            await engine.close()

    run_virtual(main())


def test_a_node_that_is_away_is_unreachable_after_the_grace_and_lost_after_its_time() -> None:
    async def check(stand: Stand) -> None:
        stand.disconnect()
        await asyncio.sleep(1.9)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(0.2)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(9.8)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(0.2)
        assert stand.status is NodeStatus.LOST

    run(check)


@pytest.mark.parametrize("first", ["session", "timer"])
def test_a_nexus_that_was_stopped_grants_every_node_what_it_grants_at_a_start(first: str) -> None:
    """Whichever it notices first when it goes on: a session that broke meanwhile, or its own timers."""

    async def check(stand: Stand) -> None:
        await asyncio.sleep(5)
        stand.machine.stopped_s += 25
        if first == "timer":
            await asyncio.sleep(0.6)
        stand.disconnect()
        await asyncio.sleep(7)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(1.2)
        assert stand.status is NodeStatus.UNREACHABLE

    run(check)


def test_a_node_whose_grace_ran_while_nexus_was_stopped_has_it_anew() -> None:
    async def check(stand: Stand) -> None:
        stand.disconnect()
        await asyncio.sleep(1.8)
        stand.machine.stopped_s += 25
        await asyncio.sleep(7.5)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(1)
        assert stand.status is NodeStatus.UNREACHABLE

    run(check)


def test_silence_while_nexus_was_stopped_does_not_count_towards_being_lost() -> None:
    async def check(stand: Stand) -> None:
        stand.disconnect()
        await asyncio.sleep(5)
        assert stand.status is NodeStatus.UNREACHABLE
        stand.machine.stopped_s += 60
        await asyncio.sleep(17.5)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(1.5)
        assert stand.status is NodeStatus.LOST

    run(check)


def test_what_could_not_be_declared_before_a_pause_is_not_declared_by_it() -> None:
    """The engine takes no writes, so that a node that is due is not declared, and could not have connected either."""

    async def check(stand: Stand) -> None:
        stand.disconnect()
        stand.storage.full = True
        await asyncio.sleep(5)
        assert stand.status is NodeStatus.LIVE
        stand.machine.stopped_s += 60
        stand.storage.full = False
        await asyncio.sleep(7.5)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(2)
        assert stand.status is NodeStatus.UNREACHABLE
        stand.storage.full = True
        await asyncio.sleep(15)
        stand.machine.stopped_s += 60
        stand.storage.full = False
        await asyncio.sleep(17)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(3)
        assert stand.status is NodeStatus.LOST

    run(check)


@pytest.mark.parametrize("nexus", ["goes on", "starts anew"])
def test_a_node_that_could_not_connect_while_no_writes_were_taken_has_its_lease_anew(nexus: str) -> None:
    """A full disk refuses the node's own connection, too; that there is room again says nothing of the node."""

    async def check(stand: Stand) -> None:
        stand.storage.full = True
        if nexus == "starts anew":
            await stand.restart()
        else:
            stand.disconnect()
        await asyncio.sleep(40)
        assert stand.status is NodeStatus.LIVE
        stand.storage.full = False
        await asyncio.sleep(7.5)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(2.5)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(5)
        stand.storage.full = True
        await asyncio.sleep(40)
        assert stand.status is NodeStatus.UNREACHABLE
        stand.storage.full = False
        await asyncio.sleep(17.5)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(2.5)
        assert stand.status is NodeStatus.LOST

    run(check)


def test_time_in_which_a_write_hangs_is_no_silence_either() -> None:
    """A disk that does not answer refuses nothing, and lets no node connect."""

    async def check(stand: Stand) -> None:
        stand.disk.clear()
        somebody = asyncio.ensure_future(stand.engine.submit(CreateNamespace(name="blue"), ADMIN))
        await asyncio.sleep(3)
        stand.disconnect()
        await asyncio.sleep(40)
        stand.disk.set()
        await somebody
        await asyncio.sleep(7)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(2)
        assert stand.status is NodeStatus.UNREACHABLE
        stand.disk.clear()
        somebody = asyncio.ensure_future(stand.engine.submit(CreateNamespace(name="red"), ADMIN))
        await asyncio.sleep(40)
        stand.disk.set()
        await somebody
        await asyncio.sleep(17)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(3)
        assert stand.status is NodeStatus.LOST

    run(check)


def test_what_was_declared_while_the_disk_hung_is_followed_by_nothing_before_a_lease_anew() -> None:
    """It was on its way already: the node is said to be unreachable, and has its time to come back."""

    async def check(stand: Stand) -> None:
        stand.disconnect()
        await asyncio.sleep(1.5)
        stand.disk.clear()
        await asyncio.sleep(40)
        stand.disk.set()
        await asyncio.sleep(17)
        assert stand.status is NodeStatus.UNREACHABLE
        await asyncio.sleep(3)
        assert stand.status is NodeStatus.LOST

    run(check)


def test_a_node_that_connects_when_there_is_room_again_is_declared_nothing() -> None:
    async def check(stand: Stand) -> None:
        stand.disconnect()
        stand.storage.full = True
        await asyncio.sleep(40)
        stand.storage.full = False
        await asyncio.sleep(6)
        await stand.connect()
        await asyncio.sleep(60)
        assert stand.status is NodeStatus.LIVE
        declared = [e for c in await stand.engine.entries(0, 1000) for e in c.entry.events if isinstance(e, Blame)]
        assert not declared

    run(check)


@pytest.mark.parametrize(
    ("how", "cause", "waited_s"),
    [
        ("broke", "disconnected", 2),
        ("leave", "goodbye", 5),
        ("stop", "stopped", 5),
        ("start", "start", 8),
        ("stop-start", "stopped", 8),
    ],
)
def test_that_a_node_is_unreachable_says_after_what_and_how_long(how: str, cause: str, waited_s: int) -> None:
    async def check(stand: Stand) -> None:
        if how in ("leave", "stop", "stop-start"):
            stopped = how != "leave"
            command = DepartNode(
                node="n1", session=stand.session, reason="update", back_within_ms=5_000, stopped=stopped
            )
            await stand.engine.submit(command, ADMIN)
        if how.endswith("start"):
            await stand.restart()
        else:
            stand.disconnect()
        await asyncio.sleep(waited_s + 1)
        (said,) = [e for c in await stand.engine.entries(0, 1000) for e in c.entry.events if isinstance(e, Blame)]
        assert isinstance(said, NodeUnreachable)
        assert said.cause == cause
        assert waited_s <= said.waited_ms / 1000 < waited_s + 0.2

    run(check)


def test_a_busy_second_is_no_pause() -> None:
    async def check(stand: Stand) -> None:
        stand.disconnect()
        stand.machine.stopped_s += 1
        await asyncio.sleep(2.2)
        assert stand.status is NodeStatus.UNREACHABLE

    run(check)


def test_a_start_goes_on_with_what_is_lost_already() -> None:
    """An instance that is declared lost later than its node is declared so after a restart of Nexus too."""

    async def check(stand: Stand) -> None:
        spec = AgentSpec(command=("run",), lost_after=30_000)
        await stand.engine.submit(DeployAgent(agent="a", namespace="default", name="hello", spec=spec), ADMIN)
        (instance,) = stand.engine.committed().pending
        await stand.engine.submit(PlaceInstances(seen_revision=0, choices=(PlaceChoice(instance, "n1", ()),)), ADMIN)
        stand.disconnect()
        await asyncio.sleep(13)
        assert stand.status is NodeStatus.LOST
        assert stand.engine.committed().instances[instance].status is InstanceStatus.PLACED
        await stand.restart()
        await asyncio.sleep(8 + 31)
        known = stand.engine.committed().instances.get(instance)
        assert known is None or known.status is not InstanceStatus.PLACED

    run(check)


def test_a_goodbye_for_longer_than_is_allowed_is_cut() -> None:
    async def check(stand: Stand) -> None:
        command = DepartNode(node="n1", session=stand.session, reason="away", back_within_ms=10 * MAX_DEPARTURE_MS)
        assert isinstance(await stand.engine.submit(command, ADMIN), Decision)
        stand.disconnect()
        await asyncio.sleep(MAX_DEPARTURE_MS / 1000 - 1)
        assert stand.status is NodeStatus.LIVE
        await asyncio.sleep(2)
        assert stand.status is NodeStatus.UNREACHABLE

    run(check)
