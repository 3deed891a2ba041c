"""The timer of rollouts and moves: when a replica will have been ready for long enough, or a rollout has not come any
further for too long, have it looked at.

Clocks decide nothing here: `AdvanceRollouts` names agents, and `decide` looks at log time (DESIGN, "Time and ids"). It
looks at the committed state, never at what woke it; while nothing rolls out it costs nothing.
"""

import asyncio
from typing import Final

from omnitide.fabric.commands import AdvanceRollouts, Header
from omnitide.fabric.decide import Decision
from omnitide.fabric.rules.lateness import late_from
from omnitide.fabric.rules.rolling import MAX_ADVANCED, next_due
from omnitide.fabric.state import Agent, FabricState
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
MISSED_MS: Final = 2_500
"""A look that comes so much later than it was to, or wall time that passed so much faster: this process, or its
machine, was stopped meanwhile."""
LENIENCE_MS: Final = 30_000
"""After a start or a stop, nodes get so long to come back and tell before a rollout from before is called late."""


class Rollouts:
    """One task; it looks again when the state changes and when the next replica is due."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._wake = asyncio.Event()
        self._looked: tuple[float, int] | None = None
        """Monotonic seconds and wall milliseconds of the last look."""
        self._pause_s: float | None = None
        """How long the next look was to come after that one at the latest."""
        self._listens_since_ms = 0
        """Log time since which nodes can have told how they are."""
        engine.subscribe(self._on_commit)

    def _on_commit(self, before: FabricState, after: FabricState, _entries: list[Committed]) -> None:
        # An instance that becomes ready changes nothing in its agent.
        if after.rolling and (after.instances is not before.instances or after.agents is not before.agents):
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            self._pause_s = await self._look()
            try:
                async with asyncio.timeout(self._pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(PACE_S)

    async def _look(self) -> float | None:
        """Have looked at what is due. Returns seconds until the next is; None: nothing is to be."""
        state = self._engine.committed()
        now_ms = max(self._clock.now_ms(), state.time_ms)
        self._notice_a_stop(now_ms)
        due: list[str] = []
        late: list[str] = []
        later: int | None = None
        for identifier in sorted(state.rolling):
            agent = state.agents[identifier]
            for at_ms, found in ((next_due(state, agent), due), (self._late_from(state, agent), late)):
                if at_ms is None:
                    continue
                if at_ms <= now_ms:
                    found.append(identifier)
                elif later is None or at_ms < later:
                    later = at_ms
        pause_s = None if later is None else (later - now_ms) / 1000
        if not due and not late:
            return pause_s
        try:
            command = AdvanceRollouts(agents=tuple(due[:MAX_ADVANCED]), late=tuple(late[:MAX_ADVANCED]))
            outcome = await self._engine.submit(command, Header(principal=PRINCIPAL))
        except NotServing as refusal:
            return RETRY_S if refusal.retryable else BROKEN_RETRY_S
        if not isinstance(outcome, Decision):
            _log.error("rollouts could not be looked at", reason=outcome.message)
            return RETRY_S
        return PACE_S

    def _notice_a_stop(self, now_ms: int) -> None:
        seconds, wall_ms = self._clock.monotonic(), self._clock.now_ms()
        before, self._looked = self._looked, (seconds, wall_ms)
        if before is None:
            self._listens_since_ms = now_ms
            return
        passed_ms = (seconds - before[0]) * 1000
        overslept = self._pause_s is not None and passed_ms > self._pause_s * 1000 + MISSED_MS
        if overslept or wall_ms - before[1] > passed_ms + MISSED_MS:
            self._listens_since_ms = now_ms

    def _late_from(self, state: FabricState, agent: Agent) -> int | None:
        due = late_from(state, agent)
        if due is None or agent.versions[agent.version].came_further_ms >= self._listens_since_ms:
            return due
        return max(due, self._listens_since_ms + LENIENCE_MS)
