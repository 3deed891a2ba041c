"""What a user writes: the spec of an agent or a job. Immutable; an agent's versions each hold one.

All quantities are integers here; `manifest` turns what people write into them. A field added later has a default, and a
default never changes: specs live in the log for ever.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from omnitide.model.container import Container, Sandbox, Wasm
from omnitide.model.names import EnvironmentKey, LabelKey, LabelValue, Name
from omnitide.model.part import Part, PathText, Text
from omnitide.model.probes import Probes
from omnitide.model.provisions import Artifact, ConfigUse, SecretUse, Volume
from omnitide.model.quantity import Bytes, CpuMilli, DurationMs, quantity
from omnitide.model.scrape import Metrics

MAX_REPLICAS = 100_000
MAX_COMMAND_ARGUMENTS = 1024
MAX_ENVIRONMENT = 512

Replicas = Annotated[int, Meta(ge=0, le=MAX_REPLICAS)]
PortNumber = Annotated[int, Meta(ge=0, le=65535)]


class Resources(Part, frozen=True, kw_only=True):
    """What is set aside on the node for each instance: the scheduler never promises a node more than it has."""

    cpu: CpuMilli = 100
    memory: Bytes = 32 << 20


class Limits(Part, frozen=True, kw_only=True):
    """Ceilings that an instance cannot pass. 0 means none."""

    cpu: CpuMilli = 0
    memory: Bytes = 0
    pids: Annotated[int, Meta(ge=0, le=4_194_304)] = 0
    enforcement: Literal["required", "best-effort"] = "best-effort"
    """`required` is never placed on a node that cannot enforce it; `best-effort` runs there and is shown so."""


class Port(Part, frozen=True, kw_only=True):
    """A named port of an instance on its node; the number reaches it as PORT_<NAME>."""

    port: PortNumber = 0
    """0: any free port of the node's range. Otherwise this one, which then allows one such instance a node."""
    target: PortNumber = 0
    """The port inside a container; 0: the same as outside."""
    protocol: Literal["tcp", "udp"] = "tcp"
    host_ip: Annotated[str, Meta(max_length=45)] = ""
    """The node's address at which a container's port is open, `127.0.0.1` for the node alone; empty: at all of them."""


class Constraint(Part, frozen=True, kw_only=True):
    """A condition on a node's labels. Built-in labels: `node`, `os`, `arch`, `host`."""

    label: LabelKey
    operator: Literal["=", "!=", "in", "not-in", "exists", "absent"] = "="
    values: Annotated[tuple[LabelValue, ...], Meta(max_length=64)] = ()


Need = Literal["started", "ready", "completed"]
"""`started`: a replica runs. `ready`: a replica is ready. `completed`: it has succeeded."""


class Restart(Part, frozen=True, kw_only=True):
    """What the node does when an instance ends by itself."""

    policy: Literal["always", "on-failure", "never"] = "always"
    attempts: Annotated[int, Meta(ge=0, le=1_000_000)] = 5
    """Restarts in a row on one node before the instance counts as failed and is rescheduled: it is started once more
    often than that. 0: once."""
    backoff: DurationMs = 500
    """Wait before the second restart in a row (the first comes at once); doubles up to `backoff_max`. Where it is
    rescheduled to, it goes on from there."""
    backoff_max: DurationMs = 30_000
    reset_after: DurationMs = 60_000
    """An instance that ran so long starts counting anew."""
    reschedules: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """How often in a row it is placed anew after it has failed on a node, until it has failed for good; None: without
    end. 0: it gets one node and `attempts` restarts there. A taken port, or a node that lacks what it needs, does not
    count."""


MAX_GRACE_MS: Final = 86_400_000
"""A day. Kubernetes and Docker bound it by nothing; whoever waits for the end of something needs a time to give up."""


class Stop(Part, frozen=True, kw_only=True):
    signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"] = "SIGTERM"
    grace: DurationMs = 10_000
    """From the beginning of the stop until everything left of the instance is killed; `pre_stop` is part of it. A day
    at most."""
    pre_stop: Annotated[tuple[Text, ...], Meta(max_length=MAX_COMMAND_ARGUMENTS)] = ()
    """A command that is run inside the instance before the signal is sent."""


class Logs(Part, frozen=True, kw_only=True):
    """What a node keeps of an instance's output."""

    max_file: Annotated[int, quantity("bytes", 4096)] = 10 << 20
    max_files: Annotated[int, Meta(ge=1, le=100)] = 3
    max_age: DurationMs = 0
    """Files whose newest output is older are removed; 0: never."""


class Update(Part, frozen=True, kw_only=True):
    """How a new version replaces the old one."""

    max_unavailable: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] = 1
    """Replicas that may be away at once while a new version rolls out."""
    max_surge: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] = 0
    """Replicas that may run beyond the number wanted meanwhile: new ones are there before the old ones go."""
    min_healthy: DurationMs = 1_000
    """A new replica counts once it has been ready, or has run where nothing asks for readiness, for so long."""
    progress_deadline: DurationMs = 600_000
    """How long a rollout may go on without coming any further: no replica of the new version becomes available, and no
    other is asked to make room. Then `on_failure` follows, as where one has failed for good. 0: for ever."""
    on_failure: Literal["halt", "rollback"] = "halt"
    """When a replica of a new version has failed for good, or is not available in time. `halt`: what still runs of the
    version before stays, until somebody acts. `rollback`: the version that works is rolled out again."""


class WorkloadSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What runs, whether as an agent's replica or a job's task."""

    driver: Name = "process"
    command: Annotated[tuple[Text, ...], Meta(max_length=MAX_COMMAND_ARGUMENTS)] = ()
    """Program and arguments; `${NAME}` is replaced from the instance's environment, `$$` is a dollar. The driver
    `process` needs it; of a container it takes the place of the image's own."""
    environment: Annotated[dict[EnvironmentKey, Text], Meta(max_length=MAX_ENVIRONMENT)] = {}
    working_directory: PathText = ""
    user: Annotated[str, Meta(max_length=128)] = ""
    container: Container | None = None
    """For the driver `docker`."""
    wasm: Wasm | None = None
    """For the driver `wasm`."""
    isolation: Literal["none", "sandbox"] = "none"
    """What the driver `process` has to give; a node that cannot is not chosen."""
    sandbox: Sandbox = Sandbox()
    options: Annotated[dict[Name, Text], Meta(max_length=64)] = {}
    """For drivers that others ship."""
    artifacts: Annotated[tuple[Artifact, ...], Meta(max_length=64)] = ()
    volumes: Annotated[dict[Name, Volume], Meta(max_length=64)] = {}
    secrets: Annotated[dict[Name, SecretUse], Meta(max_length=64)] = {}
    configs: Annotated[dict[Name, ConfigUse], Meta(max_length=64)] = {}
    health: Probes = Probes()
    metrics: Metrics | None = None
    """Its own, which the node then scrapes."""
    needs: Annotated[dict[Name, Need], Meta(max_length=32)] = {}
    """Agents and jobs of the same namespace that have to be so before an instance is placed."""
    together: Name | None = None
    """Instances of a namespace with the same word here are placed on one node."""
    resources: Resources = Resources()
    limits: Limits = Limits()
    ports: Annotated[dict[Name, Port], Meta(max_length=32)] = {}
    constraints: Annotated[tuple[Constraint, ...], Meta(max_length=64)] = ()
    placement: Literal["spread", "pack"] = "spread"
    restart: Restart = Restart()
    stop: Stop = Stop()
    logs: Logs = Logs()
    on_disconnect: Literal["replace", "keep"] = "replace"
    """`replace`: lost and started elsewhere after `lost_after`; on return the older healthy run wins unless its slot
    was updated. `keep`: never declared lost."""
    lost_after: DurationMs | None = None
    """From unreachable to lost; None takes the fabric's setting."""
    labels: Annotated[dict[LabelKey, LabelValue], Meta(max_length=64)] = {}


class AgentSpec(WorkloadSpec, frozen=True, kw_only=True):
    """One version of an agent."""

    update: Update = Update()


class JobSpec(WorkloadSpec, frozen=True, kw_only=True):
    """A workload that runs to completion. A job of one task; arrays come with the scheduler."""

    restart: Restart = Restart(policy="never")


class AgentManifest(AgentSpec, frozen=True, kw_only=True):
    """An agent as written in a file: the spec, and what identifies it."""

    kind: Literal["agent"] = "agent"
    name: Name
    namespace: Name | None = None
    replicas: Replicas | None = None
    """Left out: an existing agent keeps its number, a new one gets 1."""


def spec_of(manifest: AgentManifest) -> AgentSpec:
    """The versioned part of a manifest."""
    return AgentSpec(**{field: getattr(manifest, field) for field in AgentSpec.__struct_fields__})
