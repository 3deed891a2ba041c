"""The API of a real Nexus process: over TLS, on a durable log, killed and started again."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from tests.support.served_api import SPEC, is_problem
from websockets.asyncio.client import connect

from omnitide.security.names import NEXUS_SERVER_NAME
from omnitide.wire import fabric_pb2 as pb
from omnitide.wire import fabric_pb2_grpc

START_S = 30.0
AGENT = "/v1/namespaces/default/agents/hello"


class NexusRun:
    """`python -m omnitide.api` on a data directory of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process: asyncio.subprocess.Process | None = None
        self.addresses: dict[str, Any] = {}

    async def start(self) -> None:
        command = ["--data", str(self.data), "--api-port", "0", "--node-port", "0", "--grpc-port", "0"]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "omnitide.api", *command, stderr=asyncio.subprocess.DEVNULL
        )
        ready = self.data / "nexus.json"
        async with asyncio.timeout(START_S):
            while True:
                assert self.process.returncode is None, "the Nexus process ended"
                try:
                    self.addresses = json.loads(ready.read_text())
                except (FileNotFoundError, json.JSONDecodeError):
                    self.addresses = {}
                if self.addresses.get("pid") == self.process.pid:
                    return
                await asyncio.sleep(0.02)

    async def kill(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.data / 'admin-token').read_text().strip()}"}

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.data / "ca.pem"))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.addresses["url"], headers=self.headers, verify=self.trust, timeout=20)


@pytest.fixture
async def nexus(tmp_path: Path) -> AsyncGenerator[NexusRun]:
    run = NexusRun(tmp_path / "nexus")
    await run.start()
    yield run
    await run.kill()


async def test_every_surface_shows_the_same_fabric(nexus: NexusRun) -> None:
    async with nexus.client() as client:
        made = (await client.put(AGENT, json={"spec": SPEC, "replicas": 2})).json()
        assert made["change"] == "created"
        status = (await client.get("/v1/fabric", params={"min_revision": made["revision"]})).json()
        assert (status["agents"], status["instances"]["pending"]) == (1, 2)
        explained = (await client.get(AGENT + "/explain")).json()
        assert "the fabric has no nodes" in explained["text"]
        assert (await client.get("/health/ready")).json()["ok"]
    credentials = grpc.ssl_channel_credentials((nexus.data / "ca.pem").read_bytes())
    options = (("grpc.ssl_target_name_override", NEXUS_SERVER_NAME),)
    async with grpc.aio.secure_channel(nexus.addresses["grpc_endpoint"], credentials, options=options) as channel:
        stub = fabric_pb2_grpc.FabricServiceStub(channel)
        metadata = tuple((key.lower(), value) for key, value in nexus.headers.items())
        agent = await stub.GetAgent(pb.GetAgentRequest(namespace="default", name="hello"), metadata=metadata)
        assert agent.revision == made["agent"]["revision"]


async def test_what_was_acknowledged_is_there_after_kill_and_a_repetition_is_known(nexus: NexusRun) -> None:
    key = {"Idempotency-Key": "deploy-1"}
    job = {"spec": {"command": ["true"]}}
    async with nexus.client() as client:
        first = (await client.post("/v1/namespaces/default/jobs", json=job, headers=key)).json()
        assert (await client.put(AGENT, json={"spec": SPEC})).status_code == 201
    await nexus.kill()
    await nexus.start()
    async with nexus.client() as client:
        again = await client.post("/v1/namespaces/default/jobs", json=job, headers=key)
        assert again.headers["omnitide-replayed"] == "true"
        assert again.json()["job"]["id"] == first["job"]["id"]
        assert (await client.get(AGENT)).json()["name"] == "hello"
        other = await client.post("/v1/namespaces/default/jobs", json={**job, "name": "x"}, headers=key)
        is_problem(other, 422, "idempotency-mismatch")


async def test_a_stream_goes_on_over_a_restart_without_a_gap(nexus: NexusRun) -> None:
    seen: list[str] = []
    after = 0
    names = iter(range(1000))
    for _ in range(2):
        url = nexus.addresses["url"].replace("https", "wss") + f"/v1/events/stream?after={after}"
        async with (
            nexus.client() as client,
            connect(url, ssl=nexus.trust, additional_headers=nexus.headers) as stream,
        ):
            revision = 0
            for _ in range(5):
                made = await client.post("/v1/namespaces", json={"name": f"n{next(names)}"})
                revision = made.json()["revision"]
            async with asyncio.timeout(20):
                while after < revision:
                    for event in json.loads(await stream.recv()):
                        after = max(after, event["revision"])
                        if "." in event["id"].rpartition("/")[2]:
                            seen.append(event["id"])
        await nexus.kill()
        await nexus.start()
    async with nexus.client() as client:
        listed = (await client.get("/v1/events?limit=1000")).json()["items"]
    assert seen == [event["id"] for event in listed if event["revision"] <= after]


async def test_an_orderly_end_closes_streams_and_lets_requests_end(nexus: NexusRun) -> None:
    url = nexus.addresses["url"].replace("https", "wss") + "/v1/events/stream"
    async with connect(url, ssl=nexus.trust, additional_headers=nexus.headers) as stream:
        await stream.recv()
        assert nexus.process is not None
        nexus.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            await stream.wait_closed()
            assert await nexus.process.wait() == 0
    assert stream.close_code in (1001, 1012)
