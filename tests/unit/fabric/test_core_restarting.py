"""A restart within a budget of its own, which holds for that restart alone."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.model.spec import Update


def fabric_of(replicas: int, **update: int) -> Fabric:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(update=Update(**update)), replicas=replicas)
    fabric.settle()
    return fabric


def away(fabric: Fabric) -> int:
    """Replicas that are asked to stop, or have been."""
    return fabric.agent().replicas - fabric.running()


def test_as_many_are_away_as_was_said() -> None:
    fabric = fabric_of(6, max_unavailable=1)
    fabric.given(cm.RestartAgent(namespace="default", name="hello", max_unavailable=3))
    assert away(fabric) == 3
    fabric.settle()
    assert {one.version for one in fabric.state.instances.values() if one.status == "running"} == {2}


def test_without_a_word_it_is_as_many_as_the_update_allows() -> None:
    fabric = fabric_of(6, max_unavailable=2)
    fabric.given(cm.RestartAgent(namespace="default", name="hello"))
    assert away(fabric) == 2


def test_what_is_deployed_next_goes_by_its_own_update() -> None:
    fabric = fabric_of(6, max_unavailable=1)
    fabric.given(cm.RestartAgent(namespace="default", name="hello", max_unavailable=5))
    fabric.settle()
    fabric.deploy(spec("other", update=Update(max_unavailable=1)), replicas=6)
    assert away(fabric) == 1


def test_a_budget_below_nothing_is_refused() -> None:
    outcome = fabric_of(1).when(cm.RestartAgent(namespace="default", name="hello", max_unavailable=-1))
    assert (outcome.code, outcome.accepted) == ("invalid", False)
