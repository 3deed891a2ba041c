"""Output of instances that are in the state no more - replaced, stopped, removed - and that their node still keeps."""

import re
from collections.abc import AsyncIterator
from itertools import islice
from typing import Final

from omnitide.fabric import events as ev
from omnitide.operations.closing import closing
from omnitide.operations.failures import failed
from omnitide.operations.happenings.known import KnownNames, NameBook, book_of
from omnitide.operations.happenings.search import backwards
from omnitide.operations.runtime import LogPiece, LogsUnavailable, NodeAway, Runtime

IDENTIFIER: Final = re.compile(r"(.+)\.(\d{1,18})\.(\d{1,18})")
"""Of an instance: workload, slot, generation."""

SEARCHED_ENTRIES: Final = 5000
"""Newest entries of the log that are looked through for where it was placed; longer ago, nodes are asked."""
ASKED_NODES: Final = 32
"""So many of those that are there, one after another, as the log does not tell."""


async def forgotten_output(
    runtime: Runtime, instance: str, *, follow: bool, tail_lines: int | None, since_ms: int, after: str
) -> AsyncIterator[LogPiece]:
    """As `Runtime.logs`, whose errors it raises too, and Failed where nobody knows anything of it."""
    book = book_of(runtime)
    node = await placed_on(runtime, book, instance)
    state = runtime.committed()
    names = KnownNames(state, book)
    name = _name(names, instance)
    if node and node not in state.nodes:
        raise LogsUnavailable(f"the output of {name} was on node {names.node(node)}, which has left the fabric")
    # Only one that is there can be asked; of the one that it was on, it is said if it is not.
    nodes = [node] if node else list(islice((one for one in state.nodes if runtime.node_live(one)), ASKED_NODES))
    for one in nodes:
        begun = False
        pieces = runtime.logs(instance, follow=follow, tail_lines=tail_lines, since_ms=since_ms, after=after, node=one)
        try:
            async with closing(pieces):
                async for piece in pieces:
                    begun = True
                    yield piece
            return
        except LogsUnavailable as error:
            if node and error.dropped:
                gone = f"the output of {name} was on node {names.node(node)} and is not kept any more: {error.reason}"
                raise LogsUnavailable(gone, dropped=True) from error
            if node or begun:
                raise
        except NodeAway:
            if node or begun:
                raise
    asked = f"none of {len(nodes)} nodes that were asked keeps" if nodes else "no node is there that could have"
    raise failed(
        "not-found",
        f"there is no instance {name!r}, and {asked} output of it",
        hint="omnitide ps; of one that has been replaced or removed, output stays on its node for a while",
        subject=f"instance {instance}",
    )


async def placed_on(runtime: Runtime, book: NameBook, instance: str) -> str:
    """Id of the node; empty if the part of the log that is looked at does not tell. Names are learned by the way: what
    was removed was so after it had been placed."""
    looked = 0
    async for entries in backwards(runtime, runtime.committed().revision):
        for _, entry in reversed(entries):
            book.learn(entry)
            for event in entry.events:
                if isinstance(event, ev.InstancesPlaced) and any(one.instance == instance for one in event.placements):
                    return event.node
        looked += len(entries)
        if looked >= SEARCHED_ENTRIES:
            break
    return ""


def _name(names: KnownNames, instance: str) -> str:
    """`web-1.4`."""
    found = IDENTIFIER.fullmatch(instance)
    assert found is not None, "who asks has looked"
    return f"{names.workload(found[1])[1]}-{found[2]}.{found[3]}"
