"""What a node knows about an instance: the assignment from Nexus, and what became of it here. Plain, immutable data."""

import enum

import msgspec

from omnitide.drivers.protocol import Exit
from omnitide.model.provisions import VALUES_CHANGED


class Goal(enum.StrEnum):
    RUN = "run"
    STOP = "stop"
    KEEP = "keep"
    """One that this software does not know, from a newer Nexus: the instance is left as it is."""


class Phase(enum.StrEnum):
    """Where an instance is on this node. Within one attempt it only moves down this list."""

    STARTING = "starting"
    """The driver has been asked to start this attempt."""
    RUNNING = "running"
    STOPPING = "stopping"
    WAITING = "waiting"
    """This attempt ended; the next one starts later, or awaits what Nexus says about the instance."""
    ENDED = "ended"
    """Final: the node will not start it again."""


LIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})
"""Phases in which a run of the instance exists, or may."""


class Outcome(enum.StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


class Health(enum.StrEnum):
    """What its probes say of an instance that runs."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Assignment(msgspec.Struct, frozen=True):
    """One instance that Nexus placed here. The id fixes everything but goal, ports' fate and attempts_seen."""

    instance: str
    name: str
    namespace: str
    kind: str
    """`agent` or `job`."""
    workload: str
    version: int
    slot: int
    generation: int
    goal: Goal
    spec_key: str
    ports: dict[str, int] = {}
    attempts_seen: int = 0
    correlation: str = ""
    stop_reason: str = ""
    secrets: dict[str, int] = {}
    """Present versions of those that its spec names; one that there is not is absent."""
    configs: dict[str, int] = {}
    ends_before: int = 0
    """Ends in a row, by themselves, of the generations before: its back-off goes on from there."""


class Ending(msgspec.Struct, frozen=True):
    """How an attempt ended, or why it could not start."""

    code: int | None = None
    signal: int | None = None
    reason: str = "exited"
    """Open set: those of the driver protocol's Exit, and start-failed."""
    message: str = ""
    out_of_memory: bool = False
    ended_at_ms: int = 0
    cause: str = ""
    """Cause class of a start that failed, be it that only its end told so."""
    permanent: bool = False
    """Trying again on this node cannot help."""

    @property
    def asked_for(self) -> bool:
        """Somebody ended it; whether it would have gone on, or how it would have ended, is not known."""
        return self.reason in ("stopped", "killed", "unknown")

    @property
    def stopped(self) -> bool:
        """Somebody is known to have ended it, be it that it had to be killed."""
        return self.reason in ("stopped", "killed")

    @property
    def success(self) -> bool:
        return self.code == 0 and self.signal is None


MAX_MESSAGE = 1024
"""Characters kept of an ending's message: it goes into every report, hello and event of the instance."""


def ending_of(exit_: Exit | None, at_ms: int, message: str = "") -> Ending:
    """The ending of a run that the driver gives an exit for, or knows nothing about (None)."""
    if exit_ is None:
        return Ending(reason="unknown", message=message, ended_at_ms=at_ms)
    return Ending(
        code=exit_.code,
        signal=exit_.signal,
        reason=exit_.reason,
        message=(exit_.message or message)[:MAX_MESSAGE],
        out_of_memory=exit_.out_of_memory,
        ended_at_ms=exit_.ended_at_ms or at_ms,
        cause=exit_.cause,
        permanent=exit_.permanent,
    )


def unwell(ending: Ending, message: str) -> Ending:
    """The ending of a run that was ended because its probes failed: not as it was ended, but why."""
    return msgspec.structs.replace(ending, reason="unhealthy", message=message[:MAX_MESSAGE], code=None, signal=None)


def renewed(ending: Ending, what: str) -> Ending:
    """The ending of a run that was ended so that the next one gets a newer value of what its spec names."""
    if not ending.asked_for:
        return ending
    return msgspec.structs.replace(
        ending, cause=VALUES_CHANGED, message=f"for a new version of {what}"[:MAX_MESSAGE], permanent=False
    )


def start_failure(message: str, *, cause: str, permanent: bool, at_ms: int) -> Ending:
    return Ending(
        reason="start-failed", message=message[:MAX_MESSAGE], cause=cause, permanent=permanent, ended_at_ms=at_ms
    )


class Report(msgspec.Struct, frozen=True):
    """The whole state of an instance on this node. A later one replaces an earlier one."""

    instance: str
    generation: int
    attempt: int
    phase: Phase
    at_ms: int
    """When it came to be so; wall clock of the node, for people."""
    ending: Ending | None = None
    """Of the attempt that ended (waiting, ended), else of the one before."""
    next_attempt_at_ms: int = 0
    handle: str = ""
    unenforced: tuple[str, ...] = ()
    outcome: Outcome | None = None
    spec_digest: str = ""
    health: Health = Health.UNKNOWN
    health_message: str = ""
    """Why it is unhealthy."""


class Record(msgspec.Struct, frozen=True):
    """What the node must remember of an instance across its own death."""

    report: Report
    driver: str
    restarts: int = 0
    """Restarts in a row so far."""
    lasted: bool = False
    """An attempt of it has run for `restart.reset_after`: how often generations before it ended counts no more."""
    started_at_ms: int = 0
    removed_at_ms: int = 0
    """Above 0: no longer desired since then, kept for its logs."""
