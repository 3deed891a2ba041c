"""Queues of watchers: what is made once is offered to any number of them, and a slow one costs only itself.

A watcher that has taken everything may have the next frame at once, without its queue and its task: with a thousand of
them that is most of what a frame costs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Final, Generic, Protocol, TypeVar

from omnitide.operations.runtime import WatchLagged


class SizedFrame(Protocol):
    """What is queued; its length counts against the queue's bound."""

    resume: int

    def __len__(self) -> int: ...


TURN: Final = 64
"""Offers made at one go, some two milliseconds' worth; then whatever else waits in the loop has its turn. A change that
is being decided or committed needs several turns, and must not stand behind a thousand watchers in each."""
SHARE: Final = 1.5
MAX_TICK_S: Final = 0.25


def tick_s(least_s: float, took_s: float) -> float:
    """How long the tick is in which handing out took so long: `SHARE` times as long, within bounds. Sending goes on in
    the loop that the engine runs in, so the more watchers there are, or the busier the machine is, the seldomer."""
    return min(MAX_TICK_S, max(least_s, took_s * SHARE))


F = TypeVar("F", bound=SizedFrame)

Direct = Callable[[tuple[F, ...]], bool]
"""Sends frames now, in one go and without waiting; False: it cannot, and they have to wait in the queue."""


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
        """How often frames went past the queue."""
        self.buffered = 0
        self.frames: deque[F] = deque()
        self.wake = asyncio.Event()
        self.lagged = False
        self.failure: Exception | None = None

    def offer(self, frames: tuple[F, ...]) -> None:
        """One or more, in order. Many watchers are offered the very same tuple: its message is made once."""
        if self.idle and self.direct is not None and self.direct(frames):
            self.position = frames[-1].resume
            self.passed += 1
            return
        # What comes later must not overtake these.
        self.idle = False
        for frame in frames:
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


async def hand_out(offers: Iterable[tuple[F, Collection[Watcher[F]]]]) -> float:
    """Offer frames in this order, each to its watchers, in turns. How many seconds that took.

    Whoever hands out keeps the order: it waits for the end before it hands out more. The watchers are those that there
    were when the frame was made: who comes meanwhile begins behind it, and who has left takes no harm.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    left = TURN
    for frame, watchers in offers:
        frames = (frame,)
        for watcher in watchers:
            watcher.offer(frames)
            left -= 1
            if not left:
                left = TURN
                await asyncio.sleep(0)
    return loop.time() - began


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
