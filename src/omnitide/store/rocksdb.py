"""The event log in an embedded RocksDB: the default, for a fabric whose control plane is one machine.

A log is a directory: `db` (RocksDB), `snapshots`, `witness` (how far was acknowledged), `ballast` (room to give back)
and `lock` (held while the log is open).
Three threads serve it, for commits, reads and snapshots; the event loop never waits for the disk. The one exception is
RocksDB itself, whose opening holds the interpreter lock while it recovers at most four write buffers.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from omnitide.store import framing
from omnitide.store.committer import Committer
from omnitide.store.disk import is_full, make_directory
from omnitide.store.protocol import (
    Batch,
    LogCorrupt,
    LogFull,
    LogIdentity,
    LogMissing,
    LogUnavailable,
    Record,
    SnapshotInfo,
    Tail,
    Trimmed,
)
from omnitide.store.reading import Reader, Walked
from omnitide.store.recovery import Recovered
from omnitide.store.rocks_handle import StorageError
from omnitide.store.snapshots import SnapshotFiles
from omnitide.store.worker import Worker

DEFAULT_BALLAST_BYTES = 64 << 20


async def open_rocksdb_log(
    path: Path, *, create: bool = True, ballast_bytes: int = DEFAULT_BALLAST_BYTES
) -> "RocksLog":
    """Open the log in directory `path` for writing: recover it, verify its end, and raise its epoch durably.

    `ballast_bytes` of the disk are set aside so that a full disk can be recovered from; 0 for none. Raises LogMissing
    (and `create` is False), LogLocked, LogCorrupt, LogFull, or LogUnavailable for any other trouble with the disk.
    """
    commits = Worker("log-commit")
    opened: list[tuple[Committer, SnapshotFiles]] = []

    def give_up() -> None:
        for committer, _ in opened:
            committer.close()

    try:
        await commits.call(lambda: opened.append(_open(path, create=create, ballast_bytes=ballast_bytes)))
    except BaseException:
        # Cancelled, the thread opens the log all the same; it must not stay locked.
        await commits.call(give_up)
        await commits.stop()
        raise
    committer, snapshots = opened[0]
    return RocksLog(committer, snapshots, commits)


class RocksLog:
    """An open log; an `EventLog`. Belongs to the event loop that opened it."""

    def __init__(self, committer: Committer, snapshots: SnapshotFiles, commits: Worker) -> None:
        self._committer = committer
        self._snapshots = snapshots
        self._reader = Reader(committer.slot)
        self._commits = commits
        self._reads = Worker("log-read")
        self._archive = Worker("log-snapshot")
        self._identity = LogIdentity(log_id=committer.recovered.log_id, format=framing.FORMAT)
        self.recovered: Recovered = committer.recovered
        """What was found when the log was opened."""

    @property
    def identity(self) -> LogIdentity:
        return self._identity

    @property
    def epoch(self) -> int:
        return self._committer.epoch

    async def append(self, batch: Batch) -> int:
        return await self._commits.call(partial(self._committer.append, batch))

    async def tail(self) -> Tail:
        await self._settle()
        return self._committer.tail

    async def first_position(self) -> int:
        await self._settle()
        return self._committer.first

    async def read(self, after: int, *, limit: int = 1000, limit_bytes: int = 4 << 20) -> list[Record]:
        if after < 0 or limit < 1:
            raise ValueError(f"read wants after >= 0 and limit >= 1, got after {after}, limit {limit}")
        if self._committer.slot.handle is None:
            # While only the last batch is unsettled, what is known to be durable can still be read.
            await self._commits.call(self._committer.ensure_open)
        first, upto = self._committer.first, self._committer.tail.position
        if after + 1 < first:
            raise Trimmed(after + 1, first)
        if after >= upto:
            return []
        try:
            return await self._reads.call(partial(self._reader.read, after, upto, limit, limit_bytes))
        except LogCorrupt:
            if after + 1 < self._committer.first:
                # Not damaged: trimmed away while it was being read.
                raise Trimmed(after + 1, self._committer.first) from None
            raise

    async def verify(self) -> Walked:
        """Read and prove every record that is kept. Raises LogCorrupt naming the first position in doubt."""
        await self._settle()
        upto = self._committer.tail.position
        done = Walked(position=self._committer.first - 1, link=None, batches=0)
        while done.position < upto:
            try:
                done = await self._reads.call(partial(self._reader.walk, done, upto))
            except LogCorrupt:
                first = self._committer.first
                if done.position + 1 >= first:
                    raise
                # Not damaged: trimmed away while it was being read.
                done = Walked(position=first - 1, link=None, batches=done.batches)
        return done

    async def save_snapshot(self, position: int, chunks: Iterable[bytes]) -> SnapshotInfo:
        upto = (await self.tail()).position
        if not 0 <= position <= upto:
            raise ValueError(f"a snapshot at {position} cannot be: the log ends at {upto}")
        return await self._archive.call(partial(self._snapshots.save, position, chunks))

    async def snapshots(self) -> list[SnapshotInfo]:
        return await self._archive.call(self._snapshots.all)

    async def load_snapshot(self, info: SnapshotInfo) -> AsyncIterator[bytes]:
        chunks = self._snapshots.chunks(info)
        try:
            while (chunk := await self._archive.call(lambda: next(chunks, None))) is not None:
                yield chunk
        finally:
            with suppress(LogUnavailable):
                await self._archive.call(chunks.close)

    async def trim(self, before: int) -> None:
        oldest = await self._archive.call(partial(self._snapshots.two_verified, before - 1))
        await self._commits.call(partial(self._committer.forget_below, before))
        await self._archive.call(partial(self._snapshots.remove_older_than, oldest.position))
        await self._archive.call(partial(self._give_back, before))

    async def close(self) -> None:
        """Finish what was begun. Everything asked of the log afterwards raises LogUnavailable."""
        await asyncio.gather(self._reads.stop(), self._archive.stop())
        with suppress(LogUnavailable):
            await self._commits.call(self._committer.close)
        await self._commits.stop()

    async def _settle(self) -> None:
        if not self._committer.settled:
            await self._commits.call(self._committer.ensure_open)

    def _give_back(self, below: int) -> None:
        with self._committer.slot.borrowed() as handle:
            if handle is not None and not handle.read_only:
                # Only room is at stake, and RocksDB will find another occasion.
                with suppress(StorageError):
                    handle.compact(below)


def _open(path: Path, *, create: bool, ballast_bytes: int) -> tuple[Committer, SnapshotFiles]:
    if not create and not (path / "witness").exists() and not (path / "db" / "CURRENT").exists():
        raise LogMissing(f"there is no log at {path}")
    try:
        make_directory(path)
        committer = Committer(path, create=create, ballast_bytes=ballast_bytes)
        try:
            snapshots = SnapshotFiles(path / "snapshots", committer.recovered.log_id)
            newest = max((info.position for info in snapshots.all() if info.verified), default=0)
            if newest > committer.tail.position:
                raise LogCorrupt(
                    committer.tail.position + 1, f"a snapshot covers records up to {newest}, they are missing"
                )
        except BaseException:
            committer.close()
            raise
    except OSError as error:
        if is_full(error):
            raise LogFull(f"no room on the disk to open the log at {path}: {error}") from error
        raise LogUnavailable(f"the log at {path} cannot be opened: {error}") from error
    return committer, snapshots
