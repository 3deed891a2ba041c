"""Lines that anybody can cause: some of them are written, of the rest how many there were."""

import time
from collections.abc import Callable
from typing import Final

BURST: Final = 20
PERIOD_S: Final = 60.0


class Seldom:
    """Up to `burst` in each period; the next that is written tells how many were not."""

    def __init__(
        self, burst: int = BURST, period_s: float = PERIOD_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._period_s = period_s
        self._now = now
        self._began = now()
        self._written = 0
        self._left_out = 0

    def passes(self) -> int | None:
        """How many were left out since the last that was written; None if this one is left out too."""
        now = self._now()
        if now - self._began >= self._period_s:
            self._began, self._written = now, 0
        if self._written >= self._burst:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out


def shortened(text: str, limit: int = 200) -> str:
    """A text of a stranger's, fit for a line of a log."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
