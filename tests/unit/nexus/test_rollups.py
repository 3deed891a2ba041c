"""Samples by the minute: what is kept of them, over a restart, and how the hours of a week are read."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnitide.nexus.rollups import KEEP_HOURS, LATE_S, MOST_LATE, SOON_S, Rolled
from omnitide.store.rollups import RollupStore, Slot, open_rollups
from omnitide.telemetry.series.blocks import Block, BlockDamaged, block_of, decode, encode, merged
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.query import Question, Tiers
from omnitide.telemetry.series.recent import NodeSeries, Recent
from omnitide.telemetry.series.selecting import BadQuery, Selection, selection_of

HOUR_S = 3600
BEGIN = 500_000 * HOUR_S
GAUGE = np.array([False])
A = SeriesInfo("m", (("node", "alpha"),), "gauge", "bytes", "A thing.")


class World:
    """A Nexus's samples, with a clock that a test sets."""

    def __init__(self, path: Path, now: int) -> None:
        self.now = now
        self.recent = Recent(1 << 24)
        self.began = now
        self.rolled = Rolled(RollupStore(path), self.recent, lambda: self.now, {"alpha": "n1", "beta": "n2"}.get)
        self.tiers = Tiers(
            self.recent,
            self.rolled,
            lambda: self.now,
            lambda: max(self.began, self.now - self.recent.span_s + 1),
            self.rolled.taken_s,
        )

    def sample(self, values: list[float], info: SeriesInfo = A, node: str = "n1") -> None:
        """One a second, up to now."""
        entry = self.recent.entry(node, info, 1)
        assert entry is not None
        data = np.array([values])
        entry.ring.write(np.array([entry.row]), self.now - len(values), data, GAUGE, np.isnan(data))

    def pass_time(self, seconds: int, value: float) -> None:
        for _ in range(0, seconds, 300):
            self.now += 300
            self.sample([value] * 300)

    async def ask(self, start_s: int, step_s: int, aggregate: str = "avg", match: str = "node=alpha") -> list[float]:
        question = Question(selection_of("m", (match,)), start_s, self.now, step_s, aggregate)  # type: ignore[arg-type]
        answer = await self.tiers.ask(question)
        return answer.found[0].values.tolist() if answer.found else []


async def test_a_minute_is_kept_with_its_least_mean_most_and_last(tmp_path: Path) -> None:
    world = World(tmp_path / "s", BEGIN)
    world.now = BEGIN + 120
    world.sample([1.0] * 60 + [2.0] * 30 + [4.0] * 29 + [9.0])
    await world.rolled.take_until(BEGIN // 60 + 2)
    world.now = BEGIN + 2000  # memory does not reach back so far
    for aggregate, expected in (("min", 2), ("max", 9), ("last", 9), ("avg", (60 + 116 + 9) / 60)):
        found = await world.ask(BEGIN, 60, aggregate)
        assert found[:2] == pytest.approx([1, expected]), aggregate
    await world.rolled.close()


async def test_a_restart_keeps_them_and_joins_the_two_halves_of_its_minute(tmp_path: Path) -> None:
    first = World(tmp_path / "s", BEGIN)
    first.now = BEGIN + 90
    first.sample([2.0] * 90)
    await first.rolled.close()
    second = World(tmp_path / "s", BEGIN + 95)
    second.now = BEGIN + 120
    second.sample([6.0] * 15)
    halves = pytest.approx((30 * 2 + 15 * 6) / 45)
    assert (await second.ask(BEGIN, 60))[1] == halves, "one on disk, one in memory"
    second.now = BEGIN + 300
    second.sample([3.0] * 60)
    await second.rolled.take_until(BEGIN // 60 + 5)
    second.now = BEGIN + 3000
    found = await second.ask(BEGIN, 60)
    assert found[0] == 2
    assert found[1] == halves
    assert np.isnan(found[2:4]).all(), "nobody sampled then"
    assert found[4] == 3
    await second.rolled.close()


async def test_hours_are_put_together_and_read_as_before(tmp_path: Path) -> None:
    world = World(tmp_path / "s", BEGIN)
    for hour in range(3):
        for _ in range(12):
            world.pass_time(300, float(hour))
            await world.rolled.take_until(world.now // 60)
    before = await world.ask(BEGIN, 600)
    await world.rolled._put_together(world.now // HOUR_S)
    store = world.rolled._store
    assert store.open_hours(world.now // HOUR_S) == []
    assert len(store.hours(range(BEGIN // HOUR_S, BEGIN // HOUR_S + 3), "n1")) == 3
    assert (await world.ask(BEGIN, 600)) == before
    assert before == [0.0] * 6 + [1.0] * 6 + [2.0] * 6
    await world.rolled.close()


async def test_the_hour_after_those_that_were_put_together_is_read_too(tmp_path: Path) -> None:
    world = World(tmp_path / "s", BEGIN)
    for minutes, value in ((60, 1.0), (10, 7.0)):
        world.pass_time(60 * minutes, value)
        await world.rolled.take_until(world.now // 60)
        await world.rolled._put_together(world.now // HOUR_S)
    world.now += 1500  # memory does not reach back so far
    found = await world.ask(BEGIN + HOUR_S - 120, 60)
    assert found[:12] == [1.0] * 2 + [7.0] * 10
    await world.rolled.close()


async def test_after_a_long_pause_only_minutes_are_made_up_for_that_memory_still_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", BEGIN)
    looks = 0
    nodes = world.recent.nodes

    def counted() -> Iterator[tuple[str, NodeSeries]]:
        nonlocal looks
        looks += 1
        return nodes()

    monkeypatch.setattr(world.recent, "nodes", counted)
    world.now += 24 * HOUR_S
    world.sample([1.0] * 900)
    await world.rolled.take_until(world.now // 60)
    assert looks == MOST_LATE
    assert world.rolled.taken_s() == world.now
    monkeypatch.undo()
    world.now += 3000
    assert (await world.ask(world.now - 3000 - 60 * MOST_LATE, 60))[:MOST_LATE] == [1.0] * MOST_LATE
    await world.rolled.close()


async def test_what_is_older_than_a_week_goes(tmp_path: Path) -> None:
    store = RollupStore(tmp_path / "s")
    block = encode(block_of(0, [A], np.array([[1.0]], np.float32), [0], 1))
    now_hour = BEGIN // HOUR_S
    for hour in (now_hour - KEEP_HOURS - 1, now_hour - KEEP_HOURS, now_hour - 1):
        store.put_hour(hour, "n1", block)
    store.drop_before(now_hour - KEEP_HOURS)
    assert store.nodes(0, now_hour, 10) == [Slot(now_hour - KEEP_HOURS, "n1"), Slot(now_hour - 1, "n1")]
    store.close()


async def test_all_nodes_are_asked_unless_one_is_named_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", BEGIN)
    world.now += 60
    world.sample([1.0] * 60)
    world.sample([5.0] * 60, SeriesInfo("m", (("node", "beta"),), "gauge", "bytes", "A thing."), "n2")
    await world.rolled.take_until(world.now // 60)
    world.now += 3000
    question = Question(Selection("m"), BEGIN, world.now, 60, by=())
    assert (await world.tiers.ask(question)).found[0].values[0] == 6
    assert (await world.ask(BEGIN, 60))[0] == 1
    monkeypatch.setattr("omnitide.nexus.rollups.MAX_BLOCKS", 1)
    with pytest.raises(BadQuery, match="name a node"):
        await world.tiers.ask(question)
    await world.rolled.close()


def test_a_block_is_read_as_it_was_written() -> None:
    samples = np.array([[1, 2, 3, np.nan], [np.nan] * 4, [7, 7, 7, 7]], np.float32)
    series = [A, SeriesInfo("n", ()), SeriesInfo("o", (("a", "b"),), "counter")]
    block = block_of(7, series, samples, [0, 0, 1, 1], 2)
    again = decode(encode(block))
    assert (again.first, list(again.series)) == (7, series)
    for name in ("least", "mean", "most", "last", "number"):
        np.testing.assert_array_equal(getattr(again, name), getattr(block, name))
    np.testing.assert_array_equal(again.mean, np.array([[1.5, 3], [np.nan, np.nan], [7, 7]], np.float32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x94\x01\x02\xa1a\xa1b",
        encode(Block(0, [], *[np.zeros((0, 1), np.float32)] * 4, np.zeros((0, 1), np.uint16)))[:-3],
    ],
)
def test_bytes_that_are_no_block_are_told_as_such(data: bytes) -> None:
    with pytest.raises(BlockDamaged):
        decode(data)


def test_of_a_minute_in_two_blocks_each_counts_by_its_number_of_samples() -> None:
    one = block_of(5, [A], np.array([[1, 1, 1]], np.float32), [0, 0, 0], 1)
    two = block_of(5, [A], np.array([[5]], np.float32), [0], 1)
    whole = merged([one, two], 4, 3)
    np.testing.assert_array_equal(whole.mean, [[np.nan, 2, np.nan]])
    assert (whole.least[0, 1], whole.most[0, 1], whole.last[0, 1], whole.number[0, 1]) == (1, 5, 5, 4)


def test_of_a_minute_in_two_blocks_it_is_known_from_when_up_to_when_there_were_samples() -> None:
    """The earlier block has the later seconds, and a block of a release that did not say is of whole minutes."""
    nan = np.nan
    late = block_of(5, [A], np.array([[nan, nan, 1, 1]], np.float32), [0, 0, 0, 0], 1)
    early = block_of(5, [A], np.array([[nan, 5, nan, nan]], np.float32), [0, 0, 0, 0], 1)
    assert (late.begins_ends()[:, 0, 0].tolist(), early.begins_ends()[:, 0, 0].tolist()) == ([30, 60], [15, 30])
    for parts in ([late, early], [early, late]):
        assert merged(parts, 4, 3).begins_ends()[:, 0].tolist() == [[0, 15, 0], [0, 60, 0]]
    assert merged([early], 5, 1).begins_ends()[:, 0, 0].tolist() == [15, 30], "one alone is as it was"
    none = block_of(5, [A], np.array([[nan, nan, nan, nan]], np.float32), [0, 0, 0, 0], 1)
    assert merged([late, none], 5, 1).begins_ends()[:, 0, 0].tolist() == [30, 60], "what has no sample says nothing"
    longer = block_of(4, [A], np.array([[1, 2, 3]], np.float32), [0, 1, 2], 3)
    assert merged([longer, late], 5, 1).number.tolist() == [[3]], "of a block that is longer, these minutes alone"
    untold = replace(early, spans=None)
    assert merged([late, untold], 5, 1).begins_ends()[:, 0, 0].tolist() == [0, 60]


def test_a_store_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "CURRENT").write_text("MANIFEST-000099\n")
    store = open_rollups(tmp_path / "s")
    store.put_minutes(1, {"n1": b"x"})
    assert store.minute(1, "n1") == b"x"
    store.close()
    assert (tmp_path / "s.unusable" / "CURRENT").exists()


async def test_the_service_takes_minutes_as_they_end(tmp_path: Path) -> None:
    world = World(tmp_path / "s", BEGIN)
    world.now = BEGIN + 180 + SOON_S - 1
    world.sample([1.0] * (180 + SOON_S - 1))
    task = asyncio.ensure_future(world.rolled.run())
    store = world.rolled._store
    async with asyncio.timeout(5):
        while store.minute(BEGIN // 60 + 1, "n1") is None:
            await asyncio.sleep(0.01)
    assert store.minute(BEGIN // 60 + 2, "n1") is None, "its last batches may be under way"
    world.now += 1
    async with asyncio.timeout(5):
        while store.minute(BEGIN // 60 + 2, "n1") is None:
            await asyncio.sleep(0.01)
    task.cancel()
    await world.rolled.close()
    again = RollupStore(tmp_path / "s")
    assert again.minute(BEGIN // 60 + 3, "n1") is not None, "an orderly end keeps what there is"
    again.close()


def _number(store: RollupStore, minute: int, node: str = "n1") -> int:
    data = store.minute(minute, node)
    return 0 if data is None else int(decode(data).number[0, 0])


async def test_what_a_node_that_was_cut_off_sends_late_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "s", BEGIN)
    store, first = world.rolled._store, BEGIN // 60
    put: list[tuple[int, list[str]]] = []
    put_minutes = store.put_minutes

    def counted(minute: int, values: dict[str, bytes]) -> None:
        put.append((minute - first, sorted(values)))
        put_minutes(minute, values)

    monkeypatch.setattr(store, "put_minutes", counted)
    other = SeriesInfo("m", (("node", "beta"),), "gauge", "bytes", "A thing.")
    world.now = BEGIN + 20
    world.sample([1.0] * 20)
    world.now = BEGIN + 60 + SOON_S
    world.sample([1.0] * (60 + SOON_S), other, "n2")
    await world.rolled.keep_due()
    assert (_number(store, first), _number(store, first, "n2")) == (20, 60)
    world.now = BEGIN + 60 + LATE_S - 1
    world.sample([1.0] * (40 + LATE_S - 1))
    await world.rolled.keep_due()
    assert _number(store, first) == 20, "it is looked at again once"
    world.now += 1
    await world.rolled.keep_due()
    assert _number(store, first) == 60
    assert put[-1] == (0, ["n1"]), "of the other there is no more"
    assert [minute for minute, _ in put].count(0) == 2
    await world.rolled.close()


async def test_what_comes_late_of_the_minute_of_a_restart_counts_once(tmp_path: Path) -> None:
    first = World(tmp_path / "s", BEGIN)
    first.now = BEGIN + 90
    first.sample([2.0] * 80)
    await first.rolled.close()
    second = World(tmp_path / "s", BEGIN + 95)
    store = second.rolled._store
    second.now = BEGIN + 100
    second.sample([2.0] * 5)
    for at in (SOON_S, 60 + SOON_S):
        second.now = BEGIN + 120 + at
        await second.rolled.keep_due()
    assert _number(store, BEGIN // 60 + 1) == 35
    entry = second.recent.entry("n1", A, 1)
    assert entry is not None
    late = np.array([[2.0] * 5])
    entry.ring.write(np.array([entry.row]), BEGIN + 90, late, GAUGE, np.isnan(late))
    second.now = BEGIN + 120 + LATE_S
    await second.rolled.keep_due()
    assert _number(store, BEGIN // 60 + 1) == 40
    await second.rolled.close()
    again = RollupStore(tmp_path / "s")
    assert _number(again, BEGIN // 60 + 1) == 40
    again.close()


async def test_what_nodes_had_not_sent_when_a_nexus_was_killed_is_kept_of_the_minute_before(tmp_path: Path) -> None:
    """It began anew at the beginning of a minute, and they send what is of the one before."""
    world = World(tmp_path / "s", BEGIN + 60)
    world.sample([1.0] * 9)
    world.now += SOON_S
    await world.rolled.keep_due()
    assert _number(world.rolled._store, BEGIN // 60) == 9
    await world.rolled.close()
