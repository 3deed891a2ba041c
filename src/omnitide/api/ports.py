"""Ports of Nexus: those that it was told, or took and takes again, as nodes and profiles know them; and why not."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, cast

from omnitide.config.ports import check_ports
from omnitide.security.private_files import write_private

T = TypeVar("T")

PORTS_FILE: Final = "ports.json"


TRIES: Final = 5
AGAIN_S: Final = 0.2
"""Between tries of the port of last time."""


class Ports:
    """Of one data directory. Each listener has a name: api, node, grpc."""

    def __init__(self, data: Path, host: str = "127.0.0.1") -> None:
        """`host`: the IP address that is listened on."""
        self._path = data / PORTS_FILE
        self._host = host
        self._before = _read(self._path)

    def check(self, **ports: int) -> None:
        """Whether those that were chosen can be had. Raises PortUnavailable."""
        check_ports(self._host, **ports)

    async def listen(self, name: str, configured: int, start: Callable[[int], Awaitable[T]]) -> T:
        """What `start` makes of the port: the one configured; for 0 the one of last time, or if that is taken, any.

        Raises OSError if none can be had, PortUnavailable if that is for the port.
        """
        last = self._before.get(name, 0)
        if configured == 0 and last:
            # Others know it, and what has it may be some outgoing connection that is gone in a moment.
            for _ in range(TRIES):
                with contextlib.suppress(OSError):
                    return await start(last)
                await asyncio.sleep(AGAIN_S)
        try:
            return await start(configured)
        except OSError:
            # gRPC says that it cannot, but not why.
            self.check(**{name: configured})
            raise

    def remember(self, **ports: int) -> None:
        """Raises OSError."""
        if ports != self._before:
            write_private(self._path, json.dumps(ports).encode())


def _read(path: Path) -> dict[str, int]:
    try:
        told: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    pairs = cast("dict[str, object]", told).items()
    return {name: port for name, port in pairs if isinstance(port, int) and 0 < port < 65536}
