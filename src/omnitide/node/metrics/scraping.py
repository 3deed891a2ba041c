"""Scrapes the endpoints that agents' specs name, each at its interval."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import h11

from omnitide.drivers.protocol import Driver, DriverError
from omnitide.model.scrape import Metrics
from omnitide.node.metrics.buffer import Scraped
from omnitide.node.metrics.exposition import ScrapedSeries, Unreadable
from omnitide.node.metrics.instances import RunningInstance
from omnitide.telemetry import logs
from omnitide.telemetry.series.definition import EndpointTrouble, Series

MAX_BODY: Final = 4 << 20
MAX_HEAD: Final = 64 << 10
MAX_TIME_S: Final = 10.0
LOOK_S: Final = 1.0
"""Between two looks at what runs here."""
MAX_AT_ONCE: Final = 8
NAMED: Final = 8
"""Metrics that are named where series are left out: those with most of them."""
MAX_NAME: Final = 80
ACCEPT: Final = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.8"
MAX_REASON: Final = 200
SAY_EVERY_S: Final = 30.0
"""The log is told of an instance at most this often that its endpoint is, or is not, read."""
_PREFIX: Final = "omnitide_instance_scrape_"

log = logs.get(__name__)


class ScrapeFailed(Exception):
    """An endpoint gave nothing that could be read."""


class _About(NamedTuple):
    """What is told of an instance's scrapes, whatever became of them."""

    up: Series
    seconds: Series
    left_out: Series


class Scraper:
    """One task for each endpoint of an instance that runs."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        running: Callable[[], Iterable[RunningInstance]],
        take: Callable[[Scraped], object],
        now: Callable[[], float],
        most: Callable[[], int],
    ) -> None:
        """`now`: seconds, of which the whole number is the tick. `most`: series of one instance."""
        self._drivers = drivers
        self._running = running
        self._take = take
        self._now = now
        self._most = most
        self._tasks: dict[RunningInstance, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self.troubles: dict[str, EndpointTrouble] = {}
        """By instance, of those that have some now."""
        self._said: dict[str, tuple[str, float]] = {}
        """Why an endpoint gives nothing, as the log has been told it, empty for one that is read again, and when."""
        self._told: dict[str, frozenset[str]] = {}
        """Metrics of which series are left out, as the log has been told of an instance."""

    async def run(self) -> None:
        try:
            while True:
                wanted = {run for run in self._running() if run.metrics is not None}
                for gone in self._tasks.keys() - wanted:
                    self._tasks.pop(gone).cancel()
                    self.troubles.pop(gone.key.instance, None)
                    self._said.pop(gone.key.instance, None)
                    self._told.pop(gone.key.instance, None)
                for run in wanted - self._tasks.keys():
                    self._tasks[run] = asyncio.create_task(self._scrape_forever(run), name=f"scrape-{run.key.instance}")
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()

    async def _scrape_forever(self, run: RunningInstance) -> None:
        metrics = run.metrics
        assert metrics is not None
        instance = run.key.instance
        series = ScrapedSeries(instance, metrics.interval, self._most())
        about = _about(instance, metrics.interval)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            began = loop.time()
            values: dict[Series, float] = {}
            up, left_out, reason = 0.0, 0, ""
            async with self._turns:
                try:
                    async with asyncio.timeout(min(MAX_TIME_S, metrics.interval / 1000)):
                        text, content_type = await self._get(run, metrics)
                    series.most = self._most()
                    # In a thread: an answer of some thousand lines takes longer than others here should wait.
                    values, left_out = await asyncio.to_thread(series.take, text, content_type)
                    up = 1.0
                except (ScrapeFailed, Unreadable, DriverError, TimeoutError, OSError, h11.ProtocolError) as error:
                    reason = _reason(error, run, metrics)
            if left_out or reason:
                self.troubles[instance] = EndpointTrouble(left_out, reason)
            else:
                self.troubles.pop(instance, None)
            self._note(instance, metrics, reason)
            if left_out:
                self._tell_left_out(instance, series)
            values[about.up] = up
            values[about.seconds] = loop.time() - began
            values[about.left_out] = float(left_out)
            self._take(Scraped(int(self._now()), instance, values))
            due = max(due + metrics.interval / 1000, loop.time())
            await asyncio.sleep(due - loop.time())

    def _note(self, instance: str, metrics: Metrics, reason: str) -> None:
        """`reason`: why nothing was read; empty: it was. The log is told when that changes, and not all the time where
        it changes all the time."""
        said, at = self._said.get(instance, ("", float("-inf")))
        now = self._now()
        if reason == said or now < at + SAY_EVERY_S:
            return
        self._said[instance] = reason, now
        if reason:
            log.warning("an instance's metrics cannot be had", instance=instance, path=metrics.path, reason=reason)
        else:
            log.info("an instance's metrics can be had again", instance=instance, path=metrics.path, before=said)

    def _tell_left_out(self, instance: str, series: ScrapedSeries) -> None:
        """Once, and again when it is of other metrics than before."""
        most = series.refused.most_common(NAMED)
        names = frozenset(name for name, _ in most)
        if names <= self._told.get(instance, frozenset()):
            return
        self._told[instance] = names
        named = ", ".join(f"{name[:MAX_NAME]} ({number})" for name, number in most)
        more = len(series.refused) - len(most)
        log.warning(
            "series of an instance's own metrics are left out: there are too many, or they cannot be taken",
            instance=instance,
            left_out=f"{named}, and of {more} more metrics" if more else named,
            most=series.most,
        )

    async def _get(self, run: RunningInstance, metrics: Metrics) -> tuple[str, str]:
        """Body and type of the answer. Raises ScrapeFailed, DriverError, OSError, h11.ProtocolError."""
        named = [port for port in run.ports if metrics.port in (None, port.name)]
        if len(named) != 1:
            raise ScrapeFailed(f"the instance has no port {metrics.port or ''}".rstrip())
        host = await self._drivers[run.driver].address(run.key)
        port = named[0].host if host == "127.0.0.1" else named[0].target
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return await _exchange(reader, writer, f"{host}:{port}", metrics.path)
        finally:
            writer.close()


def _reason(error: Exception, run: RunningInstance, metrics: Metrics) -> str:
    """In words, and short."""
    if isinstance(error, TimeoutError):
        return f"GET {metrics.path} was not answered within {min(MAX_TIME_S, metrics.interval / 1000):g} s"
    if isinstance(error, ConnectionRefusedError):
        ports = [port.name for port in run.ports if metrics.port in (None, port.name)]
        return f"nothing listens at its port {' '.join(ports)}"
    return (str(error) or type(error).__name__)[:MAX_REASON]


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str
) -> tuple[str, str]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    headers = [("Host", host), ("User-Agent", "omnitide"), ("Accept", ACCEPT), ("Connection", "close")]
    for event in (h11.Request(method="GET", target=path, headers=headers), h11.EndOfMessage()):
        writer.write(connection.send(event) or b"")
    await writer.drain()
    body, content_type = bytearray(), ""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(64 << 10))
        elif isinstance(event, h11.Response):
            if event.status_code != 200:
                raise ScrapeFailed(f"GET {path} answers {event.status_code}")
            content_type = dict(event.headers).get(b"content-type", b"").decode("latin-1")
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise ScrapeFailed(f"GET {path} answers more than {MAX_BODY >> 20} MiB")
        elif isinstance(event, h11.EndOfMessage):
            return body.decode(errors="replace"), content_type
        elif isinstance(event, h11.ConnectionClosed):
            raise ScrapeFailed(f"GET {path}: the connection was closed without an answer")


def _about(instance: str, step_ms: int) -> _About:
    labels = (("instance", instance),)
    return _About(
        Series(f"{_PREFIX}up", labels, "gauge", "", "Whether an instance's own metrics could be had.", 0, step_ms),
        Series(f"{_PREFIX}duration_seconds", labels, "gauge", "seconds", "How long that took.", 0, step_ms),
        Series(
            f"{_PREFIX}dropped_series",
            labels,
            "gauge",
            "",
            "Series of an instance's own that were left out: there are too many, or they cannot be taken.",
            0,
            step_ms,
        ),
    )
