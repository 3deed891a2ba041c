"""What an instance is handed of the trace that it comes of."""

from msgspec.structs import replace

from omnitide.model.spec import AgentSpec
from omnitide.node.launching import NodeContext, make_launch
from omnitide.node.records import Assignment, Goal
from omnitide.telemetry.tracing.context import Place, correlation_of, session_span, start_span

PLACE = Place("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
CORRELATION = correlation_of(PLACE, "deploy-42")
ASSIGNMENT = Assignment(
    instance="web.1.2",
    name="web-1.2",
    namespace="default",
    kind="agent",
    workload="web",
    version=7,
    slot=1,
    generation=2,
    goal=Goal.RUN,
    spec_key="web/7",
    correlation=CORRELATION,
)


def environment(assignment: Assignment = ASSIGNMENT, *, traced: bool, **own: str) -> dict[str, str]:
    context = NodeContext(node_name="alpha", traced=traced)
    return dict(make_launch(assignment, AgentSpec(command=("serve",), environment=own), "", 3, context).environment)


def test_it_goes_on_from_its_own_start_where_the_node_tells_of_that() -> None:
    above = start_span(CORRELATION, "web.1.2", 3)
    assert environment(traced=True)["TRACEPARENT"] == f"00-{PLACE.trace_id}-{above}-01"


def test_else_from_what_nexus_tells_of_it() -> None:
    above = session_span(CORRELATION, "web.1.2")
    assert environment(traced=False)["TRACEPARENT"] == f"00-{PLACE.trace_id}-{above}-01"


def test_one_of_a_call_that_is_not_traced_is_handed_nothing() -> None:
    assert "TRACEPARENT" not in environment(replace(ASSIGNMENT, correlation="c-1"), traced=True)


def test_what_its_spec_says_wins() -> None:
    assert environment(traced=True, TRACEPARENT="mine")["TRACEPARENT"] == "mine"
