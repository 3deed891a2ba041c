"""Has the story happen: what the plot says is done by the API, as an operator would, or to a machine's plug."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from omnitide.demo.machine_node import MachineNode
from omnitide.demo.plot import Happening, plot, replicas_at
from omnitide.demo.workloads import CRONS, Workload, namespaces, release_of, spec_of
from omnitide.demo.world import World
from omnitide.sdk import AsyncClient
from omnitide.sdk.errors import FabricError
from omnitide.telemetry import logs

DEPLOYS_AT_ONCE: Final = 4
LATE_S: Final = 30.0
"""What is later than this, since the machine slept or was busy, is left out: the story goes on from now."""
LEAST_DARK_S: Final = 10.0
"""Without power, however fast time goes: to be seen."""

log = logs.get(__name__)


class Director:
    def __init__(
        self, client: AsyncClient, world: World, nodes: Mapping[str, MachineNode], workloads: Sequence[Workload]
    ) -> None:
        self._client = client
        self._world = world
        self._nodes = nodes
        self._workloads = {f"{one.namespace}/{one.name}": one for one in workloads}
        self._released: dict[str, str] = {}
        self._replicas = {key: one.replicas for key, one in self._workloads.items()}
        self._ran: Counter[tuple[str, str]] = Counter()
        """Of each job that comes again and again, the number that it had last before this story began."""
        self._dark: dict[str, float] = {}
        """Machines without power, and since when."""
        self._coming: set[asyncio.Task[None]] = set()

    async def deploy(self, deployed: Callable[[], None]) -> None:
        """All agents, as they are in the beginning. Raises FabricError."""
        known = {one.name async for one in self._client.namespaces()}
        for name in namespaces(list(self._workloads.values())):
            if name not in known:
                await self._client.create_namespace(name)
        async for job in self._client.jobs():
            stem, _, number = job.name.rpartition("-")
            if number.isdecimal():
                self._ran[job.namespace, stem] = max(self._ran[job.namespace, stem], int(number))
        gate = asyncio.Semaphore(DEPLOYS_AT_ONCE)

        async def one(key: str, workload: Workload) -> None:
            replicas = replicas_at(workload, self._world.hour(_now_ms())) if workload.scales else workload.replicas
            self._replicas[key] = replicas
            async with gate:
                await self._client.deploy_agent(
                    workload.name, spec_of(workload), namespace=workload.namespace, replicas=replicas
                )
            deployed()

        async with asyncio.TaskGroup() as group:
            for key, workload in self._workloads.items():
                group.create_task(one(key, workload))

    async def run(self) -> None:
        """For ever. What the fabric refuses is left out: somebody who plays with it may have done something else."""
        machines = [node.machine for node in self._nodes.values()]
        for happening in plot(self._world.seed, machines, list(self._workloads.values())):
            wait = self._world.at_ms(happening.hour) / 1000 - _now_ms() / 1000
            if wait < -LATE_S:
                continue
            await asyncio.sleep(max(0.0, wait))
            try:
                await self.do(happening)
            except FabricError as error:
                log.info("left out of the story", what=happening.what, subject=happening.subject, reason=str(error))

    async def do(self, happening: Happening) -> None:
        """Raises FabricError."""
        subject = happening.subject
        log.info("it happens", what=happening.what, subject=subject, value=happening.value)
        do: dict[str, Callable[[], Awaitable[object]]] = {
            "scale": self._scale,
            "release": lambda: self._release(subject, int(happening.value)),
            "bad-release": lambda: self._release(subject, 0, happening.value),
            "drain": lambda: self._client.drain_node(subject),
            "reopen": lambda: self._client.uncordon_node(subject),
            "power-off": lambda: self._power_off(subject),
            "power-on": lambda: self._power_on(subject),
            "flap": lambda: self._nodes[subject].flap(float(happening.value)),
            "job": lambda: self._job(subject),
        }
        await do[happening.what]()

    async def _scale(self) -> None:
        hour = self._world.hour(_now_ms())
        for key, workload in self._workloads.items():
            wanted = replicas_at(workload, hour)
            if workload.scales and abs(wanted - self._replicas[key]) > workload.replicas // 12:
                self._replicas[key] = wanted
                with contextlib.suppress(FabricError):
                    await self._client.scale_agent(workload.name, wanted, namespace=workload.namespace)

    async def _release(self, key: str, number: int, fate: str = "") -> None:
        workload = self._workloads[key]
        good = self._released.get(key, release_of(workload, 0))
        if fate:
            major, minor, _ = good.split(".")
            changed = await self._client.deploy_agent(
                workload.name, spec_of(workload, f"{major}.{minor}.99", fate), namespace=workload.namespace
            )
            if fate != "crash-loop":
                # No instance of it fails for good, so that nothing rolls back by itself: somebody sees it, and does.
                bad = changed.agent.version if changed.agent is not None else 0
                self._later(self._world.seconds(0.5), lambda: self._roll_back(workload, bad))
            return
        self._released[key] = release_of(workload, number)
        spec = spec_of(workload, self._released[key])
        await self._client.deploy_agent(workload.name, spec, namespace=workload.namespace)

    async def _roll_back(self, workload: Workload, bad: int) -> None:
        if (await self._client.get_agent(workload.name, namespace=workload.namespace)).version == bad:
            await self._client.roll_back_agent(workload.name, namespace=workload.namespace)

    async def _power_off(self, name: str) -> None:
        self._dark[name] = time.monotonic()
        await self._nodes[name].power_off()

    async def _power_on(self, name: str) -> None:
        since = time.monotonic() - self._dark.pop(name, 0.0)
        self._later(max(0.0, LEAST_DARK_S - since), lambda: self._plug_in(name))

    async def _plug_in(self, name: str) -> None:
        self._nodes[name].power_on()

    async def _job(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        stem, _, number = name.rpartition("-")
        cron = next(one for one in CRONS if one.namespace == namespace and one.name == stem)
        later = int(number) + self._ran[namespace, stem]
        await self._client.run_job(cron.spec, name=f"{stem}-{later}", namespace=namespace)

    def _later(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            with contextlib.suppress(FabricError):
                await work()

        task = asyncio.create_task(wait())
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
