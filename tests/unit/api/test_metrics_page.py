"""`/metrics`: readable by Prometheus's own parsers in both formats, and by nobody without a token."""

import asyncio
import socket
import threading
from importlib import import_module
from typing import Any

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api import metrics_page
from omnitide.api.app import make_app
from omnitide.api.metrics_page import plain_app
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec, Restart
from omnitide.node.metrics.serving import serve_metrics
from omnitide.operations import exposing
from omnitide.telemetry.series.exposition import Sample, exposition

OPEN = "application/openmetrics-text; version=1.0.0"


def parsed(response: httpx.Response) -> dict[str, Any]:
    """Families by name, by the parser of the format that the answer says to have."""
    kind = response.headers["content-type"]
    openmetrics = ".openmetrics" if kind.startswith("application/openmetrics") else ""
    module = import_module(f"prometheus_client{openmetrics}.parser")
    return {one.name: one for one in module.text_string_to_metric_families(response.text)}


def client_of(app: Any, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nexus", headers=headers)


@pytest.mark.parametrize("accept", ["text/plain", OPEN])
async def test_nexus_tells_of_the_fabric_with_kinds_units_and_help(accept: str) -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha", cpu=4000)
    app, token = make_app(runtime), runtime.api_token()
    async with client_of(app, Authorization=f"Bearer {token}", Accept=accept) as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    families = parsed(response)
    nodes = {sample.labels["status"]: sample.value for sample in families["omnitide_nodes"].samples}
    assert sum(nodes.values()) == 1
    assert families["omnitide_cpu_capacity_cores"].samples[0].value == 4
    counter = families["omnitide_nexus_cpu_seconds"]
    assert counter.type == "counter"
    assert all(family.documentation for family in families.values())
    if accept == OPEN:
        assert counter.unit == "seconds"


async def test_it_wants_a_token_and_on_loopback_none() -> None:
    runtime = MemoryRuntime()
    async with client_of(make_app(runtime)) as client:
        assert (await client.get("/metrics")).status_code == 401
        join = runtime.join_token()
        refused = await client.get("/metrics", headers={"Authorization": f"Bearer {join}"})
        assert refused.status_code in (401, 403)
    async with client_of(plain_app(runtime)) as client:
        assert "omnitide_revision" in parsed(await client.get("/metrics"))
        assert (await client.get("/v1/nodes")).status_code == 404


async def test_a_token_for_metrics_opens_these_pages_and_nothing_else() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}") as client:
        made = await client.post("/v1/tokens", json={"purpose": "metrics", "note": "Prometheus"})
        assert made.json()["token"]["purpose"] == "metrics"
    async with client_of(make_app(runtime), Authorization=f"Bearer {made.json()['text']}") as client:
        for path in ("/metrics", "/metrics/targets", "/metrics/nodes/alpha", "/v1/metrics"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/v1/nodes", "/v1/tokens", "/v1/events", "/v1/agents"):
            assert (await client.get(path)).status_code == 403, path
        assert (await client.post("/v1/tokens", json={"purpose": "api"})).status_code == 403
        assert (await client.post("/v1/session", json={"secret": made.json()["text"]})).status_code == 401


async def test_service_discovery_names_nexus_and_each_node_at_the_address_that_was_asked() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha", labels={"zone": "attic", "example.org/rack": "7"})
    runtime.add_node("beta")
    app, token = make_app(runtime), runtime.api_token()
    async with client_of(app, Authorization=f"Bearer {token}", Host="nexus.example:7400") as client:
        answer = await client.get("/metrics/targets")
        assert answer.headers["content-type"] == "application/json"
        nexus, alpha, beta = answer.json()
        assert {one["targets"][0] for one in (nexus, alpha, beta)} == {"nexus.example:7400"}
        assert nexus["labels"] == {"__scheme__": "http", "__metrics_path__": "/metrics", "role": "nexus"}
        assert alpha["labels"]["__metrics_path__"] == "/metrics/nodes/alpha"
        assert alpha["labels"]["instance"] == "alpha"
        assert alpha["labels"]["__meta_omnitide_label_zone"] == "attic"
        assert alpha["labels"]["__meta_omnitide_label_example_org_rack"] == "7"
        assert all(isinstance(value, str) for one in answer.json() for value in one["labels"].values())
        for one in (nexus, alpha, beta):
            assert (await client.get(one["labels"]["__metrics_path__"])).status_code == 200


@pytest.mark.parametrize("host", ["evil/../x", "a@b", "", "x" * 400])
async def test_a_host_that_is_none_is_not_handed_on(host: str) -> None:
    runtime = MemoryRuntime()
    async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}", Host=host) as client:
        answer = await client.get("/metrics/targets")
    assert answer.status_code in (200, 400)
    assert not host or host not in answer.text


async def test_the_page_of_a_node_says_how_it_is_and_that_of_none_is_not_there() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha", cpu=4000)
    runtime.silence("alpha")
    async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}", Accept=OPEN) as client:
        found = parsed(await client.get("/metrics/nodes/alpha"))
        assert (await client.get("/metrics/nodes/nobody")).status_code == 404
        assert (await client.get("/metrics/nodes/..%2fx")).status_code == 404
    statuses = {one.labels["status"]: one.value for one in found["omnitide_node_status"].samples}
    assert statuses["unreachable"] == 1
    assert sum(statuses.values()) == 1
    assert found["omnitide_node_cpu_allocatable_cores"].samples[0].value == 4
    assert found["omnitide_node_cpu_allocatable_cores"].unit == "cores"


async def test_agents_have_series_of_their_own_and_it_is_told_how_many_have_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}") as client:
        for name in ("one", "two", "three"):
            spec = {"spec": {"command": ["sleep", "60"]}, "replicas": 2}
            await client.put(f"/v1/namespaces/default/agents/{name}", json=spec)
        runtime.settle()
        found = parsed(await client.get("/metrics"))
        wanted = {one.labels["agent"]: one.value for one in found["omnitide_agent_replicas"].samples}
        ready = {one.labels["agent"]: one.value for one in found["omnitide_agent_replicas_available"].samples}
        assert wanted == ready == {"one": 2, "two": 2, "three": 2}
        monkeypatch.setattr(exposing, "_AGENTS", 2)
        found = parsed(await client.get("/metrics"))
    assert len(found["omnitide_agent_replicas"].samples) == 2
    assert found["omnitide_agents_without_series"].samples[0].value == 1


async def test_a_large_page_is_written_beside_what_else_is_going_on() -> None:
    runtime = MemoryRuntime()
    spec = AgentSpec(command=("sleep", "60"))
    for number in range(150):
        runtime.apply(cm.DeployAgent(agent=f"a{number}", namespace="default", name=f"a-{number}", spec=spec))
    threads: list[str] = []

    def written(samples: list[Sample], accept: str) -> tuple[bytes, str]:
        threads.append(threading.current_thread().name)
        return exposition(samples, accept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_page, "exposition", written)
        async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}") as client:
            found = parsed(await client.get("/metrics"))
            await client.get("/metrics/nodes/none")
    assert len(found["omnitide_agent_replicas"].samples) == 150
    assert threads != [threading.main_thread().name]


async def test_calls_are_counted_by_operation_and_outcome_and_timed_in_a_histogram() -> None:
    runtime = MemoryRuntime()
    async with client_of(make_app(runtime), Authorization=f"Bearer {runtime.api_token()}", Accept=OPEN) as client:
        await client.get("/v1/nodes")
        await client.get("/v1/nodes/nobody")
        await client.post("/v1/namespaces", json={"name": "blue"})
        await client.get("/nothing/there", headers={"Accept": "application/json"})
        found = parsed(await client.get("/metrics"))
    calls = {
        (one.labels["operation"], one.labels["surface"], one.labels["outcome"]): one.value
        for one in found["omnitide_api_calls"].samples
    }
    assert calls[("nodes.list", "rest", "ok")] == 1
    assert calls[("nodes.get", "rest", "refused")] == 1
    assert calls[("namespaces.create", "rest", "ok")] == 1
    assert calls[("none", "rest", "refused")] == 1
    took = found["omnitide_api_call_duration_seconds"]
    assert (took.type, took.unit) == ("histogram", "seconds")
    change = {one.labels.get("le", one.name[-5:]): one.value for one in took.samples if one.labels["kind"] == "change"}
    assert change["+Inf"] == change["count"] == 1
    assert change["10.0"] == 1
    queues = {one.labels["queue"]: one.value for one in found["omnitide_queue_limit"].samples}
    assert queues["commands"] > 0


async def test_a_node_tells_what_it_sampled_last() -> None:
    samples = [
        Sample("omnitide_node_cpu_seconds_total", (("mode", "user"),), "counter", "seconds", "Time.", 1.5),
        Sample("omnitide_node_cpu_seconds_total", (("mode", 'a"b\nc'),), "counter", "seconds", "Time.", 2.0),
        Sample("omnitide_node_load1", (), "gauge", "", "Load.", 0.5),
    ]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    task = asyncio.ensure_future(serve_metrics(port, lambda: samples))
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(10):
        while True:
            try:
                response = await client.get(f"http://127.0.0.1:{port}/metrics", headers={"Accept": OPEN})
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
        families = parsed(response)
        assert [sample.value for sample in families["omnitide_node_cpu_seconds"].samples] == [1.5, 2.0]
        assert families["omnitide_node_cpu_seconds"].samples[1].labels == {"mode": 'a"b\nc'}
        assert (await client.get(f"http://127.0.0.1:{port}/else")).status_code == 404
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"nonsense\r\n\r\n")
    assert await reader.read() == b"", "what is no HTTP is closed"
    writer.close()
    task.cancel()


async def test_ends_are_counted_for_the_agent_however_often_its_replicas_were_replaced() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    spec = AgentSpec(command=("x",), restart=Restart(attempts=0, backoff=1_000))
    runtime.apply(cm.DeployAgent(agent="web", namespace="default", name="web", spec=spec, replicas=1))
    runtime.settle()

    async def told() -> dict[str, float]:
        headers = {"Authorization": f"Bearer {runtime.api_token()}", "Accept": OPEN}
        async with client_of(make_app(runtime), **headers) as client:
            families = parsed(await client.get("/metrics"))
        names = ("omnitide_agent_ends", "omnitide_agent_replicas_failing")
        dropped = {f"dropped {one.labels['reason']}": one.value for one in families["omnitide_samples_dropped"].samples}
        return {name: families[name].samples[0].value for name in names} | dropped

    none = {"dropped ended": 0, "dropped no room": 0, "dropped refused": 0, "dropped too old": 0}
    assert await told() == {"omnitide_agent_ends": 0, "omnitide_agent_replicas_failing": 0, **none}
    for generation in (1, 2, 3):
        runtime.exit(f"web.1.{generation}", code=7)
        runtime.tick(60_000)
        runtime.settle()
    assert await told() == {"omnitide_agent_ends": 3, "omnitide_agent_replicas_failing": 1, **none}
    runtime.apply(cm.StopAgent(namespace="default", name="web"))
    runtime.settle()
    assert (await told())["omnitide_agent_ends"] == 3, "a stop that was asked for is no end by itself"
    runtime.apply(cm.DeleteAgent(namespace="default", name="web"))
    runtime.settle()
    assert runtime.ends() == {}
