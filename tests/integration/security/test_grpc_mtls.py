"""The issued chains in real gRPC (BoringSSL): they work in both directions, and nothing else gets in."""

import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import grpc.aio
import pytest

from omnitide.security import pki
from omnitide.security.certificates import make_csr, private_key_pem
from omnitide.security.identity import IdentityStore, NodeIdentity
from omnitide.security.names import NEXUS_SERVER_NAME, Role
from omnitide.security.peer import Identity, verify_peer
from omnitide.security.pki import Authority, Credentials
from omnitide.security.tls import TlsMaterial, node_material, server_material

OPTIONS = [("grpc.ssl_target_name_override", NEXUS_SERVER_NAME)]


def wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def node_of(authority: Authority, directory: Path, *, days_ago: int = 0) -> NodeIdentity:
    key = IdentityStore(directory).join_key()
    chain = pki.sign_node_csr(authority, make_csr(key), "alpha", wall() - dt.timedelta(days=days_ago)).chain_pem
    bundle = authority.trust_bundle().pem.decode()
    return NodeIdentity(authority.fabric_id, "alpha", private_key_pem(key), chain, bundle, ("x:1",))


@pytest.fixture
def node(authority: Authority, tmp_path: Path) -> TlsMaterial:
    return node_material(node_of(authority, tmp_path / "node"))


class Nexus(grpc.GenericRpcHandler):
    """One method; it checks its caller as a session does, and remembers who called."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.callers: list[Identity] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> object:
        return grpc.unary_unary_rpc_method_handler(self.hello)  # type: ignore[arg-type]

    async def hello(self, request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        leaf = context.auth_context()["x509_pem_cert"][0]
        self.callers.append(verify_peer(leaf, self.authority.trust_bundle(), Role.NODE, wall()))
        return b"hello " + request


@pytest.fixture
async def serve(authority: Authority) -> AsyncIterator[Callable[..., object]]:
    servers: list[grpc.aio.Server] = []

    async def run(credentials: Credentials, handler: Nexus | None = None) -> str:
        material = server_material(credentials, authority.trust_bundle())
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handler or Nexus(authority),))
        secure = grpc.ssl_server_credentials([material.pair], material.root_certificates, require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", secure)
        await server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield run
    for server in servers:
        await server.stop(None)


async def call(address: str, credentials: grpc.ChannelCredentials) -> bytes:
    async with grpc.aio.secure_channel(address, credentials, options=OPTIONS) as channel:
        return await channel.unary_unary("/omnitide/hello")(b"alpha", timeout=10)


async def refused(address: str, credentials: grpc.ChannelCredentials) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call(address, credentials)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    return error.value.debug_error_string()


async def test_node_and_nexus_prove_themselves_to_each_other(
    serve: Callable[..., object], authority: Authority, nexus_credentials: Credentials, node: TlsMaterial
) -> None:
    handler = Nexus(authority)
    address = await serve(nexus_credentials, handler)  # type: ignore[misc]
    assert await call(address, grpc.ssl_channel_credentials(*node)) == b"hello alpha"
    (caller,) = handler.callers
    assert (caller.role, caller.id, caller.fabric_id) == (Role.NODE, "alpha", "fhome")


async def test_without_a_client_certificate_nobody_gets_in(
    serve: Callable[..., object], nexus_credentials: Credentials, node: TlsMaterial
) -> None:
    address = await serve(nexus_credentials)  # type: ignore[misc]
    await refused(address, grpc.ssl_channel_credentials(node.root_certificates))


async def test_a_node_of_another_fabric_does_not_get_in(
    serve: Callable[..., object],
    nexus_credentials: Credentials,
    impostor: Authority,
    node: TlsMaterial,
    tmp_path: Path,
) -> None:
    address = await serve(nexus_credentials)  # type: ignore[misc]
    foreign = node_material(node_of(impostor, tmp_path / "foreign"))
    # It trusts the true root, so that nothing but its own certificate stands in the way.
    await refused(address, grpc.ssl_channel_credentials(node.root_certificates, *foreign[1:]))


async def test_an_expired_node_does_not_get_in(
    serve: Callable[..., object], authority: Authority, nexus_credentials: Credentials, tmp_path: Path
) -> None:
    address = await serve(nexus_credentials)  # type: ignore[misc]
    expired = node_material(node_of(authority, tmp_path / "expired", days_ago=31))
    await refused(address, grpc.ssl_channel_credentials(*expired))


async def test_a_nexus_of_another_fabric_is_not_spoken_to(
    serve: Callable[..., object], impostor: Authority, node: TlsMaterial
) -> None:
    address = await serve(pki.issue_nexus(impostor, "n1", (), wall()))  # type: ignore[misc]
    assert "CERTIFICATE_VERIFY_FAILED" in await refused(address, grpc.ssl_channel_credentials(*node))


async def test_a_node_that_plays_nexus_is_not_spoken_to(
    serve: Callable[..., object], mallory: Credentials, node: TlsMaterial
) -> None:
    address = await serve(mallory)  # type: ignore[misc]
    assert "CERTIFICATE_VERIFY_FAILED" in await refused(address, grpc.ssl_channel_credentials(*node))


async def test_a_service_that_plays_nexus_is_not_spoken_to(
    serve: Callable[..., object], authority: Authority, node: TlsMaterial
) -> None:
    """Its certificate is good for servers, but never for the name of Nexus."""
    address = await serve(pki.issue_service(authority, "metrics", wall()))  # type: ignore[misc]
    assert "Hostname Verification" in await refused(address, grpc.ssl_channel_credentials(*node))


@pytest.mark.parametrize("stolen", [Role.NODE, Role.SERVICE])
async def test_not_even_the_key_of_another_ca_makes_a_nexus(
    serve: Callable[..., object], authority: Authority, node: TlsMaterial, stolen: Role
) -> None:
    """A Nexus certificate, correct in all its fields, issued with the key of the node or service CA."""
    rogue = pki.Authority(
        authority.fabric_id, authority.root, {**authority.intermediates, Role.NEXUS: authority.intermediates[stolen]}
    )
    address = await serve(pki.issue_nexus(rogue, "n1", (), wall()))  # type: ignore[misc]
    assert "CERTIFICATE_VERIFY_FAILED" in await refused(address, grpc.ssl_channel_credentials(*node))


async def test_both_sides_work_through_a_rotation_of_the_ca(
    authority: Authority, impostor: Authority, nexus_credentials: Credentials, tmp_path: Path
) -> None:
    """A node with a certificate of the next CA and a Nexus with one of the last, each trusting both roots."""
    following = pki.Authority(impostor.fabric_id, impostor.root, impostor.intermediates, (authority.root.certificate,))
    bundle = following.trust_bundle()
    handler = Nexus(following)
    material = server_material(nexus_credentials, bundle)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    secure = grpc.ssl_server_credentials([material.pair], material.root_certificates, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", secure)
    await server.start()
    try:
        node = node_material(node_of(following, tmp_path / "node"))
        assert await call(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(*node)) == b"hello alpha"
    finally:
        await server.stop(None)
