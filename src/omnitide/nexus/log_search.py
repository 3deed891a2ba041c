"""The output of many instances of a node, as lines in its order, over one tunnel."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Literal

from omnitide.nexus.manners import ProtocolFault, require_chunk
from omnitide.nexus.translate import time_from
from omnitide.nexus.tunnels import Tunnels, words_of
from omnitide.operations.runtime import LogsUnavailable, ReachFailed
from omnitide.operations.searched import FoundBatch, FoundLine, OutputQuestion
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

MAX_AHEAD_MS: Final = 366 * 86_400_000
"""A clock that is off by more is not corrected: what it says is no time."""
MAX_LINES: Final = 1000
"""In one frame."""


def request_of(question: OutputQuestion) -> pb.SearchRequest:
    return pb.SearchRequest(
        instances=question.instances,
        now_ms=question.now_ms,
        since_ms=question.since_ms,
        until_ms=question.until_ms,
        pattern=question.pattern,
        regular=question.regular,
        ignore_case=question.ignore_case,
        stream=question.stream,
        last=question.last,
        follow=question.follow,
    )


async def search_logs(tunnels: Tunnels, node: str, question: OutputQuestion) -> AsyncIterator[FoundBatch]:
    """Raises NodeAway and LogsUnavailable."""
    try:
        async with tunnels.connection(node, pb.OpenTunnel(search=request_of(question))) as link:
            async for batch in batches(link.receive, len(question.instances)):
                yield batch
    except LinkClosed as closed:
        raise LogsUnavailable(f"the stream from the node broke: {closed.reason}") from closed
    except ReachFailed as failed:
        raise LogsUnavailable(str(failed), busy=failed.cause == "busy") from failed


async def batches(receive: Callable[[], Awaitable[pb.TunnelFrame]], instances: int) -> AsyncIterator[FoundBatch]:
    """What a node sends of a search among so many instances. Raises LinkClosed, LogsUnavailable."""
    first = True
    while True:
        frame = await receive()
        match frame.WhichOneof("body"):
            case "lines":
                told = frame.lines
                if len(told.lines) > MAX_LINES:
                    raise ProtocolFault(f"{len(told.lines)} lines in one frame; {MAX_LINES} are the most")
                ahead = told.ahead_ms if abs(told.ahead_ms) <= MAX_AHEAD_MS else 0
                lines = tuple(_found(line, instances) for line in told.lines)
                yield FoundBatch(lines, ahead if first else None, told.caught_up)
                first = False
            case "error":
                reason = frame.error.reason
                if reason == "unsupported":
                    raise LogsUnavailable("the node's software is too old to search its output")
                raise LogsUnavailable(words_of(frame.error), busy=reason == "busy")
            case "end":
                return
            case _:
                pass  # of newer software


def _found(line: pb.FoundLine, instances: int) -> FoundLine:
    require_chunk(line.text)
    if line.instance >= instances:
        raise ProtocolFault(f"a line of instance {line.instance}, of {instances} that were asked for")
    stream: Literal["stdout", "stderr"] = "stderr" if line.stream == "stderr" else "stdout"
    return FoundLine(
        line.instance, time_from(line.at_ms), stream, line.attempt, line.text, line.gap, line.cut, line.trouble
    )
