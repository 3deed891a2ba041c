"""Files of a run, by `tar` inside it: with its user's rights and its view of the machine, and none beyond."""

import asyncio
import posixpath
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final

from omnitide.drivers import unsized
from omnitide.drivers.protocol import DriverError
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest

MAX_TOLD: Final = 2000
"""Characters of what tar complains of."""
_ABSENT: Final = 44
_NO_TAR: Final = 45
_UNSIZED: Final = 46
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHIVE: Final = f"""
if [ ! -e "$1/$2" ] && [ ! -L "$1/$2" ]; then exit {_ABSENT}; fi
where=$(cd -P "$1" && pwd -P)
case "${{where%/}}/$2/" in {"|".join(f"{folder}/*" for folder in unsized.FOLDERS)}) exit {_UNSIZED} ;; esac
command -v tar > /dev/null || exit {_NO_TAR}
exec tar -cf - -C "$1" -- "$2"
"""
_EXTRACT: Final = f"""
if [ ! -d "$1" ]; then exit {_ABSENT}; fi
command -v tar > /dev/null || exit {_NO_TAR}
exec tar -xpf - --no-same-owner -C "$1"
"""
"""tar itself leaves out what would land elsewhere: absolute names, `..`, and ways through links that it has made."""

Run = Callable[[ExecRequest], Awaitable[Exec]]


def checked(path: str) -> str:
    """A path without a way out: absolute, or below the run's directory. Raises DriverError."""
    if not path or "\0" in path:
        raise DriverError("a path is needed, without NUL", cause="invalid", permanent=True)
    if path.startswith("/"):
        return posixpath.normpath(path)
    if ".." in path.split("/"):
        message = f"{path}: a relative path is below the instance's directory, and .. leads out of it"
        raise DriverError(message, cause="path-escape", permanent=True)
    return posixpath.normpath(path)


async def archive(run: Run, path: str) -> AsyncGenerator[bytes]:
    """A file or directory as a tar stream, under its own name. Raises DriverError."""
    path = checked(path)
    folder, name = posixpath.split(path)
    talk = await run(_request(_ARCHIVE, posixpath.join(".", folder), name or "."))
    try:
        await talk.end_input()
        told = ""
        while isinstance(piece := await talk.receive(), ExecOutput):
            if piece.stream == "stdout":
                yield piece.data
            else:
                told = (told + piece.data.decode(errors="replace"))[:MAX_TOLD]
    finally:
        await talk.close()
    # 1: a file changed while it was read, which a living instance may do.
    if piece.code != 1:
        _check(piece, path, told, "archive-failed")


async def extract(run: Run, path: str, data: AsyncIterator[bytes]) -> None:
    """Unpack below a directory that is there. Raises DriverError."""
    path = checked(path)
    talk = await run(_request(_EXTRACT, path))
    told = ""
    ending: ExecEnded | None = None

    async def hear() -> None:
        nonlocal told, ending
        while isinstance(piece := await talk.receive(), ExecOutput):
            told = (told + piece.data.decode(errors="replace"))[:MAX_TOLD]
        ending = piece

    async def feed() -> None:
        async for piece in data:
            await talk.write(piece)
        await talk.end_input()

    hearing, feeding = asyncio.create_task(hear()), asyncio.create_task(feed())
    try:
        await asyncio.wait((hearing, feeding), return_when=asyncio.FIRST_COMPLETED)
        if feeding.done():
            feeding.result()
        await hearing
    finally:
        for task in (hearing, feeding):
            task.cancel()
        await asyncio.gather(hearing, feeding, return_exceptions=True)
        await talk.close()
    assert ending is not None
    _check(ending, path, told, "extract-failed")


def _request(script: str, *arguments: str) -> ExecRequest:
    command = ("/bin/sh", "-c", script, "omnitide-cp", *arguments)
    return ExecRequest(command=command, environment={"PATH": _PATH, "LC_ALL": "C"})


def _check(ending: ExecEnded, path: str, told: str, cause: str) -> None:
    if ending.code == 0:
        return
    if ending.code == _ABSENT:
        message = f"{path}: there is no such file or directory, or the instance's user may not see it"
        raise DriverError(message, cause="no-such-file", permanent=True)
    if ending.code == _UNSIZED:
        raise unsized.refusal(path)
    if ending.code == _NO_TAR:
        message = "copying needs the program tar where the instance runs, and there is none"
        raise DriverError(message, cause="unsupported", permanent=True)
    how = f"signal {ending.signal}" if ending.signal is not None else f"exit code {ending.code}"
    cause = "no-space" if "No space left" in told else cause
    raise DriverError(f"{path}: {told.strip() or f'tar ended with {how}'}", cause=cause, permanent=False)
