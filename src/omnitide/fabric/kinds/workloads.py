"""Events of agents and jobs."""

from omnitide.fabric.kinds.base import BaseEvent
from omnitide.fabric.state import ExitRecord
from omnitide.model.spec import AgentSpec, JobSpec


class AgentCreated(BaseEvent, frozen=True, kw_only=True, tag="agent.created.v1"):
    agent: str
    namespace: str
    name: str
    spec: AgentSpec
    replicas: int
    owner: str = "manifest"


class AgentUpdated(BaseEvent, frozen=True, kw_only=True, tag="agent.updated.v1"):
    agent: str
    version: int
    spec: AgentSpec
    keeps: bool = False
    """What runs the same spec already, of an earlier version, is taken over as it is. False: no version had it, or it
    is of a release that replaced all."""


class AgentRestarted(BaseEvent, frozen=True, kw_only=True, tag="agent.restarted.v1"):
    """A new version with the spec of the one before."""

    agent: str
    version: int
    max_unavailable: int = 0
    """How many replicas may be away at once by it; 0: as many as its update allows."""


class AgentRolledBack(BaseEvent, frozen=True, kw_only=True, tag="agent.rolled-back.v1"):
    """A new version with the spec of an earlier one."""

    agent: str
    version: int
    source: int
    """The earlier one."""
    cause: str = ""
    """Why the fabric did it by itself; empty where somebody asked."""
    keeps: bool = False
    """What runs the earlier one's spec is taken over as it is. False: of a release that replaced all."""


class VersionProven(BaseEvent, frozen=True, kw_only=True, tag="agent.version-proven.v1"):
    """Every replica has been available in it: it is known to work from now on."""

    agent: str
    version: int


class RolloutPaused(BaseEvent, frozen=True, kw_only=True, tag="agent.rollout-paused.v1"):
    agent: str


class RolloutResumed(BaseEvent, frozen=True, kw_only=True, tag="agent.rollout-resumed.v1"):
    agent: str


class RolloutStumbled(BaseEvent, frozen=True, kw_only=True, tag="agent.rollout-stumbled.v1"):
    """A replica of the new version ends again and again before it is available, which halts the rollout."""

    agent: str
    slot: int
    """Its slot; 0: the one that did runs well by now."""


class RolloutLate(BaseEvent, frozen=True, kw_only=True, tag="agent.rollout-late.v1"):
    """The rollout has not come any further within its deadline, which halts it."""

    agent: str
    slot: int
    """Of the replica that is not available; 0: the one that was not is by now."""


class AgentScaled(BaseEvent, frozen=True, kw_only=True, tag="agent.scaled.v1"):
    agent: str
    replicas: int
    owner: str


class AgentStopped(BaseEvent, frozen=True, kw_only=True, tag="agent.stopped.v1"):
    agent: str


class AgentStarted(BaseEvent, frozen=True, kw_only=True, tag="agent.started.v1"):
    agent: str


class AgentDeleted(BaseEvent, frozen=True, kw_only=True, tag="agent.deleted.v1"):
    """Its instances are being stopped; `agent.removed` follows when none is left."""

    agent: str


class AgentRemoved(BaseEvent, frozen=True, kw_only=True, tag="agent.removed.v1"):
    agent: str
    namespace: str = ""
    name: str = ""


class RolloutAdvanced(BaseEvent, frozen=True, kw_only=True, tag="agent.rollout-advanced.v1"):
    agent: str
    cursor: int
    """Next slot to look at; 0: every slot has been, and is available in the new version."""
    progress: bool = False
    """It has come further, or has its time anew: its deadline counts from here."""


class SlotsRetired(BaseEvent, frozen=True, kw_only=True, tag="agent.slots-retired.v1"):
    agent: str
    slots: tuple[int, ...]


class JobCreated(BaseEvent, frozen=True, kw_only=True, tag="job.created.v1"):
    job: str
    namespace: str
    name: str
    spec: JobSpec


class JobCancelled(BaseEvent, frozen=True, kw_only=True, tag="job.cancelled.v1"):
    """Cancellation was asked for; `job.finished` follows when its instance has ended."""

    job: str


class JobFinished(BaseEvent, frozen=True, kw_only=True, tag="job.finished.v1"):
    job: str
    outcome: str
    """succeeded, failed or cancelled."""
    exit: ExitRecord | None = None


class JobDeleted(BaseEvent, frozen=True, kw_only=True, tag="job.deleted.v1"):
    """Removal was asked for; `job.removed` follows when its instance has ended."""

    job: str


class JobsRemoved(BaseEvent, frozen=True, kw_only=True, tag="job.removed.v1"):
    jobs: tuple[str, ...]
    names: tuple[tuple[str, str], ...] = ()
    """Namespace and name of each, in the same order."""
