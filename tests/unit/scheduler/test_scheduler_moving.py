"""What may leave draining nodes: as many as their updates allow, and room is promised once."""

from tests.support.honest import facts
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.model.spec import Resources, Update
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.table import NodeTable

ONE_CPU = Resources(cpu=1000)


def emptying(replicas: int = 3, unavailable: int = 3) -> Fabric:
    """`hello` runs on alpha, which is to be emptied."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(resources=ONE_CPU, update=Update(max_unavailable=unavailable)), replicas=replicas)
    fabric.settle()
    fabric.given(cm.DrainNode(node="alpha"))
    return fabric


def planned(fabric: Fabric) -> list[tuple[str, str]]:
    return [tuple(choice) for choice in plan_moves(fabric.state, NodeTable(fabric.state)).choices]


def taken(fabric: Fabric) -> int:
    """How many moves the core makes of the plan; it must be all."""
    plan = plan_moves(fabric.state, NodeTable(fabric.state))
    result = fabric.given(plan, by="system:placer")[0].result
    assert result == {"moved": len(plan.choices), "left_out": 0}
    return len(plan.choices)


def test_the_only_node_keeps_all() -> None:
    assert planned(emptying()) == []


def test_as_many_as_there_is_room_for() -> None:
    fabric = emptying()
    fabric.join("beta", node_facts=facts(cpu=2500))
    assert planned(fabric) == [("hello.1.1", "n-beta"), ("hello.2.1", "n-beta")]
    assert taken(fabric) == 2
    assert planned(fabric) == [], "the room is for those two"


def test_as_many_as_the_update_allows() -> None:
    fabric = emptying(unavailable=1)
    fabric.join("beta")
    assert taken(fabric) == 1
    assert planned(fabric) == []
    fabric.settle()
    assert {instance.node for instance in fabric.state.instances.values()} == {"n-beta"}


def test_what_waits_comes_first() -> None:
    fabric = emptying(1)
    fabric.deploy(spec(resources=ONE_CPU), name="other")
    fabric.join("beta", node_facts=facts(cpu=1500))
    assert fabric.statuses("other") == {"other.1.1": "pending"}
    assert planned(fabric) == []


def test_what_fits_nowhere_does_not_stand_in_the_way_of_what_does() -> None:
    fabric = emptying(1)
    fabric.deploy(spec(resources=Resources(cpu=4000)), name="other")
    fabric.join("beta", node_facts=facts(cpu=1500))
    assert fabric.statuses("other") == {"other.1.1": "pending"}
    assert planned(fabric) == [("hello.1.1", "n-beta")]


def test_only_nodes_that_are_known_to_run_it_where_some_are_known_not_to() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta", "gamma")
    fabric.deploy(replicas=1)
    fabric.settle()
    for node in ("beta", "gamma"):
        fabric.nodes[node].lacks = ("serve",)
    fabric.given(cm.CordonNode(node="alpha"), cm.ScaleAgent(namespace="default", name="hello", replicas=2))
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.3": "failed"}
    fabric.given(cm.DrainNode(node="alpha"))
    assert planned(fabric) == []
    fabric.join("omega")
    fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=3))
    fabric.place(hello_3_1="omega")
    fabric.settle()
    assert fabric.instance("hello.3.1").status.value == "running"
    assert fabric.instance(fabric.agent().slots[1].current).node == "n-omega"
