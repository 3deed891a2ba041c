"""`restart.reschedules`: what ends again and again has failed for good after so many generations, where it is set."""

import pytest
from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.conditions import unmet_needs
from omnitide.fabric.rules.failing import halted_by
from omnitide.fabric.snapshot import dump, load
from omnitide.model.spec import Port, Restart

ONCE = Restart(policy="on-failure", attempts=0, reschedules=0)


def running(restart: Restart, *nodes: str) -> Fabric:
    fabric = Fabric()
    fabric.join(*(nodes or ("alpha", "beta")))
    fabric.deploy(spec(restart=restart))
    fabric.round()
    return fabric


def fail(fabric: Fabric, generation: int, times: int = 1) -> str:
    """So many attempts of a generation of slot 1 end by themselves. Returns how it stands then."""
    name = f"hello.1.{generation}"
    for _ in range(times):
        fabric.exit(name)
        fabric.round()
    return fabric.statuses().get(name, "gone")


class TestEnd:
    def test_docker_s_on_failure_of_two_is_three_starts_on_one_node(self) -> None:
        fabric = running(Restart(policy="on-failure", attempts=2, reschedules=0))
        assert fail(fabric, 1, 2) == "running"
        assert fail(fabric, 1) == "failed"
        assert fabric.settle() == 0
        assert fabric.statuses() == {"hello.1.1": "failed"}

    def test_each_further_generation_is_one_of_them(self) -> None:
        fabric = running(Restart(attempts=0, reschedules=2))
        for generation in (1, 2):
            assert fail(fabric, generation) == "gone"
            fabric.pass_ms(3_600_000)
            fabric.round()
        assert fail(fabric, 3) == "failed"
        assert fabric.settle() == 0

    def test_without_it_there_is_no_end(self) -> None:
        fabric = running(Restart(attempts=0))
        for generation in range(1, 9):
            assert fail(fabric, generation) == "gone"
            fabric.pass_ms(3_600_000)
            fabric.round()

    def test_a_stable_run_starts_the_count_anew(self) -> None:
        fabric = running(Restart(attempts=0, reschedules=1, reset_after=60_000))
        for generation in range(1, 6):
            fabric.pass_ms(60_000)
            assert fail(fabric, generation) == "gone"
            fabric.pass_ms(3_600_000)
            fabric.round()

    def test_a_taken_port_and_what_a_node_lacks_are_no_failures_of_it(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(spec(restart=ONCE, ports={"http": Port()}))
        fabric.round()
        fabric.exit("hello.1.1", cause="port-busy", code=None)
        fabric.round()
        fabric.cannot_start("hello.1.2")
        fabric.round()
        assert fabric.statuses() == {"hello.1.3": "running"}
        assert fail(fabric, 3) == "failed"

    def test_one_that_was_lost_has_not_failed(self) -> None:
        fabric = running(ONCE)
        fabric.lose("alpha")
        fabric.round()
        assert fabric.running() == 1

    def test_it_is_known_after_a_snapshot(self) -> None:
        fabric = running(Restart(attempts=0, reschedules=2))
        fail(fabric, 1)
        assert fabric.agent().slots[1].spent == 1
        assert load(list(dump(fabric.state))) == fabric.state


class TestAfterwards:
    def test_somebody_may_ask_for_as_many_tries_again(self) -> None:
        fabric = running(Restart(attempts=0, reschedules=1))
        fail(fabric, 1)
        fabric.pass_ms(3_600_000)
        fabric.round()
        assert fail(fabric, 2) == "failed"
        fabric.given(cm.RestartInstance(instance="hello.1.2"))
        fabric.round()
        assert fail(fabric, 3) == "gone", "one more is due"
        fabric.pass_ms(3_600_000)
        fabric.round()
        assert fail(fabric, 4) == "failed"

    def test_a_changed_spec_is_tried(self) -> None:
        fabric = running(ONCE)
        fail(fabric, 1)
        fabric.deploy(spec("serve", "2", restart=ONCE))
        fabric.settle()
        assert fabric.running() == 1

    def test_a_rollout_is_halted_by_it(self) -> None:
        fabric = running(ONCE)
        fabric.settle()
        fabric.deploy(spec("serve", "2", restart=ONCE))
        fabric.round()
        fabric.round()
        assert fail(fabric, 2) == "failed"
        found = halted_by(fabric.state, fabric.agent())
        assert found is not None
        assert found.status.value == "failed"


class TestWaiting:
    def test_what_needs_its_success_is_told_that_it_never_comes(self) -> None:
        fabric = running(ONCE)
        what = spec(needs={"hello": "completed"})
        assert not unmet_needs(fabric.state, "default", what)[0].hopeless
        fail(fabric, 1)
        unmet = unmet_needs(fabric.state, "default", what)[0]
        assert unmet.hopeless
        assert unmet.text == (
            "waits for agent hello to have succeeded: hello-1.1 has failed for good, and is not tried again by itself"
        )

    def test_one_of_several_that_may_still_succeed_is_waited_for(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec(restart=ONCE), replicas=2)
        fabric.round()
        fabric.exit("hello.1.1")
        assert not unmet_needs(fabric.state, "default", spec(needs={"hello": "completed"}))[0].hopeless

    def test_a_job_that_failed_is_not_waited_for_either(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.run()
        fabric.round()
        fabric.exit("work.1.1")
        unmet = unmet_needs(fabric.state, "default", spec(needs={"work": "completed"}))[0]
        assert unmet.hopeless
        assert "it is failed" in unmet.text


@pytest.mark.parametrize(("reschedules", "tries"), [(None, 6), (1, 2), (0, 1)])
def test_a_job_is_tried_as_often_as_both_allow(reschedules: int | None, tries: int) -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.run(task(restart=Restart(policy="on-failure", attempts=5, reschedules=reschedules)))
    for _ in range(100):
        fabric.pass_ms(3_600_000)
        fabric.round()
        if fabric.job().status.value == "failed":
            break
        fabric.exit(fabric.job().slot.current)
    assert fabric.job().slot.generation == tries
