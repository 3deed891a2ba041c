"""Which calls are traced.

Unless `OTEL_TRACES_SAMPLER` says otherwise: what its caller traces, and of other calls those that change something, so
many a second at most. So a busy fabric is not slowed down, and a quiet one is traced whole.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from omnitide.telemetry.tracing.context import Caller

SAMPLER: Final = "OTEL_TRACES_SAMPLER"
ARGUMENT: Final = "OTEL_TRACES_SAMPLER_ARG"
SAMPLERS: Final = ("always_on", "always_off", "traceidratio")
PARENT_BASED: Final = "parentbased_"
MAX_CALLERS_S: Final = 100
"""Of the calls that callers trace, so many a second are traced here as well."""


class UnknownSampler(ValueError):
    """OTEL_TRACES_SAMPLER names none that there is, or its argument is none."""


class Choice:
    """Asked for each call. `a_second`: of changes that their callers do not trace; 0: none of them."""

    def __init__(
        self, a_second: float, environ: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises UnknownSampler."""
        named = environ.get(SAMPLER, "").strip()
        self._parent_based = named.startswith(PARENT_BASED) or not named
        self._sampler = named.removeprefix(PARENT_BASED)
        if self._sampler and self._sampler not in SAMPLERS:
            raise UnknownSampler(f"{SAMPLER}={named}: known are {', '.join(SAMPLERS)}, also with {PARENT_BASED}")
        self._ratio = _ratio(environ.get(ARGUMENT, "").strip()) if self._sampler == "traceidratio" else 1.0
        self._own = _Bucket(a_second, monotonic)
        self._callers = _Bucket(MAX_CALLERS_S, monotonic)

    def may_take(self, *, changes: bool) -> bool:
        """Whether a call that its caller says nothing of can be one at all. Asked first, as it costs less."""
        return bool(self._sampler) or (changes and self._own.left())

    def takes(self, caller: Caller | None, trace_id: str, *, changes: bool) -> bool:
        """Whether a call is traced. `caller`: what it says itself, if anything."""
        if caller is not None and self._parent_based:
            return caller.sampled and self._callers.take()
        match self._sampler:
            case "":
                return changes and self._own.take()
            case "traceidratio":
                # By the last 56 bits, as everybody does who is to choose the same traces.
                return int(trace_id[-14:], 16) < self._ratio * (1 << 56)
            case sampler:
                return sampler == "always_on"


class _Bucket:
    """So many a second, and those of one second at once."""

    def __init__(self, a_second: float, monotonic: Callable[[], float]) -> None:
        self._a_second = a_second
        self._monotonic = monotonic
        self._left = max(1.0, a_second) if a_second > 0 else 0.0
        self._at = monotonic()
        self._again = float("inf") if a_second <= 0 else 0.0
        """Before that there is none: what nearly each call of a busy fabric is told, for a look at the clock."""

    def left(self) -> bool:
        now = self._monotonic()
        if now < self._again:
            return False
        self._left = min(max(1.0, self._a_second), self._left + (now - self._at) * self._a_second)
        self._at = now
        self._again = now + max(0.0, 1.0 - self._left) / self._a_second
        return self._left >= 1.0

    def take(self) -> bool:
        if not self.left():
            return False
        self._left -= 1.0
        return True


def _ratio(text: str) -> float:
    """Raises UnknownSampler."""
    try:
        value = float(text or "1")
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise UnknownSampler(f"{ARGUMENT}={text}: a number from 0 to 1")
    return value
