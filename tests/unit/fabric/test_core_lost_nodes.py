"""Silent nodes: unreachable, lost, replaced with the next generation; and what wins when they are back."""

import pytest
from msgspec.structs import replace
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.state import Health, NodeStatus, Phase
from omnitide.model.spec import AgentSpec, JobSpec, Restart


def two(what: AgentSpec | None = None, **fields: object) -> Fabric:
    """`hello-1.1` runs on alpha, beta is empty."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(what or spec(**fields))
    fabric.place(hello_1_1="alpha")
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "running"}
    return fabric


def restarted(fabric: Fabric) -> None:
    """`hello-1.1` dies on alpha while that is cut off, and runs again as its attempt 2."""
    node = fabric.nodes["alpha"]
    node.exit("hello.1.1", fabric.agent().spec, code=1)
    node.step()
    node.step()
    assert node.running() == ["hello.1.1"]
    assert node.runs["hello.1.1"].attempt == 2


def replaced(what: AgentSpec | None = None, **fields: object) -> Fabric:
    """As `two`; then alpha is lost, and `hello-1.2` runs on beta."""
    fabric = two(what, **fields)
    fabric.lose("alpha")
    fabric.settle()
    assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "running"}
    assert fabric.instance("hello.1.2").node == "n-beta"
    return fabric


class TestSilence:
    def test_a_node_past_its_lease_is_unreachable_and_nothing_else_happens(self) -> None:
        fabric = two()
        fabric.silence("alpha")
        assert fabric.node("alpha").status is NodeStatus.UNREACHABLE
        assert fabric.node("alpha").since_ms == fabric.state.time_ms
        assert fabric.statuses() == {"hello.1.1": "running"}

    def test_a_short_blip_restarts_nothing(self) -> None:
        fabric = two()
        fabric.silence("alpha")
        fabric.declare_lost("alpha", silent_ms=14_999)
        fabric.connect("alpha")
        assert fabric.settle() == 0
        assert fabric.statuses() == {"hello.1.1": "running"}
        assert fabric.node("alpha").status is NodeStatus.LIVE

    def test_since_when_it_is_live_stays_over_a_session_that_broke(self) -> None:
        fabric = two()
        since = fabric.node("alpha").since_ms
        fabric.pass_ms(60_000)
        fabric.connect("alpha")
        assert fabric.node("alpha").since_ms == since

    @pytest.mark.parametrize("how", ["goodbye", "stopped", "restarted machine"])
    def test_what_it_was_away_for_is_no_time_in_which_it_was_live(self, how: str) -> None:
        """Nexus was away too, and so nobody declared anything."""
        fabric = two()
        node = fabric.nodes["alpha"]
        node.facts = replace(node.facts, boot_id="one")
        fabric.connect("alpha")
        if how == "restarted machine":
            node.facts = replace(node.facts, boot_id="another")
        else:
            goodbye = cm.DepartNode(
                node=node.id, session=node.session, reason="x", back_within_ms=30_000, stopped=how == "stopped"
            )
            fabric.given(goodbye, by=node.principal)
        node.cut()
        fabric.pass_ms(3 * 86_400_000)
        assert fabric.node("alpha").status is NodeStatus.LIVE
        fabric.connect("alpha")
        assert fabric.node("alpha").since_ms == fabric.state.time_ms

    def test_an_older_log_counts_as_it_did(self) -> None:
        fabric = two()
        known = fabric.node("alpha")
        back = ev.NodeConnected(node=known.id, session=known.session + 1, outbox="o1", facts=known.facts)
        goodbye = ev.NodeDeparting(node=known.id, session=known.session, reason="x")
        old = ev.Entry(time_ms=fabric.time_ms + 60_000, principal="x", events=(goodbye, back))
        assert apply(fabric.state, old).nodes[known.id].since_ms == known.since_ms

    def test_past_the_limit_it_is_lost_and_what_it_ran_is_replaced_in_the_same_entry(self) -> None:
        fabric = two()
        outcome = fabric.lose("alpha")
        assert outcome.kinds == ["node.lost", "agent.version-proven", "instance.lost", "instance.created"]
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "pending"}
        assert list(fabric.agent().strays) == ["hello.1.1"]

    def test_since_when_it_is_silent_stays_when_it_is_lost(self) -> None:
        fabric = two()
        fabric.silence("alpha")
        since = fabric.node("alpha").since_ms
        fabric.pass_ms(60_000)
        fabric.lose("alpha")
        assert fabric.node("alpha").since_ms == since

    def test_what_it_held_stays_set_aside_until_the_node_is_back_or_gone(self) -> None:
        fabric = replaced()
        assert fabric.node("alpha").used_cpu_milli == 100
        fabric.given(cm.RemoveNode(node="alpha"))
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_an_agent_may_be_lost_sooner_or_later_than_the_rest(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        for name, lost_after in (("soon", 1_000), ("normal", None), ("late", 60_000)):
            fabric.deploy(spec(lost_after=lost_after), name=name)
        fabric.settle()
        fabric.silence("alpha")
        seen: list[list[str]] = []
        for silent_ms in (999, 1_000, 15_000, 60_000):
            fabric.declare_lost("alpha", silent_ms=silent_ms)
            seen.append(sorted(name for name in ("soon", "normal", "late") if fabric.agent(name).counts.lost))
        assert seen == [[], ["soon"], ["normal", "soon"], ["late", "normal", "soon"]]

    def test_a_late_timer_of_an_old_session_is_stale(self) -> None:
        fabric = two()
        old = fabric.node("alpha").session
        fabric.silence("alpha")
        fabric.connect("alpha")
        for command in (
            cm.SuspectNode(node="n-alpha", session=old),
            cm.DeclareLost(node="n-alpha", session=old, silent_ms=10**6, default_lost_after_ms=1),
        ):
            assert fabric.when(command, by="system:leases").code == "stale"

    def test_a_live_node_is_never_declared_lost(self) -> None:
        fabric = two()
        assert fabric.declare_lost("alpha").events == ()

    def test_saying_it_again_changes_nothing(self) -> None:
        fabric = replaced()
        assert fabric.declare_lost("alpha").events == ()
        suspect = cm.SuspectNode(node="n-alpha", session=fabric.node("alpha").session)
        assert fabric.when(suspect, by="system:leases").events == ()


class TestKeep:
    def test_it_is_never_declared_lost(self) -> None:
        fabric = two(on_disconnect="keep")
        fabric.lose("alpha")
        assert fabric.node("alpha").status is NodeStatus.LOST
        assert fabric.statuses() == {"hello.1.1": "running"}
        fabric.connect("alpha")
        assert fabric.settle() == 0

    def test_until_its_node_is_removed(self) -> None:
        fabric = two(on_disconnect="keep")
        fabric.lose("alpha")
        fabric.given(cm.RemoveNode(node="alpha"))
        assert fabric.statuses() == {"hello.1.2": "pending"}


class TestReturn:
    def test_the_older_healthy_one_wins_and_its_replacement_is_stopped(self) -> None:
        fabric = replaced()
        assert "instance.recovered" in fabric.connect("alpha").kinds
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "stopping"}
        assert fabric.instance("hello.1.2").stop_reason == "merged"
        assert fabric.agent().slots[1].current == "hello.1.1"
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}
        assert fabric.nodes["beta"].running() == []
        assert fabric.nodes["alpha"].runs["hello.1.1"].attempt == 1, "nothing was restarted"

    def test_the_next_generation_after_a_merge_is_above_all_that_were(self) -> None:
        fabric = replaced()
        fabric.connect("alpha")
        fabric.settle()
        fabric.given(cm.RestartInstance(instance="hello.1.1"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "running"}

    def test_a_replacement_that_found_no_room_yet_vanishes(self) -> None:
        fabric = Fabric()
        fabric.join("alpha")
        fabric.deploy()
        fabric.settle()
        fabric.lose("alpha")
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "pending"}
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.1": "running"}
        assert not fabric.state.pending

    def test_an_unhealthy_one_loses(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].set_health("hello.1.1", Health.UNHEALTHY)
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.2": "running"}
        fabric.settle()
        assert fabric.nodes["alpha"].runs == {}

    @pytest.mark.parametrize("phase", [Phase.STARTING, Phase.WAITING])
    def test_one_that_does_not_run_loses(self, phase: Phase) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].runs["hello.1.1"].phase = phase
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_one_that_its_node_knows_nothing_of_is_gone(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].forget("another")
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.node("alpha").used_cpu_milli == 0

    def test_one_whose_slot_was_updated_loses(self) -> None:
        fabric = replaced()
        fabric.deploy(spec("serve", "2"))
        fabric.settle()
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "running"}
        assert fabric.nodes["alpha"].runs == {}

    def test_one_whose_agent_was_restarted_loses(self) -> None:
        fabric = replaced()
        fabric.given(cm.RestartAgent(namespace="default", name="hello"))
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "running"}

    def test_one_whose_agent_was_stopped_loses(self) -> None:
        fabric = replaced()
        fabric.given(cm.StopAgent(namespace="default", name="hello"))
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {}
        assert fabric.nodes["alpha"].runs == {}

    def test_one_whose_agent_was_stopped_and_started_loses(self) -> None:
        """Whoever stopped it meant this one, too."""
        fabric = replaced()
        fabric.given(cm.StopAgent(namespace="default", name="hello"))
        fabric.settle()
        fabric.given(cm.StartAgent(namespace="default", name="hello"))
        fabric.settle()
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.3": "running"}

    def test_one_that_was_being_stopped_when_it_was_lost_loses(self) -> None:
        fabric = two()
        fabric.given(cm.RestartInstance(instance="hello.1.1"))
        fabric.lose("alpha")
        fabric.settle()
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_one_that_is_behind_what_was_known_of_it_loses(self) -> None:
        """As after the disk of its node was put back to an older day."""
        fabric = two()
        fabric.report("alpha", cm.InstanceReport(instance="hello.1.1", attempt=4, phase=Phase.RUNNING))
        fabric.lose("alpha")
        fabric.settle()
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_one_that_is_behind_loses_also_where_nothing_runs_in_its_place(self) -> None:
        """The attempt that was known is not the one that it tells of: whether that ran on, nobody can say."""
        fabric = two()
        fabric.report("alpha", cm.InstanceReport(instance="hello.1.1", attempt=4, phase=Phase.RUNNING))
        fabric.lose("alpha")
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "pending"}
        assert "instance.recovered" not in fabric.connect("alpha").kinds
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_an_end_that_is_behind_what_was_known_counts_for_nothing(self) -> None:
        """An attempt after it was seen to run, so that was not the end."""
        fabric = two(restart=Restart(policy="on-failure"))
        fabric.report("alpha", cm.InstanceReport(instance="hello.1.1", attempt=4, phase=Phase.RUNNING))
        fabric.lose("alpha")
        fabric.nodes["alpha"].exit("hello.1.1", fabric.agent().spec, code=0)
        assert "instance.recovered" not in fabric.connect("alpha").kinds
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_one_that_comes_back_stopping_loses(self) -> None:
        fabric = replaced()
        fabric.nodes["alpha"].runs["hello.1.1"].stopping = True
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.2": "running"}

    @pytest.mark.parametrize("after", [False, True])
    def test_one_on_a_node_that_is_being_emptied_loses(self, after: bool) -> None:
        fabric = replaced()
        fabric.given(cm.DrainNode(node="alpha"))
        assert fabric.node("alpha").scheduling.value == "drained", "what is lost does not hold a drain up"
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.nodes["alpha"].runs == {}

    def test_a_cordoned_node_keeps_what_it_brings_back(self) -> None:
        fabric = replaced()
        fabric.given(cm.CordonNode(node="alpha"))
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}

    def test_it_does_not_take_the_place_of_one_that_has_ended_for_good(self) -> None:
        fabric = replaced(restart=Restart(policy="never"))
        fabric.exit("hello.1.2", code=0)
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "succeeded"}
        assert fabric.nodes["alpha"].runs == {}

    def test_one_that_did_its_work_out_of_sight_has_done_it(self) -> None:
        fabric = replaced(restart=Restart(policy="on-failure"))
        fabric.nodes["alpha"].exit("hello.1.1", fabric.agent().spec, code=0)
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "succeeded"}
        assert fabric.nodes["beta"].runs == {}

    def test_one_that_was_started_anew_out_of_sight_loses_to_a_replacement_that_runs(self) -> None:
        """Its run is the newer one: as after its machine was switched off and on again."""
        fabric = replaced()
        restarted(fabric)
        assert "instance.recovered" not in fabric.connect("alpha").kinds
        assert fabric.statuses() == {"hello.1.2": "running"}
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.nodes["alpha"].runs == {}
        assert fabric.nodes["beta"].runs["hello.1.2"].attempt == 1, "it was not interrupted"

    def test_one_that_was_started_anew_wins_where_no_replacement_runs_yet(self) -> None:
        fabric = two()
        fabric.lose("alpha")
        fabric.place(hello_1_2="beta")
        restarted(fabric)
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "stopping"}

    def test_how_one_ended_out_of_sight_before_it_was_started_anew_is_told(self) -> None:
        fabric = two()
        fabric.lose("alpha")
        fabric.place(hello_1_2="beta")
        restarted(fabric)
        expected = ["instance.recovered", "instance.exited", "instance.running"]
        assert [kind for kind in fabric.connect("alpha").kinds if kind in expected] == expected
        back = fabric.instance("hello.1.1")
        assert back.exit is not None
        assert (back.exit.attempt, back.exit.code) == (1, 1)
        assert (back.attempt, back.phase) == (2, Phase.RUNNING)
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}

    def test_one_that_was_started_anew_wins_over_a_replacement_that_is_unhealthy(self) -> None:
        fabric = replaced()
        fabric.nodes["beta"].set_health("hello.1.2", Health.UNHEALTHY)
        fabric.send("beta")
        restarted(fabric)
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "stopping"}

    def test_one_that_was_started_anew_wins_over_a_replacement_of_which_nothing_is_known(self) -> None:
        fabric = replaced()
        fabric.silence("beta")
        restarted(fabric)
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "stopping"}

    def test_one_that_had_never_been_seen_to_run_loses_to_a_replacement_that_runs(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy()
        fabric.place(hello_1_1="alpha")
        alpha = fabric.nodes["alpha"]
        alpha.desire(fabric.state)
        alpha.step()
        fabric.lose("alpha")
        fabric.settle()
        fabric.connect("alpha")
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_one_that_runs_wins_over_a_replacement_that_can_start_nowhere(self) -> None:
        fabric = two()
        fabric.lose("alpha")
        for generation in (2, 3, 4):
            fabric.round()
            fabric.cannot_start(f"hello.1.{generation}")
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.4": "failed"}
        fabric.connect("alpha")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}

    def test_what_changed_meanwhile_is_taken_with_it(self) -> None:
        fabric = two()
        fabric.lose("alpha")
        node = fabric.nodes["alpha"]
        node.exit("hello.1.1", fabric.agent().spec, code=1)
        node.step()
        node.step()
        node.set_health("hello.1.1", Health.HEALTHY)
        fabric.connect("alpha")
        instance = fabric.instance("hello.1.1")
        assert (instance.attempt, instance.handle, instance.health) == (2, "pid-2", Health.HEALTHY)
        assert instance.started_ms == fabric.state.time_ms


class TestTwoLostOnesOfASlot:
    """First alpha and then beta are lost; `hello-1.3` runs on gamma."""

    def thrice(self) -> Fabric:
        fabric = replaced()
        fabric.join("gamma")
        fabric.lose("beta")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "lost", "hello.1.3": "running"}
        return fabric

    @pytest.mark.parametrize("order", [("alpha", "beta"), ("beta", "alpha")])
    def test_the_oldest_wins_whoever_is_back_first(self, order: tuple[str, str]) -> None:
        fabric = self.thrice()
        for name in order:
            fabric.connect(name)
            fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}
        running = [node.name for node in fabric.nodes.values() if node.running()]
        assert running == ["alpha"]

    def test_one_lost_while_it_was_stopped_after_a_merge_is_a_stray_and_stays_out(self) -> None:
        fabric = replaced()
        fabric.connect("alpha")
        fabric.lose("beta")
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "lost"}
        fabric.connect("beta")
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "running"}
        assert fabric.nodes["beta"].runs == {}


class TestRemoval:
    def test_a_live_node_is_removed_only_by_force(self) -> None:
        fabric = two()
        outcome = fabric.when(cm.RemoveNode(node="alpha"))
        assert outcome.code == "conflict"
        assert outcome.message == "node 'alpha' is live and holds 1 instance"
        fabric.given(cm.RemoveNode(node="alpha", force=True))
        assert fabric.statuses() == {"hello.1.2": "pending"}
        assert "n-alpha" not in fabric.state.nodes

    def test_a_live_node_that_holds_nothing_is_not_said_to_run_anything(self) -> None:
        fabric = two()
        outcome = fabric.when(cm.RemoveNode(node="beta"))
        assert outcome.message == "node 'beta' is live and open to work"
        assert outcome.rejection is not None
        assert outcome.rejection.hint == "omnitide drain beta, and then remove it; or use --force"

    def test_one_that_is_being_drained_is_to_be_waited_for_and_not_drained_again(self) -> None:
        fabric = two()
        fabric.given(cm.DrainNode(node="alpha"))
        outcome = fabric.when(cm.RemoveNode(node="alpha"))
        assert outcome.message == "node 'alpha' is being drained, and still holds 1 instance"
        assert outcome.rejection is not None
        told = "remove it once that is over: omnitide drain alpha waits for it, and says what stays; or use --force"
        assert outcome.rejection.hint == told

    def test_an_unreachable_node_may_be_removed_and_its_work_goes_elsewhere_at_once(self) -> None:
        fabric = two()
        fabric.silence("alpha")
        fabric.given(cm.RemoveNode(node="alpha"))
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.instance("hello.1.2").node == "n-beta"

    def test_a_removed_node_is_told_that_it_is_not_of_this_fabric(self) -> None:
        fabric = two()
        fabric.given(cm.RemoveNode(node="alpha", force=True))
        assert fabric.when(fabric.nodes["alpha"].hello(), by="system:sessions").code == "not-found"

    def test_joined_again_under_the_same_id_its_sessions_go_on_and_old_commands_stay_stale(self) -> None:
        fabric = two()
        old = fabric.node("alpha").session
        fabric.given(cm.RemoveNode(node="alpha", force=True))
        fabric.given(fabric.nodes["alpha"].join("join"), by="token:join")
        fabric.connect("alpha")
        assert fabric.node("alpha").session > old
        suspect = cm.SuspectNode(node="n-alpha", session=old)
        assert fabric.when(suspect, by="system:leases").code == "stale"
        fabric.settle()
        # What it still ran is of a generation that was given up.
        assert fabric.nodes["alpha"].running() in ([], ["hello.1.2"])

    def test_removing_what_is_not_there_is_refused(self) -> None:
        assert Fabric().when(cm.RemoveNode(node="alpha")).code == "not-found"


def test_a_node_that_says_goodbye_takes_nothing_new_until_it_is_back() -> None:
    fabric = two()
    goodbye = cm.DepartNode(node="n-beta", session=fabric.node("beta").session, reason="restart", back_within_ms=5_000)
    fabric.given(goodbye, by="node:n-beta")
    assert fabric.when(goodbye, by="node:n-beta").events == ()
    fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=2))
    choice = cm.PlaceChoice("hello.2.1", "n-beta", ())
    plan = cm.PlaceInstances(seen_revision=0, choices=(choice,))
    assert fabric.when(plan, by="system:placer").result["placed"] == 0
    fabric.connect("beta")
    assert fabric.node("beta").departing == ""
    assert fabric.when(replace(plan), by="system:placer").result["placed"] == 1


class TestStoppedByItsOperator:
    @staticmethod
    def stop(fabric: Fabric, back_within_ms: int) -> cm.DepartNode:
        session = fabric.node("alpha").session
        return cm.DepartNode(
            node="n-alpha", session=session, reason="stopped", back_within_ms=back_within_ms, stopped=True
        )

    def test_it_is_remembered_since_when_until_the_node_is_back(self) -> None:
        fabric = two()
        fabric.given(self.stop(fabric, 5_000), by="node:n-alpha")
        since = fabric.node("alpha").stopped_ms
        assert since == fabric.time_ms
        fabric.lose("alpha")
        assert (fabric.node("alpha").status, fabric.node("alpha").stopped_ms) == (NodeStatus.LOST, since)
        fabric.connect("alpha")
        assert fabric.node("alpha").stopped_ms == 0

    def test_it_is_waited_for_as_long_as_one_that_goes_for_a_while(self) -> None:
        """What is said of it is another; what is done about it is not."""
        stopped, goes = two(), two()
        stopped.given(self.stop(stopped, 5_000), by="node:n-alpha")
        goes.given(replace(self.stop(goes, 5_000), stopped=False), by="node:n-alpha")
        assert stopped.statuses() == goes.statuses() == {"hello.1.1": "running"}
        for fabric in (stopped, goes):
            fabric.lose("alpha")
        assert stopped.statuses() == goes.statuses()

    def test_one_that_goes_for_good_is_stopped_too(self) -> None:
        fabric = two()
        fabric.given(self.stop(fabric, 0), by="node:n-alpha")
        assert (fabric.node("alpha").status, fabric.node("alpha").stopped_ms) == (NodeStatus.LOST, fabric.time_ms)

    def test_that_is_why_it_is_not_heard_from(self) -> None:
        for stopped, cause in ((True, "stopped"), (False, "left")):
            fabric = two()
            outcome = fabric.when(replace(self.stop(fabric, 0), stopped=stopped), by="node:n-alpha")
            (unreachable,) = [event for event in outcome.events if isinstance(event, ev.NodeUnreachable)]
            assert unreachable.cause == cause

    def test_said_again_it_changes_nothing(self) -> None:
        fabric = two()
        fabric.given(self.stop(fabric, 5_000), by="node:n-alpha")
        assert fabric.when(self.stop(fabric, 5_000), by="node:n-alpha").events == ()

    def test_while_it_is_waited_for_it_is_removed_once_nothing_can_run_there_any_more(self) -> None:
        """To remove it counts what is there as ended and replaces it, while it may go on: that is left to `force`."""
        fabric = two()
        fabric.given(self.stop(fabric, 5_000), by="node:n-alpha")
        outcome = fabric.when(cm.RemoveNode(node="alpha"))
        assert (outcome.code, fabric.statuses()) == ("conflict", {"hello.1.1": "running"})
        assert outcome.message == "node 'alpha' was stopped by its operator, and 1 instance there may go on"
        assert outcome.rejection is not None
        assert outcome.rejection.hint == "remove it once it is unreachable, which it soon is; or use --force"
        fabric.given(cm.RemoveNode(node="alpha", force=True))
        assert fabric.statuses() == {"hello.1.2": "pending"}

        empty = Fabric()
        empty.join("alpha")
        empty.given(self.stop(empty, 5_000), by="node:n-alpha")
        empty.given(cm.RemoveNode(node="alpha"))
        assert "n-alpha" not in empty.state.nodes


class TestGoodbyeForGood:
    """`back_within_ms` 0: what the node ran has ended, and it does not come back by itself."""

    @staticmethod
    def leave(fabric: Fabric, name: str = "alpha") -> cm.DepartNode:
        return cm.DepartNode(node=f"n-{name}", session=fabric.node(name).session, reason="shut down")

    def test_it_is_lost_at_once_and_what_it_ran_is_replaced_in_the_same_entry(self) -> None:
        fabric = two()
        outcome = fabric.when(self.leave(fabric), by="node:n-alpha")
        assert outcome.kinds == [
            "node.departing", "node.unreachable", "node.lost", "agent.version-proven", "instance.lost",
            "instance.created",
        ]  # fmt: skip
        fabric.given(self.leave(fabric), by="node:n-alpha")
        assert fabric.node("alpha").status is NodeStatus.LOST
        fabric.settle()
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "running"}
        assert fabric.instance("hello.1.2").node == "n-beta"

    def test_it_can_be_removed_at_once(self) -> None:
        fabric = two()
        fabric.given(self.leave(fabric), by="node:n-alpha")
        fabric.given(cm.RemoveNode(node="alpha"))
        assert fabric.statuses() == {"hello.1.2": "pending"}

    def test_said_again_it_changes_nothing(self) -> None:
        fabric = two()
        fabric.given(self.leave(fabric), by="node:n-alpha")
        assert fabric.when(self.leave(fabric), by="node:n-alpha").events == ()

    def test_no_patience_of_an_agent_is_waited_for(self) -> None:
        fabric = two(lost_after=3_600_000)
        fabric.given(self.leave(fabric), by="node:n-alpha")
        assert fabric.statuses() == {"hello.1.1": "lost", "hello.1.2": "pending"}

    def test_what_is_to_stay_with_its_node_waits_for_it(self) -> None:
        fabric = two(on_disconnect="keep")
        fabric.given(self.leave(fabric), by="node:n-alpha")
        assert fabric.node("alpha").status is NodeStatus.LOST
        assert list(fabric.statuses()) == ["hello.1.1"]

    def test_a_task_is_done_elsewhere_and_has_not_failed(self) -> None:
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.run(JobSpec(command=("work",), restart=Restart(policy="never")))
        fabric.settle()
        (task,) = fabric.state.instances.values()
        name = fabric.state.nodes[task.node].name
        fabric.given(self.leave(fabric, name), by=f"node:{task.node}")
        fabric.settle()
        again = [one for one in fabric.state.instances.values() if one.id != task.id]
        assert [(one.generation, one.status.value) for one in again] == [(2, "running")]

    def test_a_node_that_is_back_is_a_node_again(self) -> None:
        fabric = two()
        fabric.given(self.leave(fabric), by="node:n-alpha")
        fabric.connect("alpha")
        assert fabric.node("alpha").status is NodeStatus.LIVE
        assert fabric.node("alpha").departing == ""
