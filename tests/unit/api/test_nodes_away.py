"""What is seen of a node that has said goodbye for a while, or was stopped by its operator, and of what it runs."""

from typing import Any

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.fabric.status import _node_words, _states
from omnitide.cli.instances.ps import _note, _word
from omnitide.cli.nodes.nodes import _status
from omnitide.cli.top.words import instance_state, node_state
from omnitide.fabric import commands as cm
from omnitide.fabric.rejection import Rejection
from omnitide.model import inventory as inv
from omnitide.model.spec import AgentSpec
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_instance
from omnitide.operations.exposing import samples
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.scraping import node_samples
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


async def _status_of(runtime: MemoryRuntime) -> inv.FabricStatus:
    declaration = REGISTRY["fabric.status"]
    context = Context(principal="system:test", correlation="c")
    return (await perform(declaration, runtime, context, declaration.input())).value  # type: ignore[arg-type]


SHOWN = ("away", "joined", "left", "live", "lost", "stalled", "stopped", "unreachable")


async def _found(runtime: MemoryRuntime, status: str) -> bool:
    """Whether the list of nodes of that status has the one that there is."""
    declaration = REGISTRY["nodes.list"]
    context = Context(principal="system:test", correlation="c")
    answer = await perform(declaration, runtime, context, declaration.input(status=status))
    return bool(answer.value.items)  # type: ignore[attr-defined]


async def test_it_is_shown_as_away_everywhere_and_what_it_runs_as_it_was() -> None:
    runtime, identifier = _with_one_instance()
    instance = runtime.state.instances[identifier]
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.DepartNode(node="n-alpha", session=session, reason="upgrade", back_within_ms=30_000))
    state = runtime.state

    node = show_node(state.nodes["n-alpha"], None)
    assert (node.status, _status(node).text) == ("live", "away, back within 30 s")
    assert [one for one in SHOWN if await _found(runtime, one)] == ["away", "live"], "it is counted as that"
    (concern,) = [one for one in await concerns(runtime, state, runtime.now_ms()) if one.subject == "node alpha"]
    assert concern.text == "away, back within 30 s of its goodbye: upgrade"

    shown = show_instance(state, state.instances[instance.id])
    assert (shown.status, shown.unknown_since_ms) == ("running", 0)
    assert (_word(shown), instance_state(shown).text) == ("away", "away")
    assert _note(shown).startswith("was running, node alpha is away, back within 30 s")
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
    assert [one for one in SHOWN if await _found(runtime, one)] == ["stopped"]
    (concern,) = [one for one in await concerns(runtime, state, runtime.now_ms()) if one.subject == "node alpha"]
    assert (concern.text, concern.since_ms) == ("stopped by its operator 1 m ago", stopped_ms)
    refused = runtime.dry_run(cm.RemoveNode(node="alpha"), cm.Header(principal="system:test", time_ms=runtime.now_ms()))
    assert isinstance(refused, Rejection) == (status == "live")
    assert ("omnitide nodes rm alpha" in concern.hint) == (status != "live")

    shown = show_instance(state, state.instances[instance])
    assert shown.status == ("running" if status == "live" else "unknown")
    assert shown.unknown_because == "node alpha was stopped by its operator"
    assert _note(shown).startswith(f"was running, {shown.unknown_because}")
    word = "away" if status == "live" else "unknown"
    assert (_word(shown), instance_state(shown).text) == (word, word)
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
    assert [one for one in SHOWN if await _found(runtime, one)] == ["left"]
    assert (await _status_of(runtime)).nodes == inv.NodeCounts(left=1)
    assert _node_words((await _status_of(runtime)).nodes) == "0 live, 1 left"
    gauges = {one.labels[0][1]: one.value for one in samples(runtime) if one.name == "omnitide_nodes"}
    assert {status for status, number in gauges.items() if number} == {"left"}
    own = [one for one in node_samples(runtime, "alpha") if one.name == "omnitide_node_status" and one.value]
    assert [dict(one.labels)["status"] for one in own] == ["left"]
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=2))
    (waits,) = runtime.state.pending
    assert "1 of 1 node has left (alpha)" in (await runtime.explain(waits, 0)).text


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


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_it_runs_is_counted_as_away_by_whoever_counts(stopped: bool) -> None:
    runtime, _ = _with_one_instance()
    session = runtime.nodes["alpha"].session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="off", back_within_ms=30_000, stopped=stopped)
    runtime.apply(leave)
    status = await _status_of(runtime)
    assert (status.instances.running, status.away.running) == (1, 1)
    assert _states(status) == ["1 away"]
    runtime.apply(cm.SuspectNode(node="n-alpha", session=session, cause="goodbye"))
    status = await _status_of(runtime)
    assert (status.instances.unknown, status.away) == (1, type(status.away)())
    assert _states(status) == ["1 unknown"]


async def test_one_that_ends_again_and_again_is_counted_once_when_its_node_is_away() -> None:
    runtime, instance = _with_one_instance()
    for _ in range(3):
        runtime.exit(instance, code=1)
        runtime.settle(in_no_time=True)
    assert (await _status_of(runtime)).failing.running == 1
    session = runtime.nodes["alpha"].session
    runtime.apply(cm.DepartNode(node="n-alpha", session=session, reason="upgrade", back_within_ms=30_000))
    assert _states(await _status_of(runtime)) == ["1 away"]


@pytest.mark.parametrize("then", ["live", "unreachable", "lost"])
async def test_a_stopped_node_is_counted_once_as_that_and_has_no_room(then: str) -> None:
    runtime, _ = _with_one_instance(on_disconnect="keep")
    runtime.add_node("beta", cpu=1000)
    session = runtime.nodes["alpha"].session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="stopped", back_within_ms=30_000, stopped=True)
    runtime.apply(leave)
    if then != "live":
        runtime.apply(cm.SuspectNode(node="n-alpha", session=session, cause="stopped"))
    if then == "lost":
        lost = cm.DeclareLost(node="n-alpha", session=session, silent_ms=60_000, default_lost_after_ms=1000)
        runtime.apply(lost)
    status = await _status_of(runtime)
    assert status.nodes == inv.NodeCounts(live=1, stopped=1)
    assert (status.cpu_milli, status.reserved_cpu_milli) == (1000, 0)
    assert _node_words(status.nodes) == "1 live, 1 stopped"
    gauges = {one.labels[0][1]: one.value for one in samples(runtime) if one.name == "omnitide_nodes"}
    assert gauges == {"joined": 0, "live": 1, "stalled": 0, "stopped": 1, "left": 0, "unreachable": 0, "lost": 0}
    own = [one for one in node_samples(runtime, "alpha") if one.name == "omnitide_node_status" and one.value]
    assert [dict(one.labels)["status"] for one in own] == ["stopped"]

    runtime.connect("alpha")
    assert (await _status_of(runtime)).nodes == inv.NodeCounts(live=2)


async def test_that_no_node_is_live_is_said_as_soon_as_the_last_is_stopped() -> None:
    runtime, _ = _with_one_instance()
    session = runtime.nodes["alpha"].session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="stopped", back_within_ms=30_000, stopped=True)
    runtime.apply(leave)
    status = await _status_of(runtime)
    assert (status.nodes.live, status.concerns[0].subject) == (0, inv.WHOLE)


async def test_a_drain_of_a_stopped_node_waits_for_the_node_and_is_no_concern_of_its_own() -> None:
    runtime, _ = _with_one_instance()
    runtime.apply(cm.DrainNode(node="alpha"))
    session = runtime.nodes["alpha"].session
    leave = cm.DepartNode(node="n-alpha", session=session, reason="stopped", back_within_ms=30_000, stopped=True)
    runtime.apply(leave)
    told = [one.text for one in (await _status_of(runtime)).concerns if one.subject == "node alpha"]
    assert told == ["stopped by its operator 0 ms ago"]
