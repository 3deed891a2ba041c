"""From an assignment and its spec to the driver's Launch: environment, `${NAME}` expansion, limits, labels. Pure."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from omnitide.drivers.protocol import Launch, Limit, LogPolicy, PortBinding, RunKey
from omnitide.model.provisions import INSIDE
from omnitide.model.spec import Port, WorkloadSpec
from omnitide.node.provisions.needs import CONFIGS_VARIABLE, SECRETS_VARIABLE, file_name, versions_text
from omnitide.node.records import Assignment
from omnitide.telemetry.tracing.context import (
    TRACEPARENT,
    Place,
    place_of,
    session_span,
    start_span,
    traceparent,
)

MAX_VALUE_CHARACTERS: Final = 128 << 10
"""Of one argument or variable after expansion: the kernel's limit for one string of an exec (MAX_ARG_STRLEN)."""
MAX_TOTAL_CHARACTERS: Final = 1 << 20
"""Of all arguments and variables together: half of what Linux allows by default (ARG_MAX, 2 MiB)."""

LABEL_GENERATION: Final = "generation"
LABEL_SPEC_DIGEST: Final = "spec_digest"
LABEL_NAME: Final = "name"
LABEL_VALUES: Final = "values"
"""Versions of secrets and configs, as `provisions.needs` writes them; left out where there are none."""

_REFERENCE = re.compile(r"\$(?:(\$)|\{([^}]*)(\}?))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class LaunchRefused(Exception):
    """An assignment that can never be started here as it is written. `cause` is for programs."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


class NodeContext(msgspec.Struct, frozen=True):
    """What every instance of a node shares."""

    node_name: str
    base_environment: Mapping[str, str] = {}
    """Under everything else: PATH, LANG and the like. What a spec sets wins."""
    files_root: str = ""
    """Below which instances find files of secrets and configs."""
    traced: bool = False
    """This node sends spans of its own: a traced instance is handed that of its start, else that of Nexus before it."""


def port_variable(name: str) -> str:
    """`PORT_WEB_UI` for the port `web-ui`."""
    return "PORT_" + name.upper().replace("-", "_")


def given_environment(assignment: Assignment, attempt: int, context: NodeContext) -> dict[str, str]:
    """The variables that an instance gets from the fabric."""
    workload = "OMNITIDE_JOB" if assignment.kind == "job" else "OMNITIDE_AGENT"
    return {
        **context.base_environment,
        "OMNITIDE_NAMESPACE": assignment.namespace,
        workload: assignment.workload,
        "OMNITIDE_INSTANCE": assignment.name,
        "OMNITIDE_INSTANCE_ID": assignment.instance,
        "OMNITIDE_SLOT": str(assignment.slot),
        "OMNITIDE_GENERATION": str(assignment.generation),
        "OMNITIDE_ATTEMPT": str(attempt),
        "OMNITIDE_NODE": context.node_name,
        "OMNITIDE_VERSION": str(assignment.version),
        "OMNITIDE_CORRELATION": assignment.correlation,
        **_trace(assignment, attempt, context),
        **{port_variable(name): str(number) for name, number in sorted(assignment.ports.items())},
    }


def _trace(assignment: Assignment, attempt: int, context: NodeContext) -> dict[str, str]:
    """W3C Trace Context, of an instance that comes of a call that is traced."""
    call = place_of(assignment.correlation)
    if call is None:
        return {}
    above = start_span(assignment.correlation, assignment.instance, attempt) if context.traced else ""
    above = above or session_span(assignment.correlation, assignment.instance)
    return {TRACEPARENT: traceparent(Place(call.trace_id, above))}


def make_launch(
    assignment: Assignment, spec: WorkloadSpec, spec_digest: str, attempt: int, context: NodeContext
) -> Launch:
    """All that a driver needs for one attempt. Raises LaunchRefused."""
    if spec.container is not None:
        # Where programs are and what language is spoken is the image's to say.
        context = msgspec.structs.replace(context, base_environment={})
    given = {**given_environment(assignment, attempt, context), **_places(assignment, spec, context)}
    values = versions_text(assignment)
    environment = _Expansion(given, spec.environment)
    variables = environment.all()
    command = [environment.expand(argument, f"argument {index}") for index, argument in enumerate(spec.command)]
    if sum(map(len, command)) + sum(len(k) + len(v) for k, v in variables.items()) > MAX_TOTAL_CHARACTERS:
        raise LaunchRefused(f"command and environment are longer than {MAX_TOTAL_CHARACTERS} characters", "environment")
    return Launch(
        key=RunKey(assignment.instance, attempt),
        name=assignment.name,
        command=command,
        environment=variables,
        working_directory=spec.working_directory,
        user=spec.user,
        limits=Limit(cpu_milli=spec.limits.cpu, memory_bytes=spec.limits.memory, pids=spec.limits.pids),
        limits_required=spec.limits.enforcement == "required",
        log_policy=_log_policy(spec),
        stop_signal=spec.stop.signal,
        stop_grace_ms=spec.stop.grace,
        labels={
            LABEL_GENERATION: str(assignment.generation),
            LABEL_SPEC_DIGEST: spec_digest,
            LABEL_NAME: assignment.name,
            **({LABEL_VALUES: values} if values else {}),
        },
        namespace=assignment.namespace,
        workload=assignment.workload,
        ports=bindings(assignment, spec),
        container=spec.container,
        wasm=spec.wasm,
        isolation=spec.isolation,
        sandbox=spec.sandbox,
        options=spec.options,
        pre_stop=[
            environment.expand(argument, f"pre_stop argument {i}") for i, argument in enumerate(spec.stop.pre_stop)
        ],
    )


def _places(assignment: Assignment, spec: WorkloadSpec, context: NodeContext) -> dict[str, str]:
    """Where an instance finds the files of its secrets and configs."""
    found: dict[str, str] = {}
    for variable, kind, uses in (
        (SECRETS_VARIABLE, "secrets", spec.secrets),
        (CONFIGS_VARIABLE, "configs", spec.configs),
    ):
        if any(file_name(name, use) for name, use in uses.items()):
            own = spec.driver != "process"
            found[variable] = INSIDE[kind] if own else f"{context.files_root}/{assignment.instance}/{kind}"
    return found


def bindings(assignment: Assignment, spec: WorkloadSpec) -> tuple[PortBinding, ...]:
    """The ports of an instance, by name."""
    bound: list[PortBinding] = []
    for name, number in sorted(assignment.ports.items()):
        port = spec.ports.get(name) or Port()
        bound.append(
            PortBinding(
                name=name,
                host=number,
                target=port.target or number,
                protocol=port.protocol,
                host_ip=port.host_ip,
            )
        )
    return tuple(bound)


def _log_policy(spec: WorkloadSpec) -> LogPolicy:
    logs = spec.logs
    return LogPolicy(max_file_bytes=logs.max_file, max_files=logs.max_files, max_age_ms=logs.max_age)


class _Expansion:
    """Replaces `${NAME}` from what is given and what the spec sets, whatever the order in which the spec names them.

    A variable that refers to its own name gets the given value, so that `PATH = "/opt/bin:${PATH}"` extends PATH.
    """

    def __init__(self, given: Mapping[str, str], written: Mapping[str, str]) -> None:
        self._given = given
        self._written = written
        self._done: dict[str, str] = {}
        self._open: list[str] = []

    def all(self) -> dict[str, str]:
        return {**self._given, **{name: self._variable(name) for name in self._written}}

    def expand(self, text: str, where: str) -> str:
        """Raises LaunchRefused, naming `where` and what is wrong."""
        if "$" not in text:
            return text

        size = len(text)

        def replace(match: re.Match[str]) -> str:
            nonlocal size
            if match[1]:
                return "$"
            name = match[2]
            if not match[3] or not _NAME.fullmatch(name):
                raise LaunchRefused(
                    f"{where}: {match[0]!r} is no ${{NAME}}; write $$ for a dollar that the program shall see",
                    "environment",
                )
            value = self._lookup(name, where)
            # Counted while it grows: a few variables that double one another would fill the memory before the end.
            size += len(value) - len(match[0])
            if size > MAX_VALUE_CHARACTERS:
                raise LaunchRefused(
                    f"{where}: longer than {MAX_VALUE_CHARACTERS} characters when expanded", "environment"
                )
            return value

        return _REFERENCE.sub(replace, text)

    def _lookup(self, name: str, where: str) -> str:
        itself = bool(self._open) and self._open[-1] == name
        if name in self._written and not itself:
            return self._variable(name)
        if name in self._given:
            return self._given[name]
        raise LaunchRefused(
            f"{where}: the variable {name} is not set; set it in the spec's environment, or write $${{{name}}}"
            " if a shell in the instance shall replace it",
            "environment",
        )

    def _variable(self, name: str) -> str:
        done = self._done.get(name)
        if done is not None:
            return done
        if name in self._open:
            raise LaunchRefused(f"environment: {' -> '.join([*self._open, name])} refers to itself", "environment")
        self._open.append(name)
        value = self.expand(self._written[name], f"environment variable {name}")
        self._open.pop()
        self._done[name] = value
        return value
