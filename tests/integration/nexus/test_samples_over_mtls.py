"""The stream of samples over real gRPC and mutual TLS: wishes, garbage, floods, and two streams of one node."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from omnitide.nexus.samples import MAX_BATCHES
from omnitide.node.grpc_link import ClientLink
from omnitide.node.metrics.buffer import Tick
from omnitide.node.metrics.encoding import Encoder
from omnitide.telemetry.series.definition import Series
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc
from omnitide.wire.link import LinkClosed

from .conftest import DEADLINE_S, Served

LOAD = Series("omnitide_node_load1", (), "gauge", "", "Load.", -2)
Link = ClientLink[pb.SampleBatch, pb.SampleWish]


class Wired:
    def __init__(self, served: Served, node: str, channel: Any) -> None:
        self.served, self.node, self.channel = served, node, channel

    def stream(self) -> Link:
        async def release() -> None: ...

        return ClientLink(pb_grpc.NodeServiceStub(self.channel).Samples(), release)  # type: ignore[arg-type]

    def raw(self) -> Any:
        return self.channel.stream_stream("/omnitide.v1.NodeService/Samples", None, None)()

    def stored(self) -> list[float]:
        recent = self.served.nexus.samples.recent
        found: list[float] = []
        for entry in recent.of_name(LOAD.name):
            values = entry.ring.read(np.array([entry.row]), entry.ring.end - 30, 30)[0]
            found += [round(float(value), 2) for value in values if not np.isnan(value)]
        return found

    async def until_stored(self, expected: list[float]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.stored() != expected:
                await asyncio.sleep(0.01)


@pytest.fixture
async def wired(served: Served) -> AsyncIterator[Wired]:
    node = await served.join()
    async with served.channel(served.key, served.certificate) as channel:
        yield Wired(served, node, channel)


async def test_what_a_node_sends_is_known_and_it_is_told_when_somebody_looks(wired: Wired) -> None:
    samples = wired.served.nexus.samples
    link, encoder = wired.stream(), Encoder()
    await link.send(encoder.batch([Tick(7, {LOAD: 150}), Tick(8, {LOAD: 250})], [], 8, 0))
    await wired.until_stored([1.5, 2.5])
    (info,) = samples.by_name("omnitide_node_")[LOAD.name]
    assert info.labels == (("node", "alpha"),)
    samples.watch_node(wired.node)
    async with asyncio.timeout(DEADLINE_S):
        wish = await link.receive()
    assert wish.every_ms == 1000
    assert 0 < wish.for_ms <= 15_001
    assert samples.latest(wired.node) == {LOAD.name: 2.5}
    await link.close()


async def test_a_second_stream_of_a_node_ends_the_first_and_goes_on_in_its_rows(wired: Wired) -> None:
    first = wired.stream()
    await first.send(Encoder().batch([Tick(7, {LOAD: 100})], [], 7, 0))
    await wired.until_stored([1.0])
    second = wired.stream()
    await second.send(Encoder().batch([Tick(8, {LOAD: 300})], [], 8, 0))
    with pytest.raises(LinkClosed):
        async with asyncio.timeout(DEADLINE_S):
            await first.receive()
    async with asyncio.timeout(DEADLINE_S):
        while 3.0 not in wired.stored():
            await asyncio.sleep(0.01)
    assert wired.served.nexus.samples.recent.series == 1
    await second.close()


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([pb.SampleBatch(ticks=1, rows=[1], deltas=[1])], "which is not declared"),
        ([pb.SampleBatch(declare=[pb.SeriesDeclaration(id=1, name="a b")])], "is no name"),
        ([pb.SampleBatch()] * (MAX_BATCHES + 1), "batches within"),
    ],
    ids=["undeclared", "name", "flood"],
)
async def test_what_is_beyond_the_protocol_ends_the_stream_with_a_reason(
    wired: Wired, batches: list[pb.SampleBatch], words: str
) -> None:
    link = wired.stream()
    with pytest.raises(LinkClosed, match=words):
        async with asyncio.timeout(DEADLINE_S):
            for batch in batches:
                await link.send(batch)
            await link.receive()
    assert wired.served.nexus.samples.counts()["dropped"] == 1
    await link.close()
    again = wired.stream()
    await again.send(Encoder().batch([Tick(1, {LOAD: 100})], [], 1, 0))
    await wired.until_stored([1.0])
    await again.close()


async def test_the_end_of_the_connection_ends_a_stream_and_not_whoever_uses_it(wired: Wired) -> None:
    """gRPC cancels whoever waits on a call whose channel is closed, as that of a session is whose Nexus ends."""
    link = wired.stream()
    await link.send(Encoder().batch([Tick(7, {LOAD: 100})], [], 7, 0))
    await wired.until_stored([1.0])
    reading = asyncio.create_task(link.receive())
    await asyncio.sleep(0)
    await wired.channel.close()
    with pytest.raises(LinkClosed):
        await reading
    with pytest.raises(LinkClosed):
        await link.send(pb.SampleBatch())
    await asyncio.create_task(link.close())


async def test_garbage_hurts_nobody(wired: Wired, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(11)
    for _ in range(20):
        call = wired.raw()
        try:
            for _ in range(3):
                await call.write(rng.randbytes(rng.randrange(1, 400)))
            await call.done_writing()
            while await call.read() is not grpc.aio.EOF:
                pass
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
    good = wired.stream()
    await good.send(Encoder().batch([Tick(1, {LOAD: 100})], [], 1, 0))
    await wired.until_stored([1.0])
    await good.close()
    assert [one for one in caplog.records if one.exc_info] == []


async def test_a_key_that_is_no_node_s_any_more_sends_nothing(wired: Wired, served: Served) -> None:
    from omnitide.fabric.commands import Header, RemoveNode

    await served.nexus.submit(RemoveNode(node=wired.node, force=True), Header(principal="system:test"))
    link = wired.stream()
    with pytest.raises(LinkClosed, match="permission_denied"):
        async with asyncio.timeout(DEADLINE_S):
            await link.send(pb.SampleBatch())
            await link.receive()
    await link.close()
