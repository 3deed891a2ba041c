"""What the reconciler wants done, as data. The shell carries them out; the order within one instance matters."""

from collections.abc import Mapping

import msgspec

from omnitide.drivers.protocol import Launch, PortBinding, RunKey
from omnitide.model.probes import Probes
from omnitide.node.provisions.needs import Needs
from omnitide.node.records import Assignment, Health, Record, Report


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all."""


class StartRun(Instruction, frozen=True, kw_only=True):
    """Start one attempt; answer with Started, StartFailed or StartUnknown."""

    driver: str
    launch: Launch
    """Its ports must be free before."""
    needs: Needs | None = None
    """What has to be there before; None: nothing."""
    correlation: str = ""


class StopRun(Instruction, frozen=True, kw_only=True):
    """Ask the driver to stop a run; answer with StopFailed if it cannot even be asked."""

    driver: str
    key: RunKey
    grace_ms: int | None = None


class RefreshValues(Instruction, frozen=True, kw_only=True):
    """Put newer secrets and configs in the place of what a running attempt has in files, then send it signals."""

    driver: str
    key: RunKey
    needs: Needs
    signals: tuple[str, ...]


class RemoveRun(Instruction, frozen=True, kw_only=True):
    """Let the driver forget an ended run that a later attempt has replaced."""

    driver: str
    key: RunKey


class RemoveInstance(Instruction, frozen=True, kw_only=True):
    """Let the driver forget an instance with its logs and its directory; answer with InstanceRemoved."""

    driver: str
    instance: str


class MeasureKept(Instruction, frozen=True, kw_only=True):
    """Find out how much of the disk what is kept of an instance that is over takes, when its driver has put away what
    nobody needs any more; answer with KeptMeasured, if at all."""

    driver: str
    instance: str


class BeginProbes(Instruction, frozen=True, kw_only=True):
    """Ask about a running attempt from now on; answer with Probed when the verdict changes."""

    driver: str
    key: RunKey
    probes: Probes
    ports: tuple[PortBinding, ...]
    started_at_ms: int
    health: Health
    """As last known of this attempt."""


class EndProbes(Instruction, frozen=True, kw_only=True):
    instance: str


class SendReport(Instruction, frozen=True, kw_only=True):
    """Put a report into the outbox. Name and correlation are for the log."""

    report: Report
    name: str = ""
    correlation: str = ""


class SaveRecord(Instruction, frozen=True, kw_only=True):
    """Remember an instance durably."""

    record: Record


class ForgetRecord(Instruction, frozen=True, kw_only=True):
    instance: str


class SaveDesired(Instruction, frozen=True, kw_only=True):
    """Remember durably how the desired state changed."""

    log_id: str
    revision: int
    assignments: tuple[Assignment, ...] = ()
    removed: tuple[str, ...] = ()
    specs: Mapping[str, bytes] = {}
    removed_specs: tuple[str, ...] = ()


class SetTimer(Instruction, frozen=True, kw_only=True):
    """Bring TimerFired with this key after `delay_ms`; replaces a timer with the same key.

    A delay, not a time: timers run on the monotonic clock and a step of the wall clock moves none.
    """

    key: tuple[str, str]
    delay_ms: int


class CancelTimer(Instruction, frozen=True, kw_only=True):
    key: tuple[str, str]


class Resync(Instruction, frozen=True, kw_only=True):
    """The session has lost its thread: end it and say hello anew."""

    reason: str
