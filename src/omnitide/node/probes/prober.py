"""Asks the probes of what runs here, each at its interval, and tells the reconciler when a verdict changes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from omnitide.drivers.protocol import Driver
from omnitide.model.probes import Probe
from omnitide.node.clock import Clock
from omnitide.node.instructions import BeginProbes
from omnitide.node.probes.asking import NeverAsked, NoAnswer, Place, Target, Unanswered, ask
from omnitide.node.probes.judge import KINDS, Answer, Judge, Kind
from omnitide.node.stimuli import Probed
from omnitide.telemetry import logs

MAX_ASKED: Final = 64
"""Questions that begin at once; further ones wait their turn, which is never longer than a moment: see `_ask`."""
MOMENT_S: Final = 0.25
"""For what is answered at once. Who takes longer goes on without a turn, so that nobody waits for the slow ones of
others: no more of those are under way than two an instance."""
FIRST_S: Final = 0.05
"""Wait before the second question to one that has never succeeded; doubles up to its interval."""

log = logs.get(__name__)


class Prober:
    """One task for each instance that has probes and runs."""

    def __init__(
        self,
        *,
        group: asyncio.TaskGroup,
        drivers: Mapping[str, Driver],
        feed: Callable[[Probed], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._group = group
        self._drivers = drivers
        self._feed = feed
        self._clock = clock
        self._turns = asyncio.Semaphore(MAX_ASKED)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, asked: BeginProbes) -> None:
        """Ask from now on about this attempt, and no longer about one before."""
        instance = asked.key.instance
        self.end(instance)
        self._tasks[instance] = self._group.create_task(self._watch(asked), name=f"probes-{instance}")

    def end(self, instance: str) -> None:
        task = self._tasks.pop(instance, None)
        if task is not None:
            task.cancel()

    async def _watch(self, asked: BeginProbes) -> None:
        judge = Judge(asked.probes, asked.health)
        started = asyncio.Event()
        if not judge.due("startup"):
            started.set()
        place = Place()
        parts = [
            asyncio.create_task(self._ask_forever(kind, probe, asked, judge, started, place))
            for kind in KINDS
            if (probe := getattr(asked.probes, kind)) is not None
        ]
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()

    async def _ask_forever(
        self, kind: Kind, probe: Probe, asked: BeginProbes, judge: Judge, started: asyncio.Event, place: Place
    ) -> None:
        """Ends when its verdict is that the attempt is over, or when it is not asked any more."""
        target = Target(self._drivers[asked.driver], asked.key, asked.ports)
        since_start = (self._clock.now_ms() - asked.started_at_ms) / 1000 if asked.started_at_ms else 0.0
        await asyncio.sleep(max(0.0, probe.initial_delay / 1000 - max(0.0, since_start)))
        if kind != "startup":
            await started.wait()
        interval = probe.interval / 1000
        wait = min(FIRST_S, interval)
        while judge.due(kind):
            try:
                answer: Answer | Unanswered | None = await self._ask(probe, target, place)
            except NoAnswer as reason:
                log.debug("a probe could not be asked", instance=asked.key.instance, probe=kind, error=str(reason))
                answer = reason if isinstance(reason, Unanswered) else None
            if answer is not None:
                await self._judge(kind, answer, asked, judge)
                if not judge.due("startup"):
                    started.set()
            if judge.waits_for_first(kind):
                await asyncio.sleep(wait)
                wait = min(2 * wait, interval)
            else:
                await asyncio.sleep(interval)

    async def _ask(self, probe: Probe, target: Target, place: Place) -> Answer:
        """Ask when it is its turn; the waiting is not counted as silence. Raises NoAnswer."""
        async with self._turns:
            question = asyncio.ensure_future(ask(probe, target, place))
            try:
                await asyncio.wait((question,), timeout=MOMENT_S)
            except asyncio.CancelledError:
                await _called_off(question)
                raise
        try:
            return await question
        finally:
            await _called_off(question)

    async def _judge(self, kind: Kind, answer: Answer | Unanswered, asked: BeginProbes, judge: Judge) -> None:
        before = judge.verdict
        now = self._clock.now_ms()
        if isinstance(answer, Unanswered):
            verdict = judge.unasked(kind, str(answer), now, ever=isinstance(answer, NeverAsked))
        else:
            verdict = judge.take(kind, answer, now)
        if verdict != before:
            await self._feed(
                Probed(
                    at_ms=now,
                    key=asked.key,
                    health=verdict.health,
                    message=verdict.message,
                    restart=verdict.restart,
                )
            )


async def _called_off(question: "asyncio.Future[Answer]") -> None:
    question.cancel()
    await asyncio.gather(question, return_exceptions=True)
