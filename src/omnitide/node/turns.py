"""Turns: so many pieces of one kind of work at once, and whoever waits for his says what he waits for."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from omnitide.drivers.protocol import DriverError, Progress

NAMED: Final = 3
"""Of what is under way, in the words for who waits."""


class Turns:
    """Of one kind of work. They are given in the order in which they were asked for; the queue is as long as there are
    instances that start, of which each asks for one turn at a time."""

    def __init__(self, does: str, many: str, most: int) -> None:
        """`does` and `many`: `fetch` and `downloads`, in the words for people."""
        self._does = does
        self._many = many
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._under_way: list[str] = []

    @contextlib.asynccontextmanager
    async def turn(self, what: str, told: Progress, within_s: float | None) -> AsyncGenerator[None]:
        """Wait for a turn, and have it for at most so many seconds; the waiting is not counted. None: for as long as it
        takes, where what is done in it has an end of its own.

        Raises DriverError (cause `preparation`) when the time is over.
        """
        if self._free.locked():
            under_way = f"{self._most} {self._many} are under way, the most at once ({self._words()})"
            told(f"waiting to {self._does} {what}: {under_way}")
        async with self._free:
            self._under_way.append(what)
            limit = asyncio.timeout(within_s)
            try:
                async with limit:
                    yield
            except TimeoutError:
                if not limit.expired():
                    raise
                message = f"this node could not {self._does} {what} within {within_s:g} s"
                raise DriverError(message, cause="preparation", permanent=False) from None
            finally:
                self._under_way.remove(what)

    def _words(self) -> str:
        names = list(dict.fromkeys(self._under_way))
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return ", ".join(names[:NAMED]) + more
