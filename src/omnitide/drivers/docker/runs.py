"""A container as a run: its state, and how it ended."""

import signal
from collections.abc import Mapping
from typing import Final

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Container, milliseconds
from omnitide.drivers.docker.notes import Stop
from omnitide.drivers.protocol import Exit, Run, RunKey, RunState

BY_SIGNAL: Final = 128
"""Added by the engine to the number of the signal that ended a run."""
HANDLE: Final = 12
MESSAGES: Final = {
    126: "126: the command could not be executed in the image",
    127: "127: the command was not found in the image",
}
LIVE: Final = frozenset({"running", "paused", "restarting", "stopping"})
"""`stopping` and `stopped` are Podman's words."""
ENDED: Final = frozenset({"exited", "stopped", "dead", "removing"})


def run_of(container: Container, stop: Stop | None) -> Run | None:
    """None for a container that is not ours, or that has never been started."""
    found = container.config.labels or {}
    key = naming.key_of(found)
    status = container.state.status
    if key is None or (status not in LIVE and status not in ENDED):
        return None
    state = RunState.RUNNING if status in LIVE else RunState.EXITED
    if state is RunState.RUNNING and stop is not None:
        state = RunState.STOPPING
    ending = None
    if state is RunState.EXITED:
        if not milliseconds(container.state.finished_at):
            return None
        ending = exit_of(
            container.state.exit_code,
            stop,
            oom=container.state.oom_killed,
            # An engine may write down the start of what is over at once after its end.
            at_ms=max(milliseconds(container.state.finished_at), milliseconds(container.state.started_at)),
            message=container.state.error,
        )
    return Run(
        key=key,
        state=state,
        handle=container.id[:HANDLE],
        started_at_ms=milliseconds(container.state.started_at),
        exit=ending,
        unenforced=unenforced(found),
        labels=naming.opaque(found),
    )


def removed_run(key: RunKey, container_id: str, found: Mapping[str, str], ending: Exit) -> Run:
    """Of a container that somebody else has removed, by what its last event says."""
    return Run(
        key=key,
        state=RunState.EXITED,
        handle=container_id[:HANDLE],
        exit=ending,
        unenforced=unenforced(found),
        labels=naming.opaque(found),
    )


def exit_of(status: int, stop: Stop | None, *, oom: bool, at_ms: int, message: str = "") -> Exit:
    """The engine tells a signal as 128 and its number, as shells do; so does a program that says so itself."""
    number = status - BY_SIGNAL if status - BY_SIGNAL in signal.valid_signals() else None
    oom = oom and status != 0
    reason = "signal" if number is not None else "exited"
    if oom:
        reason = "out-of-memory"
    elif stop is not None:
        reason = "killed" if stop.killed else "stopped"
    return Exit(
        code=status if number is None else None,
        signal=number,
        reason=reason,
        message=message or ("" if stop is not None else MESSAGES.get(status, "")),
        out_of_memory=oom,
        ended_at_ms=at_ms,
    )


def unenforced(found: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(word for word in found.get(naming.UNENFORCED, "").split(",") if word)
