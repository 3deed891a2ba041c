"""The queue of a watcher, and the way past it: every frame once and in order, whichever way it goes."""

import asyncio
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as Reference
from websockets.frames import Opcode

from omnitide.operations.fanout import Watcher, hand_out, queued
from omnitide.operations.messages import text_message
from omnitide.operations.runtime import StreamEnded, WatchLagged

DEADLINE_S = 10.0


@dataclass(frozen=True)
class Numbered:
    resume: int
    bookmark: bool = False

    def __len__(self) -> int:
        return 1


class Watching:
    """Takes from a watcher's queue as a connection does; `ready`: whether the connection takes frames at once."""

    def __init__(self, bound: int = 1000, quiet_s: float = DEADLINE_S) -> None:
        self.ready = True
        self.sent: list[int] = []
        self.bookmarks = 0
        self.failure: BaseException | None = None
        self.sendable = asyncio.Event()
        self.watcher = Watcher[Numbered](bound, direct=self._direct)
        self.newest = 0
        self.task = asyncio.create_task(self._take(quiet_s))

    def _direct(self, frames: tuple[Numbered, ...]) -> bool:
        if self.ready:
            self.sent += [frame.resume for frame in frames]
        return self.ready

    async def _take(self, quiet_s: float) -> None:
        try:
            async for frame in queued(self.watcher, quiet_s, lambda: Numbered(self.newest, bookmark=True)):
                await self.sendable.wait()
                if frame.bookmark:
                    self.bookmarks += 1
                else:
                    self.sent.append(frame.resume)
        except (WatchLagged, StreamEnded) as failure:
            self.failure = failure

    async def rest(self) -> None:
        """Until it waits for more, or has come to an end."""
        async with asyncio.timeout(DEADLINE_S):
            while not (self.watcher.idle or self.task.done()):
                await asyncio.sleep(0)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@given(st.lists(st.sampled_from(["offer", "offer two", "ready", "full", "block", "unblock", "turn"]), max_size=40))
def test_every_frame_comes_once_and_in_order(steps: list[str]) -> None:
    async def run() -> None:
        watching = Watching()
        watching.sendable.set()
        for step in steps:
            match step:
                case "offer" | "offer two":
                    numbers = range(watching.newest + 1, watching.newest + (2 if step == "offer" else 3))
                    watching.newest = numbers[-1]
                    watching.watcher.offer(tuple(map(Numbered, numbers)))
                case "ready" | "full":
                    watching.ready = step == "ready"
                case "block":
                    watching.sendable.clear()
                case "unblock":
                    watching.sendable.set()
                case _:
                    await asyncio.sleep(0)
        watching.sendable.set()
        await watching.rest()
        assert watching.sent == list(range(1, watching.newest + 1))
        assert watching.watcher.position == watching.newest
        await watching.close()

    asyncio.run(run())


async def test_who_has_taken_everything_is_sent_the_next_at_once() -> None:
    watching = Watching()
    await watching.rest()
    watching.watcher.offer((Numbered(1),))
    assert watching.sent == [1], "without a turn of the loop"
    await watching.close()


async def test_a_connection_that_takes_nothing_lags_with_where_to_go_on() -> None:
    watching = Watching(bound=3)
    watching.sendable.set()
    await watching.rest()
    for number in (1, 2):
        watching.watcher.offer((Numbered(number),))
    watching.ready = False
    watching.sendable.clear()
    for number in range(3, 12):
        watching.watcher.offer((Numbered(number),))
    watching.sendable.set()
    await watching.rest()
    assert isinstance(watching.failure, WatchLagged)
    assert watching.sent == list(range(1, watching.failure.resume_from + 1)), "what was not sent comes after it"
    assert 2 < watching.failure.resume_from < 11


async def test_bookmarks_come_in_quiet_times_and_in_no_others() -> None:
    watching = Watching(quiet_s=0.05)
    watching.sendable.set()
    async with asyncio.timeout(DEADLINE_S):
        while not watching.bookmarks:
            await asyncio.sleep(0.01)
    seen = watching.bookmarks
    loop = asyncio.get_running_loop()
    began, longest, last = loop.time(), 0.0, loop.time()
    while loop.time() < began + 0.3:
        watching.newest += 1
        watching.watcher.offer((Numbered(watching.newest),))
        await asyncio.sleep(0.002)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert watching.bookmarks == seen or longest > 0.05, "a stall of this machine is a quiet time"
    await watching.close()


async def test_the_streams_end_comes_after_all_that_was_offered() -> None:
    watching = Watching()
    watching.sendable.set()
    await watching.rest()
    watching.ready = False
    watching.watcher.offer((Numbered(1),))
    watching.watcher.fail(StreamEnded())
    await watching.rest()
    assert watching.sent == [1]
    assert isinstance(watching.failure, StreamEnded)


async def test_others_have_their_turn_while_a_thousand_are_offered_a_frame() -> None:
    sent: list[int] = []
    watchers = [Watcher[Numbered](1000, direct=lambda frames: sent.append(len(frames)) is None) for _ in range(1000)]
    for watcher in watchers:
        watcher.idle = True
    handing = asyncio.create_task(hand_out([(Numbered(1), watchers)]))
    seen: list[int] = []
    while not handing.done():
        await asyncio.sleep(0)
        seen.append(len(sent))
    assert len(sent) == 1000
    assert max(later - earlier for earlier, later in pairwise([0, *seen])) <= 250, "at one go"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 0xFFFF, 0x10000, 300_000])
def test_a_message_is_what_the_library_makes_of_it(size: int) -> None:
    payload = b"x" * size
    assert text_message(payload) == Reference(Opcode.TEXT, payload).serialize(mask=False, extensions=None)
