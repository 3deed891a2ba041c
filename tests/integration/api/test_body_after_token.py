"""Over HTTP nothing of a body is read before its sender has shown a token; what is open takes little."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.app import make_app
from omnitide.api.rest import STRANGERS_BODY_BYTES
from omnitide.api.server import ApiServer
from omnitide.operations.operation import Bulk, Operation
from omnitide.operations.registry import REGISTRY

WITHIN_S = 20.0


@pytest.fixture
async def server() -> AsyncGenerator[ApiServer]:
    server = await ApiServer.start(make_app(MemoryRuntime()), "127.0.0.1", 0, None)
    yield server
    await server.close()


async def answer(server: ApiServer, method: str, path: str, length: int, body: bytes = b"") -> int:
    """The status that comes for the head and as much of the body as is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode() + body)
    line = await asyncio.wait_for(reader.readline(), WITHIN_S)
    writer.transport.abort()
    return int(line.split()[1])


WITH_BODY = [
    (one.method, one.path)
    for one in REGISTRY
    if isinstance(one, Operation | Bulk) and one.method in ("PUT", "POST") and not one.open
]


@pytest.mark.parametrize(("method", "path"), WITH_BODY, ids=[f"{method} {path}" for method, path in WITH_BODY])
async def test_no_byte_of_a_strangers_body_is_waited_for(server: ApiServer, method: str, path: str) -> None:
    # The body is announced and never comes: an answer is one that has not looked at it.
    assert await answer(server, method, path.replace("{", "x").replace("}", "x"), 900_000) == 401


async def test_what_anybody_may_ask_is_short(server: ApiServer) -> None:
    size = STRANGERS_BODY_BYTES + 1
    assert await answer(server, "POST", "/v1/join", size, b'{"token": "' + b"x" * size) == 413
