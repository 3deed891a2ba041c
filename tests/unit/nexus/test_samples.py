"""What Nexus keeps of samples leaves its memory with what it is of."""

import asyncio

import numpy as np
import pytest
from tests.support.memory_link import link_pair
from tests.support.memory_runtime import until
from tests.support.spec import Fabric

from omnitide.fabric import commands as cm
from omnitide.nexus import samples
from omnitide.nexus.manners import Complaints
from omnitide.nexus.sample_streams import REFUSED
from omnitide.nexus.samples import MAX_BATCHES, Samples
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.wire import node_pb2 as pb

DEADLINE_S = 10.0


def known(of: Samples) -> list[str]:
    return sorted(node for node, _ in of.recent.nodes())


async def test_what_is_shown_to_a_prometheus_is_of_the_last_minute() -> None:
    """An older sample is of a node that is away, or of what is over; shown again and again, it would seem to go on."""
    fabric = Fabric()
    fabric.join("alpha")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    second = fabric.time_ms // 1000
    for name, step_s, kind in (("m", 1, "gauge"), ("c_total", 1, "counter"), ("slow", 60, "gauge")):
        entry = made.recent.entry("n-alpha", SeriesInfo(name, (("node", "alpha"),), kind), step_s)  # type: ignore[arg-type]
        assert entry is not None
        counters = np.array([kind == "counter"])
        entry.ring.write(np.array([entry.row]), second // step_s, np.full((1, 1), 7.0), counters, None)

    def shown() -> dict[str, tuple[float, int]]:
        return {one.name: (one.value, one.at_s) for one in made.exposed("n-alpha")}

    assert shown() == {"m": (7, second), "c_total": (7, second), "slow": (7, second // 60 * 60)}
    assert not list(made.exposed("n-beta"))
    fabric.pass_ms(60_000)
    assert shown().keys() >= {"m", "c_total"}
    fabric.pass_ms(1_000)
    assert shown().keys() <= {"slow"}
    fabric.pass_ms(60_000)
    assert not shown()


async def test_a_node_that_sends_more_than_it_may_loses_its_stream_and_hears_why() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    told: list[str] = []
    nexus, node = link_pair()
    served = asyncio.ensure_future(made.accept(nexus, "n-alpha", told.append))
    for _ in range(MAX_BATCHES):
        await node.send(pb.SampleBatch())
    await until(lambda: node.unread == 0)
    assert not told
    await node.send(pb.SampleBatch())
    async with asyncio.timeout(DEADLINE_S):
        await served
    assert told == [f"more than {MAX_BATCHES} batches within 10 s"]
    assert made.dropped()[REFUSED] == 1
    assert made.counts()["streams"] == 0


async def test_a_node_that_opens_its_stream_anew_has_one_and_the_one_before_ends() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    links = [link_pair() for _ in range(2)]
    before = asyncio.ensure_future(made.accept(links[0][0], "n-alpha"))
    await until(lambda: made.counts()["streams"] == 1)
    after = asyncio.ensure_future(made.accept(links[1][0], "n-alpha"))
    async with asyncio.timeout(DEADLINE_S):
        await before
    assert made.counts()["streams"] == 1
    made.watch_node("n-alpha")
    async with asyncio.timeout(DEADLINE_S):
        wish = await links[1][1].receive()
    assert (wish.every_ms, 14_000 < wish.for_ms <= 15_001) == (1000, True)
    await links[1][1].close()
    await after
    assert made.counts()["streams"] == 0


async def test_a_node_that_is_looked_at_again_and_again_is_told_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page asks each second, and 15 s are told at once: anew when half of them are over."""
    fabric = Fabric()
    fabric.join("alpha")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    nexus, node = link_pair()
    served = asyncio.ensure_future(made.accept(nexus, "n-alpha"))
    await until(lambda: made.counts()["streams"] == 1)
    loop, began, later = asyncio.get_running_loop(), asyncio.get_running_loop().time(), 0.0
    monkeypatch.setattr(loop, "time", lambda: began + later)
    told: list[float] = []
    for second in range(20):
        later = float(second)
        made.watch_node("n-alpha")
        for _ in range(5):
            await asyncio.sleep(0)
        if nexus.unread:
            await node.receive()
            told.append(later)
    assert told == [0, 8, 16]
    monkeypatch.undo()
    await node.close()
    await served


async def test_a_node_that_was_removed_is_forgotten_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    made = Samples(lambda: fabric.state, lambda: fabric.time_ms, Complaints(), 1 << 24)
    for node in ("n-alpha", "n-beta"):
        entry = made.recent.entry(node, SeriesInfo("omnitide_node_memory_used_bytes", (("node", node),)), 1)
        assert entry is not None
        entry.ring.write(np.array([entry.row]), fabric.time_ms // 1000, np.ones((1, 1)), np.zeros(1, np.bool_), None)
    monkeypatch.setattr(samples, "SWEEP_S", 0.0)
    sweeps = asyncio.ensure_future(made.sweep_forever())
    fabric.when(cm.RemoveNode(node="alpha", force=True))
    await until(lambda: known(made) == ["n-beta"])
    assert made.recent.series == 1
    sweeps.cancel()
