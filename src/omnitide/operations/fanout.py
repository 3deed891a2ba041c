"""Queues of watchers: what is made once is offered to any number of them, and a slow one costs only itself."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

from omnitide.operations.runtime import WatchLagged


class SizedFrame(Protocol):
    """What is queued; its length counts against the queue's bound."""

    resume: int

    def __len__(self) -> int: ...


F = TypeVar("F", bound=SizedFrame)


class Watcher(Generic[F]):
    """One watcher's queue in a live stream."""

    __slots__ = ("bound", "buffered", "failure", "frames", "lagged", "wake")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.buffered = 0
        self.frames: deque[F] = deque()
        self.wake = asyncio.Event()
        self.lagged = False
        self.failure: Exception | None = None

    def offer(self, frame: F) -> None:
        # One frame always has room, however large: else it could never be delivered.
        if self.frames and self.buffered + len(frame) > self.bound:
            self.lagged = True
        if not self.lagged:
            self.frames.append(frame)
            self.buffered += len(frame)
        self.wake.set()

    def fail(self, failure: Exception) -> None:
        self.failure = failure
        self.wake.set()

    def take(self) -> F | None:
        if not self.frames:
            return None
        frame = self.frames.popleft()
        self.buffered -= len(frame)
        return frame


async def queued(watcher: Watcher[F], position: int, quiet_s: float, bookmark: Callable[[], F]) -> AsyncIterator[F]:
    """The frames of a watcher as they come, and one of `bookmark` whenever there was none for `quiet_s`.

    Raises WatchLagged with the last position that was taken, and the stream's failure once all before it was taken.
    """
    while True:
        frame = watcher.take()
        if frame is not None:
            yield frame
            position = frame.resume
            continue
        if watcher.lagged:
            raise WatchLagged(position)
        if watcher.failure is not None:
            raise watcher.failure
        watcher.wake.clear()
        try:
            async with asyncio.timeout(quiet_s):
                await watcher.wake.wait()
        except TimeoutError:
            # Nothing is queued: everything up to the live position has been taken, or was not wanted.
            frame = bookmark()
            position = frame.resume
            yield frame
