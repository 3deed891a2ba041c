"""A node's certificate is renewed for a new key over real gRPC and mutual TLS, against the real NodeService."""

import asyncio

import grpc
import grpc.aio
import pytest

from omnitide.security.certificates import make_csr, new_private_key
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc

from .conftest import DEADLINE_S, Served


async def test_the_new_key_serves_once_it_was_given_and_then_alone(served: Served) -> None:
    node = await served.join()
    assert (await served.first_answer(served.key, served.certificate, node)).HasField("welcome")
    fresh = new_private_key()
    async with served.channel(served.key, served.certificate) as channel, asyncio.timeout(DEADLINE_S):
        stub = pb_grpc.NodeServiceStub(channel)
        answer = await stub.Renew(pb.RenewRequest(csr_pem=make_csr(fresh)))
        again = await stub.Renew(pb.RenewRequest(csr_pem=make_csr(fresh)))
    assert again.certificate_pem
    # The answer may have been lost: the old key still serves.
    assert (await served.first_answer(served.key, served.certificate, node)).HasField("welcome")
    assert (await served.first_answer(fresh, answer.certificate_pem, node)).HasField("welcome")
    old = await served.first_answer(served.key, served.certificate, node)
    assert old.refused.reason == "identity"
    async with served.channel(served.key, served.certificate) as channel, asyncio.timeout(DEADLINE_S):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pb_grpc.NodeServiceStub(channel).Renew(pb.RenewRequest(csr_pem=make_csr(new_private_key())))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_request_that_is_no_csr_is_refused(served: Served) -> None:
    await served.join()
    async with served.channel(served.key, served.certificate) as channel, asyncio.timeout(DEADLINE_S):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pb_grpc.NodeServiceStub(channel).Renew(pb.RenewRequest(csr_pem=b"nonsense"))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
