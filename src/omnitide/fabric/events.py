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

from omnitide.fabric.state import ExitRecord, Health, NodeFacts, TokenPurpose, WorkloadKind
from omnitide.model.spec import AgentSpec, JobSpec


class _Event(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    kw_only=True,
    forbid_unknown_fields=True,
    gc=False,
    tag_field="kind",
):
    pass


class FabricCreated(_Event, frozen=True, kw_only=True, tag="fabric.created.v1"):
    fabric_id: str


class FeatureLevelRaised(_Event, frozen=True, kw_only=True, tag="fabric.feature-level-raised.v1"):
    """From here on the log may hold events of this level: every replica that is to follow it must know them."""

    level: int


class NamespaceCreated(_Event, frozen=True, kw_only=True, tag="namespace.created.v1"):
    name: str


class NamespaceDeleted(_Event, frozen=True, kw_only=True, tag="namespace.deleted.v1"):
    name: str


class TokenIssued(_Event, frozen=True, kw_only=True, tag="token.issued.v1"):
    id: str
    purpose: TokenPurpose
    digest: str
    expires_ms: int = 0
    uses: int = 0
    note: str = ""
    labels: dict[str, str] = {}


class TokenUsed(_Event, frozen=True, kw_only=True, tag="token.used.v1"):
    id: str
    node: str


class TokenRevoked(_Event, frozen=True, kw_only=True, tag="token.revoked.v1"):
    id: str


class TokensForgotten(_Event, frozen=True, kw_only=True, tag="token.forgotten.v1"):
    """Expired, used up or revoked long ago."""

    ids: tuple[str, ...]


class SecretChanged(_Event, frozen=True, kw_only=True, tag="secret.changed.v1"):
    """A secret has another value, or its first one."""

    id: str
    namespace: str
    name: str
    version: int
    digest: str
    """Of the value, keyed."""
    blob: str
    """Digest of the closed value."""
    size: int = 0


class SecretRemoved(_Event, frozen=True, kw_only=True, tag="secret.removed.v1"):
    id: str
    namespace: str
    name: str


class ConfigChanged(_Event, frozen=True, kw_only=True, tag="config.changed.v1"):
    """A piece of configuration has another value, or its first one."""

    id: str
    namespace: str
    name: str
    version: int
    digest: str
    blob: str
    size: int = 0


class ConfigRemoved(_Event, frozen=True, kw_only=True, tag="config.removed.v1"):
    id: str
    namespace: str
    name: str


class NodeJoined(_Event, frozen=True, kw_only=True, tag="node.joined.v1"):
    node: str
    name: str
    key_digest: str
    token: str
    facts: NodeFacts
    labels: dict[str, str] = {}
    """Given with the token: they stay, whatever the node says of itself later."""


class NodeConnected(_Event, frozen=True, kw_only=True, tag="node.connected.v1"):
    node: str
    session: int
    outbox: str
    facts: NodeFacts
    sequence: int = 0
    """Last report taken of this outbox: 0 if the outbox is new."""


class NodeKeyOffered(_Event, frozen=True, kw_only=True, tag="node.key-offered.v1"):
    """The node was given a certificate for another key; it may use either until it has used the new one."""

    node: str
    key_digest: str


class NodeKeyChanged(_Event, frozen=True, kw_only=True, tag="node.key-changed.v1"):
    """The node has shown the key that was offered: the one before is worth nothing from now on."""

    node: str
    key_digest: str


class NodeFactsChanged(_Event, frozen=True, kw_only=True, tag="node.facts-changed.v1"):
    node: str
    facts: NodeFacts


class NodeReported(_Event, frozen=True, kw_only=True, tag="node.reported.v1"):
    """Reports up to `sequence` have been taken."""

    node: str
    outbox: str
    sequence: int


class NodeDeparting(_Event, frozen=True, kw_only=True, tag="node.departing.v1"):
    node: str
    session: int
    reason: str
    back_within_ms: int = 0


class NodeUnreachable(_Event, frozen=True, kw_only=True, tag="node.unreachable.v1"):
    node: str
    session: int


class NodeLost(_Event, frozen=True, kw_only=True, tag="node.lost.v1"):
    node: str
    session: int


class NodePortRefused(_Event, frozen=True, kw_only=True, tag="node.port-refused.v1"):
    """The node found a host port taken by something that is not the fabric's."""

    node: str
    port: int


class NodeCordoned(_Event, frozen=True, kw_only=True, tag="node.cordoned.v1"):
    node: str


class NodeUncordoned(_Event, frozen=True, kw_only=True, tag="node.uncordoned.v1"):
    node: str


class NodeDrainStarted(_Event, frozen=True, kw_only=True, tag="node.drain-started.v1"):
    node: str


class NodeDrained(_Event, frozen=True, kw_only=True, tag="node.drained.v1"):
    node: str


class NodeRemoved(_Event, frozen=True, kw_only=True, tag="node.removed.v1"):
    node: str
    name: str = ""
    """For who reads it when the node is long gone, as in all such events. Empty in the oldest ones."""


class AgentCreated(_Event, frozen=True, kw_only=True, tag="agent.created.v1"):
    agent: str
    namespace: str
    name: str
    spec: AgentSpec
    replicas: int
    owner: str = "manifest"


class AgentUpdated(_Event, frozen=True, kw_only=True, tag="agent.updated.v1"):
    agent: str
    version: int
    spec: AgentSpec


class AgentRestarted(_Event, frozen=True, kw_only=True, tag="agent.restarted.v1"):
    """A new version with the spec of the one before."""

    agent: str
    version: int


class AgentRolledBack(_Event, frozen=True, kw_only=True, tag="agent.rolled-back.v1"):
    """A new version with the spec of an earlier one."""

    agent: str
    version: int
    source: int
    """The earlier one."""
    cause: str = ""
    """Why the fabric did it by itself; empty where somebody asked."""


class RolloutPaused(_Event, frozen=True, kw_only=True, tag="agent.rollout-paused.v1"):
    agent: str


class RolloutResumed(_Event, frozen=True, kw_only=True, tag="agent.rollout-resumed.v1"):
    agent: str


class AgentScaled(_Event, frozen=True, kw_only=True, tag="agent.scaled.v1"):
    agent: str
    replicas: int
    owner: str


class AgentStopped(_Event, frozen=True, kw_only=True, tag="agent.stopped.v1"):
    agent: str


class AgentStarted(_Event, frozen=True, kw_only=True, tag="agent.started.v1"):
    agent: str


class AgentDeleted(_Event, frozen=True, kw_only=True, tag="agent.deleted.v1"):
    """Its instances are being stopped; `agent.removed` follows when none is left."""

    agent: str


class AgentRemoved(_Event, frozen=True, kw_only=True, tag="agent.removed.v1"):
    agent: str
    namespace: str = ""
    name: str = ""


class RolloutAdvanced(_Event, frozen=True, kw_only=True, tag="agent.rollout-advanced.v1"):
    agent: str
    cursor: int
    """Next slot to look at; 0: every slot has been, and is available in the new version."""


class SlotsRetired(_Event, frozen=True, kw_only=True, tag="agent.slots-retired.v1"):
    agent: str
    slots: tuple[int, ...]


class JobCreated(_Event, frozen=True, kw_only=True, tag="job.created.v1"):
    job: str
    namespace: str
    name: str
    spec: JobSpec


class JobCancelled(_Event, frozen=True, kw_only=True, tag="job.cancelled.v1"):
    """Cancellation was asked for; `job.finished` follows when its instance has ended."""

    job: str


class JobFinished(_Event, frozen=True, kw_only=True, tag="job.finished.v1"):
    job: str
    outcome: str
    """succeeded, failed or cancelled."""
    exit: ExitRecord | None = None


class JobDeleted(_Event, frozen=True, kw_only=True, tag="job.deleted.v1"):
    """Removal was asked for; `job.removed` follows when its instance has ended."""

    job: str


class JobsRemoved(_Event, frozen=True, kw_only=True, tag="job.removed.v1"):
    jobs: tuple[str, ...]
    names: tuple[tuple[str, str], ...] = ()
    """Namespace and name of each, in the same order."""


class SlotGeneration(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    slot: int
    generation: int


class InstancesCreated(_Event, frozen=True, kw_only=True, tag="instance.created.v1"):
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


class Placement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    instance: str
    cpu_milli: int
    memory_bytes: int
    ports: tuple[tuple[str, int], ...] = ()


class InstancesPlaced(_Event, frozen=True, kw_only=True, tag="instance.placed.v1"):
    node: str
    placements: tuple[Placement, ...]


class InstanceStarting(_Event, frozen=True, kw_only=True, tag="instance.starting.v1"):
    instance: str
    attempt: int


class InstanceRunning(_Event, frozen=True, kw_only=True, tag="instance.running.v1"):
    instance: str
    attempt: int
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    health: Health = Health.UNKNOWN


class InstanceExited(_Event, frozen=True, kw_only=True, tag="instance.exited.v1"):
    """An attempt ended and the node starts another at `next_attempt_ms`."""

    instance: str
    exit: ExitRecord
    next_attempt_ms: int = 0


class InstanceHealthChanged(_Event, frozen=True, kw_only=True, tag="instance.health-changed.v1"):
    instance: str
    health: Health
    message: str = ""
    """Why it is unhealthy."""


class InstanceStopRequested(_Event, frozen=True, kw_only=True, tag="instance.stop-requested.v1"):
    instance: str
    reason: str
    """scaled-down, update, restart, drain, stopped, deleted, cancelled, merged, superseded."""


class InstanceEnded(_Event, frozen=True, kw_only=True, tag="instance.ended.v1"):
    """It is not on any node any more. `status`: stopped, succeeded, failed or lost."""

    instance: str
    status: str
    exit: ExitRecord | None = None


class InstancesLost(_Event, frozen=True, kw_only=True, tag="instance.lost.v1"):
    """Their node has been silent for too long. They may come back with it."""

    node: str
    instances: tuple[str, ...]


class InstanceRecovered(_Event, frozen=True, kw_only=True, tag="instance.recovered.v1"):
    """One that was given up is its slot's current one again: it came back running, or it had done its work."""

    instance: str
    attempt: int


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
    | NodeReported
    | NodeDeparting
    | NodeUnreachable
    | NodeLost
    | NodePortRefused
    | NodeCordoned
    | NodeUncordoned
    | NodeDrainStarted
    | NodeDrained
    | NodeRemoved
    | AgentCreated
    | AgentUpdated
    | AgentRestarted
    | AgentRolledBack
    | RolloutPaused
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

EVENT_TYPES: Final[tuple[type[_Event], ...]] = get_args(Event)


def kind_of(event: _Event) -> str:
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
