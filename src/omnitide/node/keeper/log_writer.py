"""Writes an instance's output to files that rotate: bounded on disk, nothing held in memory."""

import errno
import os

from omnitide.node.keeper import log_format
from omnitide.node.keeper.log_format import HEADER


class LogWriter:
    """The log of one instance, over all its attempts.

    A file is made with the first byte that needs it. A write that fails (disk full) drops that piece of output and
    counts it in `lost_bytes`, of which the run's end tells: output never stops the instance, and never piles up here.
    """

    __slots__ = (
        "_directory",
        "_fd",
        "lost_because",
        "lost_bytes",
        "max_age_ms",
        "max_bytes",
        "max_files",
        "position",
        "sequence",
    )

    def __init__(self, directory: str, *, max_bytes: int, max_files: int) -> None:
        self._directory = directory
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.max_age_ms = 0
        """Files whose newest output is older are removed by `remove_old`; 0: never."""
        self._fd = -1
        self.sequence = 0
        """The file being written; 0 before the first. An earlier writer's may be cut short and is not continued."""
        self.position = 0
        """End of the last whole frame in the file being written; 0 means that the next frame begins a file."""
        self.lost_bytes = 0
        self.lost_because = ""

    def write(self, stream: int, data: "bytes | memoryview[int]", at_ms: int, attempt: int) -> None:
        """Append one frame of 1 to 64 KiB."""
        length = len(data)
        size = HEADER.size + length
        if not self._ready_for(size):
            self.lost_bytes += length
            return
        try:
            written = os.writev(self._fd, [log_format.header(stream, length, at_ms, attempt), data])
        except OSError as error:
            written, self.lost_because = 0, error.strerror or str(error)
        if written == size:
            self.position += size
            return
        self.lost_bytes += length
        if written:
            self.lost_because = os.strerror(errno.ENOSPC)
            self._cut()

    def take_losses(self) -> str:
        """What was lost since this was asked last, for people; empty if nothing was."""
        lost, self.lost_bytes = self.lost_bytes, 0
        return f"{lost} bytes of its output could not be kept: {self.lost_because}" if lost else ""

    def _ready_for(self, size: int) -> bool:
        if self.position == 0 or self.position + size > self.max_bytes:
            return self._rotate()
        return self._fd >= 0 or self._reopen()

    def _cut(self) -> None:
        """Take a half-written frame back, or leave the file to its readers and begin another."""
        try:
            os.ftruncate(self._fd, self.position)
            os.lseek(self._fd, self.position, os.SEEK_SET)
        except OSError:
            self.close()
            self.position = 0

    def _reopen(self) -> bool:
        """Go on where an earlier attempt, or this keeper before its upgrade, left the file."""
        path = f"{self._directory}/{log_format.file_name(self.sequence)}"
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return self._rotate()
        self._cut()
        return self._fd >= 0 or self._rotate()

    def _rotate(self) -> bool:
        """Begin the next file and delete the oldest ones beyond the bound; False when that failed."""
        try:
            if self.sequence == 0:
                self._find_predecessor()
            path = f"{self._directory}/{log_format.file_name(self.sequence + 1)}"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.lost_because = error.strerror or str(error)
            return False
        self.close()
        self._fd = fd
        self.sequence += 1
        self.position = 0
        if self.sequence > self.max_files:
            self._expire()
        return True

    def _find_predecessor(self) -> None:
        try:
            os.mkdir(self._directory, 0o700)
        except FileExistsError:
            existing = log_format.sequences(self._directory)
            self.sequence = existing[-1] if existing else 0

    def _expire(self) -> None:
        try:
            for sequence in log_format.sequences(self._directory)[: -self.max_files]:
                os.unlink(f"{self._directory}/{log_format.file_name(sequence)}")
        except OSError:
            return  # tried again at the next rotation

    def remove_old(self, now_ms: int, *, live: bool) -> None:
        """Delete the files whose newest output is older than `max_age_ms`; the one being written only if not `live`."""
        try:
            for sequence in log_format.sequences(self._directory):
                if live and sequence >= self.sequence:
                    break
                path = f"{self._directory}/{log_format.file_name(sequence)}"
                if os.stat(path).st_mtime_ns // 1_000_000 + self.max_age_ms >= now_ms:
                    break
                os.unlink(path)
        except OSError:
            return  # tried again at the next look

    def close(self) -> None:
        """Let go of the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
