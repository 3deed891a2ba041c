"""`omnitide cp`: files and folders into an instance and out of it."""

import io
import os
import posixpath
import re
import stat
import sys
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from omnitide.cli.access.names import agents_and_instances
from omnitide.cli.exits import Exit, Failure
from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

CHUNK: Final = 64 << 10
_REMOTE: Final = re.compile(r"((?:[a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9.-]*):(.*)", re.DOTALL)


class _Place(NamedTuple):
    instance: str
    """Empty: here."""
    path: str


def cp(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A path here, INSTANCE:PATH, or - for standard input.",
            autocompletion=agents_and_instances,
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="INSTANCE:PATH, a path here, or - for standard output.",
            autocompletion=agents_and_instances,
        ),
    ],
) -> None:
    """Copy a file or folder into a running instance or out of it, with modes and links.

    A path in an instance is absolute, or below the instance's directory. If the destination is a folder, the copy lands
    in it under its own name; else the destination is its new name. It is read and written with the rights of the
    instance's user. What comes out of an instance never lands outside DST, whatever it holds. A local name with a colon
    is written ./name:x. As SRC or DST - is a tar stream on standard input or output. An agent's name stands for one of
    its running replicas, which is said.
    """
    session = session_of(context)
    here, there = _place(source), _place(destination)
    if bool(here.instance) == bool(there.instance):
        what = "both sides are in instances" if here.instance else "neither side is INSTANCE:PATH"
        raise Failure(what, "copy between an instance and this machine: omnitide cp SRC INSTANCE:PATH", Exit.USAGE)
    from omnitide.cli.instances.choosing import running_ones

    with session.client() as client:
        instance = running_ones(session, client, here.instance or there.instance)[0]
        try:
            if here.instance:
                _fetch(session, client, instance, here.path or ".", there.path)
            else:
                _send(session, client, instance, here.path, there.path or ".")
        except tarfile.TarError as error:
            raise Failure(f"the tar stream is broken: {error}") from None
        except OSError as error:
            raise Failure(f"{error.filename or destination}: {error.strerror or error}") from None


def _place(text: str) -> _Place:
    found = None if text.startswith((".", "/")) else _REMOTE.fullmatch(text)
    return _Place(found[1], found[2]) if found is not None else _Place("", text)


def _fetch(session: Session, client: "Client", instance: "Instance", path: str, local: str) -> None:
    """Raises FabricError, Failure, OSError, TarError."""
    from omnitide.cli.instances.unpacking import unpack

    pieces = client.copy_from(instance.id, path)
    if local == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    name = posixpath.basename(posixpath.normpath(path))
    if os.path.isdir(local):
        local = os.path.realpath(local) + ("/" if local.endswith("/") else "")
    if os.path.isdir(local) and name not in ("", ".", "/"):
        target = os.path.join(local, name)
    elif local.endswith("/"):
        raise Failure(f"there is no folder {local}", code=Exit.NOT_FOUND)
    else:
        target = local
    if not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        raise Failure(f"there is no folder {os.path.dirname(os.path.abspath(target))}", code=Exit.NOT_FOUND)
    stream = io.BufferedReader(_Pieces(pieces), CHUNK)
    unpack(stream, target, session.warn)
    while stream.read(CHUNK):
        pass  # what pads the stream: only its end says that it was whole
    _tell(session, instance, f"{instance.name}:{path}", target)


def _send(session: Session, client: "Client", instance: "Instance", local: str, path: str) -> None:
    """Raises FabricError, Failure, OSError, TarError."""
    from omnitide.cli.instances.packing import pack

    if local == "-":
        client.copy_to(instance.id, path, iter(lambda: sys.stdin.buffer.read(CHUNK), b""))
        _tell(session, instance, "-", f"{instance.name}:{path}")
        return
    if not os.path.lexists(local):
        raise Failure(f"there is no file or folder {local}", code=Exit.NOT_FOUND)
    if not any(is_one(os.lstat(local).st_mode) for is_one in (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)):
        raise Failure(f"nothing was copied: {local} is neither file, folder nor link")
    kind = _kind(client, instance, path)
    name = os.path.basename(os.path.abspath(local))
    if kind == "folder":
        folder = path
    elif path.endswith("/"):
        raise Failure(f"{instance.name} has no folder {path}", code=Exit.NOT_FOUND)
    else:
        folder, name = posixpath.split(path)
        if kind == "file" and os.path.isdir(local):
            raise Failure(f"{path} in {instance.name} is no folder, and {local} is one", code=Exit.CONFLICT)
    client.copy_to(instance.id, folder or ".", pack(local, name, session.warn))
    _tell(session, instance, local, f"{instance.name}:{posixpath.join(folder, name)}")


def _tell(session: Session, instance: "Instance", source: str, destination: str) -> None:
    """What was copied, and under which name it is there now."""
    if session.plain:
        session.emit({"instance": instance.id, "name": instance.name, "source": source, "destination": destination})
    else:
        session.say(f"  {source} -> {destination}")


def _kind(client: "Client", instance: "Instance", path: str) -> str:
    """`folder`, `file`, or empty for what is not there: as the head of its tar stream says. Raises FabricError."""
    from omnitide.sdk.errors import NotFound

    pieces = client.copy_from(instance.id, path)
    try:
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= tarfile.BLOCKSIZE:
                break
        member = tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        # A folder behind a link is one; tar tells of the link.
        return "folder" if member.isdir() or member.issym() else "file"
    except NotFound as error:
        if error.code != "no-such-file":
            raise
        return ""
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


class _Pieces(io.RawIOBase):
    """An iterator of bytes as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
