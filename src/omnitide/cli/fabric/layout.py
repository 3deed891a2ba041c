"""Where a local fabric keeps its things: a data folder, and the folders of Nexus and node, by default within it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from omnitide.cli.session import Session
    from omnitide.sdk.target import Target


class Ready(msgspec.Struct, frozen=True):
    """What Nexus says of itself when it serves (`nexus.json`)."""

    url: str
    node_endpoint: str = ""
    grpc_endpoint: str = ""
    pid: int = 0
    fabric_id: str = ""


class NodeReady(msgspec.Struct, frozen=True):
    """What a node proxy says of itself when it runs (`node.json`)."""

    pid: int = 0
    node_id: str = ""
    name: str = ""
    endpoint: str = ""
    """The Nexus that it talks to or tries to."""
    connected: bool = False
    since_ms: int = 0
    """When it was connected, or cut off, or began to try."""
    leaving: bool | None = None
    """It knows that its instances are going to be ended for good; None for one that cannot be told so."""


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

    @property
    def has_fabric(self) -> bool:
        """A Nexus was started here once."""
        return (self.nexus / "keys").is_dir()

    def target(self) -> "Target":
        """Of the Nexus here, by the profile that `up` writes, whatever the environment names. Raises FabricError."""
        from omnitide.sdk.target import PROFILE_NAME, find_target

        return find_target(environ={}, profile=self.data / PROFILE_NAME)

    def node_ready(self) -> NodeReady:
        """What the node proxy says of itself when it runs; empty if nothing."""
        try:
            return msgspec.json.decode((self.node / "node.json").read_bytes(), type=NodeReady)
        except (OSError, msgspec.MsgspecError):
            return NodeReady()

    def node_pid(self) -> int:
        """0 if it does not run."""
        return self.node_ready().pid

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
    from omnitide.config.folders import settled

    settings = session.loaded.settings
    return Layout(session.data, settled(settings.nexus.data_dir), settled(settings.node.data_dir))
