"""A real server of the API on loopback over a fabric in memory, and what its tests ask of answers."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx
from tests.support.memory_runtime import MemoryRuntime
from websockets.asyncio.client import connect

from omnitide.api.server import ApiServer

SPEC: dict[str, Any] = {"command": ["serve"], "ports": {"http": {}}, "resources": {"cpu": "100m", "memory": "16MiB"}}


@dataclass
class Served:
    runtime: MemoryRuntime
    server: ApiServer
    client: httpx.AsyncClient
    """Holds a valid token."""
    token: str

    @property
    def socket_url(self) -> str:
        return self.server.url.replace("http", "ws", 1) + "/v1/events/stream"

    async def deploy(self, name: str = "hello", **body: Any) -> dict[str, Any]:
        response = await self.client.put(f"/v1/namespaces/default/agents/{name}", json={"spec": SPEC, **body})
        assert response.status_code in (200, 201), response.text
        self.runtime.settle()
        return response.json()

    def watch(self, query: str = "", **options: Any) -> connect:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return connect(self.socket_url + query, additional_headers=headers, **options)


def is_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem, if the response is one as RFC 9457 and we ourselves want it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["type"] == f"urn:omnitide:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    # A slash that is part of a name stays encoded.
    raw = response.request.url.raw_path.decode().partition("?")[0]
    assert problem["instance"] == unquote(re.sub("%2f", "%252F", raw, flags=re.IGNORECASE))
    assert problem["correlation"] == response.headers["omnitide-correlation"]
    return problem
