"""Whatever comes in whatever order: the reconciler never does what it must not, and in the end does what is desired.

The machine below plays Nexus, the driver, the network, the clock and the death of the proxy. The driver checks at each
start that it is allowed; the last step ends all faults and compares what runs with what is desired.
"""

from collections import deque

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omnitide.drivers.protocol import Exit, Run, RunKey, RunState
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, JobSpec, Restart
from omnitide.node.instructions import (
    BeginProbes,
    CancelTimer,
    EndProbes,
    Instruction,
    RemoveInstance,
    RemoveRun,
    Resync,
    SendReport,
    SetTimer,
    StartRun,
    StopRun,
)
from omnitide.node.launching import NodeContext
from omnitide.node.outbox import Outbox, memory_connection
from omnitide.node.reconciler import Reconciler
from omnitide.node.records import Assignment, Goal, Health, Phase, Report
from omnitide.node.retention import Retention
from omnitide.node.stimuli import (
    Connected,
    DesiredReceived,
    DriverLost,
    InstanceRemoved,
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

ENDED = (RunState.EXITED, RunState.UNKNOWN)
SPECS = {
    "always": AgentSpec(command=("run",), restart=Restart(policy="always", attempts=4)),
    "on-failure": AgentSpec(command=("run",), restart=Restart(policy="on-failure", attempts=3)),
    "job": JobSpec(command=("run",)),
    "refused": AgentSpec(command=("${NOT_SET}",)),
    "probed": AgentSpec(
        command=("run",),
        restart=Restart(policy="always", attempts=4),
        health=Probes(liveness=Probe(type="exec", command=("well",))),
    ),
}
KINDS = {key: "job" if key == "job" else "agent" for key in SPECS}
Item = StartRun | StopRun | RemoveRun | RemoveInstance


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000
        self.connection = memory_connection()
        self.ids = 0
        # Nexus
        self.desired: dict[str, Assignment] = {}
        self.gone: set[str] = set()
        self.unwanted: set[str] = set()
        """Instances that Nexus ever wanted stopped."""
        self.revision = 1
        self.sent: list[DesiredReceived] = []
        self.known: dict[str, Assignment] | None = None
        self.latest: dict[str, Report] = {}
        self.ended: set[str] = set()
        # The driver
        self.runs: dict[RunKey, Run] = {}
        self.events: deque[Run] = deque()
        self.watched = False
        self.began: dict[str, int] = {}
        self.succeeded_jobs: set[str] = set()
        self.pids = 0
        # The proxy
        self.lanes: dict[str, deque[Item]] = {}
        self.timers: dict[tuple[str, str], int] = {}
        self.must_relist = False
        self.amnesia = False
        self.asked: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.settled: set[RunKey] = set()
        """Starts whose outcome the driver told."""
        self.late: list[StartRun] = []
        self.probes: dict[str, RunKey] = {}
        """What the proxy asks probes of."""
        self.unwell: set[RunKey] = set()
        """Runs of which a probe said that they have to be restarted."""

    # The proxy's life

    @initialize(specs=st.lists(st.sampled_from(sorted(SPECS)), max_size=3), well=st.integers(0, 20))
    def a_fabric_at_work(self, specs: list[str], well: int) -> None:
        self.begin()
        self.the_driver_lists()
        self.session_begins()
        for spec in specs:
            self.place(spec, seen=0, tell=True)
        self.all_goes_well(well)

    @rule(steps=st.integers(1, 20))
    def all_goes_well(self, steps: int) -> None:
        for _ in range(steps):
            if not self.one_step():
                return

    def one_step(self) -> bool:
        """What happens next if nothing goes wrong; False if nothing does."""
        if any(self.lanes.values()):
            self.carry_out_one(next(name for name, lane in self.lanes.items() if lane))
        elif any(run.state is RunState.STOPPING for run in self.runs.values()):
            self.end_run(next(k for k, run in self.runs.items() if run.state is RunState.STOPPING), None)
        elif self.events:
            self.the_watch_tells()
        elif self.must_relist:
            self.the_driver_lists()
        elif any(kind != "retention" for kind, _ in self.timers):
            self.fire(next(key for key in self.timers if key[0] != "retention"))
        else:
            return False
        return True

    def begin(self) -> None:
        self.ids += 1
        outbox = Outbox(self.connection, boot_id="boot", new_id=lambda: f"outbox-{self.ids}")
        self.outbox = outbox
        self.reconciler = Reconciler(
            drivers=("process",), context=NodeContext("alpha"), retention=Retention(for_ms=50_000, instances=3)
        )
        self.lanes.clear()
        self.timers.clear()
        self.events.clear()
        self.probes.clear()
        self.watched = False
        self.known = None
        self.must_relist = False
        self.handle(outbox.restored(self.now))

    @rule(unknown=st.booleans())
    def proxy_dies(self, unknown: bool) -> None:
        """What it had asked for may have been done or not."""
        for lane in self.lanes.values():
            if unknown and lane and isinstance(lane[0], StartRun):
                self.start_in_driver(lane[0])
        self.begin()

    @rule()
    def proxy_and_memory_are_lost(self) -> None:
        """What is left to know is what the driver remembers and what Nexus says."""
        self.connection.close()
        self.connection = memory_connection()
        self.amnesia = True
        self.late.clear()
        self.begin()

    def handle(self, stimulus: Stimulus) -> None:
        self.take(self.reconciler.handle(stimulus))

    def take(self, instructions: list[Instruction]) -> None:
        self.outbox.commit(instructions)
        for instruction in instructions:
            match instruction:
                case StartRun(launch=launch):
                    self.check_asked(launch.key)
                    self.lanes.setdefault(launch.key.instance, deque()).append(instruction)
                case StopRun(key=key):
                    self.check_stop(key)
                    self.lanes.setdefault(key.instance, deque()).append(instruction)
                case RemoveRun(key=key):
                    self.lanes.setdefault(key.instance, deque()).append(instruction)
                case RemoveInstance(instance=instance):
                    self.lanes.setdefault(instance, deque()).append(instruction)
                case SetTimer(key=key, delay_ms=delay):
                    assert delay >= 0
                    self.timers[key] = delay
                case CancelTimer(key=key):
                    self.timers.pop(key, None)
                case BeginProbes(key=key):
                    self.probes[key.instance] = key
                case EndProbes(instance=instance):
                    assert self.probes.pop(instance, None) is not None
                case Resync():
                    self.known = None
                case SendReport(report=report):
                    self.see(report)
                case _:
                    pass

    def check_stop(self, key: RunKey) -> None:
        """Work that is wanted is never stopped, whatever was forgotten."""
        wanted = key.instance in self.desired and key.instance not in self.unwanted and key.instance not in self.ended
        alive = [k for k, run in self.runs.items() if k.instance == key.instance and run.state not in ENDED]
        stopped = wanted and key == max(alive, default=None) and key not in self.unwell
        assert not stopped, "a run that is wanted was stopped"

    def check_asked(self, key: RunKey) -> None:
        name, attempt = key
        assert self.watched, "a driver that is away was asked to start something"
        again = attempt == self.asked.get(name)
        if not self.amnesia:
            assert attempt > self.answered.get(name, 0), "an attempt was begun twice"
            assert again or attempt > self.asked.get(name, 0), "attempts must grow"
        if self.known is not None and name in self.known:
            assert again or attempt > self.known[name].attempts_seen, "Nexus has seen this attempt before"
        self.asked[name] = attempt

    def see(self, report: Report) -> None:
        before = self.latest.get(report.instance)
        self.latest[report.instance] = report
        if self.amnesia:
            return
        if report.phase is Phase.ENDED:
            assert report.outcome is not None
            self.ended.add(report.instance)
        else:
            assert report.instance not in self.ended, "an ended instance came back to life"
        if before is not None:
            order = list(Phase)
            step = (report.attempt, order.index(report.phase)) >= (before.attempt, order.index(before.phase))
            assert step, f"went back from {before} to {report}"

    # Nexus

    @rule(spec=st.sampled_from(sorted(SPECS)), seen=st.integers(0, 3), tell=st.booleans())
    @precondition(lambda self: len(self.desired) < 5)
    def place(self, spec: str, seen: int, tell: bool) -> None:
        number = len(self.desired) + len(self.gone)
        name = f"i{number}"
        self.revision += 1
        self.desired[name] = Assignment(
            instance=name,
            name=f"{spec}-0.{number}",
            namespace="default",
            kind=KINDS[spec],
            workload=spec,
            version=1,
            slot=0,
            generation=number + 1,
            goal=Goal.RUN,
            spec_key=spec,
            attempts_seen=seen,
        )
        self.perhaps_tell(tell)

    def perhaps_tell(self, tell: bool) -> None:
        if tell and self.known is not None:
            self.send(full=False)

    @rule(data=st.data(), tell=st.booleans())
    @precondition(lambda self: any(a.goal is Goal.RUN for a in self.desired.values()))
    def want_it_stopped(self, data: st.DataObject, tell: bool) -> None:
        name = data.draw(st.sampled_from([n for n, a in self.desired.items() if a.goal is Goal.RUN]))
        self.revision += 1
        self.desired[name] = msgspec.structs.replace(self.desired[name], goal=Goal.STOP)
        self.unwanted.add(name)
        self.perhaps_tell(tell)

    @rule(data=st.data(), tell=st.booleans())
    @precondition(lambda self: any(a.goal is Goal.STOP for a in self.desired.values()))
    def want_it_to_run_after_all(self, data: st.DataObject, tell: bool) -> None:
        """Nexus never does, but a stop is final even so."""
        name = data.draw(st.sampled_from([n for n, a in self.desired.items() if a.goal is Goal.STOP]))
        self.revision += 1
        self.desired[name] = msgspec.structs.replace(self.desired[name], goal=Goal.RUN)
        self.perhaps_tell(tell)

    @rule(data=st.data(), tell=st.booleans())
    @precondition(lambda self: self.desired)
    def want_it_no_longer(self, data: st.DataObject, tell: bool) -> None:
        """Also for a stale generation: the instance that replaces it has another id."""
        name = data.draw(st.sampled_from(list(self.desired)))
        self.revision += 1
        del self.desired[name]
        self.gone.add(name)
        self.perhaps_tell(tell)

    @rule()
    def session_begins(self) -> None:
        """The log is the same one as before, or not: a backup was restored."""
        self.handle(Connected(at_ms=self.now, log_id="log"))
        self.sent.clear()
        self.known = {}
        self.send(full=True)

    @rule()
    @precondition(lambda self: self.known is not None)
    def send_changes(self) -> None:
        self.send(full=False)

    @rule(data=st.data())
    @precondition(lambda self: self.known is not None and self.sent)
    def an_old_message_comes_again(self, data: st.DataObject) -> None:
        self.handle(data.draw(st.sampled_from(self.sent)))

    @rule()
    def changes_come_before_the_state(self) -> None:
        self.handle(Connected(at_ms=self.now, log_id="log"))
        self.known = {}
        self.handle(DesiredReceived(at_ms=self.now, full=False, revision=self.revision + 1, removed=("i0", "i1")))
        assert self.known is None, "a change without a state was taken in"

    def send(self, full: bool) -> None:
        assert self.known is not None
        for name, assignment in self.desired.items() if full else ():
            seen = max(assignment.attempts_seen, self.latest[name].attempt if name in self.latest else 0)
            self.desired[name] = msgspec.structs.replace(assignment, attempts_seen=seen)
        before = {} if full else self.known
        changed = tuple(a for name, a in self.desired.items() if before.get(name) != a)
        message = DesiredReceived(
            at_ms=self.now,
            full=full,
            revision=self.revision,
            assignments=changed,
            removed=() if full else tuple(name for name in before if name not in self.desired),
            specs={a.spec_key: msgspec.json.encode(SPECS[a.spec_key]) for a in changed},
        )
        self.known = dict(self.desired)
        self.sent.append(message)
        self.handle(message)

    @rule(data=st.data(), health=st.sampled_from(Health), restart=st.booleans(), late=st.booleans())
    @precondition(lambda self: self.probes)
    def a_probe_answers(self, data: st.DataObject, health: Health, restart: bool, late: bool) -> None:
        key = data.draw(st.sampled_from(list(self.probes.values())))
        if late:
            key = RunKey(key.instance, key.attempt - 1)
        if restart:
            self.unwell.add(key)
        self.handle(Probed(at_ms=self.now, key=key, health=health, message="why", restart=restart))
        told = self.latest.get(key.instance)
        if not late and told is not None and told.phase is Phase.RUNNING:
            assert told.health is health

    # The driver

    @rule(
        data=st.data(),
        how=st.sampled_from(["done", "fails", "never", "unknown-done", "unknown-later", "unknown-never"]),
    )
    @precondition(lambda self: any(self.lanes.values()))
    def carry_out(self, data: st.DataObject, how: str) -> None:
        instance = data.draw(st.sampled_from([name for name, lane in self.lanes.items() if lane]))
        self.carry_out_one(instance, how)

    def carry_out_one(self, instance: str, how: str = "done") -> None:
        item = self.lanes[instance].popleft()
        match item:
            case StartRun(launch=launch):
                if how == "fails" or how == "never":
                    self.answered[instance] = launch.key.attempt
                    self.settled.add(launch.key)
                    self.handle(
                        StartFailed(
                            at_ms=self.now, key=launch.key, message="no", cause="resources", permanent=how == "never"
                        )
                    )
                    return
                run = self.start_in_driver(item) if how in ("done", "unknown-done") else None
                if how == "unknown-later":
                    self.late.append(item)
                if how == "done":
                    assert run is not None
                    self.answered[instance] = launch.key.attempt
                    self.settled.add(launch.key)
                    self.handle(Started(at_ms=self.now, driver="process", run=run))
                else:
                    self.handle(StartUnknown(at_ms=self.now, key=launch.key))
                    self.must_relist = True
            case StopRun(key=key):
                if how == "fails":
                    self.handle(StopFailed(at_ms=self.now, key=key))
                elif key in self.runs and self.runs[key].state not in ENDED:
                    self.change(msgspec.structs.replace(self.runs[key], state=RunState.STOPPING))
            case RemoveRun(key=key):
                if key in self.runs:
                    assert self.runs[key].state in ENDED, "a live run was to be forgotten"
                    del self.runs[key]
            case RemoveInstance():
                if how == "fails":
                    self.handle(InstanceRemoved(at_ms=self.now, instance=instance, done=False))
                    return
                for key in [key for key in self.runs if key.instance == instance]:
                    assert self.runs[key].state in ENDED, "a live instance was to be forgotten"
                    del self.runs[key]
                self.handle(InstanceRemoved(at_ms=self.now, instance=instance, done=True))

    @rule()
    @precondition(lambda self: self.late)
    def a_late_start_happens(self) -> None:
        """The driver was slow, and does now what the proxy has long given up to hear of."""
        item = self.late.pop(0)
        if item.launch.key not in self.settled:
            self.start_in_driver(item, late=True)

    def start_in_driver(self, item: StartRun, late: bool = False) -> Run:
        key = item.launch.key
        if key in self.runs:
            return self.runs[key]
        alive = [k for k, run in self.runs.items() if k.instance == key.instance and run.state not in ENDED]
        assert not alive, f"{key} begins while {alive} is alive"
        assert key.attempt > self.began.get(key.instance, 0), "attempts must grow"
        assert key.instance not in self.succeeded_jobs, "a finished job ran again"
        assert late or self.amnesia or key.instance not in self.ended, "an ended instance ran again"
        self.began[key.instance] = key.attempt
        self.pids += 1
        run = Run(
            key=key,
            state=RunState.RUNNING,
            handle=str(self.pids),
            started_at_ms=self.now,
            labels=item.launch.labels,
        )
        self.change(run)
        return run

    def change(self, run: Run) -> None:
        self.runs[run.key] = run
        if self.watched:
            self.events.append(run)

    @rule(data=st.data(), code=st.sampled_from([0, 1, None]), tell=st.booleans())
    @precondition(lambda self: any(run.state not in ENDED for run in self.runs.values()))
    def a_run_ends(self, data: st.DataObject, code: int | None, tell: bool) -> None:
        key = data.draw(st.sampled_from([k for k, run in self.runs.items() if run.state not in ENDED]))
        self.end_run(key, code)
        while tell and self.events:
            self.the_watch_tells()

    def end_run(self, key: RunKey, code: int | None) -> None:
        run = self.runs[key]
        exit_ = Exit(code=code, signal=None if code is not None else 9, ended_at_ms=self.now)
        if code == 0 and run.state is RunState.RUNNING and self.kind(key.instance) == "job":
            self.succeeded_jobs.add(key.instance)
        self.change(msgspec.structs.replace(run, state=RunState.EXITED, exit=exit_))

    def kind(self, instance: str) -> str:
        assignment = self.desired.get(instance)
        return assignment.kind if assignment is not None else ""

    @rule()
    @precondition(lambda self: self.events)
    def the_watch_tells(self) -> None:
        self.handle(RunChanged(at_ms=self.now, driver="process", run=self.events.popleft()))

    @rule()
    def the_driver_lists(self) -> None:
        """Listed while starts are under way, as anybody may ask at any time; the watch goes on."""
        self.watched = True
        self.must_relist = False
        self.handle(Recovered(at_ms=self.now, driver="process", runs=tuple(self.runs.values())))

    @rule(dies=st.booleans())
    def the_driver_goes_away(self, dies: bool) -> None:
        self.watched = False
        self.events.clear()
        if dies:
            for key, run in self.runs.items():
                if run.state not in ENDED:
                    self.runs[key] = msgspec.structs.replace(run, state=RunState.UNKNOWN)
        self.handle(DriverLost(at_ms=self.now, driver="process"))

    @rule(data=st.data())
    @precondition(lambda self: self.timers)
    def a_timer_fires(self, data: st.DataObject) -> None:
        self.fire(data.draw(st.sampled_from(list(self.timers))))

    def fire(self, key: tuple[str, str]) -> None:
        self.now += self.timers.pop(key)
        self.handle(TimerFired(at_ms=self.now, key=key))

    @rule(step=st.integers(1, 200_000))
    def time_passes(self, step: int) -> None:
        self.now += step

    # What must hold

    @invariant()
    def what_nexus_sent_is_what_the_node_wants(self) -> None:
        if self.known is not None and hasattr(self, "reconciler"):
            assert {a.instance: a for a in self.reconciler.snapshot(0).assignments} == self.known

    @invariant()
    def what_is_remembered_is_what_is(self) -> None:
        if not hasattr(self, "reconciler"):
            return
        again = Outbox(self.connection, boot_id="boot", new_id=lambda: "never").restored(0)
        now = self.reconciler.snapshot(0)
        assert {r.report.instance: r for r in again.records} == {r.report.instance: r for r in now.records}
        assert {a.instance: a for a in again.assignments} == {a.instance: a for a in now.assignments}
        assert dict(again.specs) == dict(now.specs)

    def teardown(self) -> None:
        if hasattr(self, "reconciler"):
            self.faults_stop()
            self.all_is_as_desired()
        self.connection.close()

    def faults_stop(self) -> None:
        self.session_begins()
        self.the_driver_lists()
        for _ in range(300):
            if not self.one_step():
                return
        raise AssertionError("it does not come to rest")

    def all_is_as_desired(self) -> None:
        live = {key.instance: key for key, run in self.runs.items() if run.state not in ENDED}
        for name, assignment in self.desired.items():
            report = self.latest[name]
            if assignment.goal is Goal.STOP:
                assert report.phase is Phase.ENDED
            if report.phase is Phase.ENDED:
                assert name not in live
            else:
                assert report.phase is Phase.RUNNING, report
                assert live[name].attempt == report.attempt
        assert set(live) <= set(self.desired), "something runs that nobody wants"
        told = {report.instance: report for report in self.reconciler.inventory()}
        assert told == {name: self.latest[name] for name in self.desired}


World.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, suppress_health_check=list(HealthCheck), deadline=None
)
TestReconcilerConverges = World.TestCase
