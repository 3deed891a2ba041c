"""What every event log must do, line by line of `omnitide.store.protocol`, whoever keeps it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitide.store import protocol
from omnitide.store.memory import MemoryStorage, open_memory_log
from omnitide.store.protocol import (
    Batch,
    EventLog,
    InvalidBatch,
    LogCorrupt,
    LogError,
    LogMissing,
    LogUnavailable,
    Record,
    StaleEpoch,
    Tail,
    Trimmed,
    TrimRefused,
    WrongPosition,
)
from omnitide.store.rocksdb import open_rocksdb_log

Opener = Callable[[], Awaitable[EventLog]]
_ids = count(1)


def memory_opener(_: Path) -> Opener:
    storage = MemoryStorage()
    return lambda: open_memory_log(storage)


def rocksdb_opener(path: Path) -> Opener:
    return lambda: open_rocksdb_log(path / "log", ballast_bytes=0)


OPENERS = {"memory": memory_opener, "rocksdb": rocksdb_opener}


@pytest.fixture(params=OPENERS.values(), ids=OPENERS.keys())
async def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens one and the same log, as often as it is called; what is still open at the end is closed."""
    opened: list[EventLog] = []
    opener: Opener = request.param(tmp_path)

    async def open_and_remember() -> EventLog:
        log = await opener()
        opened.append(log)
        return log

    yield open_and_remember
    for log in opened:
        await log.close()


@pytest.fixture
async def log(open_log: Opener) -> EventLog:
    return await open_log()


def batch(log: EventLog, expected: int, *payloads: bytes, batch_id: bytes | None = None) -> Batch:
    return Batch(
        epoch=log.epoch,
        expected_position=expected,
        batch_id=batch_id or b"batch-%d" % next(_ids),
        payloads=payloads,
    )


async def fill(log: EventLog, *sizes: int) -> list[bytes]:
    """Append batches of so many records; returns all payloads."""
    payloads: list[bytes] = []
    for size in sizes:
        fresh = [b"record %d" % (len(payloads) + i + 1) for i in range(size)]
        await log.append(batch(log, len(payloads), *fresh))
        payloads.extend(fresh)
    return payloads


async def everything(log: EventLog, after: int = 0) -> list[Record]:
    records: list[Record] = []
    while found := await log.read(after, limit=7):
        records.extend(found)
        after = found[-1].position
    return records


# -- identity and epoch ------------------------------------------------------------------------------------------------


async def test_a_new_log_is_empty(log: EventLog) -> None:
    assert await log.tail() == Tail(position=0, batch_id=b"")
    assert await log.first_position() == 1
    assert await log.read(0) == []
    assert await log.snapshots() == []


async def test_the_identity_stays_over_reopening_and_the_epoch_rises(open_log: Opener) -> None:
    log = await open_log()
    identity, epoch = log.identity, log.epoch
    await log.close()
    again = await open_log()
    assert again.identity == identity
    assert again.epoch == epoch + 1
    assert len(identity.log_id) == 32


# -- append ------------------------------------------------------------------------------------------------------------


async def test_append_returns_the_position_of_the_last_record(log: EventLog) -> None:
    assert await log.append(batch(log, 0, b"a")) == 1
    assert await log.append(batch(log, 1, b"b", b"c", b"d")) == 4
    assert await log.read(0) == [Record(1, b"a"), Record(2, b"b"), Record(3, b"c"), Record(4, b"d")]


async def test_the_tail_names_the_last_batch_and_survives_reopening(open_log: Opener) -> None:
    log = await open_log()
    await log.append(batch(log, 0, b"a", b"b", batch_id=b"first"))
    await log.append(batch(log, 2, b"c", batch_id=b"second"))
    assert await log.tail() == Tail(position=3, batch_id=b"second")
    await log.close()
    again = await open_log()
    assert await again.tail() == Tail(position=3, batch_id=b"second")
    assert await everything(again) == [Record(1, b"a"), Record(2, b"b"), Record(3, b"c")]


@pytest.mark.parametrize("expected", [0, 1, 3, 100])
async def test_an_append_at_a_wrong_position_writes_nothing(log: EventLog, expected: int) -> None:
    await fill(log, 2)
    before = await log.tail()
    with pytest.raises(WrongPosition) as refusal:
        await log.append(batch(log, expected, b"x"))
    assert (refusal.value.expected, refusal.value.actual) == (expected, 2)
    assert await log.tail() == before
    assert await log.append(batch(log, 2, b"x")) == 3


@pytest.mark.parametrize("offset", [-1, 1])
async def test_an_append_with_another_epoch_writes_nothing(open_log: Opener, offset: int) -> None:
    await (await open_log()).close()
    log = await open_log()
    stale = Batch(epoch=log.epoch + offset, expected_position=0, batch_id=b"x", payloads=[b"x"])
    with pytest.raises(StaleEpoch) as refusal:
        await log.append(stale)
    assert (refusal.value.epoch, refusal.value.current) == (log.epoch + offset, log.epoch)
    assert (await log.tail()).position == 0


async def test_the_epoch_is_judged_before_the_position(open_log: Opener) -> None:
    log = await open_log()
    with pytest.raises(StaleEpoch):
        await log.append(Batch(epoch=log.epoch + 1, expected_position=9, batch_id=b"x", payloads=[b"x"]))


async def test_a_writer_that_closed_can_do_nothing_more(open_log: Opener) -> None:
    log = await open_log()
    await fill(log, 1)
    await asyncio.gather(log.close(), log.close())
    await log.close()
    for attempt in (
        log.append(batch(log, 1, b"x")),
        log.tail(),
        log.read(0),
        log.first_position(),
        log.snapshots(),
        log.save_snapshot(1, [b"s"]),
        log.trim(1),
    ):
        with pytest.raises(LogUnavailable):
            await attempt


@pytest.mark.parametrize(
    ("batch_id", "payloads"),
    [
        (b"id", []),
        (b"", [b"x"]),
        (b"i" * (protocol.MAX_BATCH_ID_BYTES + 1), [b"x"]),
        (b"id", [b""] * (protocol.MAX_BATCH_RECORDS + 1)),
        (b"id", [bytes(protocol.MAX_BATCH_BYTES), b"x"]),
    ],
    ids=["no records", "no id", "long id", "too many records", "too many bytes"],
)
async def test_a_batch_outside_the_bounds_writes_nothing(log: EventLog, batch_id: bytes, payloads: list[bytes]) -> None:
    with pytest.raises(InvalidBatch):
        await log.append(Batch(epoch=log.epoch, expected_position=0, batch_id=batch_id, payloads=payloads))
    assert (await log.tail()).position == 0


@pytest.mark.parametrize(
    "payloads",
    [
        [b""],
        [b"", b"", b"x", b""],
        [bytes(range(256)) * 400],
        [b""] * protocol.MAX_BATCH_RECORDS,
        [b"x" * protocol.MAX_BATCH_BYTES],
    ],
    ids=["empty record", "empty among others", "large", "most records", "most bytes"],
)
async def test_batches_at_the_bounds_come_back_byte_for_byte(open_log: Opener, payloads: list[bytes]) -> None:
    log = await open_log()
    await log.append(batch(log, 0, *payloads, batch_id=b"i" * protocol.MAX_BATCH_ID_BYTES))
    await log.close()
    again = await open_log()
    found = await again.read(0, limit=len(payloads) + 1, limit_bytes=1 << 30)
    assert [record.payload for record in found] == payloads


async def test_appends_at_the_same_time_give_one_winner(log: EventLog) -> None:
    outcomes = await asyncio.gather(
        *(log.append(batch(log, 0, b"writer %d" % i)) for i in range(5)), return_exceptions=True
    )
    assert sorted(map(repr, outcomes)).count("1") == 1
    assert sum(isinstance(outcome, WrongPosition) for outcome in outcomes) == 4
    assert (await log.tail()).position == 1


# -- read --------------------------------------------------------------------------------------------------------------


async def test_reading_starts_anywhere_also_within_a_batch(log: EventLog) -> None:
    payloads = await fill(log, 3, 5, 1)
    for after in range(len(payloads)):
        expected = [Record(i + 1, payloads[i]) for i in range(after, len(payloads))]
        assert await log.read(after) == expected


async def test_reading_beyond_the_tail_gives_nothing(log: EventLog) -> None:
    await fill(log, 2)
    assert await log.read(2) == []
    assert await log.read(50) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 8, 9, 100])
async def test_no_more_records_come_than_the_limit_says(log: EventLog, limit: int) -> None:
    await fill(log, 3, 5, 1)
    found = await log.read(1, limit=limit)
    assert [record.position for record in found] == list(range(2, min(10, 2 + limit)))


async def test_the_byte_limit_ends_a_read_but_one_record_always_comes(log: EventLog) -> None:
    await log.append(batch(log, 0, b"x" * 1000, b"y" * 1000, b"z" * 1000))
    await log.append(batch(log, 3, b"w" * 1000))
    assert [len(await log.read(0, limit_bytes=size)) for size in (1, 1999, 2000, 3999, 4000)] == [1, 1, 2, 3, 4]


async def test_small_reads_in_a_row_show_every_record_once(log: EventLog) -> None:
    payloads = await fill(log, 10, 1, 30)
    found: list[bytes] = []
    while records := await log.read(len(found), limit=1):
        found.extend(record.payload for record in records)
    assert found == payloads


@pytest.mark.parametrize(("after", "limit"), [(-1, 1), (0, 0)])
async def test_a_read_that_makes_no_sense_is_a_value_error(log: EventLog, after: int, limit: int) -> None:
    with pytest.raises(ValueError):
        await log.read(after, limit=limit)


# -- snapshots ---------------------------------------------------------------------------------------------------------


async def test_a_snapshot_comes_back_as_it_was_saved(open_log: Opener) -> None:
    log = await open_log()
    await fill(log, 4)
    chunks = [b"one", b"", b"x" * protocol.MAX_CHUNK_BYTES, b"last"]
    info = await log.save_snapshot(3, iter(chunks))
    assert info.position == 3
    assert info.verified
    assert info.size_bytes == sum(map(len, chunks))
    assert info.digest == "sha256:" + hashlib.sha256(b"".join(chunks)).hexdigest()
    await log.close()
    again = await open_log()
    assert await again.snapshots() == [info]
    assert [chunk async for chunk in again.load_snapshot(info)] == chunks


async def test_snapshots_are_listed_newest_first_and_a_second_replaces_one_at_its_position(log: EventLog) -> None:
    await fill(log, 9)
    for position in (2, 9, 5):
        await log.save_snapshot(position, [b"old %d" % position])
    again = await log.save_snapshot(5, [b"new"])
    assert [info.position for info in await log.snapshots()] == [9, 5, 2]
    assert [chunk async for chunk in log.load_snapshot(again)] == [b"new"]


async def test_a_snapshot_may_be_empty_or_of_the_empty_log(log: EventLog) -> None:
    info = await log.save_snapshot(0, [])
    assert (info.size_bytes, info.position) == (0, 0)
    assert [chunk async for chunk in log.load_snapshot(info)] == []


@pytest.mark.parametrize("position", [-1, 3])
async def test_a_snapshot_of_what_is_not_in_the_log_is_refused(log: EventLog, position: int) -> None:
    await fill(log, 2)
    with pytest.raises(ValueError):
        await log.save_snapshot(position, [b"x"])
    assert await log.snapshots() == []


async def test_a_snapshot_whose_making_fails_is_not_there(log: EventLog) -> None:
    def failing() -> "list[bytes]":
        yield b"a beginning"
        raise KeyError("no more")

    await fill(log, 1)
    with pytest.raises(KeyError):
        await log.save_snapshot(1, failing())
    with pytest.raises(ValueError):
        await log.save_snapshot(1, [bytes(protocol.MAX_CHUNK_BYTES + 1)])
    assert await log.snapshots() == []


async def test_a_snapshot_that_is_not_there_cannot_be_loaded(log: EventLog) -> None:
    await fill(log, 2)
    info = await log.save_snapshot(1, [b"x"])
    with pytest.raises(LogMissing):
        _ = [chunk async for chunk in log.load_snapshot(protocol.SnapshotInfo(2, 1, info.digest, True))]


async def test_loading_under_another_digest_says_so(log: EventLog) -> None:
    await fill(log, 2)
    await log.save_snapshot(1, [b"x"])
    with pytest.raises(LogCorrupt) as damage:
        _ = [chunk async for chunk in log.load_snapshot(protocol.SnapshotInfo(1, 1, "sha256:00", True))]
    assert damage.value.position == 1


# -- trim --------------------------------------------------------------------------------------------------------------


async def test_trimming_forgets_what_two_snapshots_cover(open_log: Opener) -> None:
    log = await open_log()
    payloads = await fill(log, 4, 4, 4)
    for position in (3, 7, 10):
        await log.save_snapshot(position, [b"state %d" % position])
    await log.trim(7)
    for _ in range(2):
        assert await log.first_position() == 7
        assert [info.position for info in await log.snapshots()] == [10, 7]
        assert await everything(log, 6) == [Record(i + 1, payloads[i]) for i in range(6, 12)]
        for after in (0, 3, 5):
            with pytest.raises(Trimmed) as trimmed:
                await log.read(after)
            assert (trimmed.value.position, trimmed.value.first) == (after + 1, 7)
        await log.close()
        log = await open_log()
    assert await log.append(batch(log, 12, b"more")) == 13


async def test_trimming_needs_two_snapshots_at_the_last_forgotten_record_or_above(log: EventLog) -> None:
    await fill(log, 10)
    await log.save_snapshot(9, [b"x"])
    await log.save_snapshot(4, [b"x"])
    with pytest.raises(TrimRefused):
        await log.trim(6)
    assert await log.first_position() == 1
    assert len(await log.snapshots()) == 2
    await log.trim(5)
    assert await log.first_position() == 5


async def test_all_but_the_last_record_can_be_trimmed_and_the_log_goes_on(open_log: Opener) -> None:
    log = await open_log()
    await fill(log, 5, 3)
    await log.append(batch(log, 8, b"nine", batch_id=b"ninth"))
    await log.save_snapshot(8, [b"x"])
    await log.save_snapshot(9, [b"x"])
    with pytest.raises(TrimRefused):
        await log.trim(10)
    await log.trim(9)
    assert await log.first_position() == 9
    await log.close()
    log = await open_log()
    assert await log.first_position() == 9
    assert await log.tail() == Tail(position=9, batch_id=b"ninth")
    assert await log.read(8) == [Record(9, b"nine")]
    assert await log.append(batch(log, 9, b"ten")) == 10


async def test_trimming_less_than_was_trimmed_already_changes_nothing(log: EventLog) -> None:
    await fill(log, 10)
    await log.save_snapshot(9, [b"x"])
    await log.save_snapshot(8, [b"x"])
    await log.trim(7)
    await log.trim(3)
    assert await log.first_position() == 7
    assert (await log.read(6))[0].position == 7


# -- any history -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS.keys())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.lists(st.binary(max_size=40), min_size=1, max_size=6)),
            st.tuples(st.just("read"), st.tuples(st.integers(0, 40), st.integers(1, 10), st.integers(1, 100))),
            st.tuples(st.just("snapshot"), st.integers(0, 40)),
            st.tuples(st.just("trim"), st.integers(0, 40)),
            st.tuples(st.just("reopen"), st.none()),
        ),
        max_size=25,
    )
)
async def test_any_history_reads_as_a_plain_list_would(
    opener: Callable[[Path], Opener], tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    open_log = opener(tmp_path_factory.mktemp("history"))
    log = await open_log()
    kept: list[bytes] = []
    first = 1
    snapshots: set[int] = set()
    for kind, argument in steps:
        if kind == "append":
            fresh: list[bytes] = argument
            assert await log.append(batch(log, len(kept), *fresh)) == len(kept) + len(fresh)
            kept.extend(fresh)
        elif kind == "read":
            after, limit, limit_bytes = argument
            if after + 1 < first:
                with pytest.raises(Trimmed):
                    await log.read(after, limit=limit, limit_bytes=limit_bytes)
                continue
            found = await log.read(after, limit=limit, limit_bytes=limit_bytes)
            assert found == [Record(after + 1 + i, p) for i, p in enumerate(kept[after : after + len(found)])]
            assert len(found) <= limit
            assert bool(found) == (after < len(kept))
        elif kind == "snapshot":
            position = min(argument, len(kept))
            await log.save_snapshot(position, [b"state"])
            snapshots.add(position)
        elif kind == "trim":
            covering = sorted((p for p in snapshots if p >= argument - 1), reverse=True)
            if len(covering) < 2:
                with pytest.raises(TrimRefused):
                    await log.trim(argument)
                continue
            await log.trim(argument)
            first = max(first, argument)
            snapshots = {p for p in snapshots if p >= covering[1]}
        else:
            await log.close()
            log = await open_log()
        assert await log.first_position() == first
        assert (await log.tail()).position == len(kept)
        assert {info.position for info in await log.snapshots()} == snapshots
    await log.close()


def test_every_error_of_the_protocol_is_a_log_error() -> None:
    errors = [each for each in vars(protocol).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert errors
    assert all(issubclass(each, LogError) for each in errors)
