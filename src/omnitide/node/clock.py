"""The node's wall clock, as a parameter. Durations are measured on the event loop's monotonic clock instead."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        ...


class WallClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
