"""Content-addressed blobs: what is put in is found by the digest of what it is, and never changes.

`BlobStore` is the interface; `DirectoryBlobs` keeps them as files of one folder (`sha256/ab/ab12...`). An upload is
written beside them while its digest is counted, synced, and only then given its name: a blob that can be found is
whole. Memory stays at a piece, whatever the size. What a crash leaves of an upload is removed at the next start.
"""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Protocol

from omnitide.model.blobs import ALGORITHM, BlobError, StoredBlob, hex_of

PIECE_BYTES: Final = 1 << 20
"""Read at a time."""
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_INCOMING: Final = "incoming"


class BlobLimits(NamedTuple):
    total: int
    """Bytes of all blobs."""
    blob: int
    """Bytes of one."""


class BlobStore(Protocol):
    """Where blobs are. Every method raises BlobError."""

    async def put(self, pieces: AsyncIterator[bytes], expected: str = "") -> StoredBlob:
        """Store what comes; `expected` is the digest that it has to have, empty for any. One that is there already is
        put anew: its age begins again."""
        ...

    def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The content from a byte on, in pieces."""
        ...

    async def find(self, digest: str) -> StoredBlob | None: ...

    async def all(self) -> list[StoredBlob]:
        """In order of their digests."""
        ...

    async def remove(self, digest: str) -> bool:
        """Whether it was there."""
        ...


class DirectoryBlobs:
    """A BlobStore in a folder, which this process alone writes to."""

    def __init__(self, folder: Path, limits: Callable[[], BlobLimits]) -> None:
        """`limits` is asked anew at each upload. Raises OSError."""
        self._folder = folder
        self._limits = limits
        self._incoming = folder / _INCOMING
        for path in (folder, self._incoming):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink(missing_ok=True)
        self._total = sum(blob.size for blob in self._walk())
        self._coming = 0
        """Bytes of uploads that are not named yet."""

    @property
    def total(self) -> int:
        """Bytes of all blobs."""
        return self._total

    async def put(self, pieces: AsyncIterator[bytes], expected: str = "") -> StoredBlob:
        if expected:
            hex_of(expected)
        partial = self._incoming / secrets.token_hex(8)
        size = 0
        hashed = hashlib.sha256()
        limits = self._limits()
        try:
            with _blob_errors(), await asyncio.to_thread(open, partial, "xb") as file:
                async for piece in pieces:
                    size += len(piece)
                    self._coming += len(piece)
                    if size > limits.blob:
                        raise BlobError("too-large", f"a blob has {limits.blob} bytes at most (limits.max_blob_bytes)")
                    if self._total + self._coming > limits.total:
                        raise BlobError(
                            "quota", f"the blob store is full: {limits.total} bytes (limits.blob_bytes); remove some"
                        )
                    await asyncio.to_thread(_take, file, hashed.update, piece)
                digest = f"{ALGORITHM}:{hashed.hexdigest()}"
                if expected and digest != expected:
                    raise BlobError("mismatch", f"what came has the digest {digest}, not {expected}")
                return await asyncio.to_thread(self._name, file, partial, digest, size)
        finally:
            self._coming -= size
            partial.unlink(missing_ok=True)

    def _name(self, file: BinaryIO, partial: Path, digest: str, size: int) -> StoredBlob:
        """Give an upload that is complete its name, durably."""
        file.flush()
        os.fsync(file.fileno())
        path = self._path(digest)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = path.exists()
        partial.replace(path)
        _sync(path.parent)
        if not known:
            self._total += size
        return _blob(path, digest)

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        path = self._path(digest)
        try:
            file = await asyncio.to_thread(open, path, "rb")
        except FileNotFoundError:
            raise _absent(digest) from None
        with _blob_errors(), file:
            file.seek(offset)
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    async def find(self, digest: str) -> StoredBlob | None:
        path = self._path(digest)
        with contextlib.suppress(FileNotFoundError), _blob_errors():
            return await asyncio.to_thread(_blob, path, digest)
        return None

    async def all(self) -> list[StoredBlob]:
        with _blob_errors():
            return await asyncio.to_thread(lambda: sorted(self._walk()))

    async def remove(self, digest: str) -> bool:
        path = self._path(digest)

        def remove() -> int | None:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                return None
            _sync(path.parent)
            return size

        with _blob_errors():
            size = await asyncio.to_thread(remove)
        if size is None:
            return False
        self._total -= size
        return True

    def _path(self, digest: str) -> Path:
        hexadecimal = hex_of(digest)
        return self._folder / ALGORITHM / hexadecimal[:2] / hexadecimal

    def _walk(self) -> Iterator[StoredBlob]:
        for path in (self._folder / ALGORITHM).glob("??/*"):
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    yield _blob(path, f"{ALGORITHM}:{path.name}")


def _take(file: BinaryIO, count: Callable[[bytes], None], piece: bytes) -> None:
    count(piece)
    file.write(piece)


def _blob(path: Path, digest: str) -> StoredBlob:
    status = path.stat()
    return StoredBlob(digest, status.st_size, int(status.st_mtime * 1000))


def _absent(digest: str) -> BlobError:
    return BlobError("not-found", f"there is no blob {digest}")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _blob_errors() -> Generator[None]:
    """What a disk refuses, as a BlobError; a file that is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BlobError(
                "disk-full", "the disk of the blob store is full: nothing was kept of this upload"
            ) from error
        raise BlobError("trouble", f"the blob store cannot be used: {error.strerror}") from error
