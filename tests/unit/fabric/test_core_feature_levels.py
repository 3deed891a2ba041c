"""What older replicas of the control plane cannot fold is in the log only after somebody has allowed it."""

import pytest
from tests.support.spec import Fabric

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric import feature_levels
from omnitide.fabric.snapshot import dump, load


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release in which stopping agents is new, and so is a field of scaling."""
    monkeypatch.setitem(feature_levels.LEVELS, ev.AgentStopped, 2)
    monkeypatch.setitem(feature_levels.FIELD_LEVELS, ev.InstancesCreated, {"reason": 3, "avoid": 4})
    monkeypatch.setattr(feature_levels, "NEWEST", 3)


def test_all_that_there_is_has_the_first_level() -> None:
    assert set(feature_levels.LEVELS) == set(ev.EVENT_TYPES)
    assert set(feature_levels.LEVELS.values()) == {1}
    assert max(feature_levels.LEVELS.values()) == feature_levels.NEWEST
    assert Fabric().state.feature_level == 1


@pytest.mark.usefixtures("newer")
class TestNewer:
    def test_a_new_kind_is_refused_until_the_level_is_raised(self) -> None:
        fabric = Fabric()
        fabric.deploy()
        stop = cm.StopAgent(namespace="default", name="hello")
        refused = fabric.when(stop)
        assert (refused.code, fabric.agent().active) == ("conflict", True)
        assert "needs feature level 2, and the log of this fabric is at 1" in refused.message
        assert fabric.when(cm.RaiseFeatureLevel(level=2)).kinds == ["fabric.feature-level-raised"]
        assert fabric.when(stop).accepted
        assert load(dump(fabric.state)).feature_level == 2

    def test_a_new_field_is_refused_only_where_it_says_something(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        assert fabric.deploy().accepted
        fabric.settle()
        report = cm.InstanceReport(instance="hello.1.1", attempt=9, phase=cm.Phase.ENDED, outcome="failed")
        assert "needs feature level 4" in fabric.report("alpha", report).message

    def test_it_is_raised_by_steps_of_any_size_and_never_lowered(self) -> None:
        fabric = Fabric()
        fabric.given(cm.RaiseFeatureLevel(level=3))
        assert fabric.when(cm.RaiseFeatureLevel(level=2)).code == "conflict"
        assert fabric.when(cm.RaiseFeatureLevel(level=3)).events == ()
        assert fabric.state.feature_level == 3


def test_a_level_that_this_release_does_not_know_is_refused() -> None:
    fabric = Fabric()
    assert fabric.when(cm.RaiseFeatureLevel(level=2)).code == "impossible"
    assert fabric.when(cm.RaiseFeatureLevel(level=0)).code == "conflict"


def test_it_is_for_who_administers_the_fabric() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    assert fabric.when(cm.RaiseFeatureLevel(level=1), by="node:n-alpha").code == "forbidden"
    assert fabric.when(cm.RaiseFeatureLevel(level=1), by="token:join").code == "forbidden"
