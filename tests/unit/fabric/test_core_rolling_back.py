"""Which version a rollout goes back to by itself: one that is proven, or seen to work now, else the one before."""

from msgspec.structs import replace
from tests.support.spec import Fabric, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.failing import known_to_work, version_that_works
from omnitide.fabric.state import Health
from omnitide.model.probes import Probe, Probes
from omnitide.model.spec import AgentSpec, Restart, Update

PROBED = Probes(readiness=Probe(type="exec", command=("true",)))
SURGE = Update(max_unavailable=0, max_surge=2, on_failure="rollback")
ONE_BY_ONE = Update(max_unavailable=1, on_failure="rollback")


def surging(version: str, *, probes: Probes = PROBED) -> AgentSpec:
    return spec(version, update=SURGE, health=probes)


def tell(fabric: Fabric, instance: str, health: Health) -> None:
    known = fabric.instance(instance)
    node = fabric.nodes[fabric.state.nodes[known.node].name]
    node.runs[instance].health = health
    node.unsent.append(node.runs[instance].report(instance))
    fabric.send(node.name)


def lacking(fabric: Fabric, *programs: str) -> None:
    for node in fabric.nodes.values():
        node.lacks = programs


def working(first: AgentSpec, replicas: int = 2) -> Fabric:
    """Version 1 is rolled out and ready."""
    fabric = Fabric()
    fabric.join("alpha", "beta")
    fabric.deploy(first, replicas=replicas)
    fabric.settle()
    if first.health.readiness is not None:
        for number in range(1, replicas + 1):
            tell(fabric, f"hello.{number}.1", Health.HEALTHY)
    return fabric


def crash(fabric: Fabric, version: int, slot: int = 0) -> None:
    """Every run of a version, maybe of one slot alone, ends once."""
    for instance, known in sorted(fabric.state.instances.items()):
        if known.version == version and known.status.value == "running" and slot in (0, known.slot):
            fabric.exit(instance, code=127)


class TestSource:
    def test_the_version_that_works_is_found_where_it_has_been_superseded(self) -> None:
        """Version 2 crashes again and again beside version 1, version 3 cannot start at all."""
        fabric = working(surging("1"))
        fabric.deploy(surging("2"))
        for _ in range(3):
            fabric.round()
            crash(fabric, 2)
        assert set(fabric.agent().superseded) == {"hello.1.1", "hello.2.1"}
        lacking(fabric, "3")
        fabric.deploy(surging("3"))
        fabric.settle()
        agent = fabric.agent()
        assert (agent.version, agent.versions[4].source, agent.spec.command) == (4, 1, ("1",))
        assert fabric.instance("hello.1.1").status.value == "running", "it goes when version 4 is ready"

    def test_one_that_runs_between_two_crashes_does_not_work(self) -> None:
        """Nothing asks whether a replica is ready. Slot 2 crashes in version 2, slot 3 has not been reached by it."""
        fabric = working(spec("1", update=ONE_BY_ONE), replicas=3)
        fabric.deploy(spec("2", update=replace(ONE_BY_ONE, on_failure="halt")))
        while fabric.agent().rollout_cursor < 3:
            fabric.round()
        while not self.tried_again(fabric):
            crash(fabric, 2, slot=2)
            fabric.pass_ms(31_000)
            fabric.place_and_act()
        assert fabric.instance("hello.3.1").status.value == "running"
        fabric.deploy(spec("3", update=Update(max_unavailable=0, max_surge=0, on_failure="rollback")))
        assert fabric.instance(fabric.agent().slots[2].current).version == 2
        fabric.given(cm.RestartInstance(instance=fabric.agent().slots[1].current))
        lacking(fabric, "3")
        assert known_to_work(fabric.state, fabric.agent()) == 1

    def tried_again(self, fabric: Fabric) -> bool:
        """Slot 2 runs in another generation of version 2 than the first."""
        slot = fabric.agent().slots[2]
        return slot.failures > 0 and fabric.instance(slot.current).status.value == "running"

    def test_one_that_was_restarted_on_its_node_does_not_work_until_it_has_run_for_long(self) -> None:
        restart = Restart(reset_after=60_000)
        fabric = working(spec("1", update=ONE_BY_ONE, restart=restart), replicas=1)
        fabric.exit("hello.1.1")
        fabric.round()
        fabric.round()
        assert (fabric.instance("hello.1.1").status.value, fabric.instance("hello.1.1").attempt) == ("running", 2)
        fabric.deploy(spec("2", update=SURGE, restart=restart))
        assert fabric.instance("hello.1.1").superseded
        assert known_to_work(fabric.state, fabric.agent()) == 0
        assert version_that_works(fabric.state, fabric.agent()) == 1, "the best there is for what is made meanwhile"
        fabric.pass_ms(60_000)
        fabric.given(cm.CordonNode(node="beta"))
        assert known_to_work(fabric.state, fabric.agent()) == 1

    def test_the_newest_of_several_that_work(self) -> None:
        fabric = working(spec("1", update=ONE_BY_ONE), replicas=3)
        fabric.deploy(spec("2", update=ONE_BY_ONE))
        while fabric.agent().rollout_cursor < 3:
            fabric.round()
        fabric.place_and_act()
        fabric.deploy(spec("3", update=Update(max_unavailable=0, max_surge=1, on_failure="rollback")))
        assert {one.version for one in fabric.state.instances.values() if one.status.value == "running"} == {1, 2}
        assert known_to_work(fabric.state, fabric.agent()) == 2

    def test_one_that_runs_and_is_not_ready_does_not_work(self) -> None:
        fabric = working(surging("1"))
        tell(fabric, "hello.2.1", Health.UNHEALTHY)
        fabric.deploy(surging("2"))
        assert known_to_work(fabric.state, fabric.agent()) == 1
        tell(fabric, "hello.1.1", Health.UNHEALTHY)
        assert fabric.instance("hello.1.1").status.value == "running"
        assert known_to_work(fabric.state, fabric.agent()) == 0

    def test_unless_every_replica_was_ready_in_it_at_once(self) -> None:
        fabric = working(surging("1"))
        fabric.deploy(surging("2"))
        for instance in ("hello.1.1", "hello.2.1"):
            tell(fabric, instance, Health.UNHEALTHY)
        assert known_to_work(fabric.state, fabric.agent()) == 1


class TestNothingRunsThatIsKnown:
    def test_a_single_replica_goes_back_to_the_version_that_worked(self) -> None:
        """Its only instance of that was stopped for the new one."""
        fabric = working(spec("1", update=ONE_BY_ONE), replicas=1)
        lacking(fabric, "2")
        fabric.deploy(spec("2", update=ONE_BY_ONE))
        fabric.settle()
        agent = fabric.agent()
        assert (agent.version, agent.versions[3].reason, agent.versions[3].source) == (3, "rolled-back", 1)
        assert not agent.failed

    def test_where_no_version_is_known_to_work_it_goes_to_the_one_before_and_no_further(self) -> None:
        """Neither version 1 nor 2 has ever been ready."""
        fabric = Fabric()
        fabric.join("alpha", "beta")
        fabric.deploy(surging("1"), replicas=2)
        fabric.settle()
        fabric.deploy(surging("2"))
        fabric.settle()
        lacking(fabric, "3")
        fabric.deploy(surging("3"))
        fabric.settle()
        agent = fabric.agent()
        assert (agent.version, agent.versions[4].reason, agent.versions[4].source) == (4, "rolled-back", 2)

    def test_a_way_back_that_fails_is_not_taken_back(self) -> None:
        """Somebody rolls back to version 1, which cannot run any more, while version 2 works."""
        fabric = working(spec("1", update=ONE_BY_ONE))
        fabric.deploy(spec("2", update=ONE_BY_ONE))
        fabric.settle()
        lacking(fabric, "1")
        fabric.given(cm.RollBackAgent(namespace="default", name="hello", version=1))
        fabric.settle()
        agent = fabric.agent()
        assert (agent.version, agent.versions[3].reason, bool(agent.failed)) == (3, "rolled-back", True)
        assert known_to_work(fabric.state, agent) == 2, "there would be one to go to"


def test_where_none_is_known_to_work_a_rollback_names_one_to_choose() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("1"))
    fabric.deploy(spec("2"))
    refused = fabric.when(cm.RollBackAgent(namespace="default", name="hello"))
    assert refused.code == "conflict"
    assert "no earlier version of agent default/hello is known to work" in refused.message
    assert refused.rejection is not None
    assert refused.rejection.hint.endswith("omnitide rollback hello --to 1")
    assert fabric.when(cm.RollBackAgent(namespace="default", name="hello", version=1)).accepted


def test_where_all_have_the_same_spec_there_is_nothing_to_go_back_to() -> None:
    fabric = working(spec("1"))
    fabric.given(cm.RestartAgent(namespace="default", name="hello"))
    refused = fabric.when(cm.RollBackAgent(namespace="default", name="hello"))
    assert "version 1 before it has the same spec as version 2" in refused.message
