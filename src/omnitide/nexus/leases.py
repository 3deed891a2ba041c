"""Leases: from a broken session to unreachable, and from there to lost, by the leader's monotonic clock.

Clocks decide nothing here: a timer is a command that names the node's session, and `decide` looks at that (DESIGN,
"Time and ids"). A node that is back has a newer session, so a late timer changes nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from omnitide.fabric.commands import Command, DeclareLost, Header, SuspectNode
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import ENDED, FabricState, Node, NodeStatus, spec_of_instance
from omnitide.nexus.clock import Clock
from omnitide.nexus.engine import Engine
from omnitide.operations.runtime import NotServing
from omnitide.telemetry import logs

_log = logs.get(__name__)

PRINCIPAL: Final = "system:leases"
RETRY_S: Final = 0.5
"""Between tries while the engine takes no writes: bounded by nothing but the engine's recovery, and idempotent."""
BROKEN_RETRY_S: Final = 30.0
"""Between tries that meet a fault of the software."""
MAX_DEPARTURE_MS: Final = 10 * 60 * 1000
"""Longest absence that a goodbye can announce."""
PULSE_S: Final = 0.5
MISSED_S: Final = 2.5
"""A pulse that comes so much later than the one before: this process did not run meanwhile, so it can have heard no
node, and its connections may all be broken."""


class LeaseTimes:
    """Reloadable settings, all in milliseconds."""

    def __init__(self, reconnect_grace_ms: int, lost_after_ms: int, startup_grace_ms: int) -> None:
        self.reconnect_grace_ms = reconnect_grace_ms
        self.lost_after_ms = lost_after_ms
        self.startup_grace_ms = startup_grace_ms


class Leases:
    """One task for each node that is away; none for those that are here.

    Silence counts only while this process ran to hear it: when it was stopped, or its machine, every node is granted
    anew what it is granted at a start.
    """

    def __init__(self, engine: Engine, clock: Clock, times: Callable[[], LeaseTimes]) -> None:
        self._engine = engine
        self._clock = clock
        self._times = times
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._pulsed = clock.monotonic()
        self._granted_until = 0.0
        """Before it no node is declared anything."""
        self._pulse: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A new leader first grants every node one full lease: none has had the chance to connect to it."""
        self._pulsed = self._clock.monotonic()
        self._pulse = asyncio.get_running_loop().create_task(self._beat(), name="leases' pulse")
        for node in sorted(self._engine.committed().nodes.values(), key=lambda node: node.id):
            if node.status in (NodeStatus.LIVE, NodeStatus.UNREACHABLE, NodeStatus.LOST):
                self._begin(node.id, node.session, self._times().startup_grace_ms / 1000)

    def session_opened(self, node: str) -> None:
        timer = self._timers.pop(node, None)
        if timer is not None:
            timer.cancel()

    def session_closed(self, node: str, session: int) -> None:
        """The node's newest session broke."""
        known = self._engine.committed().nodes.get(node)
        if known is None or known.session != session:
            return
        grace_ms = self._times().reconnect_grace_ms
        if known.departing:
            grace_ms = max(grace_ms, min(known.back_within_ms, MAX_DEPARTURE_MS))
        self._begin(node, session, grace_ms / 1000)

    async def close(self) -> None:
        timers = [*self._timers.values(), *([self._pulse] if self._pulse is not None else [])]
        self._timers.clear()
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    def _begin(self, node: str, session: int, grace_s: float) -> None:
        self.session_opened(node)
        task = asyncio.get_running_loop().create_task(self._run_out(node, session, grace_s), name=f"lease {node}")
        self._timers[node] = task
        task.add_done_callback(lambda done: self._finished(node, done))

    def _finished(self, node: str, task: asyncio.Task[None]) -> None:
        if self._timers.get(node) is task:
            del self._timers[node]
        if not task.cancelled() and task.exception() is not None:
            _log.error("a lease timer failed", node=node, exc_info=task.exception())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PULSE_S)
            self._now()

    def _now(self) -> float:
        """Monotonic time. Whoever asks first after a pause finds it, since timers fire in any order then."""
        now = self._clock.monotonic()
        if self._pulse is not None and now - self._pulsed > MISSED_S:
            self._granted_until = now + self._times().startup_grace_ms / 1000
            _log.warning(
                "this process did not run for a while: every node is granted a lease anew",
                seconds=round(now - self._pulsed, 1),
            )
        self._pulsed = now
        return now

    async def _until(self, due: float) -> None:
        """Until then, and until what nodes are granted meanwhile has passed."""
        while True:
            now = self._now()  # first: it may grant
            left = max(due, self._granted_until) - now
            if left <= 0:
                return
            await asyncio.sleep(max(left, 0.001))

    async def _run_out(self, node: str, session: int, grace_s: float) -> None:
        await self._until(self._now() + grace_s)
        while (taken := await self._submit(SuspectNode(node=node, session=session))) is None:
            await self._until(0.0)  # what is granted meanwhile is granted to those that could not be declared, too
        if not taken:
            return
        silent_since = self._now()
        declared_ms = -1
        while True:
            known = self._engine.committed().nodes.get(node)
            if known is None or known.session != session:
                return
            due_ms = self._next_threshold(self._engine.committed(), known, declared_ms)
            if due_ms is None:
                return
            await self._until(silent_since + due_ms / 1000)
            while self._granted_until > silent_since:
                # A grant begins the silence anew: who was silent while nobody listened may have spoken.
                silent_since = self._granted_until
                await self._until(silent_since + due_ms / 1000)
            silent_ms = max(due_ms, int((self._now() - silent_since) * 1000))
            command = DeclareLost(
                node=node,
                session=session,
                silent_ms=silent_ms,
                default_lost_after_ms=self._times().lost_after_ms,
            )
            taken = await self._submit(command)
            if taken is None:
                continue
            if not taken:
                return
            declared_ms = silent_ms

    def _next_threshold(self, state: FabricState, node: Node, declared_ms: int) -> int | None:
        """When (ms of silence) something on the node is next to be declared lost; None if nothing is. What has come due
        by `declared_ms` is not asked for again, whatever was made of it."""
        default_ms = self._times().lost_after_ms
        thresholds: set[int] = set()
        if node.status is NodeStatus.UNREACHABLE:
            thresholds.add(default_ms)
        for identifier in node.instances:
            instance = state.instances[identifier]
            if instance.status in ENDED:
                continue
            spec = spec_of_instance(state, instance)
            if spec.on_disconnect != "keep":
                thresholds.add(default_ms if spec.lost_after is None else spec.lost_after)
        return min((threshold for threshold in thresholds if threshold > declared_ms), default=None)

    async def _submit(self, command: Command) -> bool | None:
        """Whether the timer goes on; None, after a pause, while the engine takes no writes: what was due may not be any
        more by then."""
        try:
            outcome: Decision | Rejection = await self._engine.submit(command, Header(principal=PRINCIPAL))
        except NotServing as refusal:
            await asyncio.sleep(RETRY_S if refusal.retryable else BROKEN_RETRY_S)
            return None
        return isinstance(outcome, Decision)
