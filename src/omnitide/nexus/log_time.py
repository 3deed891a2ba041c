"""The time by which commands are stamped: never back, never standing still, and not led astray by a jump of the wall
clock that passes.

It starts at the wall clock, or where the log ended if that is later, and then advances with the machine's monotonic
clock. The wall clock is followed only once a difference has lasted (decision 0018): forward in one step, backward by
going a little slower until the two meet again.
"""

from typing import Final

from omnitide.nexus.clock import Clock

TOLERANCE_MS: Final = 100
"""Clocks drift, and are read one after the other: a smaller difference is none, and a difference that changes by no
more is the same."""
SMALL_MS: Final = 5 * 60_000
SMALL_LASTS_S: Final = 60.0
LARGE_LASTS_S: Final = 600.0
SLOWER: Final = 0.1
"""Of each second, while the wall clock is behind: a day is caught up with in ten."""


class LogTime:
    """A Clock whose `now_ms` is the log's time. `wall` is what certificates and other machines' clocks go by."""

    def __init__(self, wall: Clock, last_ms: int = 0) -> None:
        """`last_ms`: the time of the log's last entry."""
        self.wall = wall
        at_ms = wall.now_ms()
        self._ms = float(max(at_ms, last_ms))
        self._read_at = wall.monotonic()
        self._difference_ms = 0.0
        self._since: float | None = None
        """Since when the wall clock differs by so much."""
        self._slower = last_ms - at_ms > TOLERANCE_MS

    def monotonic(self) -> float:
        return self.wall.monotonic()

    def now_ms(self) -> int:
        now, wall_ms = self.wall.monotonic(), self.wall.now_ms()
        passed_ms = max(0.0, now - self._read_at) * 1000
        self._read_at = now
        # What is ahead goes slower, and no further than to where the wall clock is.
        self._ms += passed_ms
        if self._slower:
            self._ms -= min(passed_ms * SLOWER, max(0.0, self._ms - wall_ms))
        self._compare(wall_ms, now)
        return int(self._ms)

    def ahead_ms(self) -> int:
        """How far the log's time is ahead of the wall clock; negative: behind it."""
        return self.now_ms() - self.wall.now_ms()

    def _compare(self, wall_ms: int, now: float) -> None:
        difference = wall_ms - self._ms
        if abs(difference) <= TOLERANCE_MS:
            self._since, self._slower = None, False
            return
        # While it goes slower the difference shrinks by that, and while it is the same it has lasted.
        another = self._since is None or abs(difference - self._difference_ms) > TOLERANCE_MS
        if another and not (self._slower and self._difference_ms <= difference < 0):
            self._since, self._slower = now, self._slower and difference < 0
        self._difference_ms = difference
        if self._since is None or now - self._since < (SMALL_LASTS_S if abs(difference) <= SMALL_MS else LARGE_LASTS_S):
            return
        if difference > 0:
            self._ms, self._since = float(wall_ms), None
        else:
            self._slower = True
