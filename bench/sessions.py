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
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench._fabric import Fabric, cpu_seconds, machine, percentile, resident_mib, send, watching, workspace
from bench._light_nodes import crowds, hello_of, join, obey, raise_descriptors
from bench._targets import Targets, add_report_only

from omnitide.node.grpc_link import ClientLink, GrpcDialer
from omnitide.node.identities import IdentityView
from omnitide.sdk import AsyncClient
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

CONNECTS_AT_ONCE = 32
TRIES = 5
"""To connect, for each session; Nexus may be slow to answer while thousands do."""
SETTLE_S = 5.0
NOTICE_S = 15.0
TARGET_CORE = 15.0
TARGET_NODES = 1000
TARGET_NOTICED_S = 3.0
MODULE = "bench.sessions"


# -- the light nodes: a process of its own, told what to do on its standard input -------------------------------------


class QuietNodes:
    def __init__(self, url: str, token: str, prefix: str) -> None:
        self._url = url
        self._token = token
        self._prefix = prefix
        self._identities: list[IdentityView] = []
        self._holding: set[asyncio.Task[None]] = set()
        self.ended = 0

    async def perform(self, order: dict[str, object], ca_file: str) -> int:
        """How many sessions have ended so far, after what is to be done. Raises LinkClosed, httpx.HTTPError."""
        if isinstance(count := order.get("join"), int):
            names = [f"{self._prefix}-{number}" for number in range(len(self._identities), count)]
            self._identities += await join(self._url, self._token, ca_file, names)
        if isinstance(count := order.get("connect"), int):
            await self.connect(count)
        return self.ended

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


# -- the measuring side -----------------------------------------------------------------------------------------------


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
    async with crowds(fabric, client, processes, MODULE) as all_crowds:
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
    right.axhline(TARGET_NOTICED_S, color="red", linewidth=0.8, label=f"target: {TARGET_NOTICED_S:.0f} s")
    right.set(xlabel="sessions, all lost at once", ylabel="s", title="From silence to unreachable", ylim=0, xlim=0)
    right.legend()
    figure.suptitle(about, fontsize=8)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def judge(rows: Sequence[Row]) -> Targets:
    """Each number of sessions is to be held and its loss seen; the first two are promised up to TARGET_NODES."""
    targets = Targets()
    for row in rows:
        if row.nodes <= TARGET_NODES:
            targets.below(f"{row.nodes} quiet sessions, Nexus", row.quiet_core, TARGET_CORE, "% of a core")
            targets.below(
                f"{row.nodes} sessions, the last loss seen", max(row.noticed, default=NOTICE_S), TARGET_NOTICED_S, "s"
            )
        targets.most(f"{row.nodes} sessions, ended by themselves", row.broken, 0)
        targets.most(f"{row.nodes} sessions, whose loss was not seen", row.missing, 0)
    return targets


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="100,500,1000,2000,5000")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds of quiet to measure")
    parser.add_argument("--clients", type=int, default=2, help="processes that hold the light nodes")
    parser.add_argument("--png", type=Path, default=Path("bench/results/sessions.png"))
    parser.add_argument("--light-nodes", help=argparse.SUPPRESS)
    add_report_only(parser)
    options = parser.parse_args()
    raise_descriptors()
    if options.light_nodes:
        await obey(QuietNodes)
        return 0
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
    print(f"curve: {options.png}\n")
    return judge(rows).end(options.report_only)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
