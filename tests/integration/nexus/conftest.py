"""A Nexus on a log in memory that serves nodes over real gRPC and mutual TLS."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from omnitide.config.settings import Settings
from omnitide.fabric.commands import Header, IssueToken
from omnitide.fabric.state import TokenPurpose
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.identity import NexusIdentity, now_of
from omnitide.nexus.nexus import Nexus, Ports
from omnitide.nexus.node_service import NodeServicer, start_node_server
from omnitide.nexus.values import ClosedValues
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JoinAnswer
from omnitide.security.keyring import new_keyring
from omnitide.security.names import NEXUS_SERVER_NAME
from omnitide.security.peer import TrustBundle
from omnitide.security.pki import create_authority
from omnitide.store.blobs import BlobLimits, DirectoryBlobs
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc

DEADLINE_S = 20.0


class Served:
    def __init__(self, nexus: Nexus, port: int) -> None:
        self.nexus = nexus
        self.port = port
        self.key = new_private_key()
        self.certificate = b""

    async def join(self) -> str:
        token = self.nexus.new_token(TokenPurpose.JOIN)
        expires = self.nexus.now_ms() + 60_000
        command = IssueToken(id=token.id, purpose=TokenPurpose.JOIN, digest=token.digest, expires_ms=expires)
        await self.nexus.submit(command, Header(principal="system:test"))
        answer = await self.nexus.join(token.text, make_csr(self.key).decode(), {"name": "alpha"}, "test")
        assert isinstance(answer, JoinAnswer)
        self.certificate = answer.certificate_pem.encode()
        return answer.node_id

    def channel(self, key: Any, certificate: bytes) -> grpc.aio.Channel:
        roots = TrustBundle.parse(self.nexus.ca_bundle_pem()).roots_pem
        credentials = grpc.ssl_channel_credentials(roots, private_key_pem(key), certificate)
        options = [("grpc.ssl_target_name_override", NEXUS_SERVER_NAME), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options)

    async def first_answer(self, key: Any, certificate: bytes, node: str) -> pb.NexusMessage:
        async with self.channel(key, certificate) as channel, asyncio.timeout(DEADLINE_S):
            call = pb_grpc.NodeServiceStub(channel).Session()
            hello = pb.Hello(protocol_min=1, protocol_max=1, node_id=node, outbox_id="o")
            await call.write(pb.NodeMessage(hello=hello))
            message = await call.read()
            call.cancel()
            assert isinstance(message, pb.NexusMessage)
            return message


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    clock = SystemClock()
    keyring = new_keyring(create_authority("renewal", now_of(clock)))
    nexus = await Nexus.start(
        MemoryLog(MemoryStorage()),
        keyring,
        clock,
        Settings,
        blobs=DirectoryBlobs(tmp_path / "blobs", lambda: BlobLimits(1 << 20, 1 << 20)),
        values=ClosedValues.at(tmp_path / "secrets", keyring.secrets_key),
    )
    identity = NexusIdentity(keyring, (), clock)
    servicer = NodeServicer(
        nexus.sessions,
        nexus.tunnels,
        keyring.authority,
        keyring.authority.trust_bundle,
        lambda: now_of(clock),
        nexus.blobs(),
        nexus.values(),
        nexus.samples,
    )
    server, port = await start_node_server(
        servicer, "127.0.0.1:0", lambda: identity.material, keepalive_ms=1000, keepalive_timeout_ms=1500
    )
    nexus.ports = Ports((f"127.0.0.1:{port}",))
    yield Served(nexus, port)
    await server.stop(0.2)
    await nexus.close()
