"""What an instance waits for besides room, as `explain` tells it and as the plan honours it."""

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.model.provisions import SecretUse, Volume
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


def _bound_and_waiting(*closes: cm.Command) -> tuple[Fabric, str]:
    """A replica whose volume is on alpha, started again after `closes`."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec(volumes={"data": Volume(target="data")}))
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    fabric.settle()
    fabric.given(*closes, cm.StartAgent(namespace="default", name="hello"))
    (waiting,) = fabric.state.pending
    return fabric, waiting


@pytest.mark.parametrize(
    ("closes", "how"),
    [(cm.CordonNode(node="alpha"), "cordoned"), (cm.DrainNode(node="alpha"), "drained")],
)
def test_one_whose_volumes_are_where_nothing_new_is_taken_is_told_so(closes: cm.Command, how: str) -> None:
    fabric, waiting = _bound_and_waiting(closes)
    waits = f"waits for node alpha, which holds its volume data and takes nothing new: it is {how}. "
    assert told(fabric, waiting).startswith(waits)
    assert "Fits when alpha is uncordoned." in told(fabric, waiting)
    # That it comes back is not enough, in whatever way it goes.
    session = fabric.node("alpha").session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="x", back_within_ms=5_000)
    fabric.pass_ms(3_600_000)
    fabric.given(leave, by="node:n-alpha")
    assert told(fabric, waiting).startswith(waits)
    assert "Fits when alpha returns (expected within 5 s of its goodbye) and is uncordoned." in told(fabric, waiting)
    fabric.given(replace(leave, stopped=True), by="node:n-alpha")
    assert "Fits when alpha is started again (its operator stopped it) and uncordoned." in told(fabric, waiting)
    fabric.lose("alpha")
    assert told(fabric, waiting).startswith(waits)
    assert "Fits when alpha is started again (its operator stopped it) and uncordoned." in told(fabric, waiting)
    fabric.connect("alpha")
    assert "Fits when alpha is uncordoned." in told(fabric, waiting)
    fabric.given(cm.UncordonNode(node="alpha"))
    assert planned(fabric) == {waiting: "n-alpha"}


def test_one_whose_volumes_are_on_a_node_that_is_away_waits_for_that_alone() -> None:
    fabric, waiting = _bound_and_waiting()
    fabric.lose("alpha")
    assert told(fabric, waiting).startswith("waits for node alpha, which holds its volume data. ")
    assert "Fits when alpha returns." in told(fabric, waiting)


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


def test_nothing_else_is_said_to_stand_in_the_way_while_a_secret_is_missing() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.given(cm.CordonNode(node="alpha"))
    fabric.deploy(spec(secrets={"db": SecretUse(environment="DB")}), name="web")
    assert "Fits when alpha is uncordoned." in told(fabric, "web.1.1")
    assert "othing else stands" not in told(fabric, "web.1.1")
    fabric.deploy(spec(), name="free")
    assert "Nothing else stands in the way." in told(fabric, "free.1.1")
