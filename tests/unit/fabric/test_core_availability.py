"""When a replica counts as available, and what waits for that: readiness, `min_healthy`, surges and moves."""

import pytest
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.rolling import available, next_due
from omnitide.fabric.state import Health, Phase
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import Volume
from omnitide.model.spec import Restart, Update

HELLO = {"namespace": "default", "name": "hello"}
PROBED = Probes(readiness=Probe(type="exec", command=("true",)))
SURGE = Update(max_unavailable=0, max_surge=1)


def running(replicas: int = 2, *, nodes: tuple[str, ...] = ("alpha", "beta"), **fields: object) -> Fabric:
    fabric = Fabric()
    fabric.join(*nodes)
    fabric.deploy(spec("serve", "1", **fields), replicas=replicas)
    fabric.settle()
    return fabric


def tell(fabric: Fabric, instance: str, health: Health) -> None:
    """Its node says how it is."""
    known = fabric.instance(instance)
    node = fabric.nodes[fabric.state.nodes[known.node].name]
    node.runs[instance].health = health
    node.unsent.append(node.runs[instance].report(instance))
    fabric.send(node.name)


def advance(fabric: Fabric) -> None:
    fabric.given(cm.AdvanceRollouts(agents=tuple(sorted(fabric.state.rolling))), by="system:rollouts")


class TestReadiness:
    def test_a_rollout_waits_until_the_new_one_is_ready_for_long_enough(self) -> None:
        fabric = running(2, health=PROBED, update=Update(min_healthy=5000))
        for instance in ("hello.1.1", "hello.2.1"):
            tell(fabric, instance, Health.HEALTHY)
        fabric.deploy(spec("serve", "2", health=PROBED, update=Update(min_healthy=5000)))
        fabric.place_and_act()
        fabric.place_and_act()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.1": "running"}
        fabric.pass_ms(60_000)
        advance(fabric)
        assert fabric.statuses()["hello.2.1"] == "running", "it is not ready"
        tell(fabric, "hello.1.2", Health.HEALTHY)
        assert next_due(fabric.state, fabric.agent()) == fabric.time_ms + 5000
        advance(fabric)
        assert fabric.statuses()["hello.2.1"] == "running", "it is not ready for long enough"
        fabric.pass_ms(5000)
        advance(fabric)
        assert fabric.statuses()["hello.2.1"] == "stopping"

    def test_lost_readiness_makes_it_unavailable_and_restarts_nothing(self) -> None:
        fabric = running(2, health=PROBED)
        for instance in ("hello.1.1", "hello.2.1"):
            tell(fabric, instance, Health.HEALTHY)
        assert available(fabric.state, fabric.agent(), fabric.time_ms) == 2
        tell(fabric, "hello.1.1", Health.UNHEALTHY)
        assert available(fabric.state, fabric.agent(), fabric.time_ms) == 1
        assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "running"}
        fabric.deploy(spec("serve", "2", health=PROBED))
        assert fabric.statuses() == {"hello.1.1": "stopping", "hello.2.1": "running"}, "the unready one goes first"

    def test_without_a_probe_it_counts_once_it_has_run_for_so_long(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2"))
        fabric.place_and_act()
        fabric.place_and_act()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.1": "running"}
        fabric.pass_ms(1000)
        advance(fabric)
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.1": "stopping"}

    def test_one_that_comes_and_goes_takes_no_other_with_it(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2", restart=Restart(backoff=100)))
        for _ in range(6):
            fabric.place_and_act()
            fabric.pass_ms(500)
            if fabric.state.instances.get("hello.1.2") and fabric.statuses()["hello.1.2"] == "running":
                fabric.exit("hello.1.2")
            advance(fabric)
        assert fabric.statuses()["hello.2.1"] == "running"

    def test_a_rollout_is_over_when_the_last_is_available(self) -> None:
        fabric = running(1)
        fabric.deploy(spec("serve", "2"))
        fabric.place_and_act()
        fabric.place_and_act()
        assert fabric.agent().rollout_cursor
        fabric.pass_ms(1000)
        advance(fabric)
        assert not fabric.agent().rollout_cursor
        assert not fabric.state.rolling
        assert not fabric.agent().watched


class TestSurge:
    def test_the_new_one_is_there_before_the_old_one_goes(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2", update=SURGE))
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "pending", "hello.2.1": "running"}
        least, most = 2, 0
        for _ in range(60):
            if not fabric.round():
                break
            least = min(least, available(fabric.state, fabric.agent(), fabric.time_ms))
            most = max(most, fabric.running())
        assert (least, most) == (2, 3)
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running"}
        assert sorted(fabric.agent().slots) == [1, 2]

    def test_one_replica_is_replaced_without_a_gap(self) -> None:
        fabric = running(1)
        fabric.deploy(spec("serve", "2", update=SURGE))
        for _ in range(30):
            assert available(fabric.state, fabric.agent(), fabric.time_ms) >= 1
            if not fabric.round():
                break
        assert fabric.statuses() == {"hello.1.2": "running"}

    def test_a_restart_honours_it_too(self) -> None:
        fabric = running(2, update=SURGE)
        fabric.given(cm.RestartAgent(**HELLO))
        assert fabric.running() == 2
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.2": "running"}

    @pytest.mark.parametrize(
        "then",
        [
            cm.StopAgent(**HELLO),
            cm.DeleteAgent(**HELLO),
            cm.ScaleAgent(replicas=0, **HELLO),
        ],
    )
    def test_what_was_superseded_ends_with_its_slot(self, then: cm.Command) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2", update=Update(max_unavailable=0, max_surge=2)))
        fabric.place_and_act()
        assert len(fabric.agent().superseded) == 2
        fabric.given(then)
        assert "running" not in fabric.statuses().values()
        fabric.settle()
        assert fabric.statuses() == {}

    def test_the_old_one_stays_where_the_new_one_cannot_start(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("broken", update=SURGE))
        for _ in range(3):
            fabric.place()
            for name in fabric.nodes:
                fabric.nodes[name].desire(fabric.state)
            new = [i for i in fabric.state.instances.values() if i.version == 2 and i.node]
            if new:
                fabric.cannot_start(new[0].id)
        assert fabric.agent().counts.failed == 1
        assert fabric.running() == 2, "both old ones run on"
        fabric.given(cm.RollBackAgent(**HELLO))
        fabric.settle()
        assert fabric.agent().counts.running == 2
        assert not fabric.agent().strays
        assert fabric.agent().spec.command == ("serve", "1")

    def test_a_node_that_is_lost_takes_nothing_more_with_it(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2", update=SURGE))
        fabric.place_and_act()
        fabric.lose("alpha")
        fabric.settle()
        fabric.connect("alpha")
        fabric.settle()
        assert {i.version for i in fabric.state.instances.values()} == {2}
        assert fabric.running() == 2
        assert not fabric.agent().strays

    def test_volumes_that_stay_are_never_used_by_two(self) -> None:
        data = {"data": Volume(target="data")}
        fabric = running(1, volumes=data)
        fabric.deploy(spec("serve", "2", volumes=data, update=Update(max_surge=1)))
        assert fabric.statuses() == {"hello.1.1": "stopping"}

    def test_a_drain_starts_the_new_one_first(self) -> None:
        fabric = running(1, update=SURGE)
        held = fabric.state.nodes[fabric.instance("hello.1.1").node].name
        fabric.drain(held)
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "pending"}
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert fabric.node(held).scheduling.value == "drained"


class TestPause:
    def test_it_stays_as_it_is_until_it_is_resumed(self) -> None:
        fabric = running(3)
        fabric.deploy(spec("serve", "2"))
        fabric.given(cm.PauseRollout(**HELLO))
        fabric.settle()
        assert [fabric.instance(name).version for name in sorted(fabric.statuses())] == [2, 1, 1]
        fabric.given(cm.ScaleAgent(replicas=4, **HELLO))
        fabric.settle()
        assert [fabric.instance(name).version for name in sorted(fabric.statuses())] == [2, 1, 1, 1]
        fabric.given(cm.ResumeRollout(**HELLO))
        fabric.settle()
        assert {instance.version for instance in fabric.state.instances.values()} == {2}
        assert not fabric.agent().paused

    def test_without_a_rollout_there_is_nothing_to_pause(self) -> None:
        assert running(1).when(cm.PauseRollout(**HELLO)).code == "conflict"

    def test_a_new_version_is_not_paused(self) -> None:
        fabric = running(2)
        fabric.deploy(spec("serve", "2"))
        fabric.given(cm.PauseRollout(**HELLO))
        fabric.deploy(spec("serve", "3"))
        fabric.settle()
        assert {instance.version for instance in fabric.state.instances.values()} == {3}


class TestRollback:
    def test_it_is_a_new_version_with_the_old_spec(self) -> None:
        fabric = running(1)
        fabric.deploy(spec("serve", "2"))
        fabric.settle()
        assert fabric.given(cm.RollBackAgent(**HELLO))[0].result == {"agent": "hello", "version": 3, "source": 1}
        fabric.settle()
        agent = fabric.agent()
        assert (agent.spec.command, agent.versions[3].reason, agent.versions[3].source) == (
            ("serve", "1"),
            "rolled-back",
            1,
        )

    def test_only_to_a_version_that_is_kept_and_another(self) -> None:
        fabric = running(1)
        assert fabric.when(cm.RollBackAgent(**HELLO)).code == "conflict"
        assert fabric.when(cm.RollBackAgent(version=7, **HELLO)).code == "not-found"
        assert fabric.when(cm.RollBackAgent(version=1, **HELLO)).code == "conflict"

    def test_by_itself_where_the_spec_says_so_and_once(self) -> None:
        fabric = running(2)
        update = Update(on_failure="rollback")
        fabric.deploy(spec("broken", update=update))
        for _ in range(8):
            fabric.place_and_act()
            for instance in list(fabric.state.instances.values()):
                if instance.version == 2 and instance.status.value in ("placed", "starting", "running"):
                    fabric.cannot_start(instance.id)
        fabric.settle()
        agent = fabric.agent()
        assert agent.version == 3
        assert agent.versions[3].cause.startswith("hello-1.")
        assert {instance.version for instance in fabric.state.instances.values()} == {3}
        assert fabric.running() == 2


class TestMigrate:
    def test_it_starts_there_and_stops_here_once_it_is_available(self) -> None:
        fabric = running(1, nodes=("alpha", "beta", "gamma"))
        result = fabric.given(cm.MigrateInstance(instance="hello.1.1", node="gamma"))[0].result
        assert result["following"] == "hello.1.2"
        fabric.place_and_act()
        assert fabric.statuses() == {"hello.1.1": "running", "hello.1.2": "running"}
        assert fabric.instance("hello.1.2").node == "n-gamma"
        fabric.settle()
        assert fabric.statuses() == {"hello.1.2": "running"}
        assert not fabric.state.rolling

    def test_to_any_other_node_where_none_is_named(self) -> None:
        fabric = running(1)
        fabric.given(cm.MigrateInstance(instance="hello.1.1"))
        fabric.settle()
        assert fabric.instance("hello.1.2").node == "n-beta"

    def test_what_does_not_fit_is_told(self) -> None:
        fabric = running(1)
        fabric.given(cm.CordonNode(node="beta"))
        for wanted in ("beta", ""):
            outcome = fabric.when(cm.MigrateInstance(instance="hello.1.1", node=wanted))
            assert outcome.code == "impossible"
            assert "it is cordoned" in outcome.message
        assert fabric.when(cm.MigrateInstance(instance="hello.1.1", node="alpha")).code == "conflict"
        assert fabric.when(cm.MigrateInstance(instance="hello.1.1", node="none")).code == "not-found"

    def test_the_old_one_stays_while_the_new_one_is_not_there(self) -> None:
        fabric = running(1)
        fabric.given(cm.MigrateInstance(instance="hello.1.1", node="beta"))
        fabric.place_and_act()
        fabric.lose("beta")
        fabric.settle()
        assert fabric.running() == 1
        assert not fabric.agent().superseded

    def test_volumes_that_stay_are_left_only_if_told_so(self) -> None:
        fabric = running(1, volumes={"data": Volume(target="data")})
        asked = cm.MigrateInstance(instance="hello.1.1", node="beta")
        outcome = fabric.when(asked)
        assert outcome.code == "conflict"
        assert "data" in outcome.message
        fabric.given(cm.MigrateInstance(instance="hello.1.1", node="beta", leave_volumes=True))
        fabric.settle()
        assert fabric.instance("hello.1.2").node == "n-beta"
        assert fabric.agent().homes[1] == "n-beta"


class TestReports:
    def test_a_superseded_one_that_dies_leaves_the_slot_to_the_next(self) -> None:
        fabric = running(1)
        fabric.deploy(spec("serve", "2", update=SURGE))
        node = fabric.instance("hello.1.1").node
        report = cm.InstanceReport(instance="hello.1.1", attempt=1, phase=Phase.ENDED, outcome="failed")
        fabric.report(fabric.state.nodes[node].name, report)
        assert fabric.statuses() == {"hello.1.2": "pending"}
        assert not fabric.agent().superseded
