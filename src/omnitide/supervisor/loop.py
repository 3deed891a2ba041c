"""The supervisor's event loop: descriptors and timers. Without a timer it sleeps until something happens."""

import select
import time
from collections.abc import Callable


def now_ms() -> int:
    """Milliseconds since boot, time asleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Timer:
    __slots__ = ("action", "due_ms")

    def __init__(self, due_ms: int, action: Callable[[], None]) -> None:
        self.due_ms = due_ms
        self.action = action


class Loop:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._actions: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        """A handful: one a child."""
        self.stopped = False

    def watch(self, fd: int, action: Callable[[], None]) -> None:
        self._actions[fd] = action
        self._poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Before the descriptor is closed."""
        if self._actions.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        timer = Timer(now_ms() + delay_ms, action)
        self._timers.append(timer)
        return timer

    def cancel(self, timer: "Timer | None") -> None:
        if timer in self._timers:
            self._timers.remove(timer)

    def run(self) -> None:
        """Until `stopped`."""
        while not self.stopped:
            for fd, _ in self._poll.poll(self._wait_ms()):
                action = self._actions.get(fd)
                if action is not None and not self.stopped:
                    action()
            for timer in [timer for timer in self._timers if timer.due_ms <= now_ms()]:
                if timer in self._timers and not self.stopped:
                    self._timers.remove(timer)
                    timer.action()

    def _wait_ms(self) -> int | None:
        if not self._timers:
            return None
        return max(0, min(timer.due_ms for timer in self._timers) - now_ms())
