"""What would come of changes: the same as comes of them, and what does not fit is named with its reason."""

from itertools import pairwise

import pytest
from tests.support.honest import facts
from tests.support.spec import OPERATOR, Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import InstanceStatus
from omnitide.model.spec import Resources, Restart, Update
from omnitide.scheduler import foresee
from omnitide.scheduler.foresee import MAX_LISTED, MAX_STEPS, Foresight, Outlook

ONE_CPU = Resources(cpu=1000)
DRAIN = cm.DrainNode(node="alpha")
RESTART = cm.RestartAgent(namespace="default", name="hello")


def foreseen(fabric: Fabric, *commands: cm.Command) -> Outlook:
    before = fabric.state
    foresight = Foresight(fabric.state, fabric.time_ms)
    for command in commands:
        result = foresight.change(command, OPERATOR)
        assert not isinstance(result, Rejection), result
    for _ in foresight.look():
        pass
    assert fabric.state is before
    for _ in foresight.tell():
        pass
    outlook = foresight.outlook()
    assert outlook.unseen == 0
    return outlook


def fates(outlook: Outlook) -> list[tuple[str, int, str, str]]:
    return [(one.fate, one.slot, one.before, one.after) for one in outlook.replicas]


def running(replicas: int = 3, *nodes: str, **update: int) -> Fabric:
    """`hello` runs on alpha; the further nodes join later."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec(resources=ONE_CPU, update=Update(**update)), replicas=replicas)
    fabric.settle()
    fabric.join(*nodes)
    return fabric


def test_a_drain_says_where_each_goes_and_what_stays_for_what_reason() -> None:
    fabric = running(3, max_unavailable=1)
    fabric.join("beta", node_facts=facts(cpu=2500))
    outlook = foreseen(fabric, DRAIN)
    assert fates(outlook) == [
        ("stays", 3, "n-alpha", "n-alpha"),
        ("moves", 1, "n-alpha", "n-beta"),
        ("moves", 2, "n-alpha", "n-beta"),
    ]
    assert "cpu" in outlook.replicas[0].why
    assert outlook.finished
    fabric.given(DRAIN)
    fabric.settle()
    assert sorted(one.node for one in fabric.state.instances.values() if one.status == "running") == [
        "n-alpha",
        "n-beta",
        "n-beta",
    ], "as it was foreseen"


def test_what_waits_is_listed_before_what_stays() -> None:
    """Whichever agent they are of, and in whichever order they are found."""
    fabric = running(2)
    new = cm.DeployAgent(agent="a-new", namespace="default", name="new", spec=spec(resources=ONE_CPU), replicas=1)
    assert [one[0] for one in fates(foreseen(fabric, new, DRAIN))] == ["waits", "stays", "stays"]
    assert [one[0] for one in fates(foreseen(fabric, DRAIN, new))] == ["waits", "stays", "stays"]


def test_what_stays_is_listed_up_to_the_bound_and_counted_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresee, "MAX_LISTED", 2)
    outlook = foreseen(running(3), DRAIN)
    assert len(outlook.replicas) == 2
    assert outlook.counts == {"stays": 3}


def test_two_drains_at_once_are_looked_at_together() -> None:
    fabric = running(1, "beta")
    outlook = foreseen(fabric, DRAIN, cm.DrainNode(node="beta"))
    assert fates(outlook) == [("stays", 1, "n-alpha", "n-alpha")]


def test_a_restart_renews_every_replica_however_few_may_be_away() -> None:
    outlook = foreseen(running(3, max_unavailable=1), RESTART)
    assert outlook.counts == {"renews": 3}
    assert (outlook.held, outlook.finished) == (0, True)


def test_a_new_agent_is_placed_and_what_has_no_room_waits_with_the_reason() -> None:
    fabric = running(3)
    deploy = cm.DeployAgent(agent="big", namespace="default", name="big", spec=spec(resources=ONE_CPU), replicas=2)
    outlook = foreseen(fabric, deploy)
    assert fates(outlook) == [("waits", 2, "", ""), ("starts", 1, "", "n-alpha")]
    assert "cpu" in outlook.replicas[0].why


def test_why_replicas_wait_is_told_however_many_start_before_them() -> None:
    """Only so many are listed, and those that are worse off are found last, behind all that start."""
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=(MAX_LISTED + 20) * 10))
    small = spec(resources=Resources(cpu=10, memory=1))
    outlook = foreseen(
        fabric,
        cm.DeployAgent(agent="a", namespace="default", name="a", spec=small, replicas=MAX_LISTED + 50),
    )
    assert outlook.counts == {"starts": MAX_LISTED + 20, "waits": 30}
    assert len(outlook.replicas) == MAX_LISTED
    assert [one.fate for one in outlook.replicas[:31]] == ["waits"] * 30 + ["starts"]
    assert "cpu" in outlook.replicas[0].why


def test_an_update_that_outgrows_its_node_says_how_many_stay_behind() -> None:
    fabric = running(2, max_unavailable=1)
    larger = cm.DeployAgent(
        agent="x", namespace="default", name="hello", spec=spec(resources=Resources(cpu=3500)), replicas=2
    )
    outlook = foreseen(fabric, larger)
    assert outlook.counts == {"waits": 1}
    assert outlook.held == 1, "the second replica stays at version 1"


def test_fewer_replicas_stop_and_others_are_not_told_of() -> None:
    outlook = foreseen(running(3), cm.ScaleAgent(namespace="default", name="hello", replicas=1))
    assert fates(outlook) == [("stops", 2, "n-alpha", ""), ("stops", 3, "n-alpha", "")]


def test_what_changes_nothing_has_nothing_to_tell() -> None:
    outlook = foreseen(running(3), cm.ScaleAgent(namespace="default", name="hello", replicas=3))
    assert outlook.replicas == ()
    assert outlook.finished


def test_a_refusal_is_the_one_of_the_change() -> None:
    foresight = Foresight(running(1).state, 0)
    refused = foresight.change(cm.DrainNode(node="nowhere"), OPERATOR)
    assert isinstance(refused, Rejection)
    assert refused.code == "not-found"


def test_it_looks_a_bounded_way_ahead_and_says_so() -> None:
    fabric = Fabric(checked=False)
    fabric.join("alpha", node_facts=facts(cpu=1_000_000, memory=1 << 50))
    fabric.deploy(spec(resources=Resources(cpu=10), update=Update(max_unavailable=1)), replicas=400)
    fabric.settle()
    outlook = foreseen(fabric, RESTART)
    assert not outlook.finished
    assert outlook.steps == MAX_STEPS
    assert 0 < outlook.counts["renews"] < 400
    slots = [one.slot for one in outlook.replicas]
    assert all(first < second for first, second in pairwise(slots))


def test_what_waited_starts_where_a_change_makes_room() -> None:
    fabric = running(3)
    fabric.deploy(spec(resources=Resources(cpu=2000)), name="big")
    outlook = foreseen(
        fabric,
        cm.ScaleAgent(namespace="default", name="hello", replicas=1),
        cm.ScaleAgent(namespace="default", name="big", replicas=2),
    )
    assert ("starts", 1, "", "n-alpha") in fates(outlook)
    assert ("waits", 2, "", "") in fates(outlook)


def rolling_elsewhere() -> Fabric:
    """`hello`: slots 1 and 2 on alpha, 3 and 4 on gamma; version 2 is on its way in."""
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=2000))
    fabric.join("gamma", node_facts=facts(cpu=8000))
    update = Update(max_unavailable=1, max_surge=0)
    fabric.deploy(spec("one", resources=ONE_CPU, update=update), replicas=4)
    fabric.settle()
    fabric.deploy(spec("two", resources=ONE_CPU, update=update), replicas=4)
    return fabric


def test_a_drain_tells_of_what_is_on_the_node_and_not_of_a_rollout_under_way_elsewhere() -> None:
    fabric = rolling_elsewhere()
    there = (one for one in fabric.state.instances.values() if one.node == "n-alpha")
    on_alpha = {one.slot for one in there if one.status is InstanceStatus.RUNNING}
    assert on_alpha, "else this shows nothing"
    outlook = foreseen(fabric, DRAIN)
    assert outlook.counts == {"moves": len(on_alpha)}
    assert {(one.slot, one.before, one.after) for one in outlook.replicas} == {
        (slot, "n-alpha", "n-gamma") for slot in on_alpha
    }
    assert fates(foreseen(fabric, cm.DrainNode(node="gamma"))) == [
        ("waits", 3, "n-gamma", ""),
        ("stays", 4, "n-gamma", "n-gamma"),
    ]


def test_a_scale_tells_of_what_it_adds_and_not_of_a_rollout_under_way() -> None:
    outlook = foreseen(rolling_elsewhere(), cm.ScaleAgent(namespace="default", name="hello", replicas=6))
    assert outlook.counts == {"starts": 2}
    assert (outlook.held, outlook.finished) == (0, True)


def test_a_second_drain_tells_of_its_own_node_alone() -> None:
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=2000))
    fabric.deploy(spec(resources=ONE_CPU, update=Update(max_unavailable=1)), replicas=4)
    fabric.settle()
    fabric.join("beta", node_facts=facts(cpu=2000))
    fabric.settle()
    fabric.join("gamma")
    fabric.given(cm.DrainNode(node="alpha"))
    assert {one[2] for one in fates(foreseen(fabric, cm.DrainNode(node="beta")))} == {"n-beta"}


def first_of_version_2(fabric: Fabric) -> str:
    """As soon as it runs."""
    for _ in range(10):
        fabric.round()
        for one in fabric.state.instances.values():
            if one.version == 2 and one.status is InstanceStatus.RUNNING:
                return one.id
    raise AssertionError(fabric.statuses())


def halted(*more: str) -> Fabric:
    """Three replicas of version 1 serve; the first of version 2 failed for good."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one", resources=ONE_CPU, update=Update(max_unavailable=1, max_surge=0)), replicas=4)
    fabric.settle()
    fabric.join(*more)
    bad = spec("two", resources=ONE_CPU, update=Update(max_unavailable=1, max_surge=0), restart=Restart(policy="never"))
    fabric.deploy(bad, replicas=4)
    fabric.exit(first_of_version_2(fabric))
    return fabric


def test_a_drain_is_not_blamed_for_a_rollout_that_is_halted_anyway() -> None:
    fabric = halted()
    assert fabric.running() == 3
    outlook = foreseen(fabric, DRAIN)
    assert outlook.counts == {"stays": 3}
    assert outlook.held == 0


def paused(fabric: Fabric) -> Fabric:
    """Version 2 does not come up on beta: its replica ended, waits to be tried again, and somebody has paused the
    rollout."""
    fabric.given(cm.CordonNode(node="alpha"))
    fabric.deploy(spec("two", resources=ONE_CPU, update=fabric.agent().spec.update), replicas=4)
    fabric.exit(first_of_version_2(fabric))
    fabric.given(cm.PauseRollout(namespace="default", name="hello"))
    return fabric


def test_what_could_go_elsewhere_and_may_not_is_told_apart_from_what_fits_nowhere() -> None:
    fabric = paused(running(4, "beta", max_unavailable=1, max_surge=0))
    outlook = foreseen(fabric, DRAIN)
    assert outlook.counts == {"blocked": 3}
    why = (
        "until hello-1 of version 2 is available: it ended, and is to be tried again; 1 of 4 replicas may be away at "
        "once; the rollout of version 2 is paused"
    )
    assert {one.why for one in outlook.replicas} == {why}


def test_what_serves_beside_a_version_that_does_not_come_up_is_told_to_wait_for_it() -> None:
    fabric = paused(running(4, "beta", max_unavailable=0, max_surge=1))
    outlook = foreseen(fabric, DRAIN)
    assert outlook.counts == {"blocked": 4}
    why = {one.slot: one.why for one in outlook.replicas}
    down = "it ended, and is to be tried again"
    assert why[1] == f"until version 2 is available in its place: {down}; the rollout of version 2 is paused"
    assert why[2] == why[3] == why[4]
    assert why[2] == (
        f"until hello-1 of version 2 is available: {down}; 4 replicas and 1 more may run at once; the rollout of "
        "version 2 is paused"
    )


def test_what_moves_where_a_rollout_is_halted_moves_from_the_node_on_which_it_serves() -> None:
    """Not from the one on which the next generation of its slot does not come up."""
    fabric = Fabric()
    fabric.join("alpha", "beta", "gamma")
    fabric.given(cm.CordonNode(node="beta"), cm.CordonNode(node="gamma"))
    update = Update(max_unavailable=0, max_surge=1)
    fabric.deploy(spec("one", update=update), replicas=3)
    fabric.settle()
    fabric.given(cm.UncordonNode(node="beta"), cm.CordonNode(node="alpha"))
    fabric.deploy(spec("two", update=update, restart=Restart(policy="never")), replicas=3)
    fabric.exit(first_of_version_2(fabric))
    fabric.given(cm.UncordonNode(node="gamma"), cm.CordonNode(node="beta"))
    outlook = foreseen(fabric, DRAIN)
    assert fates(outlook) == [("moves", slot, "n-alpha", "n-gamma") for slot in (1, 2, 3)]
    assert outlook.held == 0


def test_what_a_drain_does_not_come_to_is_not_said_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresee, "MAX_STEPS", 4)
    outlook = foreseen(running(4, "beta", max_unavailable=1), DRAIN)
    assert not outlook.finished
    assert outlook.counts.keys() == {"moves"} or outlook.counts.keys() == {"moves", "waits"}
    assert outlook.held + sum(outlook.counts.values()) == 4


def test_what_is_over_is_finished_though_a_rollout_goes_on_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresee, "MAX_STEPS", 4)
    fabric = rolling_elsewhere()
    scaled = foreseen(fabric, cm.ScaleAgent(namespace="default", name="hello", replicas=6))
    assert (scaled.counts, scaled.held, scaled.finished, scaled.steps) == ({"starts": 2}, 0, True, 4)
    assert not foreseen(fabric, RESTART).finished


def test_what_is_lost_on_the_node_is_told_and_nothing_of_it_moves() -> None:
    fabric = running(2, "beta")
    fabric.lose("alpha")
    for settled in (False, True):
        if settled:
            fabric.settle()
        outlook = foreseen(fabric, DRAIN)
        assert (fates(outlook), outlook.lost) == ([], 2)
    fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=1))
    fabric.settle()
    assert foreseen(fabric, DRAIN).lost == 1, "the other one is not wanted any more"
    fabric.connect("alpha")
    fabric.settle()
    assert foreseen(fabric, DRAIN).lost == 0


@pytest.mark.parametrize("others", [(), ("beta",)])
@pytest.mark.parametrize(
    ("on_disconnect", "lost_after", "then"),
    [
        ("replace", None, "it is replaced once it counts as lost"),
        ("replace", 600_000, "it is replaced once it counts as lost, 10 m after that"),
        ("keep", None, "it waits for that node (its on_disconnect is keep)"),
    ],
)
def test_what_a_silent_node_runs_does_not_hear_of_the_drain(
    on_disconnect: str, lost_after: int | None, then: str, others: tuple[str, ...]
) -> None:
    """Nobody tells it to stop: not what it has room for, nor what its update allows, is why it stays."""
    fabric = Fabric()
    fabric.join("alpha")
    what = spec(on_disconnect=on_disconnect, lost_after=lost_after, update=Update(max_unavailable=1))
    fabric.deploy(what, replicas=2)
    fabric.settle()
    fabric.join(*others)
    fabric.silence("alpha")
    outlook = foreseen(fabric, DRAIN)
    assert fates(outlook) == [("unheard", 1, "n-alpha", "n-alpha"), ("unheard", 2, "n-alpha", "n-alpha")]
    assert {one.why for one in outlook.replicas} == {f"node alpha has not been heard from: {then}"}
    assert (outlook.lost, outlook.held) == (0, 0)


def test_one_that_its_operator_stopped_does_not_hear_of_it_either() -> None:
    fabric = running(1, "beta")
    session = fabric.node("alpha").session
    fabric.given(
        cm.DepartNode(node="n-alpha", session=session, reason="off", back_within_ms=30_000, stopped=True),
        by="node:n-alpha",
    )
    outlook = foreseen(fabric, DRAIN)
    assert fates(outlook) == [("unheard", 1, "n-alpha", "n-alpha")]
    assert outlook.replicas[0].why.startswith("node alpha was stopped by its operator: it is replaced once")


@pytest.mark.parametrize(("unavailable", "surge"), [(0, 1), (1, 0)])
def test_an_update_of_what_a_drain_keeps_is_told_to_wait_too(unavailable: int, surge: int) -> None:
    """It serves on a node that it is to leave, and its next version has nowhere to go."""
    fabric = running(1, max_unavailable=unavailable, max_surge=surge)
    fabric.given(DRAIN)
    outlook = foreseen(fabric, RESTART)
    assert fates(outlook) == [("waits", 1, "n-alpha", "")]
    assert "closed to new instances" in outlook.replicas[0].why
    fabric.given(RESTART)
    fabric.settle()
    assert [one.status for one in fabric.state.instances.values() if one.generation == 2] == ["pending"]


def test_what_has_no_node_yet_where_the_look_ends_is_not_said_to_fit_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fabric = running(4, "beta", max_unavailable=2)
    for steps in range(1, 12):
        monkeypatch.setattr(foresee, "MAX_STEPS", steps)
        assert "waits" not in foreseen(fabric, RESTART).counts, steps


def test_room_that_a_change_takes_from_what_is_to_leave_a_node_is_told() -> None:
    fabric = running(3, max_unavailable=1)
    fabric.join("beta", node_facts=facts(cpu=3000))
    fabric.given(DRAIN)
    big = spec(resources=Resources(cpu=2000))
    deploy = cm.DeployAgent(agent="big", namespace="default", name="big", spec=big, replicas=1)
    assert sorted(one[0] for one in fates(foreseen(fabric, deploy))) == ["starts", "stays", "stays"]


def test_room_that_a_change_leaves_lets_others_go_on() -> None:
    fabric = running(3, max_unavailable=1)
    fabric.join("beta", node_facts=facts(cpu=2000))
    fabric.deploy(spec(resources=Resources(cpu=2000)), name="other", replicas=1)
    fabric.settle()
    fabric.given(DRAIN)
    fabric.settle()
    outlook = foreseen(fabric, cm.ScaleAgent(namespace="default", name="other", replicas=0))
    assert outlook.counts == {"stops": 1, "moves": 2}


def test_others_are_left_out_where_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = running(3, max_unavailable=1)
    fabric.join("beta", node_facts=facts(cpu=3000))
    fabric.given(DRAIN)
    monkeypatch.setattr(foresee, "MAX_OTHERS", 2)
    big = spec(resources=Resources(cpu=2000))
    deploy = cm.DeployAgent(agent="big", namespace="default", name="big", spec=big, replicas=1)
    assert foreseen(fabric, deploy).counts == {"starts": 1}


def test_room_of_what_stops_already_is_free_for_what_a_change_adds() -> None:
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=1000))
    fabric.deploy(spec(resources=ONE_CPU), replicas=1)
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    deploy = cm.DeployAgent(agent="new", namespace="default", name="new", spec=spec(resources=ONE_CPU), replicas=1)
    assert fates(foreseen(fabric, deploy)) == [("starts", 1, "", "n-alpha")]


def short_of_room() -> Fabric:
    """Room for three: of `hello`, hello-1 serves, hello-2 ended and is to be tried again, hello-3 has no room."""
    fabric = Fabric()
    fabric.join("alpha", node_facts=facts(cpu=3000))
    fabric.deploy(spec(resources=ONE_CPU), name="other", replicas=1)
    fabric.settle()
    fabric.deploy(spec("one", resources=ONE_CPU, update=Update(max_unavailable=2)), replicas=3)
    fabric.settle()
    fabric.exit("hello.2.1")
    assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "starting", "hello.3.1": "pending"}
    return fabric


def test_a_rollout_goes_on_past_what_ended_in_an_older_version_and_is_to_be_tried_again() -> None:
    """It runs next, or ends for good: either way something makes way."""
    fabric = short_of_room()
    update = Update(max_unavailable=2)
    command = cm.DeployAgent(
        agent="hello",
        namespace="default",
        name="hello",
        spec=spec("two", resources=ONE_CPU, update=update),
        replicas=3,
    )
    outlook = foreseen(fabric, command)
    assert (outlook.finished, outlook.held) == (True, 0)
    assert outlook.counts == {"renews": 2, "waits": 1}
    fabric.given(command)
    assert any(not fabric.round() for _ in range(100))
    assert {one.version for one in fabric.state.instances.values() if one.workload == "hello"} == {2}


def test_what_a_rollout_comes_to_is_left_open_where_its_own_version_ended_and_is_to_be_tried_again() -> None:
    """It runs next, and the rollout goes on, or ends again and again, and the rollout halts."""
    fabric = running(3, max_unavailable=1, max_surge=0)
    fabric.deploy(spec("two", resources=ONE_CPU, update=fabric.agent().spec.update), replicas=3)
    fabric.exit(first_of_version_2(fabric))
    scaled = foreseen(fabric, cm.ScaleAgent(namespace="default", name="hello", replicas=4))
    assert (scaled.counts, scaled.finished) == ({"starts": 1}, True), "it does not depend on the rollout"
    fabric.given(cm.PauseRollout(namespace="default", name="hello"))
    assert foreseen(fabric, cm.CordonNode(node="alpha")).finished
    assert not foreseen(fabric, cm.ResumeRollout(namespace="default", name="hello")).finished
