"""Snapshots as files: written beside, synced, read back from the disk, and only then given their name.

magic, version u32, position u64, log id 16 bytes | (length u32, chunk)* | end mark u32
| chunk count u64, size u64, SHA-256 over the chunks 32 bytes, CRC-32 over header and footer u32
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

from omnitide.store.disk import is_full, sync_directory
from omnitide.store.protocol import (
    MAX_CHUNK_BYTES,
    LogCorrupt,
    LogFull,
    LogMissing,
    LogUnavailable,
    SnapshotInfo,
    TrimRefused,
)

_HEAD = struct.Struct("<8sIQ16s")
_LENGTH = struct.Struct("<I")
_FOOT = struct.Struct("<QQ32s")
_CHECK = struct.Struct("<I")
_TAIL_BYTES = _FOOT.size + _CHECK.size
_MAGIC = b"OMNISNAP"
_VERSION = 1
_END = 0xFFFFFFFF
_SUFFIX = ".snapshot"
_UNFINISHED = ".unfinished"


class SnapshotFiles:
    """The snapshots of one log, in a directory of their own. Used by one thread at a time, but for `chunks`."""

    def __init__(self, directory: Path, log_id: str) -> None:
        """Creates the directory and removes what a crash left half-saved. Raises OSError."""
        self._directory = directory
        self._log_id = bytes.fromhex(log_id)
        self._found_damaged: set[int] = set()
        directory.mkdir(mode=0o700, exist_ok=True)
        for remains in directory.glob("*" + _UNFINISHED):
            remains.unlink()
        sync_directory(directory.parent)

    def save(self, position: int, chunks: Iterable[bytes]) -> SnapshotInfo:
        """As `EventLog.save_snapshot`."""
        final = self._path(position)
        unfinished = final.with_suffix(_UNFINISHED)
        try:
            try:
                self._write(unfinished, position, chunks)
                info = self._prove(unfinished, position)
                unfinished.replace(final)
                sync_directory(self._directory)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)
                raise
        except OSError as error:
            if is_full(error):
                raise LogFull(f"no room on the disk for a snapshot: {error}") from error
            raise LogUnavailable(f"the snapshot cannot be written: {error}") from error
        self._found_damaged.discard(position)
        return info

    def all(self) -> list[SnapshotInfo]:
        """Newest first. One whose frame is damaged is listed with `verified` False. Raises LogUnavailable."""
        try:
            names = [path.stem for path in self._directory.glob("*" + _SUFFIX)]
            positions = sorted((int(name) for name in names if name.isdecimal()), reverse=True)
            return [self._describe(position) for position in positions]
        except OSError as error:
            raise LogUnavailable(f"the snapshots cannot be listed: {error}") from error

    def chunks(self, info: SnapshotInfo) -> Generator[bytes]:
        """As `EventLog.load_snapshot`. Close it after use."""
        try:
            file = self._path(info.position).open("rb")
        except FileNotFoundError as error:
            raise LogMissing(f"there is no snapshot at position {info.position}") from error
        except OSError as error:
            raise LogUnavailable(f"the snapshot at {info.position} cannot be read: {error}") from error
        with file:
            try:
                found = yield from self._chunks(file, info.position)
            except LogCorrupt:
                self._found_damaged.add(info.position)
                raise
            except OSError as error:
                raise LogUnavailable(f"the snapshot at {info.position} cannot be read: {error}") from error
        if found.digest != info.digest:
            raise LogCorrupt(info.position, f"the snapshot is {found.digest}, asked for was {info.digest}")

    def two_verified(self, position: int) -> SnapshotInfo:
        """The second newest of the snapshots at `position` or above that read back whole now. Raises TrimRefused."""
        whole: list[SnapshotInfo] = []
        for info in self.all():
            if info.position >= position and info.verified and self._reads_back(info):
                whole.append(info)
            if len(whole) == 2:
                return whole[1]
        raise TrimRefused(f"two verified snapshots at {position} or above are needed, there are {len(whole)}")

    def remove_older_than(self, position: int) -> None:
        """Raises LogUnavailable."""
        try:
            for info in self.all():
                if info.position < position:
                    self._path(info.position).unlink(missing_ok=True)
            sync_directory(self._directory)
        except OSError as error:
            raise LogUnavailable(f"old snapshots cannot be removed: {error}") from error

    def _path(self, position: int) -> Path:
        return self._directory / f"{position:020d}{_SUFFIX}"

    def _write(self, path: Path, position: int, chunks: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        count = size = 0
        head = _HEAD.pack(_MAGIC, _VERSION, position, self._log_id)
        with path.open("wb") as file:
            file.write(head)
            for chunk in chunks:
                check_chunk(chunk)
                file.write(_LENGTH.pack(len(chunk)))
                file.write(chunk)
                digest.update(chunk)
                count += 1
                size += len(chunk)
            foot = _FOOT.pack(count, size, digest.digest())
            file.write(_LENGTH.pack(_END) + foot + _CHECK.pack(zlib.crc32(head + foot)))
            file.flush()
            os.fsync(file.fileno())

    def _prove(self, path: Path, position: int) -> SnapshotInfo:
        with path.open("rb") as file:
            # What is read back should come from the disk, not from memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            with closing(self._chunks(file, position)) as chunks:
                while True:
                    try:
                        next(chunks)
                    except StopIteration as end:
                        return end.value

    def _reads_back(self, info: SnapshotInfo) -> bool:
        try:
            self._prove(self._path(info.position), info.position)
        except (LogCorrupt, OSError):
            self._found_damaged.add(info.position)
            return False
        return True

    def _describe(self, position: int) -> SnapshotInfo:
        with self._path(position).open("rb") as file:
            try:
                info = self._frame(file, position)
            except LogCorrupt:
                self._found_damaged.add(position)
                size = os.fstat(file.fileno()).st_size
                return SnapshotInfo(position=position, size_bytes=size, digest="", verified=False)
        if position in self._found_damaged:
            return SnapshotInfo(position=position, size_bytes=info.size_bytes, digest=info.digest, verified=False)
        return info

    def _frame(self, file: BinaryIO, position: int) -> SnapshotInfo:
        """Header and footer, proved. Leaves the file behind the header."""
        length = os.fstat(file.fileno()).st_size
        if length < _HEAD.size + _LENGTH.size + _TAIL_BYTES:
            raise LogCorrupt(position, f"the snapshot is cut off: {length} bytes are there")
        file.seek(length - _TAIL_BYTES)
        tail = file.read(_TAIL_BYTES)
        file.seek(0)
        head = file.read(_HEAD.size)
        foot, (check,) = tail[: _FOOT.size], _CHECK.unpack(tail[_FOOT.size :])
        if zlib.crc32(head + foot) != check:
            raise LogCorrupt(position, "header or footer of the snapshot are damaged")
        magic, version, at, log_id = _HEAD.unpack(head)
        if (magic, version, at, log_id) != (_MAGIC, _VERSION, position, self._log_id):
            raise LogCorrupt(position, "the file is no snapshot of this log at this position")
        count, size, digest = _FOOT.unpack(foot)
        if length != _HEAD.size + count * _LENGTH.size + size + _LENGTH.size + _TAIL_BYTES:
            raise LogCorrupt(position, f"the snapshot has {length} bytes, which is not what its footer says")
        return SnapshotInfo(position=position, size_bytes=size, digest=f"sha256:{digest.hex()}", verified=True)

    def _chunks(self, file: BinaryIO, position: int) -> Generator[bytes, None, SnapshotInfo]:
        info = self._frame(file, position)
        digest = hashlib.sha256()
        while True:
            prefix = file.read(_LENGTH.size)
            length: int = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else MAX_CHUNK_BYTES + 1
            if length == _END:
                break
            chunk = file.read(length) if length <= MAX_CHUNK_BYTES else b""
            if length > MAX_CHUNK_BYTES or len(chunk) < length:
                raise LogCorrupt(position, "a chunk of the snapshot is cut off or has an impossible length")
            digest.update(chunk)
            yield chunk
        if f"sha256:{digest.hexdigest()}" != info.digest:
            raise LogCorrupt(position, "the contents of the snapshot do not match their digest")
        return info


def check_chunk(chunk: bytes) -> None:
    """Raises ValueError if it is larger than the protocol allows."""
    if len(chunk) > MAX_CHUNK_BYTES:
        raise ValueError(f"a chunk has {MAX_CHUNK_BYTES} bytes at most, this one has {len(chunk)}")
