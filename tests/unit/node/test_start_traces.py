"""Spans of a start on a node."""

from collections.abc import Generator

import pytest

from omnitide.drivers.protocol import Launch, Run, RunKey, RunState
from omnitide.node.instructions import StartRun
from omnitide.node.start_traces import MAX_ATTEMPTS, StartTrace
from omnitide.node.stimuli import Started, StartFailed, StartUnknown
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.context import Place, correlation_of, session_span, start_span
from omnitide.telemetry.tracing.spans import Span

CALL = Place("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
CORRELATION = correlation_of(CALL)
KEY = RunKey("web.1.1", 1)


@pytest.fixture
def found() -> Generator[list[Span]]:
    made: list[Span] = []
    spans.send_to(made.append)
    yield made
    spans.send_to(None)


def start(correlation: str = CORRELATION, attempt: int = 1) -> StartTrace | None:
    launch = Launch(key=RunKey("web.1.1", attempt), name="web-1.1", command=("serve",), environment={})
    return StartTrace.of(StartRun(driver="process", launch=launch, correlation=correlation))


def test_a_start_stands_under_what_nexus_tells_of_and_has_two_parts(found: list[Span]) -> None:
    trace = start()
    assert trace is not None
    trace.prepared()
    trace.end(Started(at_ms=1, driver="process", run=Run(key=KEY, state=RunState.RUNNING, handle="7")))
    prepare, driver, whole = found
    assert (whole.name, prepare.name, driver.name) == ("start web-1.1", "prepare", "driver process")
    assert whole.place == Place(CALL.trace_id, start_span(CORRELATION, "web.1.1", 1))
    assert whole.parent_id == session_span(CORRELATION, "web.1.1")
    assert prepare.parent_id == driver.parent_id == whole.place.span_id
    assert prepare.end_ns == driver.start_ns
    assert not any(span.error for span in found)
    assert whole.attributes["omnitide.attempt"] == 1


def test_what_could_not_be_prepared_never_came_to_its_driver(found: list[Span]) -> None:
    trace = start()
    assert trace is not None
    trace.end(StartFailed(at_ms=1, key=KEY, message="no such image", cause="image-missing", permanent=True))
    assert [(span.name, span.error) for span in found] == [
        ("prepare", "no such image"),
        ("start web-1.1", "no such image"),
    ]


def test_a_driver_that_does_not_answer_is_an_error(found: list[Span]) -> None:
    trace = start()
    assert trace is not None
    trace.prepared()
    trace.end(StartUnknown(at_ms=1, key=KEY))
    assert [bool(span.error) for span in found] == [False, True, True]


def test_what_is_not_traced_or_ends_again_and_again_leaves_nothing(found: list[Span]) -> None:
    assert start("c-1") is None
    assert start(attempt=MAX_ATTEMPTS) is not None
    assert start(attempt=MAX_ATTEMPTS + 1) is None
    spans.send_to(None)
    assert start() is None
    assert found == []
