"""A search through the output of many instances of this node: lines in order of its clock, as fast as one reads."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from heapq import heappop, heappush, merge
from typing import Final, NamedTuple

from omnitide.drivers.protocol import Driver, DriverError, LogChunk
from omnitide.model.line_patterns import Matcher, PatternError, matcher_of
from omnitide.node.answering import unless_silent
from omnitide.node.closing import closing
from omnitide.node.retention import Retention
from omnitide.node.tunnels.errors import error_frame
from omnitide.node.tunnels.lines import Lines, Written
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb

MAX_INSTANCES: Final = 200
"""In one search."""
MAX_LAST: Final = 10_000
MAX_HELD: Final = 8 << 20
"""Bytes of text of the newest lines, which are held until all have been read; beyond it the oldest go."""
MAX_READ: Final = 512 << 20
"""Bytes of output that one search reads of what is kept; what it does not come to is said."""
FRAME_LINES: Final = 500
FRAME_BYTES: Final = 40 << 10
SAME_CLOCK_MS: Final = 250
"""Clocks that differ by less are taken as one: the way here takes its time too."""
SLACK_MS: Final = 60_000
"""Output is read from so long before what is asked for: a line may have begun then."""
QUEUED: Final = 1000
"""Lines that wait to be sent while output is followed; then the readers wait."""
AGAIN_S: Final = 1.0
"""Between two attempts of an instance there is no more to read; it is looked at again after this."""
NOTHING_KEPT: Final = "not-found"
"""Cause of a driver's error: it has nothing of the instance."""
DROPPED: Final = "dropped"

log = logs.get(__name__)


class Found(NamedTuple):
    """A line of one of the instances, or `trouble` why there are no more of its."""

    instance: int
    line: Written
    trouble: str = ""


class Search:
    """One of them. `frames` gives all that there is to send."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        driver_of: Callable[[str], str | None],
        request: pb.SearchRequest,
        retention: Retention,
        now_ms: int,
    ) -> None:
        self._drivers = drivers
        self._driver_of = driver_of
        self._asked = request
        self._retention = retention
        ahead = now_ms - request.now_ms if request.now_ms else 0
        self._ahead_ms = ahead if abs(ahead) >= SAME_CLOCK_MS else 0
        self._since_ms = request.since_ms + self._ahead_ms if request.since_ms else 0
        self._until_ms = request.until_ms + self._ahead_ms if request.until_ms else 0
        self._lines = [Lines() for _ in request.instances]
        self._lost: set[int] = set()
        """Instances of which nothing more can be read."""
        self._read = 0
        self._matches: Matcher | None = None

    async def frames(self) -> AsyncIterator[pb.TunnelFrame]:
        asked = self._asked
        if len(asked.instances) > MAX_INSTANCES:
            yield error_frame("too-many", f"{MAX_INSTANCES} instances can be searched at a time")
            return
        try:
            if asked.pattern:
                self._matches = matcher_of(asked.pattern, regular=asked.regular, ignore_case=asked.ignore_case)
        except PatternError as error:
            yield error_frame("bad-pattern", str(error))
            return
        yield pb.TunnelFrame(lines=pb.FoundLines(ahead_ms=self._ahead_ms))
        kept = self._newest() if asked.last else self._merged()
        async with closing(_framed(kept)) as frames:
            async for frame in frames:
                yield frame
        if not asked.follow:
            yield pb.TunnelFrame(end=True)
            return
        yield pb.TunnelFrame(lines=pb.FoundLines(caught_up=True))
        async with closing(self._following()) as frames:
            async for frame in frames:
                yield frame

    # -- what is kept ------------------------------------------------------------------------------------------------

    async def _merged(self) -> AsyncIterator[Found]:
        """All, from the first line on. An instance's own order stays, whatever the clock did: its lines are never
        before its earlier ones."""
        sources = [self._kept(index) for index in range(len(self._asked.instances))]
        heap: list[tuple[int, int, Found]] = []

        async def advance(index: int, floor: int) -> None:
            found = await anext(sources[index], None)
            if found is not None:
                heappush(heap, (max(floor, found.line.at_ms), index, found))

        try:
            for index in range(len(sources)):
                await advance(index, 0)
            while heap:
                at_ms, index, found = heappop(heap)
                yield found
                await advance(index, at_ms)
        finally:
            for source in sources:
                async with closing(source):
                    pass

    async def _newest(self) -> AsyncIterator[Found]:
        """The newest, one instance after the other, so that any number are held within the same bounds."""
        held: list[tuple[int, int, int, Found]] = []
        most, size = min(self._asked.last, MAX_LAST), 0
        troubles: list[Found] = []
        for index in range(len(self._asked.instances)):
            own: deque[tuple[int, int, int, Found]] = deque(maxlen=most)
            floor = count = 0
            async with closing(self._kept(index)) as source:
                async for found in source:
                    if found.trouble:
                        troubles.append(found)
                        continue
                    floor, count = max(floor, found.line.at_ms), count + 1
                    own.append((floor, index, count, found))
            held = list(merge(held, own))[-most:]
            size = sum(len(one[3].line.text) for one in held)
            while size > MAX_HELD:
                size -= len(held.pop(0)[3].line.text)
        for found in troubles:
            yield found
        for _, _, _, found in held:
            yield found

    async def _kept(self, index: int) -> AsyncIterator[Found]:
        """Of one instance what is kept and wanted, then why that is not all, if so."""
        asked, lines = self._asked, self._lines[index]
        plain = asked.last and not (asked.pattern or asked.since_ms or asked.until_ms or asked.stream)
        since = max(0, self._since_ms - SLACK_MS) if self._since_ms else 0
        if self._read > MAX_READ:
            yield _trouble(index, "not-searched", self._too_much())
            return
        try:
            chunks = self._chunks(index, tail=min(asked.last, MAX_LAST) if plain else None, since_ms=since)
            async with closing(chunks):
                async for chunk in chunks:
                    self._read += len(chunk.data)
                    for line in lines.take(chunk):
                        if self._wanted(line):
                            yield Found(index, line)
                    if self._read > MAX_READ:
                        yield _trouble(index, "not-searched", self._too_much())
                        return
                    if self._until_ms and chunk.at_ms >= self._until_ms + SLACK_MS:
                        break
            if not asked.follow:
                for line in lines.end():
                    if self._wanted(line):
                        yield Found(index, line)
        except DriverError as error:
            self._lost.add(index)
            yield _trouble(index, error.cause, str(error))

    @staticmethod
    def _too_much() -> str:
        return f"a search reads {MAX_READ >> 20} MiB of what a node keeps; ask for less time or fewer instances"

    def _wanted(self, line: Written) -> bool:
        if line.at_ms < self._since_ms or (self._until_ms and line.at_ms >= self._until_ms):
            return False
        if self._asked.stream and line.stream != self._asked.stream:
            return False
        return self._matches is None or self._matches(line.text)

    async def _chunks(
        self, index: int, *, tail: int | None = None, since_ms: int = 0, after: str = "", follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Raises DriverError where there is none to be had. One that has not come to be started has written nothing."""
        instance = self._asked.instances[index]
        known = self._driver_of(instance)
        names = [known] if known is not None and known in self._drivers else list(self._drivers)
        error = DriverError("this node has no driver", cause="no-driver", permanent=False)
        for name in names:
            driver = self._drivers[name]
            chunks = driver.logs(instance, tail_lines=tail, since_ms=since_ms, after=after, follow=follow)
            try:
                async with closing(chunks):
                    chunk = await unless_silent(driver, _next(chunks))
                    while chunk is not None:
                        yield chunk
                        chunk = await _next(chunks)
            except DriverError as failed:
                error = failed
                continue
            return
        if known is None:
            raise DriverError(f"its node keeps {self._retention.text}", cause=DROPPED, permanent=True)
        if error.cause != NOTHING_KEPT:
            raise error

    # -- what comes --------------------------------------------------------------------------------------------------

    async def _following(self) -> AsyncIterator[pb.TunnelFrame]:
        """Until whoever reads has enough."""
        queue: asyncio.Queue[Found] = asyncio.Queue(QUEUED)
        tasks = [
            asyncio.create_task(self._follow(index, queue), name="search-follow")
            for index in range(len(self._asked.instances))
            if index not in self._lost
        ]
        try:
            while True:
                batch = [await queue.get()]
                size = len(batch[0].line.text)
                while not queue.empty() and len(batch) < FRAME_LINES and size < FRAME_BYTES:
                    batch.append(queue.get_nowait())
                    size += len(batch[-1].line.text)
                yield _frame(batch)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, index: int, queue: "asyncio.Queue[Found]") -> None:
        lines = self._lines[index]
        while True:
            try:
                since = 0 if lines.position else max(0, self._since_ms - SLACK_MS)
                async with closing(self._chunks(index, after=lines.position, since_ms=since, follow=True)) as chunks:
                    async for chunk in chunks:
                        for line in lines.take(chunk):
                            if self._wanted(line):
                                await queue.put(Found(index, line))
                for line in lines.end():
                    if self._wanted(line):
                        await queue.put(Found(index, line))
            except DriverError as error:
                await queue.put(_trouble(index, error.cause, str(error)))
                if error.permanent:
                    return
            except Exception as error:
                # Drivers are written by others too: a defect of one costs the output of its instance.
                log.error("output could not be followed", error=f"{type(error).__name__}: {error}")
                await queue.put(_trouble(index, "broken", "it could not be read; the log of its node has the details"))
                return
            await asyncio.sleep(AGAIN_S)


async def _next(chunks: AsyncIterator[LogChunk]) -> LogChunk | None:
    return await anext(chunks, None)


def _trouble(index: int, reason: str, text: str) -> Found:
    return Found(index, Written(0, "", 0, text.encode()), reason)


async def _framed(found: AsyncIterator[Found]) -> AsyncIterator[pb.TunnelFrame]:
    batch: list[Found] = []
    size = 0
    async with closing(found):
        async for one in found:
            batch.append(one)
            size += len(one.line.text)
            if len(batch) >= FRAME_LINES or size >= FRAME_BYTES:
                yield _frame(batch)
                batch, size = [], 0
    if batch:
        yield _frame(batch)


def _frame(batch: Iterable[Found]) -> pb.TunnelFrame:
    return pb.TunnelFrame(lines=pb.FoundLines(lines=[_on_wire(one) for one in batch]))


def _on_wire(found: Found) -> pb.FoundLine:
    line = found.line
    return pb.FoundLine(
        instance=found.instance,
        at_ms=line.at_ms,
        stream=line.stream,
        attempt=line.attempt,
        text=line.text,
        gap=line.gap,
        cut=line.cut,
        trouble=found.trouble,
    )
