"""The view of a revision that has passed: what the fabric was by its log, and nothing of what was beside it."""

import asyncio
from typing import Final

from omnitide.operations.runtime import Runtime
from omnitide.operations.viewing.frames import Snapshot, snapshot_parts
from omnitide.operations.viewing.showing import Showing, everything

TURN: Final = 200
"""Objects made at one go."""


async def past_view(runtime: Runtime, revision: int) -> Snapshot:
    """Raises Trimmed, NotServing."""
    state = await runtime.state_at(revision)
    showing = Showing(state, lambda _: None, state.time_ms)
    objects: dict[tuple[str, str], bytes] = {}
    for number, key in enumerate(everything(state), 1):
        encoded = showing.encoded(*key)
        if encoded is not None:
            objects[key] = encoded
        if number % TURN == 0:
            await asyncio.sleep(0)
    return await snapshot_parts(runtime.log_id(), revision, state.time_ms, objects, {})
