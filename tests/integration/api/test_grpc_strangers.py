"""Who has shown no token on the gRPC port: refused before anything of theirs is read, and never in anyone's way."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.grpc_health import MAX_CHECKS, MAX_QUESTION_BYTES, MAX_WATCHES
from omnitide.api.grpc_server import GrpcServer
from omnitide.wire import fabric_pb2 as pb
from omnitide.wire import fabric_pb2_grpc

SERVICE = "/omnitide.v1.FabricService/"
HEALTH = "/grpc.health.v1.Health/"
DEADLINE_S = 20.0
BIG = b"\x0a" * 900_000


class Place:
    def __init__(self, runtime: MemoryRuntime, server: GrpcServer, channel: Any) -> None:
        self.runtime, self.server, self.channel = runtime, server, channel
        self.token = runtime.api_token()

    def right(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    async def version(self) -> Any:
        stub: Any = fabric_pb2_grpc.FabricServiceStub(self.channel)
        return await stub.GetVersion(pb.GetVersionRequest(), metadata=self.right(), timeout=DEADLINE_S)

    def raw(self, method: str, metadata: tuple[tuple[str, str], ...] = ()) -> Any:
        """A call of which the test writes the bytes, whatever the method's kind: on the wire they are alike."""
        return self.channel.stream_stream(method, None, None)(metadata=metadata, timeout=DEADLINE_S)


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    runtime = MemoryRuntime()
    server = await GrpcServer.start(runtime, "127.0.0.1", 0, None, connections=8)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Place(runtime, server, channel)
    await server.close()


async def code_of(call: Any) -> grpc.StatusCode:
    async with asyncio.timeout(DEADLINE_S):
        return await call.code()


WRONG = (
    (),
    (("authorization", "Bearer oma_nobody"),),
    (("authorization", "Basic eDp5"),),
    (("authorization", "Bearer " + "x" * 5000),),
)


@pytest.mark.parametrize("metadata", WRONG, ids=("none", "unknown", "another scheme", "too long"))
@pytest.mark.parametrize("method", ["GetVersion", "DeployAgent", "SetSecret", "WatchEvents", "ReadLogs"])
async def test_no_byte_of_a_stranger_is_waited_for(
    place: Place, method: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    # The question never comes: an answer before it is one that has not looked at it.
    assert await code_of(place.raw(SERVICE + method, metadata)) is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_no_message_is_told_to_those_with_a_token_only(place: Place) -> None:
    for metadata, code in (
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (place.right(), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        call = place.raw(SERVICE + "DeployAgent", metadata)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(BIG)
            await call.done_writing()
        assert await code_of(call) is code


async def test_wrong_tokens_are_counted_and_a_right_one_is_not_made_to_wait(place: Place) -> None:
    found = [await code_of(place.raw(SERVICE + "GetVersion", WRONG[1])) for _ in range(22)]
    assert found[0] is grpc.StatusCode.UNAUTHENTICATED
    assert found[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await place.version()).version


async def test_reflection_reads_nothing_of_a_stranger(place: Place) -> None:
    call = place.raw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    assert await code_of(call) is grpc.StatusCode.UNAUTHENTICATED


async def test_health_is_open_in_few_bytes(place: Place) -> None:
    stub: Any = health_pb2_grpc.HealthStub(place.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for raw in (b"\x0a" * (MAX_QUESTION_BYTES + 1), b"\xff" * 9):
        call = place.raw(HEALTH + "Check")
        await call.write(raw)
        await call.done_writing()
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("method", "most"), [("Check", MAX_CHECKS), ("Watch", MAX_WATCHES)])
async def test_strangers_share_a_few_calls_and_leave_the_others_to_those_with_a_token(
    place: Place, method: str, most: int
) -> None:
    held = [place.raw(HEALTH + method) for _ in range(most)]
    try:
        if method == "Watch":
            for call in held:
                await call.write(b"")
            for call in held:
                assert await call.read() is not grpc.aio.EOF
        else:
            # They ask nothing, so that nothing tells that they are there but that there is no room for another.
            await asyncio.gather(*(call.wait_for_connection() for call in held))
        async with asyncio.timeout(DEADLINE_S):
            while await code_of(_asked(place, method)) is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                await asyncio.sleep(0.01)
        assert (await place.version()).version
    finally:
        for call in held:
            call.cancel()
    stub: Any = health_pb2_grpc.HealthStub(place.channel)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
                return
            await asyncio.sleep(0.01)


def _asked(place: Place, method: str) -> Any:
    return place.channel.unary_unary(HEALTH + method, None, None)(b"", timeout=DEADLINE_S)


async def test_connections_have_a_bound(place: Place) -> None:
    assert (await place.version()).version
    opened = [await asyncio.open_connection("127.0.0.1", place.server.port) for _ in range(10)]
    try:
        async with asyncio.timeout(DEADLINE_S):
            while sum(reader.at_eof() for reader, _ in opened) < 3:
                await asyncio.sleep(0.01)
        assert (await place.version()).version, "who has a connection keeps it"
    finally:
        for _, writer in opened:
            writer.close()
