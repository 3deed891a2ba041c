"""What nodes and instances use, second by second: taken from the nodes' streams, kept in memory and by the minute, and
asked for. None of it is in the event log; what is lost of it is a gap in a chart (law 9)."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from omnitide.fabric.state import FabricState
from omnitide.nexus.manners import Complaints, ProtocolFault
from omnitide.nexus.rollups import Rolled
from omnitide.nexus.sample_streams import DROPPED, REFUSED, SampleStream
from omnitide.store.rollups import RollupStore
from omnitide.telemetry import logs
from omnitide.telemetry.series.definition import EndpointTrouble, Labels, SeriesInfo
from omnitide.telemetry.series.exposition import Sample
from omnitide.telemetry.series.query import Answer, Question, Tiers
from omnitide.telemetry.series.recent import Entry, Recent
from omnitide.telemetry.series.rings import Ring
from omnitide.telemetry.series.rows import RowMaker, Rows
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

_log = logs.get(__name__)

SampleLink = Link[pb.SampleWish, pb.SampleBatch]

WATCHED_S: Final = 15.0
"""How long a node that was looked at counts as watched."""
WATCHED_EVERY_MS: Final = 1_000
RATE_PERIOD_S: Final = 10.0
MAX_BATCHES: Final = 40
"""Of a node within that time. It sends one each second at most, and what it has kept after a pause."""
CPU: Final = "omnitide_node_cpu_used_seconds_total"
MEMORY: Final = "omnitide_node_memory_used_bytes"
USE_WITHIN_S: Final = 15
SWEEP_S: Final = 60.0
EXPOSED_S: Final = 60
"""A sample that is older is shown to no Prometheus: its node is away, or what it was of is over."""


def _nobody(reason: str) -> None:
    """Nobody wants to know."""


class _Open:
    """A node's stream."""

    def __init__(self, link: SampleLink, stream: SampleStream) -> None:
        self.link = link
        self.stream = stream
        self.wish = asyncio.Event()
        self.told_until = 0.0
        """Loop time until which it was told to send each second."""
        self.batches: deque[float] = deque()


class Samples:
    """The samples of all nodes. Made by Nexus; `accept` is called with each stream that a node opens."""

    def __init__(
        self,
        committed: Callable[[], FabricState],
        now_ms: Callable[[], int],
        complaints: Complaints,
        memory: int,
        rollups: RollupStore | None = None,
    ) -> None:
        self._committed = committed
        self._now_ms = now_ms
        self._complaints = complaints
        self.recent = Recent(memory)
        self._began_s = now_ms() // 1000
        self.rolled = Rolled(rollups, self.recent, self.now_s, self._node_id) if rollups is not None else None
        taken_s = self.rolled.taken_s if self.rolled is not None else None
        self._tiers = Tiers(self.recent, self.rolled, self.now_s, self.whole_from_s, taken_s)
        self._rows = RowMaker(self.recent, self.now_s)
        self._open: dict[str, _Open] = {}
        self._watched: dict[str, float] = {}
        """Node -> loop time until which it is watched."""
        self.taken = 0
        """Samples of streams that have ended."""
        self._dropped: Counter[str] = Counter()
        """The same, of what was not taken, by why."""

    # -- streams -----------------------------------------------------------------------------------------------------

    async def accept(self, link: SampleLink, node: str, tell: Callable[[str], object] = _nobody) -> None:
        """Serve a node's stream until it ends. `tell`: gets the reason where that is something that the node sent."""
        before = self._open.get(node)
        opened = self._open[node] = _Open(link, SampleStream(node, self.recent, lambda one: self._labels(node, one)))
        if before is not None:
            await before.link.close()
        tasks = [asyncio.ensure_future(self._receive(node, opened)), asyncio.ensure_future(self._send(node, opened))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except ProtocolFault as fault:
            self._dropped[REFUSED] += 1
            tell(fault.reason)
            self._complaints.write(
                "a node's samples were refused", node, "samples", node=node, reason="protocol", detail=fault.reason
            )
        except LinkClosed:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.taken += opened.stream.samples
            self._dropped.update(opened.stream.dropped)
            if self._open.get(node) is opened:
                del self._open[node]
            await link.close()

    async def _receive(self, node: str, opened: _Open) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await opened.link.receive()
            now = loop.time()
            while opened.batches and opened.batches[0] < now - RATE_PERIOD_S:
                opened.batches.popleft()
            if len(opened.batches) >= MAX_BATCHES:
                raise ProtocolFault(f"more than {MAX_BATCHES} batches within {RATE_PERIOD_S:g} s")
            opened.batches.append(now)
            if node not in self._committed().nodes:
                raise LinkClosed("the node is not of this fabric any more")
            opened.stream.take(batch, self._now_ms())

    async def _send(self, node: str, opened: _Open) -> None:
        while True:
            until = self._watched.get(node, 0.0)
            left = until - asyncio.get_running_loop().time()
            if left > 0:
                opened.told_until = until
                wish = pb.SampleWish(every_ms=WATCHED_EVERY_MS, for_ms=int(left * 1000) + 1)
                await opened.link.send(wish)
            await opened.wish.wait()
            opened.wish.clear()

    def _labels(self, node: str, instance: str) -> Labels | None:
        state = self._committed()
        known = state.nodes.get(node)
        if known is None:
            return None
        if not instance:
            return (("node", known.name),)
        found = state.instances.get(instance)
        if found is None or found.node != node:
            return None
        workload = (state.agents if found.kind == "agent" else state.jobs).get(found.workload)
        name = workload.name if workload is not None else found.workload
        return tuple(
            sorted(
                (
                    (found.kind, name),
                    ("instance", found.name),
                    ("instance_id", found.id),
                    ("namespace", found.namespace),
                    ("node", known.name),
                )
            )
        )

    # -- watching ----------------------------------------------------------------------------------------------------

    def watch_node(self, node: str) -> None:
        """Somebody looks at this node: for 15 s from now it sends each second. Called again and again while they do."""
        now = asyncio.get_running_loop().time()
        if len(self._watched) > 2 * len(self._open) + 64:
            self._watched = {one: until for one, until in self._watched.items() if until > now}
        self._watched[node] = now + WATCHED_S
        opened = self._open.get(node)
        # Told anew when half of what it was told is over: a watcher that asks each second costs no message each.
        if opened is not None and opened.told_until - now < WATCHED_S / 2:
            opened.wish.set()

    # -- answers -----------------------------------------------------------------------------------------------------

    def whole_from_s(self) -> int:
        """The oldest second of which memory has all that there is."""
        return max(self._began_s, self._now_ms() // 1000 - self.recent.span_s + 1)

    async def ask(self, question: Question) -> Answer:
        """Raises BadQuery."""
        return await self._tiers.ask(question)

    async def rows(self, asked: Sequence[str], members: Callable[[str], Sequence[str]]) -> Rows:
        return await self._rows.rows(asked, members)

    def now_s(self) -> int:
        return self._now_ms() // 1000

    def busy(self) -> dict[str, tuple[int, int]]:
        cpu = {node: value for node, _, value in self.recent.latest(CPU, USE_WITHIN_S) if value == value}
        memory = {node: value for node, _, value in self.recent.latest(MEMORY, USE_WITHIN_S) if value == value}
        return {node: (int(cpu[node] * 1000), int(memory[node])) for node in cpu if node in memory}

    def latest(self, node: str) -> dict[str, float]:
        """The newest value of each series of a node itself, by name and labels, of the last 15 s."""
        known = self.recent.node(node)
        if known is None:
            return {}
        found: dict[str, float] = {}
        for info, entry in known.entries.items():
            if info.label("instance_id"):
                continue
            value = entry.ring.newest(entry.row, USE_WITHIN_S // entry.ring.step_s or 1)
            if value == value:
                labels = ",".join(f'{key}="{text}"' for key, text in info.labels if key != "node")
                found[f"{info.name}{{{labels}}}" if labels else info.name] = value
        return found

    def exposed(self, node: str) -> Iterator[Sample]:
        """The newest sample of each series of a node and its instances, of counters the total, and when it was taken;
        what has none of the last while is over."""
        known = self.recent.node(node)
        if known is None:
            return
        by_ring: dict[Ring, list[Entry]] = {}
        for entry in known.entries.values():
            by_ring.setdefault(entry.ring, []).append(entry)
        oldest_s = self.now_s() - EXPOSED_S
        for ring, entries in by_ring.items():
            counters = np.array([entry.info.kind == "counter" for entry in entries], np.bool_)
            values, slots = ring.shown(np.array([entry.row for entry in entries], np.intp), counters)
            seconds = slots * ring.step_s
            for entry, value, second in zip(entries, values.tolist(), seconds.tolist(), strict=True):
                if second + ring.step_s > oldest_s and value == value:
                    info = entry.info
                    yield Sample(info.name, info.labels, info.kind, info.unit, info.help, value, second)

    def endpoint_trouble(self, instance: str, node: str) -> EndpointTrouble:
        """What is the matter with an instance's own metrics now, as far as is known."""
        opened = self._open.get(node)
        told = opened.stream.troubles.get(instance) if opened is not None else None
        return told or EndpointTrouble()

    def by_name(self, prefix: str) -> dict[str, list[SeriesInfo]]:
        """What there is of the last quarter of an hour, by name and in its order."""
        return self.recent.by_name(prefix)

    def counts(self) -> dict[str, int]:
        """Taken and not taken since the start, for metrics about metrics."""
        return {
            "taken": self.taken + sum(opened.stream.samples for opened in self._open.values()),
            "dropped": sum(self.dropped().values()),
            "lost_by_nodes": sum(opened.stream.node_dropped for opened in self._open.values()),
            "streams": len(self._open),
            "series": self.recent.series,
            "bytes": self.recent.bytes,
            "bound": self.recent.memory,
        }

    def dropped(self) -> dict[str, int]:
        """What was not taken since the start, by each reason that there is (`sample_streams.DROPPED`)."""
        counted = [self._dropped, *(opened.stream.dropped for opened in self._open.values())]
        return {reason: sum(one[reason] for one in counted) for reason in DROPPED}

    async def close(self) -> None:
        for opened in list(self._open.values()):
            with contextlib.suppress(LinkClosed):
                await opened.link.close()
        if self.rolled is not None:
            await self.rolled.close()

    def _node_id(self, name: str) -> str | None:
        return self._committed().node_names.get(name)

    async def sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep()

    def sweep(self) -> None:
        """Series that ended leave the memory, and with a node that was removed all of its own."""
        state = self._committed()
        for node, _ in list(self.recent.nodes()):
            if node not in state.nodes:
                self.recent.forget(node)
        self.recent.sweep(self.now_s())
