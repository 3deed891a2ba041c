"""Every operation over HTTP, with a real server and a real client."""

import asyncio
import base64
from typing import Any

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime, until
from tests.support.served_api import SPEC, Served, is_problem

from omnitide.api.documents import with_documents
from omnitide.operations.registry import REGISTRY
from omnitide.operations.runtime import Check, NodeVolume
from omnitide.security.join_contract import CaAnswer, JoinAnswer

AGENT = "/v1/namespaces/default/agents/hello"
DATA = base64.b64encode(b"open-sesame").decode()
COMPOSE = {"path": "compose.yaml", "text": "services: {web: {image: nginx}}"}
JOB = {"spec": {"command": ["true"]}, "name": "once"}


def first_instance(runtime: MemoryRuntime) -> str:
    return min(runtime.state.instances)


CALLS: dict[str, tuple[str, str, dict[str, Any] | None, int]] = {
    "fabric.status": ("GET", "/v1/fabric", None, 200),
    "fabric.version": ("GET", "/v1/version", None, 200),
    "fabric.raise": ("POST", "/v1/fabric/feature-level", {"level": 1}, 200),
    "health.live": ("GET", "/health/live", None, 200),
    "health.ready": ("GET", "/health/ready", None, 200),
    "documents.openapi": ("GET", "/v1/openapi.json", None, 200),
    "documents.agent": ("GET", "/v1/schemas/agent.json", None, 200),
    "namespaces.list": ("GET", "/v1/namespaces", None, 200),
    "namespaces.create": ("POST", "/v1/namespaces", {"name": "team"}, 201),
    "namespaces.delete": ("DELETE", "/v1/namespaces/spare", None, 200),
    "tokens.list": ("GET", "/v1/tokens?purpose=join", None, 200),
    "tokens.create": ("POST", "/v1/tokens", {"purpose": "join", "ttl": "10m", "labels": {"zone": "a"}}, 201),
    "tokens.revoke": ("DELETE", "/v1/tokens/{token}", None, 200),
    "nodes.list": ("GET", "/v1/nodes?status=live", None, 200),
    "nodes.get": ("GET", "/v1/nodes/alpha", None, 200),
    "nodes.label": ("POST", "/v1/nodes/alpha/labels", {"labels": {"zone": "attic"}}, 200),
    "nodes.cordon": ("POST", "/v1/nodes/alpha/cordon", None, 200),
    "nodes.uncordon": ("POST", "/v1/nodes/alpha/uncordon", {}, 200),
    "nodes.drain": ("POST", "/v1/nodes/beta/drain", None, 200),
    "nodes.remove": ("DELETE", "/v1/nodes/beta?force=true", None, 200),
    "agents.list": ("GET", "/v1/agents?namespace=default", None, 200),
    "agents.get": ("GET", AGENT, None, 200),
    "agents.deploy": ("PUT", "/v1/namespaces/default/agents/new", {"spec": SPEC, "replicas": 2}, 201),
    "agents.scale": ("POST", AGENT + "/scale", {"replicas": 3}, 200),
    "agents.restart": ("POST", AGENT + "/restart", None, 200),
    "agents.stop": ("POST", AGENT + "/stop", None, 200),
    "agents.start": ("POST", AGENT + "/start", None, 200),
    "agents.delete": ("DELETE", AGENT, None, 200),
    "agents.rollback": ("POST", AGENT + "/rollback", {"version": 1}, 200),
    "agents.rollout": ("GET", AGENT + "/rollout", None, 200),
    "agents.pause": ("POST", AGENT + "/rollout/pause", None, 200),
    "agents.resume": ("POST", AGENT + "/rollout/resume", None, 200),
    "agents.versions": ("GET", AGENT + "/versions", None, 200),
    "agents.explain": ("GET", AGENT + "/explain?nodes=5", None, 200),
    "manifests.read": ("POST", "/v1/manifests", {"text": "name: a", "format": "yaml"}, 200),
    "manifests.write": ("GET", AGENT + "/manifest?format=toml", None, 200),
    "changes.foresee": ("POST", "/v1/foreseen", {"changes": [{"verb": "node.drain", "name": "alpha"}]}, 200),
    "imports.compose": ("POST", "/v1/imports/compose", {"files": [COMPOSE], "compose": ["compose.yaml"]}, 200),
    "view.watch": ("GET", "/v1/view", None, 426),
    "jobs.list": ("GET", "/v1/jobs?status=active", None, 200),
    "jobs.get": ("GET", "/v1/namespaces/default/jobs/long", None, 200),
    "jobs.run": ("POST", "/v1/namespaces/default/jobs", JOB, 201),
    "jobs.cancel": ("POST", "/v1/namespaces/default/jobs/long/cancel", None, 200),
    "jobs.delete": ("DELETE", "/v1/namespaces/default/jobs/long", None, 200),
    "instances.list": ("GET", "/v1/instances?agent=hello&all=true", None, 200),
    "instances.get": ("GET", "/v1/instances/{instance}", None, 200),
    "instances.restart": ("POST", "/v1/instances/{instance}/restart", None, 200),
    "instances.migrate": ("POST", "/v1/instances/{instance}/migrate", {"node": ""}, 200),
    "instances.explain": ("GET", "/v1/instances/{instance}/explain", None, 200),
    "instances.logs": ("GET", "/v1/instances/{instance}/logs", None, 200),
    "logs.search": ("GET", "/v1/logs?of=agent:hello&last=5", None, 200),
    "services.list": ("GET", "/v1/namespaces/default/services", None, 200),
    "services.get": ("GET", "/v1/namespaces/default/services/hello", None, 200),
    "secrets.list": ("GET", "/v1/secrets?namespace=default", None, 200),
    "secrets.get": ("GET", "/v1/namespaces/default/secrets/word", None, 200),
    "secrets.set": ("PUT", "/v1/namespaces/default/secrets/new", {"data": DATA}, 201),
    "secrets.remove": ("DELETE", "/v1/namespaces/default/secrets/word", None, 200),
    "configs.list": ("GET", "/v1/configs?namespace=default", None, 200),
    "configs.get": ("GET", "/v1/namespaces/default/configs/proxy", None, 200),
    "configs.set": ("PUT", "/v1/namespaces/default/configs/new", {"data": DATA}, 201),
    "configs.remove": ("DELETE", "/v1/namespaces/default/configs/proxy", None, 200),
    "blobs.list": ("GET", "/v1/blobs", None, 200),
    "blobs.put": ("PUT", "/v1/blobs/any", {"a": "body"}, 201),
    "blobs.get": ("GET", "/v1/blobs/{blob}", None, 200),
    "blobs.remove": ("DELETE", "/v1/blobs/{blob}", None, 200),
    "metrics.query": ("GET", "/v1/metrics/query?name=omnitide_node_load1&match=node=alpha&step_ms=1000", None, 200),
    "metrics.use": ("GET", "/v1/metrics/use?agent=nobody&instance={instance}", None, 200),
    "metrics.list": ("GET", "/v1/metrics?prefix=omnitide_", None, 200),
    "volumes.list": ("GET", "/v1/volumes?node=alpha", None, 200),
    "volumes.remove": ("DELETE", "/v1/nodes/alpha/volumes/default/spare", None, 200),
    "events.list": ("GET", "/v1/events?last=5&kinds=agent,instance&kinds=job", None, 200),
    "events.watch": ("GET", "/v1/events/stream", None, 426),
    "sessions.open": ("POST", "/v1/session", {"secret": "{api}"}, 201),
    "sessions.read": ("GET", "/v1/session", None, 200),
    "sessions.close": ("DELETE", "/v1/session", None, 409),
    "join.ca": ("GET", "/v1/ca", None, 200),
    "join.node": ("POST", "/v1/join", {"token": "{join}", "csr_pem": "csr", "facts": {"host": "gamma"}}, 200),
}


def test_every_operation_is_called_below() -> None:
    assert set(CALLS) == {one.name for one in with_documents(REGISTRY)}


@pytest.mark.parametrize("name", CALLS)
async def test_each_operation_answers(served: Served, name: str) -> None:
    await served.deploy()
    runtime = served.runtime
    await served.client.post("/v1/namespaces", json={"name": "spare"})
    await served.client.post("/v1/namespaces/default/jobs", json={"spec": SPEC, "name": "long"})
    runtime.settle()
    await served.client.put("/v1/namespaces/default/secrets/word", json={"data": DATA})
    await served.client.put("/v1/namespaces/default/configs/proxy", json={"data": DATA})
    blob = (await served.client.put("/v1/blobs/any", content=b"bytes")).json()["digest"]
    runtime.volumes[runtime.state.node_names["alpha"]] = [NodeVolume("default", "spare", 5)]
    if name in ("agents.rollback", "agents.pause", "agents.resume"):
        await served.client.put(AGENT, json={"spec": {**SPEC, "command": ["other"]}})
    method, path, body, status = CALLS[name]
    path = path.replace("{blob}", blob)
    path = path.replace("{instance}", first_instance(runtime)).replace("{token}", min(runtime.state.tokens))
    if name == "join.node":
        body = {**(body or {}), "token": runtime.join_token()}
    if name == "sessions.open":
        body = {"secret": served.token}
    if name == "instances.logs":
        runtime.writes(first_instance(runtime)).write("hello\n")
    response = await served.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["omnitide-correlation"]
    assert int(response.headers["omnitide-revision"]) <= runtime.state.revision
    assert response.headers["cache-control"] == "no-store"


async def test_an_answer_shows_the_object_and_its_etag(served: Served) -> None:
    await served.deploy(replicas=2)
    response = await served.client.get(AGENT)
    agent = response.json()
    assert response.headers["etag"] == f'"{agent["revision"]}"'
    assert agent["spec"] == {
        "command": ["serve"],
        "ports": {"http": {}},
        "resources": {"cpu": 0.1, "memory": 16 << 20} if "cpu" in agent["spec"]["resources"] else {"memory": 16 << 20},
    }
    assert agent["status"] == "running"


async def test_what_was_read_can_be_put_back_and_changes_nothing(served: Served) -> None:
    await served.deploy(spec={**SPEC, "resources": {"cpu": 0.25}})
    agent = (await served.client.get(AGENT)).json()
    again = await served.client.put(AGENT, json={"spec": agent["spec"]})
    assert (again.status_code, again.json()["change"]) == (200, "unchanged")


async def test_a_dry_run_is_asked_for_in_the_address(served: Served) -> None:
    before = served.runtime.state
    response = await served.client.put(AGENT + "?dry_run=true", json={"spec": SPEC})
    assert (response.status_code, response.json()["dry_run"]) == (200, True)
    assert response.json()["plan"]["change"] == "created"
    assert served.runtime.state is before


async def test_a_head_is_a_get_without_its_body(served: Served) -> None:
    response = await served.client.head("/v1/fabric")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0


async def test_a_read_waits_for_the_revision_that_it_is_to_show(served: Served) -> None:
    wanted = served.runtime.state.revision + 1
    reading = asyncio.ensure_future(served.client.get(f"/v1/agents?min_revision={wanted}"))
    await until(lambda: served.runtime.reads_waiting == 1)
    assert not reading.done()
    await served.deploy()
    response = await reading
    assert int(response.headers["omnitide-revision"]) >= wanted
    assert len(response.json()["items"]) == 1


async def test_a_revision_that_does_not_come_is_said_so(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnitide.operations import perform

    monkeypatch.setattr(perform, "REVISION_WAIT_S", 0.01)
    response = await served.client.get("/v1/agents?min_revision=100000")
    problem = is_problem(response, 503, "behind")
    assert problem["retryable"]


async def test_not_ready_is_503_with_each_dependency(served: Served) -> None:
    served.runtime.checks = [Check("engine", True), Check("event-log", False, "disk full")]
    response = await served.client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["checks"][1] == {"name": "event-log", "ok": False, "detail": "disk full"}
    assert (await served.client.get("/health/live")).status_code == 200


async def test_whether_it_is_ready_is_told_to_anybody_and_why_not_to_who_has_a_token(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.server.url) as stranger:
        ready = await stranger.get("/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"ok": True, "checks": []})
        served.runtime.checks = [Check("engine", True), Check("event-log", False, "disk full at a path")]
        unready = await stranger.get("/health/ready")
        assert (unready.status_code, unready.json()) == (503, {"ok": False, "checks": []})
        assert "path" not in unready.text
        wrong = await stranger.get("/health/ready", headers={"Authorization": "Bearer oma_wrong"})
        is_problem(wrong, 401, "unauthenticated")
    assert len((await served.client.get("/health/ready")).json()["checks"]) == 2


async def test_the_correlation_is_taken_from_the_caller_and_kept_with_the_events(served: Served) -> None:
    await served.client.put(AGENT, json={"spec": SPEC}, headers={"X-Request-Id": "deploy-42"})
    events = (await served.client.get("/v1/events?last=2")).json()["items"]
    assert {event["correlation"] for event in events} == {"deploy-42"}
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = await served.client.get("/v1/fabric", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert response.headers["omnitide-correlation"] == trace


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "a/b"])
async def test_a_correlation_that_is_not_fit_is_replaced(served: Served, given: str) -> None:
    response = await served.client.get("/v1/fabric", headers={"X-Request-Id": given, "traceparent": given})
    assert response.headers["omnitide-correlation"].startswith("c-")


async def test_a_node_joins_as_the_contract_says(served: Served) -> None:
    """Without a bearer token: the join token inside is the right to."""
    import msgspec

    async with httpx.AsyncClient(base_url=served.server.url, verify=False) as node:
        ca = msgspec.json.decode((await node.get("/v1/ca")).content, type=CaAnswer)
        assert ca.trust_bundle_pem.startswith("-----BEGIN")
        body = {"token": served.runtime.join_token(), "csr_pem": "csr", "facts": {"host": "gamma"}, "more": "ignored"}
        answer = msgspec.json.decode((await node.post("/v1/join", json=body)).content, type=JoinAnswer)
        assert answer.node_id in served.runtime.state.nodes
        assert answer.endpoints == ["127.0.0.1:7401"]
        used = await node.post("/v1/join", json={**body, "csr_pem": "another"})
        assert is_problem(used, 410, "expired")["hop"] == "token"
        unknown = await node.post("/v1/join", json={**body, "token": MemoryRuntime().join_token(uses=3)})
        assert unknown.status_code in (401, 403, 410)
        mistyped = await node.post("/v1/join", json={**body, "token": "omt_oops"})
        assert is_problem(mistyped, 401, "unauthenticated")["hop"] == "token"
    assert served.runtime.joined[0][3] == "127.0.0.1"


async def test_who_tries_join_tokens_on_and_on_has_to_wait(served: Served) -> None:
    statuses = [
        (await served.client.post("/v1/join", json={"token": "omt_oops", "csr_pem": "x", "facts": {}})).status_code
        for _ in range(25)
    ]
    assert statuses == [401] * 20 + [429] * 5
    real = {"token": served.runtime.join_token(), "csr_pem": "x", "facts": {}}
    assert (await served.client.post("/v1/join", json=real)).status_code == 200


async def test_pages_over_http(served: Served) -> None:
    for number in range(5):
        await served.client.post("/v1/namespaces", json={"name": f"space-{number}"})
    names: list[str] = []
    cursor = ""
    while True:
        page = (await served.client.get("/v1/namespaces", params={"limit": 2, "cursor": cursor})).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert names == ["default", *(f"space-{number}" for number in range(5))]
