"""What a crash loop costs: the wait before the next attempt grows over the generations of a replica, whichever node
each is on, and only a run that lasts makes it short again. Real Nexus and node proxies, under a virtual clock.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from omnitide.drivers.protocol import Exit
from omnitide.fabric import commands as cm
from omnitide.fabric.decide import Decision
from omnitide.model.spec import AgentSpec, Restart
from simulation.virtual_loop import run
from simulation.world import World

HALF_AN_HOUR_S = 1800.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def life(nodes: int, live: Callable[[World], Awaitable[None]]) -> World:
    """A fabric of so many nodes, with all that was found wrong with it."""

    async def main() -> World:
        world = World(1, [4_000] * nodes)
        await world.start_nexus()
        await world.join_all()
        await live(world)
        return world

    world = run(main())
    assert world.faults_found == []
    assert [found for node in world.nodes for found in node.runtime.violations] == []
    return world


async def deploy(world: World, *command: str, restart: Restart | None = None) -> None:
    spec = AgentSpec(command=command, restart=restart or Restart())
    answer = await world.submit(cm.DeployAgent(agent="a", namespace="default", name="loop", spec=spec, replicas=1))
    assert isinstance(answer, Decision)


def starts(world: World) -> int:
    return sum(len(node.runtime.started) for node in world.nodes)


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("attempts", [5, 2, 0])
def test_attempts_fall_off_to_one_in_each_longest_wait(nodes: int, attempts: int) -> None:
    """Half an hour by the default policy, `backoff_max` of 30 s: 60 such waits, and what came quickly at first."""
    counts: list[int] = []
    revisions: list[int] = []

    async def live(world: World) -> None:
        await deploy(world, "exit", "1", "200", restart=Restart(attempts=attempts))
        for _ in range(2):
            await asyncio.sleep(HALF_AN_HOUR_S)
            counts.append(starts(world))
            revisions.append(world.state().revision)

    life(nodes, live)
    first, later = counts[0], counts[1] - counts[0]
    assert 60 <= first <= 60 + 15
    assert 57 <= later <= 61, "one in 30 s, each of which ends after 0.2 s"
    # Of an attempt it is told that it starts, runs and has ended; of a generation that it is made, placed and ended.
    assert revisions[1] - revisions[0] <= 6 * later


def test_a_run_that_lasts_makes_the_wait_short_again() -> None:
    """It crashes for a quarter of an hour, runs well for longer than `reset_after`, and crashes again."""
    waits: list[float] = []

    async def live(world: World) -> None:
        runtime, loop = world.nodes[0].runtime, asyncio.get_running_loop()
        await deploy(world, "run")
        for crash in range(40):
            while not runtime.live():
                await asyncio.sleep(0.05)
            await asyncio.sleep(70.0 if crash == 30 else 0.2)
            finish(world)
            ended = loop.time()
            while not runtime.live():
                await asyncio.sleep(0.05)
            waits.append(round(loop.time() - ended, 1))

    life(1, live)
    assert max(waits[20:30]) >= 30
    assert waits[30:35] == pytest.approx([0, 0.5, 1, 2, 4], abs=0.3)


def finish(world: World) -> None:
    for key in world.nodes[0].runtime.live():
        world.nodes[0].runtime.finish(key, Exit(code=1))


def test_a_node_that_starts_anew_goes_on_with_the_wait() -> None:
    """Its proxy dies in the middle of a crash loop, and what it remembers of it is on its disk."""
    after: list[int] = []

    async def live(world: World) -> None:
        await deploy(world, "exit", "1", "200")
        await asyncio.sleep(HALF_AN_HOUR_S)
        before = starts(world)
        for _ in range(10):
            await world.nodes[0].kill_proxy()
            world.nodes[0].start()
            await asyncio.sleep(60.0)
        after.append(starts(world) - before)

    life(1, live)
    assert after[0] <= 21
