"""An event loop whose time is a number: it jumps to the next timer as soon as nothing can run, and waits for nothing.

Everything that production code awaits (sleep, wait_for, events, queues) works on it unchanged. Callbacks run in the
order in which they were scheduled, so a run is a function of its seed.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Nothing can run and no timer is set: whoever waits would wait for ever."""


class Livelock(Exception):
    """Something runs and runs and gets nowhere."""


MAX_STILL = 20_000
MAX_TURNS = 300_000


class _NoSelector(selectors.BaseSelector):
    """Selects nothing; moves the loop's clock instead."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.still = 0
        self._keys: dict[int, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[number] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing can run and no timer is set")
        self.turns += 1
        if timeout == 0:
            self.still += 1
            if self.still > MAX_STILL:
                raise Livelock(f"{MAX_STILL} turns of the loop at {self.now:.3f} s, and time does not pass")
        else:
            self.still = 0
        if self.turns > MAX_TURNS:
            raise Livelock(f"{MAX_TURNS} turns of the loop by {self.now:.3f} s of a life")
        if timeout > 0:
            # Up to the next whole microsecond: sums of floats would depend on which timers came in between.
            self.now = math.ceil(round((self.now + timeout) * 1e6, 3)) / 1e6
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and is exact to the microsecond; threads and subprocesses have no place here."""

    def __init__(self) -> None:
        self._virtual = _NoSelector()
        super().__init__(self._virtual)
        self.unhandled: list[str] = []
        self.set_exception_handler(self._keep)

    def time(self) -> float:
        return self._virtual.now

    def set_out_anew(self) -> None:
        """Forget how long it has run without getting anywhere."""
        self._virtual.turns = self._virtual.still = 0

    def run_in_executor(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("code under simulation must not use threads")

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to completion on a fresh virtual loop. Raises what `main` raises, Deadlock, or for errors nobody handled."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        try:
            result = loop.run_until_complete(main)
        finally:
            # Also after a failure: what is left would complain when it is collected, in the middle of another test.
            _end(loop)
        if loop.unhandled:
            raise AssertionError("errors that nobody handled: " + "; ".join(loop.unhandled))
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _end(loop: VirtualLoop) -> None:
    loop.set_out_anew()
    for _ in range(100):
        pending = asyncio.all_tasks(loop)
        if not pending:
            return
        for task in pending:
            task.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
