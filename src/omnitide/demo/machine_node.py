"""A simulated machine as a node: the production proxy and session over real connections, with power that can go."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from omnitide import __version__
from omnitide.demo.driver import SimulatedDriver
from omnitide.demo.host import Sample, SimulatedHost
from omnitide.demo.link import WeakLinkDialer
from omnitide.demo.machines import Machine, boot_id
from omnitide.demo.runs import Runs
from omnitide.demo.volumes import SimulatedProvisions
from omnitide.demo.world import World
from omnitide.node.clock import WallClock
from omnitide.node.endpoints import Endpoints
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.identity_view import IdentityView
from omnitide.node.launching import NodeContext
from omnitide.node.metrics.instances import InstanceSampler
from omnitide.node.metrics.sampling import Sampling, since_boot
from omnitide.node.metrics.scraping import Scraper
from omnitide.node.outbox import Outbox, memory_connection
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.retention import Retention
from omnitide.node.session import SAMPLES, Who

KEPT_MS: Final = 600_000
"""Of ended instances: a demo that goes on for days does not grow."""
KEPT_INSTANCES: Final = 5


class _Powered(NamedTuple):
    """What runs while there is power."""

    proxy: Proxy
    dialer: WeakLinkDialer
    drivers: list[SimulatedDriver]
    tasks: list["asyncio.Task[object]"]


class MachineNode:
    """`power_on` begins; `power_off` ends it as the plug does; `close` in the end."""

    def __init__(
        self, machine: Machine, identity: IdentityView, world: World, volumes: Path, on_welcome: Callable[[], None]
    ) -> None:
        """`volumes`: the folder of its volumes; it need not be there."""
        self.machine = machine
        self._identity = identity
        self._world = world
        self._on_welcome = on_welcome
        self._volumes = volumes
        self._clock = WallClock()
        self._rng = random.Random(f"{world.seed}/{machine.name}")
        self.runs = Runs(world, self._clock.now_ms)
        self._host = SimulatedHost(machine, self.runs)
        # Its disk, which the loss of power does not touch.
        self._memory = memory_connection()
        self._boots = 0
        self._powered: _Powered | None = None

    @property
    def on(self) -> bool:
        return self._powered is not None

    def power_on(self) -> None:
        if self._powered is not None:
            return
        self._boots += 1
        machine, boot = self.machine, boot_id(self.machine, self._world.seed, self._boots)
        outbox = Outbox(self._memory, boot_id=boot, new_id=lambda: f"{self._rng.getrandbits(64):016x}")
        endpoints = Endpoints(outbox.endpoints, self._identity.endpoints)
        grpc = GrpcDialer(lambda: self._identity)
        dialer = WeakLinkDialer(grpc)
        drivers = [SimulatedDriver(name, machine, self.runs) for name in machine.kind.drivers]
        proxy = Proxy(
            Parts(
                who=Who(self._identity.node_id, boot, f"omnitide/{__version__} (simulated)"),
                context=NodeContext(machine.name),
                drivers=drivers,
                host=self._host,
                outbox=outbox,
                dialer=dialer,
                endpoints=endpoints,
                clock=self._clock,
                rng=self._rng,
                retention=Retention(KEPT_MS, KEPT_INSTANCES),
                provisions=SimulatedProvisions(self._volumes),
                volumes=str(self._volumes),
                on_welcome=self._on_welcome,
                on_settings=grpc.settings,
            )
        )
        sampling = self._sampling(proxy, drivers, dialer, endpoints)
        tasks: list[asyncio.Task[object]] = [
            asyncio.create_task(proxy.run(), name=machine.name),
            asyncio.create_task(sampling.run(), name=f"samples-{machine.name}"),
        ]
        self._powered = _Powered(proxy, dialer, drivers, tasks)

    def _sampling(
        self, proxy: Proxy, drivers: list[SimulatedDriver], dialer: WeakLinkDialer, endpoints: Endpoints
    ) -> Sampling:
        by_name = {driver.name: driver for driver in drivers}
        # Not all of a process's machines in the same moment.
        shift = self._rng.random()

        def now() -> float:
            return since_boot() + shift

        return Sampling(
            host=self._host,
            gpu=_Nothing(),
            instances=InstanceSampler(by_name, self.runs.running),
            scraper=lambda take: Scraper(by_name, tuple, take, now, lambda: 0),
            dialer=dialer,
            endpoint=lambda: endpoints.current if proxy.connected_now and SAMPLES in proxy.features else None,
            rng=self._rng,
            now=now,
        )

    async def power_off(self) -> None:
        """At once, without a goodbye: what ran is gone."""
        powered, self._powered = self._powered, None
        if powered is None:
            return
        for task in powered.tasks:
            task.cancel()
        await asyncio.gather(*powered.tasks, return_exceptions=True)
        for driver in powered.drivers:
            await driver.close()
        self.runs.lose_power()

    async def flap(self, seconds: float) -> None:
        """Its link is away for a while; what runs there goes on."""
        if self._powered is not None:
            self._powered.dialer.cut(seconds)

    async def stop(self, seconds: float) -> None:
        """End in order, with a goodbye, within a time."""
        powered = self._powered
        if powered is not None:
            powered.proxy.stop("the demo ends", 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.wait(powered.tasks[:1])
        await self.power_off()

    @property
    def failure(self) -> BaseException | None:
        """What ended its proxy, which should go on; None while it does."""
        task = self._powered.tasks[0] if self._powered is not None else None
        return task.exception() if task is not None and task.done() and not task.cancelled() else None


class _Nothing:
    def sample(self) -> list[Sample]:
        return []
