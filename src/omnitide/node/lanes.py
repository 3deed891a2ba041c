"""Work on many instances at once, on each in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Lanes(Generic[Work]):
    """One queue and one task an instance, while it has work. Exceptions of the work end the task group.

    A queue is as long as what the reconciler asks for one instance before the first of it is done, a handful: what is
    asked for again while it still waits to be done is done once.
    """

    def __init__(self, group: asyncio.TaskGroup, run: Callable[[Work], Awaitable[None]]) -> None:
        self._group = group
        self._run = run
        self._queues: dict[str, deque[Work]] = {}

    def put(self, instance: str, work: Work) -> None:
        queue = self._queues.get(instance)
        if queue is not None:
            if not queue or queue[-1] != work:
                queue.append(work)
            return
        self._queues[instance] = deque([work])
        self._group.create_task(self._drain(instance), name=f"lane-{instance}")

    async def _drain(self, instance: str) -> None:
        queue = self._queues[instance]
        while queue:
            await self._run(queue.popleft())
        # No await since the queue was seen empty: what is put from now on finds no queue and begins anew.
        del self._queues[instance]
