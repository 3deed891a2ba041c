"""How many connections one port has open, and who must go when there are too many.

Whoever has shown a valid token stays. A stranger, who has shown none on this connection, goes first where room is
needed: the one that came first, of the address that is over its share, or of all. Those who only want to hold
connections are thus always the ones who lose them, and who has a token needs only the moment to show it.
"""

import resource
from collections.abc import Callable
from typing import Final

from omnitide.api.seldom import Seldom
from omnitide.telemetry import logs

MAX_CONNECTIONS: Final = 8192
SCOPE_KEY: Final = "omnitide.connection"
"""Where a request's scope holds its `Connection`."""

_log = logs.get(__name__)


def bound_of_process() -> int:
    """Half of the files that this process may have open: the rest is for its log and for its nodes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft // 2))


class Connection:
    """One connection, from its acceptance to its end."""

    __slots__ = ("_all", "_cut", "address")

    def __init__(self, connections: "Connections", address: str, cut: Callable[[], None]) -> None:
        self._all = connections
        self._cut = cut
        self.address = address

    def known(self) -> None:
        """A valid token was shown on it."""
        self._all.known(self)

    def closed(self) -> None:
        """It has ended. More than once is as once."""
        self._all.closed(self)

    def end(self) -> None:
        """Its room is needed."""
        self._cut()


class Connections:
    """All of one port."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._share = max(1, bound // 2)
        """Strangers from one address."""
        self._open: dict[Connection, None] = {}
        self._strangers: dict[Connection, None] = {}
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._seldom = Seldom(burst=1)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, address: str, cut: Callable[[], None]) -> Connection | None:
        """Take a new one in; None if there is no room and no stranger to make some. `cut` is to end it at once."""
        of_address = self._by_address.get(address, {})
        if len(of_address) >= self._share:
            self._drop(next(iter(of_address)), "one address holds its share of connections without a token")
        elif len(self._open) >= self._bound:
            if not self._strangers:
                self._tell("no more connections are taken", address)
                return None
            self._drop(next(iter(self._strangers)), "all connections are taken; the oldest without a token goes")
        connection = Connection(self, address, cut)
        self._open[connection] = None
        self._strangers[connection] = None
        self._by_address.setdefault(address, {})[connection] = None
        return connection

    def known(self, connection: Connection) -> None:
        if self._strangers.pop(connection, connection) is None:
            of_address = self._by_address[connection.address]
            del of_address[connection]
            if not of_address:
                del self._by_address[connection.address]

    def closed(self, connection: Connection) -> None:
        self.known(connection)
        self._open.pop(connection, None)

    def _drop(self, connection: Connection, why: str) -> None:
        self._tell(why, connection.address)
        self.closed(connection)
        connection.end()

    def _tell(self, why: str, address: str) -> None:
        left_out = self._seldom.passes()
        if left_out is not None:
            _log.warning(why, peer=address, connections=len(self._open), bound=self._bound, left_out=left_out)
