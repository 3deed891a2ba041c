"""Leases: from a broken session to unreachable, and from there to lost, by the leader's monotonic clock.

Clocks decide nothing here: a timer is a command that names the node's session, and `decide` looks at that (DESIGN,
"Time and ids"). A node that is back has a newer session, so a late timer changes nothing.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Final

from omnitide.fabric.commands import Command, DeclareLost, Forget, Header, SuspectNode
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
"""Between looks whether the engine takes writes: bounded by nothing but its recovery."""
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

    Silence counts only while a node could have been heard: by a process that ran, with a log that took its connection.
    When this one was stopped, or its machine, or when it could not write, every node is granted anew what it is granted
    at a start.
    """

    def __init__(self, engine: Engine, clock: Clock, times: Callable[[], LeaseTimes]) -> None:
        self._engine = engine
        self._clock = clock
        self._times = times
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._pulsed = clock.monotonic()
        self._granted_until = 0.0
        """Before it no node is declared anything."""
        self._refused_since: float | None = None
        """When the engine was first seen to take no writes, or to hang in one; None while it takes them."""
        self._pulse: asyncio.Task[None] | None = None
        self._trial: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A new leader first grants every node one full lease: none has had the chance to connect to it."""
        self._pulsed = self._clock.monotonic()
        self._pulse = asyncio.get_running_loop().create_task(self._beat(), name="leases' pulse")
        for node in sorted(self._engine.committed().nodes.values(), key=lambda node: node.id):
            if node.status in (NodeStatus.LIVE, NodeStatus.UNREACHABLE, NodeStatus.LOST):
                cause = "stopped" if node.stopped_ms else "start"
                self._begin(node.id, node.session, self._times().startup_grace_ms / 1000, cause)

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
        cause = "stopped" if known.stopped_ms else "goodbye" if known.departing else "disconnected"
        self._begin(node, session, grace_ms / 1000, cause)

    async def close(self) -> None:
        timers = [*self._timers.values(), *(task for task in (self._pulse, self._trial) if task is not None)]
        self._timers.clear()
        for timer in timers:
            timer.cancel()
        await asyncio.gather(*timers, return_exceptions=True)

    def _begin(self, node: str, session: int, grace_s: float, cause: str) -> None:
        self.session_opened(node)
        running = self._run_out(node, session, grace_s, cause)
        task = asyncio.get_running_loop().create_task(running, name=f"lease {node}")
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
            if self._engine.refusing and self._timers and (self._trial is None or self._trial.done()):
                self._trial = asyncio.get_running_loop().create_task(self._try_to_write(), name="leases' trial")

    async def _try_to_write(self) -> None:
        """With a write that changes nothing: if a declaration were the first to be taken, it would be of a node whose
        own connection was refused until then; and nobody else may have anything to write."""
        header = Header(principal=PRINCIPAL, idempotency_key=f"is there room at {self._clock.now_ms()}")
        with contextlib.suppress(NotServing):
            await self._engine.submit(Forget(finished_before_ms=0, keep_jobs=sys.maxsize), header)

    def _now(self) -> float:
        """Monotonic time. Whoever asks first after a pause, or after a time without writes, finds it, since timers fire
        in any order then."""
        now = self._clock.monotonic()
        if self._pulse is not None and now - self._pulsed > MISSED_S:
            self._grant(now, "this process did not run for a while", since=self._pulsed)
        self._pulsed = now
        if self._engine.refusing or self._engine.writing_s > MISSED_S:
            self._refused_since = now if self._refused_since is None else self._refused_since
        elif self._refused_since is not None:
            self._grant(now, "no writes were taken for a while", since=self._refused_since)
            self._refused_since = None
        return now

    def _grant(self, now: float, why: str, *, since: float) -> None:
        self._granted_until = now + self._times().startup_grace_ms / 1000
        _log.warning(f"{why}: every node is granted a lease anew", seconds=round(now - since, 1))

    async def _until(self, due: float) -> None:
        """Until then, until writes are taken, and until what nodes are granted meanwhile has passed."""
        while True:
            now = self._now()  # first: it may grant
            left = RETRY_S if self._refused_since is not None else max(due, self._granted_until) - now
            if left <= 0:
                return
            await asyncio.sleep(max(left, 0.001))

    async def _run_out(self, node: str, session: int, grace_s: float, cause: str) -> None:
        began = self._now()
        await self._until(began + grace_s)

        def suspect() -> SuspectNode:
            return SuspectNode(node=node, session=session, cause=cause, waited_ms=int((self._now() - began) * 1000))

        while (taken := await self._submit(suspect())) is None:
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
            self._now()  # it may be over before the next look
            await asyncio.sleep(RETRY_S if refusal.retryable else BROKEN_RETRY_S)
            return None
        return isinstance(outcome, Decision)
