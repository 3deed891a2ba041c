"""Writes and syncs that fail under the log, on the real file system: the answer is always what is true."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omnitide.store.protocol import AppendFailed, Batch, LogFull, LogUnavailable, Record, Tail
from omnitide.store.rocks_handle import Handle, StorageError, Trouble
from omnitide.store.rocksdb import RocksLog, open_rocksdb_log


def batch(log: RocksLog, expected: int, *payloads: bytes) -> Batch:
    return Batch(log.epoch, expected, b"after %d" % expected, payloads)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: writes are cut off there, in the middle if need be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_fails_half_way_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    log = await open_rocksdb_log(tmp_path, ballast_bytes=0)
    known: list[bytes] = []
    with largest_file(400_000):
        with pytest.raises(AppendFailed) as refusal:
            while True:
                payloads = [b"%d " % (len(known) + i) * 3000 for i in range(4)]
                assert await log.append(batch(log, len(known), *payloads)) == len(known) + 4
                known += payloads
        assert not isinstance(refusal.value, LogFull)
        assert len(known) > 20
        assert await log.tail() == Tail(position=len(known), batch_id=b"after %d" % (len(known) - 4))
        assert await log.read(0, limit=1000) == [Record(i + 1, payload) for i, payload in enumerate(known)]
        # The log has reopened itself and goes on, in a new file.
        assert await log.append(batch(log, len(known), b"next")) == len(known) + 1
    assert (await log.verify()).position == len(known) + 1
    await log.close()


async def test_a_log_that_cannot_be_opened_again_says_so_until_it_can(tmp_path: Path) -> None:
    log = await open_rocksdb_log(tmp_path, ballast_bytes=0)
    await log.append(batch(log, 0, b"a", b"b"))
    with largest_file(1):
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                await log.append(batch(log, 2, b"c"))
            with pytest.raises(LogUnavailable):
                await log.tail()
            with pytest.raises(LogUnavailable):
                await log.read(0)
    assert await log.tail() == Tail(position=2, batch_id=b"after 0")
    assert await log.read(0) == [Record(1, b"a"), Record(2, b"b")]
    assert await log.append(batch(log, 2, b"c")) == 3
    await log.close()


async def test_appends_that_outrun_the_disk_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RocksDB refuses a write for which it has no buffer left, rather than stop the whole process; the log waits."""
    stalls = 0
    write = Handle.write

    def counting(handle: Handle, *entries: tuple[bytes, bytes], forget_below: int = 0) -> None:
        nonlocal stalls
        try:
            write(handle, *entries, forget_below=forget_below)
        except StorageError as error:
            stalls += error.trouble is Trouble.STALLED
            raise

    monkeypatch.setattr(Handle, "write", counting)
    # Without the sync the log outruns the disk for certain.
    monkeypatch.setattr(Handle, "sync", lambda _: None)
    log = await open_rocksdb_log(tmp_path, ballast_bytes=1 << 20)
    payload = os.urandom(1 << 20)
    count = 0
    while stalls < 3 and count < 400:
        count = await log.append(batch(log, count, payload))
    assert stalls >= 3
    assert (await log.verify()).position == count
    await log.close()


SYNC_FAILS = """
import asyncio, os, pathlib, sys
from omnitide.store.protocol import Batch
from omnitide.store.rocksdb import open_rocksdb_log

async def main(path, order):
    log = await open_rocksdb_log(path, ballast_bytes=0)
    assert await log.append(Batch(log.epoch, 0, b"before", [b"a"])) == 1
    order.touch()
    print(await log.append(Batch(log.epoch, 1, b"during", [b"b", b"c"])), (await log.tail()).batch_id)
    order.unlink()
    print(await log.append(Batch(log.epoch, 3, b"after", [b"d"])), (await log.verify()).position)
    os._exit(0)

asyncio.run(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
"""


def run_with_failing_syncs(path: Path, library: Path) -> list[str]:
    """What the program prints, line by line."""
    order = library.with_name("order")
    done = subprocess.run(
        [sys.executable, "-c", SYNC_FAILS, str(path), str(order)],
        env=os.environ | {"LD_PRELOAD": str(library), "FAIL_SYNCS": str(order)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return done.stdout.splitlines()


async def test_a_sync_that_fails_after_the_write_is_looked_into(tmp_path: Path, failing_sync: Path) -> None:
    """The batch lies in the log file, synced or not: recovery finds it and writes it into a table that is synced."""
    assert run_with_failing_syncs(tmp_path / "log", failing_sync) == ["3 b'during'", "4 4"]
    log = await open_rocksdb_log(tmp_path / "log", ballast_bytes=0)
    assert [record.payload for record in await log.read(0)] == [b"a", b"b", b"c", b"d"]
    await log.close()
