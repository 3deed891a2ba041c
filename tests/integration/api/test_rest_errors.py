"""Whatever goes wrong is a problem (RFC 9457) that names the thing, the reason and the next step if there is one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.support.served_api import SPEC, Served, is_problem

from omnitide.api import rest
from omnitide.fabric.rejection import Rejection
from omnitide.operations import events
from omnitide.operations.runtime import Limits, NotServing

AGENT = "/v1/namespaces/default/agents/hello"


async def test_nothing_is_open_but_what_says_so(served: Served) -> None:
    paths = (await served.client.get("/v1/openapi.json")).json()["paths"]
    async with httpx.AsyncClient(base_url=served.server.url, verify=False) as stranger:
        for path, methods in paths.items():
            address = path.replace("{", "").replace("}", "")
            for method, operation in methods.items():
                response = await stranger.request(method, address, json={} if method in ("put", "post") else None)
                if operation.get("security") == [] or {} in operation.get("security", []):
                    assert response.status_code != 401 or path == "/v1/join"
                else:
                    is_problem(response, 401, "unauthenticated")
                    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_wrong_token(served: Served) -> None:
    for header in ("Bearer nonsense", "Bearer oma_x_y", "Basic YWRtaW46YWRtaW4="):
        is_problem(await served.client.get("/v1/fabric", headers={"Authorization": header}), 401, "unauthenticated")


async def test_too_many_wrong_tokens(served: Served) -> None:
    statuses = [
        (await served.client.get("/v1/fabric", headers={"Authorization": "Bearer wrong"})).status_code
        for _ in range(25)
    ]
    assert statuses == [401] * 20 + [429] * 5
    last = await served.client.get("/v1/fabric", headers={"Authorization": "Bearer wrong"})
    is_problem(last, 429, "throttled")
    assert int(last.headers["retry-after"]) >= 1
    assert (await served.client.get("/v1/fabric")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no-route"),
        ("GET", "/v2/fabric", 404, "no-route"),
        ("GET", "/v1/fabric/", 404, "no-route"),
        ("GET", "/v1/namespaces/default/agents/a%2Fb", 422, "invalid"),
        ("POST", "/v1/fabric", 405, "method-not-allowed"),
        ("PATCH", AGENT, 405, "method-not-allowed"),
        ("GET", AGENT, 404, "not-found"),
        ("GET", "/v1/nodes/nowhere", 404, "not-found"),
        ("GET", "/v1/instances/none", 404, "not-found"),
        ("GET", "/v1/instances/none/logs", 404, "not-found"),
        ("DELETE", "/v1/tokens/none", 404, "not-found"),
        ("DELETE", "/v1/namespaces/default", 409, "conflict"),
        ("GET", "/v1/namespaces/Default/agents/hello", 422, "invalid"),
        ("GET", "/v1/agents?limit=0", 422, "invalid"),
        ("GET", "/v1/agents?limit=1001", 422, "invalid"),
        ("GET", "/v1/agents?limit=ten", 422, "invalid"),
        ("GET", "/v1/agents?limit=1&limit=2", 422, "invalid"),
        ("GET", "/v1/agents?nonsense=1", 422, "invalid"),
        ("GET", "/v1/agents?cursor=AAAA", 422, "invalid"),
        ("GET", "/v1/agents?min_revision=-1", 422, "invalid"),
        ("GET", "/v1/agents?min_revision=soon", 422, "invalid"),
        ("GET", "/v1/agents?dry_run=true", 422, "invalid"),
        ("GET", "/v1/instances?status=odd", 422, "invalid"),
        ("GET", "/v1/instances?all=maybe", 422, "invalid"),
        ("GET", "/v1/events?after=-1", 422, "invalid"),
        ("GET", "/v1/agents?x=" + "y" * 9000, 414, "uri-too-long"),
        ("GET", "/v1/agents?" + "&".join(f"a{n}=1" for n in range(200)), 400, "malformed"),
        ("GET", "/v1/agents?namespace=%ff", 400, "malformed"),
        ("DELETE", AGENT + "?dry_run=perhaps", 422, "invalid"),
    ],
)
async def test_addresses(served: Served, method: str, path: str, status: int, code: str) -> None:
    is_problem(await served.client.request(method, path), status, code)


@pytest.mark.parametrize("number", ["99999999999999999999", "-99999999999999999999"])
async def test_a_number_beyond_all_bounds_is_refused_as_a_number(served: Served, number: str) -> None:
    detail = is_problem(await served.client.get(f"/v1/events?after={number}"), 422, "invalid")["detail"]
    assert "text" not in detail
    assert "after: " in detail


async def test_a_method_that_is_not_there_says_which_are(served: Served) -> None:
    problem = is_problem(await served.client.patch(AGENT), 405, "method-not-allowed")
    for method in ("GET", "PUT", "DELETE"):
        assert method in problem["hint"]


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"{", 400, "malformed", "line 1"),
        (b'{"spec":\n  {"command": [1,]}}', 400, "malformed", "line 2, column 18"),
        (b"\xff\xfe", 400, "malformed", ""),
        (b'{"spec": {"command": ["\xff"]}}', 400, "malformed", ""),
        (b"[" * 100_000, 400, "malformed", "nested"),
        (b'{"spec": {"command": ["x"]}, "replicas": 1, "replicas": 2}', 400, "malformed", "'replicas' twice"),
        (b'{"spec": {"command": ["a:b"], "labels": {"a" : "x", "a": "y"}}}', 400, "malformed", "'a' twice"),
        (b"[]", 422, "invalid", "object"),
        (b"null", 422, "invalid", "object"),
        (b'"text"', 422, "invalid", "object"),
        (b"{}", 422, "invalid", "spec: is missing"),
        (b'{"spec": {}}', 422, "invalid", "spec.command: is missing"),
        (b'{"spec": {"command": ["x"]}, "name": "other"}', 422, "invalid", "given by the path"),
        (b'{"spec": {"command": ["x"]}, "replicas": 1.5}', 422, "invalid", "whole number"),
        (b'{"spec": {"command": ["x"]}, "replicas": "3"}', 422, "invalid", "whole number"),
        (b'{"spec": {"command": ["x"]}, "replicas": 1e99}', 422, "invalid", "replicas"),
        (b'{"spec": {"command": ["x"]}, "replicas": 99999999999999999999999}', 422, "invalid", "replicas"),
        (b'{"spec": {"command": ["x\\u0000"]}}', 422, "invalid", "spec.command[0]"),
        (b'{"spec": {"command": ["x"], "comand": 1}}', 422, "invalid", "unknown field"),
        (b'{"spec": {"command": ["x"], "resources": {"cpu": "64"}}}', 422, "impossible", "no node"),
    ],
)
async def test_bodies(served: Served, body: bytes, status: int, code: str, words: str) -> None:
    response = await served.client.put(AGENT, content=body, headers={"Content-Type": "application/json"})
    assert words in is_problem(response, status, code)["detail"]


async def test_every_fault_of_a_body_is_named_with_a_pointer(served: Served) -> None:
    body = {"spec": {"command": ["x"], "restart": {"policy": "odd"}, "limits": {"cpu": "much"}}, "replicas": -1}
    problem = is_problem(await served.client.put(AGENT, json=body), 422, "invalid")
    assert {error["pointer"] for error in problem["errors"]} == {
        "/spec/restart/policy",
        "/spec/limits/cpu",
        "/replicas",
    }


async def test_a_body_of_another_kind(served: Served) -> None:
    response = await served.client.put(AGENT, content=b"spec: {}", headers={"Content-Type": "application/yaml"})
    is_problem(response, 415, "unsupported-media-type")
    response = await served.client.put(
        AGENT, content=json.dumps({"spec": SPEC}).encode(), headers={"Content-Type": "application/merge-patch+json"}
    )
    assert response.status_code == 201


@pytest.mark.parametrize("size", [1001, 200_000, 3_000_000])
async def test_a_body_that_is_too_large(served: Served, size: int) -> None:
    """Not far over the limit the sender hears why, however it sends."""
    served.runtime.bounds = Limits(body_bytes=1000)
    is_problem(await served.client.put(AGENT, content=b"x" * size), 413, "too-large")

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, size, 50_000):
            yield b"x" * min(50_000, size - start)

    is_problem(await served.client.put(AGENT, content=pieces()), 413, "too-large")


async def test_a_body_without_an_end_is_cut_off(served: Served) -> None:
    served.runtime.bounds = Limits(body_bytes=1000)
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 1_000_000
            yield b"x" * 1_000_000

    with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        is_problem(await served.client.put(AGENT, content=endless()), 413, "too-large")
    assert sent < 30_000_000


async def test_a_stranger_cannot_send_without_an_end_either(served: Served) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 1_000_000
            yield b"x" * 1_000_000

    headers = {"Authorization": "Bearer wrong"}
    with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        await served.client.put(AGENT, content=endless(), headers=headers)
    assert sent < 30_000_000


async def test_a_body_that_does_not_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnitide.api import reading

    monkeypatch.setattr(reading, "BODY_TIME_S", 0.05)
    reader, writer = await asyncio.open_connection(served.server.host, served.server.port)
    head = f"PUT {AGENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b'{"spec"')
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    assert b"408" in answer
    writer.close()


async def test_a_spec_that_is_too_large_to_keep(served: Served) -> None:
    served.runtime.bounds = Limits(spec_bytes=1000)
    body = {"spec": {"command": ["x" * 5000]}}
    is_problem(await served.client.put(AGENT, json=body), 413, "too-large")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("not-found", 404),
        ("already-exists", 409),
        ("conflict", 409),
        ("invalid", 422),
        ("forbidden", 403),
        ("expired", 410),
        ("limit", 429),
        ("stale", 409),
        ("idempotency-mismatch", 422),
        ("impossible", 422),
    ],
)
async def test_each_refusal_of_the_core_has_its_status(served: Served, code: Any, status: int) -> None:
    served.runtime.join_outcome = Rejection(code=code, message="no", hint="do this", subject="node x")
    body = {"token": served.runtime.join_token(), "csr_pem": "csr", "facts": {}}
    problem = is_problem(await served.client.post("/v1/join", json=body), status, code)
    assert (problem["hint"], problem["subject"]) == ("do this", "node x")


async def test_a_full_disk_refuses_writes_with_a_reason_and_when_to_come_again(served: Served) -> None:
    served.runtime.refusing = NotServing("the disk of the event log is full")
    response = await served.client.post("/v1/namespaces", json={"name": "x"})
    problem = is_problem(response, 503, "not-serving")
    assert "disk" in problem["detail"]
    assert (problem["retryable"], response.headers["retry-after"]) == (True, "1")
    assert (await served.client.get("/v1/fabric")).status_code == 200
    served.runtime.refusing = None
    assert (await served.client.post("/v1/namespaces", json={"name": "x"})).status_code == 201


async def test_trimmed_events(served: Served) -> None:
    served.runtime.trim(4)
    problem = is_problem(await served.client.get("/v1/events?after=1"), 410, "trimmed")
    assert problem["first_revision"] == 4


async def test_events_after_a_revision_that_has_never_been(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an empty page: whoever asks holds a revision of another log, or has made a slip."""
    monkeypatch.setattr(events, "_FUTURE_WAIT_S", 0.01)
    newest = served.runtime.state.revision
    problem = is_problem(await served.client.get(f"/v1/events?after={newest + 900}"), 409, "unknown-revision")
    assert problem["detail"] == f"the fabric is at revision {newest} and has never had revision {newest + 900}"
    assert (problem["resume_revision"], problem.get("retryable", False)) == (newest, False)
    assert (await served.client.get(f"/v1/events?after={newest}")).json()["items"] == []


async def test_a_fault_of_ours_is_500_and_tells_nothing_of_the_inside(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(served.runtime, "readiness", broken)
    response = await served.client.get("/health/ready")
    is_problem(response, 500, "internal")
    assert "secret" not in response.text


async def test_too_many_requests_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MAX_IN_FLIGHT", 3)
    served.runtime.held = asyncio.Event()
    waiting = [asyncio.ensure_future(served.client.post("/v1/namespaces", json={"name": f"n{n}"})) for n in range(3)]
    async with asyncio.timeout(5):
        while True:
            response = await served.client.get("/v1/fabric")
            if response.status_code == 503:
                break
            await asyncio.sleep(0.01)
    is_problem(response, 503, "busy")
    served.runtime.held.set()
    assert [(await one).status_code for one in waiting] == [201] * 3
    assert (await served.client.get("/v1/fabric")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "abc"},
        {"If-Match": '"0"'},
        {"If-Match": "*"},
        {"If-Match": 'W/"3"'},
        {"If-Match": '"1", "2"'},
        {"If-None-Match": '"3"'},
        {"If-Match": '"3"', "If-None-Match": "*"},
        {"Idempotency-Key": "x" * 201},
    ],
)
async def test_headers_that_cannot_be_read(served: Served, headers: dict[str, str]) -> None:
    problem = is_problem(await served.client.put(AGENT, json={"spec": SPEC}, headers=headers), 400, "malformed")
    assert problem["errors"][0]["field"].startswith("header ")


async def test_a_precondition_where_none_is_taken(served: Served) -> None:
    response = await served.client.post("/v1/namespaces", json={"name": "x"}, headers={"If-Match": '"3"'})
    is_problem(response, 422, "invalid")


async def test_a_stranger_is_not_told_whether_something_exists() -> None:
    """The order of checks: who, then what."""
    runtime = MemoryRuntime()
    from omnitide.api.app import make_app

    transport = httpx.ASGITransport(app=make_app(runtime))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as stranger:
        for path in ("/v1/namespaces/default/agents/hello", "/v1/instances/none/logs", "/v1/events/stream"):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.put(AGENT, content=b"{" * 10)).status_code == 401
