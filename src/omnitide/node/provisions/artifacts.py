"""Artifacts: fetched by URL or from the fabric's own store, checked, kept, and laid where their instance finds them."""

import asyncio
import contextlib
import hashlib
import stat
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

from omnitide.drivers.protocol import DriverError, Mount, Progress
from omnitide.model.provisions import Artifact
from omnitide.node.provisions import fetching
from omnitide.node.provisions.cache import Cache
from omnitide.node.provisions.errors import of_disk, permanent, transient
from omnitide.node.provisions.supply import Supply, SupplyAway, SupplyRefused
from omnitide.node.provisions.tree import Owner, PathUnsafe, Tree, parts_of
from omnitide.node.provisions.unpacking import unpack
from omnitide.node.turns import Turns

MAX_DOWNLOADS: Final = 8
"""Artifacts that are fetched at once; further ones wait their turn."""
MAX_OF_ONE_SERVER: Final = 4
"""Of those: one that hangs leaves the rest to the others."""
MAX_LAYING: Final = 4
"""That are unpacked or copied at once."""
DEADLINE: Final = 1800.0
"""For each of them."""
BLOB_TRIES: Final = 4
BLOB_WAIT_S: Final = 1.0
_MEBIBYTE: Final = 1 << 20

T = TypeVar("T")


class Artifacts:
    """Of all instances of this node."""

    def __init__(self, cache: Cache, supply: Supply, most: int) -> None:
        """`most`: bytes of one artifact, and of all that an archive holds."""
        self._cache = cache
        self._supply = supply
        self._most = most
        self._downloads = Turns("fetch", "downloads", MAX_DOWNLOADS)
        self._servers: WeakValueDictionary[str, Turns] = WeakValueDictionary()
        """While something is fetched from them."""
        self._laying = Turns("lay out", "artifacts", MAX_LAYING)
        # Threads of their own: by a few slow servers all that the rest of the node does in threads would wait.
        self._fetchers = ThreadPoolExecutor(MAX_DOWNLOADS, thread_name_prefix="fetch")
        self._layers = ThreadPoolExecutor(MAX_LAYING, thread_name_prefix="lay-out")
        self._laid: dict[str, dict[int, str]] = {}
        """What was laid out for an instance, by number, with its digest: once is enough for all of its attempts."""

    async def lay(
        self, instance: str, artifacts: tuple[Artifact, ...], directory: str, owner: Owner | None, told: Progress
    ) -> list[Mount]:
        """All artifacts of an instance below its directory; returns them as mounts too. Raises DriverError."""
        laid = self._laid.setdefault(instance, {})
        mounts: dict[str, Mount] = {}
        for number, artifact in enumerate(artifacts):
            path = path_of(artifact)
            if number not in laid or not await asyncio.to_thread(Path(directory).is_dir):
                laid[number] = await self._one(instance, artifact, path, directory, owner, told)
            if path:
                mounts[path] = Mount(source=f"{directory}/{path}", target=path)
        return list(mounts.values())

    def forget(self, instance: str) -> None:
        self._laid.pop(instance, None)

    def close(self) -> None:
        """Let go of the threads."""
        for threads in (self._fetchers, self._layers):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _one(
        self, instance: str, artifact: Artifact, path: str, directory: str, owner: Owner | None, told: Progress
    ) -> str:
        source = artifact.source
        blob = source.startswith("sha256:")
        expected = source if blob else artifact.checksum or ""

        async def fetch(into: Path) -> str:
            what = _short(source)
            # Who waits for a server has no turn of the others'; and only what is fetched then has an end.
            async with self._of(source).turn(what, told, None), self._downloads.turn(what, told, DEADLINE):
                if blob:
                    digest = await self._blob(instance, source, into, told)
                else:
                    digest = await self._url(source, into, told)
            for wanted in (expected, artifact.checksum or ""):
                if wanted and digest != wanted:
                    raise permanent(f"artifact {source} has the digest {digest}, not {wanted}", "checksum")
            return digest

        if self._cache.fetching(expected or source):
            told(f"waiting for {_short(source)}, which is being fetched for another instance")
        try:
            async with self._cache.get(expected or source, expected, fetch) as (digest, file):
                what = path or "an archive"
                async with self._laying.turn(what, told, DEADLINE):
                    told(f"laying out {what}")
                    await _in_thread(
                        self._layers, lambda stop: _lay(file, artifact, path, directory, owner, self._most, stop)
                    )
        except PathUnsafe as error:
            raise permanent(f"artifact {source}: {error}", "artifact-unsafe") from None
        except OSError as error:
            raise of_disk(error, f"artifact {source}") from None
        except DriverError as error:
            if source in str(error):
                raise
            message = f"artifact {source}: {error}"
            raise DriverError(message, cause=error.cause, permanent=error.permanent) from None
        return digest

    def _of(self, source: str) -> Turns:
        """The turns of the server of a source."""
        server = urlsplit(source).netloc.rpartition("@")[2] or "the fabric's store"
        turns = self._servers.get(server)
        if turns is None:
            turns = self._servers[server] = Turns("fetch", f"downloads from {server}", MAX_OF_ONE_SERVER)
        return turns

    async def _url(self, url: str, into: Path, told: Progress) -> str:
        loop = asyncio.get_running_loop()

        def so_far(size: int, total: int) -> None:
            loop.call_soon_threadsafe(told, _progress(url, size, total))

        told(f"fetching {url}")
        return await _in_thread(self._fetchers, lambda stop: fetching.fetch(url, into, self._most, so_far, stop))

    async def _blob(self, instance: str, digest: str, into: Path, told: Progress) -> str:
        """From Nexus, going on where a broken connection left off."""
        told(f"fetching {_short(digest)}")
        hashed, size, tries = hashlib.sha256(), 0, 0
        with await asyncio.to_thread(open, into, "wb") as file:
            while True:
                before = size
                try:
                    async for piece in self._supply.blob(instance, digest, size):
                        size += len(piece)
                        if size > self._most:
                            raise permanent(
                                f"it is larger than {self._most} bytes (node.max_artifact_bytes)", "artifact-too-large"
                            )
                        hashed.update(piece)
                        file.write(piece)
                        if size // (16 * _MEBIBYTE) != before // (16 * _MEBIBYTE):
                            told(_progress(_short(digest), size, 0))
                    return f"sha256:{hashed.hexdigest()}"
                except SupplyRefused as error:
                    if error.absent:
                        raise permanent("there is no such blob in the fabric's store", "artifact-missing") from None
                    raise transient(f"Nexus does not give it: {error}", "artifact-unreachable") from None
                except SupplyAway as error:
                    tries = 1 if size > before else tries + 1
                    if tries >= BLOB_TRIES:
                        raise transient(f"Nexus cannot be reached: {error}", "artifact-unreachable") from None
                    await asyncio.sleep(BLOB_WAIT_S * tries)


def path_of(artifact: Artifact) -> str:
    """Where it is, below the instance's directory; empty for an archive that is unpacked there itself."""
    if artifact.path:
        return "/".join(parts_of(artifact.path))
    if artifact.unpack:
        return ""
    if artifact.source.startswith("sha256:"):
        return artifact.source.removeprefix("sha256:")[:12]
    name = unquote(urlsplit(artifact.source).path).rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".", "..") and "\0" not in name and "/" not in name else "artifact"


def _lay(
    file: Path,
    artifact: Artifact,
    path: str,
    directory: str,
    owner: Owner | None,
    most: int,
    stop: threading.Event,
) -> None:
    parts = parts_of(path)
    with Tree(directory, owner) as tree:
        if artifact.unpack:
            if parts:
                tree.directory(parts)
            unpack(file, tree, parts, most, stop)
            return
        with open(file, "rb") as source:
            mode = 0o755 if artifact.executable else 0o644
            tree.file(parts, _chunks(source.read, stop), stat.S_IMODE(mode))


def _chunks(read: Callable[[int], bytes], stop: threading.Event):
    while chunk := read(fetching.CHUNK):
        if stop.is_set():
            raise fetching.CalledOff
        yield chunk


def _short(source: str) -> str:
    return source[:19] if source.startswith("sha256:") else source


def _progress(what: str, size: int, total: int) -> str:
    of = f" of {total / _MEBIBYTE:.1f}" if total else ""
    return f"fetching {what}, {size / _MEBIBYTE:.1f}{of} MiB"


async def _in_thread(threads: Executor, work: Callable[[threading.Event], T]) -> T:
    """Run it in a thread of these; called off, it is waited for, so that nothing is written behind anybody's back."""
    stop = threading.Event()
    task: Awaitable[T] = asyncio.get_running_loop().run_in_executor(threads, work, stop)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        with contextlib.suppress(Exception):
            await task
        raise
