"""When a node sends what it sampled: on a virtual clock, over links in memory, to a Nexus played by hand."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

from omnitide.node.metrics.buffer import Scraped
from omnitide.node.metrics.sampling import EVERY_S, Sampling
from omnitide.telemetry.series.definition import EndpointTrouble, Series
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from simulation.virtual_loop import run as run_virtual
from support.memory_link import MemoryLink, link_pair

LOAD = Series("omnitide_node_load1", (), "gauge", "", "Load.", -2)
ROOM = Series("room", (("instance", "i1"),), "gauge", step_ms=15_000, scraped=True)

NexusEnd = MemoryLink[pb.SampleWish, pb.SampleBatch]


class Host:
    """A machine of which a sample is the number of samples so far."""

    def __init__(self) -> None:
        self.number = 0

    def sample(self) -> list[tuple[Series, int]]:
        self.number += 1
        return [(LOAD, self.number)]

    def close(self) -> None: ...


class Nothing:
    def sample(self) -> list[tuple[Series, int]]:
        return []


class NoInstances:
    async def sample(self) -> list[tuple[Series, int]]:
        return []

    def close(self) -> None: ...


class Scrapes:
    troubles = {"i1": EndpointTrouble(7), "i2": EndpointTrouble(0, "GET /metrics answers 404")}  # noqa: RUF012

    def __init__(self, take: Callable[[Scraped], object]) -> None:
        self.take = take

    async def run(self) -> None:
        await asyncio.Event().wait()


class World:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.endpoint: str | None = "n1:1"
        self.ends: asyncio.Queue[NexusEnd] = asyncio.Queue()
        self.dials: list[float] = []
        self.refuses = False
        self.received: list[tuple[float, pb.SampleBatch]] = []
        self.scrapes: Scrapes | None = None

        def scraper(take: Callable[[Scraped], object]) -> Scrapes:
            self.scrapes = Scrapes(take)
            return self.scrapes

        self.sampling = Sampling(
            host=Host(),  # type: ignore[arg-type]
            gpu=Nothing(),  # type: ignore[arg-type]
            instances=NoInstances(),  # type: ignore[arg-type]
            scraper=scraper,  # type: ignore[arg-type]
            dialer=self,
            endpoint=lambda: self.endpoint,
            rng=random.Random(3),
            names=lambda: {"i1": (("agent", "web"), ("instance", "web-1.1"), ("instance_id", "i1"))},
            now=lambda: 1000.5 + loop.time(),
        )

    async def open_samples(self, _: str) -> MemoryLink[pb.SampleBatch, pb.SampleWish]:
        self.dials.append(asyncio.get_running_loop().time())
        if self.refuses:
            raise LinkClosed("refused")
        near: MemoryLink[pb.SampleBatch, pb.SampleWish]
        near, far = link_pair()
        self.ends.put_nowait(far)
        return near

    async def take_for(self, end: NexusEnd, seconds: float) -> list[pb.SampleBatch]:
        """What comes within so many seconds."""
        loop = asyncio.get_running_loop()
        until, found = loop.time() + seconds, list[pb.SampleBatch]()
        while True:
            try:
                async with asyncio.timeout_at(until):
                    found.append(await end.receive())
            except TimeoutError:
                return found


def virtual(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        task = asyncio.ensure_future(world.sampling.run())
        await test(world)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(main())


def test_unwatched_a_node_sends_every_ten_seconds_and_no_sample_is_missing() -> None:
    async def scenario(world: World) -> None:
        end = await world.ends.get()
        batches = await world.take_for(end, 61)
        assert 6 <= len(batches) <= 8
        assert sum(batch.ticks for batch in batches) >= 50
        for before, after in itertools.pairwise(batches):
            assert after.first_tick == before.first_tick + before.ticks
        assert all(batch.ticks <= EVERY_S for batch in batches)
        told = {"i1": (7, ""), "i2": (0, "GET /metrics answers 404")}
        for batch in batches:
            assert {one: (trouble.left_out, trouble.fault) for one, trouble in batch.endpoints.items()} == told

    virtual(scenario)


def test_watched_it_sends_each_second_and_then_as_before() -> None:
    async def scenario(world: World) -> None:
        end = await world.ends.get()
        await world.take_for(end, 12)
        await end.send(pb.SampleWish(every_ms=1000, for_ms=15_000))
        assert 14 <= len(await world.take_for(end, 15)) <= 17
        assert 3 <= len(await world.take_for(end, 40)) <= 6

    virtual(scenario)


def test_cut_off_it_keeps_a_minute_and_tells_what_it_dropped() -> None:
    async def scenario(world: World) -> None:
        end = await world.ends.get()
        await world.take_for(end, 11)
        world.endpoint = None
        await end.cut()
        await asyncio.sleep(200)
        world.endpoint = "n1:1"
        end = await world.ends.get()
        batches = await world.take_for(end, 0.5)
        assert sum(batch.ticks for batch in batches) == 60
        assert batches[-1].dropped > 100
        assert batches[0].declare, "a new stream knows nothing of the old"

    virtual(scenario)


def test_what_was_sent_just_before_a_stream_broke_is_sent_again() -> None:
    async def scenario(world: World) -> None:
        end = await world.ends.get()
        (first,) = await world.take_for(end, 0.5) or [await end.receive()]
        await end.cut()
        again = await asyncio.wait_for(world.ends.get(), 60)
        batch = await again.receive()
        assert batch.first_tick == first.first_tick

    virtual(scenario)


def test_a_nexus_that_refuses_is_asked_ever_more_seldom() -> None:
    async def scenario(world: World) -> None:
        world.refuses = True
        await asyncio.sleep(300)
        assert 5 < len(world.dials) < 30
        gaps = [after - before for before, after in itertools.pairwise(world.dials)]
        assert max(gaps) <= 32

    virtual(scenario)


def test_what_was_scraped_goes_with_the_seconds_it_is_of_and_is_shown_while_fresh() -> None:
    async def scenario(world: World) -> None:
        end = await world.ends.get()
        await world.take_for(end, 5)
        assert world.scrapes is not None
        tick = int(1000.5 + asyncio.get_running_loop().time())
        world.scrapes.take(Scraped(tick, "i1", {ROOM: 42.0}))
        shown = {sample.name: sample for sample in world.sampling.latest()}
        assert shown["room"].value == 42
        assert dict(shown["room"].labels) == {"agent": "web", "instance": "web-1.1", "instance_id": "i1"}
        batches = await world.take_for(end, 25)
        (scrape,) = [scrape for batch in batches for scrape in batch.scrapes]
        assert (scrape.tick, list(scrape.values)) == (tick, [42.0])
        await asyncio.sleep(40)
        assert "room" not in {sample.name for sample in world.sampling.latest()}

    virtual(scenario)
