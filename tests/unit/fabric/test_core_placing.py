"""The scheduler's plan is a proposal: what no longer holds when it is decided is left out, the rest is taken."""

import pytest
from tests.support.honest import GIB, facts
from tests.support.spec import Fabric, Outcome, spec

from omnitide.fabric import commands as cm
from omnitide.fabric.state import DriverFact, NodeFacts
from omnitide.model.spec import AgentSpec, Limits, Port, Resources


def fabric_with(what: AgentSpec | None = None, replicas: int = 1, node_facts: NodeFacts | None = None) -> Fabric:
    fabric = Fabric()
    fabric.join("alpha", node_facts=node_facts)
    fabric.deploy(what, replicas=replicas)
    return fabric


def plan(fabric: Fabric, *choices: tuple[str, str, tuple[tuple[str, int], ...]]) -> Outcome:
    command = cm.PlaceInstances(
        seen_revision=fabric.state.revision, choices=tuple(cm.PlaceChoice(*choice) for choice in choices)
    )
    return fabric.given(command, by="system:placer")[0]


def placed(outcome: Outcome) -> object:
    return outcome.result["placed"]


def test_a_placement_sets_aside_what_the_spec_asks_for() -> None:
    fabric = fabric_with(spec(resources=Resources(cpu=700, memory=GIB), ports={"http": Port()}))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", (("http", 20007),)))) == 1
    node, instance = fabric.node("alpha"), fabric.instance("hello.1.1")
    assert (node.used_cpu_milli, node.used_memory_bytes, dict(node.ports)) == (700, GIB, {20007: "hello.1.1"})
    assert (instance.cpu_milli, instance.memory_bytes, instance.ports) == (700, GIB, (("http", 20007),))
    assert list(node.instances) == ["hello.1.1"]


def test_of_a_plan_that_goes_beyond_the_room_the_first_part_is_taken() -> None:
    fabric = fabric_with(spec(resources=Resources(cpu=400)), replicas=4, node_facts=facts(cpu=1000))
    outcome = plan(fabric, *((f"hello.{slot}.1", "n-alpha", ()) for slot in (3, 1, 2, 4)))
    assert outcome.result == {"placed": 2, "left_out": 2}
    assert sorted(fabric.node("alpha").instances) == ["hello.1.1", "hello.3.1"]


def test_memory_counts_as_cpu_does() -> None:
    fabric = fabric_with(spec(resources=Resources(memory=5 * GIB)), replicas=2)
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", ()), ("hello.2.1", "n-alpha", ()))) == 1


@pytest.mark.parametrize(
    "choice",
    [
        ("hello.1.9", "n-alpha", ()),
        ("hello.1.1", "n-beta", ()),
        ("hello.1.1", "", ()),
        ("", "n-alpha", ()),
        ("hello.1.1", "n-alpha", (("http", 20000),)),
    ],
)
def test_a_choice_that_means_nothing_is_left_out(choice: tuple[str, str, tuple[tuple[str, int], ...]]) -> None:
    assert placed(plan(fabric_with(), choice)) == 0


def test_one_instance_is_placed_once_however_often_it_is_named() -> None:
    fabric = fabric_with()
    choice = ("hello.1.1", "n-alpha", ())
    assert placed(plan(fabric, choice, choice)) == 1
    assert placed(plan(fabric, choice)) == 0
    assert fabric.node("alpha").used_cpu_milli == 100


@pytest.mark.parametrize(
    "ports",
    [
        (),
        (("http", 20000),),
        (("http", 20000), ("admin", 20000)),
        (("http", 20000), ("http", 20001)),
        (("http", 20000), ("admin", 20001), ("more", 20002)),
        (("http", 20000), ("admin", 19999)),
        (("http", 20000), ("admin", 20020)),
        (("http", 20000), ("other", 20001)),
    ],
)
def test_ports_that_are_not_those_of_the_spec_in_the_nodes_range_are_left_out(
    ports: tuple[tuple[str, int], ...],
) -> None:
    fabric = fabric_with(spec(ports={"http": Port(), "admin": Port()}))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", ports))) == 0


def test_a_port_that_is_taken_is_left_out_within_a_plan_and_after_it() -> None:
    fabric = fabric_with(spec(ports={"http": Port()}), replicas=3)
    taken = (("http", 20000),)
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", taken), ("hello.2.1", "n-alpha", taken))) == 1
    assert placed(plan(fabric, ("hello.3.1", "n-alpha", taken))) == 0


def test_a_fixed_port_is_that_one_and_need_not_be_of_the_range() -> None:
    fabric = fabric_with(spec(ports={"http": Port(port=80)}))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", (("http", 20000),)))) == 0
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", (("http", 80),)))) == 1


def test_a_fixed_number_may_be_one_port_for_tcp_and_one_for_udp_and_is_held_once() -> None:
    both = {"tcp": Port(port=53), "udp": Port(port=53, protocol="udp"), "any": Port()}
    fabric = fabric_with(spec(ports=both), replicas=2)
    numbers = (("any", 20000), ("tcp", 53), ("udp", 53))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", numbers))) == 1
    assert sorted(fabric.node("alpha").ports) == [53, 20000]
    assert placed(plan(fabric, ("hello.2.1", "n-alpha", (("any", 20001), *numbers[1:])))) == 0
    fabric = fabric_with(spec(ports={"fixed": Port(port=20000), "any": Port()}))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", (("any", 20000), ("fixed", 20000))))) == 0


def test_a_node_without_a_range_gives_no_port() -> None:
    fabric = fabric_with(spec(ports={"http": Port()}), node_facts=facts(ports=(0, 0)))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", (("http", 0),)))) == 0


@pytest.mark.parametrize(
    "drivers",
    [(), (DriverFact(name="docker"),), (DriverFact(name="process", healthy=False, enforces=("memory",)),)],
)
def test_a_driver_that_is_not_there_or_does_not_work_takes_nothing(drivers: tuple[DriverFact, ...]) -> None:
    fabric = fabric_with(node_facts=facts(drivers=drivers))
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", ()))) == 0


@pytest.mark.parametrize(("enforcement", "expected"), [("required", 0), ("best-effort", 1)])
def test_what_is_required_never_lands_where_it_cannot_be_enforced(enforcement: str, expected: int) -> None:
    weak = facts(drivers=(DriverFact(name="process", enforces=("cpu",)),))
    limits = Limits(cpu=1000, memory=GIB, enforcement=enforcement)  # type: ignore[arg-type]
    fabric = fabric_with(spec(limits=limits), node_facts=weak)
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", ()))) == expected


def test_a_node_that_is_away_takes_nothing() -> None:
    fabric = fabric_with()
    fabric.silence("alpha")
    assert placed(plan(fabric, ("hello.1.1", "n-alpha", ()))) == 0


def test_an_empty_plan_writes_nothing() -> None:
    assert plan(fabric_with()).events == ()


def test_what_left_gives_its_room_back() -> None:
    fabric = fabric_with(spec(resources=Resources(cpu=4000), ports={"http": Port()}))
    fabric.settle()
    fabric.given(cm.StopAgent(namespace="default", name="hello"))
    fabric.settle()
    node = fabric.node("alpha")
    assert (node.used_cpu_milli, node.used_memory_bytes, len(node.ports), len(node.instances)) == (0, 0, 0, 0)
