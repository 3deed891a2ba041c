"""The reconciler, one rule a test: given what happened, when this comes, then that is to be done."""

import msgspec
import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import Exit, PortBinding, Run, RunKey, RunState
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, JobSpec, Restart, Stop, WorkloadSpec
from omnitide.node.instructions import (
    BeginProbes,
    CancelTimer,
    EndProbes,
    ForgetRecord,
    Instruction,
    MeasureKept,
    RemoveInstance,
    RemoveRun,
    Resync,
    SaveRecord,
    SendReport,
    SetTimer,
    StartRun,
    StopRun,
)
from omnitide.node.launching import NodeContext
from omnitide.node.reconciler import Reconciler
from omnitide.node.records import Assignment, Ending, Goal, Health, Outcome, Phase, Report
from omnitide.node.retention import Retention
from omnitide.node.stimuli import (
    Connected,
    DesiredReceived,
    DriverLost,
    InstanceRemoved,
    KeptMeasured,
    Leaving,
    Probed,
    Recovered,
    RunChanged,
    Started,
    StartFailed,
    StartUnknown,
    Stimulus,
    StopFailed,
    TimerFired,
)

AGENT = AgentSpec(command=("run",), stop=Stop(grace=3_000))
JOB = JobSpec(command=("count",))
LOOPING = AgentSpec(command=("run",), restart=Restart(backoff=500, reset_after=60_000))


class Node:
    """A reconciler, and short words for what happens to it."""

    def __init__(
        self,
        recovered: bool = True,
        connected: bool = True,
        retention: Retention = Retention(for_ms=60_000, instances=2),  # noqa: B008 immutable
    ) -> None:
        self.now = 1_000
        self.revision = 1
        self.specs: dict[str, bytes] = {}
        self.reconciler = Reconciler(drivers=("process",), context=NodeContext("alpha"), retention=retention)
        if recovered:
            self.recover()
        if connected:
            self.connect()

    def handle(self, stimulus: Stimulus) -> list[Instruction]:
        return self.reconciler.handle(stimulus)

    def connect(self, log: str = "log", *assignments: Assignment) -> list[Instruction]:
        self.handle(Connected(at_ms=self.now, log_id=log))
        return self.desire(*assignments, full=True)

    def desire(self, *assignments: Assignment, full: bool = False, removed: tuple[str, ...] = ()) -> list[Instruction]:
        self.revision += 1
        return self.handle(
            DesiredReceived(
                at_ms=self.now,
                full=full,
                revision=self.revision,
                assignments=assignments,
                removed=removed,
                specs=self.specs,
            )
        )

    def assign(self, name: str = "a", spec: WorkloadSpec = AGENT, goal: Goal = Goal.RUN, seen: int = 0) -> Assignment:
        key = f"{name}/1"
        self.specs[key] = msgspec.json.encode(spec)
        return Assignment(
            instance=name,
            name=f"{name}-0.1",
            namespace="default",
            kind="job" if isinstance(spec, JobSpec) else "agent",
            workload=name,
            version=1,
            slot=0,
            generation=4,
            goal=goal,
            spec_key=key,
            ports={"http": 20_001},
            attempts_seen=seen,
            correlation="c-9",
        )

    def recover(self, *runs: Run, unsure: frozenset[RunKey] = frozenset()) -> list[Instruction]:
        return self.handle(Recovered(at_ms=self.now, driver="process", runs=runs, unsure=unsure))

    def started(self, name: str = "a", attempt: int = 1) -> list[Instruction]:
        return self.handle(Started(at_ms=self.now, driver="process", run=run(name, attempt, at_ms=self.now)))

    def running(self, name: str = "a", spec: WorkloadSpec = AGENT, attempt: int = 1) -> Assignment:
        assignment = self.assign(name, spec)
        self.desire(assignment)
        self.started(name, attempt)
        return assignment

    def exits(self, code: int | None, name: str = "a", attempt: int = 1) -> list[Instruction]:
        ended = replace(
            run(name, attempt, at_ms=self.now),
            state=RunState.EXITED,
            exit=Exit(code=code, signal=None if code is not None else 9, ended_at_ms=self.now),
        )
        return self.handle(RunChanged(at_ms=self.now, driver="process", run=ended))

    def fires(self, kind: str, name: str = "a") -> list[Instruction]:
        return self.handle(TimerFired(at_ms=self.now, key=(kind, name)))


def run(name: str = "a", attempt: int = 1, state: RunState = RunState.RUNNING, at_ms: int = 1_000) -> Run:
    return Run(
        key=RunKey(name, attempt),
        state=state,
        handle=f"pid-{attempt}",
        started_at_ms=at_ms,
        labels={"generation": "4", "spec_digest": "sha256:1"},
    )


def reports(instructions: list[Instruction]) -> list[Report]:
    return [i.report for i in instructions if isinstance(i, SendReport)]


def told(instructions: list[Instruction]) -> list[tuple[str, int, Outcome | None]]:
    return [(r.phase.value, r.attempt, r.outcome) for r in reports(instructions)]


def actions(instructions: list[Instruction]) -> list[object]:
    """What drivers and timers are asked for, in short."""
    found: list[object] = []
    for i in instructions:
        match i:
            case StartRun(launch=launch):
                found.append(("start", *launch.key))
            case StopRun(key=key):
                found.append(("stop", *key))
            case RemoveRun(key=key):
                found.append(("remove", *key))
            case RemoveInstance(instance=instance):
                found.append(("remove", instance))
            case SetTimer(key=key, delay_ms=delay):
                found.append((*key, delay))
            case CancelTimer(key=key):
                found.append(("cancel", *key))
            case Resync():
                found.append("resync")
            case _:
                pass
    return found


# Starting


def test_what_is_desired_is_started_and_remembered_before() -> None:
    node = Node()
    out = node.desire(node.assign())
    assert actions(out) == [("start", "a", 1)]
    assert told(out) == [("starting", 1, None)]
    kinds = [type(i).__name__ for i in out]
    assert kinds == ["SaveDesired", "SaveRecord", "SendReport", "StartRun"]
    (start,) = [i for i in out if isinstance(i, StartRun)]
    assert ([port.host for port in start.launch.ports], start.correlation) == ([20_001], "c-9")
    out = node.started()
    assert told(out) == [("running", 1, None)]
    (report,) = reports(out)
    assert (report.handle, report.generation) == ("pid-1", 4)
    assert report.spec_digest.startswith("sha256:")


def test_the_same_message_again_changes_nothing() -> None:
    node = Node()
    assignment = node.running()
    assert node.desire(assignment)[1:] == []
    assert node.connect("log", assignment)[1:] == []


def test_attempts_are_numbered_on_from_what_nexus_has_seen() -> None:
    node = Node()
    assert actions(node.desire(node.assign(seen=6))) == [("start", "a", 7)]


def test_nothing_is_started_before_the_driver_has_told_what_runs() -> None:
    node = Node(recovered=False)
    assert actions(node.desire(node.assign("a"), node.assign("b"))) == []
    out = node.recover(run("a", 3))
    assert actions(out) == [("start", "b", 1)], "a run that lives is adopted, not started"
    assert ("running", 3, None) in told(out)


def test_a_run_that_the_watch_shows_first_is_reported_once() -> None:
    node = Node()
    node.desire(node.assign())
    assert told(node.handle(RunChanged(at_ms=1, driver="process", run=run()))) == [("running", 1, None)]
    assert node.started() == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (AgentSpec(command=("x", "${NOPE}")), "environment"),
        (AgentSpec(command=("x",), driver="docker"), "driver-absent"),
    ],
)
def test_what_can_never_start_ends_at_once_with_its_cause(change: AgentSpec, cause: str) -> None:
    node = Node()
    out = node.desire(node.assign(spec=change))
    (report,) = reports(out)
    assert (report.phase, report.outcome, report.attempt) == (Phase.ENDED, Outcome.FAILED, 1)
    assert report.ending is not None
    assert (report.ending.reason, report.ending.cause, report.ending.permanent) == ("start-failed", cause, True)
    assert actions(out) == []


def test_a_spec_of_a_newer_nexus_that_cannot_be_read_fails_here_and_says_why() -> None:
    node = Node()
    assignment = node.assign()
    node.specs["a/1"] = b'{"command": ["x"], "gpu": 4}'
    (report,) = reports(node.desire(assignment))
    assert report.ending is not None
    assert report.ending.cause == "spec-unreadable"
    assert "gpu" in report.ending.message


def test_a_failed_start_follows_the_policy() -> None:
    node = Node()
    node.desire(node.assign())
    failed = StartFailed(at_ms=7, key=RunKey("a", 1), message="no memory", cause="resources", permanent=False)
    out = node.handle(failed)
    assert told(out) == [("waiting", 1, None), ("starting", 2, None)]
    assert actions(out) == [("start", "a", 2)]
    (waiting, _) = reports(out)
    assert waiting.ending == Ending(reason="start-failed", message="no memory", cause="resources", ended_at_ms=7)


@pytest.mark.parametrize(("cause", "permanent"), [("command-not-found", True), ("port-busy", False)])
def test_a_start_that_cannot_succeed_here_ends_the_instance(cause: str, permanent: bool) -> None:
    node = Node()
    node.desire(node.assign())
    out = node.handle(StartFailed(at_ms=7, key=RunKey("a", 1), message="20001", cause=cause, permanent=permanent))
    assert told(out) == [("ended", 1, Outcome.FAILED)]
    (report,) = reports(out)
    assert report.ending is not None
    assert (report.ending.cause, report.ending.message) == (cause, "20001")


def test_a_start_of_unknown_outcome_is_asked_for_again_under_the_same_number() -> None:
    node = Node()
    node.desire(node.assign())
    assert node.handle(StartUnknown(at_ms=1, key=RunKey("a", 1))) == []
    assert actions(node.recover()) == [("start", "a", 1)]
    assert node.handle(StartUnknown(at_ms=1, key=RunKey("a", 1))) == []
    assert told(node.recover(run())) == [("running", 1, None)]


def test_a_list_made_while_a_start_is_under_way_says_nothing_about_it() -> None:
    node = Node()
    node.desire(node.assign())
    assert node.recover() == []
    node.started()
    assert node.recover(unsure=frozenset({RunKey("a", 1)})) == []


# Endings


def test_a_crash_is_restarted_at_once_then_later_then_no_more() -> None:
    node = Node()
    node.running(spec=AgentSpec(command=("run",), restart=Restart(attempts=2, backoff=500)))
    out = node.exits(None)
    assert told(out) == [("waiting", 1, None), ("starting", 2, None)]
    assert actions(out) == [("start", "a", 2)]
    assert reports(out)[1].ending == reports(out)[0].ending, "the new attempt carries the ending of the one before"
    node.started(attempt=2)
    out = node.exits(1, attempt=2)
    assert told(out) == [("waiting", 2, None)]
    assert reports(out)[0].next_attempt_at_ms == node.now + 500
    assert actions(out) == [("restart", "a", 500)]
    assert actions(node.fires("restart")) == [("start", "a", 3)]
    node.started(attempt=3)
    assert told(node.exits(1, attempt=3)) == [("ended", 3, Outcome.FAILED)]


def test_a_long_life_forgives_earlier_crashes() -> None:
    node = Node()
    node.running(spec=AgentSpec(command=("run",), restart=Restart(attempts=1, reset_after=60_000)))
    node.exits(1)
    node.started(attempt=2)
    ended = replace(
        run("a", 2, at_ms=node.now), state=RunState.EXITED, exit=Exit(code=1, ended_at_ms=node.now + 60_000)
    )
    assert actions(node.handle(RunChanged(at_ms=node.now, driver="process", run=ended))) == [("start", "a", 3)]


def test_a_crash_loop_goes_on_with_the_wait_of_the_generations_before() -> None:
    node = Node()
    node.desire(replace(node.assign(spec=LOOPING), ends_before=2))
    node.started()
    assert actions(node.exits(1)) == [("restart", "a", 1_000)]
    node.fires("restart")
    node.started(attempt=2)
    assert actions(node.exits(1, attempt=2)) == [("restart", "a", 2_000)]


@pytest.mark.parametrize("told_again", [True, False])
def test_a_long_life_forgives_those_too_for_good(*, told_again: bool) -> None:
    """Also after the node has died, and where Nexus tells of them once more."""
    node = Node()
    assignment = replace(node.assign(spec=LOOPING), ends_before=9)
    node.desire(assignment)
    node.started()
    long = replace(run("a"), state=RunState.EXITED, exit=Exit(code=1, ended_at_ms=node.now + 60_000))
    assert actions(node.handle(RunChanged(at_ms=node.now, driver="process", run=long))) == [("start", "a", 2)]
    again = Node(recovered=False, connected=False)
    again.now, again.specs = node.now, node.specs
    again.handle(node.reconciler.snapshot(node.now))
    again.recover(run("a", 2, at_ms=again.now))
    again.connect("log", assignment if told_again else replace(assignment, ends_before=0))
    assert actions(again.exits(1, attempt=2)) == [("restart", "a", 500)]


def test_a_job_that_succeeded_has_ended_for_good() -> None:
    node = Node()
    assignment = node.running(spec=JOB)
    assert told(node.exits(0)) == [("ended", 1, Outcome.SUCCEEDED)]
    assert node.desire(assignment)[1:] == []
    assert node.connect("log", assignment)[1:] == []
    assert node.recover(replace(run(), state=RunState.EXITED, exit=Exit(code=0))) == []
    assert [r.phase for r in node.reconciler.inventory()] == [Phase.ENDED]


def test_a_job_is_read_as_a_job_whatever_its_json_leaves_out() -> None:
    """Defaults are not written, and those of jobs differ from those of agents: never restart."""
    assert b"never" not in msgspec.json.encode(JOB)
    node = Node()
    node.running(spec=JOB)
    assert told(node.exits(1)) == [("ended", 1, Outcome.FAILED)]


def test_a_run_that_the_driver_lost_sight_of_is_a_failure_of_unknown_reason() -> None:
    node = Node()
    node.running()
    out = node.recover(run(state=RunState.UNKNOWN))
    assert told(out) == [("waiting", 1, None), ("starting", 2, None)]
    assert reports(out)[0].ending == Ending(
        reason="unknown", message="the driver lost sight of the run", ended_at_ms=node.now
    )


def test_a_run_that_the_driver_has_no_trace_of_is_the_same() -> None:
    node = Node()
    node.running()
    assert actions(node.recover()) == [("start", "a", 2)]


def test_the_record_of_an_attempt_goes_when_the_next_one_runs() -> None:
    node = Node()
    node.running()
    node.exits(1)
    assert actions(node.started(attempt=2)) == [("remove", "a", 1)]


def test_a_late_word_of_an_attempt_that_has_ended_is_no_new_life() -> None:
    node = Node()
    node.running(spec=AgentSpec(command=("run",), restart=Restart(backoff=500)))
    node.exits(1)
    node.started(attempt=2)
    node.exits(1, attempt=2)
    for attempt in (1, 2):
        late = node.handle(RunChanged(at_ms=1, driver="process", run=run(attempt=attempt)))
        assert told(late) == []
        assert actions(late) == [("stop", "a", attempt)], "and if it lives after all, it shall not"


def test_of_two_live_runs_the_older_is_stopped() -> None:
    node = Node(recovered=False)
    node.desire(node.assign())
    out = node.recover(run(attempt=1), run(attempt=2))
    assert actions(out)[0] == ("stop", "a", 1)
    assert told(out) == [("running", 2, None)]


# Stopping


def test_goal_stop_stops_and_ends() -> None:
    node = Node()
    assignment = node.running()
    out = node.desire(replace(assignment, goal=Goal.STOP))
    assert told(out) == [("stopping", 1, None)]
    assert actions(out) == [("stop", "a", 1), ("stop", "a", 18_000)], "asked again after grace and margin"
    out = node.exits(None)
    assert told(out) == [("ended", 1, Outcome.STOPPED)]
    assert actions(out) == [("cancel", "stop", "a")]


def test_a_stop_that_the_driver_does_not_take_is_asked_for_again() -> None:
    node = Node()
    assignment = node.running()
    node.desire(replace(assignment, goal=Goal.STOP))
    assert actions(node.handle(StopFailed(at_ms=1, key=RunKey("a", 1)))) == [("stop", "a", 2_000)]
    assert ("stop", "a", 1) in actions(node.fires("stop"))
    node.handle(DriverLost(at_ms=1, driver="process"))
    assert node.fires("stop") == [], "nobody is there to ask"
    assert ("stop", "a", 1) in actions(node.recover(run()))


def test_a_stop_while_waiting_needs_no_driver() -> None:
    node = Node()
    assignment = node.running()
    node.exits(1)
    node.started(attempt=2)
    node.exits(1, attempt=2)
    out = node.desire(replace(assignment, goal=Goal.STOP))
    assert told(out) == [("ended", 2, Outcome.STOPPED)]
    assert actions(out) == [("cancel", "restart", "a")]


def test_a_stop_before_anything_was_done() -> None:
    node = Node()
    assert told(node.desire(node.assign(goal=Goal.STOP))) == [("ended", 0, Outcome.STOPPED)]


def test_a_stop_during_a_start_is_asked_for_after_it() -> None:
    node = Node()
    assignment = node.assign()
    node.desire(assignment)
    assert ("stop", "a", 1) in actions(node.desire(replace(assignment, goal=Goal.STOP)))
    assert told(node.started()) == [("stopping", 1, None)]
    assert told(node.exits(None)) == [("ended", 1, Outcome.STOPPED)]


def test_a_stop_is_final_even_if_it_is_wanted_again() -> None:
    node = Node()
    assignment = node.running()
    node.desire(replace(assignment, goal=Goal.STOP))
    assert actions(node.desire(assignment)) == []
    assert told(node.exits(None)) == [("ended", 1, Outcome.STOPPED)]


def test_a_goal_of_a_newer_nexus_leaves_the_instance_as_it_is() -> None:
    node = Node()
    assignment = node.running()
    assert node.desire(replace(assignment, goal=Goal.KEEP))[1:] == []
    assert actions(node.exits(1)) == [], "nor is it started again"
    assert actions(node.desire(assignment)) == [("start", "a", 2)]


# No longer wanted


def test_what_a_full_state_leaves_out_is_stopped_and_forgotten() -> None:
    node = Node()
    node.running("a")
    kept = node.running("b")
    out = node.connect("log", kept)
    assert ("stop", "a", 1) in actions(out)
    assert not any(action[1] == "b" for action in actions(out) if isinstance(action, tuple))
    node.exits(None, "a")
    assert [r.instance for r in node.reconciler.inventory()] == ["b"]


def test_its_logs_stay_for_a_while_and_its_memory_until_the_driver_has_forgotten_too() -> None:
    node = Node()
    node.running("a")
    node.desire(removed=("a",))
    out = node.exits(None, "a")
    assert ("retention", "", 60_000) in actions(out)
    assert node.reconciler.driver_of("a") == "process"
    node.now += 60_000
    out = node.fires("retention", "")
    assert actions(out) == [("remove", "a")]
    assert not any(isinstance(i, ForgetRecord) for i in out)
    out = node.handle(InstanceRemoved(at_ms=1, instance="a", done=False))
    assert actions(out) == [("remove", "a", 60_000)]
    assert actions(node.fires("remove")) == [("remove", "a")]
    assert node.handle(InstanceRemoved(at_ms=1, instance="a", done=True)) == [ForgetRecord(instance="a")]
    assert node.reconciler.driver_of("a") is None


def measured(instructions: list[Instruction]) -> list[str]:
    return [i.instance for i in instructions if isinstance(i, MeasureKept)]


def test_of_ended_instances_the_oldest_go_when_all_together_keep_too_much() -> None:
    node = Node(retention=Retention(instances=10, bytes=100))

    def ends(name: str, size: int) -> list[object]:
        node.running(name)
        node.desire(removed=(name,))
        out = node.exits(0, name)
        assert measured(out) == [name]
        return removals(out) + removals(node.handle(KeptMeasured(at_ms=node.now, instance=name, bytes=size)))

    assert ends("a", 60) == []
    assert ends("b", 40) == []
    assert ends("c", 1) == [("remove", "a")]
    assert ends("d", 100) == [("remove", "b"), ("remove", "c")]
    assert ends("e", 0) == []
    assert ends("f", 1_000_000) == [("remove", "d"), ("remove", "e")], "the last one stays: it tells what happened"
    assert ends("g", 0) == [("remove", "f")]
    assert removals(node.handle(KeptMeasured(at_ms=node.now, instance="never", bytes=1_000_000))) == []


def test_a_proxy_that_begins_measures_what_is_kept_anew() -> None:
    node = Node(retention=Retention(instances=10, bytes=100))
    for name in ("a", "b"):
        node.running(name)
        node.desire(removed=(name,))
        node.exits(0, name)
    known = node.reconciler.snapshot(node.now)
    again = Node(recovered=False, connected=False, retention=Retention(instances=10, bytes=100))
    assert measured(again.handle(known)) == ["a", "b"]
    for name in ("a", "b"):
        out = again.handle(KeptMeasured(at_ms=again.now, instance=name, bytes=80))
    assert removals(out) == [("remove", "a")]


def test_nothing_is_measured_where_bytes_have_no_bound() -> None:
    node = Node()
    node.running()
    node.desire(removed=("a",))
    assert measured(node.exits(0)) == []


def removals(instructions: list[Instruction]) -> list[object]:
    return [("remove", i.instance) for i in instructions if isinstance(i, RemoveInstance)]


def test_the_end_of_what_is_not_wanted_any_more_is_told_by_name_and_request() -> None:
    node = Node()
    node.desire(replace(node.assign("a"), correlation="c-7"))
    node.started("a")
    out = node.desire(removed=("a",)) + node.exits(None, "a")
    told = [(one.name, one.correlation, one.report.phase) for one in out if isinstance(one, SendReport)]
    assert told == [("a-0.1", "c-7", Phase.STOPPING), ("a-0.1", "c-7", Phase.ENDED)]


def test_only_so_many_are_kept_for_their_logs() -> None:
    node = Node()
    for name in ("a", "b", "c"):
        node.running(name, JOB)
        node.exits(0, name)
    out = node.connect("log")
    assert ("remove", "a") in actions(out)
    assert ("remove", "b") not in actions(out)


def test_a_run_that_nobody_knows_waits_for_what_nexus_says() -> None:
    node = fresh()
    assert actions(node.recover(run("stray", 2))) == []
    (report,) = node.reconciler.inventory()
    assert (report.instance, report.generation, report.attempt, report.phase) == ("stray", 4, 2, Phase.RUNNING)
    assert ("stop", "stray", 2) in actions(node.connect())


def fresh() -> Node:
    """A node that has never heard of Nexus, nor of its driver."""
    return Node(recovered=False, connected=False)


def test_a_run_that_ended_before_nexus_said_anything_is_judged_then() -> None:
    node = fresh()
    out = node.recover(replace(run(), state=RunState.EXITED, exit=Exit(code=0, ended_at_ms=5)))
    assert told(out) == [("waiting", 1, None)]
    assert actions(out) == []
    assert told(node.connect("log", node.assign(spec=JOB))) == [("ended", 1, Outcome.SUCCEEDED)]


def test_an_instance_that_ended_and_was_forgotten_by_nexus_does_not_run_again() -> None:
    node = Node()
    assignment = node.running(spec=JOB)
    node.exits(0)
    node.desire(removed=("a",))
    out = node.desire(assignment)
    assert told(out) == [("ended", 1, Outcome.SUCCEEDED)], "Nexus is told again"
    assert actions(out) == []


# Messages that cannot be followed


def test_a_change_before_the_state_asks_for_a_new_session() -> None:
    node = Node()
    node.handle(Connected(at_ms=1, log_id="log"))
    assert actions(node.desire(node.assign())) == ["resync"]


def test_a_spec_that_was_never_sent_asks_for_a_new_session_and_changes_nothing() -> None:
    node = Node()
    kept = node.running("b")
    out = node.desire(replace(node.assign(), spec_key="elsewhere"), removed=("b",))
    assert actions(out) == ["resync"]
    assert [r.instance for r in node.reconciler.inventory()] == [kept.instance]


def test_a_spec_key_of_another_incarnation_means_nothing() -> None:
    node = Node()
    assignment = node.running()
    node.specs = {}
    assert actions(node.connect("restored-log", assignment)) == ["resync"]
    node.assign()
    assert actions(node.connect("restored-log", assignment)) == []
    assert node.reconciler.log_id == "restored-log"


# The driver goes and comes


def test_nothing_is_asked_of_a_driver_that_is_away() -> None:
    node = Node()
    assignment = node.running("a")
    node.running("b")
    node.handle(DriverLost(at_ms=1, driver="process"))
    out = node.desire(node.assign("c"), replace(assignment, goal=Goal.STOP))
    assert actions(out) == []
    out = node.recover(run("a"), run("b"))
    assert ("start", "c", 1) in actions(out)
    assert ("stop", "a", 1) in actions(out)


def test_a_wait_that_is_over_while_the_driver_is_away_goes_on_when_it_is_back() -> None:
    node = Node()
    node.running()
    node.exits(1)
    node.started(attempt=2)
    node.exits(1, attempt=2)
    node.handle(DriverLost(at_ms=1, driver="process"))
    assert node.fires("restart") == []
    assert actions(node.recover()) == [("start", "a", 3)]


# The proxy dies and returns


def restarted(node: Node) -> tuple[Node, list[Instruction]]:
    """The same node after the death of its proxy, cut off from Nexus."""
    again = fresh()
    again.now, again.revision = node.now, node.revision
    return again, again.handle(node.reconciler.snapshot(node.now))


def test_it_goes_on_alone_with_what_it_remembers() -> None:
    node = Node()
    node.running("crashed")
    node.running("fine")
    node.running("done", JOB)
    node.exits(0, "done")
    node, out = restarted(node)
    assert actions(out) == []
    crashed = replace(run("crashed"), state=RunState.EXITED, exit=Exit(code=None, signal=11))
    done = replace(run("done"), state=RunState.EXITED, exit=Exit(code=0))
    out = node.recover(crashed, run("fine"), done)
    assert actions(out) == [("start", "crashed", 2)]
    assert told(out) == [("waiting", 1, None), ("starting", 2, None)]


def test_a_start_that_was_under_way_is_asked_for_again() -> None:
    node = Node()
    node.desire(node.assign())
    node, _ = restarted(node)
    assert actions(node.recover()) == [("start", "a", 1)]


def test_a_stop_that_was_under_way_is_asked_for_again() -> None:
    node = Node()
    node.running()
    node.desire(removed=("a",))
    node, _ = restarted(node)
    assert ("stop", "a", 1) in actions(node.recover(run()))


def test_restarts_in_a_row_are_counted_on() -> None:
    node = Node()
    node.running(spec=AgentSpec(command=("run",), restart=Restart(attempts=1)))
    node.exits(1)
    node.started(attempt=2)
    node, _ = restarted(node)
    ended = replace(run(attempt=2), state=RunState.EXITED, exit=Exit(code=1))
    assert told(node.recover(ended)) == [("ended", 2, Outcome.FAILED)]


@pytest.mark.parametrize(("later", "rest"), [(0, 500), (200, 300), (5_000, 0), (-3_600_000, 500)])
def test_a_wait_goes_on_and_no_clock_makes_it_longer(later: int, rest: int) -> None:
    node = Node()
    node.running(spec=AgentSpec(command=("run",), restart=Restart(backoff=500)))
    node.exits(1)
    node.started(attempt=2)
    node.exits(1, attempt=2)
    node.now += later
    node, out = restarted(node)
    assert actions(out) == [("restart", "a", rest)]
    node.recover()
    assert actions(node.fires("restart")) == [("start", "a", 3)]


def test_what_was_kept_for_its_logs_is_kept_on() -> None:
    node = Node()
    node.running()
    node.desire(removed=("a",))
    node.exits(None)
    node.now += 10_000
    again, out = restarted(node)
    assert actions(out) == [("retention", "", 50_000)]
    assert again.recover(replace(run(), state=RunState.EXITED)) == []
    assert again.reconciler.inventory() == []


def test_every_change_is_remembered_and_reported_once() -> None:
    node = Node()
    for out in (node.desire(node.assign()), node.started(), node.exits(1)):
        saved = [i.record.report for i in out if isinstance(i, SaveRecord)]
        assert saved == reports(out)
        assert saved


# A node that goes


def stops(node: Node, name: str = "a", reason: str = "stopped", code: int | None = None) -> list[Instruction]:
    """The end of a run that somebody has stopped."""
    exit_ = Exit(code=code, signal=None if code is not None else 15, reason=reason, ended_at_ms=node.now)
    ended = replace(run(name, 1, at_ms=node.now), state=RunState.EXITED, exit=exit_)
    return node.handle(RunChanged(at_ms=node.now, driver="process", run=ended))


STAYS = replace(AGENT, on_disconnect="keep", restart=Restart(attempts=0))


def test_on_a_node_that_is_left_nothing_starts_and_what_is_stopped_has_been_stopped() -> None:
    """Nexus has it run elsewhere at once; nothing of it counts as a failure."""
    node = Node()
    node.running("a", replace(AGENT, restart=Restart(attempts=0)))
    node.running("b", JOB)
    node.handle(Leaving(at_ms=node.now))
    assert actions(node.desire(node.assign("c"))) == []
    out = stops(node, "a") + stops(node, "b", "killed")
    assert told(out) == [("ended", 1, Outcome.STOPPED)] * 2
    assert actions(out) == []
    assert [report.ending.reason for report in reports(out) if report.ending] == ["stopped", "killed"]


def test_on_a_node_that_is_left_a_start_of_which_there_is_no_trace_is_not_made_up_for() -> None:
    node = Node()
    node.desire(node.assign("a"))
    node.handle(Leaving(at_ms=node.now))
    assert actions(node.recover()) == []


def test_what_is_to_stay_with_its_node_waits_for_that_node_to_be_one_again() -> None:
    node = Node()
    node.running("a", STAYS)
    node.handle(Leaving(at_ms=node.now))
    stopping = replace(run("a", 1, at_ms=node.now), state=RunState.STOPPING)
    node.handle(RunChanged(at_ms=node.now, driver="process", run=stopping))
    out = stops(node, "a")
    assert told(out) == [("waiting", 1, None)]
    assert actions(out) == []
    (record,) = node.reconciler.snapshot(node.now).records
    assert record.restarts == 0


def test_what_ends_by_itself_on_a_node_that_is_left_has_ended() -> None:
    node = Node()
    node.running("a", JOB)
    node.running("b")
    node.handle(Leaving(at_ms=node.now))
    assert told(node.exits(0, "a")) == [("ended", 1, Outcome.SUCCEEDED)]
    out = node.exits(1, "b")
    assert told(out) == [("waiting", 1, None)]
    assert actions(out) == [], "nothing is started again"


def test_after_it_was_left_a_node_starts_what_it_still_remembers_at_once() -> None:
    """As when it could not say goodbye: it is a node that was cut off."""
    node = Node()
    node.running("a", STAYS)
    node.handle(Leaving(at_ms=node.now))
    stops(node)
    later = Node(recovered=False, connected=False)
    later.now += 60_000
    out = later.handle(node.reconciler.snapshot(later.now))
    assert actions(out) == [("restart", "a", 0)]
    later.recover()
    assert actions(later.fires("restart")) == [("start", "a", 2)]


def test_what_was_stopped_while_nobody_looked_starts_at_once_and_has_not_failed() -> None:
    """As by `down`, which ends the proxy before it ends what runs."""
    node = Node()
    node.running("a")
    node.running("b", JOB)
    remembered = node.reconciler.snapshot(node.now)
    later = Node(recovered=False, connected=False)
    later.now += 1_000
    later.handle(remembered)
    exit_ = Exit(code=None, signal=15, reason="stopped", ended_at_ms=later.now)
    runs = [replace(run(name, 1, at_ms=node.now), state=RunState.EXITED, exit=exit_) for name in ("a", "b")]
    out = later.recover(*runs)
    assert [one for one in actions(out) if one[0] == "start"] == [("start", "a", 2)]
    assert ("ended", 1, Outcome.STOPPED) in told(out), "whether a task runs again is for Nexus to say"
    (record,) = [one for one in later.reconciler.snapshot(later.now).records if one.report.instance == "a"]
    assert record.restarts == 0


def test_what_a_node_no_longer_knows_to_be_wanted_waits_for_what_nexus_says() -> None:
    """As after a goodbye for good."""
    node = Node()
    assignment = node.running("a", STAYS)
    node.handle(Leaving(at_ms=node.now))
    stops(node)
    remembered = node.reconciler.snapshot(node.now)
    later = Node(recovered=False, connected=False)
    later.specs = node.specs
    later.handle(replace(remembered, assignments=(), specs={}, revision=0))
    later.recover()
    assert actions(later.fires("restart")) == []
    assert actions(later.connect("log", assignment)) == [("start", "a", 2)]


# Probes

PROBED = AgentSpec(command=("run",), stop=Stop(grace=3_000), health=Probes(liveness=Probe(type="tcp", port="http")))


def probed(
    node: Node, health: Health, *, restart: bool = False, attempt: int = 1, message: str = ""
) -> list[Instruction]:
    return node.handle(
        Probed(at_ms=node.now, key=RunKey("a", attempt), health=health, message=message, restart=restart)
    )


def test_a_running_attempt_is_probed_and_no_longer_when_it_has_ended() -> None:
    node = Node()
    node.desire(node.assign(spec=PROBED))
    (begin,) = [i for i in node.started() if isinstance(i, BeginProbes)]
    assert (begin.driver, begin.key, begin.health) == ("process", RunKey("a", 1), Health.UNKNOWN)
    assert begin.ports == (PortBinding(name="http", host=20_001, target=20_001),)
    assert begin.started_at_ms == node.now
    assert [i for i in node.started() if isinstance(i, BeginProbes)] == [], "it is asked already"
    out = node.exits(1)
    assert [i.instance for i in out if isinstance(i, EndProbes)] == ["a"]
    (begin,) = [i for i in node.started(attempt=2) if isinstance(i, BeginProbes)]
    assert begin.key == RunKey("a", 2)


def test_without_probes_nothing_is_asked() -> None:
    node = Node()
    node.desire(node.assign())
    assert [i for i in node.started() if isinstance(i, BeginProbes)] == []


def test_a_verdict_is_reported_and_remembered() -> None:
    node = Node()
    node.running(spec=PROBED)
    out = probed(node, Health.UNHEALTHY, message="port 20001: connection refused")
    (report,) = reports(out)
    assert (report.phase, report.health, report.health_message) == (
        Phase.RUNNING,
        Health.UNHEALTHY,
        "port 20001: connection refused",
    )
    (record,) = [i.record for i in out if isinstance(i, SaveRecord)]
    assert record.report.health is Health.UNHEALTHY
    assert actions(out) == [], "unready is not restarted"
    (report,) = reports(probed(node, Health.HEALTHY))
    assert (report.health, report.health_message) == (Health.HEALTHY, "")


def test_a_verdict_on_another_attempt_changes_nothing() -> None:
    node = Node()
    node.running(spec=PROBED)
    assert probed(node, Health.UNHEALTHY, attempt=2, restart=True) == []
    node.exits(1)
    assert probed(node, Health.UNHEALTHY, restart=True) == []


def test_what_has_to_be_restarted_is_stopped_and_started_again_by_its_policy() -> None:
    node = Node()
    node.running(spec=PROBED)
    out = probed(node, Health.UNHEALTHY, restart=True, message="liveness probe failed 3 times in a row")
    assert actions(out) == [("stop", "a", 1), ("stop", "a", 18_000)]
    stopping = node.handle(RunChanged(at_ms=node.now, driver="process", run=run(state=RunState.STOPPING)))
    assert told(stopping) == [], "for Nexus it runs until it has ended"
    out = node.exits(0)
    assert told(out) == [("waiting", 1, None), ("starting", 2, None)]
    ending = reports(out)[0].ending
    assert ending is not None
    assert (ending.reason, ending.message) == ("unhealthy", "liveness probe failed 3 times in a row")
    assert not ending.success, "however it ended, that was no success"
    assert ("cancel", "stop", "a") in actions(out)
    assert reports(out)[-1].health is Health.UNKNOWN


def test_one_that_may_not_be_restarted_has_failed_when_its_probes_fail() -> None:
    node = Node()
    node.running(spec=replace(PROBED, restart=Restart(policy="never")))
    probed(node, Health.UNHEALTHY, restart=True, message="startup")
    assert told(node.exits(0)) == [("ended", 1, Outcome.FAILED)]


def test_a_stop_that_the_driver_does_not_carry_out_is_asked_for_again_for_unwell_ones_too() -> None:
    node = Node()
    node.running(spec=PROBED)
    probed(node, Health.UNHEALTHY, restart=True, message="x")
    assert actions(node.fires("stop")) == [("stop", "a", 1), ("stop", "a", 18_000)]


def test_a_proxy_that_comes_back_asks_anew_and_knows_what_was_known() -> None:
    node = Node()
    node.running(spec=PROBED)
    probed(node, Health.HEALTHY)
    restored = node.reconciler.snapshot(node.now)
    node.reconciler = Reconciler(drivers=("process",), context=NodeContext("alpha"))
    node.handle(restored)
    (begin,) = [i for i in node.recover(run()) if isinstance(i, BeginProbes)]
    assert begin.health is Health.HEALTHY


def test_what_runs_and_was_forgotten_is_probed_once_nexus_has_said_what_it_is() -> None:
    node = fresh()
    assert [i for i in node.recover(run()) if isinstance(i, BeginProbes)] == []
    (begin,) = [i for i in node.connect("log", node.assign(spec=PROBED)) if isinstance(i, BeginProbes)]
    assert (begin.key, begin.health) == (RunKey("a", 1), Health.UNKNOWN)


def test_what_runs_goes_on_in_another_version_of_the_same_spec_and_its_next_attempt_is_of_that() -> None:
    """A rollback keeps it; what differs is the number that an attempt is told when it starts."""
    node = Node()
    assignment = node.running()
    node.specs["a/3"] = node.specs["a/1"]
    taken_over = replace(assignment, version=3, spec_key="a/3")
    done = node.desire(taken_over)
    assert (actions(done), told(done)) == ([], [])
    starts = [one for one in node.exits(1) if isinstance(one, StartRun)]
    assert [one.launch.environment["OMNITIDE_VERSION"] for one in starts] == ["3"]


def forgotten_next(node: Node) -> Assignment:
    """It has ended and is no longer wanted; its retention is over when the timer fires."""
    assignment = node.running()
    node.desire(replace(assignment, goal=Goal.STOP))
    node.exits(None)
    node.desire(removed=("a",))
    node.now += 60_000
    return assignment


def test_what_a_watch_tells_late_of_one_that_is_forgotten_brings_nothing_back() -> None:
    node = Node()
    forgotten_next(node)
    assert ("remove", "a") in actions(node.fires("retention", ""))
    node.handle(InstanceRemoved(at_ms=node.now, instance="a", done=True))
    late = node.handle(RunChanged(at_ms=node.now, driver="process", run=run("a")))
    assert (told(late), actions(late)) == ([], [("stop", "a", 1)])
    assert node.reconciler.inventory() == []
    assert actions(node.exits(None)) == [("remove", "a", 1)]


@pytest.mark.parametrize("listed", [True, False])
def test_one_that_is_seen_alive_after_its_end_is_forgotten_once_that_has_ended_too(*, listed: bool) -> None:
    node = Node()
    forgotten_next(node)
    assert actions(node.handle(RunChanged(at_ms=node.now, driver="process", run=run("a", 2)))) == [("stop", "a", 2)]
    assert actions(node.fires("retention", "")) == [("remove", "a", 60_000)]
    if listed:
        node.recover()
    else:
        node.exits(None, attempt=2)
    assert actions(node.fires("remove")) == [("remove", "a")]
