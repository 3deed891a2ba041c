"""What a start request says, checked: plain data from which a run is made."""

import os
from typing import NamedTuple

from omnitide.node.keeper import protocol
from omnitide.node.keeper.paths import MAX_ATTEMPT, is_instance
from omnitide.node.keeper.protocol import Json, Refused

MAX_LABEL_BYTES = 16 << 10
MAX_SIGNAL = 64
LEAST_LOG_FILE = 128 << 10
"""A log file must hold at least one frame of 64 KiB."""
MOST_LOG_FILES = 1000
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_YEAR_MS = 366 * 24 * 3600 * 1000


class Identity(NamedTuple):
    """The user that a run changes to; looked up by the client, so that the keeper never waits for a directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Limits(NamedTuple):
    """Ceilings; 0 means none."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    pids: int = 0

    def asked(self) -> tuple[str, ...]:
        """Names of the limits that are set, as in `DriverInfo.enforces`."""
        if not any(self):
            return ()
        pairs = (("cpu", self.cpu_milli), ("memory", self.memory_bytes), ("pids", self.pids))
        return tuple(name for name, value in pairs if value)


class Zygote(NamedTuple):
    """The zygote that is to fork, and what its child is to do."""

    name: str
    work: Json


class RunSpec(NamedTuple):
    """All that is needed to start one attempt of an instance."""

    instance: str
    attempt: int
    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    identity: Identity | None
    limits: Limits
    limits_required: bool
    log_file_bytes: int
    log_files: int
    stop_signal: int
    stop_grace_ms: int
    fence_ms: int
    labels: dict[str, str]
    log_age_ms: int = 0
    """Log files whose newest output is older are removed; 0: never."""
    pre_stop: tuple[str, ...] = ()
    """A command that is run inside the run before its stop signal."""
    links: tuple[tuple[str, str], ...] = ()
    """Symbolic links in the private directory: path below it, and what it leads to."""
    wrapper: tuple[str, ...] = ()
    """bubblewrap with its arguments: it makes the sandbox and executes the command in it."""
    zygote: Zygote | None = None
    """Forked from a zygote that is ready, instead of executed."""


class ExecSpec(NamedTuple):
    """A further program inside a run. What is not set is as the run has it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str
    identity: Identity | None
    terminal: bool


def _invalid(message: str) -> Refused:
    return Refused(message, cause="invalid", permanent=True)


def _command(message: Json) -> tuple[str, ...]:
    arguments: list[str] = []
    for argument in protocol.items(message, "command"):
        if not isinstance(argument, str) or "\0" in argument:
            raise _invalid("field 'command' must hold strings without NUL")
        arguments.append(argument)
    if not arguments:
        raise _invalid("field 'command' must name a program")
    if not arguments[0]:
        raise Refused("there is no program without a name", cause="command-not-found", permanent=True)
    return tuple(arguments)


def _environment(message: Json) -> dict[str, str]:
    environment = dict(protocol.strings(message, "environment"))
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise _invalid(f"environment variable {name[:100]!r} has an empty name, '=' in its name, or a NUL")
    environment.setdefault("PATH", _DEFAULT_PATH)
    return environment


def _identity(message: Json) -> Identity | None:
    if message.get("identity") is None:
        return None
    fields = protocol.record(message, "identity")
    groups: list[int] = []
    for group in protocol.items(fields, "groups"):
        if not isinstance(group, int) or not 0 <= group < 2**32 - 1:
            raise _invalid("field 'groups' must hold group numbers")
        groups.append(group)
    uid = protocol.number(fields, "uid", most=2**32 - 2)
    identity = Identity(uid, protocol.number(fields, "gid", most=2**32 - 2), tuple(groups))
    if os.geteuid() != 0 and uid != os.geteuid():
        message_text = f"only root can run as user {uid}; the keeper runs as user {os.geteuid()}"
        raise Refused(message_text, cause="user", permanent=True)
    return identity if os.geteuid() == 0 else None


def _texts(message: Json, key: str) -> tuple[str, ...]:
    found: list[str] = []
    for item in protocol.items(message, key):
        if not isinstance(item, str) or "\0" in item:
            raise _invalid(f"field {key!r} must hold strings without NUL")
        found.append(item)
    return tuple(found)


def _links(message: Json) -> tuple[tuple[str, str], ...]:
    links = protocol.strings(message, "links")
    for path, source in links.items():
        parts = path.split("/")
        if not path or any(part in ("", ".", "..") for part in parts) or "\0" in path or not source.startswith("/"):
            raise _invalid(f"link {path[:100]!r} does not lead from below the private directory to an absolute path")
    return tuple(links.items())


def _zygote(message: Json) -> Zygote | None:
    fields = protocol.record(message, "zygote")
    return Zygote(protocol.text(fields, "name"), protocol.record(fields, "work")) if fields else None


def parse_zygote(message: Json) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Name, command and environment of a zygote. Raises Refused."""
    return protocol.text(message, "name"), _command(message), _environment(message)


def parse(message: Json) -> RunSpec:
    """The `launch` object of a start request. Raises Refused (cause `invalid` or `user`) naming the field."""
    instance = protocol.text(message, "instance")
    if not is_instance(instance):
        raise _invalid(f"instance id {instance[:128]!r} is outside the grammar")
    directory = protocol.text(message, "working_directory", "")
    if directory and (not directory.startswith("/") or "\0" in directory):
        raise Refused(
            f"working directory {directory!r} is not an absolute path", cause="working-directory", permanent=True
        )
    labels = protocol.strings(message, "labels")
    if sum(len(name) + len(value) for name, value in labels.items()) > MAX_LABEL_BYTES:
        raise _invalid(f"labels are longer than {MAX_LABEL_BYTES} characters together")
    limits = protocol.record(message, "limits")
    logs = protocol.record(message, "logs")
    attempt = protocol.number(message, "attempt", least=1, most=MAX_ATTEMPT)
    return RunSpec(
        instance=instance,
        attempt=attempt,
        name=protocol.text(message, "name", instance)[:256],
        command=_command(message),
        environment=_environment(message),
        working_directory=directory,
        identity=_identity(message),
        limits=Limits(
            protocol.number(limits, "cpu_milli", 0),
            protocol.number(limits, "memory_bytes", 0),
            protocol.number(limits, "pids", 0),
        ),
        limits_required=protocol.flag(message, "limits_required"),
        log_file_bytes=max(LEAST_LOG_FILE, protocol.number(logs, "max_file_bytes", 10 << 20)),
        log_files=protocol.number(logs, "max_files", 3, least=1, most=MOST_LOG_FILES),
        stop_signal=protocol.number(message, "stop_signal", 15, least=1, most=MAX_SIGNAL),
        stop_grace_ms=protocol.number(message, "stop_grace_ms", 10_000, most=_YEAR_MS),
        fence_ms=protocol.number(message, "fence_ms", 0, most=_YEAR_MS),
        labels=labels,
        log_age_ms=protocol.number(logs, "max_age_ms", 0),
        pre_stop=_texts(message, "pre_stop"),
        links=_links(message),
        wrapper=_texts(message, "wrapper"),
        zygote=_zygote(message),
    )


def parse_exec(message: Json, environment: dict[str, str]) -> ExecSpec:
    """An `exec` request, on top of a run's environment. Raises Refused as `parse`."""
    directory = protocol.text(message, "working_directory", "")
    if "\0" in directory:
        raise _invalid("field 'working_directory' must not hold NUL")
    return ExecSpec(
        command=_command(message),
        environment=_environment({"environment": {**environment, **protocol.strings(message, "environment")}}),
        working_directory=directory,
        identity=_identity(message),
        terminal=protocol.flag(message, "terminal"),
    )
