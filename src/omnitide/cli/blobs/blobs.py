"""`omnitide blob`."""

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import blobs
from omnitide.cli.hearing import hearing
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from omnitide.model.blobs import BlobList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="The fabric's own store of files, for artifacts of instances."
)

PIECE: Final = 1 << 20
_COLUMNS: Final = (
    Column("BLOB"),
    Column("SIZE", right=True),
    Column("PUT", right=True, rank=1),
    Column("USED BY", rank=2, free=True),
)
_Digest = Annotated[
    str,
    typer.Argument(metavar="DIGEST", help="sha256:..., or enough of its beginning.", autocompletion=blobs),
]


@app.command()
def put(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file, or - for standard input.")],
) -> None:
    """Store a file; its digest, by which specs name it, is printed."""
    from omnitide.cli.exits import Exit, Failure

    session = session_of(context)
    if file == "-":
        blob = _put(session, sys.stdin.buffer, "any", 0)
    else:
        try:
            # Known before: what is broken on the way is refused, and a file that changes meanwhile too.
            digest, size = _digest(Path(file))
            with open(file, "rb") as source:
                blob = _put(session, source, digest, size)
        except OSError as error:
            raise Failure(f"{file} cannot be read: {error.strerror}", code=Exit.USAGE) from None
    if session.plain:
        session.emit(blob)
    else:
        print(blob.digest)


def _digest(path: Path) -> tuple[str, int]:
    hashed, size = hashlib.sha256(), 0
    with open(path, "rb") as source:
        while piece := source.read(PIECE):
            hashed.update(piece)
            size += len(piece)
    return f"sha256:{hashed.hexdigest()}", size


def _put(session: Session, source: IO[bytes], digest: str, size: int):
    def pieces() -> Iterator[bytes]:
        progress = _Progress(session, "stored", size)
        while piece := source.read(PIECE):
            yield piece
            progress.more(len(piece))
        progress.done()

    with session.client() as client, hearing(session):
        return client.put_blob(pieces(), digest=digest, size=size)


@app.command("ls")
def ls(context: typer.Context, watch: WatchOption = False) -> None:
    """List the blobs."""

    def read(client: "Client") -> "BlobList":
        from omnitide.model.blobs import BlobList

        items = tuple(client.blobs())
        total = sum(one.size_bytes for one in items)
        return BlobList(items=items, revision=client.seen, total_bytes=total)

    show(session_of(context), read, _lines, watch=watch)


def _lines(session: Session, found: "BlobList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago
    from omnitide.model.quantity import format_bytes

    if not found.items:
        return ["no blobs"]
    rows = [
        [one.digest, format_bytes(one.size_bytes), ago(one.put_ms), ", ".join(one.used_by) or "-"]
        for one in found.items
    ]
    return table(_COLUMNS, rows, color=session.color, width=width)


@app.command()
def get(
    context: typer.Context,
    digest: _Digest,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to; - is standard output.")] = "-",
) -> None:
    """Fetch a blob. A file gets its name only when it is complete and has the right digest."""
    from omnitide.cli.exits import Failure

    session = session_of(context)
    with session.client() as client:
        whole, size = _find(client, digest)
        progress = _Progress(session, "fetched", size)
        hashed = hashlib.sha256()
        target = sys.stdout.buffer if file == "-" else None
        partial = Path(f"{file}.{os.getpid()}.partial")
        try:
            with (
                contextlib.nullcontext(target) if target is not None else open(partial, "wb") as into,
                hearing(session),
            ):
                for piece in client.get_blob(whole):
                    hashed.update(piece)
                    into.write(piece)
                    progress.more(len(piece))
                into.flush()
            progress.done()
            if f"sha256:{hashed.hexdigest()}" != whole:
                raise Failure(f"what came has the digest sha256:{hashed.hexdigest()}", "try again")
            if target is None:
                partial.replace(file)
        except OSError as error:
            raise Failure(f"{file} cannot be written: {error.strerror or error}") from None
        finally:
            partial.unlink(missing_ok=True)


@app.command()
def rm(context: typer.Context, digest: _Digest) -> None:
    """Remove a blob that nothing uses."""
    session = session_of(context)
    with session.client() as client:
        removed = client.remove_blob(_find(client, digest)[0])
    if session.plain:
        session.emit(removed)
    else:
        session.say(f"  {removed.digest} removed")


def _find(client: "Client", digest: str) -> tuple[str, int]:
    """The whole digest of a beginning, and the blob's size. Raises Failure."""
    from omnitide.cli.exits import Exit, Failure

    start = digest if digest.startswith("sha256:") else f"sha256:{digest}"
    found = [one for one in client.blobs() if one.digest.startswith(start)]
    if not found:
        raise Failure(f"there is no blob {digest}", "omnitide blob ls", Exit.NOT_FOUND)
    if len(found) > 1:
        raise Failure(f"{digest} is the beginning of {len(found)} blobs", "give more of it", Exit.USAGE)
    return found[0].digest, found[0].size_bytes


class _Progress:
    """A line on a terminal that says how far it has come; nothing elsewhere."""

    def __init__(self, session: Session, verb: str, size: int) -> None:
        self._verb = verb
        self._size = size
        self._shown = sys.stderr.isatty() and not session.quiet
        self._at = 0
        self._last = 0.0

    def more(self, count: int) -> None:
        self._at += count
        now = time.monotonic()
        if self._shown and now - self._last > 0.2:
            self._last = now
            self._print("")

    def done(self) -> None:
        if self._shown and self._at > PIECE:
            self._print("\n")

    def _print(self, end: str) -> None:
        from omnitide.model.quantity import format_bytes

        of = f" of {format_bytes(self._size)}, {100 * self._at // self._size} %" if self._size else ""
        print(f"\r  {self._verb} {format_bytes(self._at)}{of}\x1b[K", end=end, file=sys.stderr, flush=True)
