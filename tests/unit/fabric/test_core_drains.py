"""Emptying a node: its agents move within their budget, its tasks run to their end."""

from tests.support.spec import Fabric, spec, task

from omnitide.fabric import commands as cm
from omnitide.fabric.state import Scheduling
from omnitide.model.spec import Restart, Update


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
    outcome = fabric.when(cm.DrainNode(node="alpha"))
    assert outcome.kinds == ["node.drain-started", "instance.stop-requested"]
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
    fabric.given(cm.DrainNode(node="alpha"))
    assert list(fabric.statuses().values()) == ["stopping"] * 4
    assert fabric.instance("hello.1.1").stop_reason == "drain"


def test_what_does_not_run_leaves_at_once() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=3)
    fabric.place()
    fabric.given(cm.DrainNode(node="alpha"))
    assert list(fabric.statuses().values()) == ["stopping"] * 3


def test_an_empty_node_is_drained_at_once() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    assert fabric.when(cm.DrainNode(node="alpha")).kinds == ["node.drain-started", "node.drained"]
    assert fabric.when(cm.DrainNode(node="alpha")).kinds == []


def test_with_nowhere_to_go_the_rest_stays_and_runs() -> None:
    fabric = two(3)
    fabric.given(cm.CordonNode(node="beta"), cm.DrainNode(node="alpha"))
    fabric.settle()
    assert sorted(fabric.statuses().values()) == ["pending", "running", "running"]
    assert fabric.node("alpha").scheduling is Scheduling.DRAINING


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
    fabric.given(cm.DrainNode(node="alpha"))
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
