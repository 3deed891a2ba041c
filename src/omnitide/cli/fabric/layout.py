"""Where a local fabric keeps its things: a data folder, and the folders of Nexus and node, by default within it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from omnitide.cli.session import Session


class Ready(msgspec.Struct, frozen=True):
    """What Nexus says of itself when it serves (`nexus.json`)."""

    url: str
    node_endpoint: str = ""
    grpc_endpoint: str = ""
    pid: int = 0
    fabric_id: str = ""


class _NodeReady(msgspec.Struct, frozen=True):
    pid: int = 0


class Layout(NamedTuple):
    data: Path
    """Of what belongs to both: logs, records, profile."""
    nexus: Path
    node: Path

    @property
    def ready_file(self) -> Path:
        return self.nexus / "nexus.json"

    @property
    def ca_file(self) -> Path:
        return self.nexus / "ca.pem"

    @property
    def token_file(self) -> Path:
        return self.nexus / "admin-token"

    @property
    def identity(self) -> Path:
        """Of the node."""
        return self.node / "identity"

    def node_pid(self) -> int:
        """What the node proxy says of itself when it runs; 0 if nothing."""
        try:
            return msgspec.json.decode((self.node / "node.json").read_bytes(), type=_NodeReady).pid
        except (OSError, msgspec.MsgspecError):
            return 0

    @property
    def nexus_log(self) -> Path:
        return self.data / "nexus.log"

    @property
    def node_log(self) -> Path:
        return self.data / "node.log"

    @property
    def lock(self) -> Path:
        """Held while processes are started or stopped."""
        return self.data / "up.lock"

    def ready(self) -> Ready | None:
        try:
            return msgspec.json.decode(self.ready_file.read_bytes(), type=Ready)
        except (OSError, msgspec.MsgspecError):
            return None

    def keepers(self) -> list[Path]:
        """Folders of keepers: where their sockets are."""
        places = [self.node, *sorted(self.node.glob("*/"))] if self.node.is_dir() else []
        return [place for place in places if (place / "keeper.sock").exists()]


def layout_of(session: "Session") -> Layout:
    """As the settings say. Raises Failure where they cannot be read."""
    settings = session.loaded.settings
    return Layout(session.data, Path(settings.nexus.data_dir).absolute(), Path(settings.node.data_dir).absolute())
