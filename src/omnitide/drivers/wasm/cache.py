"""Compiled modules on disk, by the digest of their content and the version of wasmtime: private to the node's user.

What lies there is machine code that is loaded as it is, so nobody else may write there.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
from typing import Final

import msgspec

from omnitide.drivers.protocol import DriverError, Progress

MAX_MODULE: Final = 512 << 20
COMPILE_S: Final = 300.0
MAX_FILES: Final = 256
"""Kept; those that were used longest ago go first."""
UNUSABLE: Final = 2


class Compiled(msgspec.Struct, frozen=True):
    path: str
    component: bool


class _Known(msgspec.Struct, frozen=True):
    """A file as it was when its content was read."""

    inode: int
    size: int
    changed_ns: int


class Cache:
    """Compiles each content once, also for many starts at a time."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._digests: dict[str, tuple[_Known, str, bool]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def compiled(self, path: str, version: str, progress: Progress) -> Compiled:
        """The compiled form of the module at `path`. Raises DriverError (`module-not-found`, `malformed-module`)."""
        digest, target, component, made = await asyncio.to_thread(self._look_up, path, version)
        if made:
            return Compiled(target, component)
        lock = self._locks.setdefault(target, asyncio.Lock())
        async with lock:
            if not await asyncio.to_thread(_touch, target):
                progress(f"compiling {os.path.basename(path)}")
                await self._compile(path, digest, target)
        if not lock.locked():
            self._locks.pop(target, None)
        return Compiled(target, component)

    def _look_up(self, path: str, version: str) -> tuple[str, str, bool, bool]:
        """Digest, where the compiled form belongs, whether it is a component, and is there. Raises DriverError."""
        digest, component = self._digest(path)
        target = os.path.join(self._directory, f"{digest}-{version}.cwasm")
        return digest, target, component, _touch(target)

    def _digest(self, path: str) -> tuple[str, bool]:
        """Digest of a module's content, and whether it is a component; read again only when the file has changed."""
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                now = _Known(status.st_ino, status.st_size, status.st_mtime_ns)
                known = self._digests.get(path)
                if known is not None and known[0] == now:
                    return known[1], known[2]
                if status.st_size > MAX_MODULE:
                    message = f"{path} has {status.st_size} bytes; {MAX_MODULE} are the most"
                    raise DriverError(message, cause="malformed-module", permanent=True)
                component = is_component(file.read(8))
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            message = f"the module {path} cannot be read: {error.strerror}"
            cause = "module-not-found" if isinstance(error, FileNotFoundError) else "permission"
            raise DriverError(message, cause=cause, permanent=True) from None
        if len(self._digests) >= MAX_FILES:
            self._digests.clear()
        self._digests[path] = (now, digest, component)
        return digest, component

    async def _compile(self, path: str, digest: str, target: str) -> None:
        await asyncio.to_thread(self._make_room)
        content = await asyncio.to_thread(_read, path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise DriverError(f"{path} changes while it is read", cause="module-not-found", permanent=False)
        command = [sys.executable, "-P", "-m", "omnitide.drivers.wasm.compiling", target]
        pipe = asyncio.subprocess.PIPE
        running = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
        try:
            async with asyncio.timeout(COMPILE_S):
                _, said = await running.communicate(content)
        except TimeoutError:
            message = f"{path} could not be compiled in {COMPILE_S:.0f} s"
            raise DriverError(message, cause="malformed-module", permanent=True) from None
        finally:
            if running.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    running.kill()
                await running.wait()
        if running.returncode:
            why = said.decode(errors="replace").strip()
            unusable = running.returncode == UNUSABLE
            message = f"{path}: {why[-500:] or f'the compiler ended with {running.returncode}'}"
            raise DriverError(message, cause="malformed-module" if unusable else "compiler", permanent=unusable)

    def _make_room(self) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        os.chmod(self._directory, 0o700)
        entries = sorted(os.scandir(self._directory), key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[: max(0, len(entries) - MAX_FILES + 1)]:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def is_component(header: bytes) -> bool:
    """By the layer in a binary's header: 0 is a module, 1 a component."""
    return header[:4] == b"\0asm" and header[6:8] == b"\1\0"


def _touch(path: str) -> bool:
    """Whether it is there; then it was used now."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_MODULE)
