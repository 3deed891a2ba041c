"""Every fact that can be in the log, each with its kind and version.

How events evolve (the rule, checked by tests/unit/fabric/golden):
- A released (kind, version) is frozen: its fields, their defaults and what `evolve` makes of it never change.
- A field may be added to a released event only with a default under which an old record means what it meant.
- Anything else is a new version beside the old one (`agent.scaled.v2`); the old class and its `evolve` stay for ever.
- A new kind, version or field is emitted only once the log's feature level allows it (`feature_levels`), so that a
  replica of the release before never meets what it cannot fold; one that does stops with the name of what it does not
  know. To pass over an unknown field would be to fold another state than the leader's.
"""

from typing import Final, get_args

import msgspec

from omnitide.fabric.kinds.base import BaseEvent
from omnitide.fabric.kinds.fabric import (
    ConfigChanged,
    ConfigRemoved,
    FabricCreated,
    FeatureLevelRaised,
    NamespaceCreated,
    NamespaceDeleted,
    SecretChanged,
    SecretRemoved,
    TokenIssued,
    TokenRevoked,
    TokensForgotten,
    TokenUsed,
)
from omnitide.fabric.kinds.instances import (
    InstanceEnded,
    InstanceExited,
    InstanceHealthChanged,
    InstanceRecovered,
    InstanceRunning,
    InstancesCreated,
    InstancesLost,
    InstancesPlaced,
    InstanceStarting,
    InstanceStopRequested,
    Placement,
    SlotGeneration,
)
from omnitide.fabric.kinds.nodes import (
    NodeConnected,
    NodeCordoned,
    NodeDeparting,
    NodeDrained,
    NodeDrainStarted,
    NodeDriverAnswers,
    NodeDriverSilent,
    NodeFactsChanged,
    NodeJoined,
    NodeKeyChanged,
    NodeKeyOffered,
    NodeLabelled,
    NodeLost,
    NodePortRefused,
    NodeRemoved,
    NodeReported,
    NodeUncordoned,
    NodeUnreachable,
)
from omnitide.fabric.kinds.workloads import (
    AgentCreated,
    AgentDeleted,
    AgentRemoved,
    AgentRestarted,
    AgentRolledBack,
    AgentScaled,
    AgentStarted,
    AgentStopped,
    AgentUpdated,
    JobCancelled,
    JobCreated,
    JobDeleted,
    JobFinished,
    JobsRemoved,
    RolloutAdvanced,
    RolloutLate,
    RolloutPaused,
    RolloutResumed,
    RolloutStumbled,
    SlotsRetired,
    VersionProven,
)

Event = (
    FabricCreated
    | FeatureLevelRaised
    | NamespaceCreated
    | NamespaceDeleted
    | TokenIssued
    | TokenUsed
    | TokenRevoked
    | TokensForgotten
    | SecretChanged
    | SecretRemoved
    | ConfigChanged
    | ConfigRemoved
    | NodeJoined
    | NodeConnected
    | NodeKeyOffered
    | NodeKeyChanged
    | NodeFactsChanged
    | NodeDriverSilent
    | NodeDriverAnswers
    | NodeReported
    | NodeDeparting
    | NodeUnreachable
    | NodeLost
    | NodePortRefused
    | NodeLabelled
    | NodeCordoned
    | NodeUncordoned
    | NodeDrainStarted
    | NodeDrained
    | NodeRemoved
    | AgentCreated
    | AgentUpdated
    | AgentRestarted
    | AgentRolledBack
    | VersionProven
    | RolloutPaused
    | RolloutStumbled
    | RolloutLate
    | RolloutResumed
    | AgentScaled
    | AgentStopped
    | AgentStarted
    | AgentDeleted
    | AgentRemoved
    | RolloutAdvanced
    | SlotsRetired
    | JobCreated
    | JobCancelled
    | JobFinished
    | JobDeleted
    | JobsRemoved
    | InstancesCreated
    | InstancesPlaced
    | InstanceStarting
    | InstanceRunning
    | InstanceExited
    | InstanceHealthChanged
    | InstanceStopRequested
    | InstanceEnded
    | InstancesLost
    | InstanceRecovered
)

PARTS: Final = (SlotGeneration, Placement)
"""Structs within events, frozen as these are."""

EVENT_TYPES: Final[tuple[type[BaseEvent], ...]] = get_args(Event)


def kind_of(event: BaseEvent) -> str:
    """`agent.created.v1`."""
    return str(type(event).__struct_config__.tag)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One record of the log: what one command was decided into. Atomic."""

    time_ms: int
    principal: str
    events: tuple[Event, ...]
    namespace: str = ""
    correlation: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""
    result: dict[str, str | int] = {}


class UnknownEvent(Exception):
    """The log holds something that this release cannot fold; it must not go on."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    return _encoder.encode(entry)


def decode_entry(payload: bytes) -> Entry:
    """Raises UnknownEvent for a kind, field or shape that this release does not know, and for what is no record."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownEvent(f"this release cannot read an entry of the log: {error}") from error
