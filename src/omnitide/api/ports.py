"""Ports that Nexus was not told but took: the same again at its next start, as nodes and profiles know them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, cast

from omnitide.security.private_files import write_private

T = TypeVar("T")

PORTS_FILE: Final = "ports.json"


class Ports:
    """Of one data directory. Each listener has a name: api, node, grpc."""

    def __init__(self, data: Path) -> None:
        self._path = data / PORTS_FILE
        self._before = _read(self._path)

    async def listen(self, name: str, configured: int, start: Callable[[int], Awaitable[T]]) -> T:
        """What `start` makes of the port: the one configured; for 0 the one of last time, or if that is taken, any.

        Raises OSError if none can be had.
        """
        last = self._before.get(name, 0)
        if configured == 0 and last:
            try:
                return await start(last)
            except OSError:
                pass
        return await start(configured)

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
