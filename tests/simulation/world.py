"""One simulated fabric: a Nexus that can die, nodes whose proxy or machine can die, and what was promised."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from msgspec.structs import replace

from omnitide.config.settings import Settings
from omnitide.drivers.protocol import PortBinding
from omnitide.fabric.commands import Command, Header, IssueToken, JoinNode
from omnitide.fabric.decide import Decision
from omnitide.fabric.events import NodeLost, NodeUnreachable, decode_entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, NodeFacts, TokenPurpose
from omnitide.fabric.steps import step_violations
from omnitide.nexus.engine import EngineLimits
from omnitide.nexus.leases import MISSED_S
from omnitide.nexus.leases import PRINCIPAL as LEASES
from omnitide.nexus.nexus import Nexus
from omnitide.nexus.watching import Committed
from omnitide.node.endpoints import Endpoints
from omnitide.node.facts import Facts, HostUse
from omnitide.node.launching import NodeContext
from omnitide.node.outbox import DEFAULT_LIMITS, Outbox, memory_connection
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.retention import Retention
from omnitide.node.session import Who
from omnitide.operations.runtime import NotServing, Trimmed, WatchLagged
from omnitide.security.certificates import from_ms
from omnitide.security.keyring import Keyring, new_keyring
from omnitide.security.pki import create_authority
from omnitide.store.memory import AppendFault, MemoryLog, MemoryStorage
from omnitide.store.protocol import Batch
from simulation.network import Dialer, Network
from simulation.processes import Process, install
from support.fake_driver import FakeDriver, FakeRuntime, Faults

EPOCH_MS: Final = 1_800_000_000_000
LIMITS: Final = EngineLimits(inbox=100, snapshot_every=60, keep_entries=120, watcher_entries=12, recent_entries=50)
ENDPOINT: Final = "nexus:7401"
STOP_BACK_MS: Final = 30_000
STOP_S: Final = 30.0
LINGER_S: Final = 1.0

_keyrings: list[Keyring] = []


def _keyring() -> Keyring:
    """One for all fabrics: making it costs more than simulating one, and nothing depends on its keys."""
    if not _keyrings:
        _keyrings.append(new_keyring(create_authority("sim", from_ms(EPOCH_MS))))
    return _keyrings[0]


class WorldClock:
    """The wall clock of one machine: the loop's time, with an error of its own."""

    def __init__(self, error_ms: int = 0) -> None:
        self.error_ms = error_ms
        self.stopped_s = 0.0
        """How long the loop stood still on it while its clocks went on."""

    def now_ms(self) -> int:
        return EPOCH_MS + self.error_ms + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.stopped_s


class SimHost:
    def __init__(self, name: str, cpu_milli: int, labels: dict[str, str]) -> None:
        self._facts = Facts(
            name=name,
            labels=labels,
            cpu_milli=cpu_milli,
            memory_bytes=64 << 30,
            port_first=20_000,
            port_last=20_099,
            platform={"os": "linux"},
        )
        self.busy: set[int] = set()

    def relabel(self, labels: dict[str, str]) -> None:
        self._facts = replace(self._facts, labels=labels)

    def facts(self) -> Facts:
        return self._facts

    def use(self) -> HostUse:
        return HostUse()

    def busy_port(self, ports: Sequence[PortBinding]) -> int | None:
        return next((port.host for port in ports if port.host in self.busy), None)


class SimNode:
    """A machine with a node proxy on it. The runtime outlives the proxy; the disk outlives both."""

    def __init__(self, world: "World", number: int, cpu_milli: int) -> None:
        self.world = world
        self.id = f"n{number}"
        self.name = f"node{number}"
        self.key_digest = f"sha256:key{number}"
        self.clock = WorldClock(world.rng.randrange(-2000, 2000))
        self.host = SimHost(self.name, cpu_milli, {"zone": "ab"[number % 2]})
        self.runtime = FakeRuntime(now_ms=self.clock.now_ms, rng=world.rng)
        self.disk = memory_connection()
        self.outbox_limits = DEFAULT_LIMITS
        self.retention = Retention()
        self.spare_driver = False
        """A second driver, for which there is never anything to do."""
        self._spare_runtime = FakeRuntime(now_ms=self.clock.now_ms, rng=world.rng)
        self._boots = 0
        self._outboxes = 0
        self.process: Process | None = None
        self.proxy: Proxy | None = None
        self._running: asyncio.Task[None] | None = None
        self._told_to_stop = False

    def _new_outbox_id(self) -> str:
        self._outboxes += 1
        return f"{self.id}-outbox{self._outboxes}"

    def start(self) -> None:
        assert self.process is None
        self._told_to_stop = False
        boot = f"{self.id}-boot{self._boots}"
        drivers = (FakeDriver(self.runtime), *([FakeDriver(self._spare_runtime, "spare")] if self.spare_driver else []))
        self.process = Process(self.name)
        self.proxy = Proxy(
            Parts(
                who=Who(node_id=self.id, boot_id=boot, software="omnitide/sim"),
                context=NodeContext(node_name=self.name),
                drivers=drivers,
                host=self.host,
                outbox=Outbox(self.disk, boot_id=boot, new_id=self._new_outbox_id, limits=self.outbox_limits),
                dialer=Dialer(self.world.network, self.id, self.key_digest),
                endpoints=Endpoints((), (ENDPOINT,)),
                clock=self.clock,
                rng=self.world.rng,
                retention=self.retention,
            )
        )
        self._running = self.process.spawn(self._run(self.proxy), self.name)

    async def _run(self, proxy: Proxy) -> None:
        try:
            await proxy.run()
        except Exception as error:
            self.world.faults_found.append(f"the proxy of {self.name} broke: {error!r}")
            raise

    async def kill_proxy(self) -> None:
        """kill -9: what runs goes on."""
        if self.process is not None:
            process, self.process, self.proxy = self.process, None, None
            self.world.network.node_dies(self.id)
            await process.kill()

    async def stop_proxy(self) -> None:
        """SIGTERM: it takes its leave and ends; what runs goes on."""
        process, proxy, running = self.process, self.proxy, self._running
        if process is None or proxy is None or running is None:
            return
        self._told_to_stop = True
        proxy.stop("the node proxy was stopped", STOP_BACK_MS, stopped=True)
        await asyncio.wait({running}, timeout=STOP_S)
        if not running.done():
            self.world.faults_found.append(f"the proxy of {self.name} does not stop")
        await asyncio.sleep(LINGER_S)  # what it said last is under way, and arrives without it
        if self.process is process:
            await self.kill_proxy()

    @property
    def ending(self) -> bool:
        """Its proxy was told to end, or has ended by itself."""
        return self._told_to_stop or (self._running is not None and self._running.done())

    async def kill_machine(self) -> None:
        """Power loss: all that ran is gone. The disk keeps what it had."""
        await self.kill_proxy()
        self.runtime.crash()
        self._boots += 1

    def set_faults(self, faults: Faults) -> None:
        self.runtime.faults = faults


class World:
    """Made and run inside a virtual loop."""

    def __init__(self, seed: int, nodes: Sequence[int]) -> None:
        self.rng = random.Random(seed)
        self.clock = WorldClock()
        self.network = Network(self.rng)
        self.storage = MemoryStorage()
        self.disk_s = (0.0002, 0.003)
        self.faults_found: list[str] = []
        self.acknowledged: dict[int, str] = {}
        """Revision -> what was acknowledged there."""
        self._answers: dict[int, bytes] = {}
        self._ids = 0
        self._log: MemoryLog | None = None
        self._process: Process | None = None
        self._stopping: Process | None = None
        self.nexus: Nexus | None = None
        self.nexus_starts = 0
        self._granted_until = 0.0
        """Before it no node may be declared anything: Nexus stood still, or took no writes."""
        self._granted_ms = 0
        """The same, by the log's time: what was decided earlier may be on its way to the disk still."""
        self.checked = 0
        self.settings = Settings()
        install(asyncio.get_running_loop())
        self.nodes = [SimNode(self, number, cpu) for number, cpu in enumerate(nodes)]

    # -- Nexus -------------------------------------------------------------------------------------------------------

    async def _before_durable(self, batch: Batch) -> None:
        await asyncio.sleep(self.rng.uniform(*self.disk_s))

    def _random_id(self) -> str:
        self._ids += 1
        return f"{self._ids:04d}{self.rng.randrange(16**4):04x}"

    async def start_nexus(self) -> None:
        if self._process is not None:
            return  # somebody else has just started it
        if self._log is None:
            self._log = MemoryLog(self.storage, self._before_durable)
        self.nexus_starts += 1
        # This one has not stood still: who has connected to it, and is silent again, may be declared so.
        self._granted_until = 0.0
        process = self._process = Process(f"nexus{self.nexus_starts}")
        starting = process.spawn(
            Nexus.start(
                self._log,
                _keyring(),
                self.clock,
                lambda: self.settings,
                random_id=self._random_id,
                limits=LIMITS,
            )
        )
        await asyncio.wait({starting})
        if starting.cancelled():
            return  # killed while it started
        self.nexus = starting.result()
        self.nexus.engine.subscribe(self._check)
        process.spawn(self._watch(self.nexus), "watcher")
        self._verify_promises()
        self.network.nexus_listens(self.nexus.sessions, self.nexus.tunnels, process)

    async def stop_nexus(self) -> None:
        """SIGTERM: what was asked before is answered, and it ends."""
        nexus, process = self.nexus, self._process
        if nexus is None or process is None:
            return
        self._stopping = process
        closing = process.spawn(nexus.close())
        await asyncio.wait({closing}, timeout=STOP_S)
        if not closing.done():
            self.faults_found.append("Nexus does not stop")
        if self._process is process:
            await self.kill_nexus()

    def pause_nexus(self, seconds: float) -> None:
        """SIGSTOP, or a machine that is suspended: when it goes on, its clocks have and its streams are broken."""
        self.clock.stopped_s += seconds
        if self.nexus is not None and seconds > MISSED_S:
            self.network.reset_all()
            self._blame_nobody()

    def _blame_nobody(self) -> None:
        """From now on nodes have the time of a start to connect in."""
        lease = self.settings.lease
        self._granted_until = asyncio.get_running_loop().time() + (lease.reconnect_grace_ms + 5_000) / 1000
        self._granted_ms = self.nexus.now_ms() if self.nexus is not None else 0

    @property
    def nexus_stops(self) -> bool:
        """It takes nothing more, and has not ended yet."""
        return self._process is not None and self._stopping is self._process

    @property
    def log(self) -> MemoryLog | None:
        return self._log

    def spawn_in_nexus(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that somebody asks of this Nexus, and that ends with it."""
        if self._process is None:
            work.close()
        else:
            self._process.spawn(work)

    async def kill_nexus(self) -> None:
        """kill -9, or the power: what was not synced may be gone."""
        if self._process is None or self._log is None:
            return
        self.network.nexus_dies()
        process, self._process, self.nexus = self._process, None, None
        self._log = self._log.crash(self.rng)
        await process.kill()

    def break_log(self, *faults: AppendFault) -> None:
        if self._log is not None:
            self._log.fail_appends(*faults)

    def set_full(self, full: bool) -> None:
        """A Nexus that has tried to write meanwhile has taken no node's connection either."""
        was, self.storage.full = self.storage.full, full
        if was and not full and self.nexus is not None and self.nexus.engine.refusing:
            self._blame_nobody()

    def _check(self, before: FabricState, after: FabricState, entries: list[Committed]) -> None:
        """Each step: sound, nothing of it has gone back, and what readers see is the fold of what the log holds."""
        self.checked += len(entries)
        granted = asyncio.get_running_loop().time() < self._granted_until
        state = before
        for revision, entry in entries:
            folded = apply(state, entry)
            self.faults_found += [f"r{revision}: {found}" for found in step_violations(state, folded, entry)]
            state = folded
            if (
                granted
                and entry.time_ms >= self._granted_ms
                and entry.principal == LEASES
                and any(isinstance(event, NodeUnreachable | NodeLost) for event in entry.events)
            ):
                self.faults_found.append(f"r{revision}: a node is blamed for the time in which Nexus heard nobody")
        if state != after:
            self.faults_found.append(f"r{after.revision}: the committed state is not the fold of its entries")

    def _verify_promises(self) -> None:
        """What was acknowledged is in the log, at its revision, for ever."""
        records = {
            record.position: record.payload for record in self.storage.records(self.storage.first - 1, 10**9, 10**12)
        }
        for revision, what in self.acknowledged.items():
            if revision < self.storage.first:
                continue
            payload = records.get(revision)
            if payload is None:
                self.faults_found.append(f"r{revision} was acknowledged ({what}) and is gone")
            elif self._answers.setdefault(revision, payload) != payload:
                self.faults_found.append(f"r{revision} was acknowledged ({what}) and is another now")

    async def _watch(self, nexus: Nexus) -> None:
        """Someone who follows the log, sometimes too slowly: sees every entry once and in order, however it resumes."""
        watchers = nexus.engine.watchers
        position = max(self.storage.first - 1, nexus.committed().revision - 20)
        while True:
            try:
                async for batch in watchers.watch(position, nexus.engine.entries):
                    for revision, _ in batch:
                        if revision != position + 1:
                            self.faults_found.append(f"a watcher at r{position} was given r{revision}")
                        position = revision
                    if watchers.most_buffered() > LIMITS.watcher_entries:
                        self.faults_found.append("a watcher's buffer is above its bound")
                    if self.rng.random() < 0.1:
                        await asyncio.sleep(self.rng.uniform(1, 60))
                return
            except WatchLagged as lagged:
                if lagged.resume_from != position:
                    self.faults_found.append(f"a watcher at r{position} is told to resume at r{lagged.resume_from}")
            except Trimmed as trimmed:
                position = trimmed.first - 1

    # -- people ------------------------------------------------------------------------------------------------------

    async def submit(self, command: Command, principal: str = "system:operator") -> Decision | Rejection | None:
        """None: Nexus was not there, refused, or died before it answered."""
        nexus, process = self.nexus, self._process
        if nexus is None or process is None:
            return None
        asking = process.spawn(nexus.submit(command, Header(principal=principal)))
        # Whoever asked may be gone when the answer comes.
        asking.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
        try:
            await asyncio.wait({asking})
            answer = asking.result()
        except (NotServing, asyncio.CancelledError):
            return None
        if isinstance(answer, Decision) and answer.entry.events:
            self.acknowledged[answer.revision] = type(command).__name__
            found = self.storage.records(answer.revision - 1, 1, 10**9)
            if found:
                self._answers[answer.revision] = found[0].payload
            else:
                self.faults_found.append(f"r{answer.revision} is acknowledged and not durable")
        return answer

    async def join_all(self) -> None:
        token = IssueToken(
            id="t", purpose=TokenPurpose.JOIN, digest="-", uses=100, expires_ms=EPOCH_MS + 10**9, labels={}
        )
        await self.submit(token)
        for node in self.nodes:
            await self.submit(
                JoinNode(token="t", node=node.id, name=node.name, key_digest=node.key_digest, facts=NodeFacts())
            )
            node.start()

    def state(self) -> FabricState:
        assert self.nexus is not None
        return self.nexus.committed()

    def trace(self) -> list[str]:
        """What happened, as text: the log, and what really ran."""
        first = self.storage.first
        lines = [
            f"{record.position} {decode_entry(record.payload)!r}"
            for record in self.storage.records(first - 1, 10**9, 10**12)
        ]
        return lines + [f"{node.name} started {node.runtime.started!r}" for node in self.nodes]
