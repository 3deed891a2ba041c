"""What is seen of a node that has said goodbye for a while, or was stopped by its operator, and of what it runs."""

from typing import Any

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.instances.ps import _note
from omnitide.cli.nodes.nodes import _status
from omnitide.cli.top.words import node_state
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_instance
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.inventory import show_node


def _with_one_instance(**fields: Any) -> tuple[MemoryRuntime, str]:
    """`Any`: fields of an AgentSpec."""
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    what = AgentSpec(command=("x",), **fields)
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=what, replicas=1))
    runtime.settle()
    (instance,) = runtime.state.instances
    return runtime, instance


async def test_it_is_shown_as_away_everywhere_and_what_it_runs_as_it_was() -> None:
    runtime, identifier = _with_one_instance()
    instance = runtime.state.instances[identifier]
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.DepartNode(node="n-alpha", session=session, reason="upgrade", back_within_ms=30_000))
    state = runtime.state

    node = show_node(state.nodes["n-alpha"], None)
    assert (node.status, _status(node).text) == ("live", "away, back within 30 s")
    (concern,) = [one for one in await concerns(runtime, state, runtime.now_ms()) if one.subject == "node alpha"]
    assert concern.text == "away, back within 30 s of its goodbye: upgrade"

    shown = show_instance(state, state.instances[instance.id])
    assert (shown.status, shown.unknown_since_ms) == ("running", 0)
    assert "node alpha is away, back within 30 s" in _note(shown)
    explained = await explain_instance(runtime, state, state.instances[instance.id], 0)
    assert explained.text.endswith("; node alpha is away, back within 30 s: this is what it was then")


@pytest.mark.parametrize("status", ["live", "unreachable", "lost"])
async def test_one_that_its_operator_stopped_is_shown_as_that_everywhere_and_no_return_is_told(status: str) -> None:
    runtime, instance = _with_one_instance(on_disconnect="keep")
    session = runtime.nodes["alpha"].session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="stopped", back_within_ms=30_000, stopped=True)
    runtime.apply(leave)
    stopped_ms = runtime.now_ms()
    runtime.tick(60_000)
    if status != "live":
        runtime.apply(cm.SuspectNode(node="n-alpha", session=session, cause="stopped"))
    if status == "lost":
        lost = cm.DeclareLost(node="n-alpha", session=session, silent_ms=60_000, default_lost_after_ms=1000)
        runtime.apply(lost)
    state = runtime.state

    node = show_node(state.nodes["n-alpha"], None)
    assert (node.status, node.stopped_ms) == (status, stopped_ms)
    assert _status(node).text.startswith("stopped by its operator ")
    (concern,) = [one for one in await concerns(runtime, state, runtime.now_ms()) if one.subject == "node alpha"]
    assert (concern.text, concern.since_ms) == ("stopped by its operator 1 m ago", stopped_ms)

    shown = show_instance(state, state.instances[instance])
    assert shown.status == ("running" if status == "live" else "unknown")
    assert shown.unknown_because == "node alpha was stopped by its operator"
    assert shown.unknown_because in _note(shown)
    explained = await explain_instance(runtime, state, state.instances[instance], 0)
    assert shown.unknown_because in explained.text
    assert "back within" not in explained.text


async def test_one_that_has_left_the_fabric_is_shown_as_that_and_not_as_stopped_or_silent() -> None:
    runtime, instance = _with_one_instance(on_disconnect="keep")
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.DepartNode(node="n-alpha", session=session, reason="left the fabric", back_within_ms=0))
    runtime.tick(60_000)
    state = runtime.state

    node = show_node(state.nodes["n-alpha"], None)
    assert _status(node).text.startswith("left ")
    assert (node_state(node).text, node_state(node).tone) == ("left", "off")
    (concern,) = [one for one in await concerns(runtime, state, runtime.now_ms()) if one.subject == "node alpha"]
    assert (concern.text, concern.hint) == ("left 1 m ago", "omnitide nodes rm alpha")
    assert show_instance(state, state.instances[instance]).unknown_because == "node alpha has left"
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=2))
    (waits,) = runtime.state.pending
    assert "alpha: left" in (await runtime.explain(waits, 0)).text


async def test_what_waits_for_a_stopped_node_is_not_told_when_it_is_expected() -> None:
    runtime, _ = _with_one_instance()
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=2))
    leave = cm.DepartNode(node="n-alpha", session=session, reason="stopped", back_within_ms=30_000, stopped=True)
    runtime.apply(leave)
    (waits,) = runtime.state.pending
    for _ in range(2):
        told = await runtime.explain(waits, 0)
        assert [way.text for way in told.when] == ["alpha is started again (its operator stopped it)"]
        assert "alpha: stopped" in told.text
        runtime.apply(cm.SuspectNode(node="n-alpha", session=session, cause="stopped"))
