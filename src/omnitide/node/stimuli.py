"""What happens to a node, as data: the only way into the reconciler. Time comes inside, never from a clock."""

from collections.abc import Mapping

import msgspec

from omnitide.drivers.protocol import Run, RunKey
from omnitide.node.records import Assignment, Health, Record


class Stimulus(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all. `at_ms`: wall clock of the node, milliseconds since 1970."""

    at_ms: int


class Restored(Stimulus, frozen=True, kw_only=True):
    """What the outbox remembers, once, before all else. `revision` 0: nothing was ever desired, or it is forgotten."""

    log_id: str
    revision: int
    assignments: tuple[Assignment, ...] = ()
    specs: Mapping[str, bytes] = {}
    records: tuple[Record, ...] = ()


class Recovered(Stimulus, frozen=True, kw_only=True):
    """All runs of a driver: it can be worked with from now on.

    `unsure`: runs that were started while the list was made and may be missing in it.
    """

    driver: str
    runs: tuple[Run, ...]
    unsure: frozenset[RunKey] = frozenset()


class DriverLost(Stimulus, frozen=True, kw_only=True):
    """A driver's runtime went away; nothing is asked of it until it is recovered."""

    driver: str


class RunChanged(Stimulus, frozen=True, kw_only=True):
    """A driver's watch said so."""

    driver: str
    run: Run


class Started(Stimulus, frozen=True, kw_only=True):
    """Answer to StartRun."""

    driver: str
    run: Run


class StartFailed(Stimulus, frozen=True, kw_only=True):
    """Answer to StartRun: there is no such run and there will be none."""

    key: RunKey
    message: str
    cause: str
    permanent: bool


class StartUnknown(Stimulus, frozen=True, kw_only=True):
    """Answer to StartRun: nobody knows (deadline passed, runtime gone). The next Recovered tells."""

    key: RunKey


class StopFailed(Stimulus, frozen=True, kw_only=True):
    """Answer to StopRun: it could not be asked for; it is tried again."""

    key: RunKey


class Probed(Stimulus, frozen=True, kw_only=True):
    """What the probes say of an attempt has changed."""

    key: RunKey
    health: Health
    message: str = ""
    """Why it is unhealthy."""
    restart: bool = False
    """It is to be ended, and started again as its policy says."""


class InstanceRemoved(Stimulus, frozen=True, kw_only=True):
    """Answer to RemoveInstance: the driver has forgotten it, or could not (`done` false) and is asked again."""

    instance: str
    done: bool


class KeptMeasured(Stimulus, frozen=True, kw_only=True):
    """Answer to MeasureKept."""

    instance: str
    bytes: int


class TimerFired(Stimulus, frozen=True, kw_only=True):
    key: tuple[str, str]
    """As given in SetTimer."""


class Leaving(Stimulus, frozen=True, kw_only=True):
    """All that runs here is about to be ended by somebody else, and this node to go: nothing is started any more, and
    what is stopped now has been stopped, as if it had been asked for here: it has not failed."""


class Connected(Stimulus, frozen=True, kw_only=True):
    """A session has begun: revisions before it mean nothing, the next Desired is a full one."""

    log_id: str


class DesiredReceived(Stimulus, frozen=True, kw_only=True):
    """What should be on this node. Full: all of it. Otherwise what changed."""

    full: bool
    revision: int
    assignments: tuple[Assignment, ...] = ()
    removed: tuple[str, ...] = ()
    specs: Mapping[str, bytes] = {}
