"""Replacing the keeper's program under its running children: state into a memory file, exec, state out of it again.

A process keeps its children, its descriptors and its place in the process tree over exec; only memory is lost. So the
new program finds every pipe open, every child its own, and hears their exits exactly. Connections of clients are
closed: they come back and list.
"""

import json
import os
from typing import cast

from omnitide.node.keeper import ending, protocol
from omnitide.node.keeper.instance import Instance
from omnitide.node.keeper.log_writer import LogWriter
from omnitide.node.keeper.protocol import Json
from omnitide.node.keeper.run import Run, from_record, record
from omnitide.node.keeper.spec import Identity
from omnitide.node.keeper.supervisor import Supervisor

_NAME = "keeper-state"
_MAX_STATE = 256 << 20


def save(supervisor: Supervisor, listener: int, lock: int, open_files: tuple[int, int], upgrades: int) -> int:
    """Put the state into a memory file that an exec keeps, and return its descriptor. Raises OSError."""
    inherited = [listener, lock]
    runs: list[object] = []
    for run in supervisor.runs():
        runs.append(_run_state(run))
        inherited.extend(run.pipes)
        inherited.extend(fd for fd in (run.status_fd, run.words_fd) if fd >= 0)
    logs: Json = {name: _log_state(instance) for name, instance in supervisor.instances.items() if instance.log}
    state: Json = {
        "format": 1,
        "listener": listener,
        "lock": lock,
        "open_files": list(open_files),
        "upgrades": upgrades,
        "runs": runs,
        "logs": logs,
    }
    fd = os.memfd_create(_NAME, 0)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(json.dumps(state).encode())
    os.lseek(fd, 0, os.SEEK_SET)
    for number in (*inherited, fd):
        os.set_inheritable(number, True)
    return fd


def undo(supervisor: Supervisor, fd: int, listener: int, lock: int) -> None:
    """After an exec that failed: no child may inherit what only the next program should have."""
    os.close(fd)
    runs = supervisor.live.values()
    for number in (listener, lock, *(n for run in runs for n in (*run.pipes, run.status_fd, run.words_fd))):
        if number >= 0:
            os.set_inheritable(number, False)


def load(fd: int) -> Json:
    """The state of the program before. Raises ValueError or OSError for one that is not there whole."""
    with os.fdopen(fd, "rb") as file:
        state = json.loads(file.read(_MAX_STATE))
    if not isinstance(state, dict) or cast("Json", state).get("format") != 1:
        raise ValueError("the state handed over has another format")
    return cast("Json", state)


def check(fd: int) -> None:
    """Read a state as `restore` would, and do nothing with it. Raises what a state that is not understood raises."""
    state = load(fd)
    for key in ("listener", "lock", "upgrades"):
        protocol.number(state, key)
    for item in protocol.items(state, "runs"):
        _run_from(cast("Json", item))
    protocol.record(state, "logs")


def restore(supervisor: Supervisor, state: Json) -> None:
    """Take the runs over, as if they had been started here. Raises Refused for a state that is not one."""
    for number in (protocol.number(state, "listener"), protocol.number(state, "lock")):
        os.set_inheritable(number, False)
    for item in protocol.items(state, "runs"):
        fields = cast("Json", item)
        run = _run_from(fields)
        supervisor.adopt(run, supervisor.instance(run.instance))
    for name, item in protocol.record(state, "logs").items():
        instance = supervisor.instances.get(name)
        if instance is not None:
            instance.log = _log_from(cast("Json", item), instance)
    for run in list(supervisor.live.values()):
        for fd in (*run.pipes, run.status_fd, run.words_fd):
            if fd >= 0:
                os.set_inheritable(fd, False)
        supervisor.supervise(run)
        if run.kill_due_ms and run.exit is None:
            supervisor.stopper.kill_at(run, run.kill_due_ms)
        if not run.main_alive:
            supervisor.settle(run)


def _run_state(run: Run) -> Json:
    return {
        **record(run, ""),
        "state": run.state,
        "command": run.command,
        "directory": run.directory,
        "user": run.user,
        "environment": {} if run.ended else run.environment,
        "identity": list(run.identity) if run.identity else None,
        "main_alive": run.main_alive,
        "exit": ending.to_fields(run.exit) if run.exit else None,
        "stop_signal": run.stop_signal,
        "stop_grace_ms": run.stop_grace_ms,
        "kill_reason": run.kill_reason,
        "kill_due_ms": run.kill_timer.due_ms if run.kill_timer else 0,
        "wanted_stop_ms": run.wanted_stop_ms,
        "fence_at_ms": run.fence_at_ms,
        "failure": run.failure.decode(errors="replace"),
        "status_fd": run.status_fd,
        "words_fd": run.words_fd,
        "words": run.words.decode(errors="replace"),
        "first": run.first,
        "user_namespace": run.user_namespace,
        "pre_stop": [] if run.ended else list(run.pre_stop),
        "hook_pid": run.hook_pid,
        "pipes": [[fd, stream] for fd, stream in run.pipes.items()],
    }


def _run_from(fields: Json) -> Run:
    run = from_record(fields)
    run.state = protocol.text(fields, "state")
    run.command = protocol.text(fields, "command")
    run.directory = protocol.text(fields, "directory")
    run.user = protocol.text(fields, "user")
    run.environment = protocol.strings(fields, "environment")
    run.identity = _identity_from(fields.get("identity"))
    run.main_alive = protocol.flag(fields, "main_alive")
    run.exit = ending.from_fields(protocol.record(fields, "exit"))
    run.stop_signal = protocol.number(fields, "stop_signal")
    run.stop_grace_ms = protocol.number(fields, "stop_grace_ms")
    run.kill_reason = protocol.text(fields, "kill_reason")
    run.kill_due_ms = protocol.number(fields, "kill_due_ms")
    run.fence_at_ms = protocol.number(fields, "fence_at_ms")
    run.failure = protocol.text(fields, "failure").encode()
    run.status_fd = protocol.number(fields, "status_fd", least=-1)
    run.words_fd = protocol.number(fields, "words_fd", -1, least=-1)
    run.words = protocol.text(fields, "words", "").encode()
    run.first = protocol.number(fields, "first", 0)
    run.user_namespace = protocol.flag(fields, "user_namespace")
    run.pre_stop = tuple(str(argument) for argument in protocol.items(fields, "pre_stop"))
    run.hook_pid = protocol.number(fields, "hook_pid", 0)
    wanted = fields.get("wanted_stop_ms")
    run.wanted_stop_ms = wanted if isinstance(wanted, int) else None
    for item in protocol.items(fields, "pipes"):
        fd, stream = cast("list[int]", item)
        run.pipes[fd] = stream
    return run


def _identity_from(value: object) -> Identity | None:
    if not isinstance(value, list):
        return None
    uid, gid, groups = cast("tuple[int, int, list[int]]", value)
    return Identity(uid, gid, tuple(groups))


def _log_state(instance: Instance) -> Json:
    log = instance.log
    assert log is not None
    return {
        "sequence": log.sequence,
        "position": log.position,
        "max_bytes": log.max_bytes,
        "max_files": log.max_files,
        "max_age_ms": log.max_age_ms,
        "lost_bytes": log.lost_bytes,
        "lost_because": log.lost_because,
    }


def _log_from(fields: Json, instance: Instance) -> LogWriter:
    log = LogWriter(
        instance.logs,
        max_bytes=protocol.number(fields, "max_bytes"),
        max_files=protocol.number(fields, "max_files"),
    )
    log.max_age_ms = protocol.number(fields, "max_age_ms", 0)
    log.sequence = protocol.number(fields, "sequence")
    log.position = protocol.number(fields, "position")
    log.lost_bytes = protocol.number(fields, "lost_bytes")
    log.lost_because = protocol.text(fields, "lost_because", "")
    return log
