"""What surfaces and a runtime say to each other over a tunnel into an instance, apart from any carriage."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

CHUNK: Final = 64 << 10
WINDOW: Final = 256 << 10
"""Bytes of data that each side may have under way without having heard that the other has dealt with them."""

# -- what is asked of a node -----------------------------------------------------------------------------------------


class Exec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first message of a client: what to run."""

    command: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1024)]
    environment: Annotated[dict[str, str], Meta(max_length=512)] = {}
    working_directory: str = ""
    user: str = ""
    terminal: bool = False
    rows: Annotated[int, Meta(ge=0, le=65535)] = 0
    columns: Annotated[int, Meta(ge=0, le=65535)] = 0


class Archive(msgspec.Struct, frozen=True):
    path: str


class Extract(msgspec.Struct, frozen=True):
    path: str


class Forward(msgspec.Struct, frozen=True):
    port: str


Purpose = Exec | Archive | Extract | Forward

# -- what goes to and fro --------------------------------------------------------------------------------------------


class Data(msgspec.Struct, frozen=True):
    data: bytes
    """`CHUNK` at most."""
    stream: str = ""
    """Of a program's output: stdout or stderr."""


class EndOfData(msgspec.Struct, frozen=True):
    """None comes any more in this direction."""


class Taken(msgspec.Struct, frozen=True):
    """So many bytes of data have been dealt with."""

    bytes: int


class Resize(msgspec.Struct, frozen=True):
    rows: Annotated[int, Meta(ge=1, le=65535)]
    columns: Annotated[int, Meta(ge=1, le=65535)]


class Signal(msgspec.Struct, frozen=True):
    number: Annotated[int, Meta(ge=1, le=64)]


class Exited(msgspec.Struct, frozen=True):
    """Last of a program."""

    code: int | None = None
    signal: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """Last of what is no program: complete."""


Outward = Data | EndOfData | Taken | Resize | Signal
"""To the node."""
Inward = Data | EndOfData | Taken | Exited | Ended
"""From the node."""


class Reached(Protocol):
    """An open tunnel. One sender and one receiver at a time."""

    async def send(self, frame: Outward) -> None:
        """Raises ReachFailed."""
        ...

    async def receive(self) -> Inward:
        """Raises ReachFailed."""
        ...


Opening = AbstractAsyncContextManager[Reached]
"""Is entered once the node has begun. Raises ReachFailed, NodeAway, RuntimeAway."""
