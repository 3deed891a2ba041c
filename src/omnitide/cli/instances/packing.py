"""Files of this machine as a tar stream on its way to an instance."""

import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from typing import Final, cast

CHUNK: Final = 64 << 10


def pack(source: str, name: str, warn: Callable[[str], None]) -> Iterator[bytes]:
    """A file or folder under another name, made as fast as it is taken. Raises OSError, tarfile.TarError."""
    reader, writer = os.pipe()
    failed: list[Exception] = []

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        # Whose they are here means nothing there.
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    def write() -> None:
        try:
            with os.fdopen(writer, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as archive:
                _add(archive, source, name, plain, warn)
        except BrokenPipeError:
            pass  # nobody takes it any more
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while data := pipe.read(CHUNK):
            yield data
    thread.join()
    if failed:
        raise failed[0]


def _add(
    archive: tarfile.TarFile,
    path: str,
    name: str,
    plain: Callable[[tarfile.TarInfo], tarfile.TarInfo],
    warn: Callable[[str], None],
) -> None:
    # None for a socket, whatever the types say.
    member = cast("tarfile.TarInfo | None", archive.gettarinfo(path, name))
    if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        warn(f"{path} is neither file, folder nor link; left out")
        return
    plain(member)
    if member.isreg():
        with open(path, "rb") as file:
            archive.addfile(member, file)
        return
    archive.addfile(member)
    if member.isdir():
        for below in sorted(os.listdir(path)):
            _add(archive, os.path.join(path, below), f"{name}/{below}", plain, warn)
