"""Calls over gRPC that are traced."""

import grpc
import pytest
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.call_counts import CallCounts
from omnitide.api.call_traces import CallTraces
from omnitide.api.grpc_server import GrpcServer
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.choosing import Choice
from omnitide.telemetry.tracing.spans import Span
from omnitide.wire import fabric_pb2 as pb
from omnitide.wire import fabric_pb2_grpc

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_a_change_is_a_span_under_its_callers_and_a_stranger_none() -> None:
    runtime = MemoryRuntime()
    token = runtime.api_token()
    found: list[Span] = []
    counts = CallCounts()
    traces = CallTraces(Choice(100, {}))
    server = await GrpcServer.start(runtime, "127.0.0.1", 0, None, traces=traces, counts=counts)
    spans.send_to(found.append)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = fabric_pb2_grpc.FabricServiceStub(channel)
            told = (("traceparent", f"00-{TRACE}-{SPAN}-01"), ("x-request-id", "mine"))
            request = pb.CreateNamespaceRequest(name="blue")
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.CreateNamespace(request, metadata=(*told, ("authorization", "Bearer oma_x")))
            assert found == []
            metadata = (*told, ("authorization", f"Bearer {token}"))
            await stub.CreateNamespace(request, metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.CreateNamespace(request, metadata=metadata)
    finally:
        spans.send_to(None)
        await server.close()
    made, refused = found
    assert (made.place.trace_id, made.parent_id, made.error, refused.error) == (TRACE, SPAN, "", "already-exists")
    assert made.name == "omnitide.v1.FabricService/CreateNamespace"
    calls = {dict(one.labels)["outcome"]: one.value for one in counts.samples() if one.name.endswith("calls_total")}
    assert calls == {"ok": 1, "refused": 1}, "a stranger is sent away before it is a call"
    assert runtime.log[-1].correlation == f"{TRACE}-{made.place.span_id}-mine"
