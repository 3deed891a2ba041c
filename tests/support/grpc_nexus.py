"""A Nexus played by hand, as `memory_link.HandNexus`, but over real gRPC and mTLS, with a CA of its own."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from omnitide.nexus.node_service import ServerLink, server_options
from omnitide.security import pki
from omnitide.security.certificates import make_csr, private_key_pem
from omnitide.security.identity import IdentityStore, NodeIdentity
from omnitide.security.names import Role
from omnitide.security.peer import Identity, verify_peer
from omnitide.security.tls import server_material
from omnitide.wire import node_pb2 as pb
from omnitide.wire import node_pb2_grpc as pb_grpc
from support.welcome import welcome

SessionEnd = ServerLink[pb.NexusMessage, pb.NodeMessage]
TunnelEnd = ServerLink[pb.TunnelFrame, pb.TunnelFrame]
Context = Any  # the servicer context: generic for type checkers only


def wall() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class GrpcNexus(pb_grpc.NodeServiceServicer):
    """Sessions and tunnels wait for the test to `accept` them; `renewals` counts certificates given out."""

    def __init__(self) -> None:
        self.authority = pki.create_authority("test", wall())
        self.credentials = pki.issue_nexus(self.authority, "nexus-1", (), wall())
        self.peers: list[Identity] = []
        self.renewals = 0
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self._arrivals: asyncio.Queue[SessionEnd] = asyncio.Queue()
        self._tunnels: asyncio.Queue[TunnelEnd] = asyncio.Queue()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def identity(self, directory: Path, node: str = "n1", age: dt.timedelta = dt.timedelta(0)) -> NodeIdentity:
        """Give a node its identity, stored in a directory; `age`: issued so long ago."""
        store = IdentityStore(directory)
        key = store.join_key()
        chain = pki.sign_node_csr(self.authority, make_csr(key), node, wall() - age).chain_pem
        bundle = self.authority.trust_bundle().pem.decode()
        endpoints = (self.endpoint,)
        identity = NodeIdentity(self.authority.fabric_id, node, private_key_pem(key), chain, bundle, endpoints)
        store.finish_join(identity)
        return identity

    async def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._server = grpc.aio.server(options=server_options(1000, 1500), compression=grpc.Compression.Gzip)
        pb_grpc.add_NodeServiceServicer_to_server(self, self._server)
        material = server_material(self.credentials, self.authority.trust_bundle())
        secure = grpc.ssl_server_credentials([material.pair], material.root_certificates, require_client_auth=True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", secure)
        await self._server.start()

    async def stop(self) -> None:
        """As if the process were killed: all streams break."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def Session(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: Context
    ) -> None:
        shown = b"".join(context.auth_context()["x509_pem_cert"])
        self.peers.append(verify_peer(shown, self.authority.trust_bundle(), Role.NODE, wall()))
        link: SessionEnd = ServerLink(request_iterator, context)
        self._arrivals.put_nowait(link)
        await link.closed.wait()

    async def Tunnel(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, request_iterator: AsyncIterator[pb.TunnelFrame], context: Context
    ) -> None:
        link: TunnelEnd = ServerLink(request_iterator, context)
        self._tunnels.put_nowait(link)
        await link.closed.wait()

    async def Renew(self, request: pb.RenewRequest, context: Context) -> pb.RenewResponse:
        self.renewals += 1
        issued = pki.sign_node_csr(self.authority, request.csr_pem, self.peers[-1].id, wall())
        bundle = self.authority.trust_bundle().pem
        return pb.RenewResponse(certificate_pem=issued.chain_pem.encode(), trust_bundle_pem=bundle)

    async def accept(self, seconds: float = 60.0) -> SessionEnd:
        return await asyncio.wait_for(self._arrivals.get(), seconds)

    async def accept_tunnel(self, seconds: float = 60.0) -> TunnelEnd:
        return await asyncio.wait_for(self._tunnels.get(), seconds)

    async def welcomed(self, acknowledged: int = 0, session: int = 0, **settings: int) -> tuple[SessionEnd, pb.Hello]:
        link = await self.accept()
        return link, await welcome(link, acknowledged, session, **settings)
