"""Calls over REST that are traced: their span, the correlation that carries it, and who causes none."""

from collections.abc import Generator

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.app import make_app
from omnitide.api.call_traces import CallTraces
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.choosing import Choice
from omnitide.telemetry.tracing.context import place_of
from omnitide.telemetry.tracing.spans import Span

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPEC = {"spec": {"command": ["sleep", "60"]}}
PATH = "/v1/namespaces/default/agents/hello"


class Called:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.runtime = MemoryRuntime()
        self.runtime.add_node("alpha")
        self.token = self.runtime.api_token()
        self.app = make_app(self.runtime, traces=CallTraces(Choice(100, {})))

    async def __call__(self, method: str, path: str, *, token: str | None = None, **headers: str) -> httpx.Response:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        told["Authorization"] = f"Bearer {self.token if token is None else token}"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://nexus") as client:
            return await client.request(method, path, headers=told, json=SPEC if method == "PUT" else None)


@pytest.fixture
def called() -> Generator[Called]:
    made = Called()
    spans.send_to(made.spans.append)
    yield made
    spans.send_to(None)


async def test_a_change_is_a_span_under_its_callers_and_the_instance_carries_it(called: Called) -> None:
    answer = await called("PUT", PATH, traceparent=f"00-{TRACE}-{SPAN}-01", x_request_id="deploy-42")
    assert answer.status_code == 201
    (span,) = called.spans
    assert (span.place.trace_id, span.parent_id, span.kind, span.error) == (TRACE, SPAN, "server", "")
    assert span.name == "PUT /v1/namespaces/{namespace}/agents/{name}"
    assert span.attributes["http.response.status_code"] == 201
    assert span.attributes["omnitide.request_id"] == "deploy-42"
    correlation = answer.headers["omnitide-correlation"]
    assert correlation == f"{TRACE}-{span.place.span_id}-deploy-42"
    (instance,) = called.runtime.committed().instances.values()
    assert instance.correlation == correlation
    assert called.runtime.log[-1].correlation == correlation


async def test_one_without_a_caller_begins_a_trace(called: Called) -> None:
    answer = await called("PUT", PATH)
    (span,) = called.spans
    assert span.parent_id == ""
    assert place_of(answer.headers["omnitide-correlation"]) == span.place


async def test_what_only_reads_is_traced_where_its_caller_traces(called: Called) -> None:
    assert (await called("GET", "/v1/nodes")).headers["omnitide-correlation"].startswith("c-")
    assert called.spans == []
    await called("GET", "/v1/nodes", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert [span.name for span in called.spans] == ["GET /v1/nodes"]


async def test_a_caller_that_does_not_trace_is_found_by_its_trace_all_the_same(called: Called) -> None:
    answer = await called("PUT", PATH, traceparent=f"00-{TRACE}-{SPAN}-00")
    assert answer.headers["omnitide-correlation"] == TRACE
    assert called.spans == []


async def test_a_refusal_is_no_error_of_nexus(called: Called) -> None:
    await called("POST", "/v1/namespaces/default/agents/nobody/restart")
    (span,) = called.spans
    assert (span.attributes["http.response.status_code"], span.error) == (404, "")


async def test_strangers_cause_no_spans(called: Called) -> None:
    answer = await called("PUT", PATH, token="oma_nonsense", traceparent=f"00-{TRACE}-{SPAN}-01")
    assert answer.status_code == 401
    assert called.spans == []


async def test_where_nobody_takes_spans_all_is_as_before(called: Called) -> None:
    spans.send_to(None)
    answer = await called("PUT", PATH, traceparent=f"00-{TRACE}-{SPAN}-01")
    assert answer.headers["omnitide-correlation"] == TRACE
