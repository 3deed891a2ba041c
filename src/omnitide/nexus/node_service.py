"""NodeService over gRPC and mTLS: carriage for sessions and tunnels, and certificate renewal."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import unquote

import grpc
import grpc.aio

from omnitide.fabric.commands import Header, OfferKey
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, Instance
from omnitide.model.blobs import BlobError
from omnitide.nexus.identity import signing_time
from omnitide.nexus.provisioning import needed, needs_blob, on_node
from omnitide.nexus.sessions import Peer, Sessions
from omnitide.nexus.tunnels import Tunnels
from omnitide.operations.runtime import Blobs, NotServing, Values
from omnitide.security.certificates import public_key_digest
from omnitide.security.errors import SecurityError
from omnitide.security.names import Role
from omnitide.security.peer import PeerRefused, TrustBundle, verify_peer
from omnitide.security.pki import Authority, CsrRefused, csr_public_key, sign_node_csr
from omnitide.security.tls import TlsMaterial
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc
from omnitide.wire.link import LinkClosed

_log = logs.get(__name__)

MAX_SENT_BYTES: Final = 4 << 20
"""The node protocol's messages to nodes have 1 MiB, or one spec, of 2 MiB at most."""
MAX_RECEIVED_BYTES: Final = 8 << 20
"""A hello tells of all that is on a node, in 6 MiB at most. Who sends it has shown its certificate."""
MAX_SESSIONS: Final = 20_000
"""Control streams, those included that have not said hello yet."""
MAX_TUNNELS: Final = 4_000
"""Streams for tunnels, those included that nobody waits for: each of them ends within seconds."""
MAX_FETCHES: Final = 256
"""Blobs on their way to nodes at once; a node comes again."""
BLOB_PIECE_BYTES: Final = 64 << 10
MAX_CALLS: Final = MAX_SESSIONS + MAX_TUNNELS + MAX_FETCHES + 1_000
"""The rest are renewals and values. gRPC itself refuses what is above."""

Sent = TypeVar("Sent")
Received = TypeVar("Received")


class ServerLink(Generic[Sent, Received]):
    """The server's end of a gRPC stream as a Link."""

    def __init__(self, requests: AsyncIterator[Received], context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self._requests = requests
        self._context = context
        self._closed = asyncio.Event()

    @property
    def closed(self) -> asyncio.Event:
        return self._closed

    async def send(self, message: Sent) -> None:
        if self._closed.is_set():
            raise LinkClosed("closed here")
        try:
            await self._context.write(message)
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError) as error:
            raise LinkClosed(f"the stream broke: {error!r}") from error

    async def receive(self) -> Received:
        if self._closed.is_set():
            raise LinkClosed("closed here")
        try:
            async for message in self._requests:
                return message
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError) as error:
            raise LinkClosed(f"the stream broke: {error!r}") from error
        raise LinkClosed("the other side ended the stream")

    async def close(self) -> None:
        self._closed.set()


class NodeServicer(pb_grpc.NodeServiceServicer):
    def __init__(
        self,
        sessions: Sessions,
        tunnels: Tunnels,
        authority: Authority,
        bundle: Callable[[], TrustBundle],
        now: Callable[[], dt.datetime],
        blobs: Blobs,
        values: Values,
    ) -> None:
        self._blobs = blobs
        self._values = values
        self._fetches = 0
        self._sessions = sessions
        self._tunnels = tunnels
        self._authority = authority
        self._bundle = bundle
        self._now = now
        self._open_sessions = self._open_tunnels = 0

    async def _peer(self, context: "grpc.aio.ServicerContext[Any, Any]") -> Peer:
        """The node at the other end, by its certificate; ends the call otherwise."""
        shown = cast("dict[str, list[bytes]]", context.auth_context()).get("x509_pem_cert", [])
        try:
            identity = verify_peer(b"".join(shown), self._bundle(), Role.NODE, self._now())
        except PeerRefused as refused:
            _log.warning("a peer was refused", peer=context.peer(), reason=refused.reason, detail=str(refused))
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refused))
            raise
        # gRPC says `ipv4:10.0.0.2:50000`; people know it without the kind.
        address = unquote(context.peer().partition(":")[2])
        return Peer(node=identity.id, key_digest=identity.public_key_digest, address=address)

    async def Session(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride] writes, yields nothing
        self,
        request_iterator: AsyncIterator[pb.NodeMessage],
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> None:
        peer = await self._peer(context)
        if self._open_sessions >= MAX_SESSIONS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_SESSIONS} nodes are connected already")
        link: ServerLink[pb.NexusMessage, pb.NodeMessage] = ServerLink(request_iterator, context)
        self._open_sessions += 1
        try:
            await _until_closed(self._sessions.serve(link, peer), link.closed)
        finally:
            self._open_sessions -= 1

    async def Tunnel(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride] writes, yields nothing
        self,
        request_iterator: AsyncIterator[pb.TunnelFrame],
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> None:
        peer = await self._peer(context)
        if self._open_tunnels >= MAX_TUNNELS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_TUNNELS} tunnels are open already")
        link: ServerLink[pb.TunnelFrame, pb.TunnelFrame] = ServerLink(request_iterator, context)
        self._open_tunnels += 1
        try:
            await _until_closed(self._tunnels.accept(link, peer.node), link.closed)
        finally:
            self._open_tunnels -= 1

    async def Renew(  # noqa: N802 the protocol's name
        self, request: pb.RenewRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.RenewResponse:
        peer = await self._peer(context)
        node = self._sessions.engine.committed().nodes.get(peer.node)
        if node is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this node has been removed from the fabric")
            raise AssertionError
        try:
            if peer.key_digest not in (node.key_digest, node.next_key_digest):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this key is not the node's identity any more")
            command = OfferKey(node=peer.node, key_digest=public_key_digest(csr_public_key(request.csr_pem)))
            outcome = await self._sessions.engine.submit(command, Header(principal=f"node:{peer.node}"))
            if isinstance(outcome, Rejection):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, outcome.message)
            issued = sign_node_csr(
                self._authority, request.csr_pem, peer.node, signing_time(self._sessions.engine.time)
            )
        except NotServing as refusal:
            await context.abort(grpc.StatusCode.UNAVAILABLE, refusal.reason)
            raise
        except (CsrRefused, SecurityError) as refused:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))
            raise
        return pb.RenewResponse(certificate_pem=issued.chain_pem.encode(), trust_bundle_pem=self._bundle().pem)

    async def FetchBlob(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride] writes, yields nothing
        self, request: pb.FetchBlobRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        """A blob, to a node that runs what needs it, in pieces; the node's reading holds back the disk's."""
        await self._instance(context, request.instance, request.digest)
        if self._fetches >= MAX_FETCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_FETCHES} blobs are being fetched already")
        self._fetches += 1
        try:
            blob = await self._blobs.find(request.digest)
            if blob is None:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no blob {request.digest}")
                raise AssertionError
            await context.write(pb.BlobPiece(size=blob.size))
            async for piece in self._blobs.read(request.digest, request.offset):
                for start in range(0, len(piece), BLOB_PIECE_BYTES):
                    await context.write(pb.BlobPiece(data=piece[start : start + BLOB_PIECE_BYTES]))
        except BlobError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        finally:
            self._fetches -= 1

    async def FetchValues(  # noqa: N802 the protocol's name
        self, request: pb.FetchValuesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.FetchValuesResponse:
        """The values that an instance of this node is started with, and no others. They are in no log."""
        state, instance = await self._instance(context, request.instance)
        answer = pb.FetchValuesResponse()
        for provision in needed(state, instance):
            try:
                value = await self._values.open(provision)
            except NotServing as refusal:
                await context.abort(grpc.StatusCode.DATA_LOSS, refusal.reason)
                raise
            into = answer.secrets if provision.kind == "secret" else answer.configs
            into.append(pb.Value(name=provision.name, version=provision.version, data=value.reveal()))
        return answer

    async def _instance(
        self, context: "grpc.aio.ServicerContext[Any, Any]", identifier: str, digest: str = ""
    ) -> tuple[FabricState, Instance]:
        """An instance that the node at the other end is to run, and which needs the blob; ends the call otherwise."""
        peer = await self._peer(context)
        state = self._sessions.engine.committed()
        node = state.nodes.get(peer.node)
        instance = on_node(state, identifier, peer.node)
        known = node is not None and peer.key_digest in (node.key_digest, node.next_key_digest)
        if not known or instance is None or (digest and not needs_blob(state, instance, digest)):
            _log.warning("a node asked for what is not for it", node=peer.node, instance=identifier[:100])
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED, "no instance that is to run on this node now is given that"
            )
            raise AssertionError
        return state, instance


async def _until_closed(work: "Any", closed: asyncio.Event) -> None:
    """Run a handler until it ends or its link is closed from another place: a receive that hangs would keep it."""
    task = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=not task.done())
    finally:
        task.cancel()
        ending.cancel()
        await asyncio.gather(task, ending, return_exceptions=True)


def server_options(keepalive_ms: int, keepalive_timeout_ms: int) -> list[tuple[str, int]]:
    """Liveness rides on HTTP/2 pings: a node that answers none for time + timeout has lost its stream.

    See grpc/doc/keepalive.md for the names; pings are allowed without traffic, from both sides.
    """
    return [
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", keepalive_timeout_ms),
        # A peer whose connection stays open but who is silent is found by the ping's own limit, a minute by default.
        ("grpc.http2.ping_timeout_ms", keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
        ("grpc.max_send_message_length", MAX_SENT_BYTES),
        ("grpc.so_reuseport", 0),
    ]


def server_credentials(material: Callable[[], TlsMaterial], *, require_client_auth: bool) -> grpc.ServerCredentials:
    """TLS that follows renewals: gRPC asks for each new connection, from a thread of its own, whether there is news."""
    shown = material()

    def configuration(tls: TlsMaterial) -> Any:
        return grpc.ssl_server_certificate_configuration([tls.pair], tls.root_certificates)

    def fetch() -> Any:
        nonlocal shown
        fresh = material()
        if fresh == shown:
            return None
        shown = fresh
        return configuration(fresh)

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown), fetch, require_client_authentication=require_client_auth
    )


async def start_node_server(
    servicer: NodeServicer,
    address: str,
    material: Callable[[], TlsMaterial],
    *,
    keepalive_ms: int,
    keepalive_timeout_ms: int,
) -> tuple[grpc.aio.Server, int]:
    """Listen for nodes; a client certificate of this fabric is required. Returns the server and its port.

    Raises OSError where the address cannot be bound.
    """
    server = grpc.aio.server(
        options=server_options(keepalive_ms, keepalive_timeout_ms),
        compression=grpc.Compression.Gzip,
        maximum_concurrent_rpcs=MAX_CALLS,
    )
    pb_grpc.add_NodeServiceServicer_to_server(servicer, server)
    credentials = server_credentials(material, require_client_auth=True)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"cannot listen for nodes on {address}: {error}") from error
    await server.start()
    return server, port
