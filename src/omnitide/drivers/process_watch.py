"""A watch over runs: what the keeper pushes, kept for its reader within a bound."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from omnitide.drivers.protocol import DriverError, Run

MAX_UNREAD = 10_000
"""Changes that wait for the reader; beyond, the watch ends and the reader has to recover."""


class ProcessWatch:
    """Iterates over changes from the moment it was made. Ends with DriverError when the keeper goes away."""

    def __init__(self, connected: Callable[[], Awaitable[object]]) -> None:
        self._connected = connected
        self._unread: deque[Run] = deque()
        self._error: DriverError | None = None
        self._news = asyncio.Event()

    def put(self, run: Run) -> None:
        if self._error is not None:
            return
        if len(self._unread) >= MAX_UNREAD:
            message = f"{MAX_UNREAD} changes were not read in time; recover, and watch again"
            self.fail(DriverError(message, cause="slow-watch", permanent=False))
            return
        self._unread.append(run)
        self._news.set()

    def fail(self, error: DriverError) -> None:
        """End with `error`, after what was heard before it."""
        if self._error is None:
            self._error = error
            self._news.set()

    def __aiter__(self) -> "ProcessWatch":
        return self

    async def __anext__(self) -> Run:
        while not self._unread:
            if self._error is not None:
                raise self._error
            await self._connected()
            self._news.clear()
            if not self._unread and self._error is None:
                await self._news.wait()
        return self._unread.popleft()
