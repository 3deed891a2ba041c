"""What an attempt of an instance wrote last, from the node that keeps it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from omnitide.fabric.state import ExitRecord, Instance
from omnitide.operations.closing import closing
from omnitide.operations.runtime import LogPiece, LogsUnavailable, NodeAway, Runtime, RuntimeAway

LAST_LINES: Final = 50
LOOKED_BACK: Final = 1000
"""Lines from the end, where another attempt runs by now, among which those of the one that died are looked for."""
_BEFORE_END_MS: Final = 60_000
"""What of an attempt is looked for where that other has written more than those."""
OUTPUT_WAIT_S: Final = 2.0
"""How long a node has to give the last lines of what died."""
MAX_OUTPUT_BYTES: Final = 64 << 10


async def last_output(runtime: Runtime, instance: Instance, ending: ExitRecord) -> tuple[tuple[str, ...], str]:
    """The last lines of the attempt that ended so, or why there are none: not those of the one that runs by now."""
    died = ending.attempt or instance.attempt
    tail = LAST_LINES if instance.attempt <= died else LOOKED_BACK
    found: bytes | None = None
    try:
        async with asyncio.timeout(OUTPUT_WAIT_S):
            for lines, since_ms in ((tail, 0), (None, max(0, ending.ended_ms - _BEFORE_END_MS)), (None, 0)):
                source = runtime.logs(instance.id, follow=False, tail_lines=lines, since_ms=since_ms)
                found = await _written(source, died)
                if found is not None:
                    break
    except TimeoutError:
        return (), f"the node did not answer within {OUTPUT_WAIT_S:g} s"
    except (NodeAway, RuntimeAway) as away:
        return (), str(away)
    except LogsUnavailable as none:
        return (), none.reason
    if found is None:
        return (), "it wrote nothing, or that is not kept any more"
    last = tuple(found.decode("utf-8", "replace").splitlines()[-LAST_LINES:])
    return last, "" if last else "it wrote nothing"


async def _written(source: AsyncIterator[LogPiece], attempt: int) -> bytes | None:
    """The end of what an attempt wrote; None where the source begins behind that. Reads no further: what the next has
    written may be much."""
    data = bytearray()
    behind = False
    before = False
    async with closing(source) as pieces:
        async for piece in pieces:
            behind = piece.attempt > attempt
            if behind:
                break
            before = True
            if piece.attempt == attempt:
                data += piece.data
                del data[: max(0, len(data) - MAX_OUTPUT_BYTES)]
    return None if behind and not before else bytes(data)
