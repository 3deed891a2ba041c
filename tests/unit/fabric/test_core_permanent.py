"""Causes that another try cannot mend: a few tries elsewhere, at once, then failed until somebody changes something."""

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.rules.failing import PERMANENT_TRIES, halted_by
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import Instance, InstanceStatus, JobStatus
from omnitide.model.spec import AgentSpec, Restart, Update

HELLO = {"namespace": "default", "name": "hello"}
WORK = {"namespace": "default", "name": "work"}
RETRIED = Restart(policy="on-failure", attempts=100)


def lacking(fabric: Fabric, *programs: str) -> None:
    """No machine has these programs."""
    for node in fabric.nodes.values():
        node.lacks = programs


def placed(what: AgentSpec | None = None, *nodes: str) -> Fabric:
    fabric = Fabric()
    fabric.join(*(nodes or ("alpha", "beta")))
    fabric.deploy(what)
    fabric.round()
    return fabric


def give_up(fabric: Fabric, first: int = 1) -> Instance:
    """Slot 1 of `hello` cannot start, wherever it is tried."""
    for generation in range(first, first + PERMANENT_TRIES):
        fabric.round()
        fabric.cannot_start(f"hello.1.{generation}")
    last = fabric.instance(f"hello.1.{first + PERMANENT_TRIES - 1}")
    assert last.status.value == "failed"
    return last


class TestTries:
    def test_it_is_tried_elsewhere_at_once_without_any_back_off(self) -> None:
        fabric = placed(spec(restart=Restart(backoff=60_000)))
        first = fabric.instance("hello.1.1").node
        fabric.cannot_start("hello.1.1")
        second = fabric.instance("hello.1.2")
        assert (second.status.value, second.not_before_ms, second.avoid) == ("pending", 0, first)
        fabric.round()
        assert fabric.instance("hello.1.2").node != first
        fabric.cannot_start("hello.1.2")
        assert fabric.instance("hello.1.3").not_before_ms == 0

    def test_every_try_is_on_a_node_that_has_not_failed_yet(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta", "gamma", "omega")
        for node in ("alpha", "beta"):
            fabric.nodes[node].lacks = ("serve",)
        fabric.deploy()
        fabric.settle()
        tried = [(made.avoid, made.avoid_also) for made in self.made(fabric)]
        assert tried == [("", ()), ("n-alpha", ()), ("n-beta", ("n-alpha",))]
        assert fabric.statuses() == {"hello.1.3": "running"}
        assert fabric.instance("hello.1.3").node == "n-gamma"

    def test_with_every_node_tried_it_has_failed_after_as_many_tries(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        lacking(fabric, "serve")
        fabric.deploy()
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "failed"}

    def test_a_try_that_was_lost_is_made_where_none_has_failed(self) -> None:
        fabric = placed(None, "alpha", "beta", "gamma", "omega")
        fabric.cannot_start("hello.1.1")
        fabric.round()
        fabric.cannot_start("hello.1.2")
        fabric.place()
        assert fabric.instance("hello.1.3").node == "n-gamma"
        fabric.lose("gamma")
        assert fabric.instance("hello.1.4").avoids == ("n-beta", "n-alpha")

    def test_the_nodes_of_an_earlier_cause_are_not_avoided(self) -> None:
        """A crash on alpha says nothing of whether it has what the program needs."""
        fabric = placed(spec(restart=Restart(attempts=0)), "alpha", "beta", "gamma")
        fabric.exit("hello.1.1")
        fabric.pass_ms(3_600_000)
        fabric.round()
        fabric.cannot_start("hello.1.2")
        assert fabric.instance("hello.1.3").avoids == ("n-beta",)

    def made(self, fabric: Fabric) -> list[ev.InstancesCreated]:
        return [event for entry in fabric.log for event in entry.events if isinstance(event, ev.InstancesCreated)]

    def test_where_another_node_has_what_it_needs_it_runs_there(self) -> None:
        fabric = placed()
        fabric.cannot_start("hello.1.1")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_after_three_tries_in_a_row_it_has_failed_with_the_cause_and_is_never_tried_again_by_itself(self) -> None:
        fabric = placed()
        last = give_up(fabric)
        assert PERMANENT_TRIES == 3
        assert last.exit is not None
        assert (last.exit.cause, last.exit.message, last.exit.permanent) == ("user", "no user here", True)
        assert fabric.settle() == 0
        fabric.join("gamma")
        fabric.lose("alpha")
        fabric.connect("alpha")
        fabric.given(cm.ScaleAgent(replicas=1, **HELLO), cm.CordonNode(node="beta"), cm.UncordonNode(node="beta"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "failed"}

    def test_one_node_alone_is_no_reason_for_more_tries(self) -> None:
        fabric = placed(None, "alpha")
        give_up(fabric)
        assert fabric.settle() == 0

    def test_one_that_was_lost_before_it_ran_gives_no_further_tries(self) -> None:
        fabric = placed()
        fabric.cannot_start("hello.1.1")
        fabric.round()
        fabric.cannot_start("hello.1.2")
        fabric.place()
        fabric.lose(fabric.state.nodes[fabric.instance("hello.1.3").node].name)
        fabric.round()
        fabric.cannot_start("hello.1.4")
        assert fabric.instance("hello.1.4").status.value == "failed"
        assert fabric.settle() == 0

    @pytest.mark.parametrize("between", ["another end", "a long run", "a run that was lost"])
    def test_what_shows_that_it_can_run_starts_the_count_anew(self, between: str) -> None:
        fabric = placed(spec(restart=Restart(attempts=0)))
        for generation in (1, 2):
            fabric.round()
            fabric.cannot_start(f"hello.1.{generation}")
        fabric.round()
        assert fabric.agent().slots[1].permanent_failures == 2
        if between == "another end":
            fabric.exit("hello.1.3")
            assert fabric.agent().slots[1].permanent_failures == 0
        elif between == "a long run":
            fabric.pass_ms(60_000)
            fabric.cannot_start("hello.1.3")
            assert fabric.agent().slots[1].permanent_failures == 1
        else:
            fabric.lose(fabric.state.nodes[fabric.instance("hello.1.3").node].name)
            assert fabric.agent().slots[1].permanent_failures == 0

    def test_the_count_is_in_the_event_and_in_a_snapshot(self) -> None:
        fabric = placed()
        fabric.cannot_start("hello.1.1")
        (made,) = [one for one in fabric.log[-1].events if isinstance(one, ev.InstancesCreated)]
        assert made.permanent_failures == 1
        fabric.round()
        fabric.cannot_start("hello.1.2")
        assert fabric.instance("hello.1.3").avoid_also
        assert load(dump(fabric.state)) == fabric.state

    def test_the_policy_never_is_one_try(self) -> None:
        fabric = placed(spec(restart=Restart(policy="never")))
        fabric.cannot_start("hello.1.1")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "failed"}


class TestTriedAgain:
    def test_a_changed_spec_does(self) -> None:
        fabric = placed()
        give_up(fabric)
        fabric.deploy(spec("fixed"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "running"}
        assert fabric.agent().slots[1].permanent_failures == 0

    def test_the_same_spec_does_not(self) -> None:
        fabric = placed()
        give_up(fabric)
        assert fabric.deploy(spec()).events == ()

    def test_a_restart_of_the_agent_does_and_gives_as_many_tries(self) -> None:
        fabric = placed()
        give_up(fabric)
        fabric.given(cm.RestartAgent(**HELLO))
        give_up(fabric, 4)
        assert fabric.settle() == 0

    def test_a_restart_of_the_instance_does_and_gives_as_many_tries(self) -> None:
        fabric = placed()
        give_up(fabric)
        fabric.given(cm.RestartInstance(instance="hello.1.3"))
        give_up(fabric, 4)
        assert fabric.settle() == 0
        fabric.given(cm.RestartInstance(instance="hello.1.6"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.7": "running"}

    def test_stop_and_start_do(self) -> None:
        fabric = placed()
        give_up(fabric)
        fabric.given(cm.StopAgent(**HELLO), cm.StartAgent(**HELLO))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "running"}


class TestRollout:
    def rolling(self, replicas: int = 4, unavailable: int = 1) -> Fabric:
        """Version 2 of `hello` is on its way, and no node has its program."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(spec("1"), replicas=replicas)
        fabric.settle()
        lacking(fabric, "2")
        fabric.deploy(spec("2", update=Update(max_unavailable=unavailable)))
        for _ in range(10):
            fabric.pass_ms(3_600_000)
            fabric.round()
        assert fabric.settle() == 0
        return fabric

    def old(self, fabric: Fabric) -> int:
        return sum(1 for one in fabric.state.instances.values() if one.version == 1 and one.status.value == "running")

    @pytest.mark.parametrize(("unavailable", "left"), [(1, 3), (2, 2), (3, 1)])
    def test_it_halts_and_what_is_left_of_the_old_version_stays(self, unavailable: int, left: int) -> None:
        fabric = self.rolling(unavailable=unavailable)
        assert self.old(fabric) == left
        assert fabric.agent().counts.failed == unavailable
        tried = sum(slot.generation for slot in fabric.agent().slots.values())
        assert tried == 4 + PERMANENT_TRIES * unavailable
        assert fabric.agent().rollout_cursor > 0, "it is not at its end"

    def test_it_halts_although_others_of_the_new_version_run(self) -> None:
        """As where one replica's node alone lacks something: the budget would allow more, the failure does not."""
        fabric = self.rolling(unavailable=2)
        lacking(fabric)
        fabric.given(cm.RestartInstance(instance="hello.2.4"))
        fabric.settle()
        assert fabric.statuses() == {
            "hello.1.4": "failed",
            "hello.2.5": "running",
            "hello.3.1": "running",
            "hello.4.1": "running",
        }

    def test_a_better_version_goes_on_from_there(self) -> None:
        fabric = self.rolling()
        fabric.deploy(spec("3"))
        fabric.settle()
        assert {one.version for one in fabric.state.instances.values()} == {3}
        assert fabric.running() == 4
        assert fabric.agent().rollout_cursor == 0

    def test_another_try_goes_on_where_the_node_has_what_it_lacked(self) -> None:
        fabric = self.rolling()
        lacking(fabric)
        fabric.given(cm.RestartInstance(instance="hello.1.4"))
        fabric.settle()
        assert {one.version for one in fabric.state.instances.values()} == {2}
        assert fabric.running() == 4

    def test_a_replica_that_may_be_started_once_halts_it_too(self) -> None:
        once = Restart(policy="never")
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec("1", restart=once), replicas=3)
        fabric.settle()
        lacking(fabric, "2")
        fabric.deploy(spec("2", restart=once))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "failed", "hello.2.1": "running", "hello.3.1": "running"}

    def halted(self) -> Fabric:
        """Four replicas on their way to version 2, which can run nowhere: slot 1 has failed, the others are at 1."""
        fabric = Fabric()
        fabric.join("alpha", "beta", "gamma")
        fabric.deploy(spec("1", lost_after=1_000), replicas=4)
        fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="beta", hello_4_1="gamma")
        fabric.settle()
        lacking(fabric, "2")
        fabric.deploy(spec("2", lost_after=1_000))
        fabric.settle()
        assert self.versions(fabric) == {1: ("failed", 2), 2: ("running", 1), 3: ("running", 1), 4: ("running", 1)}
        return fabric

    def versions(self, fabric: Fabric) -> dict[int, tuple[str, int]]:
        currents = {number: fabric.instance(slot.current) for number, slot in sorted(fabric.agent().slots.items())}
        return {number: (current.status.value, current.version) for number, current in currents.items()}

    def test_while_it_is_halted_what_is_lost_is_replaced_in_the_version_that_works(self) -> None:
        fabric = self.halted()
        fabric.lose("gamma")
        fabric.settle()
        assert self.versions(fabric) == {1: ("failed", 2), 2: ("running", 1), 3: ("running", 1), 4: ("running", 1)}
        fabric.connect("gamma")
        fabric.settle()
        assert fabric.instance("hello.4.1").status.value == "running", "the older run wins, as ever"
        assert self.old(fabric) == 3

    def test_while_it_is_halted_new_replicas_have_the_version_that_works(self) -> None:
        fabric = self.halted()
        fabric.given(cm.ScaleAgent(replicas=6, **HELLO))
        fabric.settle()
        assert [version for _, version in self.versions(fabric).values()] == [2, 1, 1, 1, 1, 1]
        assert fabric.running() == 5

    def test_while_it_is_halted_a_restarted_replica_keeps_its_version(self) -> None:
        fabric = self.halted()
        fabric.given(cm.RestartInstance(instance="hello.3.1"))
        fabric.settle()
        assert self.versions(fabric)[3] == ("running", 1)

    def test_a_replica_that_crashes_while_it_is_halted_is_started_in_its_own_version(self) -> None:
        fabric = self.halted()
        for _ in range(10):
            current = fabric.agent().slots[2].current
            if fabric.instance(current).generation > 1:
                break
            fabric.exit(current)
            fabric.settle()
        assert self.versions(fabric)[2] == ("running", 1)
        assert fabric.instance(fabric.agent().slots[2].current).generation > 1

    def test_a_healthy_run_that_returns_takes_its_place_back_from_a_version_that_cannot_run(self) -> None:
        """It was lost before the new version came, whose replica in its place has failed."""
        fabric = Fabric()
        fabric.join("alpha", "beta", "gamma")
        fabric.deploy(spec("1", lost_after=1_000, update=Update(max_unavailable=2)), replicas=4)
        fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="beta", hello_4_1="gamma")
        fabric.settle()
        lacking(fabric, "2")
        fabric.silence("gamma")
        fabric.deploy(spec("2", lost_after=1_000, update=Update(max_unavailable=2)))
        fabric.lose("gamma")
        fabric.settle()
        assert self.versions(fabric)[4] == ("failed", 2)
        assert self.versions(fabric)[1] == ("failed", 2)
        fabric.connect("gamma")
        fabric.settle()
        assert fabric.instance("hello.4.1").status.value == "running"
        assert self.versions(fabric)[1] == ("failed", 2)

    def test_what_was_made_meanwhile_is_wanted_in_the_new_version_once_it_goes_on(self) -> None:
        fabric = self.halted()
        for node in fabric.nodes:
            fabric.given(cm.CordonNode(node=node))
        fabric.given(cm.ScaleAgent(replicas=5, **HELLO))
        assert self.versions(fabric)[5] == ("pending", 1)
        lacking(fabric)
        fabric.given(cm.RestartInstance(instance="hello.1.4"))
        assert self.versions(fabric)[5] == ("pending", 2)
        for node in fabric.nodes:
            fabric.given(cm.UncordonNode(node=node))
        fabric.settle()
        assert set(self.versions(fabric).values()) == {("running", 2)}

    def test_the_version_that_works_is_the_one_that_runs_and_not_another_that_failed(self) -> None:
        fabric = self.halted()
        lacking(fabric, "2", "3")
        fabric.deploy(spec("3", lost_after=1_000))
        fabric.settle()
        fabric.given(cm.ScaleAgent(replicas=5, **HELLO))
        fabric.settle()
        assert self.versions(fabric)[5] == ("running", 1)

    def test_its_spec_is_kept_however_many_versions_come(self) -> None:
        fabric = self.halted()
        broken = [str(number) for number in range(2, 40)]
        lacking(fabric, *broken)
        for number in broken[1:]:
            fabric.deploy(spec(number, lost_after=1_000))
            fabric.settle()
        fabric.lose("gamma")
        fabric.settle()
        assert self.versions(fabric)[4] == ("running", 1)
        assert fabric.agent().versions[1].spec.command == ("1",)

    def test_a_failure_of_an_older_version_halts_nothing(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec("1"), replicas=2)
        fabric.settle()
        lacking(fabric, "2")
        fabric.deploy(spec("2"))
        fabric.settle()
        for node in fabric.nodes:
            fabric.given(cm.CordonNode(node=node))
        fabric.deploy(spec("3"))
        failed = replace(fabric.instance("hello.1.5"), status=InstanceStatus.FAILED, version=2)
        state = replace(fabric.state, instances=fabric.state.instances.set(failed.id, failed))
        agent = replace(fabric.agent(), failed=fabric.agent().failed.set(failed.id, None))
        assert agent.rollout_cursor
        assert halted_by(state, agent) is None
        assert halted_by(state, replace(agent, version=2)) == failed

    def test_a_drain_takes_no_more_than_the_budget_of_what_it_cannot_start_elsewhere(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(replicas=3)
        fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="alpha")
        fabric.settle()
        fabric.nodes["beta"].lacks = ("serve",)
        fabric.given(cm.DrainNode(node="alpha"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "failed", "hello.2.1": "running", "hello.3.1": "running"}


class TestJob:
    def running(self, restart: Restart) -> Fabric:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.run(task(restart=restart))
        fabric.round()
        return fabric

    def test_it_fails_with_the_cause_after_three_tries_however_many_its_policy_allows(self) -> None:
        fabric = self.running(RETRIED)
        for generation in (1, 2, 3):
            assert fabric.job().status is JobStatus.ACTIVE
            fabric.round()
            fabric.cannot_start(f"work.1.{generation}")
        job = fabric.job()
        assert job.status is JobStatus.FAILED
        assert job.exit is not None
        assert job.exit.cause == "user"
        assert fabric.settle() == 0

    def test_it_does_not_wait_between_them(self) -> None:
        fabric = self.running(RETRIED)
        fabric.cannot_start("work.1.1")
        assert fabric.instance("work.1.2").not_before_ms == 0

    def test_its_policy_may_allow_fewer(self) -> None:
        for policy in (Restart(policy="never"), Restart(policy="on-failure", attempts=0)):
            fabric = self.running(policy)
            fabric.cannot_start("work.1.1")
            assert fabric.job().status is JobStatus.FAILED
