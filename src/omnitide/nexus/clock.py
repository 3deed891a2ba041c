"""Time, as the shell gets it: wall clock for stamps and people, the event loop's own clock for every wait."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970. May jump: the log's own time (`log_time`) does not."""
        ...

    def monotonic(self) -> float:
        """Seconds, never backwards, those included in which the machine slept; what leases are measured by."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
