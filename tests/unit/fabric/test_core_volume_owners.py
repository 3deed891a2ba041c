"""A volume that stays on its node has one owner at a time, whatever becomes of moves, updates and lost nodes."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.rolling import available
from omnitide.fabric.state import InstanceStatus
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec, Update

HELLO = {"namespace": "default", "name": "hello"}


def keeper(*words: str, **fields: object) -> AgentSpec:
    return spec("serve", *words, volumes={"data": Volume(target="data")}, **fields)


def at_home(replicas: int = 1, **fields: object) -> Fabric:
    """Replicas with a volume on alpha, and a second node."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(keeper("1", **fields), replicas=replicas)
    fabric.settle()
    assert {instance.node for instance in fabric.state.instances.values()} == {"n-alpha"}
    return fabric


def migrate(fabric: Fabric, instance: str = "hello.1.1") -> None:
    fabric.given(cm.MigrateInstance(instance=instance, node="beta", leave_volumes=True))


class TestAMoveThatComesToNothing:
    def test_its_node_is_drained_before_anything_was_placed_there(self) -> None:
        fabric = at_home()
        migrate(fabric)
        fabric.given(cm.DrainNode(node="beta"))
        assert fabric.statuses() == {"hello.1.1": "stopping", "hello.1.2": "pending"}
        fabric.place()
        assert fabric.statuses()["hello.1.2"] == "pending", "the old one is not gone yet"
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.instance("hello.1.2").node == "n-alpha"

    def test_its_node_is_lost(self) -> None:
        fabric = at_home()
        migrate(fabric)
        fabric.lose("beta")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_its_node_is_removed(self) -> None:
        fabric = at_home()
        migrate(fabric)
        fabric.lose("beta")
        fabric.given(cm.RemoveNode(node="beta"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_an_update_meanwhile_takes_no_more_away_than_it_may(self) -> None:
        fabric = at_home(3)
        for number in (1, 2, 3):
            migrate(fabric, f"hello.{number}.1")
        fabric.deploy(keeper("2"))
        lowest = 3
        for _ in range(100):
            if not fabric.round():
                break
            lowest = min(lowest, sum(one.status is InstanceStatus.RUNNING for one in fabric.state.instances.values()))
        assert lowest == 2
        assert set(fabric.statuses().values()) == {"running"}
        assert fabric.agent().rollout_cursor == 0

    def test_a_plan_that_would_place_it_beside_its_owner_is_left_out(self) -> None:
        fabric = at_home()
        migrate(fabric)
        fabric.given(cm.RestartInstance(instance="hello.1.2"))
        choice = cm.PlaceChoice("hello.1.3", "n-alpha", ())
        outcome = fabric.given(cm.PlaceInstances(seen_revision=0, choices=(choice,)), by="system:placer")[0]
        assert outcome.result == {"placed": 0, "left_out": 1}


class TestANodeThatComesBack:
    def test_what_was_updated_meanwhile_starts_when_the_old_run_has_ended(self) -> None:
        fabric = at_home()
        fabric.lose("alpha")
        fabric.deploy(keeper("2"))
        fabric.connect("alpha")
        assert fabric.instance("hello.1.1").status is InstanceStatus.STOPPING
        fabric.place()
        current = fabric.agent().slots[1].current
        assert fabric.instance(current).status is InstanceStatus.PENDING
        fabric.settle()
        assert set(fabric.statuses().values()) == {"running"}
        assert (fabric.instance(current).version, fabric.instance(current).node) == (2, "n-alpha")

    def test_a_run_that_is_its_own_again_wins(self) -> None:
        fabric = at_home()
        fabric.lose("alpha")
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "pending"}
        fabric.place()
        assert fabric.statuses()["hello.1.2"] == "pending", "its volume is on the node that is lost"
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}


def test_two_available_generations_of_a_slot_count_once() -> None:
    """Between the moment when a generation has been ready for long enough and the look at it both serve."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec("serve", "1"), replicas=2)
    fabric.settle()
    fabric.deploy(spec("serve", "2", update=Update(max_unavailable=0, max_surge=1, min_healthy=1000)))
    fabric.place()
    for name, node in sorted(fabric.nodes.items()):
        node.desire(fabric.state)
        node.step()
        if node.unsent:
            fabric.send(name)
    fabric.pass_ms(2000)
    assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "running", "hello.2.1": "running"}
    assert available(fabric.state, fabric.agent(), fabric.time_ms) == 2


def test_a_restart_does_not_go_on_with_a_rollout_that_is_paused() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("serve", "1"), replicas=3)
    fabric.settle()
    fabric.deploy(spec("serve", "2"))
    fabric.given(cm.PauseRollout(**HELLO))
    outcome = fabric.when(cm.RestartAgent(**HELLO))
    assert outcome.code == "conflict"
    assert "paused" in outcome.message
    fabric.given(cm.ResumeRollout(**HELLO))
    fabric.given(cm.RestartAgent(**HELLO))
    fabric.settle()
    assert {one.version for one in fabric.state.instances.values()} == {3}
