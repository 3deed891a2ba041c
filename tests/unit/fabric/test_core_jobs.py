"""Jobs: one task that runs to its end. What is finished stays finished, and nothing runs twice if it can be avoided."""

import pytest
from tests.support.honest import GIB, facts
from tests.support.spec import Fabric, task

from omnitide.fabric import commands as cm
from omnitide.fabric.rules import jobs
from omnitide.fabric.state import ExitRecord, JobStatus, Phase
from omnitide.model.spec import JobSpec, Port, Resources, Restart

WORK = {"namespace": "default", "name": "work"}
RETRIED = Restart(policy="on-failure", attempts=2, backoff=500, backoff_max=60_000)


def running(what: JobSpec | None = None) -> Fabric:
    """`work-1.1` runs on alpha, beta is empty."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.run(what)
    fabric.place(work_1_1="alpha")
    fabric.round()
    assert fabric.statuses("work") == {"work.1.1": "running"}
    return fabric


def replaced(what: JobSpec | None = None) -> Fabric:
    """As `running`; then alpha is lost, and `work-1.2` runs on beta."""
    fabric = running(what)
    fabric.lose("alpha")
    fabric.round()
    assert fabric.statuses("work") == {"work.1.1": "lost", "work.1.2": "running"}
    return fabric


def give_up(fabric: Fabric, instance: str, code: int = 1) -> None:
    """The task fails on its node until that gives it up."""
    node = fabric.nodes[fabric.state.nodes[fabric.instance(instance).node].name]
    while not node.runs[instance].outcome:
        node.exit(instance, fabric.job().spec, code=code)
    fabric.send(node.name)


class TestEnds:
    def test_a_new_job_has_its_task_in_the_same_entry(self) -> None:
        fabric = Fabric()
        outcome = fabric.run()
        assert outcome.kinds == ["job.created", "instance.created"]
        assert outcome.result == {"job": "work"}
        assert fabric.statuses("work") == {"work.1.1": "pending"}
        assert fabric.state.namespaces["default"].jobs == 1

    def test_success_finishes_it_with_the_exit(self) -> None:
        fabric = running()
        outcome = fabric.exit("work.1.1", code=0)
        assert outcome.kinds == ["instance.ended", "job.finished", "node.reported"]
        job = fabric.job()
        assert (job.status, job.finished_ms) == (JobStatus.SUCCEEDED, fabric.state.time_ms)
        assert job.exit == ExitRecord(attempt=1, code=0, reason="exited")
        assert fabric.node("alpha").used_cpu_milli == 0

    def test_failure_of_a_job_that_is_not_retried_finishes_it(self) -> None:
        fabric = running()
        fabric.exit("work.1.1", code=7)
        assert fabric.job().status is JobStatus.FAILED
        assert fabric.job().exit == ExitRecord(attempt=1, code=7, reason="exited")

    def test_finished_is_final(self) -> None:
        fabric = running()
        fabric.exit("work.1.1", code=0)
        before = fabric.job()
        report = cm.InstanceReport(instance="work.1.1", attempt=9, phase=Phase.ENDED, outcome="failed")
        fabric.report("alpha", report)
        fabric.lose("alpha")
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.job() == before
        assert fabric.when(cm.CancelJob(**WORK)).code == "conflict"


class TestRetries:
    def test_a_failed_task_is_tried_again_after_a_delay_and_elsewhere(self) -> None:
        fabric = running(task(restart=RETRIED))
        give_up(fabric, "work.1.1")
        following = fabric.instance("work.1.2")
        assert (following.avoid, following.not_before_ms) == ("n-alpha", fabric.state.time_ms + 500)
        assert fabric.job().status is JobStatus.ACTIVE

    def test_as_often_as_allowed_and_no_more(self) -> None:
        fabric = running(task(restart=RETRIED))
        for generation in (1, 2, 3):
            assert fabric.job().status is JobStatus.ACTIVE
            give_up(fabric, f"work.1.{generation}")
            fabric.settle()
        assert fabric.job().status is JobStatus.FAILED
        assert fabric.job().slot.generation == 3

    def test_however_long_each_try_lasts(self) -> None:
        fabric = running(task(restart=RETRIED))
        for generation in (1, 2, 3):
            fabric.pass_ms(10 * RETRIED.reset_after)
            give_up(fabric, f"work.1.{generation}")
            fabric.settle()
        assert fabric.job().status is JobStatus.FAILED

    def test_a_loss_between_two_failures_gives_no_more_tries(self) -> None:
        fabric = running(task(restart=RETRIED))
        give_up(fabric, "work.1.1")
        fabric.settle()
        fabric.lose(fabric.state.nodes[fabric.instance("work.1.2").node].name)
        fabric.settle()
        for generation in (3, 4):
            assert fabric.job().status is JobStatus.ACTIVE
            give_up(fabric, f"work.1.{generation}")
            fabric.settle()
        assert fabric.job().status is JobStatus.FAILED

    def test_a_taken_port_is_mended_even_for_a_job_that_is_not_retried_but_not_for_ever(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.run(task(ports={"http": Port()}))
        tries = 0
        for _ in range(30):
            fabric.pass_ms(60_000)
            fabric.round()
            if fabric.job().status is not JobStatus.ACTIVE:
                break
            tries += 1
            fabric.exit(fabric.job().slot.current, cause="port-busy", message="")
        assert tries == 11
        assert fabric.job().status is JobStatus.FAILED

    def test_a_task_that_was_stopped_by_no_one_here_runs_elsewhere(self) -> None:
        fabric = running()
        report = cm.InstanceReport(instance="work.1.1", attempt=1, phase=Phase.ENDED, outcome="stopped")
        fabric.report("alpha", report)
        following = fabric.instance("work.1.2")
        assert (following.avoid, following.not_before_ms) == ("n-alpha", fabric.state.time_ms + 500)


class TestCancel:
    def test_a_running_task_is_stopped_first(self) -> None:
        fabric = running()
        fabric.given(cm.CancelJob(**WORK))
        assert fabric.statuses("work") == {"work.1.1": "stopping"}
        assert fabric.job().status is JobStatus.ACTIVE
        fabric.settle()
        assert fabric.job().status is JobStatus.CANCELLED
        assert fabric.statuses("work") == {"work.1.1": "stopped"}

    def test_a_pending_one_is_cancelled_at_once(self) -> None:
        fabric = Fabric()
        fabric.run()
        fabric.given(cm.CancelJob(**WORK))
        assert fabric.job().status is JobStatus.CANCELLED

    def test_twice_changes_nothing(self) -> None:
        fabric = running()
        fabric.given(cm.CancelJob(**WORK))
        assert fabric.when(cm.CancelJob(**WORK)).events == ()

    def test_success_that_came_first_counts(self) -> None:
        fabric = running()
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=0)
        fabric.given(cm.CancelJob(**WORK))
        fabric.send("alpha")
        assert fabric.job().status is JobStatus.SUCCEEDED

    def test_a_cancelled_task_that_is_lost_is_not_run_again(self) -> None:
        fabric = running()
        fabric.silence("alpha")
        fabric.given(cm.CancelJob(**WORK))
        fabric.lose("alpha")
        assert fabric.job().status is JobStatus.CANCELLED
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.nodes["alpha"].runs == {}

    def test_what_is_not_there_is_refused(self) -> None:
        fabric = Fabric()
        assert fabric.when(cm.CancelJob(**WORK)).code == "not-found"
        assert fabric.when(cm.DeleteJob(**WORK)).code == "not-found"


class TestDelete:
    def test_a_finished_one_is_gone_at_once(self) -> None:
        fabric = running()
        fabric.exit("work.1.1", code=0)
        assert fabric.when(cm.DeleteJob(**WORK)).kinds == ["job.deleted", "job.removed"]
        assert not fabric.state.jobs
        assert not fabric.state.instances
        assert fabric.state.namespaces["default"].jobs == 0

    def test_a_running_one_is_stopped_first(self) -> None:
        fabric = running()
        fabric.given(cm.DeleteJob(**WORK))
        assert fabric.when(cm.DeleteJob(**WORK)).events == ()
        fabric.settle()
        assert not fabric.state.jobs
        assert fabric.run().accepted, "its name is free"

    def test_a_lost_one_does_not_hold_it(self) -> None:
        fabric = running()
        fabric.silence("alpha")
        fabric.given(cm.DeleteJob(**WORK))
        fabric.lose("alpha")
        assert not fabric.state.jobs
        assert fabric.node("alpha").used_cpu_milli == 0


class TestLostAndBack:
    def test_a_lost_task_is_run_elsewhere(self) -> None:
        fabric = running()
        assert fabric.lose("alpha").kinds == ["node.lost", "instance.lost", "instance.created"]

    def test_the_older_one_that_still_runs_wins(self) -> None:
        fabric = replaced()
        fabric.connect("alpha")
        assert fabric.statuses("work") == {"work.1.1": "running", "work.1.2": "stopping"}
        fabric.settle()
        fabric.exit("work.1.1", code=0)
        assert fabric.job().status is JobStatus.SUCCEEDED
        assert fabric.nodes["beta"].runs == {}

    def test_one_that_had_succeeded_finishes_the_job_and_its_replacement_is_stopped(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=0)
        fabric.connect("alpha")
        job = fabric.job()
        assert (job.status, job.slot.current) == (JobStatus.SUCCEEDED, "work.1.1")
        assert fabric.statuses("work") == {"work.1.1": "succeeded", "work.1.2": "stopping"}
        fabric.settle()
        assert fabric.statuses("work") == {"work.1.1": "succeeded"}
        assert fabric.nodes["beta"].runs == {}

    def test_also_before_its_replacement_was_placed_which_then_never_runs(self) -> None:
        fabric = running()
        fabric.lose("alpha")
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=0)
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.job().status is JobStatus.SUCCEEDED
        assert fabric.statuses("work") == {"work.1.1": "succeeded"}
        assert fabric.nodes["beta"].runs == {}

    def test_one_that_had_failed_for_good_fails_the_job_if_nothing_else_was_begun(self) -> None:
        fabric = running()
        fabric.lose("alpha")
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=3)
        fabric.connect("alpha")
        assert fabric.job().status is JobStatus.FAILED
        assert fabric.job().exit == ExitRecord(attempt=1, code=3, reason="exited")
        assert not fabric.state.pending

    def test_one_that_had_failed_leaves_it_to_a_replacement_that_runs(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=3)
        fabric.connect("alpha")
        assert fabric.statuses("work") == {"work.1.2": "running"}
        fabric.exit("work.1.2", code=0)
        assert fabric.job().status is JobStatus.SUCCEEDED

    def test_one_that_had_failed_and_may_be_retried_is_what_its_replacement_is_for(self) -> None:
        fabric = running(task(restart=RETRIED))
        fabric.lose("alpha")
        node = fabric.nodes["alpha"]
        while not node.runs["work.1.1"].outcome:
            node.exit("work.1.1", fabric.job().spec, code=1)
        fabric.connect("alpha")
        assert fabric.statuses("work") == {"work.1.2": "pending"}

    def test_the_job_finished_meanwhile_stays_as_it_finished(self) -> None:
        fabric = replaced()
        fabric.exit("work.1.2", code=0)
        end = fabric.job()
        fabric.connect("alpha")
        fabric.settle()
        assert (fabric.job().status, fabric.job().exit, fabric.job().slot) == (end.status, end.exit, end.slot)
        assert fabric.nodes["alpha"].runs == {}

    @pytest.mark.parametrize("command", [cm.CancelJob(**WORK), cm.DeleteJob(**WORK)])
    def test_one_that_comes_back_while_its_job_is_being_stopped_is_stopped_too(self, command: cm.Command) -> None:
        fabric = replaced()
        fabric.given(command)
        fabric.connect("alpha")
        assert fabric.statuses("work") == {"work.1.2": "stopping"}
        fabric.settle()
        assert fabric.nodes["alpha"].runs == {}

    def test_a_job_cancelled_meanwhile_stays_cancelled(self) -> None:
        fabric = replaced()
        fabric.given(cm.CancelJob(**WORK))
        fabric.settle()
        end = fabric.job()
        fabric.nodes["alpha"].exit("work.1.1", end.spec, code=0)
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.job().status is JobStatus.CANCELLED
        assert fabric.job().slot == end.slot

    def test_a_job_that_failed_for_good_meanwhile_stays_failed(self) -> None:
        fabric = replaced(task(restart=Restart(policy="on-failure", attempts=0)))
        fabric.exit("work.1.2", code=1)
        assert fabric.job().status is JobStatus.FAILED
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.job().status is JobStatus.FAILED
        assert fabric.nodes["alpha"].runs == {}

    def test_a_replacement_that_is_done_before_it_could_be_stopped_finishes_the_job(self) -> None:
        fabric = replaced()
        fabric.connect("alpha")
        fabric.nodes["beta"].exit("work.1.2", fabric.job().spec, code=0)
        fabric.send("beta")
        assert fabric.job().status is JobStatus.SUCCEEDED
        assert fabric.statuses("work") == {"work.1.1": "stopping", "work.1.2": "succeeded"}
        fabric.settle()
        assert fabric.nodes["alpha"].runs == {}

    @pytest.mark.parametrize("order", [("alpha", "beta"), ("beta", "alpha")])
    def test_of_two_lost_ones_the_oldest_wins_whoever_is_back_first(self, order: tuple[str, str]) -> None:
        fabric = replaced()
        fabric.join("gamma")
        fabric.lose("beta")
        fabric.round()
        assert fabric.statuses("work") == {"work.1.1": "lost", "work.1.2": "lost", "work.1.3": "running"}
        for name in order:
            fabric.connect(name)
            fabric.settle()
        assert fabric.statuses("work") == {"work.1.1": "running"}

    def test_one_that_is_removed_while_a_stray_is_being_stopped_waits_for_that(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].exit("work.1.1", fabric.job().spec, code=0)
        fabric.connect("alpha")
        fabric.given(cm.DeleteJob(**WORK))
        assert fabric.job().deleting
        fabric.settle()
        assert not fabric.state.jobs

    def test_keep_is_never_run_elsewhere(self) -> None:
        fabric = running(task(on_disconnect="keep"))
        fabric.lose("alpha")
        assert fabric.statuses("work") == {"work.1.1": "running"}

    def test_a_removed_node_gives_its_task_up(self) -> None:
        fabric = running()
        fabric.silence("alpha")
        fabric.given(cm.RemoveNode(node="alpha"))
        assert fabric.statuses("work") == {"work.1.2": "pending"}


def test_names_ids_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=1000, memory=GIB))
    fabric.run()
    assert fabric.run().code == "already-exists"
    command = cm.RunJob(job="work", namespace="default", name="another", spec=task())
    assert fabric.when(command).code == "already-exists"
    assert fabric.run(name="Bad Name").code == "invalid"
    assert fabric.run(task(resources=Resources(cpu=1001)), name="big").code == "impossible"
    assert fabric.run(JobSpec(command=()), name="empty").code == "invalid"
    monkeypatch.setattr(jobs, "MAX_JOBS", 1)
    assert fabric.run(name="another").code == "limit"
