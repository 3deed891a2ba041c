"""`/metrics`: readable by Prometheus's own parsers in both formats, and by nobody without a token."""

import asyncio
import socket
from importlib import import_module
from typing import Any

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.app import make_app
from omnitide.api.metrics_page import plain_app
from omnitide.node.metrics.serving import serve_metrics
from omnitide.telemetry.series.exposition import Sample

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
