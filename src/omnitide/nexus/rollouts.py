"""The timer of rollouts and moves: when a replica will have been ready for long enough, have its rollout looked at.

Clocks decide nothing here: `AdvanceRollouts` names agents, and `decide` looks at log time (DESIGN, "Time and ids"). It
looks at the committed state, never at what woke it; while nothing rolls out it costs nothing.
"""

import asyncio
from typing import Final

from omnitide.fabric.commands import AdvanceRollouts, Header
from omnitide.fabric.decide import Decision
from omnitide.fabric.rules.rolling import MAX_ADVANCED, next_due
from omnitide.fabric.state import FabricState
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine import Engine
from omnitide.nexus.watching import Committed
from omnitide.operations.runtime import NotServing
from omnitide.telemetry import logs

_log = logs.get(__name__)

PRINCIPAL: Final = "system:rollouts"
RETRY_S: Final = 0.5
"""While the engine takes no writes."""
BROKEN_RETRY_S: Final = 30.0
"""After a fault of the software met while deciding."""
PACE_S: Final = 0.02
"""Least time between two looks: each looks at every agent that rolls out."""


class Rollouts:
    """One task; it looks again when the state changes and when the next replica is due."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._wake = asyncio.Event()
        engine.subscribe(self._on_commit)

    def _on_commit(self, before: FabricState, after: FabricState, _entries: list[Committed]) -> None:
        # An instance that becomes ready changes nothing in its agent.
        if after.rolling and (after.instances is not before.instances or after.agents is not before.agents):
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            pause_s = await self._look()
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(PACE_S)

    async def _look(self) -> float | None:
        """Have looked at what is due. Returns seconds until the next is; None: nothing is to be."""
        state = self._engine.committed()
        now_ms = max(self._clock.now_ms(), state.time_ms)
        due: list[str] = []
        later: int | None = None
        for identifier in sorted(state.rolling):
            at_ms = next_due(state, state.agents[identifier])
            if at_ms is None:
                continue
            if at_ms <= now_ms:
                due.append(identifier)
            elif later is None or at_ms < later:
                later = at_ms
        pause_s = None if later is None else (later - now_ms) / 1000
        if not due:
            return pause_s
        try:
            command = AdvanceRollouts(agents=tuple(due[:MAX_ADVANCED]))
            outcome = await self._engine.submit(command, Header(principal=PRINCIPAL))
        except NotServing as refusal:
            return RETRY_S if refusal.retryable else BROKEN_RETRY_S
        if not isinstance(outcome, Decision):
            _log.error("rollouts could not be looked at", reason=outcome.message)
            return RETRY_S
        return PACE_S
