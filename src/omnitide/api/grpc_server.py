"""The gRPC port for programs: FabricService by bearer token, with the standard health and reflection services."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from omnitide.api.call_counts import CallCounts
from omnitide.api.call_traces import CallTraces
from omnitide.api.connections import bound_of_process
from omnitide.api.grpc_health import HEALTH, Health
from omnitide.api.grpc_service import SERVICE, FabricService, first_texts
from omnitide.api.server import PlaintextRefused
from omnitide.model.addresses import host_port
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.operations.runtime import Runtime
from omnitide.telemetry import logs

MAX_CALLS: Final = 4096
KEEPALIVE_MS: Final = 20_000
HANDSHAKE_MS: Final = 10_000
"""For TLS, from the acceptance of a connection on."""
IDLE_MS: Final = 120_000
"""A connection without a call is given up after it; a client that has something to ask then makes another."""
STOP_S: Final = 5.0

_REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"
_OPEN: Final = f"/{HEALTH}/"

_log = logs.get(__name__)


class GrpcServer:
    """Listens from `start` until `close`."""

    def __init__(self, server: grpc.aio.Server, host: str, port: int) -> None:
        self._server = server
        self.host, self.port = host, port

    @classmethod
    async def start(
        cls,
        runtime: Runtime,
        host: str,
        port: int,
        credentials: grpc.ServerCredentials | None,
        registry: Registry = REGISTRY,
        *,
        connections: int | None = None,
        traces: CallTraces | None = None,
        counts: CallCounts | None = None,
    ) -> "GrpcServer":
        """Listen on an IP address; port 0 takes a free one. Without credentials on loopback only.

        `connections`: how many may be open at once, if it is not half as many as on the HTTPS port; one more is closed
        as soon as it is there.

        Raises PlaintextRefused, ParityError, OSError if the port cannot be had.
        """
        if credentials is None and not ipaddress.ip_address(host).is_loopback:
            raise PlaintextRefused(f"{host} is not loopback, and nothing is served there without TLS")
        service = FabricService(runtime, registry, traces, counts)
        server = grpc.aio.server(
            interceptors=[_Guard(service)],
            options=[
                ("grpc.max_receive_message_length", runtime.limits().body_bytes),
                ("grpc.max_allowed_incoming_connections", connections or bound_of_process() // 2),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.max_connection_idle_ms", IDLE_MS),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        server.add_generic_rpc_handlers((service.handler(),))
        server.add_generic_rpc_handlers((Health(runtime).handler(), _Reflection()))
        address = host_port(host, port)
        try:
            if credentials is None:
                bound = server.add_insecure_port(address)
            else:
                bound = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"{address} cannot be listened on: {error}") from error
        await server.start()
        _log.info("gRPC listens", address=host_port(host, bound))
        return cls(server, host, bound)

    async def close(self) -> None:
        """Refuse new calls, give those that run a few seconds, cancel the rest."""
        await self._server.stop(STOP_S)


class _Reflection(grpc.GenericRpcHandler):
    """The standard reflection service, loaded when it is first called: it costs as much to import as gRPC itself."""

    def __init__(self) -> None:
        self._handler: grpc.GenericRpcHandler | None = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if not handler_call_details.method.startswith(f"/{_REFLECTION}/"):
            return None
        if self._handler is None:
            self._handler = _load_reflection()
        return self._handler.service(handler_call_details)


def _load_reflection() -> grpc.GenericRpcHandler:
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_reflection.v1alpha._async import ReflectionServicer

    servicer: Any = ReflectionServicer((SERVICE, HEALTH, _REFLECTION))  # `Any`: it carries no types
    return grpc.method_handlers_generic_handler(
        _REFLECTION,
        {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                servicer.ServerReflectionInfo,
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
        },
    )


class _Guard(grpc.aio.ServerInterceptor):
    """Whoever shows no valid token is refused by the head of the call: nothing of what they send is read.

    All that is served here needs a token, reflection above all; but health, which is open, and bounded by itself.
    """

    def __init__(self, service: FabricService) -> None:
        self._service = service
        # Of a stream, so that no question is waited for; who asks but one does not notice.
        self._refusing: Any = grpc.stream_stream_rpc_method_handler(service.refuse)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """`Any`: gRPC's handlers are of many types, and this gives back what it was given."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        shown = first_texts(handler_call_details.invocation_metadata).get("authorization")
        return handler if self._service.authenticator.recognises(shown) else self._refusing
