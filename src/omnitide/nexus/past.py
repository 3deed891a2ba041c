"""What the fabric was at a revision: folded anew from the log, beside the running engine and one at a time.

A fold begins at the newest state known below the revision: one that was asked for lately, a snapshot, or the log's
beginning. States share what they have in common, so that keeping some costs little, and a slider that moves is quick.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from omnitide.fabric.events import decode_entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.snapshot import SnapshotDamaged, load
from omnitide.fabric.state import FabricState, empty_state
from omnitide.operations.runtime import NotServing, Trimmed
from omnitide.store.protocol import EventLog, LogCorrupt, LogMissing, LogUnavailable
from omnitide.store.protocol import Trimmed as LogTrimmed
from omnitide.telemetry import logs

KEPT: Final = 16
"""States of the past that are kept; the one that was not asked for the longest goes first."""
MAX_WAITING: Final = 32
"""Who waits for a turn to fold; one more is refused."""
READ: Final = 500
TURN: Final = 50
"""Entries folded at one go; then whatever else waits in the loop has its turn."""

_log = logs.get(__name__)


class Past:
    """Of one log. `state_at` is called with revisions that are durable."""

    def __init__(self, log: EventLog) -> None:
        self._event_log = log
        self._kept: OrderedDict[int, FabricState] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def state_at(self, revision: int) -> FabricState:
        """Raises Trimmed where the log does not reach back so far, and NotServing where it cannot be read, or by too
        many at once."""
        known = self._kept.get(revision)
        if known is None:
            if self._waiting >= MAX_WAITING:
                raise NotServing(f"overloaded: {self._waiting} looks into the past wait already")
            self._waiting += 1
            try:
                async with self._turn:
                    known = self._kept.get(revision) or await self._fold(revision)
            finally:
                self._waiting -= 1
            self._kept[revision] = known
        self._kept.move_to_end(revision)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return known

    async def _fold(self, revision: int) -> FabricState:
        try:
            state = await self._base(revision)
            while state.revision < revision:
                records = await self._event_log.read(state.revision, limit=min(READ, revision - state.revision))
                if not records:
                    raise NotServing(f"the log ends before revision {revision}")
                for number, record in enumerate(records, 1):
                    state = apply(state, decode_entry(record.payload))
                    if number % TURN == 0:
                        await asyncio.sleep(0)
        except LogTrimmed as trimmed:
            # The base was there a moment ago: the log was trimmed meanwhile.
            raise Trimmed(revision - 1, await self._first()) from trimmed
        except LogUnavailable as error:
            raise NotServing(f"the event log cannot be read now: {error}") from error
        return state

    async def _base(self, revision: int) -> FabricState:
        """The newest state at or below a revision from which the log goes on."""
        best: FabricState | None = None
        near = [position for position in self._kept if position <= revision]
        if near:
            best = self._kept[max(near)]
        for info in await self._event_log.snapshots():
            if info.position > revision:
                continue
            if best is not None and best.revision >= info.position:
                break
            try:
                return load([chunk async for chunk in self._event_log.load_snapshot(info)])
            except (LogCorrupt, LogMissing, SnapshotDamaged) as error:
                _log.warning("a snapshot cannot be used to look back", revision=info.position, error=str(error))
        if best is not None:
            return best
        if await self._event_log.first_position() > 1:
            raise Trimmed(revision - 1, await self._first())
        return empty_state()

    async def _first(self) -> int:
        """The oldest revision that can be shown."""
        if await self._event_log.first_position() == 1:
            return 1
        usable = [info.position for info in await self._event_log.snapshots() if info.verified]
        return min(usable, default=await self._event_log.first_position())
