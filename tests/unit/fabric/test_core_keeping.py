"""A rollback, and a deployment of an earlier spec, keep what still runs it: only what was updated is replaced."""

import pytest
from tests.support.spec import Fabric, Outcome, spec

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.evolve import apply
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.rules.failing import version_that_works
from omnitide.fabric.rules.rolling import available
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import Health
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import Volume
from omnitide.model.spec import AgentSpec, Restart, Update
from omnitide.nexus.routing import nodes_of
from omnitide.operations.viewing.touched import touched_by
from omnitide.operations.views.instances import show_instance
from omnitide.scheduler.foresee import Foresight, Outlook

HELLO = {"namespace": "default", "name": "hello"}
BACK = cm.RollBackAgent(**HELLO)
SURGE = Update(max_unavailable=0, max_surge=1)
PROBED = Probes(readiness=Probe(type="exec", command=("true",)))


def running(what: AgentSpec | None = None, replicas: int = 4) -> Fabric:
    """Version 1 of an agent on two nodes."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(what or spec("serve", "1"), replicas=replicas)
    fabric.settle()
    return fabric


def halted(what: AgentSpec, replicas: int = 4) -> Fabric:
    """Version 2 cannot start: its first replica has failed for good, and the others of version 1 run on."""
    fabric = running(replicas=replicas)
    for node in fabric.nodes.values():
        node.lacks = ("broken",)
    fabric.deploy(what)
    fabric.settle()
    assert fabric.agent().version == 2
    return fabric


def versions(fabric: Fabric) -> dict[str, int]:
    return {one.id: one.version for one in fabric.state.instances.values() if one.status.value == "running"}


def asked_to_stop(outcome: Outcome) -> list[str]:
    return [event.instance for event in outcome.events if isinstance(event, ev.InstanceStopRequested)]


def observed(fabric: Fabric) -> list[str]:
    """Ids of what is asked to stop from now on."""
    stopped: list[str] = []

    def note(events: tuple[ev.Event, ...]) -> None:
        stopped.extend(event.instance for event in events if isinstance(event, ev.InstanceStopRequested))

    fabric.observe = note
    return stopped


class TestStopAndStart:
    def test_only_what_was_updated_is_replaced(self) -> None:
        fabric = halted(spec("broken"))
        before = {one: fabric.instance(one) for one in ("hello.2.1", "hello.3.1", "hello.4.1")}
        stopped = observed(fabric)
        fabric.given(BACK)
        kept_at = fabric.state.revision
        assert {one: fabric.instance(one).version for one in before} == dict.fromkeys(before, 3)
        fabric.settle()
        assert stopped == []
        agent = fabric.agent()
        assert versions(fabric) == dict.fromkeys([*before, "hello.1.5"], 3)
        assert (agent.rollout_cursor, agent.versions[3].proven, agent.counts.running) == (0, True, 4)
        for one, was in before.items():
            now = fabric.instance(one)
            assert (now.attempt, now.started_ms, now.since_ms) == (was.attempt, was.started_ms, was.since_ms)
            assert (now.created_ms, now.kept_ms) == (was.created_ms, agent.versions[3].created_ms)
            assert was.revision < now.revision == kept_at, "whoever waits for news of it hears of it"
        assert fabric.instance("hello.1.5").kept_ms == 0

    def test_what_serves_in_the_version_that_is_gone_back_from_is_replaced_as_in_any_update(self) -> None:
        fabric = running()
        fabric.deploy(spec("serve", "2"))
        while fabric.agent().rollout_cursor < 3:
            fabric.round()
        updated = {one for one, version in versions(fabric).items() if version == 2}
        assert updated
        stopped = observed(fabric)
        fabric.given(BACK)
        least = 4
        while fabric.round():
            least = min(least, available(fabric.state, fabric.agent(), fabric.time_ms))
        assert set(stopped) == updated
        assert least == 3, "one is away at a time"
        assert set(versions(fabric).values()) == {3}

    def test_one_that_is_being_stopped_is_not_taken_back(self) -> None:
        fabric = running(replicas=2)
        fabric.deploy(spec("serve", "2"))
        assert fabric.statuses() == {"hello.1.1": "stopping", "hello.2.1": "running"}
        fabric.given(BACK)
        assert fabric.instance("hello.1.1").version == 1
        fabric.settle()
        assert versions(fabric) == {"hello.1.2": 3, "hello.2.1": 3}

    def test_one_of_a_restart_has_the_spec_too(self) -> None:
        fabric = running()
        fabric.given(cm.RestartAgent(**HELLO))
        fabric.settle()
        assert set(versions(fabric).values()) == {2}
        for node in fabric.nodes.values():
            node.lacks = ("broken",)
        fabric.deploy(spec("broken"))
        fabric.settle()
        stopped = observed(fabric)
        fabric.given(cm.RollBackAgent(version=1, **HELLO))
        fabric.settle()
        assert stopped == []
        assert versions(fabric) == {"hello.1.6": 4, "hello.2.2": 4, "hello.3.2": 4, "hello.4.2": 4}

    def test_the_fabric_by_itself_keeps_them_too(self) -> None:
        fabric = running()
        for node in fabric.nodes.values():
            node.lacks = ("broken",)
        fabric.deploy(spec("broken", update=Update(on_failure="rollback")))
        stopped = observed(fabric)
        fabric.settle()
        assert fabric.agent().versions[3].reason == "rolled-back"
        assert stopped == []
        assert sorted(versions(fabric)) == ["hello.1.5", "hello.2.1", "hello.3.1", "hello.4.1"]

    def test_where_nothing_was_taken_it_is_over_at_once(self) -> None:
        fabric = running(spec("serve", "1", update=SURGE))
        fabric.deploy(spec("serve", "2", update=SURGE))
        fabric.given(BACK)
        agent = fabric.agent()
        assert (agent.version, agent.rollout_cursor, agent.paused) == (3, 0, False)
        assert agent.versions[3].proven
        assert versions(fabric) == {f"hello.{number}.1": 3 for number in range(1, 5)}
        assert not fabric.state.pending

    def test_one_in_its_back_off_goes_on_with_what_is_known_of_it(self) -> None:
        fabric = halted(spec("broken"))
        fabric.exit("hello.3.1")
        fabric.given(BACK)
        one = fabric.instance("hello.3.1")
        assert (one.version, one.status.value, one.exit is not None) == (3, "starting", True)
        fabric.settle()
        assert fabric.instance("hello.3.1").attempt == 2

    def test_one_that_fails_afterwards_is_the_next_in_a_row_of_its_slot(self) -> None:
        fabric = running(spec("serve", "1", restart=Restart(attempts=0)))
        fabric.exit("hello.2.1")
        fabric.pass_ms(1000)
        fabric.round()
        fabric.round()
        assert (fabric.agent().slots[2].failures, fabric.instance("hello.2.2").status.value) == (1, "running")
        fabric.deploy(spec("serve", "2", restart=Restart(attempts=0), update=SURGE))
        fabric.given(cm.RollBackAgent(version=1, **HELLO))
        assert fabric.instance("hello.2.2").version == 3
        fabric.exit("hello.2.2")
        assert fabric.agent().slots[2].failures == 2
        assert fabric.instance("hello.2.3").ends_before == 2

    def test_what_is_made_while_the_way_back_is_held_up_has_its_spec(self) -> None:
        """None of the versions was ever seen to work."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(spec("serve", "1", health=PROBED, update=Update(max_unavailable=2)), replicas=2)
        fabric.round()
        fabric.deploy(spec("broken", health=PROBED, update=Update(max_unavailable=1)))
        fabric.given(cm.RollBackAgent(version=1, **HELLO), cm.PauseRollout(**HELLO))
        agent = fabric.agent()
        assert agent.versions[version_that_works(fabric.state, agent)].spec == agent.versions[1].spec
        fabric.given(cm.ScaleAgent(replicas=3, **HELLO))
        assert fabric.agent().versions[fabric.instance("hello.3.1").version].spec == agent.versions[1].spec


class TestSurge:
    def half_way(self, what: AgentSpec | None = None, first: AgentSpec | None = None) -> Fabric:
        """The next generation of slot 1 runs beside the one before, and is not available."""
        fabric = running(first, replicas=2)
        fabric.deploy(what or spec("serve", "2", health=PROBED, update=SURGE))
        fabric.place()
        fabric.round()
        assert list(fabric.agent().superseded) == ["hello.1.1"]
        assert fabric.statuses()["hello.1.2"] == "running"
        return fabric

    def test_what_was_superseded_is_its_slots_own_again(self) -> None:
        fabric = self.half_way()
        outcome = fabric.given(BACK)[0]
        assert asked_to_stop(outcome) == ["hello.1.2"]
        agent = fabric.agent()
        assert (agent.slots[1].current, agent.slots[1].generation) == ("hello.1.1", 2)
        assert not agent.superseded
        assert not fabric.instance("hello.1.1").superseded
        assert agent.rollout_cursor == 0
        assert fabric.agent().id not in fabric.state.rolling
        fabric.settle()
        assert versions(fabric) == {"hello.1.1": 3, "hello.2.1": 3}
        assert load(list(dump(fabric.state))) == fabric.state

    def test_so_it_is_where_the_new_one_waits_for_a_node(self) -> None:
        fabric = running(replicas=2)
        fabric.deploy(spec("serve", "2", update=SURGE))
        assert fabric.statuses()["hello.1.2"] == "pending"
        fabric.given(BACK)
        assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "running"}
        assert not fabric.state.pending
        assert fabric.agent().slots[1].generation == 2, "an id is never made twice"

    def test_so_it_is_where_the_new_one_has_failed_for_good(self) -> None:
        fabric = halted(spec("broken", update=SURGE), replicas=2)
        assert list(fabric.agent().superseded) == ["hello.1.1"]
        fabric.given(BACK)
        assert versions(fabric) == {"hello.1.1": 3, "hello.2.1": 3}
        agent = fabric.agent()
        assert (len(agent.failed), agent.counts.failed, agent.rollout_cursor) == (0, 0, 0)
        assert agent.slots[1].last_exit is None, "that was no generation before the one that runs"

    def test_its_slot_still_knows_which_generations_are_not_wanted_back(self) -> None:
        fabric = running(replicas=2)
        fabric.given(cm.ScaleAgent(replicas=1, **HELLO))
        fabric.settle()
        fabric.given(cm.ScaleAgent(replicas=2, **HELLO))
        fabric.settle()
        again = fabric.agent().slots[2]
        assert again.first > 1
        fabric.deploy(spec("serve", "2", health=PROBED, update=Update(max_unavailable=0, max_surge=2)))
        assert set(fabric.agent().superseded) == {"hello.1.1", again.current}
        fabric.given(BACK)
        assert (fabric.agent().slots[2].current, fabric.agent().slots[2].first) == (again.current, again.first)

    def test_with_its_volumes_its_home_is_again_where_it_is(self) -> None:
        """A move without them had given its slot another, and has come to nothing."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        volumes, restart = {"data": Volume(target="data")}, Restart(attempts=0)
        fabric.deploy(spec("serve", "1", volumes=volumes, restart=restart))
        fabric.settle()
        fabric.given(cm.MigrateInstance(instance="hello.1.1", node="beta", leave_volumes=True))
        fabric.place()
        assert fabric.agent().homes[1] == "n-beta"
        fabric.deploy(spec("serve", "2", volumes=volumes, restart=restart))
        assert list(fabric.agent().superseded) == ["hello.1.1"]
        fabric.given(cm.RollBackAgent(version=1, **HELLO))
        assert (fabric.agent().slots[1].current, fabric.agent().homes[1]) == ("hello.1.1", "n-alpha")
        fabric.settle()
        fabric.exit("hello.1.1")
        fabric.pass_ms(60_000)
        fabric.settle()
        following = fabric.instance(fabric.agent().slots[1].current)
        assert (following.id != "hello.1.1", following.status.value, following.node) == (True, "running", "n-alpha")

    def test_one_that_ends_then_is_followed_by_a_new_generation(self) -> None:
        fabric = self.half_way(first=spec("serve", "1", restart=Restart(attempts=0)))
        fabric.given(BACK)
        fabric.exit("hello.1.1")
        assert fabric.agent().slots[1].current == "hello.1.3"
        assert (fabric.instance("hello.1.3").version, fabric.agent().slots[1].failures) == (3, 1)

    def test_a_move_goes_on(self) -> None:
        """Both generations of the slot have the spec that is gone back to."""
        fabric = running(spec("serve", "1", health=PROBED), replicas=2)
        for number in (1, 2):
            tell(fabric, f"hello.{number}.1", Health.HEALTHY)
        fabric.given(cm.MigrateInstance(instance="hello.2.1"))
        fabric.place()
        fabric.round()
        fabric.given(cm.ScaleAgent(replicas=3, **HELLO))
        fabric.deploy(spec("serve", "2", health=PROBED, update=SURGE))
        moving = {"hello.1.1": "running", "hello.2.1": "running", "hello.2.2": "running"}
        assert fabric.statuses() == {**moving, "hello.3.2": "pending"}
        outcome = fabric.given(cm.RollBackAgent(version=1, **HELLO))[0]
        assert asked_to_stop(outcome) == []
        assert fabric.statuses() == {**moving, "hello.3.3": "pending"}
        assert list(fabric.agent().superseded) == ["hello.2.1"]
        assert {one.version for one in fabric.state.instances.values()} == {3}
        tell(fabric, "hello.2.2", Health.HEALTHY)
        fabric.wait_for_rollouts()
        assert fabric.statuses()["hello.2.1"] == "stopping"


class TestDeployedAgain:
    """The file of before, after one that cannot run."""

    def test_only_what_was_updated_is_replaced(self) -> None:
        fabric = halted(spec("broken"))
        stopped = observed(fabric)
        outcome = fabric.deploy(spec("serve", "1"))
        assert outcome.result == {"agent": "hello", "version": 3, "replicas": 4, "change": "updated"}
        fabric.settle()
        assert stopped == []
        agent = fabric.agent()
        assert versions(fabric) == dict.fromkeys(["hello.1.5", "hello.2.1", "hello.3.1", "hello.4.1"], 3)
        assert (agent.versions[3].reason, agent.versions[3].source, agent.versions[3].proven) == ("updated", 0, True)
        assert agent.rollout_cursor == 0
        assert fabric.instance("hello.2.1").kept_ms == agent.versions[3].created_ms

    def test_it_is_the_same_afterwards_and_changes_nothing_again(self) -> None:
        fabric = halted(spec("broken"))
        fabric.deploy(spec("serve", "1"))
        fabric.settle()
        assert fabric.deploy(spec("serve", "1")).result["change"] == "unchanged"

    def test_a_spec_that_no_version_had_keeps_nothing_and_its_event_says_nothing_of_it(self) -> None:
        fabric = halted(spec("broken"))
        (event,) = [one for one in fabric.deploy(spec("serve", "3")).events if isinstance(one, ev.AgentUpdated)]
        assert not event.keeps
        assert event == ev.AgentUpdated(agent="hello", version=3, spec=spec("serve", "3"))
        fabric.settle()
        assert sorted(versions(fabric)) == ["hello.1.5", "hello.2.2", "hello.3.2", "hello.4.2"]

    def test_a_restart_under_way_is_not_lost_by_it(self) -> None:
        """What it has not come to yet is replaced, as somebody has asked for."""
        fabric = running()
        fabric.given(cm.RestartAgent(**HELLO))
        while fabric.agent().rollout_cursor < 3:
            fabric.round()
        anew = {one for one, version in versions(fabric).items() if version == 2}
        assert 0 < len(anew) < 4
        fabric.deploy(spec("serve", "2"))
        going = set(fabric.statuses()) - {one for one, status in fabric.statuses().items() if status == "running"}
        fabric.deploy(spec("serve", "1"))
        assert {one.id for one in fabric.state.instances.values() if one.version == 4 and one.node} == anew - going
        fabric.settle()
        assert anew - going <= set(versions(fabric))
        assert set(versions(fabric).values()) == {4}
        assert not {f"hello.{number}.1" for number in range(1, 5)} & set(versions(fabric)), "each was started anew"

    def test_a_surge_is_undone(self) -> None:
        fabric = TestSurge().half_way(first=spec("serve", "1"))
        outcome = fabric.deploy(spec("serve", "1"))
        assert asked_to_stop(outcome) == ["hello.1.2"]
        assert not fabric.agent().superseded
        fabric.settle()
        assert versions(fabric) == {"hello.1.1": 3, "hello.2.1": 3}

    def test_fewer_replicas_with_it_stop_those_above(self) -> None:
        fabric = halted(spec("broken", update=SURGE))
        assert list(fabric.agent().superseded) == ["hello.1.1"]
        outcome = fabric.deploy(spec("serve", "1"), replicas=2)
        assert asked_to_stop(outcome) == ["hello.3.1", "hello.4.1"]
        fabric.settle()
        assert versions(fabric) == {"hello.1.1": 3, "hello.2.1": 3}

    def test_more_replicas_with_it_are_started_beside_what_is_kept(self) -> None:
        fabric = halted(spec("broken"))
        stopped = observed(fabric)
        fabric.deploy(spec("serve", "1"), replicas=6)
        fabric.settle()
        assert stopped == []
        assert set(versions(fabric).values()) == {3}
        assert len(versions(fabric)) == 6

    def test_what_was_stopped_on_request_is_started_anew(self) -> None:
        fabric = halted(spec("broken"))
        fabric.given(cm.StopAgent(**HELLO))
        (event,) = [one for one in fabric.deploy(spec("serve", "1")).events if isinstance(one, ev.AgentUpdated)]
        assert not event.keeps
        fabric.settle()
        assert set(versions(fabric).values()) == {3}
        assert not {"hello.2.1", "hello.3.1"} & set(versions(fabric))

    def test_what_failed_is_tried_anew_by_its_file(self) -> None:
        fabric = halted(spec("broken"))
        fabric.given(BACK)
        fabric.settle()
        for node in fabric.nodes.values():
            node.lacks = ()
        fabric.deploy(spec("broken"))
        fabric.settle()
        assert set(versions(fabric).values()) == {4}


def tell(fabric: Fabric, instance: str, health: Health) -> None:
    node = fabric.nodes[fabric.state.nodes[fabric.instance(instance).node].name]
    node.set_health(instance, health)
    fabric.send(node.name)


def test_an_event_of_before_replaces_all_as_it_did() -> None:
    fabric = halted(spec("broken"))
    event = ev.AgentRolledBack(agent="hello", version=3, source=1)
    entry = ev.Entry(time_ms=fabric.time_ms, principal="token:admin", events=(event,))
    state = apply(fabric.state, entry)
    assert state.agents["hello"].version == 3
    assert {one.version for one in state.instances.values()} == {1, 2}


def test_a_deployment_of_before_replaces_all_as_it_did() -> None:
    fabric = halted(spec("broken"))
    event = ev.AgentUpdated(agent="hello", version=3, spec=spec("serve", "1"))
    entry = ev.Entry(time_ms=fabric.time_ms, principal="token:admin", events=(event,))
    state = apply(fabric.state, entry)
    assert state.agents["hello"].version == 3
    assert {one.version for one in state.instances.values()} == {1, 2}
    assert b"keeps" not in ev.encode_entry(entry)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("deployed", [True, False])
def test_the_nodes_and_who_looks_at_the_instances_hear_of_it(*, keeps: bool, deployed: bool) -> None:
    """What is taken over is told, though no event names it."""
    fabric = halted(spec("broken"))
    event: ev.Event = ev.AgentRolledBack(agent="hello", version=3, source=1, keeps=keeps)
    if deployed:
        event = ev.AgentUpdated(agent="hello", version=3, spec=spec("serve", "1"), keeps=keeps)
    nodes = {one.node for one in fabric.state.instances.values() if one.status.value == "running"}
    assert set(nodes_of(fabric.state, event)) == (nodes if keeps else set())
    entry = ev.Entry(time_ms=fabric.time_ms, principal="token:admin", events=(event,))
    touched = touched_by(fabric.state, [entry], fabric.state)
    assert touched.agents == {"hello"}
    assert (touched.instances == set(fabric.state.instances)) is keeps


def test_an_instance_is_shown_with_the_time_since_when_it_is_of_its_version() -> None:
    fabric = halted(spec("broken"))
    fabric.given(BACK)
    since = fabric.agent().versions[3].created_ms
    assert since > 0
    assert {one: show_instance(fabric.state, fabric.instance(one)).kept_ms for one in ("hello.1.5", "hello.2.1")} == {
        "hello.1.5": 0,
        "hello.2.1": since,
    }


class TestForeseen:
    def looked(self, fabric: Fabric) -> dict[str, int]:
        return dict(self.outlook(fabric).counts)

    def outlook(self, fabric: Fabric, *commands: cm.Command) -> Outlook:
        foresight = Foresight(fabric.state, fabric.time_ms)
        for command in commands or (BACK,):
            assert not isinstance(foresight.change(command, "token:admin"), Rejection)
        for _ in foresight.look():
            pass
        for _ in foresight.tell():
            pass
        return foresight.outlook()

    def test_what_goes_on_is_not_said_to_be_lost(self) -> None:
        fabric = halted(spec("broken"))
        assert self.looked(fabric) == {"starts": 1}
        assert self.outlook(fabric).kept == 3

    def test_so_it_is_with_the_file_of_before(self) -> None:
        fabric = halted(spec("broken"))
        again = cm.DeployAgent(agent="again", spec=spec("serve", "1"), **HELLO)
        outlook = self.outlook(fabric, again)
        assert (outlook.counts, outlook.kept) == ({"starts": 1}, 3)

    def test_of_what_was_superseded_only_what_was_to_take_its_place_is_said_to_stop(self) -> None:
        fabric = TestSurge().half_way()
        node = fabric.instance("hello.1.2").node
        outlook = self.outlook(fabric)
        assert [(one.fate, one.slot, one.before, one.after) for one in outlook.replicas] == [("stops", 1, node, "")]
        assert outlook.replicas[0].why == "the one that it was to replace goes on"
        assert (outlook.counts, outlook.kept) == ({"stops": 1}, 2)

    def test_so_it_is_where_the_new_one_crashes_again_and_again(self) -> None:
        fabric = TestSurge().half_way()
        fabric.exit("hello.1.2")
        assert fabric.statuses()["hello.1.2"] == "starting"
        assert self.looked(fabric) == {"stops": 1}

    def test_where_the_new_one_is_on_no_node_nothing_stops(self) -> None:
        fabric = running(replicas=2)
        fabric.deploy(spec("serve", "2", update=SURGE))
        outlook = self.outlook(fabric)
        assert (outlook.counts, outlook.kept) == ({}, 2)

    def test_what_was_being_stopped_on_a_node_that_says_nothing_is_not_said_to_start(self) -> None:
        fabric = running(replicas=2)
        fabric.deploy(spec("serve", "2"))
        stopping = fabric.instance("hello.1.1")
        assert stopping.status.value == "stopping"
        fabric.silence(fabric.state.nodes[stopping.node].name)
        assert self.looked(fabric) == {}

    def test_what_was_kept_before_or_is_stopped_all_the_same_is_not_counted_as_kept(self) -> None:
        fabric = halted(spec("broken"))
        fabric.given(BACK)
        fabric.settle()
        assert self.outlook(fabric, cm.ScaleAgent(replicas=5, **HELLO)).kept == 0
        fabric = halted(spec("broken"))
        for name in fabric.nodes:
            fabric.silence(name)
        stopped = self.outlook(fabric, BACK, cm.StopAgent(**HELLO))
        assert stopped.kept == 0, "none of them says any more that it has ended"
