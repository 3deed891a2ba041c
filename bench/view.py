"""What the live view costs Nexus, and how soon a change is with every watcher.

    python -m bench.view [--watchers 1000] [--changes 100] [--seconds 20] [--stalled 5]

A real Nexus process; in a process of their own N watchers, each with its own TLS connection and WebSocket on /v1/view,
in this one a client that makes so many changes a second through the API. Measured for each watcher and change: from
the request to the message that has it, and the stages on that way by the times that the log and the messages carry.
What comes before the decision is the client and the API call; after it come the commit, the wait for the watcher's
turn, and the way to it, the watchers' own delay included: they share the machine. Beside it the same with some watchers
that read nothing: the others must not notice.
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
from datetime import datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import numpy as np
from bench._fabric import Fabric, cpu_seconds, machine, resident_mib, show, workspace
from bench._targets import Targets, add_report_only

from omnitide.model.spec import AgentSpec, Resources
from omnitide.sdk import AsyncClient

CONNECTS_AT_ONCE = 32
AGENTS = 50
SETTLE_S = 3.0
TOKEN = "BENCH_TOKEN"
PATCH = b'{"kind":"patch","revision":'
TIME = b',"time_ms":'
PING = 0x89
TARGET_MS = 100.0
TARGET_WATCHERS, TARGET_CHANGES = 1000, 100
"""What it is promised for; more is measured and not judged."""


# -- the watchers: a process of its own --------------------------------------------------------------------------------


class Watcher(asyncio.Protocol):
    """One connection. Messages are looked at as little as can be: this process must not be what is measured."""

    def __init__(self, head: bytes) -> None:
        self.transport: asyncio.Transport
        self.open = asyncio.get_running_loop().create_future()
        self.gone = False
        self._head = head
        self.arrived: list[tuple[int, int, float]] = []
        """Of each patch: its revision, when it was made (ms) and when it came (s)."""
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
                comma = buffer.index(b",", number)
                made = comma + len(TIME)
                revision, made_ms = buffer[number:comma], buffer[made : buffer.index(b",", made)]
                self.arrived.append((int(revision), int(made_ms), time.time()))
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
    loop = asyncio.get_running_loop()

    async def open_one() -> Watcher:
        async with gate:
            _, made = await loop.create_connection(lambda: Watcher(head), place.hostname, place.port, ssl=context)
            await asyncio.wait_for(made.open, 60)
            return made

    watchers = await asyncio.gather(*(open_one() for _ in range(count)))
    for one in await asyncio.gather(*(open_one() for _ in range(stalled))):
        one.transport.pause_reading()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for one in watchers:
        one.arrived.clear()
    before, began = time.process_time(), time.perf_counter()
    await asyncio.to_thread(sys.stdin.readline)
    share = (time.process_time() - before) / (time.perf_counter() - began)
    gone = sum(one.gone for one in watchers)
    arrived = [one.arrived for one in watchers]
    print(json.dumps({"arrived": arrived, "gone": gone, "share": share}), flush=True)


# -- the changes -------------------------------------------------------------------------------------------------------


async def change(client: AsyncClient, rate: int, seconds: float, replicas: list[int]) -> dict[int, float]:
    """When which revision was asked for. `replicas`: of each agent, as it is left: each change is one."""
    asked: dict[int, float] = {}
    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []

    async def one(number: int) -> None:
        at = time.time()
        agent = number % AGENTS
        replicas[agent] = 3 - replicas[agent]
        answer = await client.scale_agent(f"agent-{agent}", replicas[agent])
        asked[answer.revision] = at

    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return asked


async def measure(
    fabric: Fabric, options: argparse.Namespace, stalled: int, replicas: list[int], targets: Targets
) -> None:
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
            asked = await change(client, options.changes, options.seconds, replicas)
        share = (cpu_seconds(nexus.process.pid) - before) / (time.perf_counter() - began)
        await asyncio.sleep(1.0)
        watchers.stdin.write(b"end\n")
        told = json.loads(await watchers.stdout.readline())
    finally:
        watchers.kill()
        await watchers.wait()
    decided = await decisions(fabric, min(asked), max(asked))
    # Two changes of an agent at once may come in the other order; the same number of replicas as before is no change.
    asked = {revision: at for revision, at in asked.items() if revision in decided}
    made, arrived, revisions = first_sights(sorted(asked), told["arrived"])
    wanted, settled = (np.array([times[revision] for revision in revisions]) for times in (asked, decided))
    show(f"{options.watchers} watchers, {options.changes} changes/s, {stalled} that read nothing", "")
    show("  from the request to each watcher", stage(arrived - wanted))
    show("    from the request to the decision: client, API call", stage(settled - wanted))
    show("    to the patch that has it: commit, and what it waits", stage(made - settled))
    show("    to the watcher: its turn, sending, reading", stage(arrived - made))
    show("  from the decision to each watcher", stage(arrived - settled))
    messages = sum(map(len, told["arrived"]))
    show("  messages", f"{messages:,}; watchers that were cut off: {told['gone']}")
    show("  the watchers' own process, on the same machine", f"{told['share']:.0%} of a core")
    each = f"{share / options.changes * 1e6:,.0f} us a change with all its messages"
    show("  Nexus", f"{share:.0%} of a core: {each}; {resident_mib(nexus.process.pid):.0f} MiB resident")
    if options.watchers > TARGET_WATCHERS or options.changes > TARGET_CHANGES:
        return
    who = f"{options.watchers} watchers, {stalled} that read nothing"
    targets.below(f"{who}: p99", float(np.percentile((arrived - settled) * 1000, 99)), TARGET_MS, "ms")
    targets.below(f"{who}: Nexus", share * 100, 100.0, "% of a core")
    targets.most(f"{who}: cut off", told["gone"], 0)


def stage(seconds: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    p50, p90, p99 = np.percentile(seconds * 1000, (50, 90, 99))
    return f"p50 {p50:.0f}, p90 {p90:.0f}, p99 {p99:.0f} ms"


async def decisions(fabric: Fabric, first: int, last: int) -> dict[int, float]:
    """When each revision was decided, by the log."""
    decided: dict[int, float] = {}
    after, more = first - 1, True
    async with fabric.client() as client:
        while more and after < last:
            page = await client.list_events(after=after, limit=1000)
            decided |= {event.revision: datetime.fromisoformat(event.time).timestamp() for event in page.items}
            after, more = page.next_after, page.more
    return decided


Sights = tuple[
    "np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]", list[int]
]


def first_sights(changes: Sequence[int], watchers: Sequence[Sequence[tuple[int, int, float]]]) -> Sights:
    """Of each watcher and change: when the first patch at its revision or above was made, and when it came; and the
    change's revision."""
    made: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    came: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
    revisions: list[int] = []
    wanted = np.array(changes)
    for arrived in watchers:
        seen, made_ms, at = np.array(arrived).reshape(-1, 3).T
        place = np.searchsorted(seen, wanted)
        there = place < len(seen)  # a watcher that was cut off has not seen all of them
        made.append(made_ms[place[there]] / 1000)
        came.append(at[place[there]])
        revisions += wanted[there].tolist()
    return np.concatenate(made), np.concatenate(came), revisions


async def run(options: argparse.Namespace) -> int:
    print(machine())
    targets = Targets()
    with workspace() as root:
        fabric = Fabric(root)
        fabric.start_nexus()
        try:
            async with fabric.client() as client:
                spec = AgentSpec(command=("sleep", "60"), resources=Resources(cpu=1, memory=1))
                for number in range(AGENTS):
                    await client.deploy_agent(f"agent-{number}", spec, replicas=1)
            replicas = [1] * AGENTS
            for stalled in dict.fromkeys((0, options.stalled)):
                await measure(fabric, options, stalled, replicas, targets)
        finally:
            fabric.end()
    return targets.end(options.report_only)


def main() -> int:
    if sys.argv[1:2] == ["--watch"]:
        import uvloop

        url, ca, count, stalled = sys.argv[2:]
        uvloop.run(watch(url, ca, int(count), int(stalled)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=100, help="a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each of the two measurements")
    parser.add_argument("--stalled", type=int, default=5, help="watchers that read nothing, in the second")
    add_report_only(parser)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
