"""Opening a log that was left in whatever state, and proving that nothing acknowledged is missing from it.

RocksDB's write-ahead log holds what is not yet in tables. A process killed or a machine cut off in the middle of an
append leaves its end torn, and that is no loss: nobody was told that the batch was durable. Damage to what was synced
looks much the same, and that must be refused. What tells them apart:

* The log is first looked at without writing, because RocksDB drops by its own judgement, and deletes, what it does not
  understand. A log that is refused is left as it was found.
* If the write-ahead log is not whole to its end, it is read up to the damage, and again skipping over it. Records
  behind the damage mean that it lies in the middle: refused. So does a witness that saw more acknowledged than lies
  before the damage. Otherwise only the last batch is torn, and the log opens without it.
* In any case the end of the log must carry the newest acknowledged batch that the witness saw, and the last batches
  must be whole and linked to one another. `verify` on the open log walks all of it.

One case cannot be told from a torn tail: the power fails, and the very last batch was synced but is damaged, and the
witness of it did not reach the disk. The device would have to break its promise about the sync at that moment.
"""

from contextlib import closing
from pathlib import Path

import msgspec

from omnitide.store import framing
from omnitide.store.disk import sync_directory
from omnitide.store.protocol import LogCorrupt, LogMissing, LogUnavailable
from omnitide.store.rocks_handle import (
    META_EPOCH,
    META_FIRST,
    META_FORMAT,
    META_LOG_ID,
    Handle,
    Recovery,
    StorageError,
    Trouble,
)
from omnitide.store.witness import Witnessed

WINDOW_BATCHES = 4096
WINDOW_BYTES = 32 << 20
"""How much of the end is verified at each open: the first of the two bounds that is reached."""


class Recovered(msgspec.Struct, frozen=True):
    """What an open log was found to hold."""

    log_id: str
    epoch: int
    first: int
    position: int
    batch_id: bytes
    link: bytes
    torn_tail: bool
    """The end of the write-ahead log was damaged or cut, and what was dropped had not been acknowledged."""
    verified_from: int
    """Batches from this position on were verified."""


def look(path: Path, write_buffer_bytes: int, witnessed: Witnessed | None) -> Recovered:
    """What the database at `path` holds, found without writing to it.

    Raises LogMissing if it is no log yet, LogCorrupt if it is damaged or holds less than was acknowledged,
    LogUnavailable if it is of a later version's format, and StorageError for any other trouble with reading it.
    """
    if not (path / "CURRENT").exists():
        raise _nothing_there(witnessed)
    torn = False
    try:
        handle = Handle(path, Recovery.EXACT, write_buffer_bytes, read_only=True)
    except StorageError as error:
        if error.trouble is not Trouble.CORRUPT:
            raise
        _judge_damage(path, write_buffer_bytes, str(error))
        torn = True
        handle = Handle(path, Recovery.PREFIX, write_buffer_bytes, read_only=True)
    try:
        return _examine(handle, witnessed, torn_tail=torn)
    finally:
        handle.close()


def open_found(path: Path, write_buffer_bytes: int, found: Recovered, *, read_only: bool = False) -> Handle:
    """Open what `look` found. Raises StorageError, or LogCorrupt if it is not that."""
    recovery = Recovery.PREFIX if found.torn_tail else Recovery.EXACT
    handle = Handle(path, recovery, write_buffer_bytes, read_only=read_only)
    try:
        position = _last_key(handle)
        if position != found.position:
            raise LogCorrupt(min(position, found.position) + 1, f"opened, it ends at {position}, not {found.position}")
    except BaseException:
        handle.close()
        raise
    return handle


def create_log(path: Path, write_buffer_bytes: int, log_id: str) -> tuple[Handle, Recovered]:
    """Make a log where `look` found none. Durable on return, with its name. Raises StorageError, OSError."""
    # What a creation that was cut short has left may be torn, and holds nothing.
    handle = Handle(path, Recovery.PREFIX, write_buffer_bytes)
    try:
        form = str(framing.FORMAT).encode()
        handle.write((META_LOG_ID, log_id.encode()), (META_FORMAT, form), (META_EPOCH, b"0"), (META_FIRST, b"1"))
        handle.sync()
        sync_directory(path.parent)
        return handle, _examine(handle, None, torn_tail=False)
    except BaseException:
        handle.close()
        raise


def _examine(handle: Handle, witnessed: Witnessed | None, *, torn_tail: bool) -> Recovered:
    log_id = handle.get(META_LOG_ID)
    if log_id is None:
        if _last_key(handle) != 0:
            raise LogCorrupt(0, "the store holds records, but not the identity of their log")
        raise _nothing_there(witnessed)
    written = int(handle.get(META_FORMAT) or b"0")
    if written != framing.FORMAT:
        raise LogUnavailable(f"the log has format {written}, this version of omnitide reads format {framing.FORMAT}")
    first = int(handle.get(META_FIRST) or b"1")
    last, verified_from = _verify_end(handle, first, witnessed)
    position = last.last if last else 0
    if witnessed is not None:
        _compare(witnessed, log_id.decode(), position, int(handle.get(META_EPOCH) or b"0"))
    if first > position + 1:
        raise LogCorrupt(position + 1, f"the log was trimmed up to {first - 1}, its last record is {position}")
    return Recovered(
        log_id=log_id.decode(),
        epoch=int(handle.get(META_EPOCH) or b"0"),
        first=first,
        position=position,
        batch_id=last.batch_id if last else b"",
        link=last.link if last else framing.FIRST_LINK,
        torn_tail=torn_tail,
        verified_from=verified_from,
    )


def decode_at(key: int, value: bytes, suspect: int) -> framing.Frame:
    """The batch that lies under `key`. Raises LogCorrupt naming `suspect`, the first position that is in doubt."""
    try:
        frame = framing.decode(value)
    except framing.Damaged as error:
        raise LogCorrupt(suspect, f"the batch that ends at {key} is damaged: {error}") from error
    if frame.last != key:
        raise LogCorrupt(suspect, f"the batch {frame.first} to {frame.last} lies under position {key}")
    return frame


def _verify_end(handle: Handle, first: int, witnessed: Witnessed | None) -> tuple[framing.Frame | None, int]:
    """The last batch, and from where on the log was verified."""
    newest: framing.Frame | None = None
    later: framing.Frame | None = None
    size = count = 0
    try:
        with closing(handle.entries_backwards()) as entries:
            for key, value in entries:
                frame = decode_at(key, value, suspect=key)
                if later is not None and frame.last + 1 != later.first:
                    raise LogCorrupt(frame.last + 1, f"records {frame.last + 1} to {later.first - 1} are missing")
                if later is not None and frame.link != later.previous_link:
                    raise LogCorrupt(later.first, "the batch does not follow from the one before it")
                if witnessed is not None and frame.last == witnessed.position and frame.link != witnessed.link:
                    raise LogCorrupt(frame.first, "this is not the batch that was acknowledged here")
                later = frame
                newest = newest or frame
                count += 1
                size += len(value)
                if frame.first <= first or count >= WINDOW_BATCHES or size >= WINDOW_BYTES:
                    break
            else:
                if later is not None and later.first > first:
                    raise LogCorrupt(first, f"records {first} to {later.first - 1} are missing")
    except StorageError as error:
        raise as_log_error(error, later.first - 1 if later else 0) from error
    return newest, later.first if later else first


def as_log_error(error: StorageError, position: int) -> LogCorrupt | LogUnavailable:
    """What a failed read means to whoever reads the log."""
    if error.trouble is Trouble.CORRUPT:
        return LogCorrupt(position, str(error))
    return LogUnavailable(f"the log cannot be read: {error}")


def _compare(witnessed: Witnessed, log_id: str, position: int, epoch: int) -> None:
    if witnessed.log_id != log_id:
        raise LogCorrupt(0, f"the store holds log {log_id}, its witness belongs to log {witnessed.log_id}")
    if witnessed.position > position:
        raise LogCorrupt(
            position + 1,
            f"records {position + 1} to {witnessed.position} had been acknowledged and are missing from the end",
        )
    if witnessed.epoch > epoch:
        raise LogCorrupt(0, f"the store is older than its witness: epoch {epoch}, and {witnessed.epoch} was granted")


def _nothing_there(witnessed: Witnessed | None) -> LogCorrupt | LogMissing:
    if witnessed is None:
        return LogMissing("the store holds no log")
    return LogCorrupt(1, f"log {witnessed.log_id} held {witnessed.position} records here, the store is empty")


def _judge_damage(path: Path, write_buffer_bytes: int, damage: str) -> None:
    """Returns if only the end of the write-ahead log is damaged. Raises LogCorrupt otherwise."""
    before = _reachable(path, Recovery.PREFIX, write_buffer_bytes)
    beyond = _reachable(path, Recovery.SALVAGE, write_buffer_bytes)
    if beyond > before:
        raise LogCorrupt(before + 1, f"{damage}; records up to {beyond} lie behind the damage")


def _reachable(path: Path, recovery: Recovery, write_buffer_bytes: int) -> int:
    """Position of the last record that a read-only look finds. Raises LogCorrupt if even that fails."""
    try:
        handle = Handle(path, recovery, write_buffer_bytes, read_only=True)
    except StorageError as error:
        raise LogCorrupt(0, f"the store cannot be read: {error}") from error
    try:
        return _last_key(handle)
    finally:
        handle.close()


def _last_key(handle: Handle) -> int:
    """Position of the last record, 0 if there is none. Raises LogCorrupt or LogUnavailable."""
    try:
        with closing(handle.entries_backwards()) as entries:
            return next((key for key, _ in entries), 0)
    except StorageError as error:
        raise as_log_error(error, 0) from error
