"""What an instance waits for besides room, as `explain` tells it and as the plan honours it."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.model.provisions import Volume
from omnitide.scheduler.explain import explain_instance
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import derive_asks


def planned(fabric: Fabric) -> dict[str, str]:
    asks = derive_asks(fabric.state, fabric.time_ms)
    return {choice.instance: choice.node for choice in place(NodeTable(fabric.state), asks.ready).choices}


def told(fabric: Fabric, instance: str) -> str:
    return explain_instance(
        fabric.state, NodeTable(fabric.state), fabric.instance(instance), now_ms=fabric.time_ms
    ).text


def test_a_need_is_waited_for_told_and_placed_once_met() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(needs={"db": "ready"}), name="web")
    assert planned(fabric) == {}
    assert "there is no agent or job default/db" in told(fabric, "web.1.1")
    fabric.deploy(name="db")
    assert planned(fabric) == {"db.1.1": "n-alpha"}
    assert "0 of its 1 replicas are ready" in told(fabric, "web.1.1")
    fabric.settle()
    assert fabric.running("web") == 1


def test_a_circle_is_told_and_a_need_of_itself_refused() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(needs={"b": "started"}), name="a")
    fabric.deploy(spec(needs={"a": "started"}), name="b")
    assert "they wait for each other: b -> a -> b" in told(fabric, "a.1.1")
    assert fabric.deploy(spec(needs={"c": "started"}), name="c").code == "impossible"


def test_company_lands_on_one_node() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta", "gamma")
    for name in ("a", "b"):
        fabric.deploy(spec(together="pod"), name=name, replicas=2)
    assert len(set(planned(fabric).values())) == 1
    assert len(planned(fabric)) == 4


def test_volumes_that_stay_are_waited_for_until_their_node_is_removed() -> None:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec(volumes={"data": Volume(target="data")}))
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    fabric.settle()
    fabric.given(cm.CordonNode(node="alpha"), cm.StartAgent(namespace="default", name="hello"))
    (waiting,) = fabric.state.pending
    assert planned(fabric) == {}
    assert "waits for node alpha, which holds its volume data" in told(fabric, waiting)
    fabric.given(cm.RemoveNode(node="alpha", force=True))
    assert planned(fabric) == {waiting: "n-beta"}
