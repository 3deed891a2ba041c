"""Tunnels for programs, files and ports: from a node's frames to those of the operations, and back."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

from omnitide.nexus.manners import require_chunk
from omnitide.nexus.tunnels import RUNTIME_SILENT, TunnelLink, Tunnels, words_of
from omnitide.operations import tunnels as tn
from omnitide.operations.runtime import ReachFailed
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

START_TIMEOUT_S: Final = 30.0
"""For a program to be executed, a port to be connected to, the first bytes of a file."""

MAX_CAUSE: Final = 64


class TunnelReached:
    """A `tunnels.Reached` over a node's tunnel."""

    def __init__(self, link: TunnelLink, away: Callable[[], Exception]) -> None:
        """`away`: what to raise when the node says that its runtime does not answer."""
        self._link = link
        self._away = away

    async def send(self, frame: tn.Outward) -> None:
        try:
            await self._link.send(_to_wire(frame))
        except LinkClosed as closed:
            raise _broken(closed) from closed

    async def receive(self) -> tn.Inward:
        while True:
            frame = await self.frame()
            match frame.WhichOneof("body"):
                case "data":
                    return tn.Data(frame.data.data, frame.data.stream)
                case "end_of_data":
                    return tn.EndOfData()
                case "taken":
                    return tn.Taken(frame.taken)
                case "exited":
                    told = frame.exited
                    return tn.Exited(
                        told.code if told.HasField("code") else None, told.signal if told.HasField("signal") else None
                    )
                case "end":
                    return tn.Ended()
                case _:
                    pass  # of newer software

    async def frame(self) -> pb.TunnelFrame:
        """The next one as it came. Raises ReachFailed, which an error of the node's is as well, and RuntimeAway."""
        try:
            frame = await self._link.receive()
            require_chunk(frame.data.data)
        except LinkClosed as closed:
            raise _broken(closed) from closed
        if frame.WhichOneof("body") == "error":
            if frame.error.reason == RUNTIME_SILENT:
                raise self._away()
            raise ReachFailed(words_of(frame.error), cause=frame.error.reason[:MAX_CAUSE])
        return frame


@contextlib.asynccontextmanager
async def open_reach(tunnels: Tunnels, node: str, instance: str, purpose: tn.Purpose) -> AsyncGenerator[tn.Reached]:
    """Until the node has begun. Raises NodeAway, RuntimeAway, ReachFailed."""
    async with tunnels.connection(node, _request(instance, purpose)) as link:
        reached = TunnelReached(link, lambda: tunnels.away(instance))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while (await reached.frame()).WhichOneof("body") != "started":
                    pass
        except TimeoutError:
            message = f"the node has not begun within {START_TIMEOUT_S:.0f} s"
            raise ReachFailed(message, cause="silent") from None
        yield reached


def _broken(closed: LinkClosed) -> ReachFailed:
    return ReachFailed(f"the stream from the node broke: {closed.reason}", cause="broken")


def _request(instance: str, purpose: tn.Purpose) -> pb.OpenTunnel:
    match purpose:
        case tn.Exec():
            wanted = pb.ExecRequest(
                instance=instance,
                command=purpose.command,
                environment=purpose.environment,
                working_directory=purpose.working_directory,
                user=purpose.user,
                terminal=purpose.terminal,
                size=pb.TerminalSize(rows=purpose.rows, columns=purpose.columns),
            )
            return pb.OpenTunnel(exec=wanted)
        case tn.Archive(path):
            return pb.OpenTunnel(archive=pb.ArchiveRequest(instance=instance, path=path))
        case tn.Extract(path):
            return pb.OpenTunnel(extract=pb.ExtractRequest(instance=instance, path=path))
        case tn.Forward(port):
            return pb.OpenTunnel(forward=pb.ForwardRequest(instance=instance, port=port))


def _to_wire(frame: tn.Outward) -> pb.TunnelFrame:
    match frame:
        case tn.Data(data, _):
            return pb.TunnelFrame(data=pb.TunnelData(data=data))
        case tn.EndOfData():
            return pb.TunnelFrame(end_of_data=True)
        case tn.Taken(number):
            return pb.TunnelFrame(taken=number)
        case tn.Resize(rows, columns):
            return pb.TunnelFrame(resize=pb.TerminalSize(rows=rows, columns=columns))
        case tn.Signal(number):
            return pb.TunnelFrame(signal=number)
