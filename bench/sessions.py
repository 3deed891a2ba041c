"""What node sessions cost Nexus when nothing happens, and how soon the loss of all of them is noticed.

    python -m bench.sessions [--nodes 100,500,1000,2000,5000] [--quiet 30] [--clients 2] [--png FILE]

A real Nexus process; in processes of their own N light nodes, each with its own key and certificate, its own channel
and TCP connection over mTLS, that say hello, answer beats and come back when cut off, through the node's own dialer.
They come by the join path, one POST to /v1/join each, with one token for all and the fabric's CA known before.
Quiet: CPU of the Nexus process while nobody asks for anything, keepalives and beats included. Loss: the light nodes are
stopped (SIGSTOP), so that their TCP connections stay open and nothing says that they are gone; the time is from then to
the arrival of each `node.unreachable` on the event stream. Broken: sessions that ended before, which on a machine that
is too busy to answer pings in time is no wonder; the nodes whose loss was not seen in time are named as missing.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from bench._fabric import (
    Fabric,
    cpu_seconds,
    environment,
    machine,
    percentile,
    resident_mib,
    send,
    watching,
    workspace,
)

from omnitide.node.grpc_link import ClientLink, GrpcDialer
from omnitide.node.identities import IdentityView
from omnitide.sdk import AsyncClient
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JOIN_PATH
from omnitide.security.peer import TrustBundle
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

JOINS_AT_ONCE = 16
CONNECTS_AT_ONCE = 32
TRIES = 5
"""To connect, for each session; Nexus may be slow to answer while thousands do."""
CONNECT_S = 600.0
SETTLE_S = 5.0
NOTICE_S = 15.0
TARGET_CORE = 15.0
TARGET_NODES = 1000


# -- the light nodes: a process of its own, told what to do on its standard input -------------------------------------


class LightNodes:
    def __init__(self, url: str, token: str, prefix: str) -> None:
        self._url = url
        self._token = token
        self._prefix = prefix
        self._identities: list[IdentityView] = []
        self._holding: set[asyncio.Task[None]] = set()
        self.ended = 0

    async def join(self, count: int, ca_file: str) -> None:
        """Have `count` identities."""
        import ssl

        context = ssl.create_default_context(cafile=ca_file)
        context.check_hostname = False
        gate = asyncio.Semaphore(JOINS_AT_ONCE)
        async with httpx.AsyncClient(base_url=self._url, verify=context, timeout=60, trust_env=False) as http:

            async def one(number: int) -> IdentityView:
                async with gate:
                    key = new_private_key()
                    name = f"{self._prefix}-{number}"
                    body = {"token": self._token, "csr_pem": make_csr(key).decode(), "facts": {"name": name}}
                    answer = await http.post(JOIN_PATH, json=body)
                    answer.raise_for_status()
                    told = answer.json()
                    return IdentityView(
                        fabric_id=told["fabric_id"],
                        node_id=told["node_id"],
                        roots_pem=TrustBundle.parse(told["trust_bundle_pem"]).roots_pem.decode(),
                        private_key_pem=private_key_pem(key).decode(),
                        certificate_pem=told["certificate_pem"],
                        endpoints=tuple(told["endpoints"]),
                        renew_at_ms=0,
                    )

            missing = range(len(self._identities), count)
            self._identities += await asyncio.gather(*(one(number) for number in missing))

    async def connect(self, count: int) -> None:
        """Hold `count` sessions that Nexus has welcomed. Raises LinkClosed."""
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

        async def one(identity: IdentityView) -> None:
            async with gate:
                link = await _dial(identity)
            task = asyncio.create_task(self._hold(identity, link))
            self._holding.add(task)
            task.add_done_callback(self._holding.discard)

        await asyncio.gather(*(one(identity) for identity in self._identities[:count]))

    async def _hold(self, identity: IdentityView, link: "NodeLink") -> None:
        while True:
            try:
                while True:
                    message = await link.receive()
                    if message.WhichOneof("body") == "beat":
                        beat = pb.Beat(number=message.beat.number, keeper_alive=True)
                        await link.send(pb.NodeMessage(beat=beat))
            except LinkClosed:
                self.ended += 1
                await link.close()
            link = await _dial(identity)


NodeLink = ClientLink[pb.NodeMessage, pb.NexusMessage]


async def _dial(identity: IdentityView) -> NodeLink:
    """A session that Nexus has welcomed. Raises LinkClosed after TRIES."""
    for left in reversed(range(TRIES)):
        link = await GrpcDialer(lambda: identity).dial(identity.endpoints[0])
        try:
            await link.send(pb.NodeMessage(hello=hello_of(identity)))
            first = await link.receive()
            if first.WhichOneof("body") == "welcome":
                return link
            raise LinkClosed(str(first))
        except LinkClosed:
            await link.close()
            if not left:
                raise
            await asyncio.sleep(0.2)
    raise AssertionError


def hello_of(identity: IdentityView) -> pb.Hello:
    return pb.Hello(
        protocol_min=1,
        protocol_max=1,
        features=["logs"],
        software="omnitide/bench",
        node_id=identity.node_id,
        boot_id="bench",
        outbox_id="bench",
        facts=pb.Facts(cpu_milli=4000, memory_bytes=8 << 30, drivers=[pb.DriverFact(name="process", healthy=True)]),
    )


async def light_main() -> None:
    """Orders as JSON lines on standard input, an answer to each on standard output."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    nodes = LightNodes(first["url"], first["token"], first["prefix"])
    while line := await reader.readline():
        order = json.loads(line)
        answer: dict[str, object] = {}
        try:
            if "join" in order:
                await nodes.join(order["join"], first["ca_file"])
            elif "connect" in order:
                await nodes.connect(order["connect"])
            answer["ended"] = nodes.ended
        except (LinkClosed, httpx.HTTPError) as error:
            answer["error"] = repr(error)
        print(json.dumps(answer), flush=True)


# -- the measuring side -----------------------------------------------------------------------------------------------


class Crowd:
    """A process of light nodes, seen from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, **order: object) -> int:
        """How many of its sessions have ended so far. Raises RuntimeError for what it could not do."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(CONNECT_S):
            answer = json.loads(await self.process.stdout.readline() or '{"error": "the light nodes have died"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ended"]


@contextlib.asynccontextmanager
async def crowds(fabric: Fabric, client: AsyncClient, count: int) -> AsyncGenerator[list[Crowd]]:
    token = await client.create_token("join", ttl="1h", uses=10_000)
    started: list[Crowd] = []
    try:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.sessions",
                "--light-nodes",
                str(fabric.root),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**environment(fabric.root), "GRPC_VERBOSITY": "ERROR"},
            )
            crowd = Crowd(process)
            started.append(crowd)
            told = {
                "url": fabric.nexus.target.url,
                "token": token.text,
                "ca_file": str(fabric.directory / "nexus" / "ca.pem"),
                "prefix": f"light-{process.pid}",
            }
            assert process.stdin is not None
            process.stdin.write(json.dumps(told).encode() + b"\n")
        yield started
    finally:
        for crowd in started:
            with contextlib.suppress(ProcessLookupError):
                crowd.process.kill()
            await crowd.process.wait()


@dataclass(frozen=True)
class Row:
    nodes: int
    join_s: float
    connect_s: float
    connect_cpu_ms: float
    """CPU of Nexus for each node that connected."""
    quiet_core: float
    """Percent of one core that Nexus used."""
    light_core: float
    """The same of the light nodes together."""
    broken: int
    """Sessions that ended before the stop."""
    resident_mib: float
    missing: int
    noticed: list[float]
    """Seconds from the stop to each `node.unreachable`."""


async def measure(fabric: Fabric, client: AsyncClient, nodes: int, processes: int, quiet_s: float) -> Row:
    """Needs the fabric to itself; the nodes of earlier rows come back as themselves."""
    pid = fabric.nexus.process.pid
    async with crowds(fabric, client, processes) as all_crowds:
        shares = [nodes // processes + (number < nodes % processes) for number in range(processes)]
        began = time.monotonic()
        await asyncio.gather(*(crowd.ask(join=share) for crowd, share in zip(all_crowds, shares, strict=True)))
        joined, joined_cpu = time.monotonic(), cpu_seconds(pid)
        await asyncio.gather(*(crowd.ask(connect=share) for crowd, share in zip(all_crowds, shares, strict=True)))
        connected, connected_cpu = time.monotonic(), cpu_seconds(pid)
        await asyncio.sleep(SETTLE_S)
        pids = [crowd.process.pid for crowd in all_crowds]
        cpu, light = cpu_seconds(pid), sum(map(cpu_seconds, pids))
        quiet_from = time.monotonic()
        await asyncio.sleep(quiet_s)
        took = time.monotonic() - quiet_from
        cpu, light = cpu_seconds(pid) - cpu, sum(map(cpu_seconds, pids)) - light
        memory = resident_mib(pid)
        broken = sum([await crowd.ask() for crowd in all_crowds])
        async with watching(client, "node.unreachable") as events:
            stopped = time.monotonic()
            send(pids, signal.SIGSTOP)
            with contextlib.suppress(TimeoutError):
                await events.until("node.unreachable", nodes, within_s=NOTICE_S)
            seen = list(events.seen)
    return Row(
        nodes=nodes,
        join_s=joined - began,
        connect_s=connected - joined,
        connect_cpu_ms=(connected_cpu - joined_cpu) / nodes * 1000,
        quiet_core=cpu / took * 100,
        light_core=light / took * 100,
        broken=broken,
        missing=nodes - len(seen),
        resident_mib=memory,
        noticed=[one.at - stopped for one in seen],
    )


TITLES = ("nodes", "join s", "connect s", "CPU ms each", "quiet % core", "light nodes %", "resident MiB")
TITLES_LOSS = ("noticed p50 s", "max s", "missing", "broken")


def cells(values: Sequence[str]) -> str:
    return "".join(f"{value:>15}" for value in values)


def line(row: Row) -> str:
    figures = (row.join_s, row.connect_s, row.connect_cpu_ms, row.quiet_core, row.light_core, row.resident_mib)
    noticed = [f"{percentile(row.noticed, share):.2f}" if row.noticed else "-" for share in (0.5, 1.0)]
    return cells([str(row.nodes), *(f"{value:.1f}" for value in figures), *noticed, str(row.missing), str(row.broken)])


def draw(rows: list[Row], file: Path, about: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    nodes = [row.nodes for row in rows]
    left.plot(nodes, [row.quiet_core for row in rows], "o-", label="Nexus, quiet")
    left.plot(
        [TARGET_NODES], [TARGET_CORE], "rx", markersize=10, label=f"target: {TARGET_CORE:.0f} % at {TARGET_NODES}"
    )
    left.set(xlabel="sessions", ylabel="% of one core", title="CPU of Nexus while nothing happens", ylim=0, xlim=0)
    left.legend()
    right.plot(nodes, [max(row.noticed, default=0) for row in rows], "o-", label="the last node")
    right.plot(nodes, [percentile(row.noticed or [0], 0.5) for row in rows], "o-", label="half of them")
    right.axhline(3.0, color="red", linewidth=0.8, label="target: 3 s")
    right.set(xlabel="sessions, all lost at once", ylabel="s", title="From silence to unreachable", ylim=0, xlim=0)
    right.legend()
    figure.suptitle(about, fontsize=8)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def raise_descriptors() -> None:
    """Each session is a descriptor at either end. Children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="100,500,1000,2000,5000")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds of quiet to measure")
    parser.add_argument("--clients", type=int, default=2, help="processes that hold the light nodes")
    parser.add_argument("--png", type=Path, default=Path("bench/results/sessions.png"))
    parser.add_argument("--light-nodes", help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_descriptors()
    if options.light_nodes:
        await light_main()
        return
    about = machine()
    print(about)
    print(
        f"descriptors: {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, default leases, {options.quiet:.0f} s of quiet"
    )
    print(cells((*TITLES, *TITLES_LOSS)), flush=True)
    rows: list[Row] = []
    with workspace() as root:
        for number, nodes in enumerate(int(text) for text in options.nodes.split(",")):
            fabric = Fabric(root, f"nodes{number}")
            fabric.start_nexus("--log-level", "warning")
            async with fabric.client() as client:
                rows.append(await measure(fabric, client, nodes, options.clients, options.quiet))
            print(line(rows[-1]), flush=True)
            fabric.end()
    draw(rows, options.png, about)
    print(f"curve: {options.png}")


if __name__ == "__main__":
    asyncio.run(main())
