"""What a node proxy says of itself to whoever asks on its machine: `node.json`, which is there while it runs."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from omnitide.security.private_files import write_private
from omnitide.telemetry import logs

log = logs.get(__name__)

READY_FILE: Final = "node.json"
LOOK_EVERY_S: Final = 1.0
"""From one look at the session to the next; a welcome is told at once."""


class Telling:
    """Process, name, and whether Nexus has welcomed it. Written when something of it changes, and at no other time."""

    def __init__(self, folder: Path, node_id: str, name: str, endpoint: Callable[[], str]) -> None:
        self._path = folder / READY_FILE
        self._who: dict[str, object] = {"pid": os.getpid(), "node_id": node_id, "name": name}
        self._endpoint = endpoint
        self._told: tuple[bool, str, bool] | None = None
        """What the file says; None: not that of this process."""
        self._leaving = False

    def begin(self) -> None:
        """Where the disk has no room, there is no file until it has: the node goes on, for it is who makes room."""
        self._tell(connected=False)

    def welcomed(self) -> None:
        self._tell(connected=True)

    def leaving(self) -> None:
        """It was heard that all that runs here is going to be ended: now that may begin."""
        self._leaving = True
        self._tell(connected=self._told is not None and self._told[0])

    async def run(self, connected: Callable[[], bool]) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._tell(connected=connected())

    def end(self) -> None:
        self._path.unlink(missing_ok=True)

    def _tell(self, *, connected: bool) -> None:
        now = (connected, self._endpoint(), self._leaving)
        if now == self._told:
            return
        try:
            self._write(connected, self._endpoint())
        except OSError as error:
            if self._told is None:
                # That of a process before this one would be believed.
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
                    log.debug("there is no room to tell of this process", file=str(self._path), error=str(error))
        else:
            self._told = now

    def _write(self, connected: bool, endpoint: str) -> None:
        """Raises OSError."""
        since_ms = time.time_ns() // 1_000_000
        document = {
            **self._who,
            "endpoint": endpoint,
            "connected": connected,
            "since_ms": since_ms,
            "leaving": self._leaving,
        }
        write_private(self._path, json.dumps(document).encode(), passable=True)
