"""The records of a snapshot, each with its kind and version. Frozen once released, as events are (see `snapshot`).

A default is left out only where the value *is* the default object (msgspec compares by identity). So that equal states
are written alike, a field of a record has a default only where equal values are one object: small numbers, the empty
text and tuple, members of enumerations, True, False and None.
"""

from typing import Final

import msgspec

from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.state import (
    Agent,
    Counts,
    ExitRecord,
    Health,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    Namespace,
    Node,
    NodeFacts,
    NodeStatus,
    Phase,
    Provision,
    Remembered,
    Scheduling,
    Slot,
    Token,
    Version,
)
from omnitide.model.spec import JobSpec

FORMAT: Final = 1
"""Of the sequence of records; raised when their order or meaning together changes."""


class _Item(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    pass


class _Record(_Item, frozen=True, kw_only=True, tag_field="kind"):
    pass


class HeaderRecord(_Record, frozen=True, kw_only=True, tag="header.v1"):
    """First. The numbers are checked against what follows."""

    format: int
    fabric_id: str
    revision: int
    time_ms: int
    feature_level: int = 1
    turned_ms: int = 0
    """Of the remembered answers."""
    namespaces: int = 0
    tokens: int = 0
    nodes: int = 0
    agents: int = 0
    jobs: int = 0
    instances: int = 0
    provisions: int = 0


class NamespaceRecord(_Record, frozen=True, kw_only=True, tag="namespace.v1"):
    namespace: Namespace


class TokenRecord(_Record, frozen=True, kw_only=True, tag="token.v1"):
    token: Token


class ProvisionRecord(_Record, frozen=True, kw_only=True, tag="provision.v1"):
    """A secret or config, without its value."""

    provision: Provision


class NodeRecord(_Record, frozen=True, kw_only=True, tag="node.v1"):
    """A node without what it holds: the instances say that of themselves."""

    id: str
    name: str
    key_digest: str
    facts: NodeFacts
    joined_ms: int
    since_ms: int
    revision: int
    status: NodeStatus = NodeStatus.JOINED
    scheduling: Scheduling = Scheduling.OPEN
    session: int = 0
    outbox: str = ""
    sequence: int = 0
    used_cpu_milli: int = 0
    used_memory_bytes: int = 0
    join_labels: dict[str, str] = {}
    next_key_digest: str = ""
    departing: str = ""
    back_within_ms: int = 0
    foreign_ports: tuple[int, ...] = ()
    silent_drivers: dict[str, int] = {}
    stopped_ms: int = 0
    draining_since_ms: int = 0

    @staticmethod
    def of(node: Node) -> "NodeRecord":
        return NodeRecord(
            id=node.id,
            name=node.name,
            key_digest=node.key_digest,
            facts=node.facts,
            joined_ms=node.joined_ms,
            since_ms=node.since_ms,
            revision=node.revision,
            status=node.status,
            scheduling=node.scheduling,
            session=node.session,
            outbox=node.outbox,
            sequence=node.sequence,
            used_cpu_milli=node.used_cpu_milli,
            used_memory_bytes=node.used_memory_bytes,
            join_labels=node.join_labels,
            next_key_digest=node.next_key_digest,
            departing=node.departing,
            back_within_ms=node.back_within_ms,
            foreign_ports=tuple(sorted(port for port, holder in node.ports.items() if holder == FOREIGN_PORT)),
            silent_drivers=node.silent_drivers,
            stopped_ms=node.stopped_ms,
            draining_since_ms=node.draining_since_ms,
        )


class AgentRecord(_Record, frozen=True, kw_only=True, tag="agent.v1"):
    """An agent; its versions, slots and instances follow in records of their own."""

    id: str
    namespace: str
    name: str
    version: int
    replicas: int
    counts: Counts
    created_ms: int
    revision: int
    replicas_owner: str
    active: bool = True
    deleting: bool = False
    rollout_cursor: int = 0
    generation_floor: int = 0
    paused: bool = False

    @staticmethod
    def of(agent: Agent) -> "AgentRecord":
        return AgentRecord(
            id=agent.id,
            namespace=agent.namespace,
            name=agent.name,
            version=agent.version,
            replicas=agent.replicas,
            counts=agent.counts,
            created_ms=agent.created_ms,
            revision=agent.revision,
            replicas_owner=agent.replicas_owner,
            active=agent.active,
            deleting=agent.deleting,
            rollout_cursor=agent.rollout_cursor,
            generation_floor=agent.generation_floor,
            paused=agent.paused,
        )


class VersionRecord(_Record, frozen=True, kw_only=True, tag="agent-version.v1"):
    agent: str
    version: Version


class HomesRecord(_Record, frozen=True, kw_only=True, tag="agent-homes.v1"):
    """Slots and the nodes that hold their volumes. Of an agent that has such."""

    agent: str
    homes: list[tuple[int, str]]


class SlotItem(_Item, frozen=True, kw_only=True):
    number: int
    generation: int
    current: int = 0
    """Generation of the current instance; 0 where that is the highest."""
    first: int = 0
    failures: int = 0
    permanent_failures: int = 0
    last_exit: ExitRecord | None = None
    last_node: str = ""
    spent: int = 0

    @staticmethod
    def of(number: int, slot: Slot, workload: str) -> "SlotItem":
        newest = slot.current in ("", f"{workload}.{number}.{slot.generation}")
        return SlotItem(
            number=number,
            generation=slot.generation,
            current=0 if newest else int(slot.current.rpartition(".")[2]),
            first=slot.first,
            failures=slot.failures,
            permanent_failures=slot.permanent_failures,
            last_exit=slot.last_exit,
            last_node=slot.last_node,
            spent=slot.spent,
        )


class SlotsRecord(_Record, frozen=True, kw_only=True, tag="agent-slots.v1"):
    agent: str
    slots: list[SlotItem]


class JobRecord(_Record, frozen=True, kw_only=True, tag="job.v1"):
    id: str
    namespace: str
    name: str
    spec: JobSpec
    slot: SlotItem
    created_ms: int
    revision: int
    status: JobStatus = JobStatus.ACTIVE
    cancelling: bool = False
    deleting: bool = False
    finished_ms: int = 0
    exit: ExitRecord | None = None

    @staticmethod
    def of(job: Job) -> "JobRecord":
        return JobRecord(
            id=job.id,
            namespace=job.namespace,
            name=job.name,
            spec=job.spec,
            slot=SlotItem.of(1, job.slot, job.id),
            created_ms=job.created_ms,
            revision=job.revision,
            status=job.status,
            cancelling=job.cancelling,
            deleting=job.deleting,
            finished_ms=job.finished_ms,
            exit=job.exit,
        )


class InstanceItem(_Item, frozen=True, kw_only=True):
    """An instance without what its workload says of it: id, name, namespace, kind."""

    slot: int
    generation: int
    version: int
    status: InstanceStatus
    created_ms: int
    since_ms: int
    revision: int
    node: str = ""
    attached: bool = False
    """Holds room and ports on its node."""
    cpu_milli: int = 0
    memory_bytes: int = 0
    ports: tuple[tuple[str, int], ...] = ()
    attempt: int = 0
    phase: Phase = Phase.NONE
    health: Health = Health.UNKNOWN
    started_ms: int = 0
    next_attempt_ms: int = 0
    not_before_ms: int = 0
    avoid: str = ""
    exit: ExitRecord | None = None
    stop_reason: str = ""
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    correlation: str = ""
    avoid_also: tuple[str, ...] = ()
    health_message: str = ""
    ready_ms: int = 0
    """0 for one that is healthy: since it was started."""
    superseded: bool = False
    pinned: str = ""
    asked_ends: int = 0
    ends_before: int = 0
    kept_ms: int = 0
    unready_ms: int = 0
    watched: bool = False
    """Runs, and may not be available."""

    @staticmethod
    def of(instance: Instance, *, attached: bool, watched: bool = False) -> "InstanceItem":
        since_start = instance.health is Health.HEALTHY and instance.ready_ms == instance.started_ms
        return InstanceItem(
            slot=instance.slot,
            generation=instance.generation,
            version=instance.version,
            status=instance.status,
            created_ms=instance.created_ms,
            since_ms=instance.since_ms,
            revision=instance.revision,
            node=instance.node,
            attached=attached,
            cpu_milli=instance.cpu_milli,
            memory_bytes=instance.memory_bytes,
            ports=instance.ports,
            attempt=instance.attempt,
            phase=instance.phase,
            health=instance.health,
            started_ms=instance.started_ms,
            next_attempt_ms=instance.next_attempt_ms,
            not_before_ms=instance.not_before_ms,
            avoid=instance.avoid,
            exit=instance.exit,
            stop_reason=instance.stop_reason,
            handle=instance.handle,
            unenforced=instance.unenforced,
            correlation=instance.correlation,
            avoid_also=instance.avoid_also,
            health_message=instance.health_message,
            ready_ms=0 if since_start else instance.ready_ms,
            superseded=instance.superseded,
            pinned=instance.pinned,
            asked_ends=instance.asked_ends,
            ends_before=instance.ends_before,
            kept_ms=instance.kept_ms,
            unready_ms=instance.unready_ms,
            watched=watched,
        )


class InstancesRecord(_Record, frozen=True, kw_only=True, tag="instances.v1"):
    """Of the agent or job whose record came last. Those that are no slot's current one are strays."""

    workload: str
    instances: list[InstanceItem]


class AnswerRecord(_Item, frozen=True, kw_only=True):
    key: str
    answer: Remembered


class AnswersRecord(_Record, frozen=True, kw_only=True, tag="answers.v1"):
    turn: str
    """recent or older."""
    answers: list[AnswerRecord]


class EndRecord(_Record, frozen=True, kw_only=True, tag="end.v1"):
    """Last."""

    records: int
    """Before this one."""
    instances: int


Record = (
    HeaderRecord
    | NamespaceRecord
    | TokenRecord
    | ProvisionRecord
    | NodeRecord
    | AgentRecord
    | VersionRecord
    | HomesRecord
    | SlotsRecord
    | JobRecord
    | InstancesRecord
    | AnswersRecord
    | EndRecord
)
