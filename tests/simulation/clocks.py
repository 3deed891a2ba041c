"""Clocks that jump, for a while or for good, and a Nexus that stands still: the third hand, with chance of its own."""

import asyncio
import random
from typing import Final

from simulation.world import World, WorldClock

PACE_S: Final = 20.0
JUMPS_MS: Final = (2_000, 90_000, 3_600_000, 86_400_000)
PAUSES_S: Final = (1.0, 5.0, 25.0, 90.0)


class Clocks:
    """`begin` beside the turbulence, `end` before the calm."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = random.Random(f"clocks {seed}")
        self._right = [(clock, clock.error_ms) for clock in (world.clock, *(node.clock for node in world.nodes))]
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._rng.random() < 0.5:
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def end(self) -> None:
        """Every clock is right again, but for the one in three whose error nobody has noticed."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for clock, error_ms in self._right:
            if self._rng.random() < 0.7:
                clock.error_ms = error_ms

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(1 / PACE_S))
            if self._rng.random() < 0.4:
                self._world.pause_nexus(self._rng.choice(PAUSES_S))
            else:
                clock, right = self._rng.choice(self._right)
                await self._jump(clock, right)

    async def _jump(self, clock: WorldClock, right: int) -> None:
        clock.error_ms += self._rng.choice((1, -1)) * self._rng.choice(JUMPS_MS)
        if self._rng.random() < 0.7:
            await asyncio.sleep(self._rng.uniform(0.1, 8))
            clock.error_ms = right
