"""What is told of an instance's endpoint: why it cannot be read now, each other reason, and that it can be again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from omnitide.drivers.protocol import Driver, PortBinding, RunKey
from omnitide.model.scrape import Metrics
from omnitide.node.metrics import scraping
from omnitide.node.metrics.buffer import Scraped
from omnitide.node.metrics.instances import RunningInstance
from omnitide.node.metrics.scraping import Scraper
from omnitide.telemetry.series.definition import EndpointTrouble

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\na 1\nb 2\nc 3\n"
GONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


class Here:
    """Instances are on this machine."""

    async def address(self, _: RunKey) -> str:
        return "127.0.0.1"


class Told:
    """What the log was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields.get("reason") or fields["left_out"]))

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields["before"]))


class Endpoint:
    def __init__(self, most: int = 100) -> None:
        self.answer = OK
        self.told = Told()
        self.scrapes: list[Scraped] = []
        self.now = 0.0
        self.most = most
        self.scraper: Scraper

    async def next(self, number: int = 2) -> Scraped:
        """So many scrapes later: the one under way may have asked before."""
        wanted = len(self.scrapes) + number
        async with asyncio.timeout(20):
            while len(self.scrapes) < wanted:
                await asyncio.sleep(0.005)
        return self.scrapes[-1]

    def value(self, name: str) -> float:
        (value,) = (value for series, value in self.scrapes[-1].values.items() if series.name.endswith(name))
        return value


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    made = Endpoint()
    monkeypatch.setattr(scraping, "log", made.told)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(made.answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    run = RunningInstance(RunKey("i1", 1), "here", (PortBinding("http", port, port),), Metrics(interval=200))
    drivers = {"here": cast(Driver, Here())}
    made.scraper = Scraper(drivers, lambda: [run], made.scrapes.append, lambda: made.now, lambda: made.most)
    task = asyncio.create_task(made.scraper.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    server.close()


async def test_each_reason_is_told_when_it_changes_and_that_it_is_over(endpoint: Endpoint) -> None:
    await endpoint.next()
    assert (endpoint.told.lines, endpoint.scraper.troubles, endpoint.value("_up")) == ([], {}, 1.0)
    for answer, why in ((GONE, "GET /metrics answers 404"), (BROKEN, "GET /metrics answers 500")):
        endpoint.answer = answer
        endpoint.now += scraping.SAY_EVERY_S
        await endpoint.next(3)
        assert (endpoint.scraper.troubles, endpoint.value("_up")) == ({"i1": EndpointTrouble(0, why)}, 0.0)
        assert endpoint.told.lines.pop() == ("an instance's metrics cannot be had", why)
        assert not endpoint.told.lines, "once, however often it is asked"
    endpoint.answer = OK
    await endpoint.next(3)
    assert (endpoint.scraper.troubles, endpoint.told.lines) == ({}, []), "the log is not told all the time"
    endpoint.now += scraping.SAY_EVERY_S
    await endpoint.next()
    assert endpoint.told.lines == [("an instance's metrics can be had again", "GET /metrics answers 500")]


async def test_series_that_are_left_out_are_counted_until_there_is_room(endpoint: Endpoint) -> None:
    endpoint.most = 2
    await endpoint.next()
    assert endpoint.scraper.troubles == {"i1": EndpointTrouble(1, "")}
    assert endpoint.value("_dropped_series") == 1.0
    assert endpoint.told.lines[0][1] == "c (1)"
    endpoint.most = 3
    await endpoint.next()
    assert endpoint.scraper.troubles == {}
    assert endpoint.value("_dropped_series") == 0.0
