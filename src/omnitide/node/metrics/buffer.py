"""Samples that have not been sent: bounded, the oldest are dropped first and counted."""

from collections import deque
from typing import Final, NamedTuple

from omnitide.telemetry.series.definition import Series

KEEP_TICKS: Final = 60
MAX_SAMPLES: Final = 60_000
"""Of all ticks together: with many series it is fewer seconds that are kept."""


class Tick(NamedTuple):
    number: int
    values: dict[Series, int]


class Scraped(NamedTuple):
    """Samples of an instance's own endpoint."""

    tick: int
    source: str
    """Its id."""
    values: dict[Series, float]


class Buffer:
    def __init__(self) -> None:
        self._ticks: deque[Tick] = deque()
        self._scrapes: deque[Scraped] = deque()
        self._samples = 0
        self.dropped = 0
        """Samples, since the start."""

    def add(self, tick: Tick) -> None:
        self._ticks.append(tick)
        self._samples += len(tick.values)
        self._shrink(tick.number)

    def add_scrape(self, scrape: Scraped) -> None:
        self._scrapes.append(scrape)
        self._samples += len(scrape.values)
        self._shrink(scrape.tick)

    def _shrink(self, now: int) -> None:
        while self._ticks and (self._ticks[0].number <= now - KEEP_TICKS or self._samples > MAX_SAMPLES):
            self._lost(len(self._ticks.popleft().values))
        while self._scrapes and (self._scrapes[0].tick <= now - KEEP_TICKS or self._samples > MAX_SAMPLES):
            self._lost(len(self._scrapes.popleft().values))

    def _lost(self, samples: int) -> None:
        self._samples -= samples
        self.dropped += samples

    def __len__(self) -> int:
        """Ticks that wait."""
        return len(self._ticks)

    @property
    def samples(self) -> int:
        return self._samples

    @property
    def empty(self) -> bool:
        return not self._ticks and not self._scrapes

    def take(self, most: int) -> tuple[list[Tick], list[Scraped]]:
        """The oldest ticks, and the scrapes up to the last of them; `put_back` undoes it."""
        ticks = [self._ticks.popleft() for _ in range(min(most, len(self._ticks)))]
        until = ticks[-1].number if ticks else None
        scrapes: list[Scraped] = []
        while self._scrapes and until is not None and self._scrapes[0].tick <= until:
            scrapes.append(self._scrapes.popleft())
        self._samples -= sum(len(tick.values) for tick in ticks) + sum(len(one.values) for one in scrapes)
        return ticks, scrapes

    def put_back(self, ticks: list[Tick], scrapes: list[Scraped]) -> None:
        self._ticks.extendleft(reversed(ticks))
        self._scrapes.extendleft(reversed(scrapes))
        self._samples += sum(len(tick.values) for tick in ticks) + sum(len(one.values) for one in scrapes)
