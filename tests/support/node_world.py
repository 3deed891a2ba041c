"""One whole node in memory: the production proxy over a fake driver, and a Nexus played by hand."""

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from omnitide.drivers.protocol import PortBinding, Run
from omnitide.model.spec import AgentSpec, JobSpec, WorkloadSpec
from omnitide.node.asked_stops import as_told
from omnitide.node.endpoints import Endpoints
from omnitide.node.facts import Facts, HostUse
from omnitide.node.launching import NodeContext
from omnitide.node.outbox import Outbox, memory_connection
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.retention import Retention
from omnitide.node.session import End, Who
from omnitide.wire import node_pb2 as pb
from simulation.virtual_loop import run as run_virtual
from support.fake_driver import FakeDriver, FakeRuntime, Faults
from support.memory_link import HandNexus, NexusEnd

EPOCH_MS = 1_700_000_000_000


class WorldClock:
    def now_ms(self) -> int:
        return EPOCH_MS + int(asyncio.get_running_loop().time() * 1000)


class WorldHost:
    def __init__(self) -> None:
        self.cpu_milli = 2000
        self.busy: set[int] = set()

    def facts(self) -> Facts:
        return Facts(name="alpha", cpu_milli=self.cpu_milli, memory_bytes=1 << 30, port_first=20_000, port_last=20_999)

    def use(self) -> HostUse:
        return HostUse(cpu_milli_used=100)

    def busy_port(self, ports: Sequence[PortBinding]) -> int | None:
        return next((port.host for port in ports if port.host in self.busy), None)


class NodeWorld:
    """What lasts (runtime, memory, Nexus) and the proxy, which may die and return."""

    def __init__(self, seed: int = 1, faults: Faults | None = None) -> None:
        self.clock = WorldClock()
        self.rng = random.Random(seed)
        self.runtime = FakeRuntime(now_ms=self.clock.now_ms, rng=self.rng, faults=faults or Faults())
        self.host = WorldHost()
        self.nexus = HandNexus()
        self.memory: sqlite3.Connection = memory_connection()
        self.ids = 0
        self.proxy: Proxy
        self.task: asyncio.Task[End]
        self.revision = 0
        self.told: Callable[[str, Run], Run] = as_told
        self.on_first_start: Callable[[str], object] = lambda driver: None

    def start(self) -> None:
        """A new proxy process."""
        outbox = Outbox(self.memory, boot_id="boot", new_id=self._new_id)
        self.driver = FakeDriver(self.runtime)
        self.proxy = Proxy(
            Parts(
                who=Who("node-1", "boot", "omnitide/test"),
                context=NodeContext("alpha"),
                drivers=[self.driver],
                host=self.host,
                outbox=outbox,
                dialer=self.nexus,
                endpoints=Endpoints(outbox.endpoints, ("n1:1",)),
                clock=self.clock,
                rng=self.rng,
                retention=Retention(for_ms=60_000, instances=10),
                told=self.told,
                on_first_start=self.on_first_start,
            )
        )
        self.task = asyncio.create_task(self.proxy.run())

    async def kill(self) -> None:
        """The proxy dies at once; what it runs and what it remembers stay."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.driver.close()

    async def stop(self) -> End:
        self.proxy.stop("test", 5_000)
        return await asyncio.wait_for(self.task, 60)

    def _new_id(self) -> str:
        self.ids += 1
        return f"outbox-{self.ids}"

    def assignment(
        self,
        name: str,
        *command: str,
        goal: "pb.Goal.ValueType" = pb.GOAL_RUN,
        spec: WorkloadSpec | None = None,
        ports: dict[str, int] | None = None,
    ) -> "tuple[pb.Assignment, bytes]":
        spec = spec or AgentSpec(command=command or ("run",))
        assignment = pb.Assignment(
            instance=name,
            name=f"{name}-0.1",
            namespace="default",
            kind="job" if isinstance(spec, JobSpec) else "agent",
            workload=name,
            version=1,
            generation=1,
            goal=goal,
            spec_key=f"{name}/1",
            ports=ports or {},
            correlation=f"c-{name}",
        )
        return assignment, msgspec.json.encode(spec)

    async def desire(
        self, link: NexusEnd, *wanted: "tuple[pb.Assignment, bytes]", full: bool = True, removed: tuple[str, ...] = ()
    ) -> None:
        self.revision += 1
        desired = pb.Desired(full=full, revision=self.revision, removed=removed)
        for assignment, spec in wanted:
            desired.assignments.append(assignment)
            desired.specs[assignment.spec_key] = spec
        await link.send(pb.NexusMessage(desired=desired))

    async def reports(self, link: NexusEnd, until: Callable[[pb.InstanceReport], bool]) -> list[str]:
        """Read reports, acknowledging them, up to one that fits; all in short, as `hello running 2`."""
        found: list[str] = []
        async with asyncio.timeout(600):
            while True:
                message = await link.receive()
                if message.WhichOneof("body") != "reports":
                    continue
                sequence = message.reports.first_sequence + len(message.reports.reports) - 1
                await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id=f"outbox-{self.ids}", sequence=sequence)))
                for report in message.reports.reports:
                    found.append(short(report))
                    if until(report):
                        return found


def short(report: pb.InstanceReport) -> str:
    phase = pb.Phase.Name(report.phase).removeprefix("PHASE_").lower()
    return " ".join(filter(None, [report.instance, phase, str(report.attempt), report.outcome]))


def running(name: str, attempt: int = 1) -> Callable[[pb.InstanceReport], bool]:
    return lambda r: (r.instance, r.phase, r.attempt) == (name, pb.PHASE_RUNNING, attempt)


def ended(name: str) -> Callable[[pb.InstanceReport], bool]:
    return lambda r: (r.instance, r.phase) == (name, pb.PHASE_ENDED)


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def virtual(test: "Callable[[NodeWorld], Awaitable[None]]", faults: Faults | None = None) -> None:
    """Run a scenario on a virtual clock; in the end nothing that must never happen has happened."""

    async def main() -> None:
        world = NodeWorld(faults=faults)
        world.start()
        try:
            await test(world)
        finally:
            await world.kill()
        assert world.runtime.violations == []
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task outlived the proxy"

    run_virtual(main())
