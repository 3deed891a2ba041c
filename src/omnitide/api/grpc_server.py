"""The gRPC port for programs: FabricService by bearer token, with the standard health and reflection services."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from omnitide.api.grpc_service import SERVICE, FabricService
from omnitide.api.server import PlaintextRefused
from omnitide.model.addresses import host_port
from omnitide.operations.failures import Failed
from omnitide.operations.registry import REGISTRY, Registry
from omnitide.operations.runtime import Runtime
from omnitide.telemetry import logs

MAX_CALLS: Final = 4096
KEEPALIVE_MS: Final = 20_000
HEALTH_POLL_S: Final = 1.0
STOP_S: Final = 5.0

_REFLECTION: Final = "grpc.reflection.v1alpha.ServerReflection"
_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

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
    ) -> "GrpcServer":
        """Listen on an IP address; port 0 takes a free one. Without credentials on loopback only.

        Raises PlaintextRefused, ParityError, OSError if the port cannot be had.
        """
        if credentials is None and not ipaddress.ip_address(host).is_loopback:
            raise PlaintextRefused(f"{host} is not loopback, and nothing is served there without TLS")
        service = FabricService(runtime, registry)
        server = grpc.aio.server(
            interceptors=[_Guard(service)],
            options=[
                ("grpc.max_receive_message_length", runtime.limits().body_bytes),
                ("grpc.keepalive_time_ms", KEEPALIVE_MS),
                ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        server.add_generic_rpc_handlers((service.handler(),))
        # grpcio-health-checking carries no types for this one.
        health_pb2_grpc.add_HealthServicer_to_server(_Health(runtime), server)  # pyright: ignore[reportUnknownMemberType]
        server.add_generic_rpc_handlers((_Reflection(),))
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


class _Health(health_pb2_grpc.HealthServicer):
    """The standard health service. Open to anybody, as probes have no tokens; it says yes or no and nothing else."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def _status(self, service: str) -> "health_pb2.HealthCheckResponse.ServingStatus | None":
        if service not in ("", SERVICE):
            return None
        serving = all(check.ok for check in self._runtime.readiness())
        response = health_pb2.HealthCheckResponse
        return response.SERVING if serving else response.NOT_SERVING

    async def Check(  # noqa: N802 - gRPC's own name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        status = self._status(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no service {request.service[:80]!r} here")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        del context
        told: object = None
        while True:
            status = self._status(request.service)
            if status is None:
                status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(HEALTH_POLL_S)


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

    servicer: Any = ReflectionServicer((SERVICE, _HEALTH, _REFLECTION))  # `Any`: it carries no types
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
    """Whatever else is served here, reflection above all, needs a token too. FabricService asks for itself."""

    def __init__(self, service: FabricService) -> None:
        self._service = service

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """`Any`: gRPC's handlers are of many types, and this gives back what it was given."""
        handler = await continuation(handler_call_details)
        name = handler_call_details.method.rpartition("/")[0].removeprefix("/")
        if handler is None or name in (SERVICE, _HEALTH):
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        try:
            self._service.authenticator.bearer(str(metadata.get("authorization", "")), "gRPC")
        except Failed as failure:
            return _refusing(handler, failure.problem.detail)
        return handler


def _refusing(handler: Any, detail: str) -> Any:
    async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, detail)

    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)  # type: ignore[arg-type]
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse)  # type: ignore[arg-type]
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse)  # type: ignore[arg-type]
    return grpc.unary_unary_rpc_method_handler(refuse)  # type: ignore[arg-type]
