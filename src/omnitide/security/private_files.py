"""Files that hold secrets: written whole or not at all, readable by their owner alone, refused otherwise.

On Windows the mode bits mean nothing; there the user's profile directory protects, and only atomicity is kept.
"""

import contextlib
import os
import stat
from pathlib import Path

from omnitide.security.errors import SecurityError

MAX_PRIVATE_BYTES = 1 << 20
PRIVATE_UMASK = 0o077
"""For a process all of whose files are its owner's alone, those that libraries make included."""

_OTHERS = 0o077
_OTHERS_SEE = 0o066
_POSIX = os.name == "posix"
_BINARY = getattr(os, "O_BINARY", 0)


class InsecureFile(SecurityError):
    """A file with secrets, or its directory, can be read or changed by others; nothing was read from it."""

    def __init__(self, path: Path, problem: str, hint: str) -> None:
        super().__init__(f"{path}: {problem}. {hint}")
        self.path = path
        self.problem = problem
        self.hint = hint


def ensure_private_directory(path: Path, *, passable: bool = False) -> None:
    """Make a directory of mode 0700 (with its parents) or check that it is one. Raises InsecureFile or OSError.

    `passable`: others may pass through to what they know by name (0711), for a directory whose files are all private
    themselves and below which lies something that belongs to another user. They still cannot list it or write to it.
    """
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        check_private_directory(path, passable=passable)
        return
    if _POSIX:
        path.chmod(0o700)  # against an unusual umask


def check_private_directory(path: Path, *, passable: bool = False) -> None:
    """Raises InsecureFile unless the directory is the owner's alone; FileNotFoundError if there is none.

    `passable`: as for `ensure_private_directory`.
    """
    command, forbidden = ("chmod go-rw", _OTHERS_SEE) if passable else ("chmod 700", _OTHERS)
    _check_private(path, path.stat(), "a directory with secrets", command, forbidden)


def read_private(path: Path) -> bytes:
    """The content of a private file, at most 1 MiB, once file and directory have been found private.

    Raises InsecureFile, FileNotFoundError, or OSError.
    """
    check_private_directory(path.parent)
    descriptor = os.open(path, os.O_RDONLY | _BINARY)
    with os.fdopen(descriptor, "rb") as file:
        # The open file is looked at, not the path: nothing can be exchanged between check and reading.
        _check_private(path, os.fstat(descriptor), "a file with secrets", "chmod 600")
        data = file.read(MAX_PRIVATE_BYTES + 1)
    if len(data) > MAX_PRIVATE_BYTES:
        raise InsecureFile(path, f"larger than {MAX_PRIVATE_BYTES} bytes", "This is not a file that omnitide wrote.")
    return data


def write_private(path: Path, data: bytes, *, exclusive: bool = False, passable: bool = False) -> None:
    """Write a file of mode 0600 durably and atomically: readers see the old content or the new, also after a crash.

    The directory is made if absent (`passable`: as for `ensure_private_directory`). With `exclusive`, an existing file
    is left alone and FileExistsError raised, even if two processes try at once. Raises InsecureFile or OSError (a full
    disk leaves the old content).
    """
    ensure_private_directory(path.parent, passable=passable)
    # The process id keeps two processes apart; what a crash leaves behind is overwritten by the next with that id.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            if _POSIX:
                os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def remove_private(path: Path) -> None:
    """Remove a file durably; no error if there is none."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        sync_directory(path.parent)


def replace_private(source: Path, target: Path) -> None:
    """Move one private file over another in the same directory, atomically and durably."""
    source.replace(target)
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable (no such notion on Windows)."""
    if not _POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_private(path: Path, status: os.stat_result, what: str, command: str, forbidden: int = _OTHERS) -> None:
    if not _POSIX:
        return
    if status.st_uid not in (os.geteuid(), 0):
        hint = "Files with secrets must belong to the user that runs omnitide, or to root."
        raise InsecureFile(path, f"{what} belongs to user {status.st_uid}, not to {os.geteuid()}", hint)
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        problem = f"{what} is open to others (mode {mode:04o})"
        raise InsecureFile(path, problem, f"If nobody else has read it: {command} {path}")
