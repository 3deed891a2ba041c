"""A further program inside a run, as `exec` gives it: what is asked for, and the talk with it while it runs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class ExecRequest(msgspec.Struct, frozen=True):
    command: Sequence[str]
    environment: Mapping[str, str] = {}
    """On top of the run's own."""
    working_directory: str = ""
    """Empty: the run's own."""
    user: str = ""
    """Empty: the run's own."""
    terminal: bool = False
    """A pseudo-terminal: stdout and stderr are one."""
    rows: int = 24
    columns: int = 80


class ExecOutput(msgspec.Struct, frozen=True):
    """A piece of output, 64 KiB at most."""

    stream: str
    """`stdout` or `stderr`."""
    data: bytes


class ExecEnded(msgspec.Struct, frozen=True):
    """The program is over, and all its output has been read."""

    code: int | None
    signal: int | None = None


class Exec(Protocol):
    """One such program. It is killed when the talk is closed. Flow control: it waits while nobody reads."""

    async def receive(self) -> ExecOutput | ExecEnded:
        """The next piece, ExecEnded last. One caller at a time. Raises DriverError if the runtime went away."""
        ...

    async def write(self, data: bytes) -> None:
        """To its standard input; waits while it does not read. What has ended takes nothing: no error."""
        ...

    async def end_input(self) -> None:
        """Its standard input is at its end."""
        ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, number: int) -> None: ...

    async def close(self) -> None:
        """End it if it still runs, and let go. Idempotent."""
        ...
