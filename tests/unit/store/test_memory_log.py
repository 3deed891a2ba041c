"""The log of the simulation: what it does beyond the protocol, which is crash, fail and wait as it is told."""

import asyncio
from random import Random

import pytest

from omnitide.store.memory import AppendFault, MemoryLog, MemoryStorage, open_memory_log
from omnitide.store.protocol import AppendFailed, Batch, LogFull, LogUnavailable, Record, StaleEpoch, Tail


class Sync:
    """Holds an append between its write and its durability until it is let go."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, _: Batch) -> None:
        self.reached.set()
        await self.go.wait()


def batch(log: MemoryLog, expected: int, *payloads: bytes) -> Batch:
    return Batch(log.epoch, expected, b"after %d" % expected, payloads)


async def append_in_flight(log: MemoryLog, sync: Sync, *payloads: bytes) -> "asyncio.Task[int]":
    appending = asyncio.ensure_future(log.append(batch(log, (await log.tail()).position, *payloads)))
    await sync.reached.wait()
    return appending


async def test_nothing_is_shown_before_it_is_durable() -> None:
    sync = Sync()
    log = await open_memory_log(before_durable=sync)
    appending = await append_in_flight(log, sync, b"a")
    assert await log.tail() == Tail(position=0, batch_id=b"")
    assert await log.read(0) == []
    sync.go.set()
    assert await appending == 1
    assert await log.read(0) == [Record(1, b"a")]


async def test_what_was_acknowledged_survives_a_crash_and_the_old_writer_is_dead() -> None:
    log = await open_memory_log()
    await log.append(batch(log, 0, b"a", b"b"))
    after = log.crash()
    assert await after.read(0) == [Record(1, b"a"), Record(2, b"b")]
    assert after.identity == log.identity
    assert after.epoch == log.epoch + 1
    with pytest.raises(LogUnavailable):
        await log.tail()


@pytest.mark.parametrize("rng", [None, *map(Random, range(20))])
async def test_a_crash_keeps_the_batch_in_flight_whole_or_not_at_all(rng: Random | None) -> None:
    sync = Sync()
    log = await open_memory_log(before_durable=sync)
    appending = await append_in_flight(log, sync, b"a", b"b", b"c")
    after = log.crash(rng)
    sync.go.set()
    with pytest.raises(LogUnavailable):
        await appending
    position = (await after.tail()).position
    assert position in ((0,) if rng is None else (0, 3))
    assert len(await after.read(0)) == position


async def test_both_outcomes_of_a_crash_happen() -> None:
    outcomes: set[int] = set()
    for seed in range(20):
        sync = Sync()
        log = await open_memory_log(before_durable=sync)
        appending = await append_in_flight(log, sync, b"a")
        outcomes.add((await log.crash(Random(seed)).tail()).position)
        sync.go.set()
        with pytest.raises(LogUnavailable):
            await appending
    assert outcomes == {0, 1}


async def test_a_writer_that_another_has_replaced_is_refused_even_in_flight() -> None:
    storage = MemoryStorage()
    sync = Sync()
    old = await open_memory_log(storage, before_durable=sync)
    appending = await append_in_flight(old, sync, b"old")
    new = await open_memory_log(storage)
    assert await new.append(batch(new, 0, b"new")) == 1
    sync.go.set()
    with pytest.raises(StaleEpoch):
        await appending
    with pytest.raises(StaleEpoch):
        await old.append(batch(old, 1, b"again"))
    assert await new.read(0) == [Record(1, b"new")]


async def test_a_cancelled_append_is_not_half_there() -> None:
    sync = Sync()
    log = await open_memory_log(before_durable=sync)
    appending = await append_in_flight(log, sync, b"a")
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    after = log.crash(Random(1))
    assert (await after.tail()).position == 0


@pytest.mark.parametrize(
    ("fault", "error", "position"),
    [
        (AppendFault.FULL, LogFull, 0),
        (AppendFault.FAILED, AppendFailed, 0),
        (AppendFault.UNKNOWN_LOST, LogUnavailable, 0),
        (AppendFault.UNKNOWN_APPLIED, LogUnavailable, 1),
    ],
)
async def test_an_append_fails_as_it_was_told_and_the_tail_says_what_became_of_it(
    fault: AppendFault, error: type[Exception], position: int
) -> None:
    log = await open_memory_log()
    log.fail_appends(fault)
    with pytest.raises(error):
        await log.append(batch(log, 0, b"a"))
    assert (await log.tail()).position == position
    assert (await log.tail()).batch_id == (b"after 0" if position else b"")
    assert await log.append(batch(log, position, b"b")) == position + 1


async def test_a_full_storage_refuses_until_it_has_room_and_can_be_read() -> None:
    storage = MemoryStorage()
    log = await open_memory_log(storage)
    await log.append(batch(log, 0, b"a"))
    storage.full = True
    for _ in range(2):
        with pytest.raises(LogFull):
            await log.append(batch(log, 1, b"b"))
    assert await log.read(0) == [Record(1, b"a")]
    storage.full = False
    assert await log.append(batch(log, 1, b"b")) == 2


async def test_faults_are_kept_for_appends_that_pass_their_checks() -> None:
    log = await open_memory_log()
    log.fail_appends(AppendFault.FULL)
    with pytest.raises(StaleEpoch):
        await log.append(Batch(log.epoch + 1, 0, b"id", [b"x"]))
    with pytest.raises(LogFull):
        await log.append(batch(log, 0, b"x"))
