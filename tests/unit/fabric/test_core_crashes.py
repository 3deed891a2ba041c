"""Instances that end by themselves: restarted on their node, then rescheduled with a back-off, elsewhere."""

import pytest
from tests.support.honest import facts
from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import Moment, evolve
from omnitide.fabric.rules.failing import ends_in_a_row, reschedule_delay
from omnitide.fabric.state import ExitRecord, Phase
from omnitide.model.spec import AgentSpec, Port, Restart, Update

QUICK = Restart(attempts=0, backoff=500, backoff_max=4_000, reset_after=60_000)
"""The node gives up at once, so that every exit is the fabric's to mend."""


def ends(fabric: Fabric, instance: str) -> int:
    return ends_in_a_row(fabric.instance(instance), fabric.agent().spec.restart.reset_after, fabric.time_ms)


def running(what: AgentSpec, *nodes: str, replicas: int = 1) -> Fabric:
    fabric = Fabric()
    fabric.join(*(nodes or ("alpha",)))
    fabric.deploy(what, replicas=replicas)
    fabric.settle()
    assert fabric.running() == replicas
    return fabric


def test_the_delay_doubles_from_the_second_failure_in_a_row_up_to_its_cap() -> None:
    assert [reschedule_delay(QUICK, failures) for failures in range(7)] == [0, 500, 1000, 2000, 4000, 4000, 4000]
    assert reschedule_delay(QUICK, 10**9) == 4000


def test_a_restart_on_the_node_is_an_attempt_of_the_same_instance() -> None:
    fabric = running(spec(restart=Restart(attempts=5)))
    outcome = fabric.exit("hello.1.1", code=3)
    assert outcome.kinds == ["instance.exited", "node.reported"]
    instance = fabric.instance("hello.1.1")
    assert (instance.status.value, instance.phase, instance.exit) == (
        "starting",
        Phase.WAITING,
        ExitRecord(attempt=1, code=3, reason="exited"),
    )
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "running"}
    assert fabric.instance("hello.1.1").attempt == 2


def test_given_up_by_its_node_it_is_the_next_generation_after_a_delay_and_elsewhere() -> None:
    fabric = running(spec(restart=QUICK), "alpha", "beta")
    node = fabric.instance("hello.1.1").node
    fabric.exit("hello.1.1", code=1)
    following = fabric.instance("hello.1.2")
    assert following.status.value == "pending"
    assert following.not_before_ms == fabric.state.time_ms + 500
    assert following.avoid == node
    slot = fabric.agent().slots[1]
    assert (slot.failures, slot.last_node, slot.last_exit) == (1, node, ExitRecord(attempt=1, code=1, reason="exited"))


def test_it_is_not_placed_before_its_time() -> None:
    fabric = running(spec(restart=QUICK))
    fabric.exit("hello.1.1")
    choice = cm.PlaceChoice("hello.1.2", "n-alpha", ())
    plan = cm.PlaceInstances(seen_revision=fabric.state.revision, choices=(choice,))
    assert fabric.when(plan, by="system:placer").result == {"placed": 0, "left_out": 1}
    fabric.pass_ms(500)
    assert fabric.when(plan, by="system:placer").result == {"placed": 1, "left_out": 0}


def test_failures_in_a_row_wait_longer_and_longer() -> None:
    fabric = running(spec(restart=QUICK))
    waits: list[int] = []
    for generation in range(1, 6):
        fabric.exit(f"hello.1.{generation}")
        following = fabric.instance(f"hello.1.{generation + 1}")
        waits.append(following.not_before_ms - fabric.state.time_ms)
        fabric.pass_ms(waits[-1])
        fabric.round()
    assert waits == [500, 1000, 2000, 4000, 4000]


def test_a_stable_run_starts_the_count_anew() -> None:
    fabric = running(spec(restart=QUICK))
    for generation in (1, 2, 3):
        fabric.exit(f"hello.1.{generation}")
        fabric.pass_ms(10_000)
        fabric.round()
    assert fabric.agent().slots[1].failures == 3
    fabric.pass_ms(60_000)
    fabric.exit("hello.1.4")
    assert fabric.agent().slots[1].failures == 1
    assert fabric.instance("hello.1.5").not_before_ms == fabric.state.time_ms + 500


def test_a_new_version_does_not_wait_for_the_failures_of_the_old_one() -> None:
    fabric = running(spec(restart=QUICK))
    for generation in (1, 2, 3):
        fabric.exit(f"hello.1.{generation}")
        fabric.pass_ms(10_000)
        fabric.round()
    fabric.exit("hello.1.4")
    fabric.deploy(spec("fixed", restart=QUICK))
    following = fabric.instance("hello.1.6")
    assert (following.version, following.not_before_ms, following.avoid) == (2, 0, "")
    assert fabric.agent().slots[1].failures == 0


def test_a_loss_is_no_failure_and_proves_no_stability() -> None:
    fabric = running(spec(restart=QUICK), "alpha", "beta")
    fabric.exit("hello.1.1")
    fabric.pass_ms(1_000)
    fabric.round()
    fabric.lose(fabric.state.nodes[fabric.instance("hello.1.2").node].name)
    assert fabric.agent().slots[1].failures == 1
    assert fabric.instance("hello.1.3").not_before_ms == 0


class TestPolicies:
    def test_never_leaves_it_ended_whatever_the_end(self) -> None:
        for code, status in ((0, "succeeded"), (1, "failed")):
            fabric = running(spec(restart=Restart(policy="never")))
            fabric.exit("hello.1.1", code=code)
            fabric.settle()
            assert fabric.statuses() == {"hello.1.1": status}
            assert fabric.node("alpha").used_cpu_milli == 0

    def test_on_failure_leaves_success_alone_and_reschedules_failure(self) -> None:
        fabric = running(spec(restart=Restart(policy="on-failure", attempts=0)), replicas=2)
        fabric.exit("hello.1.1", code=0)
        fabric.exit("hello.2.1", code=1)
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "succeeded", "hello.2.2": "running"}

    def test_always_starts_what_its_node_calls_succeeded_again(self) -> None:
        fabric = running(spec())
        fabric.report(
            "alpha", cm.InstanceReport(instance="hello.1.1", attempt=1, phase=Phase.ENDED, outcome="succeeded")
        )
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_an_update_runs_what_had_ended_for_good_once_more(self) -> None:
        fabric = running(spec("one", restart=Restart(policy="never")))
        fabric.exit("hello.1.1", code=0)
        fabric.deploy(spec("two", restart=Restart(policy="never")))
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_what_had_ended_for_good_stays_so_through_a_scale_and_the_loss_of_its_node(self) -> None:
        fabric = running(spec(restart=Restart(policy="never")))
        fabric.exit("hello.1.1", code=0)
        fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=2))
        fabric.lose("alpha")
        assert fabric.statuses() == {"hello.1.1": "succeeded", "hello.2.1": "pending"}


class TestPortBusy:
    def busy(self, message: str) -> Fabric:
        fabric = Fabric()
        fabric.join("alpha", node_facts=facts(ports=(20000, 20004)))
        fabric.deploy(spec(ports={"admin": Port(), "http": Port()}))
        fabric.settle()
        assert fabric.instance("hello.1.1").ports == (("admin", 20000), ("http", 20001))
        fabric.exit("hello.1.1", cause="port-busy", message=message)
        return fabric

    def test_the_port_is_not_given_again_and_the_next_try_comes_at_once_and_may_be_there(self) -> None:
        fabric = self.busy("20001")
        assert dict(fabric.node("alpha").ports) == {20001: "!"}
        following = fabric.instance("hello.1.2")
        assert (following.not_before_ms, following.avoid) == (0, "")
        fabric.settle()
        assert fabric.instance("hello.1.2").ports == (("admin", 20000), ("http", 20002))

    def test_a_message_for_people_is_understood(self) -> None:
        assert dict(self.busy("port 20000 (admin) is in use").node("alpha").ports) == {20000: "!"}

    @pytest.mark.parametrize("message", ["", "address in use", "99999", "²", "9" * 400, "22"])
    def test_where_no_port_of_the_instance_is_named_none_of_them_is_trusted(self, message: str) -> None:
        assert dict(self.busy(message).node("alpha").ports) == {20000: "!", 20001: "!"}

    def test_a_node_that_connects_anew_has_all_its_ports_again(self) -> None:
        fabric = self.busy("20001")
        fabric.nodes["alpha"].cut()
        fabric.connect("alpha")
        assert dict(fabric.node("alpha").ports) == {}

    def test_who_names_that_very_port_tries_it_all_the_same(self) -> None:
        """Nobody tells when a port is free again: a mark keeps the fabric from choosing it, not people from asking."""
        fabric = self.busy("20001")
        fabric.deploy(spec(ports={"http": Port(port=20001)}), name="fixed")
        fabric.settle()
        assert fabric.instance("fixed.1.1").ports == (("http", 20001),)
        assert fabric.node("alpha").ports[20001] == "fixed.1.1"
        chosen = fabric.instance("hello.1.2").ports
        assert chosen == (("admin", 20000), ("http", 20002)), "who lets it choose gets another"

    def test_again_and_again_waits_longer_and_longer(self) -> None:
        fabric = self.busy("20001")
        fabric.round()
        fabric.exit("hello.1.2", cause="port-busy", message="20000")
        assert fabric.instance("hello.1.3").not_before_ms == fabric.state.time_ms + 500


class TestFixedPortBusy:
    """A host port that the spec names is tried again, elsewhere first, and then again and again, ever more rarely."""

    def held(self, fabric: Fabric, generation: int) -> str:
        """Something else has the port where it is now; that node's id."""
        node = fabric.instance(f"hello.1.{generation}").node
        fabric.exit(f"hello.1.{generation}", cause="port-busy", message="20778")
        return node

    def test_the_node_is_tried_again_when_its_back_off_is_over_and_runs_it_once_the_port_is_free(self) -> None:
        fabric = running(spec(ports={"http": Port(port=20778)}, restart=Restart(backoff=1000, backoff_max=4000)))
        waits: list[int] = []
        for generation in range(1, 7):
            self.held(fabric, generation)
            due = fabric.instance(f"hello.1.{generation + 1}").not_before_ms
            waits.append(max(0, due - fabric.state.time_ms))
            fabric.pass_ms(waits[-1])
            fabric.round()
            assert fabric.instance(f"hello.1.{generation + 1}").node, "it is placed there again"
        assert waits == [0, 1000, 2000, 4000, 4000, 4000]
        fabric.settle()
        assert fabric.statuses() == {"hello.1.7": "running"}
        assert dict(fabric.node("alpha").ports) == {20778: "hello.1.7"}

    def test_other_nodes_come_first_one_after_the_other(self) -> None:
        fabric = running(spec(ports={"http": Port(port=20778)}), "alpha", "beta", "gamma")
        tried = [self.held(fabric, 1)]
        for generation in (2, 3):
            fabric.pass_ms(60_000)
            fabric.round()
            tried.append(self.held(fabric, generation))
        assert sorted(tried) == ["n-alpha", "n-beta", "n-gamma"]


class TestStoppedUnasked:
    """A node that stops what it was not asked to stop, as when it goes down on purpose."""

    def stopped(self, fabric: Fabric, instance: str) -> None:
        node = fabric.state.nodes[fabric.instance(instance).node].name
        report = cm.InstanceReport(instance=instance, attempt=1, phase=Phase.ENDED, outcome="stopped")
        assert fabric.report(node, report).accepted

    def test_it_goes_elsewhere_and_never_round_in_circles_without_a_wait(self) -> None:
        fabric = running(spec(restart=QUICK), "alpha", "beta")
        node = fabric.instance("hello.1.1").node
        self.stopped(fabric, "hello.1.1")
        following = fabric.instance("hello.1.2")
        assert following.avoid == node
        assert following.not_before_ms == fabric.state.time_ms + 500


def test_a_report_that_overtook_the_one_before_brings_the_exit_along() -> None:
    fabric = running(spec())
    fabric.report(
        "alpha",
        cm.InstanceReport(
            instance="hello.1.1",
            attempt=2,
            phase=Phase.RUNNING,
            exit=ExitRecord(attempt=2, signal=9, reason="signalled"),
        ),
    )
    instance = fabric.instance("hello.1.1")
    assert (instance.attempt, instance.phase) == (2, Phase.RUNNING)
    assert instance.exit == ExitRecord(attempt=1, signal=9, reason="signalled")


def test_a_stable_run_excuses_the_ends_before_it() -> None:
    """As it does on its node: what crashed twice, and ran well for a day, does not end again and again when somebody
    stops it once."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy()
    fabric.round()
    for _ in range(2):
        fabric.exit("hello.1.1")
        fabric.round()
    assert ends(fabric, "hello.1.1") == 2
    fabric.pass_ms(60_000)
    stopped = ExitRecord(attempt=3, signal=15, reason="stopped")
    fabric.report("alpha", cm.InstanceReport(instance="hello.1.1", attempt=3, phase=Phase.WAITING, exit=stopped))
    assert ends(fabric, "hello.1.1") == 0


class TestEndsInARow:
    """One number, whichever generation and attempt it was."""

    TWICE = Restart(attempts=1, backoff=500, backoff_max=4_000, reset_after=60_000)

    def rest(self, fabric: Fabric) -> None:
        """Until nothing changes, within less than a stable run."""
        for _ in range(4):
            fabric.pass_ms(5_000)
            fabric.round()

    def crash(self, fabric: Fabric) -> str:
        """The current replica ends once. Returns its id."""
        current = fabric.agent().slots[1].current
        fabric.exit(current, code=1)
        self.rest(fabric)
        return fabric.agent().slots[1].current

    def test_it_grows_by_one_with_each_over_attempts_and_generations(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        told = [ends(fabric, self.crash(fabric)) for _ in range(9)]
        assert told == list(range(1, 10))
        assert fabric.instance(fabric.agent().slots[1].current).generation > 3

    def test_a_stable_run_starts_it_anew_whether_it_goes_on_or_has_ended(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        for _ in range(5):
            current = self.crash(fabric)
        assert ends(fabric, current) == 5
        fabric.pass_ms(60_000)
        assert ends(fabric, current) == 0
        assert [ends(fabric, self.crash(fabric)) for _ in range(4)] == [1, 2, 3, 4]

    def test_a_stable_run_in_the_first_attempt_of_a_generation_does_so_too(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        for _ in range(4):
            current = self.crash(fabric)
        assert fabric.instance(current).attempt == 1
        fabric.pass_ms(60_000)
        assert ends(fabric, self.crash(fabric)) == 1

    def test_a_lost_node_and_a_drained_one_leave_it_as_it_is(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta", "gamma")
        for _ in range(3):
            current = self.crash(fabric)
        node = fabric.state.nodes[fabric.instance(current).node].name
        fabric.lose(node)
        self.rest(fabric)
        current = fabric.agent().slots[1].current
        assert (fabric.instance(current).status.value, ends(fabric, current)) == ("running", 3)
        node = fabric.state.nodes[fabric.instance(current).node].name
        fabric.drain(node)
        self.rest(fabric)
        moved = fabric.agent().slots[1].current
        assert moved != current
        assert ends(fabric, moved) == 3
        assert ends(fabric, self.crash(fabric)) == 4

    def test_one_that_is_lost_has_not_run_well_since(self) -> None:
        """Of what nobody hears it is not known whether it runs: the time of a silence starts no count anew."""
        fabric = running(spec(restart=self.TWICE))
        current = self.crash(fabric)
        fabric.lose("alpha", silent_ms=20_000)
        assert (fabric.instance(current).status.value, ends(fabric, current)) == ("lost", 1)
        fabric.pass_ms(10 * 60_000)
        assert ends(fabric, current) == 1

    def test_so_does_a_drain_that_makes_the_next_one_while_it_runs_on(self) -> None:
        surge = Update(max_unavailable=0, max_surge=1)
        fabric = running(spec(restart=self.TWICE, update=surge), "alpha", "beta")
        for _ in range(3):
            current = self.crash(fabric)
        outcome = fabric.drain(fabric.state.nodes[fabric.instance(current).node].name)
        assert outcome.kinds == ["instance.created"]
        following = fabric.agent().slots[1].current
        assert list(fabric.agent().superseded) == [current]
        assert (fabric.instance(following).ends_before, ends(fabric, following)) == (3, 3)
        self.rest(fabric)
        assert ends(fabric, self.crash(fabric)) == 4

    def test_a_move_that_somebody_asks_for_starts_it_anew(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        for _ in range(3):
            current = self.crash(fabric)
        fabric.given(cm.MigrateInstance(instance=current))
        following = fabric.agent().slots[1].current
        assert (following != current, ends(fabric, current), ends(fabric, following)) == (True, 3, 0)

    def test_a_restart_and_a_new_version_start_it_anew(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        for _ in range(3):
            current = self.crash(fabric)
        assert fabric.when(cm.RestartInstance(instance=current)).accepted
        self.rest(fabric)
        current = fabric.agent().slots[1].current
        assert ends(fabric, current) == 0
        assert ends(fabric, self.crash(fabric)) == 1
        fabric.deploy(spec("other", restart=self.TWICE))
        self.rest(fabric)
        assert ends(fabric, fabric.agent().slots[1].current) == 0

    def test_so_does_a_new_version_in_the_place_of_what_ended_by_itself(self) -> None:
        given_up = Restart(attempts=0, reschedules=1)
        fabric = running(spec(restart=given_up), "alpha", "beta")
        for _ in range(2):
            current = self.crash(fabric)
        assert (fabric.instance(current).status.value, ends(fabric, current)) == ("failed", 2)
        fabric.deploy(spec("other", restart=given_up))
        self.rest(fabric)
        following = fabric.instance(fabric.agent().slots[1].current)
        assert (following.version, following.status.value, following.ends_before) == (2, "running", 0)

    def test_one_that_is_stopped_by_a_drain_while_it_waits_keeps_each_of_its_ends(self) -> None:
        fabric = running(spec(restart=self.TWICE), "alpha", "beta")
        for _ in range(2):
            current = self.crash(fabric)
        fabric.exit(current, code=1)
        assert (fabric.instance(current).phase, ends(fabric, current)) == (Phase.WAITING, 3)
        fabric.drain(fabric.state.nodes[fabric.instance(current).node].name)
        self.rest(fabric)
        moved = fabric.agent().slots[1].current
        assert moved != current
        assert ends(fabric, moved) == 3

    def test_a_task_counts_its_tries(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.run(task(restart=Restart(policy="on-failure", attempts=3, backoff=1)))
        self.rest(fabric)
        told: list[int] = []
        for _ in range(3):
            fabric.exit(fabric.job().slot.current, code=1)
            self.rest(fabric)
            told.append(ends_in_a_row(fabric.instance(fabric.job().slot.current), None, fabric.state.time_ms))
        assert told == [1, 2, 3]


def test_an_end_of_a_release_that_did_not_tell_who_asked_for_it_leaves_the_count_as_that_release_did() -> None:
    """A log is read as it was written: after a stable run too, which starts the count anew in what is written now."""
    fabric = running(spec(restart=Restart(attempts=1, reset_after=60_000)))
    fabric.exit("hello.1.1", code=1)
    fabric.settle()
    before = fabric.state
    instance = before.instances["hello.1.1"]
    at = Moment(before.revision + 1, instance.started_ms + 60_000, "system")
    ending = ExitRecord(attempt=2, code=1, reason="exited")
    old, new = (
        evolve(before, ev.InstanceEnded(instance=instance.id, status="failed", exit=ending, asked=asked), at)
        for asked in (None, False)
    )
    assert old.instances[instance.id].asked_ends == instance.asked_ends == 0
    assert new.instances[instance.id].asked_ends == 1
