"""`omnitide.v1.FabricService`: one gRPC method for each operation that has one, made from the registry."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, NoReturn, cast

import grpc
import grpc.aio
import msgspec
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from omnitide.api import correlation as correlations
from omnitide.api.authenticate import Authenticator
from omnitide.api.call_counts import CallCounts
from omnitide.api.call_traces import CallTraces, end
from omnitide.api.grpc_blobs import GrpcBlobs
from omnitide.api.grpc_errors import CORRELATION_KEY, PROBLEM_KEY, REVISION_KEY, encode_problem, status_of
from omnitide.api.grpc_translate import fill, mismatches, parse
from omnitide.model.normalise import Invalid
from omnitide.model.problem import problem
from omnitide.operations.closing import closing
from omnitide.operations.events import WatchEventsRequest, watch_frames
from omnitide.operations.failures import Failed, failed, from_exception, invalid
from omnitide.operations.happenings.frames import Frame
from omnitide.operations.operation import (
    AnyBulk,
    AnyDeclaration,
    AnyOperation,
    AnyStream,
    Bulk,
    Context,
    Operation,
    Stream,
)
from omnitide.operations.perform import perform, require_permission, stream
from omnitide.operations.registry import Registry
from omnitide.operations.runtime import Runtime
from omnitide.telemetry import logs
from omnitide.telemetry.tracing.spans import Value
from omnitide.wire import fabric_pb2 as pb

SERVICE: Final = "omnitide.v1.FabricService"
WRITE_TIME_S: Final = 20.0
"""A reader of a stream that does not take a message within this is given up."""
MAX_KEY_CHARS: Final = 200

_log = logs.get(__name__)

ServicerContext = grpc.aio.ServicerContext[Any, Any]


class ParityError(Exception):
    """Registry and proto differ: an operation without its method, a field on one side only."""


def check_parity(registry: Registry) -> None:
    """Raises ParityError unless the proto has each operation that has a gRPC method, with its fields, and no more."""
    methods = pb.DESCRIPTOR.services_by_name["FabricService"].methods_by_name
    declared = registry.by_rpc()
    found = [f"{name} is in the proto only" for name in set(methods) - set(declared)]
    found += [f"{name} is not in the proto" for name in set(declared) - set(methods)]
    for name in set(methods) & set(declared):
        declaration, method = declared[name], methods[name]
        besides = frozenset({"data", "offset"} if isinstance(declaration, Bulk) else {"options"})
        found += mismatches(declaration.input, method.input_type, given=True, besides=besides)
        if not isinstance(declaration, Bulk) or declaration.incoming:
            found += mismatches(declaration.output, method.output_type, given=False)
        found += [f"{name}: {fault}" for fault in _shape_faults(declaration, method)]
    if found:
        raise ParityError("; ".join(sorted(found)))


def _shape_faults(declaration: AnyDeclaration, method: MethodDescriptor) -> list[str]:
    options = method.input_type.fields_by_name.get("options")
    wanted = ""
    if isinstance(declaration, Operation):
        wanted = "WriteOptions" if declaration.writes else "ReadOptions"
    actual = options.message_type.name if options is not None and options.message_type is not None else ""
    faults = [] if actual == wanted else [f"its options are {actual or 'absent'}, not {wanted or 'absent'}"]
    bulk = isinstance(declaration, Bulk)
    out = isinstance(declaration, Stream) or (bulk and not declaration.incoming)
    if (method.client_streaming, method.server_streaming) != (bulk and declaration.incoming, out):
        faults.append("it streams on one side only")
    return faults


class FabricService:
    """The handlers of all methods."""

    def __init__(
        self,
        runtime: Runtime,
        registry: Registry,
        traces: CallTraces | None = None,
        counts: CallCounts | None = None,
    ) -> None:
        check_parity(registry)
        self._traces = traces or CallTraces()
        self._counts = counts or CallCounts()
        self._runtime = runtime
        self._registry = registry
        self.authenticator = Authenticator(runtime)
        self._blobs = GrpcBlobs(runtime)

    def handler(self) -> grpc.GenericRpcHandler:
        methods = pb.DESCRIPTOR.services_by_name["FabricService"].methods_by_name
        declared = self._registry.by_rpc()
        handlers = {name: self._method(declared[name], method) for name, method in methods.items()}
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _method(self, declaration: AnyDeclaration, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        request_class = GetMessageClass(method.input_type)
        if isinstance(declaration, Operation):
            answer_class = GetMessageClass(method.output_type)
            return grpc.unary_unary_rpc_method_handler(
                self._unary(declaration, request_class, answer_class),
                request_deserializer=_as_it_is,
                response_serializer=_serialize,
            )
        item_class = GetMessageClass(method.output_type)
        if isinstance(declaration, Bulk) and declaration.incoming:
            return grpc.stream_unary_rpc_method_handler(
                self._bulk_in(declaration, item_class), request_deserializer=_as_it_is, response_serializer=_serialize
            )
        if declaration.name == "events.watch":
            serve = self._events(request_class)
        elif isinstance(declaration, Bulk):
            serve = self._bulk_out(declaration)
        else:
            assert isinstance(declaration, Stream), "there is no other kind"
            serve = self._stream(declaration, request_class, item_class)
        return grpc.unary_stream_rpc_method_handler(
            serve,
            request_deserializer=_as_it_is,
            response_serializer=_as_it_is,
        )

    # -- one question, one answer ------------------------------------------------------------------------------------

    def _unary(
        self, operation: AnyOperation, request_class: type[Message], answer_class: type[Message]
    ) -> Callable[[bytes, ServicerContext], Awaitable[Message]]:
        async def serve(raw: bytes, call: ServicerContext) -> Message:
            metadata = _metadata(call)
            traced = self._traces.begin(
                metadata.get("x-request-id"), metadata.get("traceparent"), changes=operation.writes
            )
            correlation = traced.correlation if traced is not None else self._correlation(call)
            principal = error_code = ""
            outcome, began = "failed", time.perf_counter()
            with logs.bound(correlation=correlation):
                try:
                    principal = self._principal(call)
                    request = _message(raw, request_class)
                    context = self._context(operation, request, call, principal, correlation)
                    answer = await perform(operation, self._runtime, context, _parse(request, operation))
                    outcome = "ok"
                except Exception as error:
                    error_code = error.problem.code if isinstance(error, Failed) else type(error).__name__
                    outcome = _outcome(error)
                    await self._abort(call, error, correlation)
                finally:
                    seconds = time.perf_counter() - began
                    self._counts.took("grpc", operation.name, outcome, seconds, changes=operation.writes)
                    # What strangers send is no part of anything: it would only fill the traces.
                    if traced is not None and principal:
                        end(traced, *_described(operation, principal, traced.own), error_code)
                message = answer_class()
                fill(message, answer.value)
                call.set_trailing_metadata(((REVISION_KEY, str(answer.revision)), (CORRELATION_KEY, correlation)))
                return message

        return serve

    def _principal(self, call: ServicerContext) -> str:
        """Who calls; asked before anything of what they say is looked at. Raises Failed."""
        return self.authenticator.bearer(_metadata(call).get("authorization"), _peer(call))

    def _context(
        self, operation: AnyDeclaration, request: Message, call: ServicerContext, principal: str, correlation: str
    ) -> Context:
        """How they call. Raises Failed."""
        peer = _peer(call)
        if not isinstance(operation, Operation):
            return Context(principal=principal, correlation=correlation, peer=peer)
        options: Any = cast("Any", request).options  # `Any`: the parity check has seen that it is there
        if not operation.writes:
            if options.min_revision < 0:
                raise failed("invalid", "options.min_revision: must be at least 0")
            return Context(principal=principal, correlation=correlation, peer=peer, min_revision=options.min_revision)
        key: str = options.idempotency_key
        if len(key) > MAX_KEY_CHARS or not key.isprintable():
            raise failed("invalid", f"options.idempotency_key: takes up to {MAX_KEY_CHARS} printable characters")
        return Context(
            principal=principal,
            correlation=correlation,
            idempotency_key=key,
            fingerprint=_fingerprint(operation, request) if key else "",
            if_match=options.if_match if options.HasField("if_match") else None,
            dry_run=options.dry_run,
            peer=peer,
        )

    # -- one question, many answers ----------------------------------------------------------------------------------

    def _stream(
        self, operation: AnyStream, request_class: type[Message], item_class: type[Message]
    ) -> Callable[[bytes, ServicerContext], Awaitable[None]]:
        async def messages(raw: bytes, call: ServicerContext, correlation: str) -> AsyncIterator[bytes]:
            principal = self._principal(call)
            request = _message(raw, request_class)
            context = self._context(operation, request, call, principal, correlation)
            async with closing(stream(operation, self._runtime, context, _parse(request, operation))) as items:
                async for item in items:
                    message = item_class()
                    fill(message, item)
                    yield message.SerializeToString()

        return self._serve_stream(messages)

    # -- bytes -------------------------------------------------------------------------------------------------------

    def _bulk_in(
        self, operation: AnyBulk, answer_class: type[Message]
    ) -> Callable[[AsyncIterator[bytes], ServicerContext], Awaitable[Message]]:
        async def serve(messages: AsyncIterator[bytes], call: ServicerContext) -> Message:
            correlation = self._correlation(call)
            with logs.bound(correlation=correlation):
                try:
                    context = Context(principal=self._principal(call), correlation=correlation, peer=_peer(call))
                    stored = await self._blobs.put(operation, context, messages)
                except Exception as error:
                    await self._abort(call, error, correlation)
                message = answer_class()
                fill(message, stored)
                revision = str(self._runtime.committed().revision)
                call.set_trailing_metadata(((REVISION_KEY, revision), (CORRELATION_KEY, correlation)))
                return message

        return serve

    def _bulk_out(self, operation: AnyBulk) -> Callable[[bytes, ServicerContext], Awaitable[None]]:
        async def messages(raw: bytes, call: ServicerContext, correlation: str) -> AsyncIterator[bytes]:
            context = Context(principal=self._principal(call), correlation=correlation, peer=_peer(call))
            request = cast("pb.GetBlobRequest", _message(raw, pb.GetBlobRequest))
            async with closing(self._blobs.get(operation, context, request)) as pieces:
                async for piece in pieces:
                    yield piece

        return self._serve_stream(messages)

    def _events(self, request_class: type[Message]) -> Callable[[bytes, ServicerContext], Awaitable[None]]:
        operation = cast("AnyStream", self._registry["events.watch"])

        async def messages(raw: bytes, call: ServicerContext, correlation: str) -> AsyncIterator[bytes]:
            principal = self._principal(call)
            request = _message(raw, request_class)
            context = self._context(operation, request, call, principal, correlation)
            require_permission(operation, self._runtime, context)
            wanted = cast("WatchEventsRequest", _parse(request, operation))
            async with closing(watch_frames(self._runtime, wanted)) as frames:
                async for frame in frames:
                    require_permission(operation, self._runtime, context)
                    yield frame.encoded("proto", _encode_frame)

        return self._serve_stream(messages)

    def _serve_stream(
        self, messages: Callable[[bytes, ServicerContext, str], AsyncIterator[bytes]]
    ) -> Callable[[bytes, ServicerContext], Awaitable[None]]:
        async def serve(raw: bytes, call: ServicerContext) -> None:
            correlation = self._correlation(call)
            with logs.bound(correlation=correlation):
                try:
                    async with closing(messages(raw, call, correlation)) as items:
                        async for item in items:
                            async with asyncio.timeout(WRITE_TIME_S):
                                await call.write(item)
                except TimeoutError:
                    await self._abort(call, failed("lagged", "the stream was not read"), correlation)
                except Exception as error:
                    await self._abort(call, error, correlation)

        return serve

    # -- failures ----------------------------------------------------------------------------------------------------

    async def refuse(self, _: AsyncIterator[bytes], call: ServicerContext) -> None:
        """The end of a call whose head shows no valid token; what comes behind it is not read."""
        try:
            self._principal(call)
            raise failed("busy", "the token has become valid just now; try again")
        except Failed as failure:
            await self._abort(call, failure, self._correlation(call))

    def _correlation(self, call: ServicerContext) -> str:
        metadata = _metadata(call)
        return correlations.given(metadata.get("x-request-id"), metadata.get("traceparent")) or self._runtime.new_id(
            "c"
        )

    async def _abort(self, call: ServicerContext, error: Exception, correlation: str) -> NoReturn:
        failure = from_exception(error)
        if failure is None:
            _log.error("a call could not be answered", exc_info=error, error=repr(error))
            failure = Failed(problem("internal", "something went wrong in the control plane; see its log"))
        cause = msgspec.structs.replace(failure.problem, correlation=correlation)
        trailing = (
            (PROBLEM_KEY, encode_problem(cause)),
            (REVISION_KEY, str(self._runtime.committed().revision)),
            (CORRELATION_KEY, correlation),
        )
        await call.abort(status_of(cause), cause.detail, trailing)
        raise AssertionError("abort raises")


def _outcome(error: Exception) -> str:
    """As of the same answer over REST."""
    failure = from_exception(error)
    return "refused" if failure is not None and failure.problem.status < 500 else "failed"


def _described(operation: AnyOperation, principal: str, own: str) -> tuple[str, dict[str, Value]]:
    """Name and attributes of the span of a call, in OpenTelemetry's words."""
    described: dict[str, Value] = {
        "rpc.system.name": "grpc",
        "rpc.method": f"{SERVICE}/{operation.rpc}",
        "enduser.id": principal,
        "omnitide.operation": operation.name,
    }
    if own:
        described["omnitide.request_id"] = own
    return f"{SERVICE}/{operation.rpc}", described


def _message(raw: bytes, request_class: type[Message]) -> Message:
    """Read here and not by gRPC, so that bytes that are no message are refused as everything else is."""
    try:
        return request_class.FromString(raw)
    except DecodeError as error:
        raise failed("malformed", f"the request is no {request_class.DESCRIPTOR.name}: {error}") from error


def _parse(request: Message, operation: AnyDeclaration) -> msgspec.Struct:
    try:
        return parse(request, cast("type[msgspec.Struct]", operation.input))
    except Invalid as error:
        raise invalid(error.faults) from error


def _fingerprint(operation: AnyOperation, request: Message) -> str:
    digest = hashlib.sha256(operation.rpc.encode() + b"\0" + request.SerializeToString(deterministic=True))
    return f"sha256:{digest.hexdigest()}"


def _encode_frame(frame: Frame) -> bytes:
    message = pb.EventBatch()
    fill(message, frame.batch)
    return message.SerializeToString()


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _as_it_is(data: bytes) -> bytes:
    return data


def first_texts(metadata: "Iterable[tuple[str, str | bytes]] | None") -> dict[str, str]:
    """Of each key the first value, if it is text."""
    found: dict[str, str] = {}
    for key, value in metadata or ():
        if isinstance(value, str):
            found.setdefault(key, value)
    return found


def _metadata(call: ServicerContext) -> dict[str, str]:
    return first_texts(call.invocation_metadata())


def _peer(call: ServicerContext) -> str:
    """`ipv4:127.0.0.1:5000` without the port."""
    _, _, address = call.peer().partition(":")
    return address.rpartition(":")[0] or address
