"""The number of replicas: who owns it, and what becomes of slots."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm


def scale(replicas: int, name: str = "hello") -> cm.ScaleAgent:
    return cm.ScaleAgent(namespace="default", name=name, replicas=replicas)


def test_scaling_up_makes_the_missing_slots() -> None:
    fabric = Fabric()
    fabric.deploy()
    outcome = fabric.when(scale(3))
    assert outcome.kinds == ["agent.scaled", "instance.created"]
    assert outcome.result == {"agent": "hello", "from": 1, "to": 3}
    assert sorted(fabric.agent().slots) == [1, 2, 3]


def test_scaling_down_stops_the_highest_slots_and_forgets_them_when_they_have_stopped() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=3)
    fabric.settle()
    fabric.given(scale(1))
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "stopping", "hello.3.1": "stopping"}
    assert fabric.instance("hello.3.1").stop_reason == "scaled-down"
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "running"}
    assert sorted(fabric.agent().slots) == [1]
    assert fabric.node("alpha").used_cpu_milli == 100


def test_what_waited_for_a_node_goes_at_once_when_it_is_scaled_away() -> None:
    fabric = Fabric()
    fabric.deploy(replicas=3)
    assert fabric.when(scale(1)).kinds == ["agent.scaled", "instance.ended", "instance.ended", "agent.slots-retired"]
    assert fabric.statuses() == {"hello.1.1": "pending"}


def test_a_slot_that_is_made_anew_never_repeats_an_instance_id() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=2)
    fabric.settle()
    fabric.given(scale(1))
    fabric.settle()
    fabric.given(scale(2))
    assert sorted(fabric.statuses()) == ["hello.1.1", "hello.2.2"]


def test_an_instance_that_was_scaled_away_while_its_node_was_silent_does_not_meet_its_own_id() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(replicas=2)
    fabric.place(hello_1_1="alpha", hello_2_1="beta")
    fabric.settle()
    fabric.lose("beta")
    fabric.given(scale(1), scale(2))
    fabric.settle()
    fabric.connect("beta")
    fabric.settle()
    # The lost one is of the slot before: the new one stays.
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.3": "running"}
    assert fabric.nodes["beta"].running() == []


def test_up_again_while_the_old_one_is_still_stopping_waits_for_it() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=2)
    fabric.settle()
    fabric.given(scale(1), scale(2))
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "stopping"}
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.2": "running"}


class TestOwnership:
    def test_a_manifest_leaves_alone_what_scale_has_set(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=1)
        fabric.given(scale(4))
        outcome = fabric.deploy(spec("serve", "2"), replicas=2)
        assert outcome.result == {"agent": "hello", "version": 2, "replicas": 4, "change": "updated"}
        assert fabric.agent().replicas_owner == "scale"

    def test_unless_it_is_told_to_take_over(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=1)
        fabric.given(scale(4))
        outcome = fabric.deploy(replicas=2, take_over_replicas=True)
        assert outcome.result["change"] == "scaled"
        assert (fabric.agent().replicas, fabric.agent().replicas_owner) == (2, "manifest")

    def test_a_manifest_changes_what_a_manifest_has_set(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=1)
        assert fabric.deploy(replicas=3).result["change"] == "scaled"
        assert fabric.agent().replicas == 3

    def test_a_manifest_without_a_number_keeps_it(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=3)
        fabric.deploy(spec("serve", "2"))
        assert fabric.agent().replicas == 3

    def test_scaling_to_the_same_number_takes_the_ownership_only(self) -> None:
        fabric = Fabric()
        fabric.deploy(replicas=2)
        assert fabric.when(scale(2)).kinds == ["agent.scaled"]
        assert fabric.when(scale(2)).kinds == []


def test_a_stopped_agent_can_be_scaled_and_runs_so_many_once_started() -> None:
    fabric = Fabric()
    fabric.deploy(replicas=1)
    fabric.given(cm.StopAgent(namespace="default", name="hello"), scale(3))
    assert fabric.statuses() == {}
    fabric.given(cm.StartAgent(namespace="default", name="hello"))
    assert len(fabric.statuses()) == 3


def test_scaling_what_is_not_there_or_is_going_is_refused() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    assert fabric.when(scale(2)).code == "not-found"
    fabric.deploy()
    fabric.settle()
    fabric.given(cm.DeleteAgent(namespace="default", name="hello"))
    assert fabric.when(scale(2)).code == "conflict"
    assert fabric.deploy().code == "conflict"
