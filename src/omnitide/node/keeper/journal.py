"""What the keeper remembers of runs on disk, so that the next keeper knows them: one file of lines of JSON.

A line says that a run was started, how one ended, or that one was forgotten. One file for all, as a small write to an
open file costs a tenth of what making and removing files costs, which a node that runs short tasks does all day. The
environment is not kept: it may hold secrets. Nothing is synced: the lines outlive the keeper, and after a crash of the
machine no run is left to be known.

Room for lines to come is laid by beyond the end of the file, while there is some: on a disk that others have filled,
what ends is still recorded, and a keeper that follows one that died takes its runs up again.
"""

import json
import os
from collections.abc import Iterable
from typing import cast

from omnitide.node.keeper import ending, linux, protocol
from omnitide.node.keeper.ending import Exit
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.protocol import Json
from omnitide.node.keeper.run import Key, Run, from_record, record, remembered

_LEAST_BYTES = 1 << 20
_GROWTH = 4
"""The file is written anew, without what was forgotten, when it has grown so many times over (and a mebibyte)."""
_MOST_AHEAD = 1 << 20
_LEAST_AHEAD = 16 << 10
"""Bytes laid by beyond its end: 3,000 lines and 50."""
_SHARE_AHEAD = 16
"""Of what is free, so much of it at most."""


class Journal:
    """The file, open for appending."""

    def __init__(self, path: str, boot: str) -> None:
        """`boot` names this boot of the machine. Raises OSError."""
        self._path = path
        self._boot = boot
        self._boot_json = json.dumps(boot).encode()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.lseek(self._fd, 0, os.SEEK_END)
        self._compact_at = max(_LEAST_BYTES, self._size)
        self._lay_by()

    def _lay_by(self) -> None:
        """Room for lines to come, as far as there is any."""
        found = os.fstatvfs(self._fd)
        self._ahead = min(_MOST_AHEAD, max(_LEAST_AHEAD, found.f_bavail * found.f_frsize // _SHARE_AHEAD))
        self._more_at = self._size + self._ahead // 2
        linux.reserve(self._fd, self._size, self._ahead)

    def started(self, run: Run) -> None:
        """Raises OSError: then it is not remembered."""
        self._append(b'{"run":%b}' % remembered(run, self._boot_json))

    def ended(self, run: Run, how: Exit) -> None:
        """Raises OSError: then it is not remembered."""
        self._append(protocol.to_json(_exit_line(run.key, how)))

    def forgotten(self, key: Key) -> None:
        try:
            self._append(protocol.to_json({"forget": list(key)}))
        except OSError as error:
            # It comes back with the next keeper and is forgotten anew by whoever asked.
            note(f"{self._path}: {error.strerror}")

    @property
    def overgrown(self) -> bool:
        """Whether `rewrite` is due."""
        return self._size >= self._compact_at

    def _append(self, line: bytes) -> None:
        data = line + b"\n"
        written = 0
        try:
            written = os.write(self._fd, data)
        finally:
            if written != len(data):
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
        if written != len(data):
            raise OSError(28, "no room for a line", self._path)
        self._size += written
        if self._size >= self._more_at:
            self._lay_by()

    def rewrite(self, runs: Iterable[Run]) -> bool:
        """Put a file in place that tells of these runs only; false: that failed, and the old one stays."""
        partial = f"{self._path}~"
        lines: list[Json] = []
        for run in runs:
            lines.append({"run": record(run, run.boot or self._boot)})
            if run.exit is not None:
                lines.append(_exit_line(run.key, run.exit))
        fd = -1
        try:
            fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(os.dup(fd), "wb") as file:
                file.writelines(protocol.to_json(line) + b"\n" for line in lines)
            os.rename(partial, self._path)
        except OSError as error:
            note(f"{self._path}: {error.strerror}; the longer file is kept")
            self._compact_at = self._size + _LEAST_BYTES
            # Where there is no room it must not take the last of it, which it has until nobody has it open.
            if fd >= 0:
                os.close(fd)
            if os.path.lexists(partial):
                os.unlink(partial)
            return False
        os.close(self._fd)
        self._fd = fd
        self._size = os.lseek(fd, 0, os.SEEK_END)
        self._compact_at = max(_LEAST_BYTES, _GROWTH * self._size)
        self._lay_by()
        return True

    def close(self) -> None:
        os.close(self._fd)


def _exit_line(key: Key, how: Exit) -> Json:
    return {"exit": list(key), "how": ending.to_fields(how)}


def read(path: str) -> dict[Key, Run]:
    """The runs that a journal tells of, in the order of their starts. A line that was cut short is passed over."""
    found: dict[Key, Run] = {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    _apply(found, cast("Json", json.loads(line)))
                except Exception as error:  # a damaged line, in whatever way, must not keep the keeper from starting
                    note(f"{path}, line {number} cannot be read: {error!r}")
    except FileNotFoundError:
        return {}
    return found


def _apply(found: dict[Key, Run], line: Json) -> None:
    match line:
        case {"run": _}:
            run = from_record(protocol.record(line, "run"))
            found[run.key] = run
        case {"exit": [str(instance), int(attempt)], "how": _}:
            run = found.get((instance, attempt))
            how = ending.from_fields(protocol.record(line, "how"))
            if run is not None and how is not None:
                run.exit = how
        case {"forget": [str(instance), int(attempt)]}:
            found.pop((instance, attempt), None)
        case _:
            raise ValueError("a line of an unknown kind")
