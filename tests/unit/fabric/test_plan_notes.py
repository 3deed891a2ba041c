"""What a deployment's plan says beside its differences: what is done as asked, and better known before."""

import pytest

from omnitide.fabric import commands as cm
from omnitide.fabric.node import DriverFact
from omnitide.fabric.state import Agent, FabricState, InstanceStatus
from omnitide.model.container import Container
from omnitide.model.probes import Probe, Probes
from omnitide.model.provisions import SecretUse, Volume
from omnitide.model.spec import AgentSpec, Limits, Port, Resources, Update
from omnitide.operations.planning import plan_of
from support.honest import facts
from support.spec import Fabric, spec

MIB = 1 << 20


def note(*versions: AgentSpec) -> str:
    """Of the deployment of the last of these."""
    fabric = Fabric()
    before, known = None, fabric.state
    for one in versions[:-1]:
        fabric.deploy(one)
        before, known = fabric.agent(), fabric.state
    fabric.deploy(versions[-1])
    change = "updated" if before else "created"
    return plan_of(known, fabric.time_ms, before, fabric.agent(), change, None).note


def container(image: str = "a:1", **secrets: SecretUse) -> AgentSpec:
    return AgentSpec(driver="docker", container=Container(image=image), secrets=secrets)


def test_a_secret_that_a_container_is_given_as_a_variable_is_warned_of_by_name() -> None:
    said = note(container(db=SecretUse(environment="DB"), tls=SecretUse(file="key"), api=SecretUse(environment="A")))
    assert "in the clear" in said
    assert "api, db" in said
    assert "tls" not in said


def test_it_is_said_of_each_version_and_not_of_what_is_unchanged() -> None:
    given = container(db=SecretUse(environment="DB"))
    assert "in the clear" in note(container(), given)
    assert note(given, given) == ""


def test_files_and_processes_are_not_warned_of() -> None:
    assert note(container(db=SecretUse(file="db"))) == ""
    assert note(AgentSpec(command=("run",), secrets={"db": SecretUse(environment="DB")})) == ""


@pytest.mark.parametrize("settled", [True, False])
def test_what_is_made_is_counted_where_slots_begin_anew(*, settled: bool) -> None:
    """After `stop`, or fewer replicas, the slots go on with the numbers of the generations before them."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(replicas=3)
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    if settled:
        fabric.settle()
        assert not fabric.agent().slots
    before, known = fabric.agent(), fabric.state
    fabric.deploy(replicas=4)
    plan = plan_of(known, fabric.time_ms, before, fabric.agent(), "started", 4)
    assert plan.instances_created == (4 if settled else 1)
    fabric.settle()
    fabric.given(cm.ScaleAgent(namespace="default", name="hello", replicas=1))
    fabric.settle()
    before, known = fabric.agent(), fabric.state
    fabric.deploy(replicas=2, take_over_replicas=True)
    assert plan_of(known, fabric.time_ms, before, fabric.agent(), "scaled", 2).instances_created == 1


# Memory, and who holds a replica to it.


def on_nodes(what: AgentSpec, *enforces: tuple[str, ...]) -> str:
    """The note of its deployment on a node for each of these, with the driver process that enforces so much."""
    fabric = Fabric()
    for number, able in enumerate(enforces):
        fabric.join(f"node-{number}", node_facts=facts(drivers=(DriverFact("process", enforces=able),)))
    known = fabric.state
    assert fabric.deploy(what).accepted
    return plan_of(known, fabric.time_ms, None, fabric.agent(), "created", None).note


def test_memory_that_is_asked_for_without_a_limit_is_told_to_be_no_limit() -> None:
    asked = spec(resources=Resources(memory=256 * MIB))
    assert on_nodes(asked, ("memory",)) == (
        "256 MiB of memory is set aside for each replica and holds none to it: limits.memory stops one that takes more"
    )


@pytest.mark.parametrize(
    ("enforces", "told"),
    [
        (((),), ", and no node with the driver process can enforce that"),
        (((), ("memory",), ("cpu",)), ", and 1 of 3 nodes with the driver process can enforce that"),
        ((("memory",), ("memory",)), ""),
    ],
)
def test_it_is_told_where_a_limit_would_not_be_held(enforces: tuple[tuple[str, ...], ...], told: str) -> None:
    said = on_nodes(spec(resources=Resources(memory=64 * MIB)), *enforces)
    assert said.endswith(f"limits.memory stops one that takes more{told}")


def test_a_limit_that_is_enforced_everywhere_needs_no_word() -> None:
    limited = spec(resources=Resources(memory=64 * MIB), limits=Limits(memory=128 * MIB))
    assert on_nodes(limited, ("memory",), ("memory", "cpu")) == ""


def test_a_limit_that_not_every_node_enforces_is_told_with_what_would_demand_it() -> None:
    limited = spec(limits=Limits(memory=128 * MIB, cpu=500))
    assert on_nodes(limited, ("cpu",), ("cpu", "memory")) == (
        "limits.memory is enforced on 1 of 2 nodes with the driver process, and elsewhere nothing stops a replica that "
        'takes more; limits.enforcement = "required" keeps it off those'
    )
    assert on_nodes(limited, ()) == (
        "limits.cpu and limits.memory are enforced on no node with the driver process: nothing stops a replica that "
        "takes more"
    )
    required = Limits(memory=128 * MIB, enforcement="required")
    assert on_nodes(spec(limits=required), ("memory",), ()) == ""


def test_what_asks_for_nothing_in_particular_is_told_nothing_of_memory() -> None:
    assert on_nodes(spec(), ()) == ""


# What a rollout takes away meanwhile.

COUNTS = "; a new one counts once it has run for 1 s (update.min_healthy)"
"""Where no readiness probe tells when."""


class Updating:
    """An agent of some replicas that all run, and the plan of its update. `least`: the fewest that ran meanwhile."""

    def __init__(self, replicas: int, update: Update, *, then: int | None = None, **fields: object) -> None:
        self._fabric = Fabric()
        self._fabric.join("alpha", "beta")
        self._fabric.deploy(spec("one", update=update, **fields), replicas=replicas)
        self._fabric.settle()
        before, known = self._fabric.agent(), self._fabric.state
        assert before.counts.running == replicas
        self.least = replicas
        self._fabric.observe = lambda _: self._look()
        self._fabric.deploy(spec("two", update=update, **fields), replicas=then)
        self.note = self._told(known, before)
        self._fabric.settle()

    def _look(self) -> None:
        self.least = min(self.least, self._fabric.running())

    def _told(self, known: FabricState, before: Agent) -> str:
        return plan_of(known, self._fabric.time_ms, before, self._fabric.agent(), "updated", None).note


@pytest.mark.parametrize(
    ("replicas", "update", "told", "least"),
    [
        (3, Update(), "one replica at a time stops before its successor starts: at least 2 of 3 run meanwhile", 2),
        (
            5,
            Update(max_unavailable=2),
            "up to 2 replicas at a time stop before their successors start: at least 3 of 5 run meanwhile",
            3,
        ),
        (1, Update(), "the one replica stops before its successor starts: meanwhile none runs", 0),
        (
            3,
            Update(max_unavailable=8),
            "all 3 replicas may stop before their successors start: meanwhile none may run",
            0,
        ),
        (
            3,
            Update(max_unavailable=0, max_surge=1),
            "one replica at a time stops once its successor is available beside it: at least 3 of 3 run meanwhile",
            3,
        ),
        (
            1,
            Update(max_unavailable=1, max_surge=1),
            "the one replica stops once its successor is available beside it: it is not gone meanwhile",
            1,
        ),
        (
            5,
            Update(max_unavailable=0, max_surge=2),
            (
                "up to 2 replicas at a time stop once their successors are available beside them: "
                "at least 5 of 5 run meanwhile"
            ),
            5,
        ),
        (
            5,
            Update(max_unavailable=2, max_surge=1),
            (
                "up to 2 replicas at a time stop before their successors start, 1 more once its successor is available "
                "beside it: at least 3 of 5 run meanwhile"
            ),
            3,
        ),
    ],
)
def test_the_plan_of_an_update_says_how_many_run_meanwhile_and_so_it_is(
    replicas: int, update: Update, told: str, least: int
) -> None:
    updating = Updating(replicas, update)
    assert updating.note == told + (COUNTS if least else "")
    assert updating.least == least


def test_a_volume_that_stays_lets_nothing_run_beside() -> None:
    update = Update(max_unavailable=1, max_surge=1)
    kept = Updating(2, update, volumes={"data": Volume(target="data")})
    assert kept.note.startswith("one replica at a time stops before its successor starts: at least 1 of 2")
    assert kept.least == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"update": Update(min_healthy=20_000)}, "; a new one counts once it has run for 20 s (update.min_healthy)"),
        ({"update": Update(min_healthy=0)}, "; a new one counts once it has run (update.min_healthy)"),
        ({"health": Probes(readiness=Probe(type="http", path="/", port="http")), "ports": {"http": Port()}}, ""),
    ],
)
def test_what_a_new_replica_is_counted_by_is_told_where_no_readiness_probe_says_so(
    fields: dict[str, object], told: str
) -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=3)
    fabric.settle()
    change = cm.DeployAgent(agent="x", namespace="default", name="hello", spec=spec("two", **fields))
    assert told_of(fabric, change).endswith(f"run meanwhile{told}")


def test_several_that_start_beside_are_told_as_several() -> None:
    both = Updating(5, Update(max_unavailable=1, max_surge=2))
    assert both.note == (
        "one replica at a time stops before its successor starts, 2 more once their successors are available beside "
        f"them: at least 4 of 5 run meanwhile{COUNTS}"
    )
    assert both.least >= 4


def test_what_is_scaled_with_the_update_is_counted_as_it_then_is() -> None:
    assert Updating(3, Update(), then=5).note.endswith(f"at least 3 of 5 run meanwhile{COUNTS}")
    assert Updating(5, Update(), then=3).note.endswith(f"at least 2 of 3 run meanwhile{COUNTS}")


def test_what_runs_in_a_slot_that_the_scale_down_takes_away_is_promised_to_nobody() -> None:
    """After a rollout that was halted: one of the replicas that stay does not run, one that goes does."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=5)
    fabric.settle()
    fabric.nodes["alpha"].lacks = ("two",)
    fabric.deploy(spec("two"))
    fabric.settle()
    assert fabric.running() == 4
    before, known = fabric.agent(), fabric.state
    least = [4]
    fabric.observe = lambda _: least.append(fabric.running())
    fabric.deploy(spec("three", update=Update(max_unavailable=0, max_surge=1)), replicas=4)
    told = plan_of(known, fabric.time_ms, before, fabric.agent(), "updated", None).note
    fabric.settle()
    assert min(least) == 3
    assert told.endswith(f"available beside it: at least 3 of 4 run meanwhile{COUNTS}")


def test_nothing_is_taken_away_where_nothing_runs_or_no_version_comes() -> None:
    assert note(spec("one"), spec("two")) == ""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=2)
    fabric.settle()
    before, known = fabric.agent(), fabric.state
    assert all(one.status is InstanceStatus.RUNNING for one in fabric.state.instances.values())
    fabric.deploy(spec("one"), replicas=3)
    assert plan_of(known, fabric.time_ms, before, fabric.agent(), "scaled", 3).note == ""


# What a rollback keeps, and the file of before.


@pytest.mark.parametrize("back", [True, False])
def test_replicas_that_run_the_spec_already_are_told_to_be_kept(*, back: bool) -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=3)
    fabric.settle()
    fabric.nodes["alpha"].lacks = ("two",)
    fabric.deploy(spec("two"))
    fabric.settle()
    before, known = fabric.agent(), fabric.state
    again = cm.DeployAgent(agent="again", namespace="default", name="hello", spec=spec("one"))
    fabric.given(cm.RollBackAgent(namespace="default", name="hello") if back else again)
    told = plan_of(known, fabric.time_ms, before, fabric.agent(), "rolled-back" if back else "updated", None).note
    assert told.splitlines()[0] == "2 of 3 replicas run this spec already, and are kept as they are"
    kept = [one.id for one in fabric.state.instances.values() if one.version == 3 and one.node]
    assert sorted(kept) == ["hello.2.1", "hello.3.1"]


def halted(replicas: int, update: Update) -> Fabric:
    """Version 2 halted: some replicas still run version 1."""
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one", update=update), replicas=replicas)
    fabric.settle()
    fabric.nodes["alpha"].lacks = ("two",)
    fabric.deploy(spec("two", update=update))
    fabric.settle()
    return fabric


def told_of(fabric: Fabric, change: cm.Command) -> str:
    before, known = fabric.agent(), fabric.state
    fabric.given(change)
    return plan_of(known, fabric.time_ms, before, fabric.agent(), "updated", None).note


def test_what_runs_the_spec_in_a_slot_that_is_taken_away_is_not_kept() -> None:
    again = cm.DeployAgent(agent="again", namespace="default", name="hello", spec=spec("one"), replicas=2)
    told = told_of(halted(3, Update()), again).splitlines()
    assert told[0] == "1 of 2 replicas runs this spec already, and is kept as it is"


@pytest.mark.parametrize("back", [True, False])
def test_what_runs_since_before_a_restart_is_told_to_be_kept_by_a_rollback_alone(*, back: bool) -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=3)
    fabric.settle()
    # The restart is halted at its first replica, and so is the version after it.
    fabric.nodes["alpha"].lacks = ("one", "two")
    fabric.given(cm.RestartAgent(namespace="default", name="hello"))
    fabric.settle()
    fabric.deploy(spec("two"))
    fabric.settle()
    assert [one.version for one in fabric.state.instances.values() if one.status is InstanceStatus.RUNNING] == [1, 1]
    again = cm.DeployAgent(agent="again", namespace="default", name="hello", spec=spec("one"))
    told = told_of(fabric, cm.RollBackAgent(namespace="default", name="hello", version=1) if back else again)
    assert ("2 of 3 replicas run this spec already" in told) == back
    assert ("are kept" in told) == back


def test_replicas_that_scale_has_set_are_told_to_stay_where_a_manifest_asks_for_others() -> None:
    fabric = Fabric()
    fabric.deploy(spec("one"), replicas=3)
    before, known = fabric.agent(), fabric.state

    def told(asked: int | None) -> str:
        return plan_of(known, fabric.time_ms, before, fabric.agent(), "unchanged", asked).note

    assert told(2).startswith("replicas stay at 3: `scale` set them last; ")
    assert "makes them 2" in told(2)
    assert told(3) == told(None) == ""


def test_what_stops_with_its_agent_is_not_told_to_be_kept() -> None:
    fabric = halted(3, Update())
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    assert any(one.status is InstanceStatus.STOPPING for one in fabric.state.instances.values())
    again = cm.DeployAgent(agent="again", namespace="default", name="hello", spec=spec("one"))
    assert "already" not in told_of(fabric, again)


def test_a_restart_keeps_nothing() -> None:
    fabric = Fabric()
    fabric.join("alpha")
    fabric.deploy(spec("one"), replicas=3)
    fabric.settle()
    told = told_of(fabric, cm.RestartAgent(namespace="default", name="hello"))
    assert told == f"one replica at a time stops before its successor starts: at least 2 of 3 run meanwhile{COUNTS}"


def test_what_of_an_earlier_rollout_runs_beside_takes_room_from_the_next() -> None:
    update = Update(max_unavailable=1, max_surge=1)
    fabric = halted(1, update)
    assert fabric.agent().superseded
    change = cm.DeployAgent(agent="x", namespace="default", name="hello", spec=spec("three", update=update))
    assert "it is not gone meanwhile" not in told_of(fabric, change)


def test_limits_are_asked_of_nodes_that_are_there_and_have_the_driver() -> None:
    fabric = Fabric()
    for name, driver in (
        ("able", DriverFact("process", enforces=("memory",))),
        ("gone", DriverFact("process")),
        ("without", DriverFact("process", absent=True)),
    ):
        fabric.join(name, node_facts=facts(drivers=(driver,)))
    limited = spec(limits=Limits(memory=128 * MIB))

    def told(state: FabricState) -> str:
        return plan_of(state, fabric.time_ms, None, fabric.agent(), "created", None).note

    known = fabric.state
    fabric.deploy(limited)
    assert told(known).startswith("limits.memory is enforced on 1 of 2 nodes with the driver process")
    fabric.lose("gone")
    assert told(fabric.state) == ""
