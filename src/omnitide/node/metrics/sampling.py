"""Samples this node each second, and sends the samples: every ten seconds, or each second while someone watches."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, Protocol

from omnitide.node.metrics.buffer import Buffer, Scraped, Tick
from omnitide.node.metrics.encoding import Encoder
from omnitide.node.metrics.instances import InstanceSampler
from omnitide.node.metrics.scraping import Scraper
from omnitide.telemetry import logs
from omnitide.telemetry.series.definition import Labels, Series
from omnitide.telemetry.series.exposition import Sample
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

EVERY_S: Final = 10
MOST_TICKS: Final = 30
"""In a batch: those of a longer pause go in several."""
AGAIN_S: Final = 5.0
"""What was sent so shortly before its stream broke is sent again: nobody says whether it came."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
MAX_TROUBLES_TOLD: Final = 500
STALE_S: Final = 10
"""After two intervals without a scrape of an instance, until what it said is not told any more."""

SampleLink = Link[pb.SampleBatch, pb.SampleWish]

log = logs.get(__name__)


class SampleDialer(Protocol):
    async def open_samples(self, endpoint: str) -> SampleLink:
        """Raises LinkClosed."""
        ...


class Sampler(Protocol):
    """One second's worth of what a machine uses."""

    def sample(self) -> list[tuple[Series, int]]: ...


class ClosingSampler(Sampler, Protocol):
    def close(self) -> None: ...


def since_boot() -> float:
    """Seconds, those included in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Sampling:
    """`run` goes on until it is cancelled."""

    def __init__(
        self,
        *,
        host: ClosingSampler,
        gpu: Sampler,
        instances: InstanceSampler,
        scraper: Callable[[Callable[[Scraped], object]], Scraper],
        dialer: SampleDialer,
        endpoint: Callable[[], str | None],
        rng: random.Random,
        names: Callable[[], Mapping[str, Labels]] = dict,
        now: Callable[[], float] = since_boot,
    ) -> None:
        """`endpoint`: the Nexus with which a session stands that takes samples, if one does. `names`: labels of the
        instances that run here, by id."""
        self._host = host
        self._gpu = gpu
        self._instances = instances
        self._dialer = dialer
        self._endpoint = endpoint
        self._names = names
        self._rng = rng
        self._now = now
        self._buffer = Buffer()
        self._scraper = scraper(self._take_scrape)
        self._latest: dict[Series, int] = {}
        self._scraped: dict[str, tuple[int, dict[Series, float]]] = {}
        """Of each instance the tick and the samples of its last scrape."""
        self._phase = rng.randrange(EVERY_S)
        self._ticked = asyncio.Event()
        self._watched_until = float("-inf")
        self._watched_every = 1

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sample_forever(), name="sample")
                group.create_task(self._send_forever(), name="send-samples")
                group.create_task(self._scraper.run(), name="scrape")
        finally:
            self._instances.close()
            self._host.close()

    async def _sample_forever(self) -> None:
        last = int(self._now())
        while True:
            now = self._now()
            await asyncio.sleep(1.0 - now % 1.0)
            number = int(self._now())
            if number <= last:
                continue  # the sleep was over a moment too soon
            last = number
            values = dict(self._host.sample())
            values.update(self._gpu.sample())
            values.update(await self._instances.sample())
            self._latest = values
            self._buffer.add(Tick(number, values))
            self._ticked.set()

    def _take_scrape(self, scrape: Scraped) -> None:
        self._scraped[scrape.source] = scrape.tick, scrape.values
        self._buffer.add_scrape(scrape)

    def latest(self) -> Iterator[Sample]:
        """What was sampled last; an instance's own while they are fresh."""
        now = int(self._now())
        known: dict[Series, float] = {series: value * 10.0**series.exponent for series, value in self._latest.items()}
        for source, (tick, values) in list(self._scraped.items()):
            step = max((series.step_ms for series in values), default=0) // 1000
            if tick < now - 2 * step - STALE_S:
                del self._scraped[source]
                continue
            known.update(values)
        names = self._names()
        for series, value in known.items():
            labels = series.labels
            instance = next((text for key, text in labels if key == "instance"), "")
            if instance in names:
                # As Nexus calls it, but for the node: a Prometheus says itself whom it asks.
                rest = (pair for pair in labels if pair[0] != "instance")
                labels = tuple(sorted((*rest, *names[instance])))
            yield Sample(series.name, labels, series.kind, series.unit, series.help, value)

    async def _send_forever(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            await self._ticked.wait()
            self._ticked.clear()
            endpoint = self._endpoint()
            if endpoint is None:
                continue
            began = self._now()
            try:
                await self._stream(endpoint)
            except LinkClosed as closed:
                log.info("the stream of samples ended", reason=closed.reason)
            wait = FIRST_WAIT_S if self._now() - began > LONGEST_WAIT_S else min(2 * wait, LONGEST_WAIT_S)
            await asyncio.sleep(self._rng.uniform(wait / 2, wait))

    async def _stream(self, endpoint: str) -> None:
        """One stream, until it breaks or its session is over. Raises LinkClosed."""
        link = await self._dialer.open_samples(endpoint)
        wishes = asyncio.ensure_future(self._take_wishes(link))
        sent: tuple[float, list[Tick], list[Scraped]] | None = None
        encoder = Encoder()
        try:
            first = True
            while not wishes.done() and self._endpoint() == endpoint:
                if first or self._due():
                    first = False
                    while len(self._buffer):
                        ticks, scrapes = self._buffer.take(MOST_TICKS)
                        sent = (self._now(), ticks, scrapes)
                        await link.send(self._batch(encoder, ticks, scrapes))
                self._ticked.clear()
                ticked = asyncio.ensure_future(self._ticked.wait())
                await asyncio.wait((ticked, wishes), return_when=asyncio.FIRST_COMPLETED)
                ticked.cancel()
            if wishes.done():
                wishes.result()
        except LinkClosed:
            if sent is not None and self._now() - sent[0] < AGAIN_S:
                self._buffer.put_back(sent[1], sent[2])
            raise
        finally:
            wishes.cancel()
            await asyncio.gather(wishes, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await link.close()

    def _due(self) -> bool:
        now = self._now()
        if now < self._watched_until:
            return len(self._buffer) >= self._watched_every
        return len(self._buffer) >= EVERY_S or (len(self._buffer) > 0 and int(now) % EVERY_S == self._phase)

    def _batch(self, encoder: Encoder, ticks: list[Tick], scrapes: list[Scraped]) -> pb.SampleBatch:
        now = self._now()
        batch = encoder.batch(ticks, scrapes, int(now), int(now % 1.0 * 1000))
        batch.dropped = self._buffer.dropped
        for instance, trouble in islice(self._scraper.troubles.items(), MAX_TROUBLES_TOLD):
            batch.endpoints[instance].left_out = trouble.left_out
            batch.endpoints[instance].fault = trouble.fault
        return batch

    async def _take_wishes(self, link: SampleLink) -> None:
        while True:
            wish = await link.receive()
            self._watched_every = max(1, min(EVERY_S, wish.every_ms // 1000))
            self._watched_until = self._now() + min(wish.for_ms, 600_000) / 1000
            self._ticked.set()
