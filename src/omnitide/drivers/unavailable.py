"""What stands for a driver that could not be loaded: it says why, and refuses everything else."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

from omnitide.drivers.protocol import DriverError, DriverInfo, Launch, LogChunk, Progress, Run, RunKey, Usage
from omnitide.drivers.streams import Exec, ExecRequest


class UnavailableDriver:
    """See `drivers.protocol.Driver`. `directory`: where the driver, if it ever ran here, has left something."""

    def __init__(self, name: str, reason: str, directory: str, *, absent: bool) -> None:
        self.name = name
        self._reason = reason
        self._directory = directory
        self._absent = absent

    def _error(self) -> DriverError:
        return DriverError(self._reason, cause="driver-unavailable", permanent=False)

    def _refuse(self) -> NoReturn:
        raise self._error()

    def _used(self) -> bool:
        """It may have runs here that only it can tell of."""
        with contextlib.suppress(OSError):
            return bool(os.listdir(self._directory))
        return False

    async def probe(self) -> DriverInfo:
        used = self._used()
        return DriverInfo(
            name=self.name,
            version="",
            healthy=False,
            detail=self._reason,
            absent=self._absent and not used,
            silent=used,
        )

    async def prepare(self, launch: Launch, progress: Progress) -> None:  # noqa: ARG002 - the protocol's, and below
        self._refuse()

    async def start(self, launch: Launch) -> Run:  # noqa: ARG002
        self._refuse()

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:  # noqa: ARG002
        self._refuse()

    async def signal(self, key: RunKey, signal: int) -> None:  # noqa: ARG002
        self._refuse()

    async def status(self, key: RunKey) -> Run | None:  # noqa: ARG002
        self._refuse()

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:  # noqa: ARG002
        self._refuse()

    async def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:  # noqa: ARG002
        self._refuse()
        yield b""

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:  # noqa: ARG002
        self._refuse()

    async def address(self, key: RunKey) -> str:  # noqa: ARG002
        self._refuse()

    async def recover(self) -> list[Run]:
        if self._used():
            self._refuse()
        return []

    async def remove(self, key: RunKey) -> None:  # noqa: ARG002
        self._refuse()

    async def remove_instance(self, instance: str) -> None:  # noqa: ARG002
        self._refuse()

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:  # noqa: ARG002
        self._refuse()

    async def watch(self) -> AsyncIterator[Run]:
        if self._used():
            self._refuse()
        # Nothing changes until the node proxy is started anew.
        await asyncio.Event().wait()
        self._refuse()
        yield

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:  # noqa: ARG002
        return {}

    async def logs(
        self,
        instance: str,  # noqa: ARG002
        *,
        tail_lines: int | None = None,  # noqa: ARG002
        since_ms: int = 0,  # noqa: ARG002
        after: str = "",  # noqa: ARG002
        follow: bool = False,  # noqa: ARG002
    ) -> AsyncIterator[LogChunk]:
        self._refuse()
        yield LogChunk(0, "", b"", 0)

    async def close(self) -> None:
        """Nothing was opened."""
