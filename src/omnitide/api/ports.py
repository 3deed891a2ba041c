"""Ports of Nexus: those that it was told, or took and takes again, as nodes and profiles know them; and why not."""

import errno
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar, cast

from omnitide.model.addresses import host_port
from omnitide.security.private_files import write_private

T = TypeVar("T")

PORTS_FILE: Final = "ports.json"


class PortUnavailable(OSError):
    """A port that is asked for by name cannot be had."""

    def __init__(self, error: OSError, name: str, host: str, port: int) -> None:
        address = host_port(host, port)
        if error.errno == errno.EADDRINUSE:
            why = f"{address} is taken{_holder(port)}."
        else:
            why = f"{address} cannot be listened on: {os.strerror(error.errno) if error.errno else error}."
        text = f"{why} Another port: --{name}-port, or nexus.{name}_port in the settings; 0 takes a free one"
        super().__init__(error.errno, text)
        self.name = name
        self.port = port

    def __str__(self) -> str:
        return str(self.strerror)


class Ports:
    """Of one data directory. Each listener has a name: api, node, grpc."""

    def __init__(self, data: Path, host: str = "127.0.0.1") -> None:
        """`host`: the IP address that is listened on."""
        self._path = data / PORTS_FILE
        self._host = host
        self._before = _read(self._path)

    def check(self, **ports: int) -> None:
        """Whether those that were chosen can be had. Raises PortUnavailable."""
        for name, port in ports.items():
            if port:
                try:
                    _probe(self._host, port)
                except OSError as error:
                    raise PortUnavailable(error, name, self._host, port) from None

    async def listen(self, name: str, configured: int, start: Callable[[int], Awaitable[T]]) -> T:
        """What `start` makes of the port: the one configured; for 0 the one of last time, or if that is taken, any.

        Raises OSError if none can be had, PortUnavailable if that is for the port.
        """
        last = self._before.get(name, 0)
        if configured == 0 and last:
            try:
                return await start(last)
            except OSError:
                pass
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


def _probe(host: str, port: int) -> None:
    """Raises OSError."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As those who will listen: a connection of last time that lingers is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _holder(port: int) -> str:
    """Who listens there, as far as this user may know."""
    import psutil

    try:
        listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        pid = next(one.pid for one in listening if one.laddr and one.laddr.port == port and one.pid)
        return f" by process {pid} ({psutil.Process(pid).name()})"
    except (psutil.Error, OSError, StopIteration):
        return ", by a process that this user may not see"


def _read(path: Path) -> dict[str, int]:
    try:
        told: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict):
        return {}
    pairs = cast("dict[str, object]", told).items()
    return {name: port for name, port in pairs if isinstance(port, int) and 0 < port < 65536}
