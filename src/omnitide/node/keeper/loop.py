"""The keeper's event loop: one epoll, a heap of timers, no threads."""

import heapq
import select
import time
from collections.abc import Callable

from omnitide.node.keeper.linux import monotonic_ms
from omnitide.node.keeper.notes import note

_MAX_EVENTS = 512
_CHECK_MS = 1000
_AFTER_ERROR_S = 0.01
"""Should the same thing go wrong again and again, it does not take the whole processor."""


class Timer:
    """A call that is due at a time; `cancel` makes it never happen."""

    __slots__ = ("_order", "action", "due_ms")
    _count = 0

    def __init__(self, due_ms: int, action: Callable[[], None]) -> None:
        Timer._count += 1
        self._order = Timer._count
        self.due_ms = due_ms
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None

    def __lt__(self, other: "Timer") -> bool:
        return (self.due_ms, self._order) < (other.due_ms, other._order)


def _guarded(action: Callable[[], None]) -> None:
    """Nothing unforeseen in one run's or client's affairs may end the parent of all the others."""
    try:
        action()
    except Exception:
        import traceback

        note(traceback.format_exc())
        time.sleep(_AFTER_ERROR_S)


class Loop:
    """Calls what is registered for a file descriptor when it is ready.

    A call may find nothing to read (its descriptor's number may have been taken over since): it must not block. While
    the machine sleeps, time goes on for timers but not for the wait, hence a check each second.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._actions: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._at_last: list[Callable[[], None]] = []
        self._stopped = False

    def watch(self, fd: int, action: Callable[[], None], *, write: bool = False) -> None:
        """Call `action` whenever `fd` is readable (and, with `write`, writable). Again for the same fd: changes it."""
        events = select.EPOLLIN | (select.EPOLLOUT if write else 0)
        if fd in self._actions:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._actions[fd] = action

    def watch_edge(self, fd: int, action: Callable[[], None]) -> None:
        """Call `action` each time that `fd` becomes readable anew: it takes all there is, or watches again.

        Among descriptors watched so, calls come in the order in which the kernel saw them become readable. (Those of
        `watch` keep their place in the kernel's list until a look finds nothing, which puts what comes next before its
        time.)
        """
        if fd in self._actions:
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLET)
        else:
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._actions[fd] = action

    def forget(self, fd: int) -> None:
        """Stop watching, before the descriptor is closed."""
        if self._actions.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        timer = Timer(monotonic_ms() + delay_ms, action)
        heapq.heappush(self._timers, timer)
        return timer

    def at_last(self, action: Callable[[], None]) -> None:
        """Call once when all that is due in this turn has been done: what many events of one turn can share."""
        self._at_last.append(action)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopped:
            for fd, _ in self._epoll.poll(self._wait(), _MAX_EVENTS):
                action = self._actions.get(fd)
                if action is not None:
                    _guarded(action)
            self._run_timers()
            while self._at_last:
                at_last, self._at_last = self._at_last, []
                for action in at_last:
                    _guarded(action)

    def _wait(self) -> float | None:
        """Seconds until the next timer; None without any, so that an idle keeper never wakes."""
        timers = self._timers
        while timers and timers[0].action is None:
            heapq.heappop(timers)
        if not timers:
            return None
        return min(_CHECK_MS, max(0, timers[0].due_ms - monotonic_ms())) / 1000

    def _run_timers(self) -> None:
        timers = self._timers
        now = monotonic_ms()
        while timers and timers[0].due_ms <= now:
            action = heapq.heappop(timers).action
            if action is not None:
                _guarded(action)

    def close(self) -> None:
        self._epoll.close()
