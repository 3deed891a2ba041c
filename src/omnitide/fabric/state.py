"""What the fabric is: immutable objects in persistent maps, so that one change copies a path and never a whole map.

State is the fold of the log's entries (`evolve.apply`). Everything here is derived from events; nothing may depend
on the order of a map. Times are wall-clock milliseconds as stamped on the entries, quantities are integers.

`gc=False`: these are immutable trees, no cycle can pass through them, and the collector need not walk 100,000 of them.
Nodes have a file of their own, `node`; whoever reads state finds them here all the same.
What events and snapshots embed (ExitRecord, NodeFacts, ...) evolves by the rule in `events`.
"""

import enum
from typing import Final, Literal

import msgspec
from immutables import Map

from omnitide.fabric.node import DriverFact as DriverFact  # noqa: PLC0414
from omnitide.fabric.node import Node as Node  # noqa: PLC0414
from omnitide.fabric.node import NodeFacts as NodeFacts  # noqa: PLC0414
from omnitide.fabric.node import NodeStatus as NodeStatus  # noqa: PLC0414
from omnitide.fabric.node import Scheduling as Scheduling  # noqa: PLC0414
from omnitide.model.spec import AgentSpec, JobSpec, WorkloadSpec

DEFAULT_NAMESPACE: Final = "default"
SYSTEM_NAMESPACES: Final = (DEFAULT_NAMESPACE,)

WorkloadKind = Literal["agent", "job"]


class InstanceStatus(enum.StrEnum):
    PENDING = "pending"
    PLACED = "placed"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"


ENDED: Final = frozenset({InstanceStatus.STOPPED, InstanceStatus.SUCCEEDED, InstanceStatus.FAILED, InstanceStatus.LOST})
"""Not this fabric's running work any more (a lost one may come back, see `instance.recovered`)."""

ON_NODE: Final = frozenset(
    {InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING, InstanceStatus.STOPPING}
)


class Phase(enum.IntEnum):
    """How far an attempt has come on its node; grows within an attempt. The wire's Phase without STOPPING."""

    NONE = 0
    STARTING = 1
    RUNNING = 2
    WAITING = 3
    ENDED = 4


class Health(enum.StrEnum):
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class ExitRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """How an attempt ended."""

    attempt: int = 0
    code: int | None = None
    signal: int | None = None
    reason: str = ""
    message: str = ""
    cause: str = ""
    out_of_memory: bool = False
    permanent: bool = False
    ended_ms: int = 0


ASKED_FOR: Final = ("stopped", "killed")
"""Reasons of exits that somebody asked for."""
TAKEN_DOWN: Final = "its node was taken down"
"""Message of an exit that was asked for on the node itself, and not by the fabric: as by `omnitide down` there."""
PORT_BUSY: Final = "port-busy"
"""Cause of an exit: a host port was taken by something else. The fabric's to mend, with other ports."""


class Instance(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One run of an agent's replica or a job's task. `id` is `<workload id>.<slot>.<generation>`."""

    id: str
    namespace: str
    kind: WorkloadKind
    workload: str
    """Id of the agent or job."""
    name: str
    version: int
    slot: int
    generation: int
    status: InstanceStatus
    created_ms: int
    since_ms: int
    """When it came into this status."""
    revision: int
    node: str = ""
    cpu_milli: int = 0
    """Set aside on the node, from placement until it leaves the node."""
    memory_bytes: int = 0
    ports: tuple[tuple[str, int], ...] = ()
    attempt: int = 0
    phase: Phase = Phase.NONE
    health: Health = Health.UNKNOWN
    started_ms: int = 0
    """When the current attempt came to run."""
    next_attempt_ms: int = 0
    not_before_ms: int = 0
    """A pending instance is not placed before this log time."""
    avoid: str = ""
    """Node on which the generation before failed: taken only if nothing else fits."""
    exit: ExitRecord | None = None
    """Of the last attempt that ended."""
    stop_reason: str = ""
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    correlation: str = ""
    """Of the request that led here, or to the generation before."""
    avoid_also: tuple[str, ...] = ()
    """Further nodes that are taken only if nothing else fits: on which generations before failed for a permanent cause
    that this one is another try of."""
    health_message: str = ""
    """Why it is unhealthy, or why that is not known."""
    ready_ms: int = 0
    """Since when it is healthy; 0: it is not, or nothing asks."""
    superseded: bool = False
    """The next generation of its slot was made while it ran: it runs on until that one is available."""
    pinned: str = ""
    """The only node that it is placed on, while that is in the fabric."""
    asked_ends: int = 0
    """Attempts whose ends say nothing against it: somebody ended them, as `omnitide down` does, or it has run well for
    `restart.reset_after` since."""
    ends_before: int = 0
    """Ends in a row, by themselves, of the attempts of the generations before; none any more once it has run well for
    `restart.reset_after`. See `rules.failing.ends_in_a_row`."""
    kept_ms: int = 0
    """When a rollback kept it, and it came to be of the version that it has; 0: it was made in that."""
    unready_ms: int = 0
    """When it ceased to be healthy, as far as the log tells; 0: it is, or has not been since it came to run."""

    @property
    def avoids(self) -> tuple[str, ...]:
        """Every node that is taken only if nothing else fits."""
        return (self.avoid, *self.avoid_also) if self.avoid else self.avoid_also


class Slot(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A replica's place. Its generations follow one another; at most one is current."""

    generation: int = 0
    """Highest generation ever made."""
    first: int = 0
    """The slot's first generation. Lower ones were of a slot of this number that has been retired since: they are not
    wanted back."""
    current: str = ""
    """Instance id."""
    failures: int = 0
    """Generations in a row that ended by themselves, without a stable run in between."""
    permanent_failures: int = 0
    """Generations in a row before the current one that failed with a permanent cause, on whichever nodes."""
    last_exit: ExitRecord | None = None
    """How the last generation before the current one ended."""
    last_node: str = ""
    spent: int = 0
    """Of those failures the ones that count against `restart.reschedules`."""


class Counts(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Instances of an agent by status, strays included (those are lost or stopping)."""

    pending: int = 0
    placed: int = 0
    starting: int = 0
    running: int = 0
    stopping: int = 0
    stopped: int = 0
    succeeded: int = 0
    failed: int = 0
    lost: int = 0


class Version(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One immutable version of an agent."""

    number: int
    spec: AgentSpec
    created_ms: int
    principal: str
    reason: str = "deployed"
    """deployed, updated, restarted or rolled-back."""
    source: int = 0
    """Of one that was rolled back: the version whose spec it has again."""
    max_unavailable: int = 0
    """Replicas that may be away at once while it rolls out, if somebody said so this once; 0: as its spec has it."""
    cause: str = ""
    """Why the fabric rolled back by itself; empty where somebody asked."""
    proven: bool = False
    """Every replica has been available in it (see `rules.proving`): what it is once it stays."""
    stumbled: int = 0
    """Slot whose replica ends again and again in it while it rolls out, which halts that; 0: none does."""
    late: int = 0
    """Slot whose replica is not available in it within the deadline while it rolls out, which halts that; 0: none."""
    progress_ms: int = 0
    """Log time at which its rollout last came further: it was resumed, another slot was asked, or a replica became
    available; 0: not since it began."""

    @property
    def came_further_ms(self) -> int:
        """Log time from which the deadline of its progress counts."""
        return self.progress_ms or self.created_ms


class Agent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    id: str
    namespace: str
    name: str
    version: int
    replicas: int
    versions: Map[int, Version]
    slots: Map[int, Slot]
    counts: Counts
    created_ms: int
    revision: int
    replicas_owner: str = "manifest"
    """Who set `replicas` last: `manifest` or `scale`. A manifest does not take over what `scale` set unless told to."""
    active: bool = True
    """False after `stop`: keeps its number of replicas and runs none."""
    deleting: bool = False
    rollout_cursor: int = 0
    """Next slot to look at while a new version rolls out; 0 when none does."""
    strays: Map[str, None] = Map()
    """Instances that are no slot's current one and still on a node: lost, or being stopped after a merge."""
    generation_floor: int = 0
    """Highest generation of any slot retired so far. New slots begin above it, so that an instance id is never made
    twice: one that was lost may still be there under the old id."""
    paused: bool = False
    """The rollout under way goes no further until it is resumed."""
    superseded: Map[str, None] = Map()
    """Strays that run on until their slot's current instance is available."""
    watched: Map[str, None] = Map()
    """Instances that run and may not be available: not ready, or not for long enough. All others that run are."""
    failed: Map[str, None] = Map()
    """Current instances of slots that have failed for good, or are about to be made anew."""
    homes: Map[int, str] = Map()
    """Slot -> node, of slots whose volumes stay where they are. Kept when the slot is retired."""

    @property
    def spec(self) -> AgentSpec:
        return self.versions[self.version].spec

    @property
    def stumbled(self) -> int:
        """See `Version.stumbled`."""
        return self.versions[self.version].stumbled

    @property
    def late(self) -> int:
        """See `Version.late`."""
        return self.versions[self.version].late

    @property
    def may_be_away(self) -> int:
        """Replicas that its rollout may make unavailable at once."""
        return self.versions[self.version].max_unavailable or self.spec.update.max_unavailable

    def wants(self, slot: int) -> bool:
        """Whether this slot should have a running instance."""
        return self.active and not self.deleting and 1 <= slot <= self.replicas


class JobStatus(enum.StrEnum):
    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A workload that runs to completion: one task (slot 1) for now."""

    id: str
    namespace: str
    name: str
    spec: JobSpec
    slot: Slot
    created_ms: int
    revision: int
    status: JobStatus = JobStatus.ACTIVE
    cancelling: bool = False
    deleting: bool = False
    finished_ms: int = 0
    exit: ExitRecord | None = None
    strays: Map[str, None] = Map()


class TokenPurpose(enum.StrEnum):
    JOIN = "join"
    API = "api"
    METRICS = "metrics"
    """Reads metrics, and nothing else."""
    LOGIN = "login"
    """Opens one session of the panel, once."""
    SESSION = "session"
    """A browser that has logged in. Its `principal` is the API token that let it in, directly or by a login."""


class Token(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A token, by digest; the text is shown once and kept nowhere."""

    id: str
    purpose: TokenPurpose
    digest: str
    """Names its algorithm, see security.tokens."""
    created_ms: int
    principal: str
    revision: int
    expires_ms: int = 0
    """0: never."""
    uses_left: int = 0
    """Of join tokens and logins."""
    note: str = ""
    labels: dict[str, str] = {}
    """Put on each node that joins by it."""
    revoked: bool = False


class Namespace(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    name: str
    created_ms: int
    revision: int
    agents: int = 0
    jobs: int = 0


ProvisionKind = Literal["secret", "config"]


class Provision(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A secret or a piece of configuration, without its value: that lies closed outside of the log."""

    id: str
    namespace: str
    name: str
    kind: ProvisionKind
    version: int
    """Grows by one with each other value."""
    digest: str
    """Of the value, keyed: equal for equal values of this id, and worth nothing to who lacks the key."""
    blob: str
    """Digest of the closed value, by which it is found."""
    size: int
    created_ms: int
    changed_ms: int
    revision: int


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The answer to a command that carried an idempotency key."""

    fingerprint: str
    revision: int
    result: dict[str, str | int]


class Idempotency(msgspec.Struct, frozen=True, gc=False):
    """Two turns of remembered answers: a key lives for one to two turns of log time, or of `TURN_SIZE` keys."""

    recent: Map[str, Remembered]
    older: Map[str, Remembered]
    turned_ms: int = 0


class FabricState(msgspec.Struct, frozen=True, gc=False):
    fabric_id: str
    revision: int
    time_ms: int
    namespaces: Map[str, Namespace]
    nodes: Map[str, Node]
    node_names: Map[str, str]
    tokens: Map[str, Token]
    agents: Map[str, Agent]
    agent_names: Map[str, str]
    """`namespace/name` -> id."""
    jobs: Map[str, Job]
    job_names: Map[str, str]
    instances: Map[str, Instance]
    pending: Map[str, None]
    """Ids of instances that wait for a node."""
    draining: Map[str, None]
    """Ids of nodes that are draining."""
    idempotency: Idempotency
    feature_level: int = 1
    provisions: Map[str, Provision] = Map()
    """Secrets and configs by id."""
    provision_names: Map[str, str] = Map()
    """`kind/namespace/name` -> id."""
    rolling: Map[str, None] = Map()
    """Ids of agents with a rollout or a move under way: those that have superseded instances or a rollout cursor."""
    companies: Map[str, Map[str, None]] = Map()
    """`namespace/word` of `together` -> ids of agents with a version that has it, and of active jobs that do."""


def empty_state() -> FabricState:
    """The state before the first entry."""
    return FabricState(
        fabric_id="",
        revision=0,
        time_ms=0,
        namespaces=Map(),
        nodes=Map(),
        node_names=Map(),
        tokens=Map(),
        agents=Map(),
        agent_names=Map(),
        jobs=Map(),
        job_names=Map(),
        instances=Map(),
        pending=Map(),
        draining=Map(),
        idempotency=Idempotency(recent=Map(), older=Map()),
    )


def scoped(namespace: str, name: str) -> str:
    """Key of the name maps."""
    return f"{namespace}/{name}"


def find_agent(state: FabricState, namespace: str, name: str) -> Agent | None:
    identifier = state.agent_names.get(scoped(namespace, name))
    return None if identifier is None else state.agents[identifier]


def provision_key(kind: ProvisionKind, namespace: str, name: str) -> str:
    """Key of `FabricState.provision_names`."""
    return f"{kind}/{namespace}/{name}"


def find_provision(state: FabricState, kind: ProvisionKind, namespace: str, name: str) -> Provision | None:
    identifier = state.provision_names.get(provision_key(kind, namespace, name))
    return None if identifier is None else state.provisions[identifier]


def find_job(state: FabricState, namespace: str, name: str) -> Job | None:
    identifier = state.job_names.get(scoped(namespace, name))
    return None if identifier is None else state.jobs[identifier]


def find_node(state: FabricState, name_or_id: str) -> Node | None:
    return state.nodes.get(name_or_id) or state.nodes.get(state.node_names.get(name_or_id, ""))


def spec_of_instance(state: FabricState, instance: Instance) -> WorkloadSpec:
    """The spec that this instance runs. Raises KeyError if its workload is gone."""
    if instance.kind == "agent":
        return state.agents[instance.workload].versions[instance.version].spec
    return state.jobs[instance.workload].spec
