"""Verdicts agree with what `place` does and with what the reference knows."""

from typing import Any

import msgspec
from hypothesis import given, settings
from msgspec.structs import replace
from tests.property.scheduler import reference
from tests.property.scheduler.worlds import build, recipes

from omnitide.scheduler.ask import Ask, Waiter, requirements_of
from omnitide.scheduler.explain import explain
from omnitide.scheduler.explanation import Explanation
from omnitide.scheduler.place import place
from omnitide.scheduler.table import NodeTable


@given(recipes)
@settings(max_examples=200)
def test_verdicts(recipe: dict[str, Any]) -> None:
    state = build(recipe)
    table = NodeTable(state)
    now, empty = reference.left_now(state), reference.left_when_empty(state)
    everywhere = list(state.nodes.values())
    for agent in state.agents.values():
        need = requirements_of(agent.spec)
        told = explain(table, need, workload=agent.id, node_limit=100)
        lone = Ask(workload=agent.id, version=1, need=need, waiters=[Waiter(99, 1, "x.99.1")], total=1)
        made = place(table, [lone])
        assert (told.verdict == "fits-now") == bool(made.choices)
        if made.choices:
            assert state.nodes[made.choices[0].node].name == told.first_choice
        fitting = {node.id for node in everywhere if reference.fits(node, now[node.id], agent.spec)}
        assert told.fitting == len(fitting)
        possible = {
            node.id
            for node in everywhere
            if reference.could_ever(node, agent.spec) and reference.has_room(node, empty[node.id], agent.spec)
        }
        assert (told.verdict == "never") == (not possible)
        assert {way.node for way in told.when} <= possible
        assert bool(told.when) == (told.verdict == "fits-when")
        assert {row.node: row.fits for row in told.table} == {node.id: node.id in fitting for node in everywhere}
        lasting = {row.node for row in told.table if any(failure.lasting for failure in row.failures)}
        assert lasting == {node.id for node in everywhere} - possible
        if everywhere:
            assert bool(told.reasons) == (len(fitting) < len(everywhere))
            assert (told.nearest is None) == (bool(fitting) or all(node.left for node in everywhere))
        assert told.text.endswith(".")


@given(recipes)
@settings(max_examples=100)
def test_the_other_nodes_of_a_table_are_a_table_of_the_other_nodes(recipe: dict[str, Any]) -> None:
    state = build(recipe)
    table = NodeTable(state)
    for one in sorted(state.nodes):
        others, fresh = table.without(one), NodeTable(replace(state, nodes=state.nodes.delete(one)))
        for agent in state.agents.values():
            need = requirements_of(agent.spec)
            told, wanted = (explain(each, need, workload=agent.id, node_limit=100) for each in (others, fresh))
            assert _plain(told) == _plain(wanted)
            assert "known node" not in told.text or not len(others)


def _plain(told: Explanation) -> str:
    """Without what tells other nodes from all of them."""
    return msgspec.json.encode(told).decode().replace("other node", "node").replace("o known node", "o node")
