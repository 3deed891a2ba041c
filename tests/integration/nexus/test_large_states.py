"""The largest states that the settings allow, over real gRPC with its limits: from Nexus to a node and back."""

import asyncio

from omnitide.fabric.commands import DeployAgent, Header, PlaceChoice, PlaceInstances
from omnitide.fabric.state import InstanceStatus
from omnitide.model.spec import AgentSpec
from omnitide.nexus.desired import NODE_ASSIGNMENTS
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.hello import INVENTORY_BYTES, fitting_inventory
from omnitide.node.identity_view import IdentityView
from omnitide.node.records import MAX_MESSAGE, Ending, Outcome, Phase, Report
from omnitide.security.certificates import private_key_pem
from omnitide.security.peer import TrustBundle
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link

from .conftest import DEADLINE_S, Served

ADMIN = Header(principal="system:test")
SPEC_BYTES = 250 << 10


async def connected(
    served: Served, node: str, instances: list[pb.InstanceReport]
) -> Link[pb.NodeMessage, pb.NexusMessage]:
    """A session that Nexus has welcomed, by the node's own carriage."""
    view = IdentityView(
        fabric_id="renewal",
        node_id=node,
        roots_pem=TrustBundle.parse(served.nexus.ca_bundle_pem()).roots_pem.decode(),
        private_key_pem=private_key_pem(served.key).decode(),
        certificate_pem=served.certificate.decode(),
        endpoints=(),
        renew_at_ms=0,
    )
    link = await GrpcDialer(lambda: view).dial(f"127.0.0.1:{served.port}")
    facts = pb.Facts(cpu_milli=1_000_000, memory_bytes=8 << 40, drivers=[pb.DriverFact(name="process", healthy=True)])
    hello = pb.Hello(
        protocol_min=1, protocol_max=1, node_id=node, outbox_id="o", boot_id="b", facts=facts, instances=instances
    )
    await link.send(pb.NodeMessage(hello=hello))
    welcome = await link.receive()
    assert welcome.HasField("welcome"), welcome
    return link


async def full_state(link: Link[pb.NodeMessage, pb.NexusMessage]) -> list[pb.Desired]:
    parts: list[pb.Desired] = []
    async with asyncio.timeout(DEADLINE_S):
        while not parts or parts[-1].more:
            message = await link.receive()
            if message.HasField("desired"):
                parts.append(message.desired)
    assert parts[0].full
    return parts


async def deploy(served: Served, node: str, count: int, size: int) -> None:
    """Agents whose specs have that size each, placed on the node."""
    for number in range(count):
        spec = AgentSpec(command=("run", *("x" * (size // 8) for _ in range(8))))
        command = DeployAgent(agent=f"a{number}", namespace="default", name=f"agent{number}", spec=spec)
        assert not hasattr(await served.nexus.submit(command, ADMIN), "code")
    pending = sorted(served.nexus.committed().pending)
    if pending:
        choices = tuple(PlaceChoice(instance, node, ()) for instance in pending)
        await served.nexus.submit(PlaceInstances(seen_revision=0, choices=choices), ADMIN)


async def test_twenty_specs_of_250_kb_reach_a_node_and_reach_it_again_when_it_restarts(served: Served) -> None:
    node = await served.join()
    link = await connected(served, node, [])
    await full_state(link)
    await deploy(served, node, 20, SPEC_BYTES)
    heard: set[str] = set()
    async with asyncio.timeout(DEADLINE_S):
        while len(heard) < 20:
            message = await link.receive()
            assert not message.desired.full
            for assignment in message.desired.assignments:
                heard.add(assignment.instance)
                assert len(message.desired.specs[assignment.spec_key]) > SPEC_BYTES
    await link.close()
    again = await connected(served, node, [])
    parts = await full_state(again)
    assert sum(len(part.assignments) for part in parts) == 20
    assert max(part.ByteSize() for part in parts) < (1 << 20) + 4096
    await again.close()


async def test_a_hello_of_two_thousand_instances_with_long_endings_is_taken(served: Served) -> None:
    node = await served.join()
    endings = [report(number, "x" * MAX_MESSAGE) for number in range(2000)]
    instances = fitting_inventory(endings)
    assert sum(message.ByteSize() for message in instances) > 4 << 20
    link = await connected(served, node, instances)
    await full_state(link)
    await link.close()


def report(number: int, text: str) -> Report:
    return Report(
        instance=f"a-{number:012d}.{number}.12",
        generation=12,
        attempt=99,
        phase=Phase.WAITING,
        at_ms=1_800_000_000_000,
        ending=Ending(
            code=1, reason="start-failed", message=text, cause="command-not-found", ended_at_ms=1_800_000_000_000
        ),
        next_attempt_at_ms=1_800_000_000_000,
        handle="x" * 60,
        unenforced=("cpu", "memory", "pids"),
        outcome=Outcome.FAILED,
        spec_digest="sha256:" + "a" * 64,
        health_message=text,
    )


async def test_as_many_instances_as_a_node_is_given_fit_into_its_hello_whatever_their_endings_say(
    served: Served,
) -> None:
    node = await served.join()
    instances = fitting_inventory([report(number, "𝄞" * MAX_MESSAGE) for number in range(NODE_ASSIGNMENTS)])
    assert sum(message.ByteSize() for message in instances) <= INVENTORY_BYTES
    link = await connected(served, node, instances)
    await full_state(link)
    await link.close()


async def test_more_than_a_node_takes_is_kept_back_and_says_so(served: Served) -> None:
    node = await served.join()
    link = await connected(served, node, [])
    await full_state(link)
    await deploy(served, node, 200, SPEC_BYTES)
    live = None
    async with asyncio.timeout(DEADLINE_S):
        while live is None or not live.withheld:
            await link.receive()
            live = served.nexus.node_live(node)
    state = served.nexus.committed()
    assert all(state.instances[identifier].status is InstanceStatus.PLACED for identifier in live.withheld)
    assert "48 MiB" in min(live.withheld.values())
    await link.close()
    parts = await full_state(await connected(served, node, []))
    assert sum(part.ByteSize() for part in parts) <= 64 << 20
    told = sum(len(part.assignments) for part in parts)
    assert told + len(live.withheld) == 200
    assert told > 190 - 5
