"""From the answers of an instance's probes to a verdict on one attempt. Pure; time comes with each answer.

The rules are those of Kubernetes, with one difference: until a probe has succeeded for the first time it may be asked
more often than its interval, so that what is ready quickly is known quickly. Failures then count once an interval.
"""

from typing import Final, Literal, NamedTuple

from omnitide.model.probes import Probe, Probes
from omnitide.node.records import Health

TOLD_AFTER_MS: Final = 1_000
"""What has not been well yet, and fails for so long, is told of before it has failed often enough for a verdict."""

Kind = Literal["startup", "readiness", "liveness"]
KINDS: tuple[Kind, ...] = ("startup", "readiness", "liveness")


class Answer(NamedTuple):
    """What came of asking once."""

    well: bool
    message: str = ""
    """Why it is not well, in a few words."""


class Verdict(NamedTuple):
    """What is known of an attempt. A later one replaces it."""

    health: Health = Health.UNKNOWN
    message: str = ""
    """Why it is unhealthy, or not known any more, or not healthy yet."""
    restart: bool = False
    """It is to be ended and to be started again as its policy says."""


class _Count:
    """One probe's answers in a row."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.succeeded_once = False
        self.successes = 0
        self.failures = 0
        self.unasked_since_ms: int | None = None
        """Since when its questions could not be put, all of them."""
        self.failing_since_ms: int | None = None
        """Since when no answer has been good."""
        self._counted_at_ms: int | None = None

    def take(self, answer: Answer, at_ms: int) -> None:
        self.unasked_since_ms = None
        if answer.well:
            self.succeeded_once = True
            self.successes += 1
            self.failures = 0
            self.failing_since_ms = None
            return
        self.successes = 0
        self.failing_since_ms = at_ms if self.failing_since_ms is None else self.failing_since_ms
        early = not self.succeeded_once and self._counted_at_ms is not None
        if early and at_ms - (self._counted_at_ms or 0) < self.probe.interval:
            return
        self._counted_at_ms = at_ms
        self.failures += 1

    def unasked(self, at_ms: int) -> bool:
        """It could not be asked: whether that goes on for as long as it takes to fail."""
        if self.unasked_since_ms is None:
            self.unasked_since_ms = at_ms
        return at_ms - self.unasked_since_ms >= (self.probe.failure_threshold - 1) * self.probe.interval

    def failing_for_ms(self, at_ms: int) -> int:
        return 0 if self.failing_since_ms is None else at_ms - self.failing_since_ms

    @property
    def well(self) -> bool:
        return self.successes >= self.probe.success_threshold

    @property
    def unwell(self) -> bool:
        return self.failures >= self.probe.failure_threshold


class Judge:
    """One attempt's. `verdict` is what follows from all answers so far."""

    def __init__(self, probes: Probes, before: Health = Health.UNKNOWN) -> None:
        """`before`: what was known of this attempt by a proxy before this one. It stands until there is more to say."""
        self.verdict = Verdict(before)
        self._counts: dict[Kind, _Count] = {}
        for kind in KINDS:
            probe: Probe | None = getattr(probes, kind)
            if probe is not None:
                self._counts[kind] = _Count(probe)
        if before is not Health.UNKNOWN:
            # It had started: a proxy that comes back does not hold it up once more.
            self._counts.pop("startup", None)

    def due(self, kind: Kind) -> bool:
        """Whether this probe is asked now: startup until it has succeeded, the others from then on."""
        if self.verdict.restart or kind not in self._counts:
            return False
        startup = self._counts.get("startup")
        started = startup is None or startup.succeeded_once
        return not started if kind == "startup" else started

    def waits_for_first(self, kind: Kind) -> bool:
        """Whether it has not succeeded so far, and is asked more often for that."""
        return not self._counts[kind].succeeded_once

    def take(self, kind: Kind, answer: Answer, at_ms: int) -> Verdict:
        """One answer more. One that was not due any more changes nothing."""
        if not self.due(kind):
            return self.verdict
        count = self._counts[kind]
        count.take(answer, at_ms)
        if count.unwell:
            restart = kind != "readiness"
            message = f"{kind} probe failed {count.failures} times in a row: {answer.message}"
            if not restart and self.verdict.health is Health.UNHEALTHY:
                return self.verdict
            self.verdict = Verdict(Health.UNHEALTHY, message, restart)
        elif count.well and self._decides(kind):
            self.verdict = Verdict(Health.HEALTHY)
        elif self.verdict == Verdict() and count.failing_for_ms(at_ms) >= TOLD_AFTER_MS:
            # Once: what it says changes with each question, and each change is an event.
            self.verdict = Verdict(message=f"{kind} probe fails: {answer.message}")
        return self.verdict

    def unasked(self, kind: Kind, reason: str, at_ms: int, *, ever: bool = False) -> Verdict:
        """It could not be asked, as its runtime does not answer. Once that has lasted for as long as it takes to fail,
        what was known is out of date: not bad, and not good any more. The next answers say more. `ever`: it cannot be
        asked at all, as it is, which is told at once of what has never been well."""
        ever = ever and kind in self._counts and not self._counts[kind].succeeded_once
        out_of_date = self.due(kind) and (self._counts[kind].unasked(at_ms) or ever)
        if out_of_date and (kind == "startup" or self._decides(kind)):
            message = f"the {kind} probe cannot be asked: {reason}"
            if self.verdict.health is not Health.UNKNOWN or not self.verdict.message:
                self.verdict = Verdict(Health.UNKNOWN, message)
        return self.verdict

    def _decides(self, kind: Kind) -> bool:
        """Whether the success of this probe makes the instance healthy: readiness if it is asked, else any."""
        return kind == "readiness" if "readiness" in self._counts else True
