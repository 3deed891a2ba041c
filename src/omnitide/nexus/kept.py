"""Which session of each node was kept on a disk: how two proxies with one identity are told apart over time.

Two that are connected at once differ by their outbox and boot; a copy that comes when the original is away does not.
So a proxy writes the number of its session down, says that it has, and shows the number with its next hello.
"""

from typing import NamedTuple


class Kept(NamedTuple):
    """A session whose number a proxy has on its disk."""

    session: int
    address: str


class KeptSessions:
    """The newest kept session of each node: as long as this process lives and the node is of the fabric.

    A new Nexus learns it with each node's first session, and until then takes a node's word for who it is.
    """

    def __init__(self) -> None:
        self._by_node: dict[str, Kept] = {}

    def __len__(self) -> int:
        return len(self._by_node)

    def add(self, node: str, kept: Kept) -> None:
        """The node's proxy shows this number from now on."""
        self._by_node[node] = kept

    def forget(self, node: str) -> None:
        self._by_node.pop(node, None)

    def refusal(self, node: str, told: int) -> str | None:
        """Why a hello that tells of session `told` is not of who kept the newest one; None if it may well be.

        Who tells of less than what was kept is not who kept it. A node that remembers nothing (0) may have lost its
        memory, and is taken at its word; a welcome that was lost under way was never kept.
        """
        kept = self._by_node.get(node)
        if kept is None or not 0 < told < kept.session:
            return None
        return (
            f"this node remembers session {told}, and session {kept.session} was kept by a proxy with its identity at "
            f"{kept.address}: this is a copy of it, or its disk was put back to an earlier day. Two nodes need two "
            "identities (omnitide join); if this is the only one, delete outbox.db in its data directory and start it "
            "again"
        )
