"""The table of nodes: a column for each number, a column for whatever else is asked about, always as the state is."""

import numpy as np
from tests.unit.scheduler.world import GIB, PROCESS, World, spec

from omnitide.fabric import events as ev
from omnitide.fabric.state import DriverFact, Node
from omnitide.model.quantity import MAX_QUANTITY
from omnitide.scheduler import table as tables
from omnitide.scheduler.table import ABSENT, HEALTHY, PRESENT, NodeTable, label_of


def names(table: NodeTable) -> list[str]:
    return [node.name for node in table.nodes]


def labels(table: NodeTable, key: str) -> list[str | None]:
    column = table.labels(key)
    texts = {code: value for value, code in column.codes.items()} | {ABSENT: None}
    return [texts[code] for code in column.values.tolist()]


def test_rows_stand_in_order_of_node_id() -> None:
    world = World()
    for name in ("gamma", "alpha", "beta"):
        world.node(name)
    table = NodeTable(world.state)
    assert names(table) == ["alpha", "beta", "gamma"]
    assert table.rows == {"n-alpha": 0, "n-beta": 1, "n-gamma": 2}


def test_what_is_set_aside_is_not_free() -> None:
    world = World()
    world.node("alpha", world.facts(cpu=4000, memory=4 * GIB, ports=(20000, 20009)))
    world.agent("hello", spec(cpu=1500, memory=GIB, ports={"http": 0, "admin": 8080}))
    world.put("hello.1.1", "alpha", (("admin", 8080), ("http", 20003)))
    world.refuse_port("alpha", 20004)
    table = NodeTable(world.state)
    assert table.cpu_free.tolist() == [2500]
    assert table.memory_free.tolist() == [3 * GIB]
    assert table.ports_free.tolist() == [8]
    assert table.instances.tolist() == [1]
    assert table.held("hello") == {"n-alpha": 1}
    assert [bool(table.port_used(port)[0]) for port in (8080, 20003, 20004, 20005)] == [True, True, False, False]
    assert [bool(table.port_marked(port)[0]) for port in (8080, 20003, 20004, 20005)] == [False, False, True, False]


def test_a_node_without_a_port_range_has_no_free_port() -> None:
    world = World()
    world.node("alpha", world.facts(ports=(0, 0)))
    assert NodeTable(world.state).ports_free.tolist() == [0]


def test_only_live_and_open_nodes_are_schedulable() -> None:
    world = World()
    world.node("joined", connect=False)
    for name in ("live", "silent", "cordoned"):
        world.node(name)
    world.silent("silent")
    world.cordon("cordoned")
    table = NodeTable(world.state)
    known = dict(zip(names(table), zip(table.live.tolist(), table.schedulable.tolist(), strict=True), strict=True))
    assert known == {
        "cordoned": (True, False),
        "joined": (False, False),
        "live": (True, True),
        "silent": (False, False),
    }


def test_built_in_labels_come_from_the_machine_and_join_labels_before_its_own() -> None:
    world = World()
    facts = world.facts(labels={"os": "lies", "host": "box-7", "zone": "mine", "gpu": "no"}, platform={"arch": "arm64"})
    joined = ev.NodeJoined(node="n-a", name="alpha", key_digest="", token="", facts=facts, labels={"zone": "eu"})
    world.emit(joined)
    node = world.state.nodes["n-a"]
    assert {key: label_of(node, key) for key in ("node", "os", "arch", "host", "zone", "gpu", "rack")} == {
        "node": "alpha",
        "os": "linux",
        "arch": "arm64",
        "host": "box-7",
        "zone": "eu",
        "gpu": "no",
        "rack": None,
    }


def test_driver_bits_tell_absent_broken_and_what_is_enforced() -> None:
    world = World()
    world.node("a", world.facts(drivers=[DriverFact(name="docker", enforces=("memory", "magic"))]))
    world.node("b", world.facts(drivers=[DriverFact(name="docker", healthy=False)]))
    world.node("c", world.facts(drivers=[PROCESS]))
    bits = NodeTable(world.state).driver("docker").tolist()
    assert bits == [PRESENT | HEALTHY | tables.ENFORCES["memory"], PRESENT, 0]


def test_refresh_rewrites_the_changed_rows_in_every_column() -> None:
    world = World()
    for name in ("alpha", "beta"):
        world.node(name, world.facts(labels={"zone": "eu"}))
    table = NodeTable(world.state)
    assert labels(table, "zone") == ["eu", "eu"]
    world.connect("beta", world.facts(cpu=500, labels={"zone": "us"}))
    assert table.refresh(world.state, ["n-beta"]) == 1
    assert labels(table, "zone") == ["eu", "us"]
    assert table.cpu_free.tolist() == [8000, 500]
    assert table.revision == world.state.revision


def test_refresh_of_nothing_new_writes_nothing() -> None:
    world = World()
    world.node("alpha")
    table = NodeTable(world.state)
    assert table.refresh(world.state) == 0
    assert table.refresh(world.state, ["n-alpha", "n-unknown"]) == 0


def test_refresh_takes_in_joined_nodes_and_drops_removed_ones() -> None:
    world = World()
    for name in ("b", "d"):
        world.node(name, world.facts(labels={"zone": name}))
    world.agent("hello", spec(), 2)
    world.put("hello.1.1", "b")
    table = NodeTable(world.state)
    assert labels(table, "zone") == ["b", "d"]
    for name in ("a", "c", "e"):
        world.node(name, world.facts(cpu=100, labels={"zone": name}))
    world.end("hello.1.1")
    world.remove("b")
    assert table.refresh(world.state) == 4
    assert names(table) == ["a", "c", "d", "e"]
    assert labels(table, "zone") == ["a", "c", "d", "e"]
    assert table.cpu_total.tolist() == [100, 100, 8000, 100]
    assert table.held("hello") == {}


def test_held_follows_instances_that_come_and_go() -> None:
    world = World()
    for name in ("a", "b"):
        world.node(name)
    world.agent("hello", spec(), 3)
    table = NodeTable(world.state)
    for instance, node in (("hello.1.1", "a"), ("hello.2.1", "a"), ("hello.3.1", "b")):
        world.put(instance, node)
    table.refresh(world.state)
    assert table.held("hello") == {"n-a": 2, "n-b": 1}
    world.end("hello.2.1")
    world.end("hello.3.1")
    table.refresh(world.state)
    assert table.held("hello") == {"n-a": 1}


def test_columns_are_bounded_and_a_dropped_one_is_made_again() -> None:
    world = World()
    world.node("a", world.facts(labels={"label-0": "x"}))
    table = NodeTable(world.state)
    for number in range(3 * tables.MAX_COLUMNS):
        table.labels(f"label-{number}")
    assert len(table._columns) == tables.MAX_COLUMNS  # pyright: ignore[reportPrivateUsage] the bound itself
    assert labels(table, "label-0") == ["x"]


def test_a_vocabulary_does_not_grow_with_values_that_nobody_has_any_more() -> None:
    world = World()
    world.node("a")
    table = NodeTable(world.state)
    for number in range(3000):
        world.connect("a", world.facts(labels={"build": str(number)}))
        table.refresh(world.state, ["n-a"])
        assert labels(table, "build") == [str(number)]
    assert len(table.labels("build").codes) < 2000


def test_a_machine_that_claims_the_impossible_does_not_break_the_table() -> None:
    world = World()
    world.node("a", world.facts(cpu=2**70, memory=2**70))
    table = NodeTable(world.state)
    assert (table.cpu_total.tolist(), table.memory_free.tolist()) == ([MAX_QUANTITY], [MAX_QUANTITY])
    assert table.cpu_free.dtype == np.int64


def test_a_node_that_shrank_has_less_than_nothing_free() -> None:
    world = World()
    world.node("a")
    world.agent("hello", spec(cpu=6000))
    world.put("hello.1.1", "a")
    world.connect("a", world.facts(cpu=2000))
    assert NodeTable(world.state).cpu_free.tolist() == [-4000]


def test_nodes_are_read_and_not_kept_by_value() -> None:
    world = World()
    world.node("a")
    node: Node = NodeTable(world.state).nodes[0]
    assert node is world.state.nodes["n-a"]
