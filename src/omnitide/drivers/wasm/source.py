"""A module's file as its author made it: what it holds, by digest, read again only when the file has changed."""

import errno
import hashlib
import os
import stat
from typing import Final

import msgspec

from omnitide.drivers.protocol import DriverError
from omnitide.drivers.wasm.binary import is_component

MAX_MODULE: Final = 512 << 20
"""Bytes of a module that is taken."""
MAX_KNOWN: Final = 256
"""Files whose digests are remembered; at the next one all are forgotten."""


class FileState(msgspec.Struct, frozen=True):
    """A file as it was when its content was read: another content has another state."""

    device: int
    inode: int
    size: int
    changed_ns: int


def state_of(status: os.stat_result) -> FileState:
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class Source(msgspec.Struct, frozen=True):
    path: str
    digest: str
    component: bool


class Sources:
    """Those that were read. Its calls wait for a disk: never on the event loop."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[FileState, Source]] = {}

    def look_up(self, path: str) -> Source:
        """Raises DriverError (`module-not-found`, `permission`, `malformed-module`)."""
        try:
            descriptor = _open(path)
            with os.fdopen(descriptor, "rb") as file:
                state = state_of(os.fstat(descriptor))
                known = self._known.get(path)
                if known is not None and known[0] == state:
                    return known[1]
                component = is_component(file.read(8))
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(path, error) from None
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        source = Source(path, digest, component)
        self._known[path] = (state, source)
        return source


def read(source: Source) -> bytes:
    """The content that the digest is of. Raises DriverError."""
    try:
        with os.fdopen(_open(source.path), "rb") as file:
            content = file.read(MAX_MODULE + 1)
    except OSError as error:
        raise _unreadable(source.path, error) from None
    if hashlib.sha256(content).hexdigest() != source.digest:
        raise DriverError(f"{source.path} changes while it is read", cause="module-not-found", permanent=False)
    return content


def _open(path: str) -> int:
    """Neither a pipe nor a device, which may never end. Raises OSError, DriverError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DriverError(f"the module {path} is no file", cause="malformed-module", permanent=True)
        if status.st_size > MAX_MODULE:
            message = f"{path} has {status.st_size} bytes; {MAX_MODULE} are the most"
            raise DriverError(message, cause="malformed-module", permanent=True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _unreadable(path: str, error: OSError) -> DriverError:
    message = f"the module {path} cannot be read: {error.strerror}"
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
    denied = error.errno in (errno.EACCES, errno.EPERM)
    cause = "module-not-found" if missing else "permission" if denied else "module-unreadable"
    return DriverError(message, cause=cause, permanent=missing or denied)
