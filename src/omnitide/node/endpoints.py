"""The Nexus endpoints that a node knows, and which one to dial next (DESIGN, law 12)."""

from collections.abc import Iterable
from typing import Final

MAX_ENDPOINTS: Final = 16
MAX_REDIRECTS: Final = 4
"""Redirects followed at once, without a session in between; further ones wait like failures."""


class Endpoints:
    """The addresses in order of preference: at first what was given, then the leader as last heard of."""

    def __init__(self, learned: Iterable[str], configured: Iterable[str], given: Iterable[str] = ()) -> None:
        """`given`: on the command line, by someone who knows better than what was learned: tried first at the start.
        `configured`: from the join. Neither is ever forgotten, whatever a Nexus says later."""
        first = tuple(given)
        self._configured = (*first, *configured)
        self._known: list[str] = []
        self._next = 0
        self._redirects = 0
        self.learn((*first, *learned))

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(self._known)

    @property
    def current(self) -> str:
        """The one to dial now. Raises LookupError if none is known."""
        if not self._known:
            raise LookupError("no Nexus endpoint is known; join a fabric first")
        return self._known[self._next]

    def learn(self, addresses: Iterable[str]) -> None:
        """Take a new list, the best first. The configured ones stay at its end; too many are cut off."""
        self._known = list(dict.fromkeys([*addresses, *self._configured]))[:MAX_ENDPOINTS]
        self._next = 0

    def welcomed(self, addresses: Iterable[str], current: str) -> None:
        """A session stands with `current`, and this is the list that it gave: come back here first."""
        self._redirects = 0
        self.learn([current, *addresses])

    def failed(self) -> bool:
        """The current one did not serve: go to the next. True when all have been tried and it is time to wait."""
        self._next = (self._next + 1) % max(1, len(self._known))
        return self._next == 0

    def redirected(self, addresses: Iterable[str]) -> bool:
        """Nexus says where to go instead. True if it shall be followed at once."""
        self.learn(addresses)
        self._redirects += 1
        if self._redirects > MAX_REDIRECTS:
            self._redirects = 0
            return False
        return True
