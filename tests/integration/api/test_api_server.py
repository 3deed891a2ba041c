"""The HTTPS port itself: where it listens, over what, and how it stops."""

import asyncio
import contextlib
import datetime as dt
import signal
import socket
import ssl

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime, until
from tests.support.served_api import Served
from websockets.asyncio.client import connect

from omnitide.api.app import UndeclaredSurface, make_app
from omnitide.api.server import ApiServer, PlaintextRefused
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.security.pki import create_authority, issue_nexus
from omnitide.security.tls import fabric_client_context, server_ssl_context


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
async def test_off_loopback_nothing_is_served_in_plaintext(host: str) -> None:
    with pytest.raises(PlaintextRefused):
        await ApiServer.start(make_app(MemoryRuntime()), host, 0, None)


async def test_over_tls_with_the_fabrics_own_ca() -> None:
    now = dt.datetime.now(dt.UTC)
    authority = create_authority("home", now)
    context = server_ssl_context(issue_nexus(authority, "nexus-1", (), now))
    runtime = MemoryRuntime()
    headers = {"Authorization": f"Bearer {runtime.api_token()}"}
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, context)
    try:
        assert server.url.startswith("https://")
        trusting = fabric_client_context(authority.trust_bundle())
        async with httpx.AsyncClient(base_url=server.url, verify=trusting, headers=headers) as client:
            assert (await client.get("/v1/fabric")).status_code == 200
        async with connect(
            server.url.replace("https", "wss") + "/v1/events/stream", ssl=trusting, additional_headers=headers
        ) as stream:
            assert await stream.recv()
        plain = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=plain, verify=False) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get("/health/live")
        strangers = ssl.create_default_context()
        async with httpx.AsyncClient(base_url=server.url, verify=strangers) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("/health/live")
    finally:
        await server.close()


async def test_a_port_that_is_taken_is_said_so(served: Served) -> None:
    with pytest.raises(OSError, match="in use"):
        await ApiServer.start(make_app(MemoryRuntime()), "127.0.0.1", served.server.port, None)


async def test_ipv6() -> None:
    try:
        server = await ApiServer.start(make_app(MemoryRuntime()), "::1", 0, None)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with httpx.AsyncClient(base_url=server.url, verify=False) as client:
        assert (await client.get("/health/live")).status_code == 200
    await server.close()


async def test_small_answers_do_not_wait_for_nagle(served: Served) -> None:
    await served.client.get("/health/live")
    (connection, *_) = served.server._server.server_state.connections
    accepted: socket.socket = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_signals_are_left_to_the_process(served: Served) -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_closing_ends_requests_that_do_not(served: Served) -> None:
    served.runtime.held = asyncio.Event()
    waiting = asyncio.ensure_future(served.client.post("/v1/namespaces", json={"name": "x"}))
    await until(lambda: served.runtime.submits_held == 1)
    async with asyncio.timeout(15):
        await served.server.close()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
        await waiting
    with pytest.raises(httpx.ConnectError):
        await served.client.get("/health/live")


async def test_bytes_that_are_no_http(served: Served) -> None:
    for junk in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/x\r\n\r\n"):
        reader, writer = await asyncio.open_connection(served.server.host, served.server.port)
        writer.write(junk + b"\r\n\r\n")
        async with asyncio.timeout(10):
            assert b" 400 " in (await reader.read(1000)).splitlines()[0]
        writer.close()
    assert (await served.client.get("/health/live")).status_code == 200


async def test_headers_without_an_end(served: Served) -> None:
    reader, writer = await asyncio.open_connection(served.server.host, served.server.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nX: " + b"x" * 200_000)
    async with asyncio.timeout(10):
        assert b" 400 " in (await reader.read(1000)).splitlines()[0]
    writer.close()


def test_a_stream_that_no_surface_carries_does_not_start() -> None:
    fewer = Registry(one for one in REGISTRY if one.name != "instances.logs")
    with pytest.raises(UndeclaredSurface):
        make_app(MemoryRuntime(), fewer)
