"""A fabric that is the same each time: the real API, panel, core and scheduler on machines and agents of the demo, with
a short life behind them and a clock that stands.

Its nodes are honest models, and its log lies in memory: neither a process, a disk nor the hour of the day has a say in
what is shown.
"""

import asyncio
import datetime as dt
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from tests.support.honest import HonestNode
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.demo.host import PORTS, SimulatedHost
from omnitide.demo.life import Being, Fate, cpu_milli, fate_of, memory_bytes, pids
from omnitide.demo.log_lines import SLOT_MS, line_at
from omnitide.demo.machines import Machine, machines
from omnitide.demo.runs import Runs
from omnitide.demo.workloads import CRONS, Workload, namespaces, release_of, spec_of, workloads
from omnitide.demo.world import World
from omnitide.fabric import commands as cm
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.state import DriverFact, Health, Instance, InstanceStatus, TokenPurpose, spec_of_instance
from omnitide.nexus.sample_streams import SampleStream
from omnitide.node.metrics.buffer import Tick
from omnitide.node.metrics.encoding import Encoder
from omnitide.operations.closing import closing
from omnitide.operations.runtime import HostUse, NodeLive
from omnitide.operations.viewing.hub import view_hub_of
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting
from omnitide.sdk.target import Target
from omnitide.security import pki
from omnitide.security.tls import server_ssl_context
from omnitide.telemetry.series.definition import Series

NOW_MS: Final = 1_795_600_800_000
"""2026-11-25, 10:00 UTC: when all that is shown is looked at."""
BEFORE_MS: Final = 5_400_000
"""So long ago the fabric began."""
SEED: Final = 7
SAMPLED_S: Final = 900
"""As long as Nexus keeps each second."""
BATCH_S: Final = 60
LINES: Final = 120
MOST_STEPS: Final = 200
MOST_SAMPLED: Final = 100
"""Nodes; of more there are no charts."""

T = TypeVar("T")


class StillRuntime(MemoryRuntime):
    """Places as Nexus does, and its machines are the demo's."""

    def __init__(self, number: int, agents: int, instances: int) -> None:
        super().__init__()
        self.clock_ms = NOW_MS - BEFORE_MS
        self.machines = {one.name: one for one in machines(number, SEED)}
        self.workloads = {one.name: one for one in workloads(agents, instances)}
        self.world = World(SEED, 1.0, NOW_MS - 90 * 60_000)
        self.ids = 0
        drawn = self.new_token(TokenPurpose.API)
        self.apply(cm.IssueToken(id=drawn.id, purpose=TokenPurpose.API, digest=drawn.digest, note="operator"))
        self.operator, self.operator_token = f"token:{drawn.id}", drawn.text

    def new_id(self, prefix: str) -> str:
        self.ids += 1
        return f"{prefix}-{self.ids * 7919 % 0xFFFFFF:06x}"

    def now_ms(self) -> int:
        return self.clock_ms

    def started_ms(self) -> int:
        return NOW_MS - BEFORE_MS

    # -- what becomes of it --------------------------------------------------------------------------------------------

    def add_machine(self, machine: Machine) -> HonestNode:
        host = SimulatedHost(machine, Runs(self.world, self.now_ms)).facts()
        node = self.add_node(
            machine.name,
            cpu=machine.cpu_milli,
            memory=machine.memory_bytes,
            address=machine.address,
            ports=PORTS,
            disk_bytes=machine.disk_bytes,
            labels=dict(machine.labels),
            platform=dict(host.platform),
            software="omnitide/0.1.0",
            drivers=tuple(DriverFact(name=name, enforces=("cpu", "memory", "pids")) for name in machine.kind.drivers),
        )
        node.lacks = ()
        return node

    def deploy(self, workload: Workload, *, release: str = "", replicas: int | None = None, fate: str = "") -> None:
        spec = spec_of(workload, release, fate)
        command = cm.DeployAgent(
            agent=self.new_id("a"),
            namespace=workload.namespace,
            name=workload.name,
            spec=spec,
            replicas=workload.replicas if replicas is None else replicas,
            take_over_replicas=replicas is not None,
        )
        self.apply(command)

    def job(self, namespace: str, name: str, number: int, *, code: int) -> None:
        """Of one task, which runs and ends."""
        spec = CRONS[number].spec
        identifier = self.new_id("j")
        self.apply(cm.RunJob(job=identifier, namespace=namespace, name=name, spec=spec))
        self.settle()
        self.ends(next(one for one in self.state.instances.values() if one.workload == identifier), code=code)

    def running(self, workload: str) -> list[Instance]:
        """In the order of their names."""
        found = [
            one
            for one in self.state.instances.values()
            if one.status is InstanceStatus.RUNNING and one.name.rpartition("-")[0] == workload
        ]
        return sorted(found, key=lambda one: (one.slot, one.generation))

    def node_of(self, instance: Instance) -> HonestNode:
        return next(one for one in self.nodes.values() if one.id == instance.node)

    def settle(self) -> None:
        self.settle_but()

    def settle_but(self, unready: str = "") -> None:
        """All goes as it should, but that instances of an agent are never ready, if one is named: what it needs a time
        for takes it."""
        for _ in range(MOST_STEPS):
            before = self.state.revision
            self._place()
            for node in self.nodes.values():
                if node.session:
                    self._step(node, unready)
            if self.state.rolling:
                dues = [next_due(self.state, self.state.agents[agent]) for agent in sorted(self.state.rolling)]
                self.clock_ms = max([self.clock_ms, *(due for due in dues if due is not None)])
                self.apply(cm.AdvanceRollouts(agents=tuple(sorted(self.state.rolling))))
            if self.state.revision == before:
                return
        raise AssertionError("the fabric does not come to rest")

    def _place(self) -> None:
        table, waiting = NodeTable(self.state), Waiting(self.state)
        asks = waiting.asks(max(self.clock_ms, self.state.time_ms), 1000)
        plan = place(table, asks.ready)
        if plan.choices:
            self.apply(cm.PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices))
        if self.state.draining:
            moves = plan_moves(self.state, NodeTable(self.state))
            if moves.choices:
                self.apply(moves)

    def _step(self, node: HonestNode, unready: str = "") -> None:
        node.desire(self.state)
        node.step()
        self.say(node)
        for identifier in node.running():
            instance = self.state.instances[identifier]
            wanted = Health.UNKNOWN if instance.name.rpartition("-")[0] == unready else Health.HEALTHY
            probed = spec_of_instance(self.state, instance).health.readiness is not None
            if probed and node.runs[identifier].health is not wanted:
                node.set_health(identifier, wanted)
        self.say(node)

    def say(self, node: HonestNode) -> None:
        """What a node has to report."""
        reports = node.reports()
        if reports is not None:
            self.apply(reports, principal=node.principal)
            node.acknowledged(node.sent + len(node.unsent))

    def ends(self, instance: Instance, *, code: int, message: str = "") -> None:
        """By itself."""
        node = self.node_of(instance)
        node.exit(instance.id, spec_of_instance(self.state, instance), code=code, message=message)
        self.say(node)

    # -- what is measured ----------------------------------------------------------------------------------------------

    def being(self, instance: Instance) -> Being:
        workload = self.workloads[instance.name.rpartition("-")[0]]
        return Being(
            instance=instance.id,
            attempt=instance.attempt,
            name=instance.name,
            namespace=instance.namespace,
            workload=workload.name,
            shape=workload.shape,
            release=release_of(workload, 0),
            wish="",
            memory=workload.shape.memory,
        )

    def measure(self, workload: str) -> None:
        """What every node that is there would have sent in the last minute; those of this agent, in the last quarter
        of an hour."""
        longer = {one.node for one in self.running(workload)}
        for name in sorted(self.nodes):
            node = self.nodes[name]
            if node.session and len(self.nodes) > MOST_SAMPLED:
                self._is_busy(node, self.machines[name])
            elif node.session:
                self._measure(node, self.machines[name], SAMPLED_S if node.id in longer else BATCH_S)

    def _measure(self, node: HonestNode, machine: Machine, seconds: int) -> None:
        clock = [NOW_MS - seconds * 1000]
        runs = Runs(self.world, lambda: clock[0])
        host = SimulatedHost(machine, runs)
        here: list[tuple[Being, Fate, str]] = []
        for identifier in sorted(node.running()):
            being = self.being(self.state.instances[identifier])
            here.append((being, fate_of(being, self.world), identifier))
        stream = SampleStream(node.id, self.metrics().recent, functools.partial(self.metrics()._labels, node.id))
        encoder, spent, used = Encoder(), dict.fromkeys((one for _, _, one in here), 0.0), 0.0
        ticks: list[Tick] = []
        for second in range(seconds):
            at_ms = clock[0] = NOW_MS - (seconds - 1 - second) * 1000
            values = dict(host.sample())
            cpu = memory = 0.0
            hour = self.world.hour(at_ms)
            for being, fate, identifier in here:
                milli = cpu_milli(being, self.world, hour)
                held = memory_bytes(being, fate, self.world, 3600, hour)
                spent[identifier] += milli
                cpu, memory = cpu + milli, memory + held
                values |= dict(
                    zip(_of_instance(identifier), (int(spent[identifier]), held, pids(being, SEED)), strict=True)
                )
            used += cpu / 10
            values = _with(values, cpu_seconds=int(used), memory=int(memory), running=len(here))
            ticks.append(Tick(second, values))
            if len(ticks) == BATCH_S:
                stream.take(encoder.batch(ticks, (), second, 0), at_ms)
                ticks.clear()
        self._use(node, machine, host, cpu, memory)

    def _is_busy(self, node: HonestNode, machine: Machine) -> None:
        """What it says of itself with its beats: samples of a thousand nodes would take a minute to make."""
        beings = [self.being(self.state.instances[one]) for one in node.running()]
        hour = self.world.hour(NOW_MS)
        cpu = sum(cpu_milli(one, self.world, hour) for one in beings)
        memory = sum(memory_bytes(one, fate_of(one, self.world), self.world, 3600, hour) for one in beings)
        self._use(node, machine, SimulatedHost(machine, Runs(self.world, lambda: NOW_MS)), cpu, memory)

    def _use(self, node: HonestNode, machine: Machine, host: SimulatedHost, cpu: float, memory: float) -> None:
        use = host.use()
        milli = min(machine.cpu_milli, int(use.cpu_milli_used + cpu))
        self.live[node.id] = NodeLive(
            last_beat_ms=NOW_MS - 400,
            session_address=f"{machine.address}:50000",
            use=HostUse(
                at_ms=NOW_MS - 400,
                cpu_milli_used=milli,
                memory_used_bytes=min(machine.memory_bytes, int(use.memory_used_bytes + memory)),
                disk_used_bytes=use.disk_used_bytes,
                load_milli=milli,
                instances_running=len(node.running()),
            ),
        )

    def print_lines(self, workload: str) -> None:
        """The newest output of each of its replicas that runs."""
        for instance in self.running(workload):
            being, output = self.being(instance), self.writes(instance.id)
            last = NOW_MS // SLOT_MS
            for slot in range(last - LINES, last):
                line = line_at(being, self.world, slot)
                if line is not None:
                    output.write(line.text + "\n", stream=line.stream, at_ms=line.at_ms, attempt=instance.attempt)


@functools.lru_cache(maxsize=1000)
def _of_instance(identifier: str) -> tuple[Series, Series, Series]:
    labels = (("instance", identifier),)
    return (
        Series("omnitide_instance_cpu_seconds_total", labels, "counter", "seconds", "Its processor time.", -3),
        Series("omnitide_instance_memory_working_set_bytes", labels, "gauge", "bytes", "Its memory."),
        Series("omnitide_instance_tasks", labels, "gauge", "", "Its tasks."),
    )


def _with(values: dict[Series, int], *, cpu_seconds: int, memory: int, running: int) -> dict[Series, int]:
    """A machine's own values with what its instances take."""
    more = {
        "omnitide_node_cpu_used_seconds_total": cpu_seconds,
        "omnitide_node_memory_used_bytes": memory,
        "omnitide_node_memory_available_bytes": -memory,
        "omnitide_node_instances": running,
    }
    return {series: value + more.get(series.name, 0) for series, value in values.items()}


def live_a_little(runtime: StillRuntime) -> None:
    """Some of all that a fabric is seen in: at work, in a rollout, in trouble, in the dark."""
    minute = 60_000
    by_name = runtime.workloads
    for machine in runtime.machines.values():
        runtime.add_machine(machine)
        runtime.tick(900)
    for namespace in namespaces(list(by_name.values())):
        runtime.apply(cm.CreateNamespace(name=namespace))
    for workload in by_name.values():
        runtime.deploy(workload)
        runtime.tick(1_500)
    runtime.settle()
    runtime.clock_ms = NOW_MS - 40 * minute
    # A release that went well.
    runtime.deploy(by_name["storefront"], release=release_of(by_name["storefront"], 1))
    runtime.settle()
    runtime.clock_ms = NOW_MS - 22 * minute
    runtime.job("shop", "report-1", 0, code=0)
    runtime.tick(2 * minute)
    runtime.job("office", "backup-1", 1, code=75)
    runtime.tick(2 * minute)
    # One that dies now and then, and was started again.
    runtime.ends(runtime.running("checkout-api")[0], code=137)
    runtime.settle()
    runtime.tick(3 * minute)
    runtime.apply(cm.ScaleAgent(namespace="shop", name="checkout-api", replicas=by_name["checkout-api"].replicas + 2))
    runtime.settle()
    # A machine is emptied, one is closed, one is lost.
    names = list(runtime.machines)
    runtime.tick(2 * minute)
    runtime.apply(cm.DrainNode(node=f"n-{names[3]}"))
    runtime.settle()
    runtime.tick(minute)
    runtime.apply(cm.CordonNode(node=f"n-{names[4]}"))
    runtime.clock_ms = NOW_MS - 3 * minute
    runtime.silence(names[1])
    # What never gets far: it waits to be started again.
    runtime.tick(minute)
    for _ in range(3):
        for instance in runtime.running("legacy-sync"):
            runtime.ends(instance, code=78)
        runtime.tick(5_000)
        runtime.settle()
    for instance in runtime.running("legacy-sync"):
        runtime.ends(instance, code=78)
    # A release whose first replicas are not ready yet.
    runtime.clock_ms = NOW_MS - 50_000
    runtime.deploy(by_name["transcoder"], release=release_of(by_name["transcoder"], 1))
    runtime._place()
    for node in runtime.nodes.values():
        if node.session:
            node.desire(runtime.state)
            runtime.say(node)
    runtime.clock_ms = NOW_MS
    runtime.measure("session-cache")
    for workload in ("storefront", "session-cache"):
        runtime.print_lines(workload)


@dataclass
class Still:
    """It, and where it is served."""

    runtime: StillRuntime
    target: Target
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.target.url

    def call(self, work: Callable[[], T]) -> T:
        """In its own loop: nobody else touches it."""

        async def run() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def login_link(self) -> str:
        def issue() -> str:
            drawn = self.runtime.new_token(TokenPurpose.LOGIN)
            over_ms = NOW_MS + 600_000
            self.runtime.apply(
                cm.IssueToken(id=drawn.id, purpose=TokenPurpose.LOGIN, digest=drawn.digest, expires_ms=over_ms),
                principal=self.runtime.operator,
            )
            return drawn.text

        return f"{self.url}/?login={self.call(issue)}"


@asynccontextmanager
async def _served(runtime: StillRuntime) -> AsyncGenerator[Target]:
    now = dt.datetime.now(dt.UTC)
    authority = pki.create_authority(runtime.state.fabric_id, now)
    credentials = pki.issue_nexus(authority, "still", (), now)
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, server_ssl_context(credentials))
    ready = asyncio.Event()

    async def watch() -> None:
        """So that how busy nodes are is in the first snapshot that a page gets."""
        async with closing(view_hub_of(runtime).watch()) as frames:
            async for _ in frames:
                ready.set()

    watching = asyncio.create_task(watch())
    await ready.wait()
    try:
        yield Target(server.url, runtime.operator_token, authority.trust_bundle().pem.decode())
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await server.close()


@contextmanager
def still_fabric(number: int = 26, agents: int = 18, instances: int = 90) -> Iterator[Still]:
    """Serve it on loopback, from a thread of its own."""
    made: list[Still] = []
    failed: list[BaseException] = []
    there = threading.Event()
    over: list[asyncio.Event] = []

    async def serve() -> None:
        runtime = StillRuntime(number, agents, instances)
        live_a_little(runtime)
        async with _served(runtime) as target:
            over.append(asyncio.Event())
            made.append(Still(runtime, target, asyncio.get_running_loop()))
            there.set()
            await over[0].wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            there.set()

    thread = threading.Thread(target=run, name="still-fabric")
    thread.start()
    there.wait()
    if not made:
        thread.join()
        raise failed[0]
    try:
        yield made[0]
    finally:
        made[0].loop.call_soon_threadsafe(over[0].set)
        thread.join()
    if failed:
        raise failed[0]
