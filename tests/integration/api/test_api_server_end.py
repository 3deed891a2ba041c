"""The end of the HTTPS port is held up by requests, not by whoever keeps a connection open."""

import asyncio
import datetime as dt
import socket
import ssl

import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api import server as api_server
from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.security.pki import create_authority, issue_nexus
from omnitide.security.tls import fabric_client_context, server_ssl_context

NEVER_S = 600
WITHIN_S = 20.0
"""asyncio itself gives up waiting for the farewell of TLS after 30 s."""


async def test_an_idle_client_that_reads_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "STOP_S", NEVER_S)
    now = dt.datetime.now(dt.UTC)
    authority = create_authority("home", now)
    runtime = MemoryRuntime()
    context = server_ssl_context(issue_nexus(authority, "nexus-1", (), now))
    server = await ApiServer.start(make_app(runtime), "127.0.0.1", 0, context)
    trusting: ssl.SSLContext = fabric_client_context(authority.trust_bundle())

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S)
        secure = trusting.wrap_socket(plain, server_hostname="127.0.0.1")
        secure.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert secure.recv(1 << 16).startswith(b"HTTP/1.1 200")
        return secure

    client = await asyncio.to_thread(connect)
    try:
        await asyncio.wait_for(server.close(), WITHIN_S)
    finally:
        client.close()
