"""Whatever bytes come, the answer is an answer: never a fault of ours, never anything but JSON of a known kind."""

import asyncio
import json
import string
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.memory_runtime import MemoryRuntime
from tests.support.served_api import Served

from omnitide.api.app import make_app
from omnitide.model.problem import KINDS, PROBLEM_MEDIA_TYPE
from omnitide.operations.registry import REGISTRY

PATHS = sorted({one.path for one in REGISTRY if one.name not in ("events.watch", "instances.logs", "logs.search")})
HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["..", "%00", "%2e%2e", "\u202e", "a" * 500, "-1", "0", "null", "default", "hello", "𝄞", "'--"]),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["64MiB", "1e999", "9" * 400, "\0", "${A}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
FIELDS = sorted({field for one in REGISTRY for field in one.input.__struct_fields__})
BODIES = st.dictionaries(st.sampled_from([*FIELDS, "spec", "x"]), VALUES, max_size=4)
HEADERS = st.dictionaries(
    st.sampled_from(["If-Match", "If-None-Match", "Idempotency-Key", "X-Request-Id", "traceparent", "Accept"]),
    st.text(string.printable.strip(), max_size=40),
    max_size=3,
)


def checked(response: httpx.Response) -> None:
    assert response.status_code != 500, response.text
    assert response.headers["omnitide-correlation"].isprintable()
    body = response.json() if response.content else {}
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert response.headers["content-type"] == PROBLEM_MEDIA_TYPE
        assert KINDS[body["code"]].status == response.status_code


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(PATHS),
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    st.lists(HOSTILE, min_size=3, max_size=3),
    st.dictionaries(st.sampled_from([*FIELDS, "dry_run", "min_revision"]) | st.text(max_size=8), HOSTILE, max_size=3),
    st.one_of(st.none(), BODIES.map(lambda body: json.dumps(body).encode()), st.binary(max_size=60)),
    HEADERS,
)
async def test_no_request_is_a_fault_of_ours(
    path: str, method: str, parts: list[str], query: dict[str, str], body: bytes | None, headers: dict[str, str]
) -> None:
    """In memory, below the server: thousands of requests in the time of one."""
    runtime = MemoryRuntime()
    from urllib.parse import quote

    for part in parts:
        head, brace, tail = path.partition("{")
        if brace:
            path = head + quote(part, safe="") + tail.partition("}")[2]
    if "min_revision" in query:
        query = {**query, "min_revision": "0"}  # waiting for a far revision is tested elsewhere
    transport = httpx.ASGITransport(app=make_app(runtime), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        try:
            request = client.build_request(method, path, params=query, content=body, headers=headers)
        except (httpx.InvalidURL, UnicodeEncodeError):
            return
        request.headers["Authorization"] = f"Bearer {runtime.api_token()}"
        checked(await client.send(request))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
async def test_no_bytes_on_the_wire_stop_the_server(data: bytes) -> None:
    runtime = MemoryRuntime()
    from omnitide.api.server import ApiServer

    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, None)
    try:
        for prefix in (b"", b"GET /v1/fabric HTTP/1.1\r\nHost: x\r\n", b"PUT /v1/join HTTP/1.1\r\nHost: x\r\n\r\n"):
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(prefix + data)
            writer.close()
        async with httpx.AsyncClient(base_url=server.url, verify=False) as client:
            assert (await client.get("/health/live")).status_code == 200
    finally:
        server._server.should_exit = True
        await server.close()


SPECS: list[dict[str, Any]] = [
    {"command": ["x"] * 1025},
    {"command": ["x" * 32_769]},
    {"command": ["x"], "environment": {f"K{n}": "v" for n in range(513)}},
    {"command": ["x"], "environment": {"1A": "v"}},
    {"command": ["x"], "ports": {f"p{n}": {} for n in range(33)}},
    {"command": ["x"], "ports": {"http": {"port": -1}}},
    {"command": ["x"], "labels": {"-": "x"}},
    {"command": ["x"], "constraints": [{"label": "zone", "operator": "~"}]},
    {"command": ["x"], "resources": {"cpu": -1}},
    {"command": ["x"], "resources": {"memory": "1e3"}},
    {"command": ["x"], "resources": {"memory": "99999999999TiB"}},
    {"command": ["x"], "logs": {"max_files": 0}},
    {"command": ["x"], "update": {"max_unavailable": 0}},
    {"command": ["x"], "stop": {"signal": "SIGSTOP"}},
    {"command": ["x"], "driver": "Process"},
]


@pytest.mark.parametrize("spec", SPECS, ids=range(len(SPECS)))
async def test_specs_beyond_the_bounds_are_refused_with_the_field(served: Served, spec: dict[str, Any]) -> None:
    response = await served.client.put("/v1/namespaces/default/agents/x", json={"spec": spec})
    assert response.status_code == 422
    assert all(error["field"].startswith("spec.") for error in response.json()["errors"])
    assert served.runtime.state.agents.get("x") is None
