"""Compiled modules on disk: private to the node's user, for what lies there is machine code that is loaded as it is.

A file is named by the digest of the module, the version of wasmtime, and its own digest: what was changed or cut off
since it was written does not fit its name, and is compiled again.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from typing import Final

import msgspec

from omnitide.drivers.protocol import Progress
from omnitide.drivers.wasm.compiler import MAX_AT_A_TIME, compile_module
from omnitide.drivers.wasm.source import FileState, Source, Sources, read, state_of

MAX_FILES: Final = 256
MAX_BYTES: Final = 1 << 30
"""Of all files together; those that were used longest ago go first. One alone is never larger."""
_ENDING: Final = ".cwasm"


class Compiled(msgspec.Struct, frozen=True):
    path: str
    component: bool


class Cache:
    """Compiles each content once, also for many starts at a time."""

    def __init__(self, directory: str, version: str, *, max_bytes: int = MAX_BYTES) -> None:
        """`version`: wasmtime's; what another one has compiled is not used."""
        self._directory = directory
        self._version = version
        self._max_bytes = max_bytes
        self._sources = Sources()
        self._sound: dict[str, tuple[str, FileState]] = {}
        """By prefix: compiled files whose content was seen to fit their name."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._compilers = asyncio.Semaphore(MAX_AT_A_TIME)

    async def compiled(self, path: str, progress: Progress) -> Compiled:
        """The compiled form of the module at `path`. Raises DriverError: see `source` and `compiler`."""
        module, prefix, target = await asyncio.to_thread(self._look_up, path)
        if not target:
            lock = self._locks.setdefault(prefix, asyncio.Lock())
            async with lock:
                target = await asyncio.to_thread(self._find, prefix)
                if not target:
                    progress(f"compiling {os.path.basename(path)}")
                    target = await self._compile(module, prefix)
            if not lock.locked():
                self._locks.pop(prefix, None)
        return Compiled(target, module.component)

    async def discard(self, compiled: Compiled) -> None:
        """Of a form that cannot be loaded, whatever its name says."""
        await asyncio.to_thread(_unlink, compiled.path)

    def _look_up(self, path: str) -> tuple[Source, str, str]:
        """The module, what its compiled forms' paths begin with, and the path of one; empty: there is none."""
        module = self._sources.look_up(path)
        prefix = os.path.join(self._directory, f"{module.digest}-{self._version}")
        return module, prefix, self._find(prefix)

    def _find(self, prefix: str) -> str:
        """A compiled form that is sound, used now; what is not is removed."""
        known = self._sound.get(prefix)
        if known is not None and _use(known[0]) == known[1]:
            return known[0]
        self._sound.pop(prefix, None)
        start = f"{os.path.basename(prefix)}-"
        for entry in _entries(self._directory):
            if entry.name.startswith(start) and entry.name.endswith(_ENDING):
                state = _check(entry.path, entry.name[len(start) : -len(_ENDING)])
                if state is not None:
                    self._note(prefix, entry.path, state)
                    return entry.path
                _unlink(entry.path)
        return ""

    def _note(self, prefix: str, path: str, state: FileState) -> None:
        if len(self._sound) >= MAX_FILES:
            self._sound.clear()
        self._sound[prefix] = (path, state)

    async def _compile(self, module: Source, prefix: str) -> str:
        async with self._compilers:
            content = await asyncio.to_thread(read, module)
            await asyncio.to_thread(self._prepare)
            made = await compile_module(content, module.path, prefix, self._max_bytes)
        path = f"{prefix}-{made}{_ENDING}"
        await asyncio.to_thread(self._settle, prefix, path)
        return path

    def _prepare(self) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        os.chmod(self._directory, 0o700)

    def _settle(self, prefix: str, path: str) -> None:
        """Take note of a new file, and let others go for it."""
        state = _use(path)
        if state is not None:
            self._note(prefix, path, state)
        found: list[tuple[int, int, str]] = []
        for entry in _entries(self._directory):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_atime_ns, status.st_size, entry.path))
        found.sort(reverse=True)
        size = 0
        for number, (_, one, old) in enumerate(found):
            size += one
            if old != path and (number >= MAX_FILES or size > self._max_bytes):
                _unlink(old)


def _entries(directory: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except FileNotFoundError:
        return []


def _check(path: str, expected: str) -> FileState | None:
    """The file's state if its content has that digest; used now."""
    try:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                return None
    except OSError:
        return None
    return _use(path)


def _use(path: str) -> FileState | None:
    """Take note, in the time of access, that it was used now; its state, or None where it is not there."""
    try:
        status = os.stat(path)
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
    except OSError:
        return None
    return state_of(status)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
