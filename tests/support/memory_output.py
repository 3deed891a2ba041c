"""What instances of a Nexus in memory write, and the search that nodes run over it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from omnitide.drivers.protocol import Driver, DriverInfo, LogChunk
from omnitide.nexus.log_search import batches, request_of
from omnitide.node.retention import Retention
from omnitide.node.tunnels.search import Search
from omnitide.operations.closing import closing
from omnitide.operations.runtime import LogPiece, LogsUnavailable
from omnitide.operations.searched import FoundBatch, OutputQuestion
from omnitide.wire import node_pb2 as pb

START_MS = 1_700_000_000_000


@dataclass
class Output:
    """What an instance has written; `more` is set when something is added, `ended` when nothing will be."""

    pieces: list[LogPiece] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def write(
        self,
        text: str | bytes,
        *,
        stream: str = "stdout",
        at_ms: int = START_MS,
        attempt: int = 1,
        gap: bool = False,
    ) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.pieces.append(LogPiece(at_ms, stream, attempt, data, gap=gap))  # type: ignore[arg-type]
        self.changed.set()


class _Reader:
    """As much of a driver as a search needs."""

    name = "memory"

    def __init__(self, output: Mapping[str, Output]) -> None:
        self._output = output

    async def probe(self) -> DriverInfo:
        """It always answers, also while nothing is written."""
        return DriverInfo(name=self.name, version="", healthy=True)

    async def logs(
        self, instance: str, *, tail_lines: int | None, since_ms: int, after: str, follow: bool
    ) -> AsyncIterator[LogChunk]:
        output = self._output.get(instance, Output())
        position = int(after or 0) if after or tail_lines is None else max(0, len(output.pieces) - tail_lines)
        while True:
            output.changed.clear()
            for piece in output.pieces[position:]:
                position += 1
                if piece.at_ms >= since_ms:
                    yield LogChunk(piece.at_ms, piece.stream, piece.data, piece.attempt, str(position), piece.gap)
            if not follow or output.ended:
                return
            await output.changed.wait()


async def memory_search(
    output: Mapping[str, Output], cut: asyncio.Event, question: OutputQuestion, clock_ms: int
) -> AsyncIterator[FoundBatch]:
    """While `cut` is set it breaks off. `clock_ms`: of the node."""
    drivers = {"memory": cast("Driver", _Reader(output))}
    search = Search(drivers, lambda _: "memory", request_of(question), Retention(60_000, 10), clock_ms)
    async with closing(search.frames()) as frames:
        cutting = asyncio.ensure_future(cut.wait())

        async def receive() -> pb.TunnelFrame:
            coming = asyncio.ensure_future(anext(frames))
            try:
                await asyncio.wait((coming, cutting), return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    return coming.result()
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            raise LogsUnavailable("the stream from the node broke")

        try:
            async for batch in batches(receive, len(question.instances)):
                yield batch
        finally:
            cutting.cancel()
