"""Reads an instance's log files while they are written, across rotation and crashes. Used by the keeper's clients."""

import os
from collections import deque
from collections.abc import Iterator

from omnitide.node.keeper import log_format
from omnitide.node.keeper.log_format import Frame, Place

CHUNK = 1 << 20
"""Bytes read at once; holds 15 frames of the largest size."""


class LogReader:
    """A place in an instance's output, moved forward by `read`. Files that rotation took before they were read are left
    out, and `gap` says so: what is kept is bounded, and a reader that is slower than the writer meets the bound."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._fd = -1
        self._sequence = 0
        self._offset = 0
        self._skip = 0
        self._missing = False
        self.gap = False
        """Before the frames that `read` just returned there may have been output that is not kept any more."""

    def place(self) -> Place:
        """Where the next `read` goes on."""
        return Place(self._sequence, self._offset, self._skip)

    def ends(self, frames: list[Frame]) -> list[Place]:
        """The place behind each of the frames that `read` just returned."""
        places: list[Place] = []
        offset = self._offset
        for frame in reversed(frames):
            places.append(Place(self._sequence, offset))
            offset -= log_format.HEADER.size + len(frame.data)
        places.reverse()
        return places

    def go_to(self, place: Place) -> None:
        """Go on at a place that an earlier reader came to. Raises ValueError if this log has never been so long."""
        known = self._sequences()
        if place.sequence > (known[-1] if known else 0):
            raise ValueError("this place is not in this log")
        self.close()
        if place.sequence and not (place.sequence in known and self._open(place.sequence)):
            # Whether that file went on behind the place, nobody can say.
            self._sequence, self._missing = place.sequence, True
            return
        self._offset, self._skip = place.offset, place.skip

    def read(self) -> list[Frame]:
        """Frames that follow, about a mebibyte at most; empty at the end of what has been written so far."""
        while True:
            if self._fd < 0 and not self._open_next():
                return []
            # Looked for before the read: a file that has a successor has all its bytes.
            complete = self._has_successor()
            frames = self._read_here()
            if frames:
                rest = self._without_skipped(frames)
                if rest:
                    self.gap, self._missing = self._missing, False
                    return rest
                continue
            if not complete:
                return []
            self.close()

    def _has_successor(self) -> bool:
        return any(sequence > self._sequence for sequence in self._sequences())

    def _sequences(self) -> list[int]:
        try:
            return log_format.sequences(self._directory)
        except OSError:
            return []

    def _open_next(self) -> bool:
        before = self._sequence
        opened = any(self._open(sequence) for sequence in self._sequences() if sequence > before)
        if opened and self._sequence > before + 1:
            self._missing = True  # also of a reader that begins at the beginning, and finds that it is gone
        return opened

    def _open(self, sequence: int) -> bool:
        try:
            self._fd = os.open(f"{self._directory}/{log_format.file_name(sequence)}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False  # rotated away since it was listed
        self._sequence = sequence
        self._offset = 0
        return True

    def _read_here(self) -> list[Frame]:
        frames, consumed = log_format.parse(os.pread(self._fd, CHUNK, self._offset))
        self._offset += consumed
        return frames

    def _without_skipped(self, frames: list[Frame]) -> list[Frame]:
        if self._skip:
            frames[0] = frames[0]._replace(data=frames[0].data[self._skip :])
            self._skip = 0
        return frames if frames[0].data else frames[1:]

    def skip_to_tail(self, lines: int) -> None:
        """Move to where the last `lines` lines of what is there begin. A last line without its end counts as one."""
        wanted = lines + 1
        at_end = True
        for sequence in reversed(self._sequences()):
            found = _tail_of(f"{self._directory}/{log_format.file_name(sequence)}", wanted, at_end=at_end)
            if found is None:
                continue
            offset, skip, missing, empty = found
            at_end = at_end and empty
            if missing == 0 or sequence == self._sequences()[0]:
                self.close()
                if self._open(sequence):
                    self._offset, self._skip = offset, skip
                    self._missing = missing > 0 and sequence > 1
                return
            wanted = missing

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _frames(fd: int) -> Iterator[tuple[int, bytes]]:
    """All frames of a file, each with where it begins."""
    offset = 0
    while True:
        frames, _ = log_format.parse(os.pread(fd, CHUNK, offset))
        if not frames:
            return
        for frame in frames:
            yield offset, frame.data
            offset += log_format.HEADER.size + len(frame.data)


def _tail_of(path: str, wanted: int, *, at_end: bool) -> tuple[int, int, int, bool] | None:
    """Where, seen from the file's end, the part after the `wanted`-th line end begins.

    Offset of a frame and bytes to skip in it; how many line ends were missing; whether the file holds no frame.
    `at_end`: nothing follows the file, so that output which does not end with a line end has one line more. None: it is
    gone.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        window: deque[tuple[int, int]] = deque()
        total = 0
        end, last = 0, b""
        for offset, data in _frames(fd):
            count = data.count(b"\n")
            window.append((offset, count))
            total += count
            while total - window[0][1] >= wanted:
                total -= window.popleft()[1]
            end, last = offset + log_format.HEADER.size + len(data), data
        if not window:
            return 0, 0, wanted, True
        if at_end and not last.endswith(b"\n"):
            wanted -= 1
        if wanted == 0:
            return end, 0, 0, False
        if total < wanted:
            return 0, 0, wanted - total, False
        return *_place_in(fd, window, total - wanted), 0, False
    finally:
        os.close(fd)


def _place_in(fd: int, window: "deque[tuple[int, int]]", passed: int) -> tuple[int, int]:
    """The place just after line end number `passed` (from 0) of a window of frames."""
    for offset, count in window:
        if passed < count:
            raw = os.pread(fd, log_format.HEADER.size + log_format.MAX_PAYLOAD, offset)
            data = log_format.parse(raw)[0][0].data
            place = -1
            for _ in range(passed + 1):
                place = data.index(b"\n", place + 1)
            return offset, place + 1
        passed -= count
    return window[-1][0], 0
