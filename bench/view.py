"""What the live view costs Nexus, and how soon a change is with every watcher.

    python -m bench.view [--watchers 1000] [--changes 100] [--seconds 20] [--stalled 5]

A real Nexus process; in a process of their own N watchers, each with its own TLS connection and WebSocket on /v1/view,
in this one a client that makes so many changes a second through the API. Measured for each watcher and change: from
the request to the message that has it, the commit included. Beside it the same with some watchers that read nothing:
the others must not notice.
"""

import argparse
import asyncio
import base64
import json
import os
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from bench._fabric import Fabric, cpu_seconds, machine, percentile, resident_mib, show, workspace

from omnitide.model.spec import AgentSpec, Resources
from omnitide.sdk import AsyncClient

CONNECTS_AT_ONCE = 32
AGENTS = 50
SETTLE_S = 3.0
TOKEN = "BENCH_TOKEN"
PATCH = b'{"kind":"patch","revision":'
PING = 0x89
TARGET_MS = 100.0


# -- the watchers: a process of its own --------------------------------------------------------------------------------


class Watcher(asyncio.Protocol):
    """One connection. Messages are looked at as little as can be: this process must not be what is measured."""

    def __init__(self, head: bytes, arrived: list[tuple[float, int]]) -> None:
        self.transport: asyncio.Transport
        self.open = asyncio.get_running_loop().create_future()
        self.gone = False
        self._head = head
        self._arrived = arrived
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._head)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if not self.open.done():
            self.open.set_exception(exc or ConnectionError("closed before it began"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.open.done():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(self._buffer[:end].decode())
            del self._buffer[: end + 4]
            self.open.set_result(None)
        self._messages()

    def _messages(self) -> None:
        buffer = self._buffer
        while len(buffer) >= 2:
            begin, size = 2, buffer[1]
            if size == 126:
                begin, size = 4, int.from_bytes(buffer[2:4])
            elif size == 127:
                begin, size = 10, int.from_bytes(buffer[2:10])
            if len(buffer) < begin + size:
                return
            if buffer[0] == PING:
                self.transport.write(bytes((0x8A, 0x80 | size, 0, 0, 0, 0)) + buffer[begin : begin + size])
            elif buffer.startswith(PATCH, begin):
                number = begin + len(PATCH)
                self._arrived.append((time.time(), int(buffer[number : buffer.index(b",", number)])))
            del buffer[: begin + size]


async def watch(url: str, ca: str, count: int, stalled: int) -> None:
    """Prints `ready`; after a line of input it notes which revision came when, and prints that at the next line."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    place = urlsplit(url)
    head = (
        f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {os.environ[TOKEN]}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
    ).encode()
    gate = asyncio.Semaphore(CONNECTS_AT_ONCE)
    arrived: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()

    async def open_one() -> Watcher:
        async with gate:
            _, made = await loop.create_connection(
                lambda: Watcher(head, arrived), place.hostname, place.port, ssl=context
            )
            await asyncio.wait_for(made.open, 60)
            return made

    watchers = await asyncio.gather(*(open_one() for _ in range(count)))
    for one in await asyncio.gather(*(open_one() for _ in range(stalled))):
        one.transport.pause_reading()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    arrived.clear()
    before, began = time.process_time(), time.perf_counter()
    await asyncio.to_thread(sys.stdin.readline)
    share = (time.process_time() - before) / (time.perf_counter() - began)
    gone = sum(one.gone for one in watchers)
    print(json.dumps({"arrived": arrived, "gone": gone, "share": share}), flush=True)


# -- the changes -------------------------------------------------------------------------------------------------------


async def change(client: AsyncClient, rate: int, seconds: float) -> dict[int, float]:
    """When which revision was asked for."""
    asked: dict[int, float] = {}
    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []

    async def one(number: int) -> None:
        at = time.time()
        name = f"agent-{number % AGENTS}"
        answer = await client.scale_agent(name, 1 + number // AGENTS % 2)
        asked[answer.revision] = at

    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return asked


async def measure(fabric: Fabric, options: argparse.Namespace, stalled: int) -> None:
    nexus = fabric.nexus
    target = nexus.target
    ca = fabric.directory / "ca.pem"
    ca.write_text(target.ca_pem)
    url = target.url.replace("http", "ws", 1) + "/v1/view"
    arguments = ["--watch", url, str(ca), str(options.watchers), str(stalled)]
    watchers = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.view",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 30,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, TOKEN: target.token},
    )
    if watchers.stdin is None or watchers.stdout is None:
        raise RuntimeError("the watchers cannot be spoken to")
    try:
        if (await watchers.stdout.readline()).strip() != b"ready":
            raise RuntimeError("the watchers could not connect")
        await asyncio.sleep(SETTLE_S)
        watchers.stdin.write(b"go\n")
        before, began = cpu_seconds(nexus.process.pid), time.perf_counter()
        async with fabric.client() as client:
            asked = await change(client, options.changes, options.seconds)
        share = (cpu_seconds(nexus.process.pid) - before) / (time.perf_counter() - began)
        await asyncio.sleep(1.0)
        watchers.stdin.write(b"end\n")
        told = json.loads(await watchers.stdout.readline())
    finally:
        watchers.kill()
        await watchers.wait()
    delays = fan_out(asked, told["arrived"])
    show(f"{options.watchers} watchers, {options.changes} changes/s, {stalled} that read nothing", "")
    show(
        "  from a request to each watcher",
        f"p50 {percentile(delays, 0.5):.0f} ms, p99 {percentile(delays, 0.99):.0f} ms (target p99 {TARGET_MS:.0f})",
    )
    show("  messages", f"{len(told['arrived']):,}; watchers that were cut off: {told['gone']}")
    show("  the watchers' own process, on the same machine", f"{told['share']:.0%} of a core")
    show("  Nexus", f"{share:.0%} of a core (target 100 %), {resident_mib(nexus.process.pid):.0f} MiB resident")


def fan_out(asked: dict[int, float], arrived: Sequence[tuple[float, int]]) -> list[float]:
    """Milliseconds from each request to each message that shows it: the first of a watcher at its revision or above.

    Messages hold all changes up to their revision, and all watchers get the same ones: the changes of a message are
    those after the revision of the message before it.
    """
    borders = sorted({revision for _, revision in arrived})
    first: dict[int, list[float]] = {}
    revisions = sorted(asked)
    place = 0
    for border in borders:
        within = []
        while place < len(revisions) and revisions[place] <= border:
            within.append(asked[revisions[place]])
            place += 1
        first[border] = within
    return [(at - since) * 1000 for at, border in arrived for since in first[border]]


async def run(options: argparse.Namespace) -> None:
    print(machine())
    with workspace() as root:
        fabric = Fabric(root)
        fabric.start_nexus()
        try:
            async with fabric.client() as client:
                spec = AgentSpec(command=("sleep", "60"), resources=Resources(cpu=1, memory=1))
                for number in range(AGENTS):
                    await client.deploy_agent(f"agent-{number}", spec, replicas=1)
            for stalled in (0, options.stalled):
                await measure(fabric, options, stalled)
        finally:
            fabric.end()


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        import uvloop

        url, ca, count, stalled = sys.argv[2:]
        uvloop.run(watch(url, ca, int(count), int(stalled)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=100, help="a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each of the two measurements")
    parser.add_argument("--stalled", type=int, default=5, help="watchers that read nothing, in the second")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
