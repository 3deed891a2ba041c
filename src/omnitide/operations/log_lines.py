"""From what nodes find to lines in one order of time, with a note wherever lines are missing.

The order is that of Nexus's clock. A node tells how far its own is ahead when it is asked, and that is taken off; the
way there is part of that measure, so a difference below a quarter of a second counts as none. Lines of one instance
stay in the order in which they were written even if its clock went back; lines of one time stand by namespace, agent,
slot and generation.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from heapq import heappop, heappush
from typing import Final

from omnitide.model.happenings import OutputLine
from omnitide.operations.closing import closing
from omnitide.operations.failures import from_exception
from omnitide.operations.log_subjects import Target
from omnitide.operations.runtime import LogsUnavailable, NodeAway, Runtime
from omnitide.operations.searched import FoundLine, OutputQuestion

MAX_ASKED: Final = 200
"""Instances that a node is asked for at a time."""
MAX_HELD: Final = 32 << 20
"""Characters of the newest lines, which are held until all nodes have answered; beyond it the oldest go."""
_CODES: Final = {"dropped": "not-kept", "driver-unavailable": "runtime-away"}
"""Reasons of nodes that have a name of their own here."""


class CaughtUp:
    """All that there was has been given; what follows was written since."""


CAUGHT_UP: Final = CaughtUp()

Item = OutputLine | CaughtUp


def note(code: str, text: str, at_ms: int, *, node: str = "", target: Target | None = None) -> OutputLine:
    return OutputLine(
        at_ms=at_ms,
        namespace=target.namespace if target is not None else "",
        instance=target.id if target is not None else "",
        name=target.name if target is not None else "",
        node=node,
        stream="note",
        text=text,
        code=code,
    )


def by_node(targets: Iterable[Target]) -> list[tuple[Target, ...]]:
    """Those of one node together, no more than it is asked for at a time."""
    nodes: dict[str, list[Target]] = {}
    for target in targets:
        nodes.setdefault(target.node, []).append(target)
    return [tuple(all_[at : at + MAX_ASKED]) for all_ in nodes.values() for at in range(0, len(all_), MAX_ASKED)]


async def lines_of(runtime: Runtime, targets: Sequence[Target], question: OutputQuestion) -> AsyncIterator[Item]:
    """Of instances of one node, in its order. A node that cannot be asked is a note, and then the end."""
    node_id = targets[0].node
    known = runtime.committed().nodes.get(node_id)
    node = known.name if known is not None else node_id
    question = question._replace(instances=tuple(target.id for target in targets), now_ms=runtime.now_ms())
    ahead_ms = 0
    try:
        async with closing(runtime.search_logs(node_id, question)) as batches:
            async for batch in batches:
                if batch.ahead_ms is not None:
                    ahead_ms = batch.ahead_ms
                for line in batch.lines:
                    for shown in _shown(line, targets[line.instance], node, ahead_ms, runtime.now_ms()):
                        yield shown
                if batch.caught_up:
                    yield CAUGHT_UP
    except (NodeAway, LogsUnavailable) as error:
        failure = from_exception(error)
        assert failure is not None, "these have a problem"
        named = ", ".join(target.name for target in targets[:8]) + (" and others" if len(targets) > 8 else "")
        text = f"lines of {named} are missing: {failure.problem.detail}"
        yield note(failure.problem.code, text, runtime.now_ms(), node=node)


def _shown(line: FoundLine, target: Target, node: str, ahead_ms: int, now_ms: int) -> Iterable[OutputLine]:
    text = line.text.decode(errors="replace")
    if line.trouble:
        code = _CODES.get(line.trouble, line.trouble if line.trouble == "not-searched" else "logs-unavailable")
        yield note(code, f"lines of {target.name} are missing: {text}", now_ms, node=node, target=target)
        return
    at_ms = max(0, line.at_ms - ahead_ms)
    if line.gap:
        yield note("gap", "output that was here is not kept any more", at_ms, node=node, target=target)
    yield OutputLine(
        at_ms=at_ms,
        node_at_ms=line.at_ms,
        namespace=target.namespace,
        instance=target.id,
        name=target.name,
        node=node,
        stream=line.stream,
        attempt=line.attempt,
        text=text,
        cut=line.cut,
    )


async def merged(sources: Sequence[AsyncIterator[Item]], targets: Sequence[Target]) -> AsyncIterator[OutputLine]:
    """In order of time, and of one time in that of `targets`, until each source has ended or caught up. All are asked
    at once; each is read no faster than the lines are taken. Notes of what is missing come first."""
    ranks = {target.id: rank for rank, target in enumerate(targets)}
    heap: list[tuple[int, int, int, OutputLine]] = []

    async def advance(index: int, floor: int) -> None:
        item = await anext(sources[index], CAUGHT_UP)
        if isinstance(item, OutputLine):
            first = item.stream == "note" and item.code != "gap"
            at_ms = floor if first else max(floor, item.at_ms)
            heappush(heap, (at_ms, ranks.get(item.instance, -1), index, item))

    await asyncio.gather(*(advance(index, 0) for index in range(len(sources))))
    while heap:
        at_ms, _, index, line = heappop(heap)
        yield line
        await advance(index, at_ms)


async def newest(lines: AsyncIterator[OutputLine], most: int) -> list[OutputLine]:
    """The last so many lines, behind all notes about what is missing."""
    notes: list[OutputLine] = []
    held: deque[OutputLine] = deque()
    count = size = 0
    async with closing(lines):
        async for line in lines:
            if line.stream == "note" and line.code != "gap":
                notes.append(line)
                continue
            held.append(line)
            count, size = count + (line.stream != "note"), size + len(line.text)
            while held and (count > most or size > MAX_HELD):
                gone = held.popleft()
                count, size = count - (gone.stream != "note"), size - len(gone.text)
    return [*notes, *held]
