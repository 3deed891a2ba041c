"""The course of the instances of a node: which there are, how each is moved one step towards what is desired, and what
follows when an attempt of one has ended. Part of the reconciler: pure, and nobody else's.

Which stimulus leads to which of these is the reconciler's to say; the single things that are done are `steps`.
"""

from collections.abc import Sequence
from typing import Final

from omnitide.node.desired import DesiredState, SpecUnreadable
from omnitide.node.instance import Instance
from omnitide.node.instructions import (
    CancelTimer,
    ForgetRecord,
    Instruction,
    MeasureKept,
    RemoveInstance,
    SaveRecord,
    SetTimer,
    StartRun,
)
from omnitide.node.launching import LaunchRefused, NodeContext, make_launch
from omnitide.node.provisions.errors import SECRET_MISSING, WAITS
from omnitide.node.provisions.needs import missing, needs_of, versions_from, versions_text
from omnitide.node.records import Assignment, Ending, Goal, Outcome, Phase, renewed, start_failure, unwell
from omnitide.node.restarts import Finish, after_ending
from omnitide.node.retention import Retained
from omnitide.node.steps import STOP, Steps

RESTART: Final = "restart"
RETENTION: Final = "retention"
REMOVE: Final = "remove"
"""Kinds of timers."""
REMOVE_RETRY_MS: Final = 60_000
MISSING_RETRY_MS: Final = 600_000
"""For an instance that waits for a secret that there is not; a new one comes with a new assignment."""
AWAY_RETRY_MS: Final = 5_000
"""For one that waits for Nexus to give it its secrets."""


class Course:
    """All instances that a node knows. The attributes are the reconciler's to read, and its own methods' to change."""

    def __init__(self, drivers: Sequence[str], context: NodeContext, retained: Retained) -> None:
        self.drivers = tuple(drivers)
        self.desired = DesiredState()
        self.recovered: set[str] = set()
        """Drivers that have told what they run and have not gone away since."""
        self.instances: dict[str, Instance] = {}
        self.leaving = False
        self.steps = Steps(self.desired)
        self.out: list[Instruction] = self.steps.begin()
        self._context = context
        self._retained = retained
        """Those that have ended and are no longer wanted."""

    def begin(self) -> list[Instruction]:
        """A new list of what is to be done, to which everything from now on is added."""
        self.out = self.steps.begin()
        return self.out

    def assign(self, assignment: Assignment, now: int) -> None:
        instance = self.instances.get(assignment.instance)
        if instance is None:
            instance = self.instances[assignment.instance] = self.new(assignment)
        before, instance.assignment = instance.assignment, assignment
        if not instance.generation:
            instance.generation = assignment.generation
        if instance.removed_at_ms:
            # Wanted again. What has ended stays so, and Nexus, which must have forgotten, is told.
            instance.removed_at_ms = 0
            self._retained.discard(instance.id)
            if instance.phase is not None:
                self.steps.mark(instance, instance.phase, instance.at_ms)
        if instance.phase is Phase.WAITING and not instance.next_attempt_at_ms and instance.ending is not None:
            self.attempt_ended(instance, instance.ending, now)
            return
        newer = before is not None and (before.secrets, before.configs) != (assignment.secrets, assignment.configs)
        if (
            instance.phase is Phase.WAITING
            and instance.ending is not None
            and (instance.ending.cause in WAITS or newer)
        ):
            # What it waits for may be there now, and a value that was wrong may be why it ended.
            instance.due = True
            self.out.append(CancelTimer(key=(RESTART, instance.id)))
        # It may have been found running before anything was known of it.
        self.steps.probe(instance)
        self.converge(instance, now)

    def remove(self, name: str, now: int) -> None:
        instance = self.instances.get(name)
        if instance is None or (instance.removed_at_ms and instance.assignment is None):
            return
        instance.meant, instance.assignment = instance.assignment or instance.meant, None
        instance.removed_at_ms = now
        if instance.phase is Phase.ENDED:
            self.out.append(SaveRecord(record=instance.record()))
            self.retain(instance, now)
        elif instance.phase is None and self.ready(instance):
            del self.instances[name]
        else:
            if instance.phase is not None:
                self.out.append(SaveRecord(record=instance.record()))
            self.converge(instance, now)

    def converge(self, instance: Instance, now: int) -> None:
        """Move an instance one step towards what is desired."""
        if not self.ready(instance):
            return
        if instance.wanted:
            begins = instance.phase is None or (instance.phase is Phase.WAITING and instance.due)
            if begins and not self.leaving:
                self._begin(instance, now)
            elif instance.phase is Phase.RUNNING:
                self.steps.renew(instance, leaving=self.leaving)
        elif instance.unwanted:
            if instance.phase in (Phase.STARTING, Phase.RUNNING):
                self.steps.mark(instance, Phase.STOPPING, now)
                self.steps.ask_to_stop(instance)
            elif instance.phase is Phase.WAITING or (instance.phase is None and instance.assignment is not None):
                self._end(instance, Outcome.STOPPED, now)
            elif instance.phase is None:
                del self.instances[instance.id]

    def _begin(self, instance: Instance, now: int) -> None:
        """The next attempt."""
        assert instance.assignment is not None
        instance.attempt = max(instance.attempt, instance.assignment.attempts_seen) + 1
        self._start(instance, now)

    def _start(self, instance: Instance, now: int) -> None:
        """Ask for the current attempt."""
        assignment = instance.assignment
        assert assignment is not None
        instance.handle, instance.unenforced, instance.unwell = "", (), ""
        instance.started_at_ms = instance.next_attempt_at_ms = 0
        instance.due, instance.renews = False, ""
        instance.generation = assignment.generation
        instance.given = versions_from(versions_text(assignment))
        try:
            spec = self.desired.spec(assignment)
            if spec.driver not in self.drivers:
                raise LaunchRefused(f"this node has no driver {spec.driver!r}", "driver-absent")
            instance.driver = spec.driver
            instance.spec_digest = self.desired.spec_digest(assignment)
            launch = make_launch(assignment, spec, instance.spec_digest, instance.attempt, self._context)
        except (SpecUnreadable, LaunchRefused) as error:
            cause = error.cause if isinstance(error, LaunchRefused) else "spec-unreadable"
            instance.ending = start_failure(str(error), cause=cause, permanent=True, at_ms=now)
            self._end(instance, Outcome.FAILED, now)
            return
        absent = missing(assignment, spec)
        if absent:
            message = f"{absent} does not exist; the instance starts when it is set"
            ending = start_failure(message, cause=SECRET_MISSING, permanent=False, at_ms=now)
            self.attempt_ended(instance, ending, now)
            return
        needs = needs_of(assignment, spec)
        instance.asked = instance.attempt
        self.steps.mark(instance, Phase.STARTING, now)
        self.out.append(
            StartRun(
                driver=spec.driver,
                launch=launch,
                needs=None if needs.nothing else needs,
                correlation=assignment.correlation,
            )
        )

    def vanished(self, instance: Instance, now: int) -> None:
        """The driver has no run for a live attempt."""
        if instance.phase is Phase.STARTING and instance.wanted and not self.leaving:
            self._start(instance, now)
            return
        message = "the driver has no trace of the run"
        self.attempt_ended(instance, Ending(reason="unknown", message=message, ended_at_ms=now), now)

    def attempt_ended(self, instance: Instance, ending: Ending, now: int) -> None:
        """The current attempt is over, or could not start: decide what follows."""
        if instance.unwell:
            ending = unwell(ending, instance.unwell)
            instance.unwell = ""
            self.out.append(CancelTimer(key=(STOP, instance.id)))
        renews, instance.renews = instance.renews, ""
        if renews:
            self.out.append(CancelTimer(key=(STOP, instance.id)))
            ending = renewed(ending, renews)
        instance.ending = ending
        ran_ms = ending.ended_at_ms - instance.started_at_ms if instance.started_at_ms else 0
        instance.lasted = instance.lasted or self._lasts(instance, ran_ms)
        left = self.leaving and ending.asked_for and instance.wanted
        if left and self._stays(instance):
            # It waits for this node, and is due as soon as that is one again.
            instance.next_attempt_at_ms, instance.due = now, True
            self.steps.mark(instance, Phase.WAITING, now)
            return
        if left or instance.phase is Phase.STOPPING or instance.unwanted:
            self._end(instance, Outcome.STOPPED, now)
            return
        if instance.assignment is None or instance.assignment.goal is not Goal.RUN:
            instance.next_attempt_at_ms, instance.due = 0, False
            self.steps.mark(instance, Phase.WAITING, now)
            return
        if renews and ending.asked_for:
            instance.next_attempt_at_ms, instance.due = now, True
            self.steps.mark(instance, Phase.WAITING, now)
            self.converge(instance, now)
            return
        if ending.cause in WAITS:
            # No failure of its own: nothing is counted, and what it waits for brings a new assignment.
            delay = MISSING_RETRY_MS if ending.cause == SECRET_MISSING else AWAY_RETRY_MS
            instance.next_attempt_at_ms, instance.due = now + delay, False
            self.steps.mark(instance, Phase.WAITING, now)
            self.out.append(SetTimer(key=(RESTART, instance.id), delay_ms=delay))
            return
        try:
            policy = self.desired.spec(instance.assignment).restart
        except SpecUnreadable:
            self._end(instance, Outcome.FAILED, now)
            return
        if ending.stopped and policy.policy == "never":
            # Nexus decides: it may run again, but not as another attempt of this one.
            self._end(instance, Outcome.STOPPED, now)
            return
        earlier = 0 if instance.lasted else instance.assignment.ends_before
        step = after_ending(policy, ending, restarts=instance.restarts, ran_ms=ran_ms, ends_before=earlier)
        if isinstance(step, Finish):
            self._end(instance, step.outcome, now)
            return
        instance.restarts = step.restarts
        instance.next_attempt_at_ms = now + step.delay_ms
        instance.due = step.delay_ms == 0
        self.steps.mark(instance, Phase.WAITING, now)
        if step.delay_ms:
            self.out.append(SetTimer(key=(RESTART, instance.id), delay_ms=step.delay_ms))
        else:
            self.converge(instance, now)

    def _lasts(self, instance: Instance, ran_ms: int) -> bool:
        """Whether a run of so long excuses the ends before it."""
        if instance.assignment is None:
            return False
        try:
            return ran_ms >= self.desired.spec(instance.assignment).restart.reset_after
        except SpecUnreadable:
            return False

    def _stays(self, instance: Instance) -> bool:
        """Whether it is to run on this node or not at all."""
        try:
            return instance.assignment is not None and self.desired.spec(instance.assignment).on_disconnect == "keep"
        except SpecUnreadable:
            return False

    def _end(self, instance: Instance, outcome: Outcome, now: int) -> None:
        if instance.phase is Phase.WAITING:
            self.out.append(CancelTimer(key=(RESTART, instance.id)))
        elif instance.phase is Phase.STOPPING:
            self.out.append(CancelTimer(key=(STOP, instance.id)))
        instance.outcome = outcome
        instance.handle, instance.next_attempt_at_ms, instance.due = "", 0, False
        if instance.removed_at_ms:
            instance.removed_at_ms = now
        self.steps.mark(instance, Phase.ENDED, now)
        if instance.removed_at_ms:
            self.retain(instance, now)

    def ready(self, instance: Instance) -> bool:
        """What runs of this instance is known, and its driver can be asked for more."""
        if instance.driver in self.drivers:
            return instance.driver in self.recovered
        return all(driver in self.recovered for driver in self.drivers)

    def new(self, assignment: Assignment) -> Instance:
        try:
            driver = self.desired.spec(assignment).driver
        except SpecUnreadable:
            driver = ""
        return Instance(id=assignment.instance, driver=driver, assignment=assignment, generation=assignment.generation)

    def retain(self, instance: Instance, now: int) -> None:
        """It has ended and is no longer wanted: only its logs are kept."""
        self._retained.add(instance.id, instance.removed_at_ms)
        if self._retained.measures and instance.driver in self.drivers:
            self.out.append(MeasureKept(driver=instance.driver, instance=instance.id))
        self.drop_retained(now)

    def measured(self, instance: str, size: int, now: int) -> None:
        """What is kept of an ended instance takes so many bytes."""
        self._retained.measured(instance, size)
        self.drop_retained(now)

    def drop_retained(self, now: int) -> None:
        for name in self._retained.due(now):
            self.forget_or_wait(self.instances[name])
        delay = self._retained.next_ms(now)
        if delay is not None:
            self.out.append(SetTimer(key=(RETENTION, ""), delay_ms=delay))

    def forget_or_wait(self, instance: Instance) -> None:
        if instance.haunted:
            self.out.append(SetTimer(key=(REMOVE, instance.id), delay_ms=REMOVE_RETRY_MS))
        else:
            self.forget(instance)

    def forget(self, instance: Instance) -> None:
        if instance.driver in self.drivers:
            self.out.append(RemoveInstance(driver=instance.driver, instance=instance.id))
        else:
            del self.instances[instance.id]
            self.out.append(ForgetRecord(instance=instance.id))
