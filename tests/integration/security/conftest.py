"""A real TLS server on loopback that answers a join as Nexus does, or as an attacker would: the standard library's
asyncio server, and minimal HTTP/1.1 over it."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import format_datetime

import msgspec
import pytest

from omnitide.security import pki
from omnitide.security.certificates import fingerprint, make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JoinAnswer, JoinRequest
from omnitide.security.pki import Authority, Credentials
from omnitide.security.tls import server_ssl_context
from omnitide.security.tokens import JoinToken, new_join_token

Answer = tuple[int, bytes]


def wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class Server:
    """What listens, what it was asked, and what it answers; tests change the parts that they need wrong."""

    authority: Authority
    credentials: Credentials
    clock: Callable[[], dt.datetime] = wall
    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    received: bytearray = field(default_factory=bytearray)
    """Every byte that came through TLS."""
    ca_body: bytes | None = None
    refuse: Answer | None = None
    change: Callable[[JoinAnswer], JoinAnswer] = lambda answer: answer
    raw: bytes | None = None
    """Sent instead of any HTTP answer."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def ca(self) -> Answer:
        return 200, self.authority.trust_bundle().pem if self.ca_body is None else self.ca_body

    def join(self, body: bytes) -> Answer:
        if self.refuse is not None:
            return self.refuse
        asked = msgspec.json.decode(body, type=JoinRequest)
        issued = pki.sign_node_csr(self.authority, asked.csr_pem, "alpha", self.clock())
        answer = JoinAnswer(
            node_id="alpha",
            fabric_id=self.authority.fabric_id,
            certificate_pem=issued.chain_pem,
            trust_bundle_pem=self.authority.trust_bundle().pem.decode(),
            endpoints=["127.0.0.1:7401"],
            server_time_ms=round(self.clock().timestamp() * 1000),
        )
        return 200, msgspec.json.encode(self.change(answer))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            method, path, _ = lines[0].split(" ")
            lengths = [line.split(":")[1] for line in lines if line.lower().startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            self.received += head + body
            self.requests.append((method, path))
            if self.raw is not None:
                writer.write(self.raw)
            else:
                status, answer = {"/v1/ca": lambda _: self.ca(), "/v1/join": self.join}[path](body)
                date = format_datetime(self.clock(), usegmt=True)
                start = f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(answer)}\r\n\r\n"
                writer.write(start.encode() + answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()


Start = Callable[..., Awaitable[Server]]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return pki.create_authority("fhome", wall() - dt.timedelta(days=200))


@pytest.fixture(scope="session")
def impostor() -> Authority:
    """A stranger's CA that claims the same fabric id."""
    return pki.create_authority("fhome", wall() - dt.timedelta(days=200))


@pytest.fixture
def token(authority: Authority) -> JoinToken:
    return new_join_token(fingerprint(authority.root.certificate))


@pytest.fixture
def nexus_credentials(authority: Authority) -> Credentials:
    return pki.issue_nexus(authority, "n1", (), wall())


def node_credentials(authority: Authority, node_id: str = "mallory") -> Credentials:
    """A node's certificate with its key, as the node itself has them."""
    key = new_private_key()
    return Credentials(pki.sign_node_csr(authority, make_csr(key), node_id, wall()), private_key_pem(key))


@pytest.fixture
def mallory(authority: Authority) -> Credentials:
    return node_credentials(authority)


@pytest.fixture
async def start(authority: Authority, nexus_credentials: Credentials) -> AsyncIterator[Start]:
    """Start a server: by default the true Nexus; keyword arguments make it another."""
    servers: list[asyncio.Server] = []

    async def run(**changes: object) -> Server:
        parts: dict[str, object] = {"authority": authority, "credentials": nexus_credentials, **changes}
        server = Server(**parts)  # pyright: ignore[reportArgumentType]
        context = server_ssl_context(server.credentials)
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        servers.append(listener)
        server.port = listener.sockets[0].getsockname()[1]
        return server

    yield run
    for listener in servers:
        listener.close()
        await listener.wait_closed()
