"""A node is emptied also while a rollout is halted: what serves moves in the version that it has."""

import pytest
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.failing import halted_by, why_halted
from omnitide.fabric.state import Scheduling
from omnitide.model.spec import Restart, Update

HELLO = {"namespace": "default", "name": "hello"}
ONCE = Restart(policy="on-failure", attempts=0, reschedules=0)
WAYS = {"stop first": Update(), "start first": Update(max_unavailable=0, max_surge=1)}


def halted(update: Update, how: str, replicas: int = 3) -> Fabric:
    """Version 1 serves on alpha, version 2 does not come up on beta; gamma is empty."""
    fabric = Fabric()
    fabric.join("alpha", "beta", "gamma")
    fabric.given(cm.CordonNode(node="beta"), cm.CordonNode(node="gamma"))
    fabric.deploy(spec("serve", "1", update=update), replicas=replicas)
    fabric.settle()
    fabric.given(cm.UncordonNode(node="beta"), cm.CordonNode(node="alpha"))
    restart = ONCE if how == "failed for good" else Restart()
    fabric.deploy(spec("serve", "2", update=update, restart=restart))
    for _ in range(40):
        if halted_by(fabric.state, fabric.agent()) is not None:
            break
        fabric.pass_ms(100)
        runs = [one for one in fabric.state.instances.values() if one.version == 2 and one.status.value == "running"]
        if runs:
            fabric.exit(runs[0].id)
        else:
            fabric.pass_ms(40_000)
            fabric.place()
            for name in sorted(fabric.nodes):
                fabric.nodes[name].desire(fabric.state)
                if fabric.nodes[name].unsent:
                    fabric.send(name)
                fabric.nodes[name].step()
                if fabric.nodes[name].unsent:
                    fabric.send(name)
    assert halted_by(fabric.state, fabric.agent()) is not None
    fabric.given(cm.UncordonNode(node="gamma"), cm.CordonNode(node="beta"))
    return fabric


def versions(fabric: Fabric, node: str = "") -> list[int]:
    return sorted(
        one.version
        for one in fabric.state.instances.values()
        if one.status.value == "running" and node in ("", fabric.state.nodes[one.node].name)
    )


def empty(fabric: Fabric, name: str) -> int:
    """Drain it, while what ends again and again goes on doing so. Returns how few served meanwhile."""
    fabric.drain(name)
    least, after = 99, 0
    for _ in range(60):
        fabric.round()
        for one in list(fabric.state.instances.values()):
            if one.version == 2 and one.status.value == "running":
                fabric.exit(one.id)
        least = min(least, len([1 for one in versions(fabric) if one == 1]))
        after += fabric.node(name).scheduling is Scheduling.DRAINED
        if after > 2:  # what left last has come up elsewhere
            break
        fabric.pass_ms(1_000)
    return least


@pytest.mark.parametrize("how", ["failed for good", "ends again and again"])
@pytest.mark.parametrize("way", WAYS)
def test_what_serves_moves_at_its_version(way: str, how: str) -> None:
    fabric = halted(WAYS[way], how)
    served = len(versions(fabric, "alpha"))
    least = empty(fabric, "alpha")
    assert fabric.node("alpha").scheduling is Scheduling.DRAINED
    assert versions(fabric, "gamma") == [1] * served
    assert least >= served - (way == "stop first"), "not more of it was away at once than its update allows"
    assert halted_by(fabric.state, fabric.agent()) is not None, "and the new version waits for somebody, as before"


def apart(update: Update, replicas: int, restart: Restart = ONCE) -> Fabric:
    """Slot 1 serves on delta, what was to take its place does not come up on beta; the others are on alpha."""
    fabric = Fabric()
    fabric.join("alpha", "beta", "delta", "gamma")
    fabric.given(cm.CordonNode(node="beta"), cm.CordonNode(node="gamma"))
    fabric.deploy(spec("serve", "1", update=update), replicas=replicas)
    fabric.place(hello_1_1="delta")
    fabric.given(cm.CordonNode(node="delta"))
    fabric.settle()
    fabric.given(cm.UncordonNode(node="beta"), cm.CordonNode(node="alpha"))
    fabric.deploy(spec("serve", "2", update=update, restart=restart))
    for _ in range(6):
        fabric.round()
        for name in list(fabric.nodes["beta"].running()):
            fabric.exit(name)
    assert halted_by(fabric.state, fabric.agent()) is not None
    fabric.given(cm.UncordonNode(node="gamma"), cm.CordonNode(node="beta"))
    return fabric


def test_what_holds_a_rollout_up_takes_the_turn_of_no_move() -> None:
    """Its surge is taken by a replica that does not come up, beside one that serves on a node that stays."""
    fabric = apart(WAYS["start first"], 3)
    assert empty(fabric, "alpha") == 3
    assert fabric.node("alpha").scheduling is Scheduling.DRAINED
    assert (versions(fabric, "gamma"), versions(fabric, "delta")) == ([1, 1], [1])


@pytest.mark.parametrize("how", ["failed for good", "ends again and again"])
def test_a_slot_that_an_older_version_serves_makes_up_for_no_other(how: str) -> None:
    """Slot 2 is away and stays so. Of the others on the node one moves while it runs, and one alone is stopped."""
    fabric = apart(Update(max_unavailable=1, max_surge=1), 5, ONCE if how == "failed for good" else Restart())
    away = sorted(one.slot for one in fabric.state.instances.values() if one.status.value != "running")
    assert (away, versions(fabric, "delta")) == ([1, 2], [1])
    fabric.drain("alpha")
    stopping = [one.slot for one in fabric.state.instances.values() if one.status.value == "stopping"]
    assert len(stopping) == 1


def test_why_it_is_halted_is_still_told_after_the_move() -> None:
    fabric = halted(WAYS["start first"], "failed for good", replicas=1)
    empty(fabric, "alpha")
    found = halted_by(fabric.state, fabric.agent())
    assert found is not None
    assert why_halted(fabric.agent(), found) == "was moved in version 1, as version 2 had not come up in its place"


def test_a_version_that_can_run_ends_it() -> None:
    fabric = halted(WAYS["start first"], "failed for good")
    empty(fabric, "alpha")
    fabric.deploy(spec("serve", "3", update=WAYS["start first"]))
    fabric.settle()
    assert versions(fabric) == [3, 3, 3]
    assert not fabric.agent().rollout_cursor


def test_what_does_not_come_up_leaves_its_node_too() -> None:
    fabric = halted(WAYS["start first"], "ends again and again")
    empty(fabric, "beta")
    assert fabric.node("beta").scheduling is Scheduling.DRAINED
    assert versions(fabric, "alpha") == [1, 1, 1]
