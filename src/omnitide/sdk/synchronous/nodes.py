# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.nodes`; change that.
"""Nodes."""

from collections.abc import Iterator, Mapping, Sequence

import omnitide.sdk.calls as calls
from omnitide.model import inventory as inv
from omnitide.sdk.defaults import PAGE
from omnitide.sdk.synchronous.connection import Connection


class NodeCalls(Connection):
    """Nodes, and what is placed there."""

    def list_nodes(
        self, *, status: str = "", scheduling: str = "", cursor: str = "", limit: int = PAGE
    ) -> inv.NodeList:
        return self._do(calls.list_nodes(cursor, limit, status, scheduling))

    def nodes(self, *, status: str = "", scheduling: str = "") -> Iterator[inv.Node]:
        return self._all(lambda cursor: self.list_nodes(status=status, scheduling=scheduling, cursor=cursor))

    def get_node(self, node: str) -> inv.Node:
        """By name or id."""
        return self._do(calls.get_node(node))

    def label_node(
        self, node: str, labels: Mapping[str, str] | None = None, *, remove: Sequence[str] = (), dry_run: bool = False
    ) -> inv.NodeChanged:
        """Set labels of a node, which go before its own, and take away others that were given so."""
        return self._do(calls.label_node(node, labels, remove, dry_run))

    def cordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Nothing new is placed there."""
        return self._do(calls.change_node(node, "cordon", dry_run))

    def uncordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        return self._do(calls.change_node(node, "uncordon", dry_run))

    def drain_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Cordon it, and move what runs there."""
        return self._do(calls.change_node(node, "drain", dry_run))

    def remove_node(self, node: str, *, force: bool = False, dry_run: bool = False) -> inv.NodeChanged:
        return self._do(calls.remove_node(node, force, dry_run))
