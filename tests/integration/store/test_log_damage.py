"""Damage to what was acknowledged is refused loudly, by position; a torn end that nobody was told of is not damage."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from omnitide.store import framing, reading, recovery
from omnitide.store.protocol import Batch, LogCorrupt, LogLocked, LogMissing, LogUnavailable, Record
from omnitide.store.rocks_handle import META_EPOCH, META_FORMAT, META_LOG_ID, position_key
from omnitide.store.rocksdb import RocksLog, open_rocksdb_log


def content(position: int) -> bytes:
    """Incompressible, and different at every position."""
    return hashlib.shake_128(b"%d" % position).digest(400)


async def write(path: Path, *sizes: int) -> None:
    """Append batches of so many records, and stop cleanly: everything is in the write-ahead log."""
    log = await reopen(path)
    position = (await log.tail()).position
    for size in sizes:
        payloads = [content(position + 1 + i) for i in range(size)]
        position = await log.append(Batch(log.epoch, position, b"batch at %d" % position, payloads))
    await log.close()


async def reopen(path: Path) -> RocksLog:
    return await open_rocksdb_log(path, ballast_bytes=0)


async def settle_into_tables(path: Path) -> None:
    """Recovery writes what the write-ahead log holds into tables."""
    await (await reopen(path)).close()


async def damage_at_open(path: Path) -> LogCorrupt:
    with pytest.raises(LogCorrupt) as damage:
        await (await reopen(path)).close()
    return damage.value


def write_ahead_log(path: Path) -> Path:
    return max((path / "db").glob("*.log"), key=lambda file: file.stat().st_size)


def flip(file: Path, find: bytes) -> None:
    """Change one bit of the one place where `find` is."""
    data = bytearray(file.read_bytes())
    assert data.count(find) >= 1
    data[data.index(find)] ^= 1
    file.write_bytes(data)


def edit(path: Path, change: Callable[[Rdict], None]) -> None:
    """Change the store behind the log's back, in a way that RocksDB itself finds in order."""
    options = Options(raw_mode=True)
    store = Rdict(str(path / "db"), options)
    change(store)
    store.flush()
    store.close()


# -- in the write-ahead log --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [1, 7, 150])
async def test_a_flipped_bit_among_synced_records_is_refused(tmp_path: Path, position: int) -> None:
    await write(tmp_path, *[1] * 300)
    flip(write_ahead_log(tmp_path), content(position)[:20])
    damage = await damage_at_open(tmp_path)
    assert damage.position == position
    assert "300" in damage.detail


async def test_a_flipped_bit_in_the_last_acknowledged_batch_is_refused(tmp_path: Path) -> None:
    await write(tmp_path, 1, 1, 5)
    flip(write_ahead_log(tmp_path), content(7)[:20])
    assert (await damage_at_open(tmp_path)).position == 3


@pytest.mark.parametrize("cut", [1, 100, 4000])
async def test_acknowledged_records_cut_off_the_end_are_missed(tmp_path: Path, cut: int) -> None:
    await write(tmp_path, 1, 2, 10)
    file = write_ahead_log(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])
    damage = await damage_at_open(tmp_path)
    assert damage.position == 4
    assert "acknowledged" in damage.detail


async def test_a_cut_exactly_between_two_batches_is_missed_too(tmp_path: Path) -> None:
    await write(tmp_path, 1, 1)
    log = await reopen(tmp_path)
    before = write_ahead_log(tmp_path).read_bytes()
    await log.append(Batch(log.epoch, 2, b"third", [content(3)]))
    await log.close()
    assert write_ahead_log(tmp_path).read_bytes().startswith(before)
    write_ahead_log(tmp_path).write_bytes(before)
    damage = await damage_at_open(tmp_path)
    assert damage.position == 3
    assert "acknowledged" in damage.detail


@pytest.mark.parametrize("position", [1, 7, 150])
async def test_damage_before_other_records_needs_no_witness_to_be_seen(tmp_path: Path, position: int) -> None:
    await write(tmp_path, *[1] * 300)
    (tmp_path / "witness").unlink()
    flip(write_ahead_log(tmp_path), content(position)[:20])
    damage = await damage_at_open(tmp_path)
    assert damage.position == position
    assert "behind the damage" in damage.detail


async def test_a_refusal_changes_nothing_so_that_the_evidence_stays(tmp_path: Path) -> None:
    await write(tmp_path, *[1] * 50)
    file = write_ahead_log(tmp_path)
    whole = file.read_bytes()
    flip(file, content(20)[:20])
    damaged = file.read_bytes()
    for _ in range(2):
        assert (await damage_at_open(tmp_path)).position == 20
    assert file.read_bytes() == damaged
    file.write_bytes(whole)
    log = await reopen(tmp_path)
    assert (await log.verify()).position == 50
    await log.close()


@pytest.mark.parametrize("left", [0.02, 0.5, 0.99])
async def test_the_torn_end_of_an_append_that_nobody_was_told_of_is_dropped(tmp_path: Path, left: float) -> None:
    """As after a power loss: part of a batch reached the disk, and the witness knows nothing of it."""
    await write(tmp_path, 1, 3)
    log = await reopen(tmp_path)
    witness = (tmp_path / "witness").read_bytes()
    file = write_ahead_log(tmp_path)
    before = file.stat().st_size
    await log.append(Batch(log.epoch, 4, b"torn", [content(5 + i) for i in range(400)]))
    await log.close()
    file = write_ahead_log(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: before + int((len(whole) - before) * left)])
    (tmp_path / "witness").write_bytes(witness)

    again = await reopen(tmp_path)
    assert again.recovered.torn_tail
    assert (await again.tail()).position == 4
    assert await again.append(Batch(again.epoch, 4, b"after", [b"next"])) == 5
    assert (await again.verify()).position == 5
    await again.close()
    third = await reopen(tmp_path)
    assert not third.recovered.torn_tail
    await third.close()


# -- in tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [1, 500, 1000])
async def test_a_flipped_bit_in_a_table_is_refused(
    tmp_path: Path, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last batches at open, and wherever it is when it is read or verified."""
    await write(tmp_path, *[10] * 100)
    await settle_into_tables(tmp_path)
    table = max((tmp_path / "db").glob("*.sst"), key=lambda file: file.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) * position // 1100] ^= 1
    table.write_bytes(data)
    at_open = await damage_at_open(tmp_path)
    monkeypatch.setattr(recovery, "WINDOW_BATCHES", 0)
    log = await reopen(tmp_path)
    with pytest.raises(LogCorrupt) as verified:
        await log.verify()
    found: list[Record] = []
    with pytest.raises(LogCorrupt) as read:
        while fresh := await log.read(len(found)):
            found += fresh
    await log.close()
    assert read.value.position == verified.value.position
    # RocksDB proves blocks of about 16 KiB (40 records here), and what is named is where reading had to stop.
    assert verified.value.position <= at_open.position
    assert abs(position - read.value.position) < 150
    assert [record.payload for record in found] == [content(1 + i) for i in range(len(found))]


@pytest.mark.parametrize(
    ("change", "position"),
    [
        (lambda value: value[:-3] + bytes([value[-3] ^ 1]) + value[-2:], 4),
        (lambda value: value[:20] + bytes([value[20] ^ 1]) + value[21:], 4),
        (lambda value: value[:-1], 4),
        (lambda value: value[:10], 4),
        (lambda _: b"", 4),
        (lambda _: framing.encode(4, 1, b"id", [b"a", b"b", b"c"], bytes(16))[0], 4),
        (lambda _: framing.encode(5, 1, b"id", [b"b", b"c"], bytes(16))[0], 4),
        (lambda _: framing.encode(3, 1, b"id", [b"a", b"b", b"c", b"d"], bytes(16))[0], 4),
        (lambda _: framing.encode(4, 1, b"id", [b"a", b"b"], bytes(16))[0], 4),
    ],
    ids=["payload", "header", "cut", "stump", "empty", "unlinked", "gap", "overlap", "misplaced"],
)
async def test_a_value_that_the_store_finds_in_order_is_still_proved(
    tmp_path: Path, change: Callable[[bytes], bytes], position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches 1 to 3, 4 to 6, 7 to 9; the one in the middle is tampered with."""
    await write(tmp_path, 3, 3, 3)
    key = position_key(6)
    edit(tmp_path, lambda store: store.put(key, change(store.get(key))))
    at_open = await damage_at_open(tmp_path)
    assert at_open.position in range(4, 8)
    monkeypatch.setattr(recovery, "WINDOW_BATCHES", 1)
    monkeypatch.setattr(reading, "STEP_BYTES", 1)
    log = await reopen(tmp_path)
    with pytest.raises(LogCorrupt) as verified:
        await log.verify()
    assert verified.value.position == position
    assert [record.position for record in await log.read(0, limit=3)] == [1, 2, 3]
    with pytest.raises(LogCorrupt) as read:
        await log.read(0, limit=9)
    assert read.value.position == position
    await log.close()


async def test_a_batch_that_is_gone_is_missed(tmp_path: Path) -> None:
    await write(tmp_path, 3, 3, 3)
    edit(tmp_path, lambda store: store.delete(position_key(6)))
    damage = await damage_at_open(tmp_path)
    assert damage.position == 4
    assert "4 to 6 are missing" in damage.detail


async def test_the_first_batch_that_is_gone_is_missed(tmp_path: Path) -> None:
    await write(tmp_path, 3, 3)
    edit(tmp_path, lambda store: store.delete(position_key(3)))
    assert (await damage_at_open(tmp_path)).position == 1


async def test_another_batch_in_the_place_of_the_last_acknowledged_is_refused(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    value, _ = framing.encode(1, 1, b"forged", [b"a", b"b", b"c"], framing.FIRST_LINK)
    edit(tmp_path, lambda store: store.put(position_key(3), value))
    assert (await damage_at_open(tmp_path)).position == 1


# -- the store as a whole ----------------------------------------------------------------------------------------------


async def test_a_store_that_is_gone_is_not_taken_for_a_new_log(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    shutil.rmtree(tmp_path / "db")
    damage = await damage_at_open(tmp_path)
    assert damage.position == 1
    assert "held 3 records" in damage.detail


async def test_an_older_copy_of_the_store_is_refused(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    await write(tmp_path, 1)
    shutil.rmtree(tmp_path / "db")
    (tmp_path / "copy").rename(tmp_path / "db")
    assert (await damage_at_open(tmp_path)).position == 4


async def test_an_older_copy_with_all_records_is_refused_for_its_epoch(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    await settle_into_tables(tmp_path)
    shutil.rmtree(tmp_path / "db")
    (tmp_path / "copy").rename(tmp_path / "db")
    assert "epoch" in (await damage_at_open(tmp_path)).detail


async def test_the_store_of_another_log_is_refused(tmp_path: Path) -> None:
    await write(tmp_path / "a", 3)
    await write(tmp_path / "b", 3)
    shutil.copy(tmp_path / "a" / "witness", tmp_path / "b" / "witness")
    assert (await damage_at_open(tmp_path / "b")).position == 0


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT", "*.sst"])
async def test_a_missing_or_damaged_file_of_the_store_is_an_error_and_never_a_new_log(
    tmp_path: Path, pattern: str
) -> None:
    await write(tmp_path, 3)
    await settle_into_tables(tmp_path)
    for file in (tmp_path / "db").glob(pattern):
        kept = file.read_bytes()
        for broken in (kept[: len(kept) // 2], b""):
            file.write_bytes(broken)
            with pytest.raises((LogCorrupt, LogUnavailable)):
                await (await reopen(tmp_path)).close()
        file.unlink()
        with pytest.raises((LogCorrupt, LogUnavailable)):
            await (await reopen(tmp_path)).close()
        file.write_bytes(kept)
        log = await reopen(tmp_path)
        assert (await log.verify()).position == 3
        await log.close()


async def test_records_without_the_identity_of_a_log_are_refused(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    (tmp_path / "witness").unlink()
    edit(tmp_path, lambda store: store.delete(META_LOG_ID))
    assert (await damage_at_open(tmp_path)).position == 0


async def test_a_format_of_a_later_version_is_refused(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    edit(tmp_path, lambda store: store.put(META_FORMAT, b"2"))
    with pytest.raises(LogUnavailable, match="format 2"):
        await reopen(tmp_path)


async def test_without_its_witness_a_log_opens_and_gets_a_new_one(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    (tmp_path / "witness").unlink()
    log = await reopen(tmp_path)
    assert (await log.tail()).position == 3
    await log.close()
    shutil.rmtree(tmp_path / "db")
    assert (await damage_at_open(tmp_path)).position == 1


async def test_a_snapshot_of_more_than_the_log_holds_is_refused(tmp_path: Path) -> None:
    log = await reopen(tmp_path)
    await log.append(Batch(log.epoch, 0, b"id", [b"a", b"b"]))
    await log.save_snapshot(2, [b"state"])
    await log.close()
    (tmp_path / "witness").unlink()
    edit(tmp_path, lambda store: store.delete(position_key(2)))
    assert (await damage_at_open(tmp_path)).position == 1


# -- who may open it ---------------------------------------------------------------------------------------------------


async def test_a_log_that_is_open_cannot_be_opened_again(tmp_path: Path) -> None:
    log = await reopen(tmp_path)
    with pytest.raises(LogLocked, match=str(tmp_path)):
        await reopen(tmp_path)
    assert await log.append(Batch(log.epoch, 0, b"id", [b"still mine"])) == 1
    await log.close()
    again = await reopen(tmp_path)
    with pytest.raises(LogUnavailable):
        await log.append(Batch(log.epoch, 1, b"id", [b"not any more"]))
    await again.close()


async def test_an_opening_that_is_cancelled_leaves_the_log_unlocked(tmp_path: Path) -> None:
    opening = asyncio.ensure_future(reopen(tmp_path))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await (await reopen(tmp_path)).close()


async def test_a_log_is_only_made_where_that_is_wanted(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(LogMissing):
            await open_rocksdb_log(path, create=False, ballast_bytes=0)
    assert os.listdir(tmp_path) == []
    log = await open_rocksdb_log(tmp_path / "deep" / "below", ballast_bytes=0)
    await log.close()
    again = await open_rocksdb_log(tmp_path / "deep" / "below", create=False, ballast_bytes=0)
    assert again.identity == log.identity
    await again.close()


async def test_a_store_rolled_to_a_lower_epoch_by_hand_is_noticed_by_its_witness(tmp_path: Path) -> None:
    await write(tmp_path, 1)
    edit(tmp_path, lambda store: store.put(META_EPOCH, b"0"))
    assert "epoch 0" in (await damage_at_open(tmp_path)).detail
