"""A real uvicorn server on loopback over a fabric in memory."""

from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.support.served_api import Served

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer


@pytest.fixture
async def served() -> AsyncGenerator[Served]:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.add_node("beta")
    token = runtime.api_token()
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, None)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=10, verify=False) as client:
        yield Served(runtime, server, client, token)
    await server.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is reached directly, whatever the environment says of proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
