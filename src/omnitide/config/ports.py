"""Whether a port that was chosen can be listened on, and if not, why and who has it."""

import errno
import os
import socket

from omnitide.model.addresses import host_port


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


def check_ports(host: str, **ports: int) -> None:
    """Whether those that were chosen can be had; 0 always can. Each has a name: api, node, grpc.

    `host`: the IP address that is to be listened on. Raises PortUnavailable.
    """
    for name, port in ports.items():
        if port:
            try:
                _probe(host, port)
            except OSError as error:
                raise PortUnavailable(error, name, host, port) from None


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
