"""What the engine asks of an event log, whoever keeps it (RocksDB, memory, later PostgreSQL).

A log is one stream of records at consecutive positions 1, 2, 3, ... . A record is opaque bytes (one decided command
with its events). Only one writer is accepted at a time: opening a log for writing raises its epoch, and an append that
carries an older epoch is refused by the log itself (law 3). All methods are asynchronous; an implementation may block
a thread of its own, never the event loop.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

MAX_BATCH_RECORDS = 65_536
MAX_BATCH_BYTES = 16 << 20
"""Bound on the payloads of one batch together, in bytes."""
MAX_BATCH_ID_BYTES = 64
MAX_CHUNK_BYTES = 4 << 20
"""Bound on one chunk of a snapshot, in bytes."""


class Record(NamedTuple):
    """One record as it was appended."""

    position: int
    payload: bytes


class Batch(msgspec.Struct, frozen=True):
    """Records that become durable together or not at all.

    `batch_id` is unique to this attempt: after an append with unknown outcome the writer reopens the log and finds
    the id at the tail, or does not (DESIGN, "Unknown outcome").
    """

    epoch: int
    expected_position: int
    """Position of the last record that the writer knows of; 0 for an empty log. The batch starts one above."""
    batch_id: bytes
    """1 to MAX_BATCH_ID_BYTES bytes."""
    payloads: Sequence[bytes]
    """1 to MAX_BATCH_RECORDS records of MAX_BATCH_BYTES together."""


class LogIdentity(msgspec.Struct, frozen=True):
    log_id: str
    """Incarnation: new at bootstrap and at restore. Revisions compare only within one."""
    format: int
    """Version of the on-disk format."""


class Tail(msgspec.Struct, frozen=True):
    """The end of the log."""

    position: int
    batch_id: bytes
    """Id of the last durable batch; empty for an empty log."""


class SnapshotInfo(msgspec.Struct, frozen=True):
    """A stored, complete snapshot of the fold up to and including `position`."""

    position: int
    size_bytes: int
    digest: str
    """`sha256:<hex>` over the chunks in order."""
    verified: bool
    """True once it has been read back whole and its digest matched."""


class LogError(Exception):
    """Base of all that a log raises."""


class WrongPosition(LogError):
    """The log is not where the writer thinks it is: nothing was written."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"append expected the log at position {expected}, it is at {actual}")
        self.expected = expected
        self.actual = actual


class StaleEpoch(LogError):
    """Another writer has taken over: nothing was written and this writer must stop."""

    def __init__(self, epoch: int, current: int) -> None:
        super().__init__(f"append with epoch {epoch}, but epoch {current} owns the log")
        self.epoch = epoch
        self.current = current


class InvalidBatch(LogError):
    """The batch is outside the protocol's bounds: nothing was written, and it never will be."""


class AppendFailed(LogError):
    """The storage failed, and what it holds was looked at since: nothing of the batch is in it."""


class LogFull(AppendFailed):
    """No room on the disk: nothing was written; reads go on; appends succeed again once there is room."""


class LogUnavailable(LogError):
    """An append's outcome is unknown, or the log cannot be reached. Ask `tail`: it reopens, or raises this again."""


class LogCorrupt(LogError):
    """A record or snapshot fails its checksum or chain. Says where; never repaired in silence.

    `position` is the first record that cannot be trusted (of a snapshot: the position it was taken at); 0 means the
    store as a whole.
    """

    def __init__(self, position: int, detail: str) -> None:
        super().__init__(f"log damaged at position {position}: {detail}")
        self.position = position
        self.detail = detail


class LogLocked(LogError):
    """Another process holds the log open."""


class LogMissing(LogError):
    """There is no log, or no such snapshot, where it was looked for."""


class Trimmed(LogError):
    """The position asked for is no longer kept; `first` is the oldest that is."""

    def __init__(self, position: int, first: int) -> None:
        super().__init__(f"position {position} is no longer kept; the oldest kept is {first}")
        self.position = position
        self.first = first


class TrimRefused(LogError):
    """Fewer than two verified snapshots cover all that would be forgotten (see `EventLog.trim`)."""


class EventLog(Protocol):
    """An open log. Made by an implementation's own `open` function, which recovers and checks it."""

    @property
    def identity(self) -> LogIdentity: ...

    @property
    def epoch(self) -> int:
        """The epoch granted to this writer when it opened the log."""
        ...

    async def append(self, batch: Batch) -> int:
        """Make the batch durable; returns the position of its last record. One call in flight at a time.

        Raises StaleEpoch, WrongPosition (checked in this order), InvalidBatch, LogFull, AppendFailed (nothing written)
        or LogUnavailable (outcome unknown). A call that is cancelled has an unknown outcome too.
        """
        ...

    async def tail(self) -> Tail:
        """The end of what is durable. After LogUnavailable this reopens the log and says what became of the batch."""
        ...

    async def first_position(self) -> int:
        """Oldest record still kept (1 if never trimmed; tail + 1 if none is kept)."""
        ...

    async def read(self, after: int, *, limit: int = 1000, limit_bytes: int = 4 << 20) -> list[Record]:
        """Records with position > `after`, in order: at least one if there is any, about `limit_bytes` at most.

        Only durable records are shown; `after` at or beyond the tail gives none. Raises Trimmed if `after + 1` is
        below the first kept position, LogCorrupt if a checksum fails.
        """
        ...

    async def save_snapshot(self, position: int, chunks: Iterable[bytes]) -> SnapshotInfo:
        """Store a snapshot and read it back; visible only when complete. Chunks are at most MAX_CHUNK_BYTES each.

        The chunks may be drawn in another thread, so they must come from data that no longer changes. A crash half-way
        leaves no visible snapshot and its remains are removed at the next open. A second one at a position replaces
        the first. Raises ValueError for a position beyond the tail or a chunk too large, LogFull, LogCorrupt if what
        is read back differs.
        """
        ...

    async def snapshots(self) -> list[SnapshotInfo]:
        """Complete snapshots, newest first."""
        ...

    def load_snapshot(self, info: SnapshotInfo) -> AsyncIterator[bytes]:
        """The chunks as they were saved. Raises LogMissing, or LogCorrupt if the digest does not match at the end."""
        ...

    async def trim(self, before: int) -> None:
        """Forget records below `before`, and snapshots older than the two newest verified ones.

        Two snapshots at positions of at least `before - 1` must read back whole now, else TrimRefused.
        """
        ...

    async def close(self) -> None: ...
