"""Queues of watchers: what is made once is offered to any number of them, and a slow one costs only itself.

A watcher that has taken everything may have the next frame at once, without its queue and its task: with a thousand of
them that is most of what a frame costs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, Generic, Protocol, TypeVar

from omnitide.operations.runtime import WatchLagged


class SizedFrame(Protocol):
    """What is queued; its length counts against the queue's bound."""

    resume: int

    def __len__(self) -> int: ...


SECONDS_PER_OFFER: Final = 0.00004
MAX_TICK_S: Final = 0.25
"""Sending takes time on the loop that the engine runs on: a tick is long enough for what is offered in it, to this
bound."""


def tick_s(least_s: float, offers: int) -> float:
    """How long the tick is in which so many frames are offered."""
    return min(MAX_TICK_S, max(least_s, offers * SECONDS_PER_OFFER))


F = TypeVar("F", bound=SizedFrame)

Direct = Callable[[F], bool]
"""Sends a frame now and without waiting; False: it cannot, and the frame has to wait in the queue."""


class Watcher(Generic[F]):
    """One watcher's queue in a live stream."""

    __slots__ = ("bound", "buffered", "direct", "failure", "frames", "idle", "lagged", "passed", "position", "wake")

    def __init__(self, bound: int, position: int = 0, direct: Direct[F] | None = None) -> None:
        self.bound = bound
        self.position = position
        """What it has seen."""
        self.direct = direct
        self.idle = False
        """Whoever takes from the queue has sent all that it took, and waits."""
        self.passed = 0
        """How many frames went past the queue."""
        self.buffered = 0
        self.frames: deque[F] = deque()
        self.wake = asyncio.Event()
        self.lagged = False
        self.failure: Exception | None = None

    def offer(self, frame: F) -> None:
        if self.idle and self.direct is not None and self.direct(frame):
            self.position = frame.resume
            self.passed += 1
            return
        # What comes later must not overtake this one.
        self.idle = False
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


async def queued(watcher: Watcher[F], quiet_s: float, bookmark: Callable[[], F]) -> AsyncIterator[F]:
    """The frames of a watcher as they come, but those that went past the queue; and one of `bookmark` whenever there
    was none for `quiet_s`.

    Raises WatchLagged with the last position that was taken, and the stream's failure once all before it was taken.
    """
    while True:
        frame = watcher.take()
        if frame is not None:
            yield frame
            watcher.position = frame.resume
            continue
        if watcher.lagged:
            raise WatchLagged(watcher.position)
        if watcher.failure is not None:
            raise watcher.failure
        watcher.wake.clear()
        passed = watcher.passed
        watcher.idle = True
        try:
            async with asyncio.timeout(quiet_s):
                await watcher.wake.wait()
        except TimeoutError:
            if watcher.passed == passed and not watcher.frames:
                # Everything up to the live position has been taken, or was not wanted.
                watcher.idle = False
                frame = bookmark()
                yield frame
                watcher.position = frame.resume
        finally:
            watcher.idle = False
