"""What the fabric knows of a node: what its machine declares, what is placed on it, and how it is reached.

Part of `state`, which says what holds for all of it.
"""

import enum

import msgspec
from immutables import Map


class DriverFact(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    name: str
    version: str = ""
    healthy: bool = True
    detail: str = ""
    enforces: tuple[str, ...] = ()
    absent: bool = False
    """Not healthy only because what it needs is not installed there, and nobody said that it should be."""
    silent: bool = False
    """Its runtime does not answer the node: what it runs there is not known."""


class NodeFacts(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What a machine declares of itself."""

    labels: dict[str, str] = {}
    cpu_milli: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    drivers: tuple[DriverFact, ...] = ()
    port_first: int = 0
    port_last: int = 0
    address: str = ""
    platform: dict[str, str] = {}
    software: str = ""
    boot_id: str = ""
    devices: tuple[str, ...] = ()
    """Paths, or directories of such, that its containers are given; `none` alone: none is. Empty: not told."""

    def driver(self, name: str) -> DriverFact | None:
        for fact in self.drivers:
            if fact.name == name:
                return fact
        return None


class NodeStatus(enum.StrEnum):
    JOINED = "joined"
    """Has an identity, has not connected yet."""
    LIVE = "live"
    UNREACHABLE = "unreachable"
    """Silent past its lease: what it runs is unknown."""
    LOST = "lost"
    """Unreachable for longer than the fabric waits: what may be replaced has been."""


class Scheduling(enum.StrEnum):
    OPEN = "open"
    CORDONED = "cordoned"
    DRAINING = "draining"
    DRAINED = "drained"


class Node(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    id: str
    name: str
    key_digest: str
    """Of the public key that is this node's identity."""
    facts: NodeFacts
    instances: Map[str, None]
    """Ids of what is placed here, lost ones included until the node is back or gone."""
    ports: Map[int, str]
    """Host ports in use -> instance id; `!` for one that the node found taken by something else."""
    joined_ms: int
    since_ms: int
    revision: int
    status: NodeStatus = NodeStatus.JOINED
    scheduling: Scheduling = Scheduling.OPEN
    session: int = 0
    """Epoch of the newest session: 0 before the first, then above any that a node of this id ever had."""
    outbox: str = ""
    sequence: int = 0
    """Last report taken of that outbox."""
    used_cpu_milli: int = 0
    used_memory_bytes: int = 0
    join_labels: dict[str, str] = {}
    """Given by the fabric, with the token by which it joined or since (`LabelNode`); the node cannot change them."""
    next_key_digest: str = ""
    """Of the key that its newest certificate is for, until the node has shown it in a session; then it is the key."""
    departing: str = ""
    """Reason given with a goodbye; empty otherwise."""
    back_within_ms: int = 0
    stopped_ms: int = 0
    """When it said with its goodbye that its operator stops it (log time); 0: it did not, or has been back."""
    draining_since_ms: int = 0
    """Log time; 0: it is not being drained, or the log does not tell since when."""
    silent_drivers: dict[str, int] = {}
    """Of its drivers those whose runtime does not answer it, and since when (log time, ms)."""

    @property
    def left(self) -> bool:
        """It said goodbye for good, and not that its operator stopped it."""
        gone = self.status in (NodeStatus.UNREACHABLE, NodeStatus.LOST)
        return gone and bool(self.departing) and not (self.back_within_ms or self.stopped_ms)

    @property
    def schedulable(self) -> bool:
        """Live, open, and not about to leave."""
        return self.status is NodeStatus.LIVE and self.scheduling is Scheduling.OPEN and not self.departing
