"""Lines of many instances as they are written: those that come to be are joined, a node that comes back goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from heapq import heappop, heappush
from typing import Final, NamedTuple

from omnitide.model.happenings import OutputLine
from omnitide.model.seen_lines import OVERLAP_MS, Seen
from omnitide.operations.closing import closing
from omnitide.operations.log_lines import Item, by_node, lines_of
from omnitide.operations.log_subjects import Target, all_ended
from omnitide.operations.runtime import Runtime
from omnitide.operations.searched import OutputQuestion

HOLD_S: Final = 0.25
"""A line waits so long for those of others that were written before it; one that comes later stands where it came."""
LOOK_S: Final = 1.0
"""How often it is looked for instances that have come to be."""
AGAIN_S: Final = 2.0
"""After which a node that broke off is asked again."""
QUEUED: Final = 2_000
"""Lines that wait for the reader; then the nodes wait."""
QUIET_S: Final = 2.5
"""After all have ended, until that counts as the end: what was written last is on its way."""


class _Pump(NamedTuple):
    targets: tuple[Target, ...]
    task: "asyncio.Task[None]"


class Following:
    """All sources of one question that goes on. `lines` gives what comes; `close` ends what it began."""

    def __init__(
        self,
        runtime: Runtime,
        question: OutputQuestion,
        find: Callable[[], Awaitable[list[Target]]],
        may_grow: Callable[[], bool],
    ) -> None:
        """`find`: the instances as they are now. `may_grow`: whether there can come to be more."""
        self._runtime = runtime
        self._question = question._replace(last=0)
        self._began_ms = runtime.now_ms()
        self._find = find
        self._may_grow = may_grow
        self._known: set[str] = set()
        self._queue: asyncio.Queue[OutputLine] = asyncio.Queue(QUEUED)
        self._pumps: list[_Pump] = []
        self._ended_since: dict[str, float] = {}
        """By instance, on the loop's clock."""

    def begin(self, targets: tuple[Target, ...], source: AsyncIterator[Item], given: Iterable[OutputLine] = ()) -> None:
        """Go on with a source that has caught up, and of which this was given already."""
        self._known.update(target.id for target in targets)
        seen = Seen()
        mine = {target.id for target in targets}
        for line in given:
            if line.instance in mine and line.stream != "note":
                seen.new(line)
        self._pumps.append(_Pump(targets, asyncio.create_task(self._pump(targets, source, seen), name="logs-follow")))

    async def lines(self) -> AsyncIterator[OutputLine]:
        """Until nothing more can come."""
        loop = asyncio.get_running_loop()
        held: list[tuple[int, int, float, OutputLine]] = []
        count, look_at = 0, loop.time()
        while True:
            now = loop.time()
            if now >= look_at:
                look_at = now + LOOK_S
                await self._look(now)
            if not (self._pumps or held or not self._queue.empty() or self._may_grow()):
                return
            due = [at_ms for at_ms, _, arrived, _ in held if arrived <= now - HOLD_S]
            while due and held and held[0][0] <= max(due):
                yield heappop(held)[3]
            try:
                async with asyncio.timeout(HOLD_S / 3 if held else HOLD_S):
                    line = await self._queue.get()
            except TimeoutError:
                continue
            while True:
                count += 1
                heappush(held, (line.at_ms, count, loop.time(), line))
                if self._queue.empty() or len(held) >= QUEUED:
                    break
                line = self._queue.get_nowait()

    async def close(self) -> None:
        for pump in self._pumps:
            pump.task.cancel()
        await asyncio.gather(*(pump.task for pump in self._pumps), return_exceptions=True)

    async def _look(self, now: float) -> None:
        """Join instances that have come to be, with all that they have written; leave those that have ended."""
        state = self._runtime.committed()
        kept: list[_Pump] = []
        for pump in self._pumps:
            for target in pump.targets:
                if all_ended(state, (target,)):
                    self._ended_since.setdefault(target.id, now)
                else:
                    self._ended_since.pop(target.id, None)
            if all(now - self._ended_since.get(target.id, now) >= QUIET_S for target in pump.targets):
                pump.task.cancel()
                await asyncio.gather(pump.task, return_exceptions=True)
            else:
                kept.append(pump)
        self._pumps = kept
        for targets in by_node(target for target in await self._find() if target.id not in self._known):
            self.begin(targets, lines_of(self._runtime, targets, self._question))

    async def _pump(self, targets: tuple[Target, ...], source: AsyncIterator[Item], seen: Seen) -> None:
        """What comes of some instances of a node, in order. A break is told once, and a node that is back goes on."""
        told = ""
        while True:
            async with closing(source):
                async for item in source:
                    if not isinstance(item, OutputLine):
                        told = ""
                    elif item.stream == "note" and item.code != "gap":
                        if item.text != told:
                            told = item.text
                            await self._queue.put(item)
                    elif seen.new(item):
                        await self._queue.put(item)
            await asyncio.sleep(AGAIN_S)
            seen.repeat()
            since = (seen.newest_ms or self._began_ms) - OVERLAP_MS
            source = lines_of(self._runtime, targets, self._question._replace(since_ms=max(1, since)))
