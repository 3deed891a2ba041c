"""What a user writes: the spec of an agent or a job. Immutable; an agent's versions each hold one.

All quantities are integers here; `manifest` turns what people write into them. A field added later has a default, and a
default never changes: specs live in the log for ever.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from omnitide.model.names import EnvironmentKey, LabelKey, LabelValue, Name
from omnitide.model.quantity import Bytes, CpuMilli, DurationMs, quantity

MAX_REPLICAS = 100_000
MAX_COMMAND_ARGUMENTS = 1024
MAX_ENVIRONMENT = 512

Replicas = Annotated[int, Meta(ge=0, le=MAX_REPLICAS)]
PortNumber = Annotated[int, Meta(ge=0, le=65535)]
Text = Annotated[str, Meta(max_length=32_768)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a spec: unknown fields are refused, defaults are not written."""


class Resources(_Part, frozen=True, kw_only=True):
    """What is set aside on the node for each instance: the scheduler never promises a node more than it has."""

    cpu: CpuMilli = 100
    memory: Bytes = 32 << 20


class Limits(_Part, frozen=True, kw_only=True):
    """Ceilings that an instance cannot pass. 0 means none."""

    cpu: CpuMilli = 0
    memory: Bytes = 0
    pids: Annotated[int, Meta(ge=0, le=4_194_304)] = 0
    enforcement: Literal["required", "best-effort"] = "best-effort"
    """`required` is never placed on a node that cannot enforce it; `best-effort` runs there and is shown so."""


class Port(_Part, frozen=True, kw_only=True):
    """A named port of an instance on its node; the number reaches it as PORT_<NAME>."""

    port: PortNumber = 0
    """0: any free port of the node's range. Otherwise this one, which then allows one such instance a node."""


class Constraint(_Part, frozen=True, kw_only=True):
    """A condition on a node's labels. Built-in labels: `node`, `os`, `arch`, `host`."""

    label: LabelKey
    operator: Literal["=", "!=", "in", "not-in", "exists", "absent"] = "="
    values: Annotated[tuple[LabelValue, ...], Meta(max_length=64)] = ()


class Restart(_Part, frozen=True, kw_only=True):
    """What the node does when an instance ends by itself."""

    policy: Literal["always", "on-failure", "never"] = "always"
    attempts: Annotated[int, Meta(ge=0, le=1_000_000)] = 5
    """Restarts in a row on one node before the instance counts as failed and is rescheduled: it is started once more
    often than that. 0: once."""
    backoff: DurationMs = 500
    """Wait before the second restart in a row (the first comes at once); doubles up to `backoff_max`."""
    backoff_max: DurationMs = 30_000
    reset_after: DurationMs = 60_000
    """An instance that ran so long starts counting anew."""


class Stop(_Part, frozen=True, kw_only=True):
    signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"] = "SIGTERM"
    grace: DurationMs = 10_000


class Logs(_Part, frozen=True, kw_only=True):
    """What a node keeps of an instance's output."""

    max_file: Annotated[int, quantity("bytes", 4096)] = 10 << 20
    max_files: Annotated[int, Meta(ge=1, le=100)] = 3


class Update(_Part, frozen=True, kw_only=True):
    """How a new version replaces the old one."""

    max_unavailable: Annotated[int, Meta(ge=1, le=MAX_REPLICAS)] = 1
    """Replicas that may be away at once while a new version rolls out."""


class WorkloadSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What runs, whether as an agent's replica or a job's task."""

    driver: Name = "process"
    command: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=MAX_COMMAND_ARGUMENTS)]
    """Program and arguments; `${NAME}` is replaced from the instance's environment, `$$` is a dollar."""
    environment: Annotated[dict[EnvironmentKey, Text], Meta(max_length=MAX_ENVIRONMENT)] = {}
    working_directory: Annotated[str, Meta(max_length=4096)] = ""
    user: Annotated[str, Meta(max_length=128)] = ""
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
