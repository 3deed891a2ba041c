"""Whoever only holds connections loses them; whoever has a token is served all the while."""

import asyncio
import contextlib
import datetime as dt
import logging
import socket
import ssl
from collections.abc import AsyncGenerator

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api import protocols
from omnitide.api import server as api_server
from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.security.pki import create_authority, issue_nexus
from omnitide.security.tls import fabric_client_context, server_ssl_context

WITHIN_S = 20.0
SHORT_S = 0.2


class Place:
    """A server over TLS with room for eight connections."""

    bound = 8

    def __init__(self, runtime: MemoryRuntime, server: ApiServer, trusting: ssl.SSLContext) -> None:
        self.runtime = runtime
        self.server = server
        self.trusting = trusting
        self.token = runtime.api_token()

    def raw(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=WITHIN_S)

    async def secure(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.server.port, ssl=self.trusting, server_hostname="127.0.0.1"
        )

    async def ask(self, path: str = "/v1/version", *, token: bool = True) -> bytes:
        """The first line of the answer on a connection of its own."""
        reader, writer = await self.secure()
        writer.write(self.request(path, token=token, more="Connection: close\r\n"))
        line = await asyncio.wait_for(reader.readline(), WITHIN_S)
        writer.transport.abort()
        return line.strip()

    def request(self, path: str, *, token: bool = True, more: str = "") -> bytes:
        shown = f"Authorization: Bearer {self.token}\r\n" if token else ""
        return f"GET {path} HTTP/1.1\r\nHost: x\r\n{shown}{more}\r\n".encode()


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    now = dt.datetime.now(dt.UTC)
    authority = create_authority("home", now)
    runtime = MemoryRuntime()
    context = server_ssl_context(issue_nexus(authority, "nexus-1", (), now))
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, context, connections=Place.bound)
    yield Place(runtime, server, fabric_client_context(authority.trust_bundle()))
    await server.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "HANDSHAKE_S", SHORT_S)
    monkeypatch.setattr(protocols, "HEAD_S", SHORT_S)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still came until the connection was ended by the server."""
    try:
        return await asyncio.wait_for(reader.read(), WITHIN_S)
    except ConnectionError:
        return b""


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_finish_the_handshake_of_tls_is_cut(place: Place) -> None:
    silent = place.raw()
    half = place.raw()
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    for one in (silent, half):
        one.settimeout(WITHIN_S)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.to_thread(one.recv, 1) == b""
        one.close()
    assert (await place.ask()).startswith(b"HTTP/1.1 200")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begun", [b"", b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "half"])
async def test_who_does_not_finish_the_head_of_a_request_is_cut(place: Place, begun: bytes) -> None:
    reader, writer = await place.secure()
    writer.write(begun)
    assert await ended(reader) == b""
    writer.transport.abort()


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_comes_a_byte_at_a_time_has_no_longer(place: Place) -> None:
    reader, writer = await place.secure()

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(SHORT_S / 10)

    dripping = asyncio.ensure_future(drip())
    assert await ended(reader) == b""
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.transport.abort()


@pytest.mark.usefixtures("impatient")
async def test_a_second_head_has_no_longer_than_the_first(place: Place) -> None:
    reader, writer = await place.secure()
    writer.write(place.request("/v1/version"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.write(b"GET /v1/version HTTP/1.1\r\nHost:")
    rest = await ended(reader)
    assert b"HTTP/1.1" not in rest
    writer.transport.abort()


async def test_an_idle_connection_is_closed_after_its_last_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api_server, "KEEP_ALIVE_S", SHORT_S)
    runtime = MemoryRuntime()
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, None)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await ended(reader)).startswith(b"HTTP/1.1 200")
    writer.transport.abort()
    await server.close()


async def test_silent_connections_do_not_shut_the_port_to_who_has_a_token(place: Place) -> None:
    silent = [place.raw() for _ in range(4 * Place.bound)]
    for _ in range(3):
        assert (await place.ask()).startswith(b"HTTP/1.1 200")
    for one in silent:
        one.close()


async def test_who_has_shown_a_token_keeps_the_connection_when_all_are_taken(place: Place) -> None:
    reader, writer = await place.secure()
    writer.write(place.request("/v1/version"))
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len"))
    await reader.readexactly(length)
    silent = [place.raw() for _ in range(4 * Place.bound)]
    assert (await place.ask()).startswith(b"HTTP/1.1 200")
    writer.write(place.request("/v1/version"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    for one in silent:
        one.close()
    writer.transport.abort()


async def test_that_the_bound_was_reached_is_told_once(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    silent = [place.raw() for _ in range(4 * Place.bound)]
    assert (await place.ask()).startswith(b"HTTP/1.1 200")
    lines = [one for one in caplog.records if one.name == "omnitide.api.connections"]
    assert len(lines) == 1
    assert lines[0].levelno == logging.WARNING
    for one in silent:
        one.close()


async def test_an_ended_connection_makes_room(place: Place) -> None:
    for _ in range(4 * Place.bound):
        assert (await place.ask()).startswith(b"HTTP/1.1 200")


# -- what strangers leave in the log ---------------------------------------------------------------------------------


def requests_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.getMessage() == "request"]


async def test_refusals_of_strangers_do_not_fill_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader, writer = await place.secure()
    for number in range(100):
        writer.write(f"POST /v1/{'a' * 4000}{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        await reader.readexactly(length)
    writer.transport.abort()
    lines = requests_in(caplog)
    assert 0 < len(lines) <= 30
    assert all(len(str(vars(line))) < 4000 for line in lines)


async def test_what_those_with_a_token_change_is_all_in_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reader, writer = await place.secure()
    for _ in range(50):
        shown = f"Authorization: Bearer {place.token}\r\n"
        writer.write(f"DELETE /v1/namespaces/nothing HTTP/1.1\r\nHost: x\r\n{shown}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        await reader.readexactly(length)
    writer.transport.abort()
    assert len(requests_in(caplog)) == 50


async def test_bytes_that_are_no_http_do_not_fill_the_log(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(60):
        reader, writer = await place.secure()
        writer.write(b"\0\0\0 no http\r\n\r\n")
        assert (await ended(reader)).startswith(b"HTTP/1.1 400")
        writer.transport.abort()
    assert len([one for one in caplog.records if one.name == "uvicorn.error"]) <= 30
