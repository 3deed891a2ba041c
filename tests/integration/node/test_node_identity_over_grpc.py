"""Identity and carriage with real files, real processes and real TLS: renewal, goodbye, broken links."""

import asyncio
import contextlib
import datetime as dt
import os
import random
from pathlib import Path

import pytest

from omnitide.node.clock import WallClock
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.identities import Identities, IdentityUnusable, IdentityVault
from omnitide.node.renewal import Renewal
from omnitide.security.identity import IdentityStore
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from support.grpc_nexus import GrpcNexus

from .conftest import DEADLINE_S, NodeProcess


def dialer(nexus: GrpcNexus, directory: Path, age: dt.timedelta = dt.timedelta(0)) -> tuple[GrpcDialer, Identities]:
    nexus.identity(directory, age=age)
    vault = IdentityVault(directory)
    identities = Identities(vault.end_show(vault.begin_show()))
    return GrpcDialer(lambda: identities.shown), identities


async def test_a_certificate_past_half_of_its_life_is_renewed_and_used(nexus: GrpcNexus, tmp_path: Path) -> None:
    directory = tmp_path / "identity"
    dial, identities = dialer(nexus, directory, age=dt.timedelta(days=20))
    before = identities.shown
    link = await dial.dial(nexus.endpoint)
    await link.send(pb.NodeMessage(hello=pb.Hello()))
    await nexus.accept()
    renewed = asyncio.Event()
    renewal = Renewal(
        vault=IdentityVault(directory),
        identities=identities,
        renewer=dial,
        endpoint=lambda: nexus.endpoint,
        renewed=renewed.set,
        clock=WallClock(),
        rng=random.Random(),
    )
    task = asyncio.create_task(renewal.run())
    await asyncio.wait_for(renewed.wait(), DEADLINE_S)
    assert identities.shown.certificate_pem != before.certificate_pem
    assert identities.shown.renew_at_ms > before.renew_at_ms
    assert IdentityStore(directory).load().certificate_pem == before.certificate_pem, "not before it is proved"
    again = await dial.dial(nexus.endpoint)
    await again.send(pb.NodeMessage(hello=pb.Hello()))
    await nexus.accept()
    assert nexus.peers[0].serial != nexus.peers[1].serial
    identities.welcomed()
    async with asyncio.timeout(DEADLINE_S):
        while IdentityStore(directory).load().certificate_pem != identities.shown.certificate_pem:
            await asyncio.sleep(0.02)
    assert nexus.renewals == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for closing in (link, again):
        closer = asyncio.create_task(closing.close())
        await asyncio.sleep(0)
        closer.cancel()
        await asyncio.gather(closer, return_exceptions=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda directory: None, "has not joined a fabric"),
        (lambda directory: (directory / "identity.json").write_text("{}"), "damaged"),
        (lambda directory: os.chmod(directory / "identity.json", 0o644), "open to others"),
    ],
)
def test_an_identity_that_cannot_be_used_is_told_in_words(tmp_path: Path, damage: object, words: str) -> None:
    directory = tmp_path / "identity"
    directory.mkdir(mode=0o700)
    if words != "has not joined a fabric":
        GrpcNexus().identity(directory)
    damage(directory)  # type: ignore[operator]
    vault = IdentityVault(directory)
    with pytest.raises(IdentityUnusable, match=words):
        vault.end_show(vault.begin_show())


async def test_a_goodbye_arrives_before_the_stream_ends(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    stopping = asyncio.create_task(node.terminate())
    async with asyncio.timeout(DEADLINE_S):
        while (message := await link.receive()).WhichOneof("body") != "goodbye":
            pass
    assert message.goodbye.back_within_ms > 0
    with pytest.raises(LinkClosed):
        await link.receive()
    await link.close()
    assert await stopping == 0


async def test_a_close_lets_what_was_sent_arrive(nexus: GrpcNexus, tmp_path: Path) -> None:
    dial, _ = dialer(nexus, tmp_path / "identity")
    tunnel = await dial.open_tunnel(nexus.endpoint)
    for n in range(200):
        await tunnel.send(pb.TunnelFrame(log=pb.LogData(data=os.urandom(1000), at_ms=n)))
    closing = asyncio.create_task(tunnel.close())
    far = await nexus.accept_tunnel()
    for n in range(200):
        assert (await far.receive()).log.at_ms == n
    with pytest.raises(LinkClosed):
        await far.receive()
    await far.close()
    await asyncio.wait_for(closing, DEADLINE_S)
    with pytest.raises(LinkClosed):
        await tunnel.send(pb.TunnelFrame())


async def test_a_cancelled_receive_leaves_the_stream_whole(nexus: GrpcNexus, tmp_path: Path) -> None:
    dial, _ = dialer(nexus, tmp_path / "identity")
    link = await dial.dial(nexus.endpoint)
    await link.send(pb.NodeMessage(hello=pb.Hello(node_id="n1")))
    far = await nexus.accept()
    for number in range(3):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await link.receive()
        await far.send(pb.NexusMessage(beat=pb.Beat(number=number)))
        assert (await link.receive()).beat.number == number
    await far.close()
    with pytest.raises(LinkClosed):
        await link.receive()
    await link.close()


async def test_nobody_there_and_nobody_known_are_closed_links(nexus: GrpcNexus, tmp_path: Path) -> None:
    dial, _ = dialer(nexus, tmp_path / "identity")
    await nexus.stop()
    link = await dial.dial(nexus.endpoint)
    with pytest.raises(LinkClosed, match="unavailable"):
        await link.send(pb.NodeMessage(hello=pb.Hello()))
        await link.receive()
    await link.close()
    with pytest.raises(LinkClosed, match="unavailable"):
        await dial.renew(nexus.endpoint, b"csr")


async def test_tunnels_of_before_a_new_session_go_on_and_further_ones_do_not_take_their_connection(
    nexus: GrpcNexus, tmp_path: Path
) -> None:
    """It may be of a path that broke, which is told of a session much sooner than of them."""
    dial, _ = dialer(nexus, tmp_path / "identity")
    tunnels, far, places = [], [], set[str]()
    for number in range(4):
        if number in (1, 3):
            session = await dial.dial(nexus.endpoint)
            await session.send(pb.NodeMessage(hello=pb.Hello()))
            await nexus.accept()
        tunnels.append(await dial.open_tunnel(nexus.endpoint))
        await tunnels[-1].send(pb.TunnelFrame(tunnel=f"{number}"))
        far.append(await nexus.accept_tunnel())
    for number, (near, other) in enumerate(zip(tunnels, far, strict=True)):
        assert (await other.receive()).tunnel == f"{number}"
        places.add(other._context.peer())
        await near.send(pb.TunnelFrame(end=True))
        assert (await other.receive()).end
    assert len(places) == 3, "those between two sessions share theirs"
    for near, other in zip(tunnels, far, strict=True):
        closing = asyncio.create_task(near.close())
        await other.close()
        await asyncio.wait_for(closing, DEADLINE_S)
    assert not dial._shared
