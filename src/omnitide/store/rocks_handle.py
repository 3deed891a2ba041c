"""An open RocksDB with a log in it: the typed, error-classifying skin over rocksdict. Knows keys, not batches.

A batch lies under the position of its last record (8 bytes, big-endian), so seeking a position finds the batch that
holds it. What else is kept lies under keys that sort behind every position: a file of batches then never overlaps an
older one, and compaction moves it down without rewriting it.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import cast

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    RdictIter,
    WriteBatch,
    WriteOptions,
)

MAX_POSITION = (1 << 62) - 1
META_LOG_ID = b"meta:log-id"
META_FORMAT = b"meta:format"
META_EPOCH = b"meta:epoch"
META_FIRST = b"meta:first"

MAX_MEMTABLES = 4
"""Write buffers before writes wait. Recovery writes them all out, so the ballast must hold them."""


class Trouble(Enum):
    """What a failed call means for the caller."""

    FULL = "full"
    CORRUPT = "corrupt"
    LOCKED = "locked"
    STALLED = "stalled"
    OTHER = "other"


class StorageError(Exception):
    """RocksDB or the operating system refused. `trouble` says which way out there is."""

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


class Recovery(Enum):
    """What to make of a damaged write-ahead log when opening."""

    EXACT = "exact"
    """Refuse to open."""
    PREFIX = "prefix"
    """What lies before the damage."""
    SALVAGE = "salvage"
    """What lies before and behind the damage."""


def position_key(position: int) -> bytes:
    return position.to_bytes(8, "big")


class Handle:
    """One open database. Only the commit thread writes and closes; any thread reads."""

    def __init__(self, path: Path, recovery: Recovery, write_buffer_bytes: int, *, read_only: bool = False) -> None:
        """Opens, or creates unless `read_only`. Raises StorageError."""
        access = AccessType.read_only(error_if_log_file_exist=False) if read_only else AccessType.read_write()
        self.read_only = read_only
        with _classified():
            self._db = Rdict(str(path), _options(recovery, write_buffer_bytes), access_type=access)
        self._write_options = WriteOptions()
        # A stalled write would hold the interpreter lock. It fails at once instead, and the commit thread waits.
        self._write_options.no_slowdown = True

    def get(self, key: bytes) -> bytes | None:
        with _classified():
            return cast("bytes | None", self._db.get(key))

    def entries(self, position: int) -> Generator[tuple[int, bytes]]:
        """(last position, value) of the batch that holds `position` and of those after it. Close it after use."""
        return self._walk(position_key(position), backwards=False)

    def entries_backwards(self) -> Generator[tuple[int, bytes]]:
        """The same from the end of the log. Close it after use."""
        return self._walk(position_key(MAX_POSITION), backwards=True)

    def write(self, *entries: tuple[bytes, bytes], forget_below: int = 0) -> None:
        """Hand entries to the operating system, not yet to the disk, and drop the batches that end below a position.

        All of it or nothing. Holds the interpreter lock.
        """
        # Made anew for each attempt: rocksdict consumes a batch even if the write is refused.
        batch = WriteBatch(raw_mode=True)
        for key, value in entries:
            batch.put(key, value)
        if forget_below:
            batch.delete_range(position_key(0), position_key(forget_below))
        with _classified():
            self._db.write(batch, self._write_options)

    def sync(self) -> None:
        """Wait until all that was written is on the disk. Lets the interpreter run meanwhile."""
        with _classified():
            self._db.flush_wal(sync=True)

    def compact(self, below: int) -> None:
        """Give back the room of what was deleted below a position. Takes time in proportion to what is there."""
        with _classified():
            self._db.compact_range(position_key(0), position_key(below))

    def cancel_background(self) -> None:
        self._db.cancel_all_background(False)

    def close(self) -> None:
        """Never raises: after a failed write RocksDB reports the same error again on closing."""
        try:
            self._db.close()
        except Exception:
            return

    def _walk(self, start: bytes, *, backwards: bool) -> Generator[tuple[int, bytes]]:
        with _classified():
            cursor: RdictIter | None = self._db.iter()
        try:
            with _classified():
                cursor.seek_for_prev(start) if backwards else cursor.seek(start)
            while True:
                with _classified():
                    if not cursor.valid():
                        cursor.status()
                        return
                    key = cast("bytes", cursor.key())
                    value = cast("bytes", cursor.value())
                if len(key) != 8:
                    return
                yield int.from_bytes(key, "big"), value
                with _classified():
                    cursor.prev() if backwards else cursor.next()
        finally:
            # A cursor keeps the database open, and a traceback keeps this frame: let go here.
            cursor = None


class Slot:
    """Holds the current handle while readers use it and the commit thread replaces it."""

    def __init__(self) -> None:
        self.handle: Handle | None = None
        self._changed = threading.Condition()
        self._readers = 0

    @contextmanager
    def borrowed(self) -> Generator[Handle | None]:
        """The handle, which stays open as long as the context."""
        with self._changed:
            handle = self.handle
            self._readers += 1
        try:
            yield handle
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    def retire(self) -> None:
        """Close the handle, after the last reader (whose work is bounded) has left it."""
        with self._changed:
            if self.handle is None:
                return
            self.handle.cancel_background()
            self._changed.wait_for(lambda: self._readers == 0)
            self.handle.close()
            self.handle = None


def _options(recovery: Recovery, write_buffer_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_paranoid_checks(True)
    options.set_wal_recovery_mode(
        {
            Recovery.EXACT: DBRecoveryMode.absolute_consistency,
            Recovery.PREFIX: DBRecoveryMode.point_in_time,
            Recovery.SALVAGE: DBRecoveryMode.skip_any_corrupted_record,
        }[recovery]()
    )
    # Reused log files would make an old record behind a torn one look like damage.
    options.set_recycle_log_file_num(0)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(MAX_MEMTABLES)
    options.set_max_background_jobs(2)
    options.set_level_zero_slowdown_writes_trigger(40)
    options.set_level_zero_stop_writes_trigger(64)
    # One compression for all levels: files can then be moved down as they are.
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_open_files(256)
    options.set_manifest_preallocation_size(64 << 10)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(3)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(4 << 20))
    table.set_block_size(16 << 10)
    options.set_block_based_table_factory(table)
    return options


@contextmanager
def _classified() -> Generator[None]:
    """rocksdict raises plain Exception with RocksDB's status as text: make it a StorageError."""
    try:
        yield
    except DbClosedError as error:
        raise StorageError(Trouble.OTHER, "the store is closed") from error
    except StorageError:
        raise
    except Exception as error:
        text = str(error)
        raise StorageError(_trouble(text), text) from error


def _trouble(text: str) -> Trouble:
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return Trouble.FULL
    if text.startswith("Corruption:"):
        return Trouble.CORRUPT
    if "/LOCK:" in text:
        return Trouble.LOCKED
    if "Write stall" in text:
        return Trouble.STALLED
    return Trouble.OTHER
