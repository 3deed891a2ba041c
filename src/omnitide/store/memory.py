"""The event log in memory, for the simulation: what the protocol says, without threads, clock or chance of its own.

`MemoryStorage` is the disk, `MemoryLog` a writer that has it open. A crash is told apart from a clean stop: what was
appended but not yet durable may or may not be there afterwards, as the given random generator decides.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from enum import Enum
from random import Random

from omnitide.store.framing import FORMAT, check_batch
from omnitide.store.protocol import (
    AppendFailed,
    Batch,
    LogCorrupt,
    LogFull,
    LogIdentity,
    LogMissing,
    LogUnavailable,
    Record,
    SnapshotInfo,
    StaleEpoch,
    Tail,
    Trimmed,
    TrimRefused,
    WrongPosition,
)
from omnitide.store.snapshots import check_chunk

BeforeDurable = Callable[[Batch], Awaitable[None]]
"""Awaited between the write of a batch and its durability; what it raises fails the append, with nothing written."""


class AppendFault(Enum):
    """How an append fails on purpose."""

    FULL = "full"
    """LogFull; nothing is written."""
    FAILED = "failed"
    """AppendFailed; nothing is written."""
    UNKNOWN_LOST = "unknown-lost"
    """LogUnavailable, and nothing was written."""
    UNKNOWN_APPLIED = "unknown-applied"
    """LogUnavailable, although the batch is durable."""


class MemoryStorage:
    """What survives a crash, and the one batch that may or may not."""

    def __init__(self, log_id: str = "00000000000000000000000000000000") -> None:
        self.log_id = log_id
        self.epoch = 0
        self.first = 1
        self.tail = Tail(position=0, batch_id=b"")
        self.full = False
        """While set, every append is refused with LogFull."""
        self.snapshots: dict[int, tuple[SnapshotInfo, tuple[bytes, ...]]] = {}
        self._records: deque[bytes] = deque()
        self._staged: Batch | None = None

    def check(self, batch: Batch) -> None:
        """Raises StaleEpoch, WrongPosition, InvalidBatch or LogFull."""
        if batch.epoch != self.epoch:
            raise StaleEpoch(batch.epoch, self.epoch)
        if batch.expected_position != self.tail.position:
            raise WrongPosition(batch.expected_position, self.tail.position)
        check_batch(batch)
        if self.full:
            raise LogFull("no room in the simulated storage")

    def stage(self, batch: Batch) -> None:
        """Hold a batch that is written and not yet durable."""
        self._staged = batch

    def unstage(self, batch: Batch) -> None:
        if self._staged is batch:
            self._staged = None

    def apply(self, batch: Batch) -> int:
        """Make a batch durable."""
        self._records.extend(batch.payloads)
        self.tail = Tail(position=self.tail.position + len(batch.payloads), batch_id=batch.batch_id)
        return self.tail.position

    def settle(self, rng: Random | None) -> None:
        """What a crash does: the staged batch is lost, or with `rng` durable half of the time."""
        staged, self._staged = self._staged, None
        if staged is not None and rng is not None and rng.random() < 0.5:
            self.apply(staged)

    def records(self, after: int, limit: int, limit_bytes: int) -> list[Record]:
        """As `EventLog.read`, for a position that is kept."""
        found: list[Record] = []
        size = 0
        for position in range(after + 1, self.tail.position + 1):
            payload = self._records[position - self.first]
            if found and (len(found) >= limit or size + len(payload) > limit_bytes):
                break
            found.append(Record(position, payload))
            size += len(payload)
        return found

    def forget_below(self, before: int) -> None:
        for _ in range(self.first, before):
            self._records.popleft()
        self.first = max(self.first, before)


async def open_memory_log(
    storage: MemoryStorage | None = None, *, before_durable: BeforeDurable | None = None
) -> "MemoryLog":
    """Open `storage` (a new one by default) for writing and raise its epoch; an earlier writer becomes stale."""
    return MemoryLog(storage or MemoryStorage(), before_durable)


class MemoryLog:
    """An open log; an `EventLog`. Deterministic: it waits for nothing but `before_durable`."""

    def __init__(self, storage: MemoryStorage, before_durable: BeforeDurable | None = None) -> None:
        storage.epoch += 1
        self.storage = storage
        self._epoch = storage.epoch
        self._before_durable = before_durable
        self._faults: deque[AppendFault] = deque()
        self._one_append = asyncio.Lock()
        self._open = True

    @property
    def identity(self) -> LogIdentity:
        return LogIdentity(log_id=self.storage.log_id, format=FORMAT)

    @property
    def epoch(self) -> int:
        return self._epoch

    def fail_appends(self, *faults: AppendFault) -> None:
        """Let the next appends that pass their checks fail, one for each fault, in order."""
        self._faults.extend(faults)

    def crash(self, rng: Random | None = None) -> "MemoryLog":
        """Lose power and open again: the log with what was durable and, if `rng` says so, the batch in flight.

        Everything asked of this object from now on raises LogUnavailable, an append in flight too.
        """
        self._open = False
        self.storage.settle(rng)
        return MemoryLog(self.storage, self._before_durable)

    async def append(self, batch: Batch) -> int:
        async with self._one_append:
            self._check_open()
            self.storage.check(batch)
            fault = self._faults.popleft() if self._faults else None
            if fault is AppendFault.FULL:
                raise LogFull("no room, by injected fault")
            if fault is AppendFault.FAILED:
                raise AppendFailed("the store refused the write, by injected fault")
            await self._until_durable(batch)
            if fault is AppendFault.UNKNOWN_LOST:
                raise LogUnavailable("the outcome is unknown, by injected fault")
            position = self.storage.apply(batch)
            if fault is AppendFault.UNKNOWN_APPLIED:
                raise LogUnavailable("the outcome is unknown, by injected fault")
            return position

    async def tail(self) -> Tail:
        self._check_open()
        return self.storage.tail

    async def first_position(self) -> int:
        self._check_open()
        return self.storage.first

    async def read(self, after: int, *, limit: int = 1000, limit_bytes: int = 4 << 20) -> list[Record]:
        self._check_open()
        if after < 0 or limit < 1:
            raise ValueError(f"read wants after >= 0 and limit >= 1, got after {after}, limit {limit}")
        if after + 1 < self.storage.first:
            raise Trimmed(after + 1, self.storage.first)
        return self.storage.records(after, limit, limit_bytes)

    async def save_snapshot(self, position: int, chunks: Iterable[bytes]) -> SnapshotInfo:
        self._check_open()
        if not 0 <= position <= self.storage.tail.position:
            raise ValueError(f"a snapshot at {position} cannot be: the log ends at {self.storage.tail.position}")
        kept: list[bytes] = []
        for chunk in chunks:
            check_chunk(chunk)
            kept.append(bytes(chunk))
        info = SnapshotInfo(position=position, size_bytes=sum(map(len, kept)), digest=_digest(kept), verified=True)
        self.storage.snapshots[position] = (info, tuple(kept))
        return info

    async def snapshots(self) -> list[SnapshotInfo]:
        self._check_open()
        return [self.storage.snapshots[position][0] for position in sorted(self.storage.snapshots, reverse=True)]

    async def load_snapshot(self, info: SnapshotInfo) -> AsyncIterator[bytes]:
        self._check_open()
        if info.position not in self.storage.snapshots:
            raise LogMissing(f"there is no snapshot at position {info.position}")
        _, chunks = self.storage.snapshots[info.position]
        for chunk in chunks:
            yield chunk
        if _digest(chunks) != info.digest:
            raise LogCorrupt(info.position, "the contents of the snapshot do not match their digest")

    async def trim(self, before: int) -> None:
        self._check_open()
        covering = [info for info in await self.snapshots() if info.verified and info.position >= before - 1]
        if len(covering) < 2:
            message = f"two verified snapshots at {before - 1} or above are needed, there are {len(covering)}"
            raise TrimRefused(message)
        self.storage.forget_below(before)
        for position in [each for each in self.storage.snapshots if each < covering[1].position]:
            del self.storage.snapshots[position]

    async def close(self) -> None:
        """Everything asked of the log afterwards raises LogUnavailable."""
        async with self._one_append:
            self._open = False

    async def _until_durable(self, batch: Batch) -> None:
        if self._before_durable is None:
            return
        self.storage.stage(batch)
        try:
            await self._before_durable(batch)
        finally:
            self.storage.unstage(batch)
        self._check_open()
        # Another writer may have opened the storage meanwhile.
        self.storage.check(batch)

    def _check_open(self) -> None:
        if not self._open:
            raise LogUnavailable("the log is closed")


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
