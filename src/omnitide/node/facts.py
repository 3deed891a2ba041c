"""What a node is and how busy it is, as plain data; `host` reads it from the machine, the simulation makes it up."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from omnitide.drivers.protocol import DriverInfo, PortBinding


class Facts(msgspec.Struct, frozen=True):
    """What a machine is and has. Sent when it changes."""

    name: str
    labels: Mapping[str, str] = {}
    cpu_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    drivers: tuple[DriverInfo, ...] = ()
    port_first: int = 0
    port_last: int = 0
    """Range of host ports for instances, inclusive; 0 for none."""
    address: str = ""
    """Where this node's ports can be reached, as the node believes."""
    platform: Mapping[str, str] = {}
    devices: tuple[str, ...] = ()
    """Paths, or directories of such, that containers are given; `none` alone: none is. Empty: not told."""


class HostUse(msgspec.Struct, frozen=True):
    """What the host uses now. Network: counters since boot."""

    cpu_milli_used: int = 0
    memory_used_bytes: int = 0
    disk_used_bytes: int = 0
    network_received_bytes: int = 0
    network_sent_bytes: int = 0
    load_milli: int = 0
    """One-minute load average in thousandths."""


class Host(Protocol):
    """The machine under a node."""

    def facts(self) -> Facts:
        """As it is now, without drivers."""
        ...

    def use(self) -> HostUse: ...

    def busy_port(self, ports: Sequence[PortBinding]) -> int | None:
        """The number of the first of these that cannot be bound."""
        ...
