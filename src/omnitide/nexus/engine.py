"""The engine: the one writer of the log. Decides on the speculative state while the batch before is being synced.

Two roots: `decide` sees the speculative state, everyone else the committed one. Both are the same immutable objects, so
committing a batch is moving one reference. An answer, a refusal included, leaves only after what it was decided on is
durable.
"""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from msgspec.structs import replace

from omnitide.fabric.commands import Command, Header
from omnitide.fabric.decide import Decision, decide
from omnitide.fabric.events import decode_entry
from omnitide.fabric.evolve import apply
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.snapshot import SnapshotDamaged, dump, load
from omnitide.fabric.state import FabricState, empty_state
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine_reads import EngineReads, ReadLimits
from omnitide.nexus.log_time import LogTime
from omnitide.nexus.watching import Committed, Watchers
from omnitide.operations.happenings.translate import count
from omnitide.operations.runtime import InternalFault, NotServing, Queue
from omnitide.store.protocol import (
    MAX_BATCH_BYTES,
    AppendFailed,
    Batch,
    EventLog,
    LogCorrupt,
    LogError,
    LogFull,
    LogUnavailable,
    TrimRefused,
)
from omnitide.telemetry import logs

_log = logs.get(__name__)


class EngineLimits(NamedTuple):
    """Every bound of the engine, and by its name what it bounds."""

    inbox: int = 20_000
    """Commands waiting; one more is refused as overloaded."""
    batch_entries: int = 2_000
    batch_bytes: int = 8 << 20
    turn_commands: int = 100
    """Decided at one go, some milliseconds' worth; then whatever else waits in the loop has its turn."""
    watcher_entries: int = 10_000
    recent_entries: int = 20_000
    snapshot_every: int = 100_000
    """Events between snapshots, each instance of one that is about many counted: they are what a start has to fold. One
    entry may hold tens of thousands."""
    keep_entries: int = 1_000_000
    """Entries kept for watches and history behind the newest; older ones are trimmed when snapshots allow it."""
    readers: int = 10_000
    """Reads that wait for a revision; one more is refused as overloaded."""
    log_reads: int = 64
    """Reads of old entries that the log is asked for at once; others wait their turn."""
    log_reads_waiting: int = 4_000
    """Reads that wait for their turn; one more is refused as overloaded, as is one that has waited so long:"""
    log_read_wait_s: float = 60.0
    retry_full_s: float = 1.0
    """How often one command is let through to see whether a full disk has room again."""


class _Waiting(NamedTuple):
    command: Command
    header: Header
    answer: "asyncio.Future[Decision | Rejection]"


Answer = Decision | Rejection
_Waiter = tuple["asyncio.Future[Answer]", Answer]


class _Decided:
    """What the next batch will be: payloads, and the answers that depend on it."""

    __slots__ = ("bytes", "entries", "payloads", "state", "waiters")

    def __init__(self, state: FabricState) -> None:
        self.payloads: list[bytes] = []
        self.entries: list[Committed] = []
        self.waiters: list[_Waiter] = []
        self.bytes = 0
        self.state = state


OnCommit = Callable[[FabricState, FabricState, list[Committed]], None]
"""Called in the loop after each durable batch: (before, after, entries). Must be quick; one that raises is logged."""

MAX_UNKNOWN_CHECKS: Final = 5


class EngineFailed(Exception):
    """The engine cannot go on: another writer, a damaged log, or an outcome that stays unknown. Restart rebuilds it."""


class Engine:
    """Made by `Engine.open`; runs until `close` or until it fails (`failed`)."""

    def __init__(self, log: EventLog, state: FabricState, clock: Clock, limits: EngineLimits) -> None:
        self._log = log
        self._clock = LogTime(clock, state.time_ms)
        self._limits = limits
        self._committed = state
        self._speculative = state
        self._inbox: deque[_Waiting] = deque()
        self._decided = _Decided(state)
        self._in_flight: _Decided | None = None
        self._in_flight_since = 0.0
        self._wake = asyncio.Event()
        self._watchers = Watchers(limits.watcher_entries, limits.recent_entries)
        self._subscribers: list[OnCommit] = []
        bounds = ReadLimits(limits.readers, limits.log_reads, limits.log_reads_waiting, limits.log_read_wait_s)
        self._reads = EngineReads(log, self._watchers, state.revision, bounds)
        self.stumbles = 0
        """How often a part did not follow a commit: never, unless the software has a fault."""
        self._refusing = ""
        self._retry_at = 0.0
        self._batch_number = 0
        self._closing = False
        self._since_snapshot = 0
        """Events of the entries behind the newest snapshot."""
        self._snapshot_task: asyncio.Task[None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[EngineFailed] = asyncio.get_running_loop().create_future()

    # -- opening -----------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, log: EventLog, clock: Clock, limits: EngineLimits | None = None) -> "Engine":
        """Rebuild the state from the newest snapshot and the entries after it, then start deciding.

        Raises LogCorrupt, SnapshotDamaged or UnknownEvent where the log cannot be folded.
        """
        state = await _newest_snapshot(log)
        position, events = state.revision, 0
        while records := await log.read(position, limit=5000, limit_bytes=16 << 20):
            for record in records:
                entry = decode_entry(record.payload)
                state = apply(state, entry)
                events += count(entry)
            position = records[-1].position
            await asyncio.sleep(0)
        # Collections of a full heap would cost tens of milliseconds each; what was loaded is not garbage.
        gc.collect()
        gc.freeze()
        engine = cls(log, state, clock, limits or EngineLimits())
        engine._since_snapshot = events
        engine._runner = asyncio.get_running_loop().create_task(engine._run(), name="engine")
        return engine

    async def close(self) -> None:
        """Stop deciding; what was acknowledged is durable, what waits is refused."""
        self._closing = True
        self._wake.set()
        if self._runner is not None:
            await asyncio.gather(self._runner, return_exceptions=True)
        if self._snapshot_task is not None:
            self._snapshot_task.cancel()
            await asyncio.gather(self._snapshot_task, return_exceptions=True)
        self._refuse_all(NotServing("the control plane is stopping", retryable=True))
        self._watchers.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def committed(self) -> FabricState:
        """The durable state."""
        return self._committed

    @property
    def log(self) -> EventLog:
        return self._log

    @property
    def time(self) -> LogTime:
        """What commands are stamped by."""
        return self._clock

    @property
    def refusing(self) -> str:
        """Why writes are refused at the moment; empty if they are not."""
        return self._refusing

    @property
    def writing_s(self) -> float:
        """For how long the batch in flight has been on its way to the disk; 0 if there is none."""
        return 0.0 if self._in_flight is None else self._clock.monotonic() - self._in_flight_since

    def queues(self) -> list[Queue]:
        """What waits here, and how much may."""
        slowest = Queue("slowest-watcher", self._watchers.most_buffered(), self._limits.watcher_entries)
        return [Queue("commands", len(self._inbox), self._limits.inbox), slowest, *self._reads.queues()]

    @property
    def written_since(self) -> float:
        """When the newest batch that is durable, or is being written, began to be (monotonic)."""
        return self._in_flight_since

    @property
    def watchers(self) -> Watchers:
        return self._watchers

    def subscribe(self, callback: OnCommit) -> None:
        self._subscribers.append(callback)

    async def entries(self, after: int, limit: int) -> list[Committed]:
        """Durable entries after a revision. Raises operations.runtime.Trimmed, and NotServing where the log cannot be
        read, or by too many at once."""
        return await self._reads.entries(after, limit)

    async def wait_for(self, revision: int, timeout_s: float) -> bool:
        """Whether the committed state reaches a revision in time. Raises NotServing if too many wait already."""
        return await self._reads.wait_for(revision, timeout_s)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def submit(self, command: Command, header: Header) -> Answer:
        """Decide a command; returns when what it was decided into, or on, is durable.

        Raises NotServing while writes are refused (full disk, overload, stopping), and InternalFault, which is one,
        where a rule is broken.
        """
        self._require_serving()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._inbox.append(_Waiting(command, header, answer))
        self._wake.set()
        return await answer

    def dry_run(self, command: Command, header: Header) -> Answer:
        """What `submit` would decide on what is durable now: an answer shows nothing that may yet be lost."""
        return decide(self._committed, command, self._stamped(header, self._clock.now_ms()))

    def _require_serving(self) -> None:
        if self._closing or self.failed.done():
            raise NotServing("the control plane is stopping", retryable=True)
        if len(self._inbox) >= self._limits.inbox:
            raise NotServing(f"overloaded: {self._limits.inbox} commands wait already", retryable=True)
        if self._refusing:
            if self._clock.monotonic() < self._retry_at:
                raise NotServing(self._refusing, retryable=True)
            self._retry_at = self._clock.monotonic() + self._limits.retry_full_s

    def _stamped(self, header: Header, now_ms: int) -> Header:
        return replace(header, time_ms=max(now_ms, self._speculative.time_ms))

    # -- the loop ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        commit: asyncio.Task[None] | None = None
        try:
            while True:
                self._wake.clear()
                goes_on = self._decide_some()
                if commit is not None and commit.done():
                    commit.result()
                    commit = None
                if commit is None:
                    commit = self._start_commit()
                if goes_on:
                    await asyncio.sleep(0)
                    continue
                if self._closing and commit is None:
                    return
                if commit is None or not commit.done():
                    await self._wake.wait()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        _log.exception("engine failed", error=str(error))
        self._speculative = self._committed
        self._refusing = f"the control plane has failed: {error}"
        self._refuse_all(NotServing(self._refusing, retryable=True))
        self._watchers.close()
        if not self.failed.done():
            self.failed.set_result(error if isinstance(error, EngineFailed) else EngineFailed(str(error)))

    def _decide_some(self) -> bool:
        """Decide what waits, a turn's worth at most. Whether more waits for which the batch has room."""
        decided, inbox, limits = self._decided, self._inbox, self._limits
        left = limits.turn_commands
        now_ms = self._clock.now_ms()  # once a turn: one takes some milliseconds, and log time is more than a look
        while inbox and len(decided.payloads) < limits.batch_entries and decided.bytes < limits.batch_bytes:
            if left == 0:
                decided.state = self._speculative
                return True
            left -= 1
            command, header, answer = inbox.popleft()
            if answer.done():
                continue
            try:
                outcome = decide(self._speculative, command, self._stamped(header, now_ms))
            except Exception as error:
                # A bug in a rule: the command is refused, the state is untouched since deciding is pure.
                _log.exception("a command could not be decided", command=type(command).__name__)
                fault = InternalFault(type(command).__name__)
                fault.__cause__ = error
                answer.set_exception(fault)
                continue
            size = len(outcome.payload) if isinstance(outcome, Decision) else 0
            if size > MAX_BATCH_BYTES:
                what = f"{type(command).__name__} makes an entry of {size} bytes; {MAX_BATCH_BYTES} are the most"
                decided.waiters.append((answer, Rejection(code="limit", message=what)))
                continue
            if decided.bytes + size > MAX_BATCH_BYTES:
                # It goes into the next batch: deciding is pure, so it is as if it had not been looked at yet.
                inbox.appendleft(_Waiting(command, header, answer))
                break
            if isinstance(outcome, Decision) and outcome.payload:
                decided.payloads.append(outcome.payload)
                decided.bytes += len(outcome.payload)
                decided.entries.append(Committed(outcome.revision, outcome.entry))
                self._speculative = outcome.state
            decided.waiters.append((answer, outcome))
        decided.state = self._speculative
        return False

    def _start_commit(self) -> asyncio.Task[None] | None:
        decided = self._decided
        if not decided.payloads:
            # Nothing to write and nothing in flight: all that these answers rest on is durable.
            self._decided = _Decided(self._speculative)
            _resolve(decided.waiters)
            return None
        self._decided = _Decided(self._speculative)
        task = asyncio.get_running_loop().create_task(self._commit(decided), name="commit")
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def _commit(self, decided: _Decided) -> None:
        self._batch_number += 1
        self._in_flight = decided
        self._in_flight_since = self._clock.monotonic()
        batch_id = f"{self._log.epoch}.{self._batch_number}".encode()
        batch = Batch(
            epoch=self._log.epoch,
            expected_position=self._committed.revision,
            batch_id=batch_id,
            payloads=decided.payloads,
        )
        try:
            await self._log.append(batch)
        except LogFull as error:
            self._roll_back(decided, f"the disk of the event log is full: {error}")
            return
        except AppendFailed as error:
            self._roll_back(decided, f"the event log did not take the last write: {error}")
            return
        except LogUnavailable as error:
            if not await self._was_written(batch, error):
                self._roll_back(decided, f"the event log did not take the last write: {error}")
                return
        self._publish(decided)

    async def _was_written(self, batch: Batch, cause: LogUnavailable) -> bool:
        """Unknown outcome: the tail tells. Raises EngineFailed if it cannot be read."""
        for attempt in range(MAX_UNKNOWN_CHECKS):
            try:
                tail = await self._log.tail()
            except LogError as error:
                _log.warning("the log's tail cannot be read", attempt=attempt, error=str(error))
                await asyncio.sleep(0.2 * 2**attempt)
                continue
            if tail.batch_id == batch.batch_id:
                return True
            if tail.position == batch.expected_position:
                return False
            raise EngineFailed(f"the log is at {tail.position}, neither before nor after the last batch")
        raise EngineFailed(f"the outcome of the last write stays unknown: {cause}")

    def _publish(self, decided: _Decided) -> None:
        before = self._committed
        self._committed = decided.state
        self._in_flight = None
        if self._refusing:
            _log.info("writes are taken again", revision=self._committed.revision)
            self._refusing = ""
        _resolve(decided.waiters)
        self._watchers.publish(decided.entries)
        for callback in self._subscribers:
            try:
                callback(before, self._committed, decided.entries)
            except Exception:
                self.stumbles += 1
                _log.exception("a part did not follow a commit", part=repr(callback))
        self._reads.reached(self._committed.revision)
        self._since_snapshot += sum(count(committed.entry) for committed in decided.entries)
        if self._since_snapshot >= self._limits.snapshot_every:
            self._begin_snapshot()

    def _roll_back(self, decided: _Decided, reason: str) -> None:
        """Nothing of the batch was written: forget the speculative state and refuse whoever waits on it."""
        _log.error("writes are refused", reason=reason, revision=self._committed.revision)
        self._refusing = reason
        self._retry_at = self._clock.monotonic() + self._limits.retry_full_s
        self._speculative = self._committed
        self._in_flight = None
        later, self._decided = self._decided, _Decided(self._committed)
        refusal = NotServing(reason, retryable=True)
        for answer, _ in (*decided.waiters, *later.waiters):
            if not answer.done():
                answer.set_exception(refusal)

    def _refuse_all(self, refusal: NotServing) -> None:
        in_flight = self._in_flight.waiters if self._in_flight is not None else []
        self._in_flight = None
        waiting: Iterable[asyncio.Future[Answer]] = [
            *(answer for answer, _ in in_flight),
            *(answer for answer, _ in self._decided.waiters),
            *(item.answer for item in self._inbox),
        ]
        self._decided = _Decided(self._committed)
        self._inbox.clear()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(refusal)

    # -- snapshots ---------------------------------------------------------------------------------------------------

    def _begin_snapshot(self) -> None:
        if self._snapshot_task is not None and not self._snapshot_task.done():
            return
        self._since_snapshot = 0
        self._snapshot_task = asyncio.get_running_loop().create_task(self._snapshot(self._committed), name="snapshot")

    async def snapshot(self) -> None:
        """Save a snapshot of the committed state now."""
        self._since_snapshot = 0
        await self._snapshot(self._committed)

    async def _snapshot(self, state: FabricState) -> None:
        try:
            info = await self._log.save_snapshot(state.revision, dump(state))
            _log.info("snapshot saved", revision=info.position, bytes=info.size_bytes)
            kept = await self._log.snapshots()
            if len(kept) >= 2:
                before = min(kept[1].position, self._committed.revision - self._limits.keep_entries)
                if before > await self._log.first_position():
                    await self._log.trim(before)
        except TrimRefused as error:
            _log.warning("the log was not trimmed", reason=str(error))
        except LogError as error:
            # The log itself goes on; the next snapshot is tried after as many entries again.
            _log.error("snapshot failed", revision=state.revision, error=str(error))


async def _newest_snapshot(log: EventLog) -> FabricState:
    """The state of the newest snapshot that can be read. A damaged one is passed over, loudly: the
    log keeps everything behind the two newest. Without any, the empty state, if the log still begins at its beginning.

    Raises LogCorrupt if no snapshot can be read and the entries before them are gone.
    """
    damaged: LogCorrupt | SnapshotDamaged | None = None
    for info in await log.snapshots():
        try:
            state = load([chunk async for chunk in log.load_snapshot(info)])
        except (LogCorrupt, SnapshotDamaged) as error:
            _log.error("a snapshot is damaged; an older one is tried", revision=info.position, error=str(error))
            damaged = error
            continue
        return state
    if await log.first_position() > 1:
        raise damaged or LogCorrupt(1, "the log has been trimmed and there is no snapshot of what it held")
    return empty_state()


def _resolve(waiters: list[_Waiter]) -> None:
    for answer, outcome in waiters:
        if not answer.done():
            answer.set_result(outcome)
