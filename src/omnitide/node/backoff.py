"""How long to wait before trying again."""

import random
from typing import NamedTuple


class BackoffLimits(NamedTuple):
    """Seconds, and a share of the outage."""

    least: float = 0.2
    most: float = 5.0
    share: float = 0.3
    stable: float = 5.0
    """A session that stood so long ends the outage; a shorter one was part of it."""


class Backoff:
    """Full jitter (Brooker, "Exponential Backoff and Jitter", 2015) over a window that grows with the outage.

    The window is a share of the time since the outage began, which grows exponentially like a doubling one, but bounds
    what people see: after Nexus returns, a node is back within 30 % of the time for which it was away, 15 % on average.
    """

    def __init__(self, rng: random.Random, limits: BackoffLimits = BackoffLimits()) -> None:  # noqa: B008 (immutable)
        self._rng = rng
        self._limits = limits
        self._since: float | None = None

    def failed(self, now: float, *, stood_for: float = 0.0) -> float:
        """Seconds to wait after a failure at `now` (monotonic). `stood_for`: how long the session stood before."""
        if self._since is None or stood_for >= self._limits.stable:
            self._since = now
        window = min(max((now - self._since) * self._limits.share, self._limits.least), self._limits.most)
        return self._rng.uniform(0, window)
