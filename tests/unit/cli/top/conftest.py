"""A fabric that `top` shows."""

from collections.abc import AsyncGenerator

import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.cli.top.seeing import Seen

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.cli.top.app import Top
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.target import Target


@pytest.fixture
async def seen(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Seen]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.add_node("beta")
    token = runtime.api_token()
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, None)
    async with AsyncClient(Target(server.url, token)) as client:
        top = Top(client)
        async with top.run_test(size=(80, 24), notifications=True) as pilot:
            made = Seen(runtime, server, client, top, pilot)
            await made.until("live r")
            yield made
    await server.close()
