"""What is rarer than a fault: orderly stops, settings that change, readers, strangers, disks of yesterday, a node that
is removed, a Nexus of another release.

Apart from `scenario`, beside whose turbulence it runs, and with chance of its own: neither has to know of the other.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from sqlite3 import Connection
from typing import Final

from msgspec.structs import replace

from omnitide.config.settings import Settings
from omnitide.fabric import commands as cm
from omnitide.nexus.manners import MAX_REPORTS
from omnitide.nexus.nexus import Nexus
from omnitide.nexus.sessions import HELLO_TIMEOUT_S
from omnitide.node.outbox import OutboxLimits, memory_connection
from omnitide.node.retention import Retention
from omnitide.node.session import REFUSED_WAIT
from omnitide.operations.runtime import LogsUnavailable, NodeAway, NotServing, RuntimeAway, Trimmed
from omnitide.store.memory import AppendFault
from omnitide.store.protocol import LogFull, LogUnavailable, Tail
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from simulation.newer import Newer
from simulation.world import ENDPOINT, LIMITS, SimNode, World

PACE_S: Final = 2.0
STRANGER_S: Final = 3 * HELLO_TIMEOUT_S
READ_S: Final = 20.0
EMPTY_S: Final = 2 * REFUSED_WAIT[1]
"""For a node that was removed to hear of it, late if it had been refused for good, and to end what it runs."""


class Oddities:
    """`begin` beside the turbulence, `end` before the calm, `verify` when all has come right."""

    def __init__(self, world: World, seed: int, dead: dict[str, None], say: Callable[[str], None]) -> None:
        """`dead`: nodes that nobody expects back; one that is removed is added."""
        self.world = world
        self.rng = random.Random(f"oddities {seed}")
        self.say = say
        self._dead = dead
        self._removed: SimNode | None = None
        self._asked: SimNode | None = None
        """The node whose removal was asked for, whether or not an answer came."""
        self._old_disks: dict[str, tuple[Connection, int, dict[str, int]]] = {}
        """And which runs had been started by then."""
        self._backups: dict[str, Connection] = {}
        """Disks that were put back, while their nodes have them."""
        self._damaged = False
        self._lines = 0
        self._newer: Newer | None = None
        self._task: asyncio.Task[None] | None = None
        self._beside: set[asyncio.Task[None]] = set()
        for node in world.nodes:
            if self.rng.random() < 0.3:
                node.outbox_limits = OutboxLimits(reports=self.rng.choice((10, 40)))
            if self.rng.random() < 0.5:
                node.retention = Retention(for_ms=self.rng.choice((1_000, 20_000)), instances=self.rng.choice((2, 100)))
            node.spare_driver = self.rng.random() < 0.3

    def begin(self) -> None:
        if self.rng.random() < 0.4:
            self._newer = Newer(self.rng, ENDPOINT, self.rng.choice((0.03, 0.2)))
            self.world.network.meddle = self._newer
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def end(self) -> None:
        """Nothing odd happens from now on, and who was told anything odd is told the truth."""
        for task in (self._task, *self._beside):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (self._task, *self._beside) if task is not None))
        world = self.world
        if world.nexus_stops:
            await world.kill_nexus()
        world.network.meddle = None
        for node in self._newer.changed if self._newer is not None else ():
            world.network.reset_one(node)
        for node in world.nodes:
            node.runtime.available = True
            await self._forget_backup(node)
            if node.ending and node is not self._removed:
                await node.kill_proxy()
        self._change_settings(Settings())

    async def verify(self) -> None:
        """What holds in the end of what was odd."""
        for gone in (node for node in self.world.nodes if node.id not in self.world.state().nodes):
            if gone is not self._asked:
                self.world.faults_found.append(f"{gone.name} is gone, and nobody asked for that")
        node = self._removed
        end = asyncio.get_running_loop().time() + EMPTY_S
        while node is not None and node.process is not None and node.runtime.live():
            if asyncio.get_running_loop().time() < end:
                await asyncio.sleep(1)
                continue
            self.world.faults_found.append(f"{node.name} was removed and still runs {node.runtime.live()}")
            return

    async def _go_on(self) -> None:
        try:
            while True:
                await asyncio.sleep(self.rng.expovariate(1 / PACE_S))
                await self._one(self.rng.choice(self.world.nodes))
        except asyncio.CancelledError:
            pass

    def _spawn(self, work: Awaitable[None]) -> None:
        async def quietly() -> None:
            try:
                await work
            except asyncio.CancelledError:
                pass

        task = asyncio.get_running_loop().create_task(quietly())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _one(self, node: SimNode) -> None:
        choices: tuple[Callable[[], object], ...] = (
            lambda: self._spawn(node.stop_proxy()),
            lambda: self._spawn(self._restart_nexus()),
            lambda: self._change_settings(self._other_settings()),
            lambda: node.host.relabel({"zone": self.rng.choice("ab"), "moved": str(self.rng.randrange(9))}),
            lambda: self._spawn(self._runtime_away(node)),
            lambda: self._read_logs(node),
            lambda: self._read_logs(node),
            lambda: self._ask_nexus(),
            lambda: self._spawn(self._stranger(node)),
            lambda: self._spawn(self._stranger(node)),
            lambda: self._spawn(self._new_disk(node)),
            lambda: self._spawn(self._old_disk(node)),
            lambda: self._break_disk_of_nexus(),
            lambda: self._spawn(self._clean_up()),
            lambda: self._spawn(self._remove()),
        )
        number = self.rng.randrange(len(choices))
        self.say(f"oddity {number} {node.name}")
        choices[number]()

    # -- nodes -------------------------------------------------------------------------------------------------------

    async def _runtime_away(self, node: SimNode) -> None:
        node.runtime.available = False
        node.runtime.break_watches()
        await asyncio.sleep(self.rng.uniform(0.1, 15))
        node.runtime.available = True

    async def _new_disk(self, node: SimNode) -> None:
        """The node forgets everything while what it ran goes on."""
        if node.process is not None and self.rng.random() < 0.5:
            await node.kill_proxy()
            node.disk = memory_connection()
            node.runtime.forget()

    async def _old_disk(self, node: SimNode) -> None:
        """A machine that lost its power comes back with the disk of a while ago, which is also its runtime's."""
        if node.id not in self._old_disks:
            copy = memory_connection()
            node.disk.backup(copy)
            self._old_disks[node.id] = (copy, len(node.runtime.started), dict(node.runtime.latest))
        else:
            copy, started, latest = self._old_disks.pop(node.id)
            await node.kill_machine()
            node.disk = copy
            for key in node.runtime.started[started:]:
                node.runtime.remove(key)
            del node.runtime.started[started:]
            node.runtime.latest = latest
            self._backups[node.id] = copy
            await asyncio.sleep(self.rng.uniform(1, 30))
            await self._forget_backup(node)

    async def _forget_backup(self, node: SimNode) -> None:
        """A disk that is older than the node's last session makes it look like a copy of itself: it is refused until
        its operator removes what it remembers."""
        if self._backups.pop(node.id, None) is node.disk:
            await node.kill_proxy()
            node.disk = memory_connection()
            node.runtime.forget()

    async def _remove(self) -> None:
        node = self.world.nodes[-1]
        if self._removed is not None or len(self.world.nodes) == 1 or self.rng.random() > 0.2:
            return
        self._asked = node
        if await self.world.submit(cm.RemoveNode(node=node.id, force=True)) is not None:
            self._removed = node
            self._dead[node.id] = None

    # -- Nexus -------------------------------------------------------------------------------------------------------

    def _other_settings(self) -> Settings:
        lease = replace(Settings().lease, lost_after_ms=self.rng.choice((500, 5_000, 20_000)))
        return replace(Settings(), lease=lease)

    def _change_settings(self, settings: Settings) -> None:
        self.world.settings = settings
        if self.world.nexus is not None:
            self.world.nexus.settings_changed()

    async def _restart_nexus(self) -> None:
        await self.world.stop_nexus()
        await asyncio.sleep(self.rng.uniform(0, 3))
        await self.world.start_nexus()

    async def _clean_up(self) -> None:
        nexus = self.world.nexus
        now_ms = nexus.now_ms() if nexus is not None else self.world.clock.now_ms()
        command = cm.Forget(finished_before_ms=now_ms, keep_jobs=0)
        await self.world.submit(command, "system:janitor")

    def _break_disk_of_nexus(self) -> None:
        """What a disk does besides refusing a write: does not tell what it holds, takes no snapshot, damages one."""
        world, log = self.world, self.world.log
        if log is None:
            return
        choice = self.rng.randrange(3)
        if choice == 0:
            left = self.rng.choice((1, 2, 9))
            tail = log.tail

            async def no_tail() -> Tail:
                nonlocal left
                left -= 1
                if left >= 0:
                    raise LogUnavailable("the disk does not answer")
                return await tail()

            log.tail = no_tail
            log.fail_appends(self.rng.choice((AppendFault.UNKNOWN_LOST, AppendFault.UNKNOWN_APPLIED)))
        elif choice == 1:
            save = log.save_snapshot

            async def full(*arguments: object) -> object:
                log.save_snapshot = save
                raise LogFull("no room for a snapshot")

            log.save_snapshot = full
        elif len(world.storage.snapshots) > 1 and not self._damaged:
            # Once in a life: the log is kept behind the two newest, so it bears the loss of one.
            self._damaged = True
            newest = max(world.storage.snapshots)
            info, chunks = world.storage.snapshots[newest]
            world.storage.snapshots[newest] = (info, (*chunks[:-1], chunks[-1][:-1]))

    # -- who asks ----------------------------------------------------------------------------------------------------

    def _read_logs(self, node: SimNode) -> None:
        nexus = self.world.nexus
        for key in node.runtime.live():
            self._lines += 1
            node.runtime.write(key.instance, f"{self._lines}\n".encode())
        if nexus is not None and (known := sorted(nexus.committed().instances)):
            chosen = self.rng.choice(known)
            self.world.spawn_in_nexus(self._follow(nexus, chosen, self.rng.choice((None, 0, 3))))

    async def _follow(self, nexus: Nexus, instance: str, tail_lines: int | None) -> None:
        """Each line once and in order, whatever ends the stream."""
        last = 0
        try:
            async with asyncio.timeout(READ_S):
                async for piece in nexus.logs(instance, follow=True, tail_lines=tail_lines, since_ms=0):
                    for number in map(int, piece.data.split()):
                        if number <= last:
                            self.world.faults_found.append(f"the logs of {instance} say {number} after {last}")
                        last = number
        except (LogsUnavailable, NodeAway, RuntimeAway, TimeoutError):
            pass

    def _ask_nexus(self) -> None:
        nexus = self.world.nexus
        if nexus is None:
            return
        choice = self.rng.randrange(4)
        state = nexus.committed()
        if choice == 0:
            nexus.dry_run(cm.StopAgent(namespace="default", name="blue"), cm.Header(principal="system:operator"))
            if nexus.committed() is not state:
                self.world.faults_found.append("a dry run changed the state")
        elif choice == 1:
            self.world.spawn_in_nexus(self._wait(nexus, state.revision + self.rng.randrange(0, 10)))
        elif choice == 2:
            self.world.spawn_in_nexus(self._history(nexus, self.rng.randrange(0, state.revision + 1)))
        else:
            for _ in range(LIMITS.inbox + 10):
                self.world.spawn_in_nexus(self._crowd(nexus))

    async def _wait(self, nexus: Nexus, revision: int) -> None:
        if await nexus.wait_for(revision, 5.0) != (nexus.committed().revision >= revision):
            self.world.faults_found.append(f"who waited for r{revision} was told wrongly")

    async def _history(self, nexus: Nexus, after: int) -> None:
        try:
            entries = await nexus.entries(after, 30)
        except (Trimmed, LogUnavailable):
            return
        if [entry.revision for entry in entries] != list(range(after + 1, after + 1 + len(entries))):
            self.world.faults_found.append(f"the history after r{after} has gaps")

    async def _crowd(self, nexus: Nexus) -> None:
        """More at once than there is room for: who is refused is told so."""
        try:
            await nexus.submit(cm.StopAgent(namespace="default", name="nobody"), cm.Header(principal="system:operator"))
        except NotServing:
            pass

    # -- strangers ---------------------------------------------------------------------------------------------------

    async def _stranger(self, node: SimNode) -> None:
        """Somebody dials who is not this node's proxy, or not well. Nothing of it may disturb the fabric."""
        choice = self.rng.randrange(7)
        key = "sha256:stolen" if choice == 3 else node.key_digest
        hello = pb.Hello(protocol_min=1, protocol_max=1, node_id=node.id, outbox_id="copy", boot_id="copy")
        hello.facts.CopyFrom(pb.Facts(name=node.name, cpu_milli=1000, memory_bytes=1 << 30))
        first = pb.NodeMessage(hello=hello)
        if choice == 1:
            first = pb.NodeMessage(reports=pb.Reports(first_sequence=1))
        elif choice == 2:
            hello.node_id = "another"
        elif choice == 4:
            hello.protocol_min = hello.protocol_max = 9
        first = pb.NodeMessage(hello=hello) if choice != 1 else first
        link = None
        try:
            async with asyncio.timeout(STRANGER_S):
                link = await self.world.network.dial(node.id, key)
                if choice != 0:
                    await link.send(first)
                answer = await link.receive()
                if choice < 5 and answer.WhichOneof("body") == "welcome":
                    self.world.faults_found.append(f"a stranger was welcomed as {node.name} ({choice})")
                if answer.WhichOneof("body") == "welcome":
                    # A copy of the identity, while the node itself is away: nobody can know. It floods, or just leaves.
                    count = MAX_REPORTS + 1 if choice == 5 else 1
                    reports = [pb.InstanceReport(instance=f"none{n}", phase=pb.PHASE_RUNNING) for n in range(count)]
                    await link.send(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=reports)))
                    await asyncio.sleep(self.rng.uniform(0, 5))
        except (LinkClosed, TimeoutError):
            pass
        finally:
            if link is not None:
                await link.close()
