"""Fetched artifacts by digest, for further instances that need the same; what was used longest ago goes first."""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Final

from omnitide.model.blobs import hex_of

_INCOMING: Final = "incoming"

Fetch = Callable[[Path], Awaitable[str]]
"""Fetches into a file and returns the digest of what came. Raises DriverError."""


class Cache:
    """A folder of this process's own."""

    def __init__(self, folder: Path, most: int) -> None:
        """`most`: bytes that are kept. Raises OSError."""
        self._folder = folder
        self._most = most
        self._locks: dict[str, asyncio.Lock] = {}
        self._used: dict[str, int] = {}
        """Digests that somebody reads now."""
        self._guard = threading.Lock()
        """Held from a look whether one is here, or is read, to what is done about it; room is made in threads."""
        incoming = folder / _INCOMING
        incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in incoming.iterdir():
            left.unlink(missing_ok=True)

    def fetching(self, key: str) -> bool:
        """Whether somebody fetches what is fetched by this key."""
        lock = self._locks.get(key)
        return lock is not None and lock.locked()

    @contextlib.asynccontextmanager
    async def get(self, key: str, digest: str, fetch: Fetch) -> AsyncGenerator[tuple[str, Path]]:
        """The digest and file of an artifact, fetched if it is not here; it stays while the context is open.

        `key`: what it is fetched by; of those with one key only one fetches at a time. `digest`: empty where nobody
        knows it before: then it is fetched anew. Raises whatever `fetch` does.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if not (digest and self._take(digest)):
                digest = await self._fetch(fetch)
        path = self._path(digest)
        try:
            with contextlib.suppress(OSError):
                os.utime(path)
            yield digest, path
        finally:
            self._release(digest)
            if not lock.locked():
                self._locks.pop(key, None)
            await asyncio.to_thread(self._trim)

    async def _fetch(self, fetch: Fetch) -> str:
        """The digest of what was fetched, and is taken."""
        partial = self._folder / _INCOMING / secrets.token_hex(8)
        try:
            digest = await fetch(partial)
            path = self._path(digest)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._guard:
                partial.replace(path)
                self._used[digest] = self._used.get(digest, 0) + 1
        finally:
            partial.unlink(missing_ok=True)
        return digest

    def _take(self, digest: str) -> bool:
        """Keep it here until it is released; False if it is not here."""
        with self._guard:
            if not self._path(digest).exists():
                return False
            self._used[digest] = self._used.get(digest, 0) + 1
            return True

    def _release(self, digest: str) -> None:
        with self._guard:
            self._used[digest] -= 1
            if not self._used[digest]:
                del self._used[digest]

    def _path(self, digest: str) -> Path:
        return self._folder / "sha256" / hex_of(digest)

    def _trim(self) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in (self._folder / "sha256").glob("*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._most:
                return
            if self._drop(path):
                total -= size

    def _drop(self, path: Path) -> bool:
        """Whether it is gone: not while somebody reads it. What is large is deleted without the guard."""
        aside = self._folder / _INCOMING / secrets.token_hex(8)
        with self._guard:
            if f"sha256:{path.name}" in self._used:
                return False
            try:
                path.replace(aside)
            except FileNotFoundError:
                return True
        aside.unlink(missing_ok=True)
        return True
