"""What a user reads of workloads: agents, jobs, instances. Shared by REST, gRPC, SDK and CLI.

Times are wall-clock milliseconds (0: not so far), cpu is in thousandths of a core, sizes are bytes; the unit is part of
a field's name. Lists are ordered. A field added later has a default; readers ignore fields that they do not know.
Nodes, namespaces, tokens and the fabric are in `inventory`, events and output in `happenings`, answers to "why" in
`explanations`, errors in `problem`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from omnitide.model.spec import AgentSpec, JobSpec

Revision = Annotated[int, Meta(ge=0, description="Position in the event log.")]
Millis = Annotated[int, Meta(ge=0, description="Wall clock, milliseconds since 1970; 0: not so far.")]

InstanceStatus = Literal[
    "pending",
    "placed",
    "starting",
    "running",
    "stopping",
    "stopped",
    "succeeded",
    "failed",
    "lost",
    "unknown",
]
"""`unknown`: its node has not been heard from since `unknown_since_ms`, or the runtime of its driver has not answered
there; `last_status` is what it was then."""

InstanceCondition = Literal[InstanceStatus, "waiting", "unhealthy"]
"""The status in the word that lists use. waiting: it ended and is tried again later, on its node (its status is
`starting` then) or as a further generation (`pending`). unhealthy: its probes say so, whatever its status."""

AgentStatus = Literal["running", "progressing", "degraded", "failing", "unknown", "stopped", "removing"]
"""running: every replica wanted runs. progressing: being placed, started or updated. degraded: replicas failed for
good, are started again or cannot be placed. failing: replicas end again and again, whether or not they run at this
moment. unknown: nodes of it, or runtimes on them, are not heard from. stopped: by request. removing: goes when its last
ends."""


MAX_TIME_MS: Final = 2**53 - 1
"""Later than any time that there is: never. What every reader of JSON can hold."""


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """Read-only data. Nothing is left out when written, so that a reader sees every field."""


# -- exits, instances ------------------------------------------------------------------------------------------------


class InstanceExit(Object, frozen=True, kw_only=True):
    """How an attempt ended."""

    attempt: int = 0
    code: int | None = None
    signal: int | None = None
    signal_name: str = ""
    """`SIGKILL`."""
    reason: str = ""
    message: str = ""
    cause: str = ""
    """Class of the cause, an open set: `image-missing`, `port-busy`, ..."""
    out_of_memory: bool = False
    permanent: bool = False
    """Another try on that node cannot help."""
    ended_ms: Millis = 0
    text: str = ""
    """The above in a few words: `signal 9 (SIGKILL), out of memory`."""


class Instance(Object, frozen=True, kw_only=True):
    """One run of an agent's replica or a job's task."""

    id: str
    namespace: str
    name: str
    """`hello-2.1`: workload, slot, generation."""
    kind: Literal["agent", "job"]
    workload: str
    """Name of the agent or job."""
    workload_id: str
    version: int
    driver: str = ""
    """Of its version, as is `isolation`."""
    isolation: Literal["none", "sandbox"] = "none"
    slot: int
    generation: int
    status: InstanceStatus
    last_status: InstanceStatus
    """Same as `status`, except where that is `unknown`."""
    since_ms: Millis
    """When it came into this status; for `unknown`, since when its node or its runtime there is silent."""
    unknown_since_ms: Millis = 0
    unknown_because: str = ""
    """Why it is `unknown`: its node is not heard from, or was stopped, or its driver's runtime does not answer there.
    With another status: its node has said goodbye for a while, or was stopped, and this is what it was then."""
    health: Literal["unknown", "healthy", "unhealthy"] = "unknown"
    """What its probes say, if its spec has any."""
    health_message: str = ""
    """Why it is unhealthy, or why that is not known any more."""
    node: str = ""
    """Name of its node."""
    node_id: str = ""
    address: str = ""
    """Where its node says that it can be reached."""
    ports: dict[str, int] = {}
    urls: dict[str, str] = {}
    """For each port, if the address is known."""
    attempt: int = 0
    next_attempt_ms: Millis = 0
    """It waits on its node for its next attempt."""
    not_before_ms: Millis = 0
    """It is pending and not placed before this."""
    exit: InstanceExit | None = None
    """Of its last attempt that ended."""
    previous_exit: InstanceExit | None = None
    """Of the generation before."""
    failures: int = 0
    """Generations of this slot that failed in a row."""
    stop_reason: str = ""
    unenforced: tuple[str, ...] = ()
    """Limits that its node cannot enforce."""
    cpu_milli: int = 0
    memory_bytes: int = 0
    handle: str = ""
    """What its driver calls it: `pid 4711`."""
    created_ms: Millis
    kept_ms: Millis = 0
    """When a rollback kept it, and it came to be of the version that it has; 0: it was made in that."""
    started_ms: Millis = 0
    dropped_series: Annotated[int, Meta(ge=0)] = 0
    """Of its own metrics, left out as there are too many, or as they cannot be taken; told of one instance alone."""
    metrics_fault: str = ""
    """Why its own metrics cannot be had now, as its node says; told of one instance alone."""
    condition: InstanceCondition = "pending"
    ends: Annotated[int, Meta(ge=0)] = 0
    """How often it ended by itself in a row, attempts of the generations before it included. A run of
    `restart.reset_after`, another version and a restart that was asked for start the count anew. Of the instance that
    its slot has now."""
    failing: bool = False
    """It ends again and again: it ended by itself at least twice in a row, and has not run well since for as long as
    its spec takes to forgive (`restart.reset_after`). True whether or not it runs at this moment."""
    correlation: str = ""
    """Of the request that led here."""
    revision: Revision
    """Its own last."""


class InstanceList(Object, frozen=True, kw_only=True):
    items: tuple[Instance, ...]
    revision: Revision
    """Of the state that this page shows."""
    next_cursor: str = ""
    """Give it back for the next page; empty at the end."""


# -- agents, jobs ----------------------------------------------------------------------------------------------------


class InstanceCounts(Object, frozen=True, kw_only=True):
    """Instances by what is known of them now: one on a silent node, or of a runtime that does not answer there, is
    counted as unknown and nowhere else."""

    pending: int = 0
    placed: int = 0
    starting: int = 0
    running: int = 0
    stopping: int = 0
    stopped: int = 0
    succeeded: int = 0
    failed: int = 0
    lost: int = 0
    unknown: int = 0


class Rollout(Object, frozen=True, kw_only=True):
    """A new version on its way."""

    version: int
    asked: int
    """Replicas that have been looked at, of `replicas`: each has the version, or has been asked to make room for it."""
    replicas: int
    halted: str = ""
    """Why it goes no further by itself, and what would help; empty while it goes on."""
    paused: bool = False


RolloutVerdict = Literal["progressing", "paused", "halted", "rolled-back", "stopped", "done"]
"""halted: a replica failed for good, or is not available in time, and nothing more is replaced; of a first version: one
is not available in time. rolled-back: the version has the spec of an earlier one again. stopped: the agent is. done:
every replica is available in this version."""


class RolloutStatus(Object, frozen=True, kw_only=True):
    """How far an agent's newest version has come."""

    agent: str
    """Its name."""
    namespace: str
    version: int
    reason: str
    """deployed, updated, restarted or rolled-back."""
    source: int = 0
    """Of one that was rolled back: the version whose spec it has again."""
    verdict: RolloutVerdict
    cause: str = ""
    """Why it is halted, or was rolled back by the fabric itself."""
    replicas: int
    asked: int
    """Replicas that have been looked at."""
    updated: int
    """Replicas that run in this version."""
    available: int
    """Replicas that are available, in whichever version."""
    superseded: int = 0
    """Instances that run on until the next generation of their slot is available."""
    started_ms: Millis
    revision: Revision


class AgentSummary(Object, frozen=True, kw_only=True):
    """An agent in a list."""

    id: str
    namespace: str
    name: str
    status: AgentStatus
    version: int
    replicas: int
    """Wanted."""
    running: int
    """Known to run."""
    replicas_owner: str
    """Who set `replicas` last: `manifest` or `scale`."""
    counts: InstanceCounts
    available: Annotated[int, Meta(ge=0)] = 0
    """Replicas that run and are ready, in whichever version; of those wanted."""
    failing: Annotated[int, Meta(ge=0)] = 0
    """Replicas that end again and again (see `Instance.failing`), of those that are looked at."""
    failing_at_least: bool = False
    """Not all are looked at, being many: there may be more that do."""
    driver: str
    cpu_milli: int
    """Set aside for each replica, as is `memory_bytes`."""
    memory_bytes: int
    labels: dict[str, str] = {}
    rollout: Rollout | None = None
    created_ms: Millis
    revision: Revision
    """Its own last: what ETag and If-Match name. Instances starting and ending do not move it."""


class Agent(AgentSummary, frozen=True, kw_only=True):
    spec: AgentSpec


class AgentList(Object, frozen=True, kw_only=True):
    items: tuple[AgentSummary, ...]
    revision: Revision
    next_cursor: str = ""


class AgentVersion(Object, frozen=True, kw_only=True):
    """One immutable version of an agent."""

    number: int
    current: bool
    spec: AgentSpec
    reason: str
    """deployed, updated, restarted or rolled-back."""
    principal: str
    by: str = ""
    """Who asked for it, in words with the id of their token; empty: the fabric did it by itself."""
    created_ms: Millis
    source: int = 0
    """Of one that was rolled back: the version whose spec it has again."""
    cause: str = ""
    """Why the fabric rolled back by itself; empty where somebody asked."""
    differences: tuple["Difference", ...] = ()
    """From the version before it that is kept."""
    proven: bool = False
    """It is known to work: every replica was available in it when its rollout was over, when its agent was about to
    change, or is now."""
    fault: str = ""
    """Of one that is not: what is known to have failed in it. Empty: neither is known."""


class AgentVersionList(Object, frozen=True, kw_only=True):
    """Newest first; a bounded number is kept."""

    items: tuple[AgentVersion, ...]
    revision: Revision


class Difference(Object, frozen=True, kw_only=True):
    """One field that changes. `before` or `after` is empty where there is none."""

    path: str
    """`resources.memory`."""
    before: str = ""
    after: str = ""


PlanChange = Literal["created", "updated", "scaled", "started", "rolled-back", "unchanged"]


class Plan(Object, frozen=True, kw_only=True):
    """What a deployment changes."""

    change: PlanChange
    version_before: int = 0
    version_after: int
    replicas_before: int = 0
    replicas_after: int
    differences: tuple[Difference, ...] = ()
    instances_created: int = 0
    """At once; a rollout's later steps are not counted."""
    instances_stopped: int = 0
    note: str = ""
    """What is asked and not done, or done and better known before, a line each: replicas that `scale` owns, how many
    run while a new version rolls out, memory that is set aside and no limit."""


class AgentChanged(Object, frozen=True, kw_only=True):
    """The answer to a change of an agent."""

    agent: Agent | None
    """As it is at `revision`; None if it is gone."""
    change: str
    """created, updated, scaled, started, restarted, rolled-back, paused, resumed, stopped, deleted or unchanged."""
    plan: Plan | None = None
    """Of a deployment."""
    revision: Revision
    """Where the change is durable. A read with `min_revision` of this shows it."""
    dry_run: bool = False
    replayed: bool = False
    """The answer to an earlier request with the same idempotency key."""


JobStatus = Literal["active", "succeeded", "failed", "cancelled"]


class JobSummary(Object, frozen=True, kw_only=True):
    """A job in a list."""

    id: str
    namespace: str
    name: str
    status: JobStatus
    cancelling: bool = False
    deleting: bool = False
    instance: str = ""
    """Id of its task's current instance."""
    instance_status: InstanceStatus | None = None
    node: str = ""
    exit: InstanceExit | None = None
    driver: str
    labels: dict[str, str] = {}
    created_ms: Millis
    finished_ms: Millis = 0
    revision: Revision


class Job(JobSummary, frozen=True, kw_only=True):
    spec: JobSpec


class JobList(Object, frozen=True, kw_only=True):
    items: tuple[JobSummary, ...]
    revision: Revision
    next_cursor: str = ""


class JobChanged(Object, frozen=True, kw_only=True):
    job: Job | None
    change: str
    """created, cancelled, deleted or unchanged."""
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class InstanceMigrated(Object, frozen=True, kw_only=True):
    """The answer to a request to move one replica."""

    instance: Instance | None
    """The one that is moved; it runs on for now."""
    following: Instance | None
    """Its next generation."""
    node: str
    """Name of the node that it goes to."""
    change: str
    """migrating or unchanged."""
    revision: Revision
    dry_run: bool = False
    replayed: bool = False


class InstanceChanged(Object, frozen=True, kw_only=True):
    """The answer to a restart of one instance."""

    instance: Instance | None
    """The one that was asked for, as it is now; None if it is gone already."""
    change: str
    revision: Revision
    dry_run: bool = False
    replayed: bool = False
