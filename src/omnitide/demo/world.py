"""Time in a demo: a clock that runs faster than ours, so that a day with its load passes while somebody looks."""

import math
from typing import Final, Literal, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_H: Final = 24
START_HOUR: Final = 8.5
"""In the morning, when the load rises."""

Curve = Literal["flat", "office", "day", "evening", "night"]

_PEAKS: Final[dict[Curve, tuple[tuple[float, float, float], ...]]] = {
    # Hour, width in hours, height.
    "flat": (),
    "office": ((10.5, 1.8, 0.9), (14.5, 2.0, 0.85)),
    "day": ((12.0, 3.5, 0.7), (19.0, 2.5, 0.6)),
    "evening": ((20.5, 2.4, 1.0), (13.0, 3.0, 0.35)),
    "night": ((2.5, 1.6, 1.0),),
}
_FLOOR: Final[dict[Curve, float]] = {"flat": 0.55, "office": 0.06, "day": 0.18, "evening": 0.1, "night": 0.04}


class World(NamedTuple):
    seed: int
    speed: float
    """Hours here in one of ours."""
    began_ms: int
    """By the clock on the wall."""

    def hour(self, at_ms: float) -> float:
        """Hours since midnight of the first day."""
        return START_HOUR + (at_ms - self.began_ms) * self.speed / HOUR_MS

    def at_ms(self, hour: float) -> float:
        """When it is that hour, by the clock on the wall."""
        return self.began_ms + (hour - START_HOUR) * HOUR_MS / self.speed

    def seconds(self, hours: float) -> float:
        """How long so many hours take for us."""
        return hours * 3600 / self.speed


def busy(curve: Curve, hour: float) -> float:
    """How busy something is at an hour, between 0 and about 1."""
    of_day = hour % DAY_H
    found = _FLOOR[curve]
    for peak, width, height in _PEAKS[curve]:
        # Around midnight the nearer way counts.
        away = abs(of_day - peak)
        away = min(away, DAY_H - away)
        found += height * math.exp(-((away / width) ** 2))
    return min(found, 1.1)


def ripple(phase: float, hour: float) -> float:
    """The small ups and downs on top, around 1. `phase`: between 0 and 1, of whatever has them."""
    return (
        1 + 0.12 * math.sin((hour * 9 + phase * 60) * 2 * math.pi) + 0.06 * math.sin((hour * 47 + phase * 90) * math.pi)
    )
