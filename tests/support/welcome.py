"""Nexus' half of a handshake, as the stand-ins for Nexus say it."""

from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link


async def welcome(
    link: Link[pb.NexusMessage, pb.NodeMessage], acknowledged: int, session: int, **settings: int
) -> pb.Hello:
    """Take a node's hello and answer it with a welcome."""
    hello = (await link.receive()).hello
    answer = pb.Welcome(
        protocol=1,
        log_id="log",
        session=session,
        acknowledged_sequence=acknowledged,
        settings=pb.Settings(**settings),
    )
    await link.send(pb.NexusMessage(welcome=answer))
    return hello
