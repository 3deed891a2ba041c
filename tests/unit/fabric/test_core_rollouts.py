"""How a new version replaces the old one, never more replicas away than allowed; restarts, stops and removals."""

import pytest
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.model.spec import Restart, Update

HELLO = {"namespace": "default", "name": "hello"}


def running(replicas: int = 3, **fields: object) -> Fabric:
    """Version 1 of `hello`, running."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("serve", "1", **fields), replicas=replicas)
    fabric.settle()
    assert fabric.running() == replicas
    return fabric


class TestUpdate:
    def test_one_replica_is_away_at_a_time(self) -> None:
        fabric = running(3)
        fabric.deploy(spec("serve", "2"))
        assert fabric.statuses() == {"hello.1.1": "stopping", "hello.2.1": "running", "hello.3.1": "running"}
        lowest = 3
        for _ in range(100):
            if not fabric.round():
                break
            lowest = min(lowest, fabric.running())
        assert lowest == 2
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running", "hello.3.2": "running"}
        assert fabric.agent().rollout_cursor == 0

    def test_as_many_as_the_new_version_allows(self) -> None:
        fabric = running(4)
        fabric.deploy(spec("serve", "2", update=Update(max_unavailable=3)))
        assert list(fabric.statuses().values()) == ["stopping", "stopping", "stopping", "running"]

    def test_what_does_not_run_anyway_is_replaced_at_once(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec("serve", "1"), replicas=3)
        fabric.place()
        fabric.deploy(spec("serve", "2"))
        assert list(fabric.statuses().values()) == ["stopping"] * 3

    def test_a_version_that_cannot_start_takes_no_more_than_the_budget_with_it(self) -> None:
        fabric = running(3)
        broken = spec("broken", restart=Restart(attempts=0))
        fabric.deploy(broken)
        node = fabric.nodes["alpha"]
        for _ in range(10):
            fabric.pass_ms(60_000)
            fabric.place()
            node.desire(fabric.state)
            for name, run in list(node.runs.items()):
                if fabric.instance(name).version == 2 and not run.outcome:
                    node.exit(name, broken, code=127, cause="command-not-found")
            node.step()
            fabric.send("alpha")
        assert [i.status.value for i in fabric.state.instances.values() if i.version == 1] == ["running", "running"]
        assert fabric.agent().slots[1].failures >= 3

    def test_a_second_update_in_the_middle_of_the_first_ends_at_the_newest(self) -> None:
        fabric = running(3)
        fabric.deploy(spec("serve", "2"))
        fabric.round()
        fabric.deploy(spec("serve", "3"))
        fabric.settle()
        assert {instance.version for instance in fabric.state.instances.values()} == {3}
        assert fabric.running() == 3

    def test_replicas_that_have_ended_for_good_hold_no_rollout_up(self) -> None:
        once = Restart(policy="on-failure")
        fabric = running(3, restart=once)
        fabric.deploy(spec("serve", "2", restart=once))
        for _ in range(20):
            fabric.round()
            for name in fabric.nodes["alpha"].running():
                if fabric.instance(name).version == 2:
                    fabric.exit(name, code=0)
        assert fabric.statuses() == {"hello.1.2": "succeeded", "hello.2.2": "succeeded", "hello.3.2": "succeeded"}

    def test_scaling_up_during_a_rollout_makes_new_ones_of_the_newest_version(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2"))
        fabric.given(cm.ScaleAgent(replicas=4, **HELLO))
        fabric.settle()
        assert {instance.version for instance in fabric.state.instances.values()} == {2}
        assert fabric.running() == 4


class TestRestart:
    def test_a_restart_is_a_version_with_the_same_spec_and_rolls_out_like_one(self) -> None:
        fabric = running(2)
        outcome = fabric.when(cm.RestartAgent(**HELLO))
        assert outcome.result == {"agent": "hello", "version": 2}
        assert fabric.agent().versions[1].spec is fabric.agent().versions[2].spec
        assert fabric.instance("hello.1.1").stop_reason == "restart"
        assert fabric.running() == 1
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running"}

    def test_a_stopped_agent_is_not_restarted(self) -> None:
        fabric = running(1)
        fabric.given(cm.StopAgent(**HELLO))
        assert fabric.when(cm.RestartAgent(**HELLO)).code == "conflict"

    def test_one_instance_is_replaced_by_its_next_generation(self) -> None:
        fabric = running(2)
        fabric.given(cm.RestartInstance(instance="hello.2.1"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running", "hello.2.2": "running"}
        assert fabric.instance("hello.2.2").version == 1

    def test_a_pending_instance_is_replaced_at_once(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        fabric.given(cm.RestartInstance(instance="hello.1.1"))
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_an_instance_that_is_not_there_or_has_ended_is_not_restarted(self) -> None:
        fabric = running(1, restart=Restart(policy="never"))
        assert fabric.when(cm.RestartInstance(instance="hello.9.9")).code == "not-found"
        fabric.exit("hello.1.1", code=0)
        assert fabric.when(cm.RestartInstance(instance="hello.1.1")).code == "conflict"

    def test_a_task_of_a_job_is_not_restarted(self) -> None:
        fabric = Fabric()
        fabric.run()
        assert fabric.when(cm.RestartInstance(instance="work.1.1")).code == "conflict"


class TestStopAndStart:
    def test_stop_ends_all_and_keeps_the_number(self) -> None:
        fabric = running(3)
        fabric.given(cm.StopAgent(**HELLO))
        fabric.settle()
        assert fabric.statuses() == {}
        assert fabric.agent().replicas == 3
        assert fabric.node("alpha").used_memory_bytes == 0

    def test_start_begins_above_every_generation_that_was(self) -> None:
        fabric = running(2)
        fabric.given(cm.StopAgent(**HELLO))
        fabric.settle()
        fabric.given(cm.StartAgent(**HELLO))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running"}

    def test_start_while_the_old_ones_are_stopping_waits_for_them(self) -> None:
        fabric = running(2)
        fabric.given(cm.StopAgent(**HELLO), cm.StartAgent(**HELLO))
        assert fabric.statuses() == {"hello.1.1": "stopping", "hello.2.1": "stopping"}
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running"}

    def test_either_twice_changes_nothing(self) -> None:
        fabric = running(1)
        assert fabric.when(cm.StartAgent(**HELLO)).events == ()
        fabric.given(cm.StopAgent(**HELLO))
        assert fabric.when(cm.StopAgent(**HELLO)).events == ()

    def test_an_update_of_a_stopped_agent_shows_when_it_is_started(self) -> None:
        fabric = running(2)
        fabric.given(cm.StopAgent(**HELLO))
        fabric.settle()
        fabric.deploy(spec("serve", "2"))
        fabric.settle()
        assert {instance.version for instance in fabric.state.instances.values()} == {2}
        assert fabric.agent().rollout_cursor == 0


class TestDelete:
    def test_it_is_gone_when_its_last_instance_has_stopped(self) -> None:
        fabric = running(2)
        assert fabric.when(cm.DeleteAgent(**HELLO)).kinds[0] == "agent.deleted"
        assert fabric.agent().deleting
        fabric.settle()
        assert not fabric.state.agents
        assert not fabric.state.instances
        assert fabric.state.namespaces["default"].agents == 0

    def test_one_that_runs_nothing_is_gone_at_once(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=2)
        assert fabric.when(cm.DeleteAgent(**HELLO)).kinds[-1] == "agent.removed"
        assert fabric.deploy().result["change"] == "created", "and its name is free"

    def test_twice_is_no_error_and_no_event(self) -> None:
        fabric = running(1)
        fabric.given(cm.DeleteAgent(**HELLO))
        assert fabric.when(cm.DeleteAgent(**HELLO)).events == ()

    def test_instances_on_a_silent_node_hold_it_only_until_they_are_lost(self) -> None:
        fabric = running(2)
        fabric.silence("alpha")
        fabric.given(cm.DeleteAgent(**HELLO))
        assert fabric.agent().deleting
        fabric.lose("alpha")
        assert not fabric.state.agents
        assert fabric.node("alpha").used_cpu_milli == 0
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.nodes["alpha"].runs == {}, "what came back was told to stop"

    def test_a_lost_stray_does_not_hold_it(self) -> None:
        fabric = running(1)
        fabric.lose("alpha")
        assert list(fabric.agent().strays) == ["hello.1.1"]
        fabric.given(cm.DeleteAgent(**HELLO))
        assert not fabric.state.agents
        assert fabric.node("alpha").used_cpu_milli == 0

    @pytest.mark.parametrize("command", [cm.StopAgent, cm.StartAgent, cm.RestartAgent])
    def test_one_that_is_going_takes_no_other_command(self, command: type[cm.StopAgent]) -> None:
        fabric = running(1)
        fabric.given(cm.DeleteAgent(**HELLO))
        assert fabric.when(command(**HELLO)).code == "conflict"


def test_a_move_may_be_through_and_its_slot_asked_in_the_same_entry() -> None:
    """What was superseded is stopped as the other side of the move is available, and that is as the rollout may."""
    slow = Update(min_healthy=5000)
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec("serve", "1", update=slow), replicas=2)
    fabric.settle()
    fabric.given(cm.ScaleAgent(replicas=2, **HELLO))
    assert fabric.agent().versions[1].proven
    fabric.given(cm.MigrateInstance(instance="hello.2.1"))
    fabric.place()
    for name in ("alpha", "beta"):
        fabric.act(name)
    fabric.given(cm.ScaleAgent(replicas=3, **HELLO))
    fabric.deploy(spec("serve", "2", update=Update(max_unavailable=2, min_healthy=5000)))
    assert fabric.statuses() == {
        "hello.1.1": "stopping",
        "hello.2.1": "running",
        "hello.2.2": "running",
        "hello.3.2": "pending",
    }
    fabric.place()
    fabric.act("alpha")
    fabric.pass_ms(5000)
    fabric.place()
    fabric.act("alpha")
    asked = [
        {event.instance: event.reason for event in entry.events if isinstance(event, ev.InstanceStopRequested)}
        for entry in fabric.log
    ]
    assert {"hello.2.1": "superseded", "hello.2.2": "update"} in asked
    fabric.settle()
    assert {one.version for one in fabric.state.instances.values()} == {2}
