"""What several instances had written when it began to be followed, in one order of time."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from omnitide.model.happenings import LogChunk
    from omnitide.model.objects import Instance

    Written: TypeAlias = tuple[Instance, LogChunk]

BEHIND_S: Final = 2.0
"""One that has given nothing for so long while the others wait for it is not waited for any more."""


class Backlog:
    """Holds chunks until nothing older can come of those that are still behind. Once none is, all pass at once.

    Chunks of one instance stay in the order in which they were written, even if its node's clock went back.
    """

    def __init__(self, pass_on: "Callable[[Instance, LogChunk], None]") -> None:
        self._pass_on = pass_on
        self._behind: dict[str, float] = {}
        """By id: until when it is waited for, on the caller's clock in seconds."""
        self._held: dict[str, deque[tuple[int, Written]]] = {}
        self._newest: dict[str, int] = {}

    def expect(self, identifier: str, now: float) -> None:
        """An instance has something to read that was written before."""
        self._behind[identifier] = now + BEHIND_S

    def put(self, written: "Written", now: float) -> None:
        identifier, at_ms = written[0].id, written[1].at_ms
        if not self._behind:
            # Then none is held, either.
            self._pass_on(*written)
            return
        at_ms = self._newest[identifier] = max(self._newest.get(identifier, 0), at_ms)
        self._held.setdefault(identifier, deque()).append((at_ms, written))
        if identifier in self._behind:
            self._behind[identifier] = now + BEHIND_S
        self.pass_on(now)

    def caught_up(self, identifier: str, now: float) -> None:
        """What it writes from now on is newer than all that is held; also said of one of which nothing comes."""
        self._behind.pop(identifier, None)
        self.pass_on(now)

    def pass_on(self, now: float) -> None:
        """What need not wait any more, in order."""
        while self._held:
            missing = [one for one in self._behind if one not in self._held]
            if any(now < self._behind[one] for one in missing):
                return
            for one in missing:
                del self._behind[one]
            first = min(self._held, key=lambda one: self._held[one][0][0])
            chunks = self._held[first]
            _, written = chunks.popleft()
            if not chunks:
                del self._held[first]
                if first in self._behind:
                    # Only from here on do the others wait for it.
                    self._behind[first] = now + BEHIND_S
            self._pass_on(*written)
        if not self._behind:
            self._newest.clear()
