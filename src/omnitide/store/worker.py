"""A thread that does blocking work for an event loop, one piece at a time, in order.

Smaller and quicker than an executor of one thread: a hand-over is one queue and one wake-up each way, which counts
when a sync takes a fifth of a millisecond.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from omnitide.store.protocol import LogUnavailable

T = TypeVar("T")

MAX_WAITING = 256
"""Calls that may wait for one worker; one more is refused with LogUnavailable."""


class Worker:
    """Runs functions in its thread. `call` belongs to the event loop that it was made in."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._waiting = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[[], T]) -> T:
        """What `function` returns or raises. A cancelled call still runs to its end."""
        if self._stopped:
            raise LogUnavailable("the log is closed")
        if self._waiting >= MAX_WAITING:
            raise LogUnavailable(f"{MAX_WAITING} calls wait for the log already")
        future: asyncio.Future[T] = self._loop.create_future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:
                self._answer(_fail, future, error)
            else:
                self._answer(_succeed, future, result)

        self._waiting += 1
        self._queue.put(work)
        return await future

    async def stop(self) -> None:
        """Finish what waits, then end the thread."""
        if self._stopped:
            return
        self._stopped = True
        ended: asyncio.Future[None] = self._loop.create_future()
        self._waiting += 1
        self._queue.put(lambda: self._answer(_succeed, ended, None))
        self._queue.put(None)
        await ended

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()

    def _answer(self, settle: Callable[..., None], *arguments: object) -> None:
        def deliver() -> None:
            self._waiting -= 1
            settle(*arguments)

        try:
            self._loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            # The loop is closed: nobody waits for this answer any more.
            return


def _succeed(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
