"""What the samples of many nodes cost Nexus, and how soon a chart of them is answered.

    python -m bench.samples [--nodes 1000] [--series 30] [--seconds 20] [--every 10] [--clients 1]

A real Nexus process; in processes of their own N nodes with certificates of their own, each with a session over mTLS,
beside which it sends what the node's own encoder makes of `series` random walks of a second each, in batches of `every`
seconds. First the same sessions are held without a sample: what that costs is taken off. Of charts the processor time
is shown too, which a busy machine says less of. Bytes are those of the messages, as they are and as gRPC's gzip makes
them; the frames of HTTP/2 and TLS come on top. Charts are asked for over HTTPS by the SDK while all that goes on, and
of full rings in this process.
"""

import argparse
import asyncio
import gzip
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench._fabric import Fabric, cpu_seconds, machine, percentile, resident_mib, show, workspace
from bench._light_nodes import Crowd, crowds, hello_of, join, obey, raise_descriptors
from bench._targets import Targets, add_report_only
from bench.sessions import NodeLink

from omnitide.nexus.rollups import Rolled
from omnitide.node.grpc_link import ClientLink, GrpcDialer
from omnitide.node.identities import IdentityView
from omnitide.node.metrics.buffer import Tick
from omnitide.node.metrics.encoding import Encoder
from omnitide.node.metrics.sampling import since_boot
from omnitide.store.rollups import RollupStore
from omnitide.telemetry.series.blocks import block_of, encode
from omnitide.telemetry.series.definition import Series, SeriesInfo
from omnitide.telemetry.series.query import Question, Tiers
from omnitide.telemetry.series.recent import Recent
from omnitide.telemetry.series.selecting import Selection, selection_of
from omnitide.wire import node_pb2 as pb

CONNECTS_AT_ONCE = 16
QUIET_S = 10.0
CHARTS = 60
MEMORY = "omnitide_node_memory_used_bytes"
MODULE = "bench.samples"
TARGET_CORE = 25.0
TARGET_NODES, TARGET_SERIES = 1000, 30
"""What it is promised for; more is measured and not judged."""
TARGET_MS = 20.0
GAUGES = 0.6
"""Share of gauges among the series, as a real node has it."""


class Walk:
    """Series of a node that change as real ones do: memory by some pages, counters by some thousand bytes."""

    def __init__(self, series: int, rng: random.Random) -> None:
        self._rng = rng
        gauges = int(series * GAUGES)
        self.series = [
            Series(MEMORY, (), "gauge", "bytes", "Memory."),
            Series("omnitide_node_cpu_used_seconds_total", (), "counter", "seconds", "Processors.", -2),
            *(Series(f"omnitide_node_gauge{number}", (), "gauge", "bytes", "A gauge.") for number in range(1, gauges)),
            *(
                Series(f"omnitide_node_counter{number}_total", (), "counter", "bytes", "A counter.")
                for number in range(1, series - gauges)
            ),
        ]
        self._values = {one: rng.randrange(1 << 33) // 4096 * 4096 for one in self.series}

    def tick(self, number: int) -> Tick:
        for series in self.series:
            step = self._rng.randrange(-32, 33) * 4096 if series.kind == "gauge" else self._rng.randrange(20_000)
            self._values[series] += step if self._rng.random() < 0.7 else 0
        return Tick(number, dict(self._values))


class SamplingNodes:
    def __init__(self, url: str, token: str, prefix: str) -> None:
        self._url = url
        self._token = token
        self._prefix = prefix
        self._identities: list[IdentityView] = []
        self._links: list[ClientLink[pb.SampleBatch, pb.SampleWish]] = []
        self._sending: list[asyncio.Task[None]] = []
        self._answering: list[asyncio.Task[None]] = []
        self.samples = self.bytes = self.zipped = self.batches = 0

    async def perform(self, order: dict[str, object], ca_file: str) -> list[int]:
        """Samples, bytes, bytes as gzip makes them and batches so far, after what is to be done."""
        if isinstance(count := order.get("join"), int):
            names = [f"{self._prefix}-{number}" for number in range(count)]
            self._identities += await join(self._url, self._token, ca_file, names)
        if order.get("open"):
            await self.open()
        if isinstance(begun := order.get("begin"), list):
            self.begin(*begun)
        return [self.samples, self.bytes, self.zipped, self.batches]

    async def open(self) -> None:
        gate = asyncio.Semaphore(CONNECTS_AT_ONCE)

        async def one(identity: IdentityView) -> ClientLink[pb.SampleBatch, pb.SampleWish]:
            async with gate:
                dialer = GrpcDialer(lambda: identity)
                session = await dialer.dial(identity.endpoints[0])
                await session.send(pb.NodeMessage(hello=hello_of(identity)))
                await session.receive()
                self._answering.append(asyncio.create_task(self._answer(session)))
                return await dialer.open_samples(identity.endpoints[0])

        self._links = await asyncio.gather(*(one(identity) for identity in self._identities))

    async def _answer(self, session: NodeLink) -> None:
        while True:
            message = await session.receive()
            if message.WhichOneof("body") == "beat":
                await session.send(pb.NodeMessage(beat=pb.Beat(number=message.beat.number, keeper_alive=True)))

    def begin(self, series: int, every: int) -> None:
        self._sending = [
            asyncio.create_task(self._send(link, series, every, random.Random(number)))
            for number, link in enumerate(self._links)
        ]

    async def _send(
        self, link: ClientLink[pb.SampleBatch, pb.SampleWish], series: int, every: int, rng: random.Random
    ) -> None:
        walk, encoder = Walk(series, rng), Encoder()
        await asyncio.sleep(rng.random() * every)
        number = int(since_boot()) - every
        while True:
            ticks = [walk.tick(number + index) for index in range(every)]
            number += every
            now = since_boot()
            batch = encoder.batch(ticks, [], int(now), int(now % 1 * 1000))
            if not batch.declare:
                raw = batch.SerializeToString()
                self.bytes += len(raw)
                if self.batches % 50 == 0:
                    self.zipped += 50 * len(gzip.compress(raw, 6))
                self.batches += 1
                self.samples += len(batch.deltas)
            await link.send(batch)
            await asyncio.sleep(max(0.0, number + every - since_boot() + rng.random() * 0.1))


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--series", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=20.0, help="that are measured")
    parser.add_argument("--every", type=int, default=10, help="seconds of a batch")
    parser.add_argument("--clients", type=int, default=1, help="processes that hold the nodes")
    parser.add_argument("--light-nodes", help=argparse.SUPPRESS)
    add_report_only(parser)
    options = parser.parse_args()
    raise_descriptors()
    if options.light_nodes:
        await obey(SamplingNodes)
        return 0
    print(machine())
    targets = Targets()
    with workspace() as root:
        fabric = Fabric(root, "samples")
        fabric.start_nexus("--log-level", "warning")
        await measure(fabric, options, targets)
        fabric.end()
    await charts(options.nodes, options.series, targets)
    await week(options.series)
    return targets.end(options.report_only)


async def measure(fabric: Fabric, options: argparse.Namespace, targets: Targets) -> None:
    pid = fabric.nexus.process.pid
    async with fabric.client() as client, crowds(fabric, client, options.clients, MODULE) as all_crowds:
        share = options.nodes // options.clients
        await asyncio.gather(*(crowd.ask(join=share) for crowd in all_crowds))
        await asyncio.gather(*(crowd.ask(open=True) for crowd in all_crowds))
        await asyncio.sleep(5.0)
        resident = resident_mib(pid)
        quiet = await _share(pid, QUIET_S)
        await asyncio.gather(*(crowd.ask(begin=[options.series, options.every]) for crowd in all_crowds))
        # The first batches declare; then it is as it always is.
        await asyncio.sleep(options.every + 5.0)
        before = await _told(all_crowds)
        taken_before = (await client.list_metrics()).series
        busy = await _share(pid, options.seconds)
        after = await _told(all_crowds)
        samples, size, zipped, batches = (new - old for new, old in zip(after, before, strict=True))
        name, times, others = "light-0-0", list[float](), list[float]()
        for _ in range(CHARTS):
            began = time.perf_counter()
            found = await client.query_metrics(MEMORY, match=(f"node={name}",), start_ms=-10_000, step_ms=1000)
            times.append((time.perf_counter() - began) * 1000)
            assert len(found.items) == 1, "the chart of the node"
            began = time.perf_counter()
            await client.get_version()
            others.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.02)
        listed, full = await client.list_metrics(), resident_mib(pid)
    show("nodes x series, seconds of a batch", f"{share * options.clients} x {options.series}, {options.every} s")
    show("samples a second", f"{samples / options.seconds:,.0f} in {batches / options.seconds:.0f} batches")
    show("series taken", f"{listed.series:,} (at the start {taken_before:,}), {listed.dropped} dropped")
    show("Nexus, % of a core", f"{busy:.1f}, without them {quiet:.1f}: samples {busy - quiet:.1f}")
    if share * options.clients * options.series <= TARGET_NODES * TARGET_SERIES:
        targets.below("samples taken in", busy - quiet, TARGET_CORE, "% of a core")
    show("bytes a sample", f"{size / samples:.2f}; gzip as sent {zipped / samples:.2f}")
    show(
        "memory of samples",
        f"{listed.memory_bytes / (1 << 20):.0f} MiB, {listed.memory_bytes / listed.series:,.0f} B a series",
    )
    show("resident", f"{resident:.0f} MiB before, {full:.0f} MiB with them")
    show(
        "asked over HTTPS meanwhile",
        f"p50 {percentile(times, 0.5):.1f} ms; the version {percentile(others, 0.5):.1f} ms",
    )


async def charts(nodes: int, series: int, targets: Targets) -> None:
    """Charts from full rings, in this process: what an answer costs besides its way."""
    now = 1_800_000_000
    recent, rng = Recent(4 << 30), np.random.default_rng(1)
    for node in range(nodes):
        for number in range(series):
            info = SeriesInfo(
                MEMORY if not number else f"omnitide_node_m{number}", (("node", f"n{node}"),), "gauge", "bytes"
            )
            entry = recent.entry(f"n{node}", info, 1)
            assert entry is not None
            ring = entry.ring
            ring.write(np.array([entry.row]), now - 900, rng.random((1, 900)) * 1e9, np.array([False]), None)
    tiers = Tiers(recent, None, lambda: now, lambda: now - 900)
    one = Question(selection_of(MEMORY, ("node=n7",)), now - 900, now)
    every = Question(Selection(MEMORY), now - 900, now, by=())
    for what, question, times in (("of one node", one, 200), (f"of {nodes} nodes, summed", every, 10)):
        took: list[float] = []
        used = time.process_time()
        for _ in range(times):
            began = time.perf_counter()
            answer = await tiers.ask(question)
            took.append((time.perf_counter() - began) * 1000)
        assert not np.isnan(answer.found[0].values).any()
        used = (time.process_time() - used) / times * 1000
        p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
        spent = f"{used:.2f} ms of processor time"
        show(f"a chart of 15 min {what}", f"p50 {p50:.2f} ms, p95 {p95:.2f} ms, {spent}, {answer.window.count} steps")
        if question is one:
            targets.below(f"a chart of 15 min {what}", p50, TARGET_MS, "ms")


async def week(series: int) -> None:
    """A week of one node by the minute, from hours on disk."""
    now = 1_800_000_000
    hour, rng = now // 3600, np.random.default_rng(1)
    infos = [SeriesInfo(f"omnitide_node_m{number}", (("node", "n0"),), "gauge", "bytes") for number in range(series)]
    with tempfile.TemporaryDirectory(prefix="omnitide-bench-") as folder:
        store, size = RollupStore(Path(folder) / "samples"), 0
        for one in range(hour - 168, hour):
            samples = (rng.random((series, 3600)) * 1e9).astype(np.float32)
            data = encode(block_of(one * 60, infos, samples, [second // 60 for second in range(3600)], 60))
            size += len(data)
            store.put_hour(one, "n0", data)
        rolled = Rolled(store, Recent(1 << 20), lambda: now, {"n0": "n0"}.get)
        tiers = Tiers(Recent(1 << 20), rolled, lambda: now, lambda: now - 900)
        question = Question(selection_of("omnitide_node_m3", ("node=n0",)), now - 7 * 86400, now, 600)
        took: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            answer = await tiers.ask(question)
            took.append((time.perf_counter() - began) * 1000)
        assert len(answer.found) == 1
        await rolled.close()
    show("a chart of 7 days of one node", f"p50 {percentile(took, 0.5):.1f} ms, {answer.window.count} steps")
    show("bytes of a minute of a series on disk", f"{size / series / 168 / 60:.1f} (random: the worst case)")


async def _share(pid: int, seconds: float) -> float:
    """Percent of a core that a process uses in this time."""
    cpu, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - cpu) / (time.monotonic() - began) * 100


async def _told(crowds: list[Crowd]) -> list[int]:
    told = [await crowd.ask() for crowd in crowds]
    return [sum(one[index] for one in told) for index in range(4)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
