"""Tunnels: one stream each, opened by a node because Nexus asked it to, read no faster than whoever asked reads it."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final

from omnitide.nexus.manners import ProtocolFault, require_chunk
from omnitide.nexus.sessions import Sessions, TunnelsFull
from omnitide.nexus.translate import time_from
from omnitide.operations.runtime import LogPiece, LogsUnavailable, NodeAway, ReachFailed, RuntimeAway
from omnitide.operations.views.silence import runtime_away
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

OPEN_TIMEOUT_S: Final = 5.0
MAX_TUNNELS: Final = 1000

TunnelLink = Link[pb.TunnelFrame, pb.TunnelFrame]


MAX_ERROR_TEXT: Final = 1000
RUNTIME_SILENT: Final = "driver-unavailable"
"""Reason of a node's error: what would have to answer there does not."""


def words_of(error: pb.TunnelError) -> str:
    """What a node says went wrong."""
    return (error.message or error.reason)[:MAX_ERROR_TEXT]


def _secret_name() -> str:
    return secrets.token_urlsafe(24)


class _Waiting:
    """A tunnel that has been asked for. Only the node that was asked may open it."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.link: asyncio.Future[TunnelLink] = asyncio.get_running_loop().create_future()
        self.done = asyncio.Event()


class Tunnels:
    """Asks nodes to open tunnels and pairs what they open with who waits for it."""

    def __init__(self, sessions: Sessions, new_name: Callable[[], str] = _secret_name) -> None:
        self._sessions = sessions
        self._new_name = new_name
        self._waiting: dict[str, _Waiting] = {}

    async def accept(self, link: TunnelLink, node: str) -> None:
        """A node opened a tunnel: hand it to whoever waits, and stay until they are done with it."""
        try:
            first = await asyncio.wait_for(link.receive(), OPEN_TIMEOUT_S)
            waiting = self._waiting.get(first.tunnel)
            if waiting is None or waiting.node != node or waiting.link.done():
                error = pb.TunnelError(reason="unknown-tunnel", message="nobody waits for this tunnel")
                await link.send(pb.TunnelFrame(error=error))
                return
            waiting.link.set_result(link)
            await waiting.done.wait()
        except ProtocolFault as fault:
            self._sessions.complaints.write(
                "a tunnel of a node was ended", node, "tunnel", node=node, reason="protocol", detail=fault.reason
            )
        except (LinkClosed, TimeoutError):
            pass
        finally:
            await link.close()

    async def logs(
        self, node: str, instance: str, *, follow: bool, tail_lines: int | None, since_ms: int, after: str
    ) -> AsyncIterator[LogPiece]:
        """Output of an instance from its node. Raises NodeAway, RuntimeAway and LogsUnavailable, at once where the node
        is away."""
        request = pb.LogsRequest(instance=instance, follow=follow, since_ms=since_ms, after=after)
        if tail_lines is not None:
            request.tail_lines = tail_lines
        try:
            async with self.connection(node, pb.OpenTunnel(logs=request)) as link:
                while True:
                    frame = await link.receive()
                    body = frame.WhichOneof("body")
                    if body == "log":
                        log = frame.log
                        require_chunk(log.data)
                        if after and not log.position:
                            raise LogsUnavailable("the node's software is too old to go on in the middle of its output")
                        stream = "stderr" if log.stream == "stderr" else "stdout"
                        yield LogPiece(time_from(log.at_ms), stream, log.attempt, log.data, log.position, log.gap)
                    elif body == "error":
                        reason = frame.error.reason
                        if reason == RUNTIME_SILENT:
                            raise self.away(instance)
                        raise LogsUnavailable(words_of(frame.error), busy=reason == "busy", dropped=reason == "dropped")
                    elif body == "end":
                        return
        except LinkClosed as closed:
            raise LogsUnavailable(f"the stream from the node broke: {closed.reason}") from closed
        except ReachFailed as failed:
            raise LogsUnavailable(str(failed), busy=failed.cause == "busy") from failed

    def away(self, instance: str) -> RuntimeAway | LogsUnavailable:
        """What to say of an instance whose runtime does not answer its node, as that has just told."""
        state = self._sessions.engine.committed()
        known = state.instances.get(instance)
        if known is None or known.node not in state.nodes:
            return LogsUnavailable(f"instance {instance} is not known any more")
        return RuntimeAway(state.nodes[known.node].name, *runtime_away(state, known))

    @contextlib.asynccontextmanager
    async def connection(self, node: str, request: pb.OpenTunnel) -> AsyncGenerator[TunnelLink]:
        """A tunnel for a purpose, once the node has opened it, until this is left. Raises NodeAway, ReachFailed."""
        session = self._sessions.get(node)
        if session is None:
            known = self._sessions.engine.committed().nodes.get(node)
            raise NodeAway(known.name if known else node, self._sessions.silent_since_ms(node))
        if len(self._waiting) >= MAX_TUNNELS:
            raise ReachFailed(f"{MAX_TUNNELS} streams are open already", cause="busy")
        name = request.tunnel = self._new_name()
        waiting = self._waiting[name] = _Waiting(node)
        try:
            try:
                session.open_tunnel(request)
            except TunnelsFull as full:
                raise ReachFailed(str(full), cause="busy") from full
            try:
                link = await asyncio.wait_for(waiting.link, OPEN_TIMEOUT_S)
            except TimeoutError:
                message = f"the node did not answer within {OPEN_TIMEOUT_S:.0f} s"
                raise ReachFailed(message, cause="silent") from None
            yield link
        finally:
            session.withdraw_tunnel(name)
            waiting.done.set()
            self._waiting.pop(name, None)
