"""Labels that the fabric gives a node, while it runs: they go before what the machine says of itself."""

import pytest
from tests.support.spec import Fabric, facts

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.room import label_of
from omnitide.fabric.state import NodeFacts

OWN: NodeFacts = facts(labels={"zone": "cellar", "disk": "ssd"})


def labelled(fabric: Fabric, **labels: str) -> dict[str, str]:
    fabric.given(cm.LabelNode(node="alpha", labels=labels))
    return fabric.node("alpha").join_labels


@pytest.fixture
def fabric() -> Fabric:
    made = Fabric()
    made.join("alpha", node_facts=OWN)
    return made


def test_a_label_is_set_changed_and_taken_away_again(fabric: Fabric) -> None:
    assert labelled(fabric, zone="attic", gpu="a10") == {"gpu": "a10", "zone": "attic"}
    assert label_of(fabric.node("alpha"), "zone") == "attic"
    assert label_of(fabric.node("alpha"), "disk") == "ssd"
    assert labelled(fabric, gpu="h100") == {"gpu": "h100", "zone": "attic"}
    outcome = fabric.when(cm.LabelNode(node="n-alpha", labels={"rack": "7"}, remove=("gpu", "zone")))
    assert outcome.kinds == ["node.labelled"]
    node = fabric.node("alpha")
    assert node.join_labels == {"rack": "7"}
    assert (label_of(node, "gpu"), label_of(node, "zone")) == (None, "cellar"), "what the machine says shows again"


def test_what_changes_nothing_says_nothing(fabric: Fabric) -> None:
    labelled(fabric, zone="attic")
    assert fabric.when(cm.LabelNode(node="alpha", labels={"zone": "attic"})).kinds == []
    assert fabric.when(cm.LabelNode(node="alpha", remove=("gpu",))).kinds == []


def test_labels_of_the_join_token_are_changed_in_the_same_way(fabric: Fabric) -> None:
    fabric.nodes["alpha"].cut()
    labelled(fabric, zone="attic")
    fabric.connect("alpha")
    assert label_of(fabric.node("alpha"), "zone") == "attic", "they outlive the session"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (cm.LabelNode(node="nobody", labels={"a": "b"}), "not-found", "nobody"),
        (cm.LabelNode(node="alpha", labels={"node": "x"}), "invalid", "its name"),
        (cm.LabelNode(node="alpha", labels={"os": "x"}), "invalid", "declares"),
        (cm.LabelNode(node="alpha", remove=("disk",)), "conflict", "says of itself"),
        (cm.LabelNode(node="alpha", labels={"a": "b"}, remove=("a",)), "invalid", "both"),
        (cm.LabelNode(node="alpha", labels={f"l{n}": "x" for n in range(65)}), "limit", "64"),
        (cm.LabelNode(node="alpha"), "invalid", "no label"),
    ],
)
def test_what_cannot_be_is_refused(fabric: Fabric, command: cm.LabelNode, code: str, said: str) -> None:
    outcome = fabric.when(command)
    assert (outcome.code, said in outcome.message) == (code, True), outcome.message


def test_a_drained_node_that_holds_nothing_is_removed_though_it_is_live(fabric: Fabric) -> None:
    refused = fabric.when(cm.RemoveNode(node="alpha"))
    assert (refused.code, refused.message) == ("conflict", "node 'alpha' is live and open to work")
    assert refused.rejection is not None
    assert "omnitide drain alpha" in refused.rejection.hint
    fabric.given(cm.DrainNode(node="alpha"))
    fabric.settle()
    assert fabric.when(cm.RemoveNode(node="alpha")).kinds == ["node.removed"]
    assert "n-alpha" not in fabric.state.nodes
