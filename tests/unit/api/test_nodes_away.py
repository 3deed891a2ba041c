"""What is seen of a node that has said goodbye for a while, and of what it runs, until its lease has run out."""

from tests.support.memory_runtime import MemoryRuntime

from omnitide.cli.instances.ps import _note
from omnitide.cli.nodes.nodes import _status
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec
from omnitide.operations.concerns import concerns
from omnitide.operations.explaining import explain_instance
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.inventory import show_node


async def test_it_is_shown_as_away_everywhere_and_what_it_runs_as_it_was() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.apply(
        cm.DeployAgent(agent="web", namespace="default", name="web", spec=AgentSpec(command=("x",)), replicas=1)
    )
    runtime.settle()
    (instance,) = runtime.state.instances.values()
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
