"""A node's batches as Nexus takes them: what the node's own encoder says is stored, and garbage hurts nobody."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.nexus.manners import ProtocolFault
from omnitide.nexus.sample_streams import MAX_TICKS, SampleStream
from omnitide.node.metrics.buffer import KEEP_TICKS, Buffer, Scraped, Tick
from omnitide.node.metrics.encoding import Encoder
from omnitide.telemetry.series.definition import Labels, Series, SeriesInfo
from omnitide.telemetry.series.recent import Recent
from omnitide.wire import node_pb2 as pb

NOW_S = 1_700_000_000
BOOT = 5_000
"""Tick of the node at NOW_S."""
MEMORY = Series("omnitide_node_memory_used_bytes", (), "gauge", "bytes", "Memory.")
CPU = Series("omnitide_node_cpu_used_seconds_total", (), "counter", "seconds", "Processor.", -2)
OF_WEB = Series("omnitide_instance_tasks", (("instance", "i1"),))
HITS = Series("hits_total", (("instance", "i1"), ("path", "/")), "counter", step_ms=15_000, scraped=True)


def labels_of(instance: str) -> Labels | None:
    if not instance:
        return (("node", "alpha"),)
    if instance == "i1":
        return (
            ("agent", "web"),
            ("instance", "web-1.1"),
            ("instance_id", "i1"),
            ("namespace", "default"),
            ("node", "alpha"),
        )
    return None


def stream(memory: int = 1 << 24) -> SampleStream:
    return SampleStream("n1", Recent(memory), labels_of)


def take(into: SampleStream, encoder: Encoder, ticks: list[Tick], scrapes: Sequence[Scraped] = ()) -> pb.SampleBatch:
    """As it comes when its last tick is a quarter of a second old."""
    last = ticks[-1].number
    raw = encoder.batch(ticks, scrapes, last, 250).SerializeToString()
    batch = pb.SampleBatch.FromString(raw)
    into.take(batch, (NOW_S + last - BOOT) * 1000 + 250)
    return batch


def stored(into: SampleStream, name: str, start: int, count: int, step: int = 1) -> list[float | None]:
    (entry,) = list(into._recent.of_name(name))
    found = entry.ring.read(np.array([entry.row]), (NOW_S + start) // step, count)[0]
    return [None if np.isnan(value) else float(value) for value in found]


def test_what_was_sampled_is_stored_at_the_seconds_of_nexus() -> None:
    into, encoder = stream(), Encoder()
    take(into, encoder, [Tick(BOOT, {MEMORY: 100, CPU: 1000}), Tick(BOOT + 1, {MEMORY: 300, CPU: 1050})])
    second = take(into, encoder, [Tick(BOOT + 2, {MEMORY: 200, CPU: 1250})])
    assert stored(into, MEMORY.name, 0, 4) == [100, 300, 200, None]
    assert stored(into, CPU.name, 0, 3) == [None, 0.5, 2.0]
    assert not second.declare, "a series is declared once"
    assert not second.rows, "nor are rows told again"
    (entry,) = list(into._recent.of_name(CPU.name))
    assert (entry.info.labels, entry.info.unit, entry.info.help) == ((("node", "alpha"),), "seconds", "Processor.")


def test_seconds_that_were_not_sampled_are_gaps() -> None:
    into = stream()
    take(
        into, Encoder(), [Tick(BOOT, {MEMORY: 1}), Tick(BOOT + 1, {OF_WEB: 5}), Tick(BOOT + 3, {MEMORY: 4, OF_WEB: 6})]
    )
    assert stored(into, MEMORY.name, 0, 4) == [1, None, None, 4]
    assert stored(into, OF_WEB.name, 0, 4) == [None, 5, None, 6]


def test_nexus_says_what_it_knows_of_an_instance_and_takes_none_of_another_node() -> None:
    into = stream()
    other = Series("omnitide_instance_tasks", (("instance", "i2"),))
    take(into, Encoder(), [Tick(BOOT, {OF_WEB: 5, other: 7, MEMORY: 1})])
    (entry,) = list(into._recent.of_name(OF_WEB.name))
    assert entry.info.labels == labels_of("i1")
    assert into.dropped == {"ended": 1}
    assert stored(into, MEMORY.name, 0, 1) == [1]


def test_what_is_scraped_has_a_step_of_its_own() -> None:
    into, encoder = stream(), Encoder()
    start = -(NOW_S % 15) + 15
    for index, total in enumerate([10.0, 40.0, 100.0]):
        tick = BOOT + start + 15 * index
        take(into, encoder, [Tick(tick, {MEMORY: 1})], [Scraped(tick, "i1", {HITS: total})])
    assert stored(into, HITS.name, start, 3, step=15) == [None, 2.0, 4.0]


def test_a_message_that_was_long_on_its_way_moves_nothing() -> None:
    into, encoder = stream(), Encoder()
    for index, late_ms in enumerate([0, 900, 400, 990, 30]):
        ticks = [Tick(BOOT + index, {MEMORY: index})]
        batch = encoder.batch(ticks, [], BOOT + index, 10)
        into.take(batch, (NOW_S + index) * 1000 + 600 + late_ms)
    assert stored(into, MEMORY.name, 0, 5) == [0, 1, 2, 3, 4]


def test_a_clock_of_nexus_that_jumped_is_followed() -> None:
    into, encoder = stream(), Encoder()
    take(into, encoder, [Tick(BOOT, {MEMORY: 1})])
    into.take(encoder.batch([Tick(BOOT + 1, {MEMORY: 2})], [], BOOT + 1, 0), (NOW_S + 301) * 1000)
    assert stored(into, MEMORY.name, 301, 1) == [2]


def test_a_series_that_was_forgotten_is_found_again_and_no_other_is_written_over() -> None:
    into, encoder = stream(), Encoder()
    take(into, encoder, [Tick(BOOT, {MEMORY: 1})])
    into._recent.sweep(NOW_S + 2000)
    other = into._recent.entry("n1", SeriesInfo("other", (("node", "alpha"),)), 1)
    assert other is not None
    take(into, encoder, [Tick(BOOT + 2000, {MEMORY: 7})])
    assert stored(into, MEMORY.name, 2000, 1) == [7]
    assert np.isnan(other.ring.read(np.array([other.row]), NOW_S + 2000, 1)).all()


def test_where_memory_is_used_up_scraped_series_give_way_first() -> None:
    into = stream(memory=40_000)
    take(into, Encoder(), [Tick(BOOT, {OF_WEB: 1, MEMORY: 2})])
    many = {Series(f"s{number}", (("instance", "i1"),), scraped=True): 1.0 for number in range(40)}
    raw = Encoder().batch([Tick(BOOT + 1, {MEMORY: 3})], [Scraped(BOOT + 1, "i1", many)], BOOT + 1, 0)
    fresh = SampleStream("n1", into._recent, labels_of)
    fresh.take(raw, (NOW_S + 1) * 1000)
    assert fresh.dropped["no room"] > 0
    assert into._recent.bytes <= 40_000
    assert stored(into, MEMORY.name, 0, 2) == [2, 3]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_samples_come_through_as_they_were(data: st.DataObject) -> None:
    series = [Series(f"omnitide_node_{name}", (), "gauge") for name in "abc"]
    number, table = BOOT, dict[tuple[str, int], int]()
    into, encoder, buffer = stream(), Encoder(), Buffer()
    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 5))):
            number += data.draw(st.integers(1, 3))
            some = data.draw(st.lists(st.sampled_from(series), unique=True))
            values = {one: data.draw(st.integers(-(2**24), 2**24)) for one in some}
            buffer.add(Tick(number, values))
            table.update({(one.name, number - BOOT): value for one, value in values.items()})
        take(into, encoder, *buffer.take(30))
    for one in series:
        if any(name == one.name for name, _ in table):
            assert stored(into, one.name, 0, 90) == [table.get((one.name, second)) for second in range(90)]


def _batch(**fields: object) -> pb.SampleBatch:
    return pb.SampleBatch(**fields)  # type: ignore[arg-type]


DECLARED = pb.SeriesDeclaration(id=1, name="omnitide_node_a", kind=pb.SERIES_KIND_GAUGE)


@pytest.mark.parametrize(
    "batch",
    [
        _batch(ticks=1, rows=[1], deltas=[1]),
        _batch(declare=[DECLARED, DECLARED]),
        _batch(declare=[DECLARED], ticks=1, rows=[1, 1], deltas=[1, 1]),
        _batch(declare=[DECLARED], ticks=2, rows=[1], deltas=[1]),
        _batch(declare=[DECLARED], ticks=0, rows=[1], deltas=[1]),
        _batch(declare=[DECLARED], ticks=MAX_TICKS + 1, rows=[1], deltas=[0] * (MAX_TICKS + 1)),
        _batch(declare=[DECLARED], ticks=1, rows=[1], deltas=[1], gaps=b"12"),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="no name")]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="hits_total")]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", scraped=True)]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", labels=["a"])]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", labels=["b", "", "a", ""])]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", labels=["a", "x" * 300])]),
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", exponent=300)]),
        _batch(declare=[DECLARED], scrapes=[pb.Scrape(tick=1, values=[1.0])]),
    ],
)
def test_what_is_no_batch_is_refused_with_a_reason(batch: pb.SampleBatch) -> None:
    batch.first_tick = batch.first_tick or 1
    with pytest.raises(ProtocolFault):
        stream().take(batch, NOW_S * 1000)


def test_labels_that_nexus_gives_cannot_be_had_from_a_node() -> None:
    into = stream()
    into.take(
        _batch(declare=[pb.SeriesDeclaration(id=1, name="omnitide_node_a", labels=["node", "beta"])]), NOW_S * 1000
    )
    assert into.dropped == {"refused": 1}


def test_a_thousand_mutilated_batches_do_no_more_than_end_a_stream() -> None:
    rng = random.Random(7)
    recent = Recent(1 << 22)
    taken = refused = 0
    for _ in range(1000):
        into, encoder = SampleStream("n1", recent, labels_of), Encoder()
        for start in (0, 3):
            ticks = [Tick(BOOT + start + index, {MEMORY: rng.getrandbits(40), CPU: index}) for index in range(3)]
            batch = encoder.batch(ticks, [Scraped(ticks[-1].number, "i1", {HITS: rng.random()})], ticks[-1].number, 0)
            raw = bytearray(batch.SerializeToString())
            for _ in range(rng.randrange(4)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            try:
                into.take(pb.SampleBatch.FromString(bytes(raw)), NOW_S * 1000)
                taken += 1
            except (ProtocolFault, DecodeError):
                refused += 1
    assert taken > 300
    assert refused > 50
    assert recent.bytes <= 1 << 22


def test_a_node_that_is_cut_off_keeps_a_minute_and_counts_what_it_drops() -> None:
    buffer = Buffer()
    for number in range(100):
        buffer.add(Tick(number, {MEMORY: number, CPU: number}))
    assert (len(buffer), buffer.dropped) == (KEEP_TICKS, 2 * 40)
    ticks, scrapes = buffer.take(10)
    assert [tick.number for tick in ticks] == list(range(40, 50))
    buffer.put_back(ticks, scrapes)
    assert (len(buffer), buffer.samples) == (KEEP_TICKS, 2 * KEEP_TICKS)
