"""The node's end of its gRPC streams to Nexus, as Links, over mutual TLS."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

import grpc
import grpc.aio

from omnitide.security.identity import NodeIdentity
from omnitide.security.names import NEXUS_SERVER_NAME
from omnitide.security.tls import node_material
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc
from omnitide.wire.link import LinkClosed

MAX_MESSAGE_BYTES: Final = 4 << 20
KEEPALIVE_MS: Final = 5_000
"""The node's own pings find a dead Nexus; Nexus pings faster to find a dead node."""
KEEPALIVE_TIMEOUT_MS: Final = 3_000

Sent = TypeVar("Sent")
Received = TypeVar("Received")


class ClientLink(Generic[Sent, Received]):
    """One stream on a channel. Closing the last user's stream closes the channel."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[Any, Any]", channel: grpc.aio.Channel) -> None:
        self._call = call
        self._channel = channel
        self._closed = False

    async def send(self, message: Sent) -> None:
        if self._closed:
            raise LinkClosed("closed here")
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise LinkClosed(await self._reason(error)) from None

    async def receive(self) -> Received:
        if self._closed:
            raise LinkClosed("closed here")
        try:
            message = await self._call.read()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise LinkClosed(await self._reason(error)) from None
        except asyncio.CancelledError:
            # gRPC cancels whoever reads when the call itself was cancelled.
            if self._call.cancelled() and not cast(Any, asyncio.current_task()).cancelling():
                raise LinkClosed("the call was cancelled") from None
            raise
        if message is grpc.aio.EOF:
            raise LinkClosed(await self._reason(None))
        return cast(Received, message)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            with contextlib.suppress(grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
                await self._call.done_writing()
            self._call.cancel()
            await self._channel.close()

    async def _reason(self, error: BaseException | None) -> str:
        if isinstance(error, grpc.aio.AioRpcError):
            return f"{error.code().name.lower()}: {error.details()}"
        if self._call.done():
            code = await self._call.code()
            details = await self._call.details()
            return f"{code.name.lower()}: {details}" if details else "Nexus ended the stream"
        return f"the stream broke: {error!r}"


class GrpcDialer:
    """A `session.Dialer`. Each stream has a connection of its own: bulk never waits behind control."""

    def __init__(self, identity: Callable[[], NodeIdentity]) -> None:
        self._identity = identity

    def _channel(self, endpoint: str) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(*node_material(self._identity()))
        return grpc.aio.secure_channel(
            endpoint,
            credentials,
            options=[
                ("grpc.ssl_target_name_override", NEXUS_SERVER_NAME),
                ("grpc.default_authority", NEXUS_SERVER_NAME),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.initial_reconnect_backoff_ms", 100),
            ],
            compression=grpc.Compression.Gzip,
        )

    async def dial(self, endpoint: str) -> ClientLink[pb.NodeMessage, pb.NexusMessage]:
        channel = self._channel(endpoint)
        call = pb_grpc.NodeServiceStub(channel).Session()
        return ClientLink(cast(Any, call), channel)

    async def open_tunnel(self, endpoint: str) -> ClientLink[pb.TunnelFrame, pb.TunnelFrame]:
        channel = self._channel(endpoint)
        call = pb_grpc.NodeServiceStub(channel).Tunnel()
        return ClientLink(cast(Any, call), channel)
