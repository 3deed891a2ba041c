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

import contextlib
from collections.abc import Sequence

from omnitide.drivers.protocol import PortBinding, Run, RunKey, RunState
from omnitide.node.course import REMOVE, REMOVE_RETRY_MS, RESTART, RETENTION, Course
from omnitide.node.desired import DesiredInvalid, SpecUnreadable
from omnitide.node.instance import Instance, from_record
from omnitide.node.instructions import (
    ForgetRecord,
    Instruction,
    RemoveRun,
    Resync,
    SetTimer,
    StopRun,
)
from omnitide.node.launching import (
    LABEL_GENERATION,
    LABEL_SPEC_DIGEST,
    LABEL_VALUES,
    NodeContext,
    bindings,
)
from omnitide.node.metrics.instances import RunningInstance
from omnitide.node.provisions.needs import versions_from
from omnitide.node.records import (
    LIVE,
    Phase,
    Report,
    ending_of,
    start_failure,
)
from omnitide.node.retention import Retained, Retention
from omnitide.node.steps import STOP
from omnitide.node.stimuli import (
    Connected,
    DesiredReceived,
    DriverLost,
    InstanceRemoved,
    KeptMeasured,
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
from omnitide.telemetry.series.definition import Labels

STOP_RETRY_MS = 2_000
MAX_GONE = 1_000
"""Instances that are forgotten here whose runs, seen late, are still known not to be wanted."""
_ENDED_STATES = (RunState.EXITED, RunState.UNKNOWN)


class Reconciler:
    """State of all instances of a node. Attributes are private; `handle` is the only way to change them."""

    def __init__(self, *, drivers: Sequence[str], context: NodeContext, retention: Retention | None = None) -> None:
        self._course = Course(drivers, context, Retained(retention or Retention()))
        self._gone: dict[str, int] = {}
        """Those that were forgotten last, and their attempts: a watch may tell late of what was before."""

    def handle(self, stimulus: Stimulus) -> list[Instruction]:
        """Take in what happened; returns what is to be done, in order."""
        out = self._course.begin()
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
                    self._course.out.append(SetTimer(key=(STOP, key.instance), delay_ms=STOP_RETRY_MS))
            case Probed():
                self._on_probed(stimulus)
            case InstanceRemoved():
                self._on_removed(stimulus)
            case KeptMeasured(instance=name, bytes=size):
                self._course.measured(name, size, now)
            case TimerFired(key=key):
                self._on_timer(key, now)
            case Connected(log_id=log_id):
                self._course.desired.connect(log_id)
            case Recovered():
                self._on_recovered(stimulus, now)
            case DriverLost(driver=driver):
                self._course.recovered.discard(driver)
            case Restored():
                self._on_restored(stimulus, now)
            case Leaving():
                self._course.leaving = True
            case _:
                raise TypeError(f"the reconciler does not know the stimulus {type(stimulus).__name__}")
        return out

    @property
    def log_id(self) -> str:
        return self._course.desired.log_id

    @property
    def revision(self) -> int:
        """Of the desired state that was applied last."""
        return self._course.desired.revision

    def inventory(self) -> list[Report]:
        """All instances that Nexus may care about: not those kept only for their logs."""
        return [i.report() for i in self._course.instances.values() if i.phase is not None and not i.over]

    def snapshot(self, at_ms: int) -> Restored:
        """All that has to be remembered, as `Restored` brings it back."""
        return Restored(
            at_ms=at_ms,
            log_id=self._course.desired.log_id,
            revision=self._course.desired.revision,
            assignments=self._course.desired.assignments(),
            specs=self._course.desired.used_specs(),
            records=tuple(i.record() for i in self._course.instances.values() if i.phase is not None),
        )

    def live(self) -> int:
        """Instances of which a run exists, or may."""
        return sum(i.phase in LIVE for i in self._course.instances.values())

    def lives(self, instance: str) -> bool:
        """It is known here and has not ended for good."""
        known = self._course.instances.get(instance)
        return known is not None and known.phase is not Phase.ENDED

    def driver_of(self, instance: str) -> str | None:
        """The driver that has an instance's logs, empty where that is not known; None if the instance is not."""
        known = self._course.instances.get(instance)
        return known.driver if known is not None else None

    def running(self, instance: str) -> Instance | None:
        """An instance of this id that runs here now."""
        known = self._course.instances.get(instance)
        return known if known is not None and known.phase is Phase.RUNNING else None

    def runs(self) -> list[RunningInstance]:
        """What runs here now."""
        return [self._run(one) for one in self._course.instances.values() if one.phase is Phase.RUNNING]

    def names(self) -> dict[str, Labels]:
        """What runs here, by id, as its metrics call it."""
        found: dict[str, Labels] = {}
        for one in self._course.instances.values():
            known = one.assignment
            if one.phase is Phase.RUNNING and known is not None:
                labels = {
                    known.kind or "agent": known.workload,
                    "instance": known.name,
                    "instance_id": one.id,
                    "namespace": known.namespace,
                }
                found[one.id] = tuple(sorted(labels.items()))
        return found

    def _run(self, instance: Instance) -> RunningInstance:
        metrics = None
        if instance.assignment is not None:
            with contextlib.suppress(SpecUnreadable):
                metrics = self._course.desired.spec(instance.assignment).metrics
        ports = self.ports(instance) if metrics is not None else ()
        return RunningInstance(instance.key, instance.driver, ports, metrics)

    def ports(self, instance: Instance) -> tuple[PortBinding, ...]:
        """The ports that its current attempt has."""
        if instance.assignment is None:
            return ()
        try:
            return bindings(instance.assignment, self._course.desired.spec(instance.assignment))
        except SpecUnreadable:
            return ()

    # What happens

    def _on_restored(self, stimulus: Restored, now: int) -> None:
        self._course.desired.restore(stimulus.log_id, stimulus.revision, stimulus.assignments, stimulus.specs)
        for record in stimulus.records:
            instance = from_record(record)
            instance.assignment = self._course.desired.get(instance.id)
            self._course.instances[instance.id] = instance
        for assignment in stimulus.assignments:
            if assignment.instance not in self._course.instances:
                self._course.instances[assignment.instance] = self._course.new(assignment)
        for instance in self._course.instances.values():
            if instance.phase is Phase.WAITING and instance.next_attempt_at_ms:
                # The wall clock may have been set while nobody looked: never wait longer than was meant at first.
                meant = max(0, instance.next_attempt_at_ms - instance.at_ms)
                rest = min(max(0, instance.next_attempt_at_ms - now), meant)
                self._course.out.append(SetTimer(key=(RESTART, instance.id), delay_ms=rest))
        for instance in sorted((i for i in self._course.instances.values() if i.over), key=lambda i: i.removed_at_ms):
            self._course.retain(instance, now)

    def _on_desired(self, stimulus: DesiredReceived, now: int) -> None:
        try:
            change = self._course.desired.apply(stimulus)
        except DesiredInvalid as error:
            self._course.out.append(Resync(reason=str(error)))
            return
        if change is None:
            return
        if change.save is not None:
            self._course.out.append(change.save)
        removed = list(change.removed)
        if stimulus.full:
            removed += [
                i.id
                for i in self._course.instances.values()
                if not i.removed_at_ms and not self._course.desired.get(i.id)
            ]
        for instance in removed:
            self._course.remove(instance, now)
        for assignment in change.assigned:
            self._course.assign(assignment, now)

    def _on_recovered(self, stimulus: Recovered, now: int) -> None:
        self._course.recovered.add(stimulus.driver)
        latest: dict[str, Run] = {}
        for run in sorted(stimulus.runs, key=lambda run: run.key):
            older = latest.get(run.key.instance)
            if older is not None:
                kind = RemoveRun if older.state in _ENDED_STATES else StopRun
                self._course.out.append(kind(driver=stimulus.driver, key=older.key))
            latest[run.key.instance] = run
        for run in latest.values():
            self._observe(stimulus.driver, run, now)
        for instance in list(self._course.instances.values()):
            if instance.driver in self._course.drivers and instance.driver != stimulus.driver:
                continue
            run = latest.get(instance.id)
            if instance.phase in LIVE and (run is None or run.key.attempt < instance.attempt):
                if instance.asked != instance.attempt and instance.key not in stimulus.unsure:
                    self._course.vanished(instance, now)
            elif instance.phase is Phase.STOPPING:
                self._course.steps.ask_to_stop(instance)
            elif run is None:
                instance.haunted = False
            self._course.converge(instance, now)

    def _on_start_failed(self, stimulus: StartFailed, now: int) -> None:
        self._answered(stimulus.key)
        instance = self._course.instances.get(stimulus.key.instance)
        if instance is None or instance.key != stimulus.key or instance.phase not in (Phase.STARTING, Phase.STOPPING):
            return
        ending = start_failure(stimulus.message, cause=stimulus.cause, permanent=stimulus.permanent, at_ms=now)
        self._course.attempt_ended(instance, ending, now)

    def _on_probed(self, stimulus: Probed) -> None:
        instance = self._course.instances.get(stimulus.key.instance)
        if instance is None or instance.key != stimulus.key or instance.phase is not Phase.RUNNING:
            return
        instance.health, instance.health_message = stimulus.health, stimulus.message
        self._course.steps.tell(instance)
        if stimulus.restart and not instance.unwell and instance.wanted:
            instance.unwell = stimulus.message
            self._course.steps.ask_to_stop(instance)

    def _on_removed(self, stimulus: InstanceRemoved) -> None:
        instance = self._course.instances.get(stimulus.instance)
        if instance is None or not instance.over:
            return
        if stimulus.done:
            # Not before: the driver's memory of a run without ours would be taken for a run that is not judged yet.
            del self._course.instances[instance.id]
            self._course.out.append(ForgetRecord(instance=instance.id))
            self._gone[instance.id] = instance.attempt
            if len(self._gone) > MAX_GONE:
                del self._gone[next(iter(self._gone))]
        else:
            self._course.out.append(SetTimer(key=(REMOVE, instance.id), delay_ms=REMOVE_RETRY_MS))

    def _on_timer(self, key: tuple[str, str], now: int) -> None:
        kind, name = key
        if kind == RETENTION:
            self._course.drop_retained(now)
            return
        instance = self._course.instances.get(name)
        if instance is None:
            return
        if kind == RESTART and instance.phase is Phase.WAITING and instance.next_attempt_at_ms:
            instance.due = True
            self._course.converge(instance, now)
        elif kind == STOP and instance.ends and self._course.ready(instance):
            self._course.steps.ask_to_stop(instance)
        elif kind == REMOVE and instance.over:
            self._course.forget_or_wait(instance)

    def _observe(self, driver: str, run: Run, now: int) -> None:
        """A driver says how a run is."""
        ended = run.state in _ENDED_STATES
        instance = self._course.instances.get(run.key.instance)
        if instance is None and run.key.attempt <= self._gone.get(run.key.instance, 0):
            kind = RemoveRun if ended else StopRun
            self._course.out.append(kind(driver=driver, key=run.key))
            return
        if instance is None:
            instance = Instance(id=run.key.instance, driver=driver)
            instance.removed_at_ms = now if self._course.desired.synced else 0
            self._course.instances[instance.id] = instance
        attempt = run.key.attempt
        closed = instance.phase in (Phase.ENDED, Phase.WAITING) and attempt == instance.attempt
        if attempt < instance.attempt or closed or instance.phase is Phase.ENDED:
            # Its end is known, so this is old news; or it is a run that should not be, and is told to stop.
            instance.haunted = instance.phase is Phase.ENDED and not ended
            if not ended:
                self._course.out.append(StopRun(driver=driver, key=run.key))
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
            self._course.attempt_ended(instance, ending_of(run.exit, now, message), now)
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
                self._course.out.append(
                    RemoveRun(driver=instance.driver, key=RunKey(instance.id, instance.attempt - 1))
                )
            instance.handle, instance.unenforced = run.handle, unenforced
            self._course.steps.mark(instance, phase, now)
        self._course.steps.probe(instance)
        self._course.converge(instance, now)

    # Leaves

    def _answered(self, key: RunKey) -> None:
        instance = self._course.instances.get(key.instance)
        if instance is not None and instance.asked == key.attempt:
            instance.asked = 0

    def _stopping(self, key: RunKey) -> bool:
        instance = self._course.instances.get(key.instance)
        return instance is not None and instance.key == key and instance.ends


def _generation(run: Run) -> int:
    label = run.labels.get(LABEL_GENERATION, "")
    return int(label) if label.isascii() and label.isdecimal() else 0
