"""What holds of every plan, against a plain reference that knows nothing of tables, and against `decide` itself."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.scheduler.reference import fits, left_now, take
from tests.property.scheduler.worlds import build, recipes, spec_of
from tests.unit.scheduler.world import GIB, World, spec

from omnitide.fabric.commands import Header, PlaceInstances
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.state import FabricState
from omnitide.scheduler.place import MAX_PLACEMENTS, Plan, place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting, derive_asks

ROOT = Path(__file__).parents[3]


def plan(state: FabricState, most: int = MAX_PLACEMENTS) -> Plan:
    return place(NodeTable(state), derive_asks(state, state.time_ms).ready, max_placements=most)


def taken(state: FabricState, made: Plan) -> FabricState:
    """The state once the plan is decided; every choice of it must be."""
    command = PlaceInstances(seen_revision=made.seen_revision, choices=made.choices)
    decision = decide(state, command, Header(principal="system:scheduler", time_ms=state.time_ms))
    assert isinstance(decision, Decision)
    assert decision.result == {"placed": len(made.choices), "left_out": 0}
    return decision.state


@given(recipes)
@settings(max_examples=200)
def test_every_placement_is_allowed_and_whatever_is_left_fits_nowhere(recipe: dict[str, Any]) -> None:
    state = build(recipe)
    made = plan(state)
    left = left_now(state)
    for choice in made.choices:
        node = state.nodes[choice.node]
        what = spec_of(state, choice.instance)
        if state.instances[choice.instance].avoid == node.id:
            others = [other for other in state.nodes.values() if other.id != node.id]
            assert not any(fits(other, left[other.id], what) for other in others)
        take(node, left[node.id], what, choice.ports)
    waiting = set(state.pending) - {choice.instance for choice in made.choices}
    for instance in waiting:
        assert not any(fits(node, left[node.id], spec_of(state, instance)) for node in state.nodes.values())
    assert not made.cut
    assert sum(unplaced.count for unplaced in made.unplaced) == len(waiting)
    counted = Counter(state.instances[instance].workload for instance in waiting)
    told: Counter[str] = Counter()
    for unplaced in made.unplaced:
        told[unplaced.workload] += unplaced.count
        assert unplaced.reasons
    assert told == counted


@given(recipes)
@settings(max_examples=100)
def test_decide_takes_the_whole_plan_and_then_nothing_is_left_to_plan(recipe: dict[str, Any]) -> None:
    state = build(recipe)
    table, waiting = NodeTable(state), Waiting(state)
    made = place(table, waiting.asks(state.time_ms, MAX_PLACEMENTS).ready)
    state = taken(state, made)
    table.refresh(state, {choice.node for choice in made.choices})
    waiting.refresh(state, [choice.instance for choice in made.choices])
    again = place(table, waiting.asks(state.time_ms, MAX_PLACEMENTS).ready)
    assert again.choices == ()
    assert sum(left.count for left in again.unplaced) == len(state.pending)


@given(recipes, st.integers(1, 4))
@settings(max_examples=100)
def test_small_plans_one_after_another_place_all_that_fits(recipe: dict[str, Any], most: int) -> None:
    state = build(recipe)
    waited = len(state.pending)
    for _ in range(waited + 1):
        made = plan(state, most)
        assert len(made.choices) <= most
        state = taken(state, made)
        if not made.cut:
            break
        assert len(made.choices) == most
    assert not made.cut
    left = left_now(state)
    for instance in state.pending:
        assert not any(fits(node, left[node.id], spec_of(state, instance)) for node in state.nodes.values())


@given(recipes, st.integers(1, 1000))
@settings(max_examples=100)
def test_the_plan_does_not_depend_on_the_order_of_maps_or_asks(recipe: dict[str, Any], shuffle: int) -> None:
    one, other = build(recipe), build(recipe, shuffle)
    made = plan(one)
    assert plan(other).choices == made.choices
    table, asks = NodeTable(other), list(derive_asks(other, other.time_ms).ready)
    assert place(table, asks[::-1]).choices == made.choices
    assert place(table, asks[::-1]).unplaced == made.unplaced


@given(st.integers(1, 7), st.integers(1, 40), st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40)), max_size=6))
@settings(max_examples=100)
def test_where_nodes_are_equal_spread_differs_by_one_at_most(
    nodes: int, slots: int, running: list[tuple[int, int]]
) -> None:
    world = World()
    for number in range(nodes):
        world.node(f"n{number}", world.facts(cpu=100_000, memory=1000 * GIB))
    world.agent("hello", spec(), slots)
    world.agent("other", spec(cpu=700), len(running))
    for slot, (node, _) in enumerate(running, 1):
        world.put(f"other.{slot}.1", f"n{node % nodes}")
    for node, slot in {slot: node for node, slot in running if slot <= slots}.items():
        # At most one a node to begin with, as spread would have it.
        if not any(name.startswith("hello") for name in world.state.nodes[f"n-n{slot % nodes}"].instances):
            world.put(f"hello.{node}.1", f"n{slot % nodes}")
    state = taken(world.state, plan(world.state))
    assert not any(identifier.startswith("hello") for identifier in state.pending)
    counts = [sum(name.startswith("hello") for name in node.instances) for node in state.nodes.values()]
    assert max(counts) - min(counts) <= 1


SCRIPT = """
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable
from tests.unit.scheduler.world import *
world = World()
for number in range(40):
    labels = {"zone": "eu"} if number % 3 else {"zone": "us"}
    world.node(f"n{number}", world.facts(cpu=(number % 5 + 1) * 1000, labels=labels))
for number in range(12):
    zones = [where("zone", "!=", "us")] if number % 4 == 0 else []
    placement = "pack" if number % 5 == 0 else "spread"
    ports = {"http": 0, "admin": 0}
    world.agent(f"a{number}", spec(cpu=100 + 250 * number, ports=ports, where=zones, placement=placement), 9)
print(place(NodeTable(world.state), world.asks().ready))
"""


def test_the_plan_does_not_depend_on_the_hash_seed() -> None:
    plans = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(plans) == 1
    assert "Plan(" in plans.pop()
