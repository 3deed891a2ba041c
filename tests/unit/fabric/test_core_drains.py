"""Emptying a node: its agents move within their budget where there is room for them, its tasks run to their end."""

import pytest
from tests.support.honest import facts
from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.state import DriverFact, NodeFacts, Scheduling
from omnitide.model.spec import Constraint, Limits, Port, Resources, Restart, Update


def two(replicas: int = 3, **fields: object) -> Fabric:
    """All of `hello` on alpha; beta is empty."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.given(cm.CordonNode(node="beta"))
    fabric.deploy(spec(**fields), replicas=replicas)
    fabric.settle()
    fabric.given(cm.UncordonNode(node="beta"))
    return fabric


def test_one_instance_leaves_at_a_time() -> None:
    fabric = two(3)
    assert fabric.when(cm.DrainNode(node="alpha")).kinds == ["node.drain-started"]
    assert fabric.move().kinds == ["instance.stop-requested"]
    lowest = 3
    for _ in range(20):
        fabric.round()
        lowest = min(lowest, fabric.running())
    assert lowest == 2
    assert {instance.node for instance in fabric.state.instances.values()} == {"n-beta"}
    assert fabric.node("alpha").scheduling is Scheduling.DRAINED
    assert not fabric.state.draining


def test_as_many_as_the_agent_allows() -> None:
    fabric = two(4, update=Update(max_unavailable=4))
    fabric.drain("alpha")
    assert list(fabric.statuses().values()) == ["stopping"] * 4
    assert fabric.instance("hello.1.1").stop_reason == "drain"


def test_what_does_not_run_leaves_at_once() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(replicas=3)
    fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="alpha")
    fabric.drain("alpha")
    assert list(fabric.statuses().values()) == ["stopping"] * 3


def test_an_empty_node_is_drained_at_once() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    assert fabric.when(cm.DrainNode(node="alpha")).kinds == ["node.drain-started", "node.drained"]
    assert fabric.when(cm.DrainNode(node="alpha")).kinds == []


class TestNowhereToGo:
    """A drain never takes down what it cannot bring up elsewhere."""

    def test_all_of_it_stays_and_runs(self) -> None:
        fabric = two(3, update=Update(max_unavailable=3))
        fabric.given(cm.CordonNode(node="beta"))
        fabric.drain("alpha")
        fabric.settle()
        assert list(fabric.statuses().values()) == ["running"] * 3
        assert fabric.node("alpha").scheduling is Scheduling.DRAINING

    def test_the_only_node_keeps_what_runs_and_what_is_about_to(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(replicas=2)
        fabric.place(hello_1_1="alpha")
        fabric.nodes["alpha"].desire(fabric.state)
        fabric.drain("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "pending"}

    @pytest.mark.parametrize("room", ["a node joins", "a node is opened", "something else ends"])
    def test_it_moves_when_there_is_room(self, room: str) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec(resources=Resources(cpu=1000)))
        fabric.settle()
        if room == "a node is opened":
            fabric.join("beta")
            fabric.given(cm.CordonNode(node="beta"))
        elif room == "something else ends":
            fabric.join("beta", node_facts=facts(cpu=1000))
            fabric.deploy(spec(resources=Resources(cpu=1000)), name="other")
            fabric.place(other_1_1="beta")
            fabric.settle()
        fabric.drain("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}
        if room == "a node joins":
            fabric.join("beta")
        elif room == "a node is opened":
            fabric.given(cm.UncordonNode(node="beta"))
        else:
            fabric.given(cm.StopAgent(namespace="default", name="other"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.node("alpha").scheduling is Scheduling.DRAINED

    @pytest.mark.parametrize(
        ("fields", "other"),
        [
            ({"resources": Resources(cpu=1000)}, facts(cpu=999)),
            ({"resources": Resources(memory=1 << 30)}, facts(memory=1 << 29)),
            ({"ports": {"http": Port(port=80)}}, facts()),
            ({"ports": {"a": Port(), "b": Port()}}, facts(ports=(20000, 20000))),
            ({"constraints": (Constraint(label="zone", operator="=", values=("eu",)),)}, facts(labels={"zone": "us"})),
            ({"constraints": (Constraint(label="gpu", operator="exists"),)}, facts()),
            ({}, facts(drivers=(DriverFact(name="docker"),))),
            ({}, facts(drivers=(DriverFact(name="process", healthy=False),))),
            (
                {"limits": Limits(memory=1 << 30, enforcement="required")},
                facts(drivers=(DriverFact(name="process"),)),
            ),
        ],
        ids=["cpu", "memory", "port", "ports", "label", "no label", "driver", "driver that works", "limit"],
    )
    def test_what_the_other_node_lacks_keeps_it(self, fields: dict[str, object], other: NodeFacts) -> None:
        fabric = Fabric()
        enforcing = DriverFact(name="process", enforces=("cpu", "memory", "pids"))
        labels = {"zone": "eu", "gpu": "1"}
        fabric.join("alpha", node_facts=facts(labels=labels, drivers=(enforcing,)))
        fabric.deploy(spec(**fields))
        fabric.settle()
        assert fabric.running() == 1
        fabric.join("beta", node_facts=other)
        if "ports" in fields:
            fabric.deploy(spec(ports={"http": Port(port=80)}), name="other")
            fabric.settle()
        fabric.drain("alpha")
        assert fabric.instance("hello.1.1").status.value == "running"

    def test_room_for_one_is_not_promised_to_two(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(spec(resources=Resources(cpu=1000), update=Update(max_unavailable=3)), replicas=3)
        fabric.settle()
        fabric.join("beta", node_facts=facts(cpu=1500))
        assert fabric.drain("alpha").result["moved"] == 1


class TestFailedForGood:
    def test_it_does_not_hold_up_what_can_run_elsewhere(self) -> None:
        """One replica of a new version has failed for good: the old ones move all the same."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(spec("1"), replicas=3)
        fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="alpha")
        fabric.settle()
        for node in fabric.nodes.values():
            node.lacks = ("2",)
        fabric.deploy(spec("2"))
        fabric.settle()
        assert fabric.agent().counts.failed == 1
        fabric.drain("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "failed", "hello.2.2": "running", "hello.3.2": "running"}
        assert {fabric.instance(name).version for name in ("hello.2.2", "hello.3.2")} == {1}
        assert fabric.node("alpha").scheduling is Scheduling.DRAINED

    def test_one_of_the_same_version_leaves_it_to_nodes_that_are_known_to_run_it(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta", "gamma")
        fabric.nodes["beta"].lacks = ("serve",)
        fabric.deploy(replicas=3)
        fabric.place(hello_1_1="alpha", hello_2_1="alpha", hello_3_1="gamma")
        fabric.settle()
        fabric.given(cm.CordonNode(node="gamma"))
        fabric.drain("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "failed", "hello.2.1": "running", "hello.3.1": "running"}
        fabric.given(cm.UncordonNode(node="gamma"), cm.CordonNode(node="beta"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.4": "failed", "hello.2.2": "running", "hello.3.1": "running"}


def test_nothing_new_is_placed_on_it() -> None:
    fabric = two(1)
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.deploy(name="other")
    plan = cm.PlaceInstances(seen_revision=0, choices=(cm.PlaceChoice("other.1.1", "n-alpha", ()),))
    assert fabric.when(plan, by="system:placer").result["placed"] == 0


def test_a_task_runs_to_its_end_there() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.run()
    fabric.settle()
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.settle()
    assert fabric.statuses("work") == {"work.1.1": "running"}
    assert fabric.node("alpha").scheduling is Scheduling.DRAINING
    assert "node.drained" in fabric.exit("work.1.1", code=0).kinds
    assert fabric.job().status.value == "succeeded"


def test_it_is_known_since_when_a_drain_goes_on_and_not_of_one_in_a_log_that_does_not_tell() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec())
    fabric.place(hello_1_1="alpha")
    fabric.settle()
    fabric.given(cm.DrainNode(node="alpha"))
    began_ms = fabric.time_ms
    assert fabric.node("alpha").draining_since_ms == began_ms
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.connect("alpha")
    assert fabric.node("alpha").draining_since_ms == began_ms
    for command in (cm.UncordonNode(node="alpha"), cm.CordonNode(node="alpha")):
        fabric.given(command)
        assert fabric.node("alpha").draining_since_ms == 0

    old = ev.Entry(time_ms=fabric.time_ms, principal="x", events=(ev.NodeDrainStarted(node="n-alpha"),))
    assert apply(fabric.state, old).nodes["n-alpha"].draining_since_ms == 0


def test_a_lost_task_may_come_back_to_a_node_that_is_still_draining() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.run(task(lost_after=1_000))
    fabric.run(task(on_disconnect="keep"), name="other")
    fabric.place(work_1_1="alpha", other_1_1="alpha")
    fabric.settle()
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.lose("alpha")
    assert fabric.statuses("work") == {"work.1.1": "lost", "work.1.2": "pending"}
    fabric.connect("alpha")
    assert fabric.statuses("work") == {"work.1.1": "running"}
    fabric.settle()
    fabric.exit("work.1.1", code=0)
    assert "node.drained" in fabric.exit("other.1.1", code=0).kinds


def test_a_drain_can_be_taken_back() -> None:
    fabric = two(3)
    fabric.given(cm.DrainNode(node="alpha"), cm.UncordonNode(node="alpha"))
    fabric.settle()
    assert fabric.running() == 3
    assert fabric.node("alpha").scheduling is Scheduling.OPEN
    assert not fabric.state.draining


def test_what_is_lost_holds_no_drain_up() -> None:
    fabric = two(3, lost_after=1_000)
    fabric.given(cm.DrainNode(node="alpha"))
    assert "node.drained" in fabric.lose("alpha").kinds


def test_a_drain_and_a_rollout_share_the_budget() -> None:
    fabric = two(3)
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.deploy(spec("serve", "2"))
    lowest = 3
    for _ in range(40):
        if not fabric.round():
            break
        lowest = min(lowest, fabric.running())
    assert lowest == 2
    assert {(i.node, i.version) for i in fabric.state.instances.values()} == {("n-beta", 2)}
    assert fabric.node("alpha").scheduling is Scheduling.DRAINED


def test_work_that_was_done_before_the_stop_arrived_is_done() -> None:
    fabric = two(1, restart=Restart(policy="on-failure"))
    fabric.nodes["alpha"].exit("hello.1.1", fabric.agent().spec, code=0)
    fabric.drain("alpha")
    assert fabric.statuses() == {"hello.1.1": "stopping"}
    fabric.send("alpha")
    assert fabric.statuses() == {"hello.1.1": "succeeded"}
    assert fabric.node("alpha").scheduling is Scheduling.DRAINED


def test_cordoning_keeps_what_runs_and_takes_nothing_new() -> None:
    fabric = two(1)
    assert fabric.when(cm.CordonNode(node="alpha")).kinds == ["node.cordoned"]
    assert fabric.when(cm.CordonNode(node="n-alpha")).kinds == []
    assert fabric.running() == 1
    assert not fabric.node("alpha").schedulable
    assert fabric.when(cm.UncordonNode(node="alpha")).kinds == ["node.uncordoned"]
    assert fabric.when(cm.UncordonNode(node="alpha")).kinds == []


def test_a_node_that_is_not_there_is_refused() -> None:
    for command in (cm.CordonNode(node="x"), cm.UncordonNode(node="x"), cm.DrainNode(node="x")):
        outcome = Fabric().when(command)
        assert (outcome.code, outcome.message) == ("not-found", "there is no node 'x'")
