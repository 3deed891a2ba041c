"""A disk that fills up: appends are refused with nothing written, reads go on, and room that returns is used.

On real small file systems: one in memory, and ext4 on a loop device, which run full in different places.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from omnitide.store.protocol import Batch, LogFull, Record
from omnitide.store.rocksdb import RocksLog, open_rocksdb_log

pytestmark = pytest.mark.root

BALLAST_BYTES = 4 << 20
_ids = count()


@pytest.fixture(params=["tmpfs", "ext4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(place)]
    else:
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("mkfs.ext4 is not installed")
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(32 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
        mount = ["mount", "-o", "loop", str(image), str(place)]
    if (mounted := subprocess.run(mount, capture_output=True, text=True)).returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


Opener = Callable[..., Awaitable[RocksLog]]


@pytest.fixture
async def open_log(small_disk: Path) -> AsyncIterator[Opener]:
    """Opens the log on the small disk; what is still open at the end is closed."""
    opened: list[RocksLog] = []

    async def open_and_remember(ballast_bytes: int = BALLAST_BYTES) -> RocksLog:
        opened.append(await open_rocksdb_log(small_disk / "log", ballast_bytes=ballast_bytes))
        return opened[-1]

    yield open_and_remember
    for log in opened:
        await log.close()


def room_on(disk: Path) -> int:
    state = os.statvfs(disk)
    return state.f_bavail * state.f_frsize


class Neighbour:
    """Somebody else's file on the same disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take_all(self) -> None:
        with self._path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def take_all_but(self, room: int) -> None:
        with self._path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(0, room_on(self._path.parent) - room))

    def leave(self) -> None:
        self._path.unlink()


async def append(log: RocksLog, known: list[bytes], size: int = 20_000) -> None:
    payload = os.urandom(size)
    position = await log.append(Batch(log.epoch, len(known), b"%d" % next(_ids), [payload]))
    known.append(payload)
    assert position == len(known)


async def append_until_full(log: RocksLog, known: list[bytes], size: int = 20_000) -> LogFull:
    with pytest.raises(LogFull) as refusal:
        for _ in range(10_000):
            await append(log, known, size)
    return refusal.value


async def refused_once_all_is_taken(log: RocksLog, neighbour: Neighbour, known: list[bytes], size: int) -> None:
    """Room comes back for a while by itself, and is taken as well: the log's threads delete what it has replaced, and
    ext4 gives the room of a deleted file only after the next commit of its journal."""
    for _ in range(20):
        neighbour.take_all()
        try:
            await append(log, known, size)
        except LogFull:
            return
    pytest.fail("room for each of 20 appends on a disk that others have filled each time")


async def assert_holds(log: RocksLog, known: list[bytes]) -> None:
    assert (await log.tail()).position == len(known)
    found: list[Record] = []
    while fresh := await log.read(len(found)):
        found += fresh
    assert [record.payload for record in found] == known


async def test_a_full_disk_refuses_appends_and_nothing_else(small_disk: Path, open_log: Opener) -> None:
    log = await open_log()
    neighbour = Neighbour(small_disk / "neighbour")
    known: list[bytes] = []
    for size in (20_000, 4_000, 1_000_000):
        await append(log, known, size)
        neighbour.take_all_but(3 << 20)
        refusal = await append_until_full(log, known, size)
        assert "no room" in str(refusal)
        await assert_holds(log, known)
        # Refused again and again, with the same answer and no harm.
        for _ in range(3):
            await refused_once_all_is_taken(log, neighbour, known, size)
        await assert_holds(log, known)
        neighbour.leave()
        await append(log, known, size)
        await assert_holds(log, known)
        assert (small_disk / "log" / "ballast").stat().st_blocks * 512 >= BALLAST_BYTES
    await log.close()
    again = await open_log()
    await assert_holds(again, known)
    assert (await again.verify()).position == len(known)
    await again.close()


async def test_a_log_on_a_full_disk_can_be_opened_again(small_disk: Path, open_log: Opener) -> None:
    """What the ballast is for: opening writes, and the process may be restarted just then."""
    log = await open_log()
    known: list[bytes] = []
    for _ in range(50):
        await append(log, known)
    neighbour = Neighbour(small_disk / "neighbour")
    neighbour.take_all()
    await log.close()
    again = await open_log()
    await assert_holds(again, known)
    with pytest.raises(LogFull):
        await append(again, known)
    neighbour.leave()
    await append(again, known)
    await again.close()


async def test_even_the_room_of_the_ballast_may_be_taken_by_others(small_disk: Path, open_log: Opener) -> None:
    log = await open_log()
    neighbour = Neighbour(small_disk / "neighbour")
    known: list[bytes] = []
    neighbour.take_all_but(3 << 20)
    await append_until_full(log, known)
    neighbour.take_all()
    with pytest.raises(LogFull):
        await append(log, known)
    await assert_holds(log, known)
    await log.close()
    with contextlib.suppress(LogFull):
        # Whether it opens depends on how much recovery must write; if it does, it can be read.
        again = await open_log()
        await assert_holds(again, known)
        await again.close()
    neighbour.leave()
    again = await open_log()
    await append(again, known)
    await assert_holds(again, known)
    await again.close()


async def test_a_full_disk_found_in_the_middle_with_no_ballast_leaves_the_log_readable(
    small_disk: Path, open_log: Opener
) -> None:
    log = await open_log(ballast_bytes=0)
    neighbour = Neighbour(small_disk / "neighbour")
    known: list[bytes] = []
    neighbour.take_all_but(12 << 20)
    await append_until_full(log, known, 100_000)
    neighbour.take_all()
    for _ in range(2):
        with pytest.raises(LogFull):
            await append(log, known, 100_000)
        await assert_holds(log, known)
    assert len(await log.read(0, limit=5)) == 5
    neighbour.leave()
    await append(log, known, 100_000)
    await assert_holds(log, known)
    await log.close()


async def test_a_snapshot_that_finds_no_room_leaves_no_trace(small_disk: Path, open_log: Opener) -> None:
    log = await open_log()
    known: list[bytes] = []
    await append(log, known)
    saved = await log.save_snapshot(1, [b"small"])
    Neighbour(small_disk / "neighbour").take_all_but(2 << 20)
    with pytest.raises(LogFull):
        await log.save_snapshot(1, [bytes(1 << 20)] * 8)
    assert await log.snapshots() == [saved]
    assert [each.name for each in (small_disk / "log" / "snapshots").iterdir()] == ["00000000000000000001.snapshot"]
    await append(log, known)
    await log.close()


IN_DOUBT = """
import asyncio, os, pathlib, sys
from omnitide.store.protocol import Batch, LogUnavailable
from omnitide.store.rocksdb import open_rocksdb_log

async def main(disk, order):
    log = await open_rocksdb_log(disk / "log", ballast_bytes=0)
    for position in range(40):
        await log.append(Batch(log.epoch, position, b"before", [os.urandom(20_000)]))
    with (disk / "neighbour").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            order.touch()
    for attempt in (log.append(Batch(log.epoch, 40, b"during", [b"small"])), log.tail(), log.tail()):
        try:
            print(await attempt)
        except LogUnavailable as error:
            print(type(error).__name__)
    print(len(await log.read(0, limit=100)))
    (disk / "neighbour").unlink()
    order.unlink()
    print(await log.tail())
    print(await log.append(Batch(log.epoch, 41, b"after", [b"small"])), (await log.verify()).position)
    await log.close()

asyncio.run(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
"""


def test_a_batch_that_is_only_in_memory_of_the_system_is_not_shown(small_disk: Path, failing_sync: Path) -> None:
    """The write succeeds, the sync fails, and the disk is so full that recovery cannot write the batch elsewhere."""
    order = failing_sync.with_name("order")
    done = subprocess.run(
        [sys.executable, "-c", IN_DOUBT, str(small_disk), str(order)],
        env=os.environ | {"LD_PRELOAD": str(failing_sync), "FAIL_SYNCS": str(order)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "LogUnavailable",
        "LogUnavailable",
        "LogUnavailable",
        "40",
        "Tail(position=41, batch_id=b'during')",
        "42 42",
    ]
