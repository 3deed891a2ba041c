"""The reading side of the engine: old entries of the log, and waits for a revision, each with a bound."""

import asyncio
from typing import NamedTuple

from omnitide.fabric.events import decode_entry
from omnitide.nexus.watching import Committed, Watchers
from omnitide.operations.runtime import NotServing, Queue
from omnitide.operations.runtime import Trimmed as RevisionTrimmed
from omnitide.store.protocol import EventLog, LogUnavailable, Trimmed


class ReadLimits(NamedTuple):
    readers: int
    log_reads: int
    log_reads_waiting: int
    log_read_wait_s: float


class EngineReads:
    """Knows what is durable by being told (`reached`); decides nothing."""

    def __init__(self, log: EventLog, watchers: Watchers, revision: int, limits: ReadLimits) -> None:
        self._log = log
        self._watchers = watchers
        self._revision = revision
        self._limits = limits
        self._waiting: dict[asyncio.Future[None], int] = {}
        """Who waits for which revision."""
        self._turns = asyncio.Semaphore(limits.log_reads)
        self._turns_waiting = 0

    def queues(self) -> list[Queue]:
        return [
            Queue("reads-of-a-revision", len(self._waiting), self._limits.readers),
            Queue("reads-of-the-log", self._turns_waiting, self._limits.log_reads_waiting),
        ]

    def reached(self, revision: int) -> None:
        """This revision is durable now. Called for each batch."""
        self._revision = revision
        if self._waiting:
            for reached, wanted in self._waiting.items():
                if wanted <= revision and not reached.done():
                    reached.set_result(None)

    async def entries(self, after: int, limit: int) -> list[Committed]:
        """Durable entries after a revision. Raises operations.runtime.Trimmed, and NotServing where the log cannot be
        read, or by too many at once."""
        recent = self._watchers.recent_after(after, limit)
        if recent is not None:
            return recent
        if after >= self._revision:
            return []
        await self._turn_to_read()
        try:
            records = await self._log.read(after, limit=limit)
        except Trimmed as trimmed:
            raise RevisionTrimmed(after, trimmed.first) from trimmed
        except LogUnavailable as error:
            raise NotServing(f"the event log cannot be read now: {error}", retryable=True) from error
        finally:
            self._turns.release()
        bound = self._revision
        return [Committed(r.position, decode_entry(r.payload)) for r in records if r.position <= bound]

    async def _turn_to_read(self) -> None:
        """Until the log has few enough reads; whoever returns from it releases `_turns`. Raises NotServing."""
        if self._turns_waiting >= self._limits.log_reads_waiting:
            raise NotServing(f"overloaded: {self._turns_waiting} reads of the log wait already", retryable=True)
        self._turns_waiting += 1
        try:
            await asyncio.wait_for(self._turns.acquire(), self._limits.log_read_wait_s)
        except TimeoutError:
            text = f"overloaded: the log had no turn for this read within {self._limits.log_read_wait_s:g} s"
            raise NotServing(text, retryable=True) from None
        finally:
            self._turns_waiting -= 1

    async def wait_for(self, revision: int, timeout_s: float) -> bool:
        """Whether a revision is durable in time. Raises NotServing if too many wait already."""
        if self._revision >= revision:
            return True
        if len(self._waiting) >= self._limits.readers:
            raise NotServing(f"overloaded: {self._limits.readers} reads wait for a revision already", retryable=True)
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[reached] = revision
        try:
            await asyncio.wait_for(reached, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(reached, None)
        return True
