"""Unpacking what a stranger has packed: nothing leads out of the directory, nothing is but files, folders and links,
and all of it together is bounded.

tar (plain, gz, bz2, xz) and zip, known by their first bytes. Members are written through `tree`, which follows no link,
so that an archive cannot first lay a link and then write through it.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, cast

from omnitide.drivers.protocol import DriverError
from omnitide.node.provisions.errors import permanent
from omnitide.node.provisions.fetching import CalledOff
from omnitide.node.provisions.tree import PathUnsafe, Tree, parts_of

MAX_MEMBERS: Final = 200_000
MAX_DIRECTORY: Final = 32 << 20
"""Bytes of a zip's directory, which is read whole before its first entry: MAX_MEMBERS of 160 each."""
CHUNK: Final = 256 << 10
MAX_HEADER: Final = 1 << 20
"""Of what one member says of itself; a longer one would be read into memory whole."""
_DAMAGED: Final = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, gzip.BadGzipFile, ValueError)

_ENTRY: Final = b"PK\x01\x02"
"""With which each entry of a zip's directory begins."""

Parts = tuple[str, ...]


class _Bounds:
    """What an archive may still hold."""

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._left = most
        self._members = 0
        self._most = most
        self._stop = stop

    def member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise permanent(f"the archive holds more than {MAX_MEMBERS} entries", "artifact-too-large")
        if self._stop.is_set():
            raise CalledOff

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            message = f"the archive holds more than {self._most} bytes (node.max_artifact_bytes)"
            raise permanent(message, "artifact-too-large")
        if self._stop.is_set():
            raise CalledOff


def unpack(archive: Path, tree: Tree, below: Parts, most: int, stop: threading.Event) -> None:
    """Unpack below a directory of the tree. Blocks: for a thread. Raises DriverError, CalledOff, OSError."""
    bounds = _Bounds(most, stop)
    try:
        with open(archive, "rb") as file:
            opened = _decompressor(file)
            if opened is None:
                _unpack_zip(file, tree, below, bounds)
            else:
                _unpack_tar(opened, tree, below, bounds)
    except PathUnsafe as error:
        raise permanent(f"the archive cannot be laid out safely: {error}", "artifact-unsafe") from None
    except OSError as error:
        if error.errno is None:  # how gzip and bz2 say that what they read is none
            raise _damaged(error) from None
        raise
    except _DAMAGED as error:
        raise _damaged(error) from None


def _damaged(error: Exception) -> DriverError:
    return permanent(f"it cannot be unpacked: {str(error) or type(error).__name__}", "artifact-damaged")


def _decompressor(file: IO[bytes]) -> IO[bytes] | None:
    """A tar archive, opened as plain; None: it is a zip."""
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(file)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.open(file)
    if head == b"\xfd7zXZ\x00":
        return lzma.open(file)
    return None if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else file


class _Guarded(io.RawIOBase):
    """A plain tar stream, read forward only and in small pieces: what asks for more at a time is no honest header."""

    def __init__(self, file: IO[bytes], bounds: _Bounds) -> None:
        super().__init__()
        self._file = file
        self._bounds = bounds
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise permanent("an entry of the archive says more of itself than can be read", "artifact-damaged")
        data = self._file.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset < self._at:
            raise tarfile.ReadError("the archive would have to be read backwards")
        while self._at < offset:
            if not self.read(min(CHUNK, offset - self._at)):
                break
        return self._at

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _unpack_tar(file: IO[bytes], tree: Tree, below: Parts, bounds: _Bounds) -> None:
    with tarfile.open(fileobj=_Guarded(file, bounds), mode="r:") as archive:
        remembered: list[tarfile.TarInfo] = vars(archive)["members"]
        done: set[Parts] = set()
        found = False
        for member in archive:
            found = True
            bounds.member()
            remembered.clear()  # else it keeps them all
            parts = parts_of(member.name)
            if not parts:
                continue
            if member.isdir():
                tree.directory((*below, *parts), mode=_mode(member.mode, 0o755) | 0o700)
            elif member.isreg():
                bounds.take(member.size)
                source = archive.extractfile(member)
                assert source is not None, "a regular file has content"
                tree.file((*below, *parts), _chunks(source.read), _mode(member.mode, 0o644))
                done.add(parts)
            elif member.issym():
                tree.link((*below, *parts), _inner(parts, member.linkname))
            elif member.islnk():
                target = parts_of(member.linkname)
                if target not in done:
                    raise PathUnsafe(f"{member.name[:200]!r} is another name of what the archive does not hold")
                _copy(tree, (*below, *target), (*below, *parts), bounds, _mode(member.mode, 0o644))
            else:
                raise PathUnsafe(f"{member.name[:200]!r} is neither a file, a folder nor a link")
        if not found and not _is_empty_tar(file):
            raise tarfile.ReadError("no tar and no zip archive")


def _is_empty_tar(file: IO[bytes]) -> bool:
    file.seek(0)
    return file.read(1024) == bytes(1024)


class _Directory(io.RawIOBase):
    """A zip file whose directory `zipfile` is kept from taking in if it is too large: it reads it in one piece,
    wherever the end of the archive says that it is, and makes an object of each entry."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise permanent(f"the archive's directory takes more than {MAX_DIRECTORY} bytes", "artifact-too-large")
        data = self._file.read(size if size >= 0 else MAX_DIRECTORY)
        if data.count(_ENTRY) > MAX_MEMBERS:
            raise permanent(f"the archive holds more than {MAX_MEMBERS} entries", "artifact-too-large")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _unpack_zip(file: IO[bytes], tree: Tree, below: Parts, bounds: _Bounds) -> None:
    with zipfile.ZipFile(cast("IO[bytes]", _Directory(file))) as archive:
        for member in archive.infolist():
            bounds.member()
            parts = parts_of(member.filename)
            if not parts:
                continue
            mode = member.external_attr >> 16
            if member.is_dir():
                tree.directory((*below, *parts))
                continue
            kind = stat.S_IFMT(mode)
            if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
                raise PathUnsafe(f"{member.filename[:200]!r} is neither a file, a folder nor a link")
            if member.flag_bits & 1:
                raise permanent("the archive is encrypted", "artifact-damaged")
            try:
                with archive.open(member) as source:
                    if kind == stat.S_IFLNK:
                        bounds.take(4096)
                        target = source.read(4096).decode("utf-8", "surrogateescape")
                        tree.link((*below, *parts), _inner(parts, target))
                        continue
                    counted = _counted(source.read, bounds)
                    tree.file((*below, *parts), _chunks(counted), _mode(stat.S_IMODE(mode), 0o644))
            except (NotImplementedError, RuntimeError) as error:
                raise _damaged(error) from None


def _counted(read: Callable[[int], bytes], bounds: _Bounds) -> Callable[[int], bytes]:
    """What an entry says of its size need not be so: what comes is counted."""

    def some(size: int) -> bytes:
        data = read(size)
        bounds.take(len(data))
        return data

    return some


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(CHUNK):
        yield chunk


def _mode(given: int, otherwise: int) -> int:
    """Without set-id and sticky bits; what says nothing gets the usual one. The owner can always read."""
    return (given & 0o777 or otherwise) | 0o400


def _inner(at: Parts, target: str) -> str:
    """A symbolic link's target that stays below the directory. Raises PathUnsafe.

    `..` may only lead it: in `a/../..` the first part may be a link itself, and `..` of where that leads is elsewhere.
    """
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    if not target or target.startswith("/") or "\0" in target or up > len(at) - 1 or ".." in parts[up:]:
        raise PathUnsafe(f"the link {'/'.join(at)!r} leads out, to {target[:200]!r}")
    return target


def _copy(tree: Tree, source: Parts, target: Parts, bounds: _Bounds, mode: int) -> None:
    """A hard link becomes a file of its own: by two names one could be changed behind the other's back."""
    with open(tree.open(source), "rb") as file:
        tree.file(target, _chunks(_counted(file.read, bounds)), mode)
