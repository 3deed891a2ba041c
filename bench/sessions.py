"""What node sessions cost Nexus when nothing happens, and how soon the loss of all of them is noticed.

    python -m bench.sessions [--nodes 100,500,1000,2000,5000] [--quiet 30] [--clients 2] [--png FILE]

A real Nexus process; in processes of their own N light nodes, each with its own key and certificate, its own channel and
TCP connection over mTLS, that say hello and answer beats through the node's own dialer. They come by the join path: one
POST to /v1/join each with a token for all; only the first contact, which pins the CA, is made once for all.
Quiet: CPU of the Nexus process while nobody asks for anything, keepalives and beats included. Loss: the light nodes are
stopped (SIGSTOP), so that their TCP connections stay open and nothing says that they are gone; the time is from then to
the arrival of each `node.unreachable` on the event stream.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
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
from omnitide.node.grpc_link import GrpcDialer
from omnitide.sdk import AsyncClient
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.identity import NodeIdentity
from omnitide.security.join_contract import JOIN_PATH
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

JOINS_AT_ONCE = 16
CONNECTS_AT_ONCE = 32
TRIES = 5
"""To connect, for each session; Nexus may be slow to answer while thousands do."""
CONNECT_S = 600.0
SETTLE_S = 5.0
NOTICE_S = 120.0
TARGET_CORE = 15.0
TARGET_NODES = 1000


# -- the light nodes: a process of its own, told what to do on its standard input ----------------------------------------


class LightNodes:
    def __init__(self, url: str, token: str, prefix: str) -> None:
        self._url = url
        self._token = token
        self._prefix = prefix
        self._identities: list[NodeIdentity] = []
        self._holding: set[asyncio.Task[None]] = set()
        self.ended = 0

    async def join(self, count: int, ca_file: str) -> None:
        """Have `count` identities."""
        import ssl

        context = ssl.create_default_context(cafile=ca_file)
        context.check_hostname = False
        gate = asyncio.Semaphore(JOINS_AT_ONCE)
        async with httpx.AsyncClient(base_url=self._url, verify=context, timeout=60, trust_env=False) as http:

            async def one(number: int) -> NodeIdentity:
                async with gate:
                    key = new_private_key()
                    name = f"{self._prefix}-{number}"
                    body = {"token": self._token, "csr_pem": make_csr(key).decode(), "facts": {"name": name}}
                    answer = await http.post(JOIN_PATH, json=body)
                    answer.raise_for_status()
                    told = answer.json()
                    return NodeIdentity(
                        fabric_id=told["fabric_id"],
                        node_id=told["node_id"],
                        private_key_pem=private_key_pem(key),
                        certificate_pem=told["certificate_pem"],
                        trust_bundle_pem=told["trust_bundle_pem"],
                        endpoints=tuple(told["endpoints"]),
                    )

            missing = range(len(self._identities), count)
            self._identities += await asyncio.gather(*(one(number) for number in missing))

    async def connect(self, count: int) -> None:
        """Hold `count` sessions that Nexus has welcomed."""
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

        async def one(identity: NodeIdentity) -> None:
            async with gate:
                for left in reversed(range(TRIES)):
                    link = await GrpcDialer(lambda: identity).dial(identity.endpoints[0])
                    try:
                        await link.send(pb.NodeMessage(hello=_hello(identity)))
                        first = await link.receive()
                        if first.WhichOneof("body") != "welcome":
                            raise LinkClosed(str(first))
                        break
                    except LinkClosed:
                        await link.close()
                        if not left:
                            raise
                        await asyncio.sleep(0.2)
            task = asyncio.create_task(self._hold(link))
            self._holding.add(task)
            task.add_done_callback(self._holding.discard)

        await asyncio.gather(*(one(identity) for identity in self._identities[:count]))

    async def _hold(self, link: "object") -> None:
        try:
            while True:
                message = await link.receive()  # type: ignore[attr-defined]
                if message.WhichOneof("body") == "beat":
                    beat = pb.Beat(number=message.beat.number, keeper_alive=True)
                    await link.send(pb.NodeMessage(beat=beat))  # type: ignore[attr-defined]
        except LinkClosed:
            self.ended += 1


def _hello(identity: NodeIdentity) -> pb.Hello:
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


# -- the measuring side --------------------------------------------------------------------------------------------------


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
                env=environment(fabric.root),
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
    quiet_core: float
    """Percent of one core that Nexus used."""
    light_core: float
    """The same of the light nodes together."""
    broken: int
    """Sessions that ended in the quiet time: it was not quiet then."""
    resident_mib: float
    noticed: list[float]
    """Seconds from the stop to each `node.unreachable`."""


async def measure(fabric: Fabric, client: AsyncClient, nodes: int, processes: int, quiet_s: float) -> Row:
    """Needs the fabric to itself; the nodes of earlier rows come back as themselves."""
    pid = fabric.nexus.process.pid
    async with crowds(fabric, client, processes) as all_crowds:
        shares = [nodes // processes + (number < nodes % processes) for number in range(processes)]
        began = time.monotonic()
        await asyncio.gather(*(crowd.ask(join=share) for crowd, share in zip(all_crowds, shares, strict=True)))
        joined = time.monotonic()
        await asyncio.gather(*(crowd.ask(connect=share) for crowd, share in zip(all_crowds, shares, strict=True)))
        connected = time.monotonic()
        await asyncio.sleep(SETTLE_S)
        pids = [crowd.process.pid for crowd in all_crowds]
        cpu, light = cpu_seconds(pid), sum(map(cpu_seconds, pids))
        quiet_from = time.monotonic()
        ended = sum([await crowd.ask() for crowd in all_crowds])
        await asyncio.sleep(quiet_s)
        broken = sum([await crowd.ask() for crowd in all_crowds]) - ended
        took = time.monotonic() - quiet_from
        cpu, light = cpu_seconds(pid) - cpu, sum(map(cpu_seconds, pids)) - light
        memory = resident_mib(pid)
        async with watching(client, "node.unreachable") as events:
            stopped = time.monotonic()
            send(pids, signal.SIGSTOP)
            seen = await events.until("node.unreachable", nodes - ended - broken, within_s=NOTICE_S)
    return Row(
        nodes=nodes,
        join_s=joined - began,
        connect_s=connected - joined,
        quiet_core=cpu / took * 100,
        light_core=light / took * 100,
        broken=broken + ended,
        resident_mib=memory,
        noticed=[one.at - stopped for one in seen],
    )


HEAD = (
    f"{'nodes':>6} {'join s':>7} {'connect s':>10} {'quiet, % of a core':>19} {'(light nodes)':>14} {'resident MiB':>13}"
    f" {'noticed p50':>12} {'max s':>6} {'broken':>7}"
)


def line(row: Row) -> str:
    noticed = f"{percentile(row.noticed, 0.5):>12.2f} {max(row.noticed):>6.2f}" if row.noticed else f"{'-':>12} {'-':>6}"
    return (
        f"{row.nodes:>6} {row.join_s:>7.1f} {row.connect_s:>10.1f} {row.quiet_core:>19.1f} {row.light_core:>14.1f}"
        f" {row.resident_mib:>13.0f} {noticed} {row.broken:>7}"
    )


def draw(rows: list[Row], file: Path, about: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    nodes = [row.nodes for row in rows]
    left.plot(nodes, [row.quiet_core for row in rows], "o-", label="Nexus, quiet")
    left.plot([TARGET_NODES], [TARGET_CORE], "rx", markersize=10, label=f"target: {TARGET_CORE:.0f} % at {TARGET_NODES}")
    left.set(xlabel="sessions", ylabel="% of one core", title="CPU of Nexus while nothing happens", ylim=0, xlim=0)
    left.legend()
    right.plot(nodes, [max(row.noticed) for row in rows], "o-", label="the last node")
    right.plot(nodes, [percentile(row.noticed, 0.5) for row in rows], "o-", label="half of them")
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
    print(f"descriptors: {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}, default leases, {options.quiet:.0f} s of quiet")
    print(HEAD, flush=True)
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
    print(f"curve: {os.path.relpath(options.png)}")


if __name__ == "__main__":
    asyncio.run(main())
