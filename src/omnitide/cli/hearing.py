"""Telling whoever follows something that nothing is heard from Nexus any more, and that it is again: a hung one keeps
its connections, and a stream that has nothing to say looks the same."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from omnitide.cli.patience import AFTER_S

if TYPE_CHECKING:
    from omnitide.cli.session import Session

EVERY_S: Final = 2.0
"""Between an answer and the next question, which costs Nexus no more than its answer."""


class Hearing:
    """Asks, on a connection of its own, whether Nexus answers. It does not matter what, nor who asks.

    One that cannot be reached at all is no matter of this: the streams break, and whoever reads them says so.
    """

    def __init__(self, ask: Callable[[], bool], say: Callable[[str], None], url: str) -> None:
        """`ask`: whether an answer came in time; waits for it. `say`: what a person should know, in a line."""
        self._ask = ask
        self._say = say
        self._url = url
        self._heard = time.monotonic()
        self._told = False

    def look(self) -> None:
        """Ask once, and tell what is another by that."""
        began = time.monotonic()
        answered = self._ask()
        now = time.monotonic()
        silent_s = round(now - self._heard)
        if answered:
            self._heard = now
            if self._told:
                self._told = False
                self._say(f"Nexus is heard again, after {silent_s} s")
        elif not self._told and now - began >= AFTER_S:
            self._told = True
            self._say(f"nothing is heard from Nexus at {self._url} for {silent_s} s; waiting for it")


@contextmanager
def hearing(session: "Session", say: Callable[[str], None] | None = None) -> Generator[None]:
    """While something is followed. `say`: instead of a note beside the output; called in another thread."""
    ended = threading.Event()
    thread = threading.Thread(target=_listen, args=(session, say or _noted(session), ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _noted(session: "Session") -> Callable[[str], None]:
    return lambda text: session.note(f"  {text}")


def _listen(session: "Session", say: Callable[[str], None], ended: threading.Event) -> None:
    if ended.wait(EVERY_S):
        return  # what is over soon costs nothing
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError
    from omnitide.sdk.exchange import Retries

    with Client(session.target, retries=Retries(attempts=1), timeout_s=AFTER_S) as client:

        def ask() -> bool:
            try:
                client.check_live()
            except FabricError:
                return False
            return True

        one = Hearing(ask, say, session.target.url)
        while True:
            one.look()
            if ended.wait(EVERY_S):
                return
