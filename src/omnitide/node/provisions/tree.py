"""Writing below a directory that somebody else may own: never through a symbolic link, never out of it.

The owner of the directory may be at work in it, and we may be root. So every path is walked component by component on
descriptors, nothing is followed, and a file is given its name only when it is complete.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable
from types import TracebackType
from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PathUnsafe(Exception):
    """A path that leads out of its directory, or through what is no directory."""


class Owner:
    """Who what is written belongs to; None: whoever writes."""

    def __init__(self, uid: int, gid: int) -> None:
        self.uid = uid
        self.gid = gid


def parts_of(path: str) -> tuple[str, ...]:
    """The components of a path below a directory. Raises PathUnsafe for one that leads out of it, or nowhere."""
    if path.startswith("/") or "\0" in path or ("\\" in path and os.sep == "\\"):
        raise PathUnsafe(f"{path[:200]!r} is not below the directory")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts:
        raise PathUnsafe(f"{path[:200]!r} leads out of the directory")
    return parts


class Tree:
    """An open directory. What is made belongs to its owner."""

    def __init__(self, root: str, owner: Owner | None = None, *, mode: int = 0o700) -> None:
        """Makes the directory (its parents have to be there). Raises OSError."""
        made = False
        with contextlib.suppress(FileExistsError):
            os.mkdir(root, mode)
            made = True
        self._fd = os.open(root, _DIRECTORY)
        if made:
            os.fchmod(self._fd, mode)  # whatever the umask, which in a node proxy is a private one
        self._owner = owner
        self._own(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def directory(self, parts: Iterable[str], *, mode: int = 0o755) -> None:
        """Make a directory and those above it. Raises PathUnsafe, OSError."""
        os.close(self._walk(parts, mode))

    def file(self, parts: tuple[str, ...], chunks: Iterable[bytes], mode: int) -> None:
        """Write a file whole, in the place of whatever file or link is there. Raises PathUnsafe, OSError."""
        if not parts:
            raise PathUnsafe("the path names no file")
        parent = self._walk(parts[:-1], 0o755)
        partial = f".{secrets.token_hex(6)}.partial"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(partial, flags, 0o600, dir_fd=parent)
            try:
                for chunk in chunks:
                    _write(fd, chunk)
                self._own(fd)
                os.fchmod(fd, mode & 0o7777)
            finally:
                os.close(fd)
            try:
                os.rename(partial, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except IsADirectoryError as error:
                raise PathUnsafe(f"{'/'.join(parts)!r} is a directory already") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=parent)
            os.close(parent)

    def overwrite(self, parts: tuple[str, ...], data: bytes) -> None:
        """Write into the file that is there, which keeps being the same file. Raises PathUnsafe, OSError."""
        parent = self._walk(parts[:-1], 0o755)
        try:
            there = os.open(parts[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            status = os.fstat(there)
            if not stat.S_ISREG(status.st_mode):
                raise PathUnsafe(f"{'/'.join(parts)!r} is no file")
            # By its descriptor from here on: its owner may put anything else under the name.
            itself, mode = f"/proc/self/fd/{there}", stat.S_IMODE(status.st_mode)
            if not mode & 0o200 and os.geteuid() != 0:
                os.chmod(itself, mode | 0o200)
            fd = os.open(itself, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                _write(fd, data)
                os.fchmod(fd, mode)
            finally:
                os.close(fd)
        finally:
            os.close(there)

    def link(self, parts: tuple[str, ...], target: str) -> None:
        """A symbolic link, in the place of whatever link is there. Whether the target may be is the caller's affair.

        Raises PathUnsafe, OSError.
        """
        if not parts:
            raise PathUnsafe("the path names no link")
        parent = self._walk(parts[:-1], 0o755)
        try:
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISLNK(os.stat(parts[-1], dir_fd=parent, follow_symlinks=False).st_mode):
                    raise PathUnsafe(f"{'/'.join(parts)!r} is there already")
                os.unlink(parts[-1], dir_fd=parent)
            os.symlink(target, parts[-1], dir_fd=parent)
            if self._owner is not None:
                os.chown(parts[-1], self._owner.uid, self._owner.gid, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def open(self, parts: tuple[str, ...]) -> int:
        """A descriptor of a regular file below, to read. Raises PathUnsafe, OSError."""
        parent = self._walk(parts[:-1], 0o755)
        try:
            fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise PathUnsafe(f"{'/'.join(parts)!r} is no file")
        return fd

    def _walk(self, parts: Iterable[str], mode: int) -> int:
        """A descriptor of the directory, made where it is not there."""
        current = os.dup(self._fd)
        try:
            for part in parts:
                made = False
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode, dir_fd=current)
                    made = True
                try:
                    below = os.open(part, _DIRECTORY, dir_fd=current)
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENOTDIR):
                        raise PathUnsafe(f"{part!r} on the way is a link or a file, not a directory") from error
                    raise
                os.close(current)
                current = below
                if made:
                    os.fchmod(current, mode)
                    self._own(current)
        except BaseException:
            os.close(current)
            raise
        return current

    def _own(self, fd: int) -> None:
        if self._owner is not None:
            os.fchown(fd, self._owner.uid, self._owner.gid)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
