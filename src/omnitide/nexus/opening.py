"""A Nexus on a data directory: lock, keys and event log are opened, and it runs until whoever opened it is done."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from omnitide.config.settings import Settings
from omnitide.fabric.commands import Header, IssueToken
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import TokenPurpose
from omnitide.nexus.clock import Clock
from omnitide.nexus.identity import open_keyring
from omnitide.nexus.nexus import Nexus
from omnitide.nexus.values import ClosedValues
from omnitide.security.data_lock import lock_data
from omnitide.security.private_files import ensure_private_directory
from omnitide.store.blobs import BlobLimits, DirectoryBlobs
from omnitide.store.protocol import LogCorrupt, LogError, LogLocked, LogUnavailable
from omnitide.store.rocksdb import open_rocksdb_log
from omnitide.store.rollups import RollupStore, open_rollups
from omnitide.telemetry import logs

_log = logs.get(__name__)

LOCK_FILE: Final = "nexus.lock"
KEYS: Final = "keys"
LOG: Final = "log"
BLOBS: Final = "blobs"
SECRETS: Final = "secrets"
SAMPLES: Final = "samples"


class DataUnusable(Exception):
    """The event log cannot be opened or folded; the message says what to do."""

    def __init__(self, error: LogError) -> None:
        hint = (
            "; nothing was changed: put a copy of the whole data folder in its place, made while Nexus did not run, "
            "or begin a new fabric in another folder, which the nodes then have to join"
        )
        super().__init__(f"{error}{hint if isinstance(error, LogCorrupt) else ''}")
        self.why: Literal["held", "damaged", "trouble"] = "trouble"
        """Another process has it open; it stays so by itself; or a disk that is full or away, which may pass."""
        if isinstance(error, LogLocked):
            self.why = "held"
        elif isinstance(error, LogCorrupt):
            self.why = "damaged"


@contextlib.asynccontextmanager
async def open_nexus(
    data: Path, clock: Clock, settings: Callable[[], Settings], environment: Mapping[str, str]
) -> AsyncGenerator[Nexus]:
    """Start the Nexus of a data directory, made at the first start; at the end it is closed in order.

    Raises DataInUse, DataUnusable, SecurityError, WrongFabric, OSError.
    """
    ensure_private_directory(data)
    with lock_data(data, LOCK_FILE, "Nexus"):
        keyring = open_keyring(data / KEYS, clock, environment)
        try:
            log = await open_rocksdb_log(data / LOG)
        except LogError as error:
            raise DataUnusable(error) from error
        try:
            try:
                nexus = await Nexus.start(
                    log,
                    keyring,
                    clock,
                    settings,
                    blobs=DirectoryBlobs(data / BLOBS, lambda: _blob_limits(settings())),
                    values=ClosedValues.at(data / SECRETS, keyring.secrets_key),
                    rollups=_rollups(data / SAMPLES),
                )
            except LogError as error:
                raise DataUnusable(error) from error
            try:
                yield nexus
            finally:
                await nexus.close()
        finally:
            await log.close()


def _rollups(path: Path) -> RollupStore | None:
    """A Nexus whose samples cannot be kept serves all the same."""
    try:
        return open_rollups(path)
    except LogUnavailable as error:
        _log.error("samples by the minute are not kept", error=str(error))
        return None


def _blob_limits(settings: Settings) -> BlobLimits:
    return BlobLimits(total=settings.limits.blob_bytes, blob=settings.limits.max_blob_bytes)


async def issue_admin_token(nexus: Nexus) -> str:
    """A new administrator's token, for whoever owns the data directory. Raises OSError if it cannot be made."""
    token = nexus.new_token(TokenPurpose.API)
    command = IssueToken(id=token.id, purpose=TokenPurpose.API, digest=token.digest, note="administrator")
    outcome = await nexus.submit(command, Header(principal="system:bootstrap"))
    if isinstance(outcome, Rejection):
        raise OSError(f"the administrator's token could not be made: {outcome.message}")
    return token.text
