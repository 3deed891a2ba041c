"""The placer: whenever something waits, or is to leave its node, and something may have changed, ask the scheduler and
submit its plan.

Level-triggered: it looks at the committed state, never at what woke it, so freed room is always tried (promise 2).
"""

import asyncio
from typing import Final

from omnitide.fabric.commands import Header, MoveInstances, PlaceInstances
from omnitide.fabric.decide import Decision
from omnitide.fabric.state import FabricState
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine import Engine
from omnitide.nexus.watching import Committed
from omnitide.operations.runtime import NotServing
from omnitide.scheduler.moving import plan_moves
from omnitide.scheduler.place import MAX_PLACEMENTS, place
from omnitide.scheduler.table import NodeTable
from omnitide.scheduler.waiting import Waiting
from omnitide.telemetry import logs

_log = logs.get(__name__)

PRINCIPAL: Final = "system:placer"
RETRY_S: Final = 0.5
BROKEN_RETRY_S: Final = 30.0
"""After a plan that met a fault of the software: the state may be another by then."""
FRUITLESS_PAUSE_S: Final = 0.02
"""Least time between two plans when the last one could place nothing: what waits may wait in vain for long."""


class Placer:
    """Owns the scheduler's view of the committed state. One plan is under way at a time."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._table = NodeTable(engine.committed())
        self._waiting = Waiting(engine.committed())
        self._wake = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._fruitless = False
        self._look_s = 0.0
        engine.subscribe(self._on_commit)

    @property
    def table(self) -> NodeTable:
        """The view, for explanations; as of the last plan or commit that mattered."""
        self._table.refresh(self._engine.committed())
        return self._table

    def _on_commit(self, before: FabricState, after: FabricState, _entries: list[Committed]) -> None:
        waits = after.pending and (after.pending is not before.pending or after.nodes is not before.nodes)
        # What is to leave its node may do so when there is room elsewhere, or when another of its agent runs.
        # That one runs, or is ready, need not change its agent or job.
        ran = after.instances is not before.instances or after.agents is not before.agents
        leaves = after.draining and (ran or after.nodes is not before.nodes)
        # What waits for others to run, or to be done, may have what it needs by now.
        needs = self._waiting.needy and (ran or after.jobs is not before.jobs)
        if waits or leaves or needs:
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled. Begins with a view of its own, whatever became of the one before."""
        self._table = NodeTable(self._engine.committed())
        self._waiting = Waiting(self._engine.committed())
        self._wake.set()
        try:
            await self._run()
        finally:
            self._wake_after(None)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._fruitless = False
            pause_s: float | None = 0.0
            while pause_s == 0.0:
                pause_s = await self._plan_once()
            self._wake_after(pause_s)
            if self._fruitless:
                # Never more than a third of the time on plans that place nothing, however much waits in vain.
                await asyncio.sleep(max(FRUITLESS_PAUSE_S, 2 * self._look_s))

    def _wake_after(self, pause_s: float | None) -> None:
        """Look again after a while: the one timer there is, however often something else has come first."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if pause_s is not None:
            self._later = asyncio.get_running_loop().call_later(pause_s, self._wake.set)

    async def _plan_once(self) -> float | None:
        """One look. 0: look again at once; None: nothing to do until something changes; else: again after so long."""
        state = self._engine.committed()
        self._table.refresh(state)
        self._waiting.refresh(state)
        now_ms = max(self._clock.now_ms(), state.time_ms)
        asks = self._waiting.asks(now_ms, MAX_PLACEMENTS)
        pause_s = None if asks.next_due_ms is None else max(0.001, (asks.next_due_ms - now_ms) / 1000)
        if not asks.ready and not state.draining:
            return pause_s
        began = self._clock.monotonic()
        plan = place(self._table, asks.ready)
        # What waits comes first: room that it takes is not there for what could stay where it is.
        moves = plan_moves(state, self._table) if state.draining and not plan.choices else None
        self._look_s = self._clock.monotonic() - began
        if plan.choices:
            return await self._submit(PlaceInstances(seen_revision=plan.seen_revision, choices=plan.choices))
        if moves is not None and moves.choices:
            return await self._submit(moves)
        self._fruitless = True
        return pause_s

    async def _submit(self, command: PlaceInstances | MoveInstances) -> float:
        try:
            outcome = await self._engine.submit(command, Header(principal=PRINCIPAL))
        except NotServing as refusal:
            return RETRY_S if refusal.retryable else BROKEN_RETRY_S
        if not isinstance(outcome, Decision):
            _log.error("a plan was refused", reason=outcome.message)
            return RETRY_S
        # A plan of which nothing was taken was made on a view that has changed since: look again, after a moment.
        return 0.0 if outcome.result.get("placed") or outcome.result.get("moved") else FRUITLESS_PAUSE_S
