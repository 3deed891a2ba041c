"""Events of instances: from their making to their end."""

import msgspec

from omnitide.fabric.kinds.base import BaseEvent
from omnitide.fabric.state import ExitRecord, Health, WorkloadKind


class SlotGeneration(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    slot: int
    generation: int


class InstancesCreated(BaseEvent, frozen=True, kw_only=True, tag="instance.created.v1"):
    """New generations, waiting for a node. Ids follow: `<workload>.<slot>.<generation>`."""

    workload_kind: WorkloadKind
    workload: str
    version: int
    slots: tuple[SlotGeneration, ...]
    not_before_ms: int = 0
    avoid: str = ""
    reason: str = ""
    """Empty, rescheduled, or restart: a finished slot that someone asked to try again. update, migrated or drain: the
    generation before runs on until this one is available."""
    permanent_failures: int = 0
    """Generations in a row before these that failed with a permanent cause."""
    avoid_also: tuple[str, ...] = ()
    """Nodes, besides `avoid`, on which those failed."""
    node: str = ""
    """The only node that they are placed on, while that is in the fabric."""
    spent: int = 0
    """Generations in a row before these that count against `restart.reschedules`."""
    ends_before: int = 0
    """Attempts in a row of the generations before these that ended by themselves."""


class Placement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    instance: str
    cpu_milli: int
    memory_bytes: int
    ports: tuple[tuple[str, int], ...] = ()


class InstancesPlaced(BaseEvent, frozen=True, kw_only=True, tag="instance.placed.v1"):
    node: str
    placements: tuple[Placement, ...]


class InstanceStarting(BaseEvent, frozen=True, kw_only=True, tag="instance.starting.v1"):
    instance: str
    attempt: int


class InstanceRunning(BaseEvent, frozen=True, kw_only=True, tag="instance.running.v1"):
    instance: str
    attempt: int
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    health: Health = Health.UNKNOWN


class InstanceExited(BaseEvent, frozen=True, kw_only=True, tag="instance.exited.v1"):
    """An attempt ended and the node starts another at `next_attempt_ms`."""

    instance: str
    exit: ExitRecord
    next_attempt_ms: int = 0


class InstanceHealthChanged(BaseEvent, frozen=True, kw_only=True, tag="instance.health-changed.v1"):
    instance: str
    health: Health
    message: str = ""
    """Why it is unhealthy."""
    unready_ms: int = 0
    """Log time at which it ceased to be healthy; 0: it is, or had not been since it came to run. Never in the oldest
    ones."""


class InstanceStopRequested(BaseEvent, frozen=True, kw_only=True, tag="instance.stop-requested.v1"):
    instance: str
    reason: str
    """scaled-down, update, restart, drain, stopped, deleted, cancelled, merged, superseded, replaced."""


class InstanceEnded(BaseEvent, frozen=True, kw_only=True, tag="instance.ended.v1"):
    """It is not on any node any more. `status`: stopped, succeeded, failed or lost."""

    instance: str
    status: str
    exit: ExitRecord | None = None
    asked: bool | None = None
    """This end is one that somebody asked for: the attempt had not ended by itself before. None: of a release that did
    not tell, whose ends leave `asked_ends` as it is."""


class InstancesLost(BaseEvent, frozen=True, kw_only=True, tag="instance.lost.v1"):
    """Their node has been silent for too long. They may come back with it."""

    node: str
    instances: tuple[str, ...]


class InstanceRecovered(BaseEvent, frozen=True, kw_only=True, tag="instance.recovered.v1"):
    """One that was given up is its slot's current one again: it came back running, or it had done its work."""

    instance: str
    attempt: int
