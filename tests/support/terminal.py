"""A program in a terminal of its own, which is read as a person does: what stands on its screen."""

import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

DEADLINE_S = 60.0


class Terminal:
    """80x24 unless said otherwise. Ends its program with the block."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.raw = b""
        """All that was written."""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            command,
            env={**env, "TERM": "xterm-256color"},
            cwd=cwd,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            preexec_fn=lambda: os.login_tty(self._slave),  # its own session, with this as its terminal
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.raw += data
                self._stream.feed(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    @property
    def attributes(self) -> list[object]:
        """As `before`: what the terminal does with keys and lines."""
        return termios.tcgetattr(self._slave)

    @property
    def text(self) -> str:
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def line(self, part: str) -> str:
        """The first that has it; empty if none has."""
        return next((line for line in self.text.splitlines() if part in line), "")

    def until(self, *parts: str, without: str = "", within_s: float = DEADLINE_S) -> str:
        """Wait until all of these stand on the screen, and `without` does not. Raises AssertionError with it."""
        deadline = time.monotonic() + within_s
        while True:
            text = self.text
            if all(part in text for part in parts) and not (without and without in text):
                return text
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within_s:.0f} s: {parts}, without {without!r}; seen last:\n{text}")
            time.sleep(0.03)

    def press(self, *keys: str) -> None:
        """One after the other, as they come from a keyboard."""
        for key in keys:
            os.write(self._master, _NAMED.get(key, key).encode())

    def ended(self, within_s: float = DEADLINE_S) -> int:
        """Its exit code, once all that it wrote is read."""
        code = self.process.wait(within_s)
        deadline = time.monotonic() + 5
        seen = -1
        while seen != len(self.raw) and time.monotonic() < deadline:
            seen = len(self.raw)
            time.sleep(0.05)
        return code


_NAMED = {"enter": "\r", "escape": "\x1b", "up": "\x1b[A", "down": "\x1b[B", "tab": "\t", "ctrl+c": "\x03"}
