"""A tar stream from an instance onto this machine. Whoever made it may mean harm: nothing lands or leads outside DST.

Python's own filters look at paths before they are used; here each folder on the way is opened without following links
and what is made is made relative to that, so a link that the stream has laid leads nowhere. A link is made only if it
stays within however the links on its way are laid, and by whatever name it is reached.
"""

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Final

from omnitide.cli.exits import Failure

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MODES: Final = 0o777
"""What is kept of a mode: never set-user-id and its like."""
CHUNK: Final = 256 << 10
MAX_HEADER: Final = 1 << 20
"""Of what one member says of itself, which is read into memory whole."""


def unpack(stream: IO[bytes], destination: str, warn: Callable[[str], None]) -> None:
    """Into a folder that is there: `destination` itself, or below it under the names that the stream gives, whose first
    part is replaced. `destination` names what the stream's one root becomes. Raises Failure, also where nothing at all
    was there to be taken, OSError, tarfile.TarError."""
    folder, name = os.path.split(os.path.abspath(destination))
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    modes: list[tuple[list[str], int]] = []
    taken, left = False, ""
    try:
        with tarfile.open(fileobj=_Forward(stream), mode="r:") as archive:
            remembered: list[tarfile.TarInfo] = vars(archive)["members"]
            for member in archive:
                remembered.clear()  # else it keeps them all
                parts = [name, *parts_of(member.name)[1:]]
                if not (member.isdir() or member.isreg() or member.issym() or member.islnk()):
                    left = left or member.name
                    warn(f"{member.name} is neither file, folder nor link; left out")
                    continue
                taken = True
                _put(root, archive, member, parts, name, warn)
                if member.isdir():
                    modes.append((parts, member.mode & MODES))
        for parts, mode in reversed(modes):
            # At last: a folder that nobody may write into has to be filled first.
            with _parent(root, parts) as (parent, last), _opened(last, parent) as made:
                os.fchmod(made, mode)
    finally:
        os.close(root)
    if not taken:
        raise Failure(f"nothing was copied: {left or 'what is there'} is neither file, folder nor link")


def parts_of(name: str) -> list[str]:
    """The parts of a member's name; its root is the first. Raises Failure for one that leads out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise Failure(
            f"the archive from the instance holds {name!r}, which leads out of it; nothing more is taken of it"
        )
    if name.split("/", maxsplit=1)[0] == ".":
        return [".", *parts]
    return parts or ["."]


def _put(
    root: int,
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    parts: list[str],
    name: str,
    warn: Callable[[str], None],
) -> None:
    with _parent(root, parts) as (parent, last):
        if member.isdir():
            _make_folder(parent, last)
        elif member.isreg():
            _write_file(parent, last, archive, member)
        elif member.issym():
            _make_link(parent, last, member, parts, member.linkname, warn)
        elif member.islnk():
            target = [name, *parts_of(member.linkname)[1:]]
            with _parent(root, target) as (other, existing):
                kind = os.stat(existing, dir_fd=other, follow_symlinks=False).st_mode
                if stat.S_ISLNK(kind):
                    # Another name of a link may stand where the link would lead elsewhere.
                    _make_link(parent, last, member, parts, os.readlink(existing, dir_fd=other), warn)
                elif target != parts:
                    _remove_file(parent, last)
                    os.link(existing, last, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False)


def _make_link(
    parent: int, last: str, member: tarfile.TarInfo, parts: list[str], target: str, warn: Callable[[str], None]
) -> None:
    if len(parts) == 1:
        raise Failure(
            f"what is to be copied is a link to {target}, and a link alone is not copied",
            "copy what it leads to: INSTANCE:PATH with that path",
        )
    if _leads_out(parts, target):
        warn(f"{member.name} is a link to {target}, which leads or could lead outside of what is copied; left out")
        return
    _remove_file(parent, last)
    os.symlink(target, last, dir_fd=parent)


def _leads_out(parts: list[str], target: str) -> bool:
    """`..` may only stand at the beginning, where it goes up folders that are none but folders: after a name it would
    go up from wherever that name leads, which a link may change later."""
    wanted = [part for part in target.split("/") if part not in ("", ".")]
    up = 0
    while up < len(wanted) and wanted[up] == "..":
        up += 1
    folders = len(parts) - 2  # between the root of the copy and the link
    return not target or target.startswith("/") or "\0" in target or up > folders or ".." in wanted[up:]


@contextmanager
def _opened(name: str, parent: int) -> Generator[int]:
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _parent(root: int, parts: list[str]) -> Generator[tuple[int, str]]:
    """The folder of a path, made where it is missing, and the last part. Raises OSError where a link is on the way."""
    here = os.dup(root)
    try:
        for part in parts[:-1]:
            try:
                below = os.open(part, _FOLDER, dir_fd=here)
            except FileNotFoundError:
                os.mkdir(part, 0o700, dir_fd=here)
                below = os.open(part, _FOLDER, dir_fd=here)
            os.close(here)
            here = below
        yield here, parts[-1]
    finally:
        os.close(here)


def _make_folder(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
        return


def _write_file(parent: int, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    source = archive.extractfile(member)
    assert source is not None, "it is a regular file"
    _remove_file(parent, name)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    with os.fdopen(fd, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK)
        os.fchmod(fd, member.mode & MODES)


def _remove_file(parent: int, name: str) -> None:
    """What is there under this name is replaced, unless it is a folder. Raises IsADirectoryError."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass


class _Forward(io.RawIOBase):
    """A tar stream that is only read onwards, and in pieces: what asks for more at a time is no honest header."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError("a member says more of itself than can be read")
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._at:
            raise tarfile.ReadError("the stream would have to be read backwards")
        while self._at < offset:
            if not self.read(min(CHUNK, offset - self._at)):
                break
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
