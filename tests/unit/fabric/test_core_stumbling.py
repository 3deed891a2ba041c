"""A new version whose replicas end again and again before they are available has failed, as one that cannot start."""

import pytest
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.failing import halted_by, halting_ends
from omnitide.fabric.rules.rolling import next_due
from omnitide.fabric.snapshot import dump, load
from omnitide.model.spec import AgentSpec, Restart, Update

HELLO = {"namespace": "default", "name": "hello"}
SURGE = {"max_unavailable": 0, "max_surge": 1}


def updated(replicas: int = 2, *, restart: Restart | None = None, **update: object) -> Fabric:
    """Version 1 runs well, version 2 rolls out."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(spec("serve", "1"), replicas=replicas)
    fabric.settle()
    fabric.deploy(new(restart=restart, **update))
    return fabric


def new(*, restart: Restart | None = None, **update: object) -> AgentSpec:
    return spec("serve", "2", restart=restart or Restart(), update=Update(**update))  # type: ignore[arg-type]


def crash(fabric: Fabric, version: int = 2, *, ran_ms: int = 0) -> bool:
    """One of this version ends by itself, `ran_ms` after it came to run; no back-off is waited for."""
    for _ in range(6):
        runs = [one for one in fabric.state.instances.values() if one.version == version]
        runs = [one for one in runs if one.status.value == "running"]
        if runs:
            fabric.time_ms = max(fabric.time_ms, runs[0].started_ms + ran_ms)
            fabric.exit(runs[0].id)
            return True
        fabric.pass_ms(40_000)
        fabric.place_and_act()
    return False


def crash_until_halted(fabric: Fabric) -> None:
    for _ in range(20):
        if halted(fabric):
            return
        assert crash(fabric)
    raise AssertionError("it is never halted")


def halted(fabric: Fabric) -> bool:
    return halted_by(fabric.state, fabric.agent()) is not None


class TestHalt:
    def test_as_many_ends_in_a_row_as_the_spec_allows_on_one_node_halt_the_rollout(self) -> None:
        fabric = updated(restart=Restart(attempts=3), **SURGE)
        for _ in range(halting_ends(Restart(attempts=3)) - 1):
            assert crash(fabric)
            assert not halted(fabric)
        crash(fabric)
        assert halted(fabric)
        versions = sorted(one.version for one in fabric.state.instances.values() if one.status.value == "running")
        assert versions == [1, 1], "what runs of the version before stays"

    @pytest.mark.parametrize(("attempts", "ends"), [(0, 3), (2, 3), (5, 6), (1_000_000, 10)])
    def test_the_bound_is_that_of_the_spec_within_reason(self, attempts: int, ends: int) -> None:
        assert halting_ends(Restart(attempts=attempts)) == ends

    def test_it_is_tried_on_and_the_rollout_goes_on_once_it_runs_well(self) -> None:
        fabric = updated(**SURGE)
        crash_until_halted(fabric)
        fabric.settle()
        assert not halted(fabric)
        assert {one.version for one in fabric.state.instances.values()} == {2}
        assert fabric.agent().rollout_cursor == 0

    def test_ends_of_what_was_available_do_not_count(self) -> None:
        fabric = updated(3, min_healthy=1000)
        for _ in range(12):
            crash(fabric, ran_ms=2000)
            assert not halted(fabric)

    def test_another_version_starts_anew(self) -> None:
        fabric = updated(**SURGE)
        crash_until_halted(fabric)
        fabric.deploy(spec("serve", "3"))
        assert not halted(fabric)
        fabric.settle()
        assert {one.version for one in fabric.state.instances.values()} == {3}

    def test_a_stop_ends_it(self) -> None:
        fabric = updated(**SURGE)
        crash_until_halted(fabric)
        fabric.given(cm.StopAgent(**HELLO))
        assert not fabric.agent().stumbled

    def test_it_is_known_after_a_snapshot(self) -> None:
        fabric = updated(**SURGE)
        crash_until_halted(fabric)
        assert load(list(dump(fabric.state))) == fabric.state

    def test_the_first_version_has_nothing_to_halt(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy(new())
        for _ in range(12):
            assert crash(fabric, 1)
        assert not halted(fabric)


class TestRollback:
    def test_the_version_that_works_is_rolled_out_again_and_the_cause_is_told(self) -> None:
        fabric = updated(on_failure="rollback", **SURGE)
        for _ in range(6):
            assert fabric.agent().version == 2
            assert crash(fabric)
        fabric.settle()
        agent = fabric.agent()
        assert (agent.versions[3].reason, agent.versions[3].source) == ("rolled-back", 1)
        assert (
            agent.versions[3].cause
            == "hello-1.3 of version 2 ended 6 times in a row before it was available: exit code 1"
        )
        assert {one.version for one in fabric.state.instances.values()} == {3}

    def test_a_single_replica_that_was_stopped_for_it_comes_back(self) -> None:
        fabric = updated(1, on_failure="rollback")
        for _ in range(6):
            assert fabric.agent().version == 2
            assert crash(fabric)
        fabric.settle()
        assert fabric.agent().versions[3].source == 1
        assert fabric.running() == 1


def test_a_rollback_without_a_number_passes_over_what_never_ran() -> None:
    fabric = updated(2)
    crash_until_halted(fabric)
    fabric.deploy(spec("serve", "3"))
    fabric.settle()
    assert fabric.given(cm.RollBackAgent(**HELLO))[0].result["source"] == 1


def test_nothing_is_due_while_it_ends_again_and_again() -> None:
    fabric = updated(**SURGE)
    crash_until_halted(fabric)
    fabric.given(cm.PauseRollout(**HELLO))
    due = next_due(fabric.state, fabric.agent())
    assert due is None or due > fabric.state.time_ms
