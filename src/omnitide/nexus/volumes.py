"""What nodes say of the volumes that they keep: each question is a tunnel of its own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from omnitide.nexus.manners import ProtocolFault
from omnitide.nexus.tunnels import TunnelLink, Tunnels, words_of
from omnitide.operations.runtime import NodeVolume, ReachFailed
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

ANSWER_S: Final = 30.0
"""For a whole list, or the end of a removal; a volume of many files takes its time."""
MAX_VOLUMES: Final = 5_000
MAX_NAME: Final = 40


async def node_volumes(tunnels: Tunnels, node: str) -> list[NodeVolume]:
    """Raises NodeAway, ReachFailed."""
    found: list[NodeVolume] = []
    async with tunnels.connection(node, pb.OpenTunnel(volumes=pb.VolumesRequest())) as link, _in_time():
        while (frame := await _frame(link)).WhichOneof("body") != "end":
            for one in frame.volumes.volumes:
                if len(found) >= MAX_VOLUMES or max(len(one.namespace), len(one.name)) > MAX_NAME:
                    raise ReachFailed("the node tells of more volumes than it may have", cause="broken")
                size = one.size_bytes if one.size_bytes >= 0 else None
                found.append(NodeVolume(one.namespace, one.name, size))
    return found


async def remove_node_volume(tunnels: Tunnels, node: str, namespace: str, name: str) -> None:
    """Raises NodeAway, ReachFailed."""
    request = pb.EraseVolumeRequest(namespace=namespace, name=name)
    async with tunnels.connection(node, pb.OpenTunnel(erase_volume=request)) as link, _in_time():
        while (await _frame(link)).WhichOneof("body") != "end":
            pass


@contextlib.asynccontextmanager
async def _in_time() -> AsyncGenerator[None]:
    """For the whole answer: a node that says ever more has not answered either. Raises ReachFailed."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except TimeoutError:
        raise ReachFailed(f"the node did not answer within {ANSWER_S:.0f} s", cause="silent") from None


async def _frame(link: TunnelLink) -> pb.TunnelFrame:
    try:
        frame = await link.receive()
    except ProtocolFault as fault:
        raise ReachFailed(f"the node broke the protocol: {fault.reason}", cause="broken") from fault
    except LinkClosed as closed:
        raise ReachFailed(f"the stream from the node broke: {closed.reason}", cause="broken") from closed
    if frame.WhichOneof("body") == "error":
        if frame.error.reason == "unsupported":
            raise ReachFailed("the node's software is too old to tell of its volumes", cause="unsupported")
        raise ReachFailed(words_of(frame.error), cause=frame.error.reason[:64])
    return frame
