"""Rounds: frames that all watchers share, brought to one group of watchers after another.

Handed to a thousand at one go, a frame would hold up the loop for as long as it takes to send it a thousand times; what
is committed meanwhile would wait for that, then for the next tick, and then for all who are served before. In rounds
each group has whatever has come since its last turn, in one go, and between the groups others have their turn.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from omnitide.operations.fanout import SizedFrame, Watcher

GROUP: Final = 128
"""Watchers of a group: some three milliseconds' worth."""
REST: Final = 0.7
"""Of the time that a group took, before the next one's turn. The more watchers there are, or the busier the machine is,
the longer is a round, and sending never takes the whole of the loop."""
MAX_REST_S: Final = 0.03

F = TypeVar("F", bound=SizedFrame)


class _Group(Generic[F]):
    __slots__ = ("members", "served_at", "took_s", "waiting")

    def __init__(self) -> None:
        self.members: dict[Watcher[F], int] = {}
        """And the number of the newest frame when each came: it begins behind that."""
        self.waiting: list[tuple[int, F]] = []
        """Frames since its last turn, by number. Nothing waits for a watcher, so these are those of one round."""
        self.served_at = self.took_s = 0.0


class Rounds(Generic[F]):
    """All watchers of one stream. `run` brings them what is `put`."""

    def __init__(self, join_frames: Callable[[Sequence[F]], tuple[F, ...]] = tuple) -> None:
        """`join_frames`: makes of frames that leave together fewer that say the same."""
        self._join_frames = join_frames
        self._groups: list[_Group[F]] = []
        self._number = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(group.members) for group in self._groups)

    @property
    def round_s(self) -> float:
        """How long it takes at present until all groups have had their turn."""
        return sum(group.took_s for group in self._groups) * (1 + REST)

    def join(self, watcher: Watcher[F]) -> None:
        """From now on it is offered every frame that is put."""
        group = min(self._groups, key=lambda group: len(group.members), default=None)
        if group is None or len(group.members) >= GROUP:
            group = _Group[F]()
            self._groups.append(group)
        group.members[watcher] = self._number

    def leave(self, watcher: Watcher[F]) -> None:
        for group in self._groups:
            if group.members.pop(watcher, None) is not None and not group.members:
                self._groups.remove(group)
                return

    def put(self, frame: F) -> None:
        """For all who have joined."""
        self._number += 1
        for group in self._groups:
            group.waiting.append((self._number, frame))
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            waiting = [group for group in self._groups if group.waiting]
            if not waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            next_one = min(waiting, key=lambda group: group.served_at)
            # The loop's own clock may stand still while it is busy.
            next_one.served_at = time.perf_counter()
            self._serve(next_one)
            next_one.took_s = time.perf_counter() - next_one.served_at
            await asyncio.sleep(min(MAX_REST_S, next_one.took_s * REST))

    def fail(self, failure: Exception) -> None:
        """The stream's end, after all that was put."""
        for group in self._groups:
            self._serve(group)
            for watcher in group.members:
                watcher.fail(failure)

    def _serve(self, group: _Group[F]) -> None:
        waiting, group.waiting = group.waiting, []
        if not waiting:
            return
        frames = self._join_frames([frame for _, frame in waiting])
        for watcher, came in group.members.items():
            if came < waiting[0][0]:
                watcher.offer(frames)
            elif later := tuple(frame for number, frame in waiting if number > came):
                watcher.offer(later)
