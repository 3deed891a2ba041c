"""Runs that somebody beside this node's proxy has told to stop: noted by `emptying` before it asks their drivers.

The proxy that runs meanwhile has drivers of its own, which were asked for nothing: without the note they would tell the
end of a run as one that it came to by itself, and the proxy would take it for a failure.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from omnitide.drivers.protocol import Run, RunKey, RunState

FILE: Final = "asked-stops.json"

_Noted = tuple[str, str, int]
"""Driver, instance, attempt."""


class AskedStops:
    """Those of one node. The file holds what the last emptying stopped: no more than once ran there."""

    def __init__(self, node: Path) -> None:
        """`node`: the node's folder."""
        self._path = node / FILE
        self._read: tuple[int, int] | None = None
        self._noted: frozenset[_Noted] = frozenset()

    def note(self, driver: str, keys: Iterable[RunKey]) -> None:
        """Add what a driver is about to be asked to stop. Raises OSError."""
        noted = self._now() | {(driver, key.instance, key.attempt) for key in keys}
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(sorted(noted)))
        fresh.replace(self._path)

    def clear(self) -> None:
        """A new emptying begins."""
        self._path.unlink(missing_ok=True)

    def told(self, driver: str, run: Run) -> Run:
        """A run as its driver tells it, with its end as one that was asked for, if it was."""
        if run.state is not RunState.EXITED or run.exit is None or run.exit.reason not in ("exited", "signal"):
            return run
        if (driver, run.key.instance, run.key.attempt) not in self._now():
            return run
        return replace(run, exit=replace(run.exit, reason="stopped"))

    def _now(self) -> frozenset[_Noted]:
        """The file is small, and asked for at ends of runs alone; it is read when it has changed."""
        try:
            status = self._path.stat()
        except OSError:
            return frozenset()
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._read:
            self._noted = frozenset()
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                self._noted = frozenset(msgspec.json.decode(self._path.read_bytes(), type=list[_Noted]))
            self._read = seen
        return self._noted


def as_told(driver: str, run: Run) -> Run:
    """Where nobody else stops anything: in a simulation."""
    del driver
    return run
