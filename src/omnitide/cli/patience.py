"""Telling whoever waits that Nexus has not answered yet: a hung one takes connections, and is given up late."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

AFTER_S: Final = 3.0
"""An answer takes milliseconds; one that asks nodes for something, a second or two."""


class Patience:
    """Says once, however many answers are late."""

    def __init__(self, say: Callable[[str], None], url: str, log: str) -> None:
        """`log`: where Nexus writes what it has to say, as far as is known."""
        self._say = say
        self._text = (
            f"Nexus at {url} has not answered for {AFTER_S:g} s, and is waited for. Does its process run, and is it "
            f"not stopped or starved of memory? What it says itself is in {log}"
        )
        self._lock = threading.Lock()
        self._told = False

    @contextmanager
    def waiting(self) -> Generator[None]:
        """While one answer is waited for."""
        with self._lock:
            told = self._told
        if told:
            yield
            return
        timer = threading.Timer(AFTER_S, self._tell)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _tell(self) -> None:
        with self._lock:
            told, self._told = self._told, True
        if not told:
            self._say(self._text)
