"""The writing side of the RocksDB log: everything that its commit thread does, one call at a time.

An append writes one entry without sync and then syncs the write-ahead log, which lets the interpreter run meanwhile.
When either fails, the outcome is unknown; the store is reopened and its end read, and then it is known. What recovery
finds has been rewritten into a synced table by then, so a batch that is found is durable.
"""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from omnitide.store import framing
from omnitide.store.ballast import Ballast
from omnitide.store.disk import take_lock
from omnitide.store.protocol import (
    AppendFailed,
    Batch,
    LogCorrupt,
    LogError,
    LogFull,
    LogLocked,
    LogMissing,
    LogUnavailable,
    StaleEpoch,
    Tail,
    WrongPosition,
)
from omnitide.store.recovery import Recovered, create_log, look, open_found
from omnitide.store.rocks_handle import (
    MAX_MEMTABLES,
    META_EPOCH,
    META_FIRST,
    Handle,
    Slot,
    StorageError,
    Trouble,
    position_key,
)
from omnitide.store.witness import Witness, Witnessed

MAX_WRITE_BUFFER_BYTES = 8 << 20
MIN_WRITE_BUFFER_BYTES = 256 << 10
STALL_SECONDS = 30.0
"""How long an append waits for RocksDB to write out its buffers before it fails."""


class Committer:
    """Owns the database, the witness and the ballast of one log directory. Used by one thread, but for what is said."""

    def __init__(self, path: Path, *, create: bool, ballast_bytes: int) -> None:
        """Opens the log and raises its epoch durably. Raises as `open_rocksdb_log` says."""
        self._database = path / "db"
        # Recovery writes out all write buffers, so together they must fit into the ballast with room to spare.
        fitting = ballast_bytes // (2 * MAX_MEMTABLES) if ballast_bytes else MAX_WRITE_BUFFER_BYTES
        self._write_buffer_bytes = min(MAX_WRITE_BUFFER_BYTES, max(MIN_WRITE_BUFFER_BYTES, fitting))
        self._ballast = Ballast(path / "ballast", ballast_bytes)
        self._crowded = False
        self._doubt = False
        self._closed = False
        self.slot = Slot()
        """May be borrowed from any thread."""
        lock = take_lock(path / "lock")
        if lock is None:
            raise _locked(path)
        self._lock = lock
        try:
            self._witness = Witness(path / "witness")
        except BaseException:
            os.close(lock)
            raise
        try:
            self._crowded = not self._restore_ballast()
            self.recovered = self._open(create=create)
            self.tail = Tail(position=self.recovered.position, batch_id=self.recovered.batch_id)
            """The durable end. May be read from any thread."""
            self.first = self.recovered.first
            """May be read from any thread."""
            self._link = self.recovered.link
            self.epoch = 0
            self._raise_epoch()
        except BaseException:
            self.close()
            raise

    def append(self, batch: Batch) -> int:
        """As `EventLog.append`."""
        self.ensure_open()
        if batch.epoch != self.epoch:
            raise StaleEpoch(batch.epoch, self.epoch)
        if batch.expected_position != self.tail.position:
            raise WrongPosition(batch.expected_position, self.tail.position)
        framing.check_batch(batch)
        self._regain_room()
        first = self.tail.position + 1
        last = self.tail.position + len(batch.payloads)
        value, link = framing.encode(first, self.epoch, batch.batch_id, batch.payloads, self._link)
        try:
            self._write_and_sync((position_key(last), value))
        except StorageError as error:
            return self._find_out(batch, error)
        self.tail = Tail(position=last, batch_id=batch.batch_id)
        self._link = link
        self._note()
        return last

    def forget_below(self, before: int) -> None:
        """Delete what `EventLog.trim` may delete. The last batch stays on the disk, to tell where the log ends."""
        self.ensure_open()
        if before <= self.first:
            return
        # Readers must call these records trimmed, not missing, from before they go.
        was, self.first = self.first, before
        try:
            # Not refused for want of room: this is what gives room.
            self._write_and_sync((META_FIRST, str(before).encode()), forget_below=min(before, self.tail.position))
        except LogFull:
            self.first = was
            raise
        except StorageError as error:
            self._reopen(error)
            if self.first != before:
                raise _refused(error) from error

    @property
    def settled(self) -> bool:
        """Whether the log is open and its end known. May be asked from any thread."""
        return self.slot.handle is not None and not self._doubt

    def ensure_open(self) -> None:
        """Settle what an earlier failure left open. Raises LogUnavailable if that still fails."""
        if not self.settled:
            self._reopen(None)
            if self._doubt:
                raise LogUnavailable("the disk is full, and whether the last batch is durable shows when there is room")

    def close(self) -> None:
        """Never raises: all that was acknowledged is durable already. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.slot.retire()
        with suppress(OSError):
            self._witness.sync()
        self._witness.close()
        os.close(self._lock)

    def _open(self, *, create: bool) -> Recovered:
        """Fill the slot. On a full disk the ballast goes first; if even that is too little, for reading only."""
        try:
            return self._look_and_open(create=create)
        except StorageError as error:
            if error.trouble is Trouble.FULL:
                raise LogFull(f"no room on the disk: {error}") from error
            if error.trouble is Trouble.CORRUPT:
                raise LogCorrupt(0, str(error)) from error
            if error.trouble is Trouble.LOCKED:
                raise _locked(self._database) from error
            raise LogUnavailable(f"the log at {self._database.parent} cannot be opened: {error}") from error

    def _look_and_open(self, *, create: bool) -> Recovered:
        try:
            found = look(self._database, self._write_buffer_bytes, self._witness.last)
        except LogMissing:
            if not create:
                raise
            self.slot.handle, found = create_log(self._database, self._write_buffer_bytes, secrets.token_hex(16))
            return found
        try:
            self.slot.handle = open_found(self._database, self._write_buffer_bytes, found)
        except StorageError as error:
            if error.trouble is not Trouble.FULL:
                raise
            self._give_way()
            try:
                self.slot.handle = open_found(self._database, self._write_buffer_bytes, found)
            except StorageError as again:
                if again.trouble is not Trouble.FULL:
                    raise
                self.slot.handle = open_found(self._database, self._write_buffer_bytes, found, read_only=True)
        return found

    def _raise_epoch(self) -> None:
        """Grant a new epoch to this writer, durably."""
        try:
            self._write_epoch()
        except StorageError as error:
            if error.trouble is not Trouble.FULL or self._crowded:
                raise _refused(error) from error
            self.slot.retire()
            self._give_way()
            self.recovered = self._open(create=False)
            try:
                self._write_epoch()
            except StorageError as again:
                raise _refused(again) from again
        self._note()
        try:
            self._witness.sync()
        except OSError as error:
            raise LogUnavailable(f"the witness cannot be synced: {error}") from error

    def _write_epoch(self) -> None:
        self.epoch = self.recovered.epoch + 1
        self._write_and_sync((META_EPOCH, str(self.epoch).encode()))

    def _writable(self) -> Handle:
        handle = self.slot.handle
        if handle is None:
            raise LogUnavailable("the log is not open")
        if handle.read_only:
            raise LogFull("the disk is so full that the log could only be opened for reading")
        return handle

    def _write_and_sync(self, entry: tuple[bytes, bytes], *, forget_below: int = 0) -> None:
        """Raises StorageError, or LogFull if the log is open for reading only."""
        handle = self._writable()
        deadline = time.monotonic() + STALL_SECONDS
        while True:
            try:
                handle.write(entry, forget_below=forget_below)
                break
            except StorageError as error:
                if error.trouble is not Trouble.STALLED or time.monotonic() > deadline:
                    raise
            time.sleep(0.002)
        handle.sync()

    def _find_out(self, batch: Batch, error: StorageError) -> int:
        """After a failed append: the position if it is in the log all the same, else raises what is true."""
        if error.trouble is Trouble.STALLED:
            raise AppendFailed(f"the disk did not keep up for {STALL_SECONDS:.0f} s: {error}") from error
        before = self.tail
        found = self._reopen(error)
        if found.position == before.position:
            raise _refused(error) from error
        last = batch.expected_position + len(batch.payloads)
        if not self._doubt and found.position == last and found.batch_id == batch.batch_id:
            return last
        raise LogUnavailable(f"the append failed ({error}) and its outcome is not known") from error

    def _reopen(self, cause: StorageError | None) -> Recovered:
        """Close and recover. Raises LogUnavailable, LogCorrupt, LogLocked or StaleEpoch, and then stays closed."""
        self.slot.retire()
        if cause is not None and cause.trouble is Trouble.FULL:
            self._give_way()
        try:
            found = self._open(create=False)
            if found.epoch != self.epoch:
                raise StaleEpoch(self.epoch, found.epoch)
        except LogError as error:
            self.slot.retire()
            if isinstance(error, LogCorrupt | LogLocked | StaleEpoch):
                raise
            raise LogUnavailable(f"the log could not be opened again: {error}") from error
        handle = self.slot.handle
        # What only a read-only look finds may lie in the page cache and not on the disk: not shown until it does.
        self._doubt = found.position != self.tail.position and (handle is None or handle.read_only)
        if not self._doubt:
            self.recovered = found
            self.tail = Tail(position=found.position, batch_id=found.batch_id)
            self.first = found.first
            self._link = found.link
            self._note()
        return found

    def _give_way(self) -> None:
        self._crowded = True
        self._ballast.release()

    def _restore_ballast(self) -> bool:
        try:
            return self._ballast.restore()
        except OSError as error:
            raise LogUnavailable(f"the ballast file cannot be written: {error}") from error

    def _regain_room(self) -> None:
        """Accept appends only while the ballast is there, so that there is always a way out of a full disk."""
        if not self._crowded:
            return
        if not self._restore_ballast():
            raise LogFull(f"no room on the disk; appends go on once {self._ballast.size} bytes are free")
        self._crowded = False
        handle = self.slot.handle
        if handle is not None and handle.read_only:
            self._reopen(None)
            # That may have cost the ballast again.
            if self._crowded:
                raise LogFull("no room on the disk; what was freed was not enough to open the log for writing")

    def _note(self) -> None:
        log_id = self.recovered.log_id
        state = Witnessed(log_id=log_id, epoch=self.epoch, position=self.tail.position, link=self._link)
        try:
            self._witness.note(state)
        except OSError:
            # The record is durable without it. The next note tries again; a witness that lags accuses nobody.
            return


def _locked(path: Path) -> LogLocked:
    return LogLocked(f"the log at {path} is open already, in another process or in this one")


def _refused(error: StorageError) -> AppendFailed:
    if error.trouble is Trouble.FULL:
        return LogFull(f"no room on the disk: {error}")
    return AppendFailed(f"the store refused the write: {error}")
