"""The table and the waiting follow the state row by row as if they were made afresh."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.scheduler.worlds import nodes, specs
from tests.unit.scheduler.world import World

from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting, derive_asks

NAMES = [f"n{number}" for number in range(5)]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("node"), st.sampled_from(NAMES), nodes),
        st.tuples(st.sampled_from(["remove", "silent", "cordon", "uncordon", "port"]), st.sampled_from(NAMES)),
        st.tuples(st.just("agent"), specs, st.integers(1, 4)),
        st.tuples(st.just("later"), st.integers(1, 9)),
        st.tuples(st.sampled_from(["put", "end"]), st.integers(0, 50), st.sampled_from(NAMES)),
    ),
    max_size=40,
)


def act(world: World, step: tuple[Any, ...], number: int) -> None:
    state = world.state
    running = [identifier for identifier in sorted(state.instances) if identifier not in state.pending]
    match step:
        case ("node", name, facts) if f"n-{name}" not in state.nodes:
            world.node(name, world.facts(**facts))
        case ("node", name, facts):
            world.connect(name, world.facts(**facts))
        case ("remove", name) if f"n-{name}" in state.nodes and not state.nodes[f"n-{name}"].instances:
            world.remove(name)
        case ("silent" | "cordon" | "uncordon" as verb, name) if f"n-{name}" in state.nodes:
            getattr(world, verb)(name)
        case ("port", name) if f"n-{name}" in state.nodes:
            world.refuse_port(name, 20001)
        case ("agent", what, slots):
            world.agent(f"agent-{number}", what, slots)
        case ("later", due) if state.agents:
            world.want(min(state.agents), number + 100, not_before_ms=due, avoid="n0" if due % 2 else "")
        case ("put", index, name) if state.pending and f"n-{name}" in state.nodes:
            world.put(sorted(state.pending)[index % len(state.pending)], name)
        case ("end", index, _) if running:
            world.end(running[index % len(running)])
        case _:
            pass


def same(one: NodeTable, other: NodeTable) -> None:
    assert one.nodes == other.nodes
    assert one.rows == other.rows
    for name in ("cpu_total", "cpu_free", "memory_total", "memory_free", "ports_free", "port_first", "port_last"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("instances", "live", "schedulable"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for driver in ("process", "docker"):
        assert np.array_equal(one.driver(driver), other.driver(driver))
    for port in (8080, 20001):
        assert np.array_equal(one.port_used(port), other.port_used(port))
    labels = [
        [{code: value for value, code in column.codes.items()}.get(code) for code in column.values.tolist()]
        for column in (one.labels("zone"), other.labels("zone"))
    ]
    assert labels[0] == labels[1]


@given(steps, st.sets(st.integers(0, 40)), st.booleans())
@settings(max_examples=150)
def test_following_is_the_same_as_starting_afresh(steps: list[Any], looks: set[int], named: bool) -> None:
    world = World()
    table, waiting = NodeTable(world.state), Waiting(world.state)
    same(table, NodeTable(world.state))
    before = world.state
    now = 0
    for number, step in enumerate(steps):
        act(world, step, number)
        if number not in looks and number + 1 != len(steps):
            continue
        now += 1
        state = world.state
        nodes = [name for name in {*before.nodes, *state.nodes} if before.nodes.get(name) is not state.nodes.get(name)]
        instances = {*before.pending, *state.pending}
        table.refresh(state, nodes if named else None)
        waiting.refresh(state, instances if named else None)
        same(table, NodeTable(state))
        workloads = {instance.workload for instance in state.instances.values()}
        assert all(table.held(name) == NodeTable(state).held(name) for name in workloads)
        assert waiting.asks(now, 1000) == derive_asks(state, now, 1000)
        before = state
