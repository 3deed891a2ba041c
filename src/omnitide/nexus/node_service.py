"""NodeService over gRPC and mTLS: carriage for sessions and tunnels, and certificate renewal."""

import asyncio
import contextlib
import datetime as dt
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import unquote

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from omnitide.fabric.commands import Header, OfferKey
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, Instance
from omnitide.model.blobs import BlobError
from omnitide.nexus.greeting import Peer
from omnitide.nexus.identity import signing_time
from omnitide.nexus.manners import ProtocolFault
from omnitide.nexus.provisioning import behind, needed, needs_blob, on_node, position
from omnitide.nexus.samples import Samples
from omnitide.nexus.sessions import Sessions
from omnitide.nexus.tunnels import Tunnels
from omnitide.operations.runtime import Blobs, NotServing, Values
from omnitide.security.certificates import public_key_digest
from omnitide.security.errors import SecurityError
from omnitide.security.names import Role
from omnitide.security.peer import PeerRefused, TrustBundle, verify_peer
from omnitide.security.pki import Authority, CsrRefused, csr_public_key, sign_node_csr
from omnitide.security.tls import TlsMaterial
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

SERVICE: Final = "omnitide.v1.NodeService"

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
VALUES_PAGE_BYTES: Final = 1 << 20
"""Of values in one answer, and the last one that begins below it (512 KiB at most); a node asks for the rest."""
MAX_SAMPLES_OF_ONE: Final = 4
"""Streams of samples of one node: a new one ends those before."""
MAX_CALLS: Final = 2 * MAX_SESSIONS + MAX_TUNNELS + MAX_FETCHES + 1_000
"""The rest are renewals and values. gRPC itself refuses what is above."""

MAX_SESSIONS_OF_ONE: Final = 16
"""Control streams of one node: the one that stands, and those that a broken line has left behind."""
MAX_TUNNELS_OF_ONE: Final = 1_000

SETTLE_S: Final = 1.0

_TYPE: Final = re.compile(r"'(?:\w+\.)*(\w+)'")

Question = TypeVar("Question", pb.RenewRequest, pb.FetchBlobRequest, pb.FetchValuesRequest)
Sent = TypeVar("Sent")
Received = TypeVar("Received")


class ServerLink(Generic[Sent, Received]):
    """The server's end of a gRPC stream as a Link."""

    def __init__(self, requests: AsyncIterator[Received], context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self._requests = requests
        self._context = context
        self._closed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._writing: asyncio.Future[None] | None = None
        """What gRPC has in hand: it takes one message at a time, and cannot be made to drop one."""

    @property
    def closed(self) -> asyncio.Event:
        return self._closed

    async def send(self, message: Sent) -> None:
        async with self._turn:
            if self._writing is not None:
                # Whoever sent it was cancelled meanwhile.
                await asyncio.wait((self._writing,))
            await self._write(message)

    async def _write(self, message: Sent) -> None:
        if self._closed.is_set():
            raise LinkClosed("closed here")
        self._writing = asyncio.ensure_future(self._context.write(message))
        self._writing.add_done_callback(_looked_at)
        try:
            await asyncio.shield(self._writing)
            self._writing = None
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError) as error:
            raise LinkClosed(f"the stream broke: {error!r}") from error

    async def receive(self) -> Received:
        if self._closed.is_set():
            raise LinkClosed("closed here")
        try:
            async for message in self._requests:
                return message
        except DecodeError as error:
            raise ProtocolFault(f"bytes that are {_no_message(error)}") from error
        except (grpc.aio.BaseError, grpc.RpcError, asyncio.InvalidStateError) as error:
            raise LinkClosed(f"the stream broke: {error!r}") from error
        # gRPC itself refuses a message above its bound, tells the sender so, and ends the stream.
        raise LinkClosed("the other side ended the stream")

    async def close(self) -> None:
        self._closed.set()

    async def settle(self) -> None:
        """Until gRPC has nothing in hand, or for a moment: a call that ends before its first message is out sends its
        head twice, and complains."""
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=SETTLE_S)


def _looked_at(writing: "asyncio.Future[None]") -> None:
    """Whoever waited for it may be gone: what became of it is then of no interest."""
    if not writing.cancelled():
        writing.exception()


def _no_message(error: DecodeError) -> str:
    """`no NodeMessage`: protobuf's own words name the type in the middle of a sentence."""
    found = _TYPE.search(str(error))
    return f"no {found[1]}" if found else "no message"


class _Streams:
    """Streams of one kind that are open, of all nodes and of each."""

    def __init__(self, most: int, of_one: int, kind: str) -> None:
        self._most, self._of_one, self._kind = most, of_one, kind
        self._open = 0
        self._by_node: Counter[str] = Counter()

    async def require_room(self, node: str, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Ends the call if there is none."""
        if self._open >= self._most:
            text = f"{self._most} {self._kind} are open already"
        elif self._by_node[node] >= self._of_one:
            text = f"{self._of_one} {self._kind} of this node are open already"
        else:
            return
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    @contextlib.contextmanager
    def one_of(self, node: str) -> Generator[None]:
        self._open += 1
        self._by_node[node] += 1
        try:
            yield
        finally:
            self._open -= 1
            self._by_node[node] -= 1
            if not self._by_node[node]:
                del self._by_node[node]


def _as_it_is(raw: bytes) -> bytes:
    return raw


class NodeServicer:
    """What nodes call. Each method knows who calls before it reads what they say."""

    def __init__(
        self,
        sessions: Sessions,
        tunnels: Tunnels,
        authority: Authority,
        bundle: Callable[[], TrustBundle],
        now: Callable[[], dt.datetime],
        blobs: Blobs,
        values: Values,
        samples: Samples,
    ) -> None:
        self._samples = samples
        self._blobs = blobs
        self._values = values
        self._fetches = 0
        self._sessions = sessions
        self._tunnels = tunnels
        self._authority = authority
        self._bundle = bundle
        self._now = now
        self._complaints = sessions.complaints
        self._open_sessions = _Streams(MAX_SESSIONS, MAX_SESSIONS_OF_ONE, "control streams")
        self._open_tunnels = _Streams(MAX_TUNNELS, MAX_TUNNELS_OF_ONE, "tunnels")
        self._open_samples = _Streams(MAX_SESSIONS, MAX_SAMPLES_OF_ONE, "streams of samples")

    def handler(self) -> grpc.GenericRpcHandler:
        """Questions come as bytes, so that one that is no message is answered as such, without a traceback."""
        as_bytes = {"request_deserializer": _as_it_is}
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Session": grpc.stream_stream_rpc_method_handler(
                    self.session,
                    request_deserializer=pb.NodeMessage.FromString,
                    response_serializer=pb.NexusMessage.SerializeToString,
                ),
                "Tunnel": grpc.stream_stream_rpc_method_handler(
                    self.tunnel,
                    request_deserializer=pb.TunnelFrame.FromString,
                    response_serializer=pb.TunnelFrame.SerializeToString,
                ),
                "Samples": grpc.stream_stream_rpc_method_handler(
                    self.samples,
                    request_deserializer=pb.SampleBatch.FromString,
                    response_serializer=pb.SampleWish.SerializeToString,
                ),
                "Renew": grpc.unary_unary_rpc_method_handler(
                    self.renew,
                    response_serializer=pb.RenewResponse.SerializeToString,
                    **as_bytes,
                ),
                "FetchBlob": grpc.unary_stream_rpc_method_handler(
                    self.fetch_blob,
                    response_serializer=pb.BlobPiece.SerializeToString,
                    **as_bytes,
                ),
                "FetchValues": grpc.unary_unary_rpc_method_handler(
                    self.fetch_values,
                    response_serializer=pb.FetchValuesResponse.SerializeToString,
                    **as_bytes,
                ),
            },
        )

    async def _peer(self, context: "grpc.aio.ServicerContext[Any, Any]") -> Peer:
        """The node at the other end, by its certificate; ends the call otherwise."""
        shown = cast("dict[str, list[bytes]]", context.auth_context()).get("x509_pem_cert", [])
        try:
            identity = verify_peer(b"".join(shown), self._bundle(), Role.NODE, self._now())
        except PeerRefused as refused:
            peer = context.peer()
            text = str(refused)
            # Without its port: each connection has another.
            host = peer.rpartition(":")[0]
            self._complaints.write(
                "a peer was refused", host, refused.reason, peer=peer, reason=refused.reason, detail=text
            )
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refused))
            raise
        # gRPC says `ipv4:10.0.0.2:50000`; people know it without the kind.
        address = unquote(context.peer().partition(":")[2])
        return Peer(node=identity.id, key_digest=identity.public_key_digest, address=address)

    async def session(
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        peer = await self._peer(context)
        await self._open_sessions.require_room(peer.node, context)
        link: ServerLink[pb.NexusMessage, pb.NodeMessage] = ServerLink(request_iterator, context)
        with self._open_sessions.one_of(peer.node):
            await _until_closed(self._sessions.serve(link, peer), link.closed)
            await link.settle()

    async def tunnel(
        self, request_iterator: AsyncIterator[pb.TunnelFrame], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        peer = await self._peer(context)
        await self._open_tunnels.require_room(peer.node, context)
        link: ServerLink[pb.TunnelFrame, pb.TunnelFrame] = ServerLink(request_iterator, context)
        with self._open_tunnels.one_of(peer.node):
            await _until_closed(self._tunnels.accept(link, peer.node), link.closed)
            await link.settle()

    async def samples(
        self, request_iterator: AsyncIterator[pb.SampleBatch], context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> None:
        peer = await self._peer(context)
        node = self._sessions.engine.committed().nodes.get(peer.node)
        if node is None or peer.key_digest not in (node.key_digest, node.next_key_digest):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this key is of no node of the fabric")
        await self._open_samples.require_room(peer.node, context)
        link: ServerLink[pb.SampleWish, pb.SampleBatch] = ServerLink(request_iterator, context)
        faults: list[str] = []
        with self._open_samples.one_of(peer.node):
            await _until_closed(self._samples.accept(link, peer.node, faults.append), link.closed)
            await link.settle()
        if faults:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, faults[0])

    async def _read(
        self, raw: bytes, kind: type[Question], peer: Peer, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> Question:
        """What a node that is known by now asks; ends the call where it is no message."""
        try:
            return kind.FromString(raw)
        except DecodeError as error:
            text = f"the request is {_no_message(error)}"
            self._complaints.write(
                "a node's question was refused", peer.node, "question", node=peer.node, reason="protocol", detail=text
            )
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
            raise

    async def renew(self, raw: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> pb.RenewResponse:
        peer = await self._peer(context)
        request = await self._read(raw, pb.RenewRequest, peer, context)
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

    async def fetch_blob(self, raw: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """A blob, to a node that runs what needs it, in pieces; the node's reading holds back the disk's."""
        peer = await self._peer(context)
        request = await self._read(raw, pb.FetchBlobRequest, peer, context)
        await self._instance(context, peer, request.instance, request.digest)
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

    async def fetch_values(self, raw: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> pb.FetchValuesResponse:
        """The values that an instance of this node is started with, and no others; no more of them are in the clear
        here at once than one answer holds. They are in no log."""
        peer = await self._peer(context)
        request = await self._read(raw, pb.FetchValuesRequest, peer, context)
        state, instance = await self._instance(context, peer, request.instance)
        answer, size, last = pb.FetchValuesResponse(), 0, request.after
        for provision in behind(needed(state, instance), request.after):
            if request.paged and size >= VALUES_PAGE_BYTES:
                answer.next = last
                break
            try:
                value = await self._values.open(provision)
            except NotServing as refusal:
                await context.abort(grpc.StatusCode.DATA_LOSS, refusal.reason)
                raise
            into = answer.secrets if provision.kind == "secret" else answer.configs
            into.append(pb.Value(name=provision.name, version=provision.version, data=value.reveal()))
            size, last = size + len(value), position(provision)
        return answer

    async def _instance(
        self, context: "grpc.aio.ServicerContext[Any, Any]", peer: Peer, identifier: str, digest: str = ""
    ) -> tuple[FabricState, Instance]:
        """An instance that the node at the other end is to run, and which needs the blob; ends the call otherwise."""
        state = self._sessions.engine.committed()
        node = state.nodes.get(peer.node)
        instance = on_node(state, identifier, peer.node)
        known = node is not None and peer.key_digest in (node.key_digest, node.next_key_digest)
        if not known or instance is None or (digest and not needs_blob(state, instance, digest)):
            self._complaints.write(
                "a node asked for what is not for it", peer.node, "asked", node=peer.node, instance=identifier[:100]
            )
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
    server.add_generic_rpc_handlers((servicer.handler(),))
    credentials = server_credentials(material, require_client_auth=True)
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"cannot listen for nodes on {address}: {error}") from error
    await server.start()
    return server, port
