"""What came of an import: the agents, and all that is not carried over as it stands, each with where it is written."""

from typing import Literal

import msgspec

from omnitide.compose.tree import Path, Place, dotted
from omnitide.model.spec import AgentManifest

Kind = Literal["note", "loss"]


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the files that is not simply carried over."""

    kind: Kind
    """`note`: it is carried over, or needs nothing here. `loss`: the agents do not do what it says."""
    key: str
    """`services.web.ports[0].host_ip`."""
    message: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}"


class Creation(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be there before the agents can run."""

    kind: Literal["image", "secret", "config", "file", "volume"]
    name: str
    command: str
    """That makes it; empty where there is none."""
    reason: str = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A secret or config whose value the files give. Never shown."""

    kind: Literal["secret", "config"]
    name: str
    value: bytes


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of an import."""

    project: str
    agents: tuple[AgentManifest, ...]
    notes: tuple[Remark, ...]
    losses: tuple[Remark, ...]
    create: tuple[Creation, ...]
    left_out: tuple[str, ...]
    """Services whose profiles were not asked for."""
    held: tuple[Held, ...] = ()


class Report:
    """Collects remarks, and knows which keys have been looked at."""

    def __init__(self) -> None:
        self.remarks: list[Remark] = []
        self.create: list[Creation] = []
        self.held: list[Held] = []
        self._seen: set[Path] = set()
        self._whole: set[Path] = set()

    def seen(self, path: Path) -> None:
        """The key itself, not what is below it."""
        self._seen.add(path)

    def used(self, path: Path) -> None:
        """The key and all below it."""
        self._whole.add(path)

    def knows(self, path: Path) -> bool:
        return path in self._seen or any(path[:length] in self._whole for length in range(1, len(path) + 1))

    def remark(self, kind: Kind, path: Path, place: Place, message: str) -> None:
        one = Remark(kind=kind, key=dotted(path), message=message, file=place.file, line=place.line)
        if one not in self.remarks:
            self.remarks.append(one)

    def needs(self, one: Creation) -> None:
        if one not in self.create:
            self.create.append(one)

    def holds(self, one: Held) -> None:
        if one not in self.held:
            self.held.append(one)
