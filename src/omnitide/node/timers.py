"""The reconciler's timers, on the event loop's monotonic clock."""

import asyncio
from collections.abc import Callable

Key = tuple[str, str]


class Timers:
    """At most one timer a key: the reconciler has one for each instance, and one for all retained ones."""

    def __init__(self, fire: Callable[[Key], None]) -> None:
        self._fire = fire
        self._handles: dict[Key, asyncio.TimerHandle] = {}

    def set(self, key: Key, delay_ms: int) -> None:
        self.cancel(key)
        self._handles[key] = asyncio.get_running_loop().call_later(delay_ms / 1000, self._due, key)

    def cancel(self, key: Key) -> None:
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _due(self, key: Key) -> None:
        del self._handles[key]
        self._fire(key)
