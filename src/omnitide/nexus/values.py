"""Where the values of secrets and configs lie: closed in a blob store of their own, their keys beside it.

The order of things: a value is on disk before the log speaks of it, and is dropped only after the log has let go of it.
What a crash leaves between the two is found by `sweep`.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from omnitide.fabric.rules.secrets import MAX_PROVISIONS, MAX_VALUE_BYTES
from omnitide.fabric.state import FabricState, Provision
from omnitide.model.blobs import BlobError
from omnitide.operations.runtime import NotServing
from omnitide.security.clear_text import ClearText
from omnitide.security.errors import SecurityError
from omnitide.security.secrets import SecretKeys
from omnitide.store.blobs import BlobLimits, BlobStore, DirectoryBlobs
from omnitide.telemetry import logs

ORPHAN_S: Final = 3600.0
"""What no secret names any more is removed when it is so old: younger ones may be about to be told of."""
_LIMITS: Final = BlobLimits(total=2 * MAX_PROVISIONS * MAX_VALUE_BYTES, blob=2 * MAX_VALUE_BYTES + 1024)

_log = logs.get(__name__)


class ClosedValues:
    """Implements `operations.runtime.Values`."""

    def __init__(self, keys: SecretKeys, blobs: BlobStore) -> None:
        self._keys = keys
        self._blobs = blobs

    @classmethod
    def at(cls, folder: Path, secrets_key: bytes) -> "ClosedValues":
        """Below a folder. Raises SecurityError, OSError."""
        keys = SecretKeys(folder / "keys", secrets_key)
        return cls(keys, DirectoryBlobs(folder / "values", lambda: _LIMITS))

    def digest(self, identifier: str, value: ClearText) -> str:
        return self._keys.digest(identifier, value)

    async def put(self, identifier: str, value: ClearText) -> str:
        try:
            closed = await asyncio.to_thread(self._keys.close, identifier, value)
            blob = await self._blobs.put(_once(closed))
        except (OSError, BlobError, SecurityError) as error:
            raise NotServing(f"the value cannot be put away: {error}") from error
        return blob.digest

    async def open(self, provision: Provision) -> ClearText:
        try:
            closed = b"".join([piece async for piece in self._blobs.read(provision.blob)])
            return await asyncio.to_thread(self._keys.open, provision.id, closed)
        except (OSError, BlobError, SecurityError) as error:
            what = f"{provision.kind} {provision.namespace}/{provision.name}"
            raise NotServing(f"the value of {what} cannot be had: {error}; set it anew", retryable=False) from error

    async def drop(self, blob: str, identifier: str = "") -> None:
        try:
            if identifier:
                # First of all: without its key no copy of it can be read, wherever there are any.
                await asyncio.to_thread(self._keys.erase, identifier)
            await self._blobs.remove(blob)
        except (OSError, BlobError, SecurityError) as error:
            _log.warning("a closed value is removed later", error=str(error))

    async def sweep(self, state: FabricState) -> int:
        """Remove keys and values that nothing names. Returns how many. What fails is left for the next time."""
        removed = 0
        oldest = time.time() - ORPHAN_S
        try:
            for identifier, since in await asyncio.to_thread(self._keys.known):
                if since < oldest and identifier not in state.provisions:
                    await asyncio.to_thread(self._keys.erase, identifier)
                    removed += 1
            used = {one.blob for one in state.provisions.values()}
            for blob in await self._blobs.all():
                if blob.put_ms / 1000 < oldest and blob.digest not in used:
                    removed += await self._blobs.remove(blob.digest)
        except (OSError, BlobError, SecurityError) as error:
            _log.warning("closed values could not be swept", error=str(error))
        return removed


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
