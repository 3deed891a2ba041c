"""What a rollout may take away when another comes before it is over: nothing that is known to work, for what is not."""

from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.folds.workloads import KEPT_VERSIONS
from omnitide.fabric.rules.rolling import available, next_due
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import Health
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, Restart, Update

HELLO = {"namespace": "default", "name": "hello"}
PROBED = Probes(readiness=Probe(type="exec", command=("true",)))
HOUR_MS = 3_600_000
SLOW = Update(max_unavailable=0, max_surge=1, min_healthy=HOUR_MS)


def running(first: AgentSpec, replicas: int) -> Fabric:
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(first, replicas=replicas)
    fabric.settle()
    return fabric


def tell(fabric: Fabric, instance: str, health: Health) -> None:
    known = fabric.instance(instance)
    node = fabric.nodes[fabric.state.nodes[known.node].name]
    node.runs[instance].health = health
    node.unsent.append(node.runs[instance].report(instance))
    fabric.send(node.name)


def proven(fabric: Fabric) -> list[int]:
    return sorted(number for number, version in fabric.agent().versions.items() if version.proven)


def statuses(fabric: Fabric) -> dict[int, list[str]]:
    """Version -> statuses of its instances."""
    found: dict[int, list[str]] = {}
    for _, one in sorted(fabric.state.instances.items()):
        found.setdefault(one.version, []).append(one.status.value)
    return found


class TestAnotherVersionComesMeanwhile:
    def test_a_surge_that_runs_for_a_moment_does_not_count_because_of_it(self) -> None:
        """Version 2 has to run for an hour, and has for a second when version 3 comes, which cannot start."""
        fabric = running(spec("1"), 1)
        fabric.deploy(spec("2", update=SLOW))
        fabric.place_and_act()
        assert statuses(fabric) == {1: ["running"], 2: ["running"]}
        for node in fabric.nodes.values():
            node.lacks = ("3",)
        fabric.deploy(spec("3", update=SLOW))
        for _ in range(6):
            fabric.place_and_act()
        assert statuses(fabric)[1] == ["running"], "it was stopped for what has shown nothing"

    def test_nor_is_another_replica_stopped_because_of_it(self) -> None:
        one_by_one = Update(max_unavailable=1, min_healthy=HOUR_MS)
        fabric = running(spec("1"), 2)
        fabric.deploy(spec("2", update=one_by_one))
        fabric.place_and_act()
        fabric.place_and_act()
        assert statuses(fabric) == {1: ["running"], 2: ["running"]}
        fabric.deploy(spec("3", update=one_by_one))
        fabric.place_and_act()
        assert statuses(fabric)[1] == ["running"]
        assert available(fabric.state, fabric.agent(), fabric.time_ms) == 1

    def test_by_its_own_rule_it_is_available_in_time_and_that_is_looked_at(self) -> None:
        """Version 3 fits nowhere; version 2 has run for its hour meanwhile."""
        fabric = running(spec("1"), 1)
        fabric.deploy(spec("2", update=SLOW))
        fabric.place_and_act()
        since = fabric.instance("hello.1.2").started_ms
        fabric.deploy(spec("3", update=SLOW))
        assert statuses(fabric) == {1: ["running"], 2: ["stopping"]}, "it has shown nothing yet, and makes room"
        fabric.place_and_act()
        fabric.place_and_act()
        assert statuses(fabric) == {1: ["running"], 3: ["running"]}
        due = next_due(fabric.state, fabric.agent())
        assert due is not None
        assert due > since + HOUR_MS
        fabric.pass_ms(HOUR_MS)
        fabric.given(cm.AdvanceRollouts(agents=("hello",)), by="system:rollouts")
        assert statuses(fabric) == {1: ["stopping"], 3: ["running"]}

    def test_one_that_is_ready_again_for_a_moment_is_not_free_to_be_stopped(self) -> None:
        """Slot 2 of the version that works has been restarted while the rollout was paused."""
        update = Update(max_unavailable=2, min_healthy=60_000)
        fabric = running(spec("1", update=update), 3)
        fabric.deploy(spec("2", update=update))
        fabric.given(cm.PauseRollout(**HELLO))
        fabric.place_and_act()
        fabric.place_and_act()
        assert statuses(fabric) == {1: ["running"], 2: ["running", "running"]}
        fabric.exit("hello.3.1")
        fabric.place_and_act()
        fabric.place_and_act()
        assert (fabric.instance("hello.3.1").attempt, statuses(fabric)[1]) == (2, ["running"])
        fabric.given(cm.ResumeRollout(**HELLO))
        assert statuses(fabric)[1] == ["running"], "two are away already"


class TestWhatServesNobody:
    def test_it_does_not_hold_up_the_version_that_mends_it(self) -> None:
        """Slot 3 never becomes ready: with it, as many are away as may be."""
        fabric = running(spec("1", health=PROBED), 3)
        for instance in ("hello.1.1", "hello.2.1"):
            tell(fabric, instance, Health.HEALTHY)
        fabric.deploy(spec("2"))
        assert fabric.statuses() == {"hello.1.1": "running", "hello.2.1": "running", "hello.3.1": "stopping"}
        fabric.settle()
        assert statuses(fabric) == {2: ["running"] * 3}
        assert fabric.agent().rollout_cursor == 0

    def test_nor_when_it_loses_its_readiness_or_its_life_on_the_way(self) -> None:
        for ends in (True, False):
            fabric = self.under_way()
            if ends:
                fabric.exit("hello.3.1")
            else:
                tell(fabric, "hello.3.1", Health.UNHEALTHY)
            assert fabric.statuses()["hello.3.1"] == "stopping"
            assert fabric.statuses()["hello.2.1"] == "running"

    def test_but_not_before_the_new_version_has_shown_that_it_runs(self) -> None:
        """What the versions share fails for a moment: all of the old one is not stopped for one that may not run."""
        fabric = running(spec("1", health=PROBED), 3)
        for instance in ("hello.1.1", "hello.2.1", "hello.3.1"):
            tell(fabric, instance, Health.HEALTHY)
        fabric.deploy(spec("2", health=PROBED))
        fabric.place_and_act()
        fabric.place_and_act()
        tell(fabric, "hello.3.1", Health.UNHEALTHY)
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.1": "running", "hello.3.1": "running"}

    def under_way(self) -> Fabric:
        """One of three is there in version 2, and available by now."""
        update = Update(min_healthy=0)
        fabric = running(spec("1", health=PROBED, restart=Restart(attempts=10), update=update), 3)
        for instance in ("hello.1.1", "hello.2.1", "hello.3.1"):
            tell(fabric, instance, Health.HEALTHY)
        fabric.deploy(spec("2", update=Update(max_unavailable=0, max_surge=1, min_healthy=0)))
        fabric.given(cm.PauseRollout(**HELLO))
        fabric.place_and_act()
        fabric.place_and_act()
        assert fabric.statuses() == {"hello.1.2": "running", "hello.2.1": "running", "hello.3.1": "running"}
        fabric.given(cm.ResumeRollout(**HELLO))
        return fabric

    def test_while_it_is_paused_nothing_of_it_is_stopped(self) -> None:
        fabric = self.under_way()
        fabric.given(cm.PauseRollout(**HELLO))
        tell(fabric, "hello.3.1", Health.UNHEALTHY)
        assert fabric.statuses()["hello.3.1"] == "running"
        fabric.given(cm.ResumeRollout(**HELLO))
        assert fabric.statuses()["hello.3.1"] == "stopping"


class TestProven:
    def test_a_version_is_when_its_rollout_is_over(self) -> None:
        fabric = running(spec("1"), 2)
        assert proven(fabric) == []
        fabric.deploy(spec("2"))
        assert proven(fabric) == [1], "it ran well when another came"
        fabric.settle()
        assert (proven(fabric), fabric.agent().rollout_cursor) == ([1, 2], 0)

    def test_it_is_not_where_a_replica_has_never_been_ready_or_has_just_crashed(self) -> None:
        fabric = running(spec("1", health=PROBED), 2)
        tell(fabric, "hello.1.1", Health.HEALTHY)
        fabric.deploy(spec("2"))
        assert proven(fabric) == []
        fabric = running(spec("1", restart=Restart(reset_after=60_000)), 2)
        fabric.exit("hello.2.1")
        fabric.round()
        fabric.round()
        fabric.deploy(spec("2"))
        assert proven(fabric) == []

    def test_it_is_not_without_a_replica(self) -> None:
        fabric = running(spec("1"), 0)
        fabric.deploy(spec("2"))
        fabric.settle()
        assert (proven(fabric), fabric.agent().rollout_cursor) == ([], 0)

    def test_it_is_seen_before_replicas_are_taken_from_it(self) -> None:
        for command in (
            cm.ScaleAgent(replicas=0, **HELLO),
            cm.StopAgent(**HELLO),
            cm.RestartAgent(**HELLO),
        ):
            fabric = running(spec("1"), 2)
            fabric.given(command)
            assert proven(fabric) == [1], command
        fabric = running(spec("1"), 2)
        fabric.lose("alpha")
        assert proven(fabric) == [1]

    def test_the_newest_such_is_kept_whatever_comes_after_it(self) -> None:
        fabric = running(spec("1"), 1)
        for node in fabric.nodes.values():
            node.lacks = tuple(f"bad{number}" for number in range(KEPT_VERSIONS + 10))
        for number in range(KEPT_VERSIONS + 5):
            fabric.deploy(spec(f"bad{number}"))
            fabric.settle()
        assert 1 in fabric.agent().versions
        assert len(fabric.agent().versions) <= KEPT_VERSIONS + 1
        assert load(list(dump(fabric.state))) == fabric.state

    def test_a_snapshot_remembers_it_also_of_a_restart(self) -> None:
        """A restart is a version with the spec of the one before."""
        fabric = running(spec("1"), 1)
        fabric.given(cm.RestartAgent(**HELLO))
        fabric.settle()
        assert proven(fabric) == [1, 2]
        assert load(list(dump(fabric.state))) == fabric.state

    def test_it_is_where_a_single_replica_goes_back_to_after_two_that_do_not_run(self) -> None:
        """Each stops the one before it: no instance shows what works."""
        halt, back = Update(), Update(on_failure="rollback")
        fabric = running(spec("1", update=halt), 1)
        for node in fabric.nodes.values():
            node.lacks = ("2", "3")
        fabric.deploy(spec("2", update=halt))
        fabric.settle()
        fabric.deploy(spec("3", update=back))
        fabric.settle()
        agent = fabric.agent()
        assert (agent.versions[4].source, agent.spec.command, statuses(fabric)) == (1, ("1",), {4: ["running"]})
