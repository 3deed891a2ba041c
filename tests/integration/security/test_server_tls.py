"""The context for Nexus's HTTPS port, under uvicorn itself and against clients old and new."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from omnitide.security import pki
from omnitide.security.certificates import fingerprint, load_certificates
from omnitide.security.join_contract import Hop, JoinFailed
from omnitide.security.join_transport import Timeouts, open_tls, parse_url, request, resolve
from omnitide.security.pki import Authority, Credentials
from omnitide.security.tls import fabric_client_context, server_ssl_context, use_credentials
from omnitide.security.tokens import JoinToken

Start = Callable[..., Awaitable[Any]]
TIMEOUTS = Timeouts()


def wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def served_serial(port: int, context: ssl.SSLContext) -> int:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return load_certificates(der)[0].serial_number


async def test_uvicorn_serves_with_it(authority: Authority, nexus_credentials: Credentials) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})

    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    config.load()
    config.ssl = server_ssl_context(nexus_credentials)
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    running = asyncio.create_task(server.serve(sockets))
    try:
        address = parse_url(f"127.0.0.1:{sockets[0].getsockname()[1]}")
        context = fabric_client_context(authority.trust_bundle())
        async with open_tls(address, await resolve(address, TIMEOUTS), context, TIMEOUTS) as connection:
            response = await request(connection, "GET", "/", Hop.PORT, TIMEOUTS)
        assert (response.status, response.body) == (200, b"https")
    finally:
        server.should_exit = True
        await running


async def test_an_ordinary_client_that_trusts_the_root_accepts_it_by_every_local_name(
    start: Start, authority: Authority
) -> None:
    server = await start()
    context = ssl.create_default_context(cadata=authority.trust_bundle().roots_pem.decode())
    for name in ("localhost", "127.0.0.1", "nexus.omnitide.internal"):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=name)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.transport.abort()
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="other.example")


def test_tls_before_1_2_is_refused(nexus_credentials: Credentials) -> None:
    """The two ends joined in memory, so that the refusal arrives as it was sent."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = old.wrap_bio(down, up)
    server = server_ssl_context(nexus_credentials).wrap_bio(up, down, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        server.do_handshake()


async def test_a_renewed_certificate_is_served_without_a_restart(
    authority: Authority, nexus_credentials: Credentials
) -> None:
    context = server_ssl_context(nexus_credentials)

    async def idle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    client = fabric_client_context(authority.trust_bundle())
    async with await asyncio.start_server(idle, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert f"{await served_serial(port, client):x}" == nexus_credentials.issued.serial
        renewed = pki.issue_nexus(authority, "n1", (), wall())
        use_credentials(context, renewed)
        assert f"{await served_serial(port, client):x}" == renewed.issued.serial


def test_no_key_stays_behind_in_the_temporary_directory(
    nexus_credentials: Credentials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    server_ssl_context(nexus_credentials)
    assert list(tmp_path.iterdir()) == []


def test_the_token_names_the_fingerprint_that_openssl_shows(authority: Authority, token: JoinToken) -> None:
    root = authority.root.certificate
    assert token.trusts(fingerprint(root))
    assert fingerprint(root).hex().startswith(token.ca_fingerprint.hex())


async def test_the_client_of_a_fabric_trusts_no_public_ca(start: Start, impostor: Authority) -> None:
    server = await start()
    address = parse_url(server.url)
    context = fabric_client_context(impostor.trust_bundle())
    with pytest.raises((ssl.SSLCertVerificationError, JoinFailed)):
        async with open_tls(address, await resolve(address, TIMEOUTS), context, TIMEOUTS):
            pass
