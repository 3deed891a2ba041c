"""What Nexus gives a node over its own channel: the values and blobs of instances that are to run there, no others."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import grpc.aio
import pytest

from omnitide.config.settings import Settings
from omnitide.fabric import commands as cm
from omnitide.fabric.state import DriverFact, Instance, TokenPurpose
from omnitide.model.provisions import Artifact, ConfigUse, SecretUse
from omnitide.model.spec import AgentSpec
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.identity import NexusIdentity, now_of
from omnitide.nexus.nexus import Nexus, Ports
from omnitide.nexus.node_service import NodeServicer, start_node_server
from omnitide.nexus.values import ClosedValues
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.identity_view import IdentityView
from omnitide.node.provisions.supply import NexusSupply, SupplyRefused
from omnitide.operations.operation import Context
from omnitide.operations.perform import perform
from omnitide.operations.registry import REGISTRY
from omnitide.operations.secrets import RemoveSecretRequest, SetConfigRequest, SetSecretRequest
from omnitide.security.certificates import make_csr, new_private_key, private_key_pem
from omnitide.security.join_contract import JoinAnswer
from omnitide.security.keyring import new_keyring
from omnitide.security.peer import TrustBundle
from omnitide.security.pki import create_authority
from omnitide.store.blobs import BlobLimits, DirectoryBlobs
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.wire import node_pb2 as pb

WORD = "c2VjcmV0LXdvcmQ="  # secret-word
PLAIN = b"secret-word"


class Member(NamedTuple):
    node: str
    supply: NexusSupply


class Served:
    def __init__(self, nexus: Nexus, folder: Path) -> None:
        self.nexus = nexus
        self.folder = folder
        self.endpoint = nexus.ports.node_endpoints[0]

    async def join(self) -> Member:
        token = self.nexus.new_token(TokenPurpose.JOIN)
        issue = cm.IssueToken(
            id=token.id, purpose=TokenPurpose.JOIN, digest=token.digest, expires_ms=self.nexus.now_ms() + 60_000
        )
        await self.nexus.submit(issue, cm.Header(principal="system:test"))
        key = new_private_key()
        answer = await self.nexus.join(token.text, make_csr(key).decode(), {}, "127.0.0.1")
        assert isinstance(answer, JoinAnswer)
        view = IdentityView(
            fabric_id=answer.fabric_id,
            node_id=answer.node_id,
            roots_pem=TrustBundle.parse(answer.trust_bundle_pem).roots_pem.decode(),
            private_key_pem=private_key_pem(key).decode(),
            certificate_pem=answer.certificate_pem,
            endpoints=(self.endpoint,),
            renew_at_ms=2**60,
        )
        return Member(answer.node_id, NexusSupply(GrpcDialer(lambda: view), lambda: self.endpoint))

    async def perform(self, name: str, value: object) -> object:
        operation = next(one for one in REGISTRY.unary() if one.name == name)
        context = Context(principal="system:test", correlation="c", idempotency_key="", fingerprint="")
        return (await perform(operation, self.nexus, context, value)).value  # type: ignore[arg-type]

    async def placed(self, node: str, spec: AgentSpec) -> Instance:
        """An instance that is placed on the node, which has said hello."""
        system = cm.Header(principal="system:test")
        known = self.nexus.committed().nodes[node]
        facts = cm.NodeFacts(
            cpu_milli=1000,
            memory_bytes=1 << 30,
            drivers=(DriverFact(name="process"),),
        )
        connect = cm.ConnectNode(node=node, key_digest=known.key_digest, facts=facts, outbox="o")
        await self.nexus.submit(connect, cm.Header(principal=f"node:{node}"))
        deploy = cm.DeployAgent(agent="a-1", namespace="default", name="web", spec=spec, replicas=1)
        await self.nexus.submit(deploy, system)
        while True:
            found = next(iter(self.nexus.committed().instances.values()))
            if found.node:
                return found
            await self.nexus.wait_for(self.nexus.committed().revision + 1, 0.2)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    clock = SystemClock()
    keyring = new_keyring(create_authority("provisioning", now_of(clock)))
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
    yield Served(nexus, tmp_path)
    await server.stop(0.2)
    await nexus.close()


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_a_node_is_given_what_its_own_instances_need_and_no_other_is(served: Served) -> None:
    await served.perform("secrets.set", SetSecretRequest(namespace="default", name="db", data=WORD))
    await served.perform("secrets.set", SetSecretRequest(namespace="default", name="other", data=WORD))
    blob = await served.nexus.blobs().put(once(b"x" * 200_000))
    unused = await served.nexus.blobs().put(once(b"unused"))
    mine, other = await served.join(), await served.join()
    spec = AgentSpec(command=("run",), secrets={"db": SecretUse()}, artifacts=(Artifact(source=blob.digest),))
    instance = await served.placed(mine.node, spec)
    values = await mine.supply.values(instance.id)
    assert {name: value.text.reveal() for name, value in values.secrets.items()} == {"db": PLAIN}
    fetched = b"".join([piece async for piece in mine.supply.blob(instance.id, blob.digest, 150_000)])
    assert fetched == b"x" * 50_000
    for supply, identifier, digest in (
        (other.supply, instance.id, blob.digest),
        (mine.supply, "a-1.2.1", blob.digest),
        (mine.supply, instance.id, unused.digest),
    ):
        with pytest.raises(SupplyRefused):
            [piece async for piece in supply.blob(identifier, digest, 0)]
    for supply, identifier in ((other.supply, instance.id), (mine.supply, "nobody")):
        with pytest.raises(SupplyRefused):
            await supply.values(identifier)


async def test_values_that_fit_into_no_one_message_arrive_in_several(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve of 512 KiB, the most that one can have, and a config behind them."""
    sizes: list[int] = []
    spec = AgentSpec(
        command=("run",),
        secrets={f"s-{number:02}": SecretUse() for number in range(12)},
        configs={"a": ConfigUse()},
    )
    for number, name in enumerate(spec.secrets):
        data = base64.b64encode(bytes([number]) * (512 << 10)).decode()
        await served.perform("secrets.set", SetSecretRequest(namespace="default", name=name, data=data))
    await served.perform("configs.set", SetConfigRequest(namespace="default", name="a", data=WORD))
    mine = await served.join()
    instance = await served.placed(mine.node, spec)
    fetch = GrpcDialer.fetch_values

    async def counted(self: GrpcDialer, endpoint: str, of: str, after: str) -> pb.FetchValuesResponse:
        answer = await fetch(self, endpoint, of, after)
        sizes.append(answer.ByteSize())
        return answer

    monkeypatch.setattr(GrpcDialer, "fetch_values", counted)
    values = await mine.supply.values(instance.id)
    found = {name: value.text.reveal() for name, value in values.secrets.items()}
    assert found == {name: bytes([number]) * (512 << 10) for number, name in enumerate(spec.secrets)}
    assert values.configs["a"].text.reveal() == PLAIN
    assert len(sizes) > 3
    assert max(sizes) < 2 << 20, "no answer holds more than its page"


async def test_the_value_lies_closed_and_its_key_goes_with_it(served: Served) -> None:
    await served.perform("secrets.set", SetSecretRequest(namespace="default", name="db", data=WORD))
    files = [path for path in served.folder.rglob("*") if path.is_file()]
    assert len(files) == 2, "a key and a value"
    assert not [path for path in files if PLAIN in path.read_bytes() or WORD.encode() in path.read_bytes()]
    log = [entry async for entry in _entries(served.nexus)]
    assert not [entry for entry in log if PLAIN in entry or WORD.encode() in entry]
    await served.perform("secrets.set", SetSecretRequest(namespace="default", name="db", data="bmV3"))
    assert len([path for path in served.folder.rglob("*") if path.is_file()]) == 2, "the older value is gone"
    await served.perform("secrets.remove", RemoveSecretRequest(namespace="default", name="db"))
    assert [path for path in served.folder.rglob("*") if path.is_file()] == []


async def _entries(nexus: Nexus) -> AsyncIterator[bytes]:
    from omnitide.fabric.events import encode_entry

    for _, entry in await nexus.entries(0, 1000):
        yield encode_entry(entry)


async def test_without_a_certificate_nothing_is_given(served: Served) -> None:
    channel = grpc.aio.insecure_channel(served.endpoint)
    from omnitide.wire import node_pb2_grpc as pb_grpc

    with pytest.raises(grpc.aio.AioRpcError):
        await pb_grpc.NodeServiceStub(channel).FetchValues(pb.FetchValuesRequest(instance="a-1.1.1"), timeout=5)
    await channel.close()
