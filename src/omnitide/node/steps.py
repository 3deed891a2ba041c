"""The single things that are done about an instance: each a change of its state and the instructions that go with it.

Which of them comes when is the reconciler's to say.
"""

from typing import Final

from omnitide.model.probes import Probes
from omnitide.node.desired import DesiredState, SpecUnreadable
from omnitide.node.instance import Instance
from omnitide.node.instructions import (
    BeginProbes,
    EndProbes,
    Instruction,
    RefreshValues,
    SaveRecord,
    SendReport,
    SetTimer,
    StopRun,
)
from omnitide.node.launching import bindings
from omnitide.node.provisions.needs import change_between, needs_of, versions_from, versions_text
from omnitide.node.records import Health, Phase

STOP: Final = "stop"
"""Kind of the timer after which a stop is asked for again."""
STOP_MARGIN_MS: Final = 15_000
"""After grace and margin a stop that the driver has not carried out is asked for again."""
DEFAULT_GRACE_MS: Final = 10_000
NO_PROBES: Final = Probes()


class Steps:
    """Of one reconciler. Collects what is to be done."""

    def __init__(self, desired: DesiredState) -> None:
        self._desired = desired
        self._out: list[Instruction] = []

    def begin(self) -> list[Instruction]:
        """A new list, to which everything from now on is added, by whoever holds it too."""
        self._out = []
        return self._out

    def mark(self, instance: Instance, phase: Phase, now: int) -> None:
        """A change that is to be known and remembered."""
        instance.phase, instance.at_ms = phase, now
        if phase is not Phase.RUNNING:
            instance.health, instance.health_message = Health.UNKNOWN, ""
            if instance.probed:
                instance.probed = 0
                self._out.append(EndProbes(instance=instance.id))
        self.tell(instance)

    def tell(self, instance: Instance) -> None:
        self._out.append(SaveRecord(record=instance.record()))
        assignment = instance.assignment or instance.meant
        name, correlation = (assignment.name, assignment.correlation) if assignment is not None else ("", "")
        self._out.append(SendReport(report=instance.report(), name=name, correlation=correlation))

    def probe(self, instance: Instance) -> None:
        """Have a running attempt asked how it is, if its spec says so and it is not asked already."""
        if instance.phase is not Phase.RUNNING or instance.assignment is None or instance.probed == instance.attempt:
            return
        try:
            spec = self._desired.spec(instance.assignment)
        except SpecUnreadable:
            return
        if spec.health == NO_PROBES:
            return
        instance.probed = instance.attempt
        self._out.append(
            BeginProbes(
                driver=instance.driver,
                key=instance.key,
                probes=spec.health,
                ports=bindings(instance.assignment, spec),
                started_at_ms=instance.started_at_ms,
                health=instance.health,
            )
        )

    def renew(self, instance: Instance, *, leaving: bool) -> None:
        """Bring newer secrets and configs to what runs, as its spec says."""
        assignment = instance.assignment
        if assignment is None or not (assignment.secrets or assignment.configs) or instance.ends:
            return
        try:
            spec = self._desired.spec(assignment)
        except SpecUnreadable:
            return
        change = change_between(instance.given or {}, assignment, spec)
        if change.nothing:
            return
        instance.given = versions_from(versions_text(assignment))
        if change.restart_for:
            if not leaving:
                instance.renews = " and ".join(change.restart_for)
                self.ask_to_stop(instance)
            return
        self._out.append(
            RefreshValues(
                driver=instance.driver,
                key=instance.key,
                needs=needs_of(assignment, spec),
                signals=change.signals,
            )
        )

    def ask_to_stop(self, instance: Instance) -> None:
        grace = DEFAULT_GRACE_MS
        if instance.assignment is not None:
            try:
                grace = self._desired.spec(instance.assignment).stop.grace
            except SpecUnreadable:
                pass
        self._out.append(StopRun(driver=instance.driver, key=instance.key))
        self._out.append(SetTimer(key=(STOP, instance.id), delay_ms=grace + STOP_MARGIN_MS))
