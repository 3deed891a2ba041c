"""The node's state machine: stimuli in, instructions out, no I/O, no clock, no randomness.

In the manner of dask's `worker_state_machine`: one entrance, `handle`, and nothing outside touches the state. It is
level-triggered: after every stimulus each instance concerned is compared with what is desired and moved one step
towards it, so that lost, repeated and late messages change nothing in the end.

Rules that hold whatever comes (each has a property test):
- An attempt begins only after the one before was seen to have ended, or never to have begun. A start whose outcome is
  unknown is asked for again under the same number, which drivers answer with the run that exists.
- Attempts only grow. A live run that is not the current attempt is told to stop.
- ENDED is final, and remembered until Nexus no longer wants the instance; its logs are kept for a while longer.
- Stopping is final too: an instance that was told to stop ends, even if it is wanted again meanwhile.
"""

from collections.abc import Sequence

from omnitide.drivers.protocol import PortBinding, Run, RunKey, RunState
from omnitide.node.desired import DesiredInvalid, DesiredState, SpecUnreadable
from omnitide.node.instance import Instance, from_record
from omnitide.node.instructions import (
    CancelTimer,
    ForgetRecord,
    Instruction,
    RemoveInstance,
    RemoveRun,
    Resync,
    SaveRecord,
    SetTimer,
    StartRun,
    StopRun,
)
from omnitide.node.launching import (
    LABEL_GENERATION,
    LABEL_SPEC_DIGEST,
    LABEL_VALUES,
    LaunchRefused,
    NodeContext,
    bindings,
    make_launch,
)
from omnitide.node.provisions.errors import SECRET_MISSING, WAITS
from omnitide.node.provisions.needs import missing, needs_of, versions_from, versions_text
from omnitide.node.records import (
    LIVE,
    Assignment,
    Ending,
    Goal,
    Outcome,
    Phase,
    Report,
    ending_of,
    start_failure,
    unwell,
)
from omnitide.node.restarts import Finish, after_ending
from omnitide.node.retention import Retained, Retention
from omnitide.node.steps import STOP, Steps
from omnitide.node.stimuli import (
    Connected,
    DesiredReceived,
    DriverLost,
    InstanceRemoved,
    Leaving,
    Probed,
    Recovered,
    Restored,
    RunChanged,
    Started,
    StartFailed,
    StartUnknown,
    Stimulus,
    StopFailed,
    TimerFired,
)

RESTART = "restart"
RETENTION = "retention"
REMOVE = "remove"
STOP_RETRY_MS = 2_000
REMOVE_RETRY_MS = 60_000
MISSING_RETRY_MS = 600_000
"""For an instance that waits for a secret that there is not; a new one comes with a new assignment."""
AWAY_RETRY_MS = 5_000
"""For one that waits for Nexus to give it its secrets."""
_ENDED_STATES = (RunState.EXITED, RunState.UNKNOWN)


class Reconciler:
    """State of all instances of a node. Attributes are private; `handle` is the only way to change them."""

    def __init__(self, *, drivers: Sequence[str], context: NodeContext, retention: Retention | None = None) -> None:
        self._drivers = tuple(drivers)
        self._context = context
        self._desired = DesiredState()
        self._recovered: set[str] = set()
        """Drivers that have told what they run and have not gone away since."""
        self._instances: dict[str, Instance] = {}
        self._retained = Retained(retention or Retention())
        """Those that have ended and are no longer wanted."""
        self._leaving = False
        self._steps = Steps(self._desired)
        self._out = self._steps.begin()

    def handle(self, stimulus: Stimulus) -> list[Instruction]:
        """Take in what happened; returns what is to be done, in order."""
        self._out = self._steps.begin()
        now = stimulus.at_ms
        match stimulus:
            case DesiredReceived():
                self._on_desired(stimulus, now)
            case RunChanged(driver=driver, run=run):
                self._observe(driver, run, now)
            case Started(driver=driver, run=run):
                self._answered(run.key)
                self._observe(driver, run, now)
            case StartFailed():
                self._on_start_failed(stimulus, now)
            case StartUnknown(key=key):
                self._answered(key)
            case StopFailed(key=key):
                if self._stopping(key):
                    self._out.append(SetTimer(key=(STOP, key.instance), delay_ms=STOP_RETRY_MS))
            case Probed():
                self._on_probed(stimulus)
            case InstanceRemoved():
                self._on_removed(stimulus)
            case TimerFired(key=key):
                self._on_timer(key, now)
            case Connected(log_id=log_id):
                self._desired.connect(log_id)
            case Recovered():
                self._on_recovered(stimulus, now)
            case DriverLost(driver=driver):
                self._recovered.discard(driver)
            case Restored():
                self._on_restored(stimulus, now)
            case Leaving():
                self._leaving = True
            case _:
                raise TypeError(f"the reconciler does not know the stimulus {type(stimulus).__name__}")
        return self._out

    @property
    def log_id(self) -> str:
        return self._desired.log_id

    @property
    def revision(self) -> int:
        """Of the desired state that was applied last."""
        return self._desired.revision

    def inventory(self) -> list[Report]:
        """All instances that Nexus may care about: not those kept only for their logs."""
        return [i.report() for i in self._instances.values() if i.phase is not None and not i.over]

    def snapshot(self, at_ms: int) -> Restored:
        """All that has to be remembered, as `Restored` brings it back."""
        return Restored(
            at_ms=at_ms,
            log_id=self._desired.log_id,
            revision=self._desired.revision,
            assignments=self._desired.assignments(),
            specs=self._desired.used_specs(),
            records=tuple(i.record() for i in self._instances.values() if i.phase is not None),
        )

    def live(self) -> int:
        """Instances of which a run exists, or may."""
        return sum(i.phase in LIVE for i in self._instances.values())

    def lives(self, instance: str) -> bool:
        """It is known here and has not ended for good."""
        known = self._instances.get(instance)
        return known is not None and known.phase is not Phase.ENDED

    def driver_of(self, instance: str) -> str | None:
        """The driver that has an instance's logs; None for an instance that is not known here."""
        known = self._instances.get(instance)
        return known.driver or None if known is not None else None

    def running(self, instance: str) -> Instance | None:
        """An instance of this id that runs here now."""
        known = self._instances.get(instance)
        return known if known is not None and known.phase is Phase.RUNNING else None

    def ports(self, instance: Instance) -> tuple[PortBinding, ...]:
        """The ports that its current attempt has."""
        if instance.assignment is None:
            return ()
        try:
            return bindings(instance.assignment, self._desired.spec(instance.assignment))
        except SpecUnreadable:
            return ()

    # What happens

    def _on_restored(self, stimulus: Restored, now: int) -> None:
        self._desired.restore(stimulus.log_id, stimulus.revision, stimulus.assignments, stimulus.specs)
        for record in stimulus.records:
            instance = from_record(record)
            instance.assignment = self._desired.get(instance.id)
            self._instances[instance.id] = instance
        for assignment in stimulus.assignments:
            if assignment.instance not in self._instances:
                self._instances[assignment.instance] = self._new(assignment)
        for instance in self._instances.values():
            if instance.phase is Phase.WAITING and instance.next_attempt_at_ms:
                # The wall clock may have been set while nobody looked: never wait longer than was meant at first.
                meant = max(0, instance.next_attempt_at_ms - instance.at_ms)
                rest = min(max(0, instance.next_attempt_at_ms - now), meant)
                self._out.append(SetTimer(key=(RESTART, instance.id), delay_ms=rest))
        for instance in sorted((i for i in self._instances.values() if i.over), key=lambda i: i.removed_at_ms):
            self._retain(instance, now)

    def _on_desired(self, stimulus: DesiredReceived, now: int) -> None:
        try:
            change = self._desired.apply(stimulus)
        except DesiredInvalid as error:
            self._out.append(Resync(reason=str(error)))
            return
        if change is None:
            return
        if change.save is not None:
            self._out.append(change.save)
        removed = list(change.removed)
        if stimulus.full:
            removed += [i.id for i in self._instances.values() if not i.removed_at_ms and not self._desired.get(i.id)]
        for instance in removed:
            self._remove(instance, now)
        for assignment in change.assigned:
            self._assign(assignment, now)

    def _on_recovered(self, stimulus: Recovered, now: int) -> None:
        self._recovered.add(stimulus.driver)
        latest: dict[str, Run] = {}
        for run in sorted(stimulus.runs, key=lambda run: run.key):
            older = latest.get(run.key.instance)
            if older is not None:
                kind = RemoveRun if older.state in _ENDED_STATES else StopRun
                self._out.append(kind(driver=stimulus.driver, key=older.key))
            latest[run.key.instance] = run
        for run in latest.values():
            self._observe(stimulus.driver, run, now)
        for instance in list(self._instances.values()):
            if instance.driver in self._drivers and instance.driver != stimulus.driver:
                continue
            run = latest.get(instance.id)
            if instance.phase in LIVE and (run is None or run.key.attempt < instance.attempt):
                if instance.asked != instance.attempt and instance.key not in stimulus.unsure:
                    self._missing(instance, now)
            elif instance.phase is Phase.STOPPING:
                self._steps.ask_to_stop(instance)
            self._converge(instance, now)

    def _on_start_failed(self, stimulus: StartFailed, now: int) -> None:
        self._answered(stimulus.key)
        instance = self._instances.get(stimulus.key.instance)
        if instance is None or instance.key != stimulus.key or instance.phase not in (Phase.STARTING, Phase.STOPPING):
            return
        ending = start_failure(stimulus.message, cause=stimulus.cause, permanent=stimulus.permanent, at_ms=now)
        self._attempt_ended(instance, ending, now)

    def _on_probed(self, stimulus: Probed) -> None:
        instance = self._instances.get(stimulus.key.instance)
        if instance is None or instance.key != stimulus.key or instance.phase is not Phase.RUNNING:
            return
        instance.health, instance.health_message = stimulus.health, stimulus.message
        self._steps.tell(instance)
        if stimulus.restart and not instance.unwell and instance.wanted:
            instance.unwell = stimulus.message
            self._steps.ask_to_stop(instance)

    def _on_removed(self, stimulus: InstanceRemoved) -> None:
        instance = self._instances.get(stimulus.instance)
        if instance is None or not instance.over:
            return
        if stimulus.done:
            # Not before: the driver's memory of a run without ours would be taken for a run that is not judged yet.
            del self._instances[instance.id]
            self._out.append(ForgetRecord(instance=instance.id))
        else:
            self._out.append(SetTimer(key=(REMOVE, instance.id), delay_ms=REMOVE_RETRY_MS))

    def _on_timer(self, key: tuple[str, str], now: int) -> None:
        kind, name = key
        if kind == RETENTION:
            self._drop_retained(now)
            return
        instance = self._instances.get(name)
        if instance is None:
            return
        if kind == RESTART and instance.phase is Phase.WAITING and instance.next_attempt_at_ms:
            instance.due = True
            self._converge(instance, now)
        elif kind == STOP and instance.ends and self._ready(instance):
            self._steps.ask_to_stop(instance)
        elif kind == REMOVE and instance.over:
            self._forget(instance)

    def _observe(self, driver: str, run: Run, now: int) -> None:
        """A driver says how a run is."""
        ended = run.state in _ENDED_STATES
        instance = self._instances.get(run.key.instance)
        if instance is None:
            instance = Instance(id=run.key.instance, driver=driver)
            instance.removed_at_ms = now if self._desired.synced else 0
            self._instances[instance.id] = instance
        attempt = run.key.attempt
        closed = instance.phase in (Phase.ENDED, Phase.WAITING) and attempt == instance.attempt
        if attempt < instance.attempt or closed or instance.phase is Phase.ENDED:
            # Its end is known, so this is old news; or it is a run that should not be, and is told to stop.
            if not ended:
                self._out.append(StopRun(driver=driver, key=run.key))
            return
        if attempt > instance.attempt and instance.phase in (Phase.RUNNING, Phase.WAITING):
            instance.phase = Phase.STARTING
        instance.driver = driver
        instance.attempt = attempt
        instance.generation = _generation(run) or instance.generation
        instance.spec_digest = run.labels.get(LABEL_SPEC_DIGEST, "") or instance.spec_digest
        instance.started_at_ms = run.started_at_ms or instance.started_at_ms
        if instance.given is None:
            instance.given = versions_from(run.labels.get(LABEL_VALUES, ""))
        if ended:
            message = "" if run.exit is not None else "the driver lost sight of the run"
            self._attempt_ended(instance, ending_of(run.exit, now, message), now)
            return
        self._alive(instance, run, now)

    def _alive(self, instance: Instance, run: Run, now: int) -> None:
        phase = Phase.RUNNING
        if instance.phase is Phase.STOPPING or (run.state is RunState.STOPPING and not instance.ends):
            phase = Phase.STOPPING
        elif run.state is RunState.STARTING:
            phase = Phase.STARTING
        unenforced = tuple(run.unenforced)
        if (phase, run.handle, unenforced) != (instance.phase, instance.handle, instance.unenforced):
            if phase is Phase.RUNNING and instance.phase is Phase.STARTING and instance.attempt > 1:
                self._out.append(RemoveRun(driver=instance.driver, key=RunKey(instance.id, instance.attempt - 1)))
            instance.handle, instance.unenforced = run.handle, unenforced
            self._steps.mark(instance, phase, now)
        self._steps.probe(instance)
        self._converge(instance, now)

    # What follows

    def _assign(self, assignment: Assignment, now: int) -> None:
        instance = self._instances.get(assignment.instance)
        if instance is None:
            instance = self._instances[assignment.instance] = self._new(assignment)
        instance.assignment = assignment
        if not instance.generation:
            instance.generation = assignment.generation
        if instance.removed_at_ms:
            # Wanted again. What has ended stays so, and Nexus, which must have forgotten, is told.
            instance.removed_at_ms = 0
            self._retained.discard(instance.id)
            if instance.phase is not None:
                self._steps.mark(instance, instance.phase, instance.at_ms)
        if instance.phase is Phase.WAITING and not instance.next_attempt_at_ms and instance.ending is not None:
            self._attempt_ended(instance, instance.ending, now)
            return
        if instance.phase is Phase.WAITING and instance.ending is not None and instance.ending.cause in WAITS:
            # What it waits for may be there now.
            instance.due = True
            self._out.append(CancelTimer(key=(RESTART, instance.id)))
        # It may have been found running before anything was known of it.
        self._steps.probe(instance)
        self._converge(instance, now)

    def _remove(self, name: str, now: int) -> None:
        instance = self._instances.get(name)
        if instance is None or (instance.removed_at_ms and instance.assignment is None):
            return
        instance.assignment = None
        instance.removed_at_ms = now
        if instance.phase is Phase.ENDED:
            self._out.append(SaveRecord(record=instance.record()))
            self._retain(instance, now)
        elif instance.phase is None and self._ready(instance):
            del self._instances[name]
        else:
            if instance.phase is not None:
                self._out.append(SaveRecord(record=instance.record()))
            self._converge(instance, now)

    def _converge(self, instance: Instance, now: int) -> None:
        """Move an instance one step towards what is desired."""
        if not self._ready(instance):
            return
        if instance.wanted:
            begins = instance.phase is None or (instance.phase is Phase.WAITING and instance.due)
            if begins and not self._leaving:
                self._begin(instance, now)
            elif instance.phase is Phase.RUNNING:
                self._steps.renew(instance, leaving=self._leaving)
        elif instance.unwanted:
            if instance.phase in (Phase.STARTING, Phase.RUNNING):
                self._steps.mark(instance, Phase.STOPPING, now)
                self._steps.ask_to_stop(instance)
            elif instance.phase is Phase.WAITING or (instance.phase is None and instance.assignment is not None):
                self._end(instance, Outcome.STOPPED, now)
            elif instance.phase is None:
                del self._instances[instance.id]

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
        instance.due = instance.renews = False
        instance.generation = assignment.generation
        instance.given = versions_from(versions_text(assignment))
        try:
            spec = self._desired.spec(assignment)
            if spec.driver not in self._drivers:
                raise LaunchRefused(f"this node has no driver {spec.driver!r}", "driver-absent")
            instance.driver = spec.driver
            instance.spec_digest = self._desired.spec_digest(assignment)
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
            self._attempt_ended(instance, ending, now)
            return
        needs = needs_of(assignment, spec)
        instance.asked = instance.attempt
        self._steps.mark(instance, Phase.STARTING, now)
        self._out.append(
            StartRun(
                driver=spec.driver,
                launch=launch,
                ports=tuple(sorted(assignment.ports.values())),
                needs=None if needs.nothing else needs,
                correlation=assignment.correlation,
            )
        )

    def _missing(self, instance: Instance, now: int) -> None:
        """The driver has no run for a live attempt."""
        if instance.phase is Phase.STARTING and instance.wanted and not self._leaving:
            self._start(instance, now)
            return
        message = "the driver has no trace of the run"
        self._attempt_ended(instance, Ending(reason="unknown", message=message, ended_at_ms=now), now)

    def _attempt_ended(self, instance: Instance, ending: Ending, now: int) -> None:
        """The current attempt is over, or could not start: decide what follows."""
        if instance.unwell:
            ending = unwell(ending, instance.unwell)
            instance.unwell = ""
            self._out.append(CancelTimer(key=(STOP, instance.id)))
        instance.ending = ending
        renews, instance.renews = instance.renews, False
        if renews:
            self._out.append(CancelTimer(key=(STOP, instance.id)))
        left = self._leaving and ending.asked_for and instance.wanted
        if left and self._stays(instance):
            # It waits for this node, and is due as soon as that is one again.
            instance.next_attempt_at_ms, instance.due = now, True
            self._steps.mark(instance, Phase.WAITING, now)
            return
        if left or instance.phase is Phase.STOPPING or instance.unwanted:
            self._end(instance, Outcome.STOPPED, now)
            return
        if instance.assignment is None or instance.assignment.goal is not Goal.RUN:
            instance.next_attempt_at_ms, instance.due = 0, False
            self._steps.mark(instance, Phase.WAITING, now)
            return
        if renews and ending.asked_for:
            instance.next_attempt_at_ms, instance.due = now, True
            self._steps.mark(instance, Phase.WAITING, now)
            self._converge(instance, now)
            return
        if ending.cause in WAITS:
            # No failure of its own: nothing is counted, and what it waits for brings a new assignment.
            delay = MISSING_RETRY_MS if ending.cause == SECRET_MISSING else AWAY_RETRY_MS
            instance.next_attempt_at_ms, instance.due = now + delay, False
            self._steps.mark(instance, Phase.WAITING, now)
            self._out.append(SetTimer(key=(RESTART, instance.id), delay_ms=delay))
            return
        try:
            policy = self._desired.spec(instance.assignment).restart
        except SpecUnreadable:
            self._end(instance, Outcome.FAILED, now)
            return
        if ending.stopped and policy.policy == "never":
            # Nexus decides: it may run again, but not as another attempt of this one.
            self._end(instance, Outcome.STOPPED, now)
            return
        ran_ms = ending.ended_at_ms - instance.started_at_ms if instance.started_at_ms else 0
        step = after_ending(policy, ending, restarts=instance.restarts, ran_ms=ran_ms)
        if isinstance(step, Finish):
            self._end(instance, step.outcome, now)
            return
        instance.restarts = step.restarts
        instance.next_attempt_at_ms = now + step.delay_ms
        instance.due = step.delay_ms == 0
        self._steps.mark(instance, Phase.WAITING, now)
        if step.delay_ms:
            self._out.append(SetTimer(key=(RESTART, instance.id), delay_ms=step.delay_ms))
        else:
            self._converge(instance, now)

    def _stays(self, instance: Instance) -> bool:
        """Whether it is to run on this node or not at all."""
        try:
            return instance.assignment is not None and self._desired.spec(instance.assignment).on_disconnect == "keep"
        except SpecUnreadable:
            return False

    def _end(self, instance: Instance, outcome: Outcome, now: int) -> None:
        if instance.phase is Phase.WAITING:
            self._out.append(CancelTimer(key=(RESTART, instance.id)))
        elif instance.phase is Phase.STOPPING:
            self._out.append(CancelTimer(key=(STOP, instance.id)))
        instance.outcome = outcome
        instance.handle, instance.next_attempt_at_ms, instance.due = "", 0, False
        if instance.removed_at_ms:
            instance.removed_at_ms = now
        self._steps.mark(instance, Phase.ENDED, now)
        if instance.removed_at_ms:
            self._retain(instance, now)

    # Leaves

    def _answered(self, key: RunKey) -> None:
        instance = self._instances.get(key.instance)
        if instance is not None and instance.asked == key.attempt:
            instance.asked = 0

    def _stopping(self, key: RunKey) -> bool:
        instance = self._instances.get(key.instance)
        return instance is not None and instance.key == key and instance.ends

    def _ready(self, instance: Instance) -> bool:
        """What runs of this instance is known, and its driver can be asked for more."""
        if instance.driver in self._drivers:
            return instance.driver in self._recovered
        return all(driver in self._recovered for driver in self._drivers)

    def _new(self, assignment: Assignment) -> Instance:
        try:
            driver = self._desired.spec(assignment).driver
        except SpecUnreadable:
            driver = ""
        return Instance(id=assignment.instance, driver=driver, assignment=assignment, generation=assignment.generation)

    def _retain(self, instance: Instance, now: int) -> None:
        """It has ended and is no longer wanted: only its logs are kept."""
        self._retained.add(instance.id, instance.removed_at_ms)
        self._drop_retained(now)

    def _drop_retained(self, now: int) -> None:
        for name in self._retained.due(now):
            self._forget(self._instances[name])
        delay = self._retained.next_ms(now)
        if delay is not None:
            self._out.append(SetTimer(key=(RETENTION, ""), delay_ms=delay))

    def _forget(self, instance: Instance) -> None:
        if instance.driver in self._drivers:
            self._out.append(RemoveInstance(driver=instance.driver, instance=instance.id))
        else:
            del self._instances[instance.id]
            self._out.append(ForgetRecord(instance=instance.id))


def _generation(run: Run) -> int:
    label = run.labels.get(LABEL_GENERATION, "")
    return int(label) if label.isascii() and label.isdecimal() else 0
