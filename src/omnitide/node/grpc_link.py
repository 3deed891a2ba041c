"""The node's end of its gRPC streams to Nexus, as Links, over mutual TLS.

The control stream has a connection of its own; all tunnels of an endpoint share a second one, so that bulk never waits
in front of control. Streams have flow control of their own within it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

import grpc
import grpc.aio

from omnitide.node.identity_view import IdentityView
from omnitide.security.names import NEXUS_SERVER_NAME
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc
from omnitide.wire.link import LinkClosed

MAX_RECEIVED_BYTES: Final = 4 << 20
MAX_SENT_BYTES: Final = 8 << 20
"""What Nexus takes: a hello may have so much."""
DEFAULT_KEEPALIVE_MS: Final = 1_000
DEFAULT_KEEPALIVE_TIMEOUT_MS: Final = 1_500
PING_FACTOR: Final = 3
"""A node pings so much less often than Nexus does, which holds thousands of streams and looks for dead nodes; the
node's own pings find a dead Nexus, whose process dying is seen at once anyway."""
TUNNEL_SILENCE_MS: Final = 20_000
"""A tunnel is given up after so long without an answer, and not as soon as the session: a program that somebody works
with cannot be taken up again, as a session is. A Nexus that hung for less goes on with it."""
RENEW_DEADLINE: Final = 30.0
VALUES_DEADLINE: Final = 10.0
PIECE_DEADLINE: Final = 30.0

Sent = TypeVar("Sent")
Received = TypeVar("Received")

_BROKEN = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError)


class ClientLink(Generic[Sent, Received]):
    """One stream. `release` gives back its channel."""

    def __init__(
        self,
        call: "grpc.aio.StreamStreamCall[Sent, Received]",
        release: Callable[[], Awaitable[None]],
    ) -> None:
        self._call = call
        self._release = release
        self._reading: asyncio.Task[object] | None = None
        self._closed = False

    async def send(self, message: Sent) -> None:
        if self._closed:
            raise LinkClosed("closed here")
        try:
            with self._own_cancellation():
                await self._call.write(message)
        except _BROKEN as error:
            raise LinkClosed(await self._reason(error)) from None

    async def receive(self) -> Received:
        if self._closed:
            raise LinkClosed("closed here")
        try:
            with self._own_cancellation():
                message = await self._read()
        except _BROKEN as error:
            raise LinkClosed(await self._reason(error)) from None
        if message is grpc.aio.EOF:
            raise LinkClosed(await self._reason(None))
        return cast("Received", message)

    async def close(self) -> None:
        """Say that nothing more comes and wait until Nexus has ended its side too, so that what was sent is not cut
        off. Whoever cannot wait cancels this: then the stream is broken off at once."""
        if self._closed:
            return
        self._closed = True
        try:
            with contextlib.suppress(*_BROKEN, LinkClosed), self._own_cancellation():
                await self._call.done_writing()
                while await self._read() is not grpc.aio.EOF:
                    pass
        finally:
            self._call.cancel()
            if self._reading is not None:
                self._reading.cancel()
            await self._release()

    @contextlib.contextmanager
    def _own_cancellation(self) -> Generator[None]:
        """gRPC cancels whoever reads or writes when the call itself was cancelled, as by the end of its channel. That
        would end the task that does so without a word. Raises LinkClosed."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._call.cancelled() and (task is None or not task.cancelling()):
                raise LinkClosed("the call was cancelled") from None
            raise

    async def _read(self) -> object:
        """The next message, read in a task of its own: gRPC ends the whole call when a read is cancelled, and here
        that means no more than that nobody waits for it now."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._call.read())
            self._reading.add_done_callback(_seen)
        message = await asyncio.shield(self._reading)
        self._reading = None
        return message

    async def _reason(self, error: BaseException | None) -> str:
        if isinstance(error, grpc.aio.AioRpcError):
            return f"{error.code().name.lower()}: {error.details()}"
        if self._call.done():
            code, details = await self._call.code(), await self._call.details()
            return f"{code.name.lower()}: {details}" if details else "Nexus ended the stream"
        return f"the stream broke: {error!r}"


@dataclass
class _Shared:
    channel: grpc.aio.Channel
    users: int = 0


class GrpcDialer:
    """A `session.Dialer`."""

    def __init__(self, identity: Callable[[], IdentityView]) -> None:
        """`identity` is asked at each dial: it may have been renewed."""
        self._identity = identity
        self._keepalive_ms = DEFAULT_KEEPALIVE_MS
        self._keepalive_timeout_ms = DEFAULT_KEEPALIVE_TIMEOUT_MS
        self._control: dict[str, grpc.aio.Channel] = {}
        """The channels of sessions, by endpoint."""
        self._shared: dict[tuple[str, str], _Shared] = {}
        """Channels for tunnels, by endpoint and certificate, that further ones go over too while they are in use."""

    def settings(self, settings: pb.Settings) -> None:
        """Keepalive as Nexus wants it, from the next dial on."""
        self._keepalive_ms = settings.keepalive_ms or DEFAULT_KEEPALIVE_MS
        self._keepalive_timeout_ms = settings.keepalive_timeout_ms or DEFAULT_KEEPALIVE_TIMEOUT_MS

    async def dial(self, endpoint: str) -> ClientLink[pb.NodeMessage, pb.NexusMessage]:
        channel = self._channel(endpoint, self._identity())
        try:
            await _connected(channel)
        except BaseException:
            await channel.close()
            raise
        # Of a path that broke the tunnels are not given up yet, and nothing more may go that way.
        self._shared = {key: shared for key, shared in self._shared.items() if key[0] != endpoint}
        call = pb_grpc.NodeServiceStub(channel).Session()
        self._control[endpoint] = channel

        async def release() -> None:
            if self._control.get(endpoint) is channel:
                del self._control[endpoint]
            await channel.close()

        return ClientLink(cast("Any", call), release)

    async def open_tunnel(self, endpoint: str) -> ClientLink[pb.TunnelFrame, pb.TunnelFrame]:
        channel, release = self._borrow(endpoint)
        call = pb_grpc.NodeServiceStub(channel).Tunnel()
        return ClientLink(cast("Any", call), release)

    async def open_samples(self, endpoint: str) -> ClientLink[pb.SampleBatch, pb.SampleWish]:
        """On the connection of the session with this endpoint: batches are small, and one more connection for each node
        would cost Nexus as much in keepalives as the session does. Raises LinkClosed where no session stands."""
        channel = self._control.get(endpoint)
        if channel is None:
            raise LinkClosed("no session stands")
        call = pb_grpc.NodeServiceStub(channel).Samples()
        return ClientLink(cast("Any", call), _nothing)

    def _borrow(self, endpoint: str) -> tuple[grpc.aio.Channel, Callable[[], Awaitable[None]]]:
        """The channel for bulk to an endpoint, and how to give it back."""
        identity = self._identity()
        key = (endpoint, identity.certificate_pem)
        shared = self._shared.get(key)
        if shared is None:
            silence_ms = max(TUNNEL_SILENCE_MS, self._keepalive_timeout_ms)
            shared = self._shared[key] = _Shared(self._channel(endpoint, identity, silence_ms))
        shared.users += 1

        async def release() -> None:
            shared.users -= 1
            if not shared.users:
                if self._shared.get(key) is shared:
                    del self._shared[key]
                await shared.channel.close()

        return shared.channel, release

    async def fetch_values(self, endpoint: str, instance: str, after: str) -> pb.FetchValuesResponse:
        """Secrets and configs of an instance here, from one answer's `next` on. Raises LinkClosed."""
        channel, release = self._borrow(endpoint)
        try:
            request = pb.FetchValuesRequest(instance=instance, paged=True, after=after)
            return await pb_grpc.NodeServiceStub(channel).FetchValues(request, timeout=VALUES_DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise LinkClosed(f"{error.code().name.lower()}: {error.details()}") from None
        finally:
            await release()

    async def fetch_blob(self, endpoint: str, instance: str, digest: str, offset: int) -> AsyncIterator[pb.BlobPiece]:
        """A blob that an instance here needs, from a byte on. Raises LinkClosed, also where nothing comes for long."""
        channel, release = self._borrow(endpoint)
        request = pb.FetchBlobRequest(instance=instance, digest=digest, offset=offset)
        call = cast("Any", pb_grpc.NodeServiceStub(channel).FetchBlob(request))
        try:
            while True:
                async with asyncio.timeout(PIECE_DEADLINE):
                    piece = await call.read()
                if piece is grpc.aio.EOF:
                    return
                yield piece
        except TimeoutError:
            raise LinkClosed(f"nothing of the blob came for {PIECE_DEADLINE:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise LinkClosed(f"{error.code().name.lower()}: {error.details()}") from None
        finally:
            call.cancel()
            await release()

    async def renew(self, endpoint: str, csr_pem: bytes) -> pb.RenewResponse:
        """Ask for a new certificate for the identity in use. Raises LinkClosed."""
        channel = self._channel(endpoint, self._identity())
        try:
            request = pb.RenewRequest(csr_pem=csr_pem)
            return await pb_grpc.NodeServiceStub(channel).Renew(request, timeout=RENEW_DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise LinkClosed(f"{error.code().name.lower()}: {error.details()}") from None
        finally:
            await channel.close()

    def _channel(self, endpoint: str, identity: IdentityView, silence_ms: int = 0) -> grpc.aio.Channel:
        """`silence_ms`: after which it is given up, instead of that of keepalives."""
        silence_ms = silence_ms or self._keepalive_timeout_ms
        # Names of the options: grpc_types.h and grpc/doc/keepalive.md.
        return grpc.aio.secure_channel(
            endpoint,
            grpc.ssl_channel_credentials(
                identity.roots_pem.encode(), identity.private_key_pem.encode(), identity.certificate_pem.encode()
            ),
            options=[
                # Nexus is reached by whatever address the network gives it; its certificate has this name alone.
                ("grpc.ssl_target_name_override", NEXUS_SERVER_NAME),
                ("grpc.default_authority", NEXUS_SERVER_NAME),
                ("grpc.keepalive_time_ms", self._keepalive_ms * PING_FACTOR),
                ("grpc.keepalive_timeout_ms", silence_ms),
                # While the connection stays open, a silent peer is found by the ping's own limit, a minute by default.
                ("grpc.http2.ping_timeout_ms", silence_ms),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
                ("grpc.max_send_message_length", MAX_SENT_BYTES),
                # When to try again is the session's decision: no retries, no back-off shared between channels.
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),
            ],
            compression=grpc.Compression.Gzip,
        )


async def _nothing() -> None:
    """The channel is another's."""


async def _connected(channel: grpc.aio.Channel) -> None:
    """Until there is a connection, or the first try has failed, which the call then tells in full.

    A call takes messages before that and keeps them: a hello would be as old as the way was long.
    """
    state = channel.get_state(try_to_connect=True)
    while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING):
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


def _seen(task: "asyncio.Task[object]") -> None:
    """An error of a read that nobody waited for any more is no news."""
    if not task.cancelled():
        task.exception()
