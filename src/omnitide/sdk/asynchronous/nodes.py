"""Nodes."""

from collections.abc import AsyncIterator, Mapping, Sequence

import omnitide.sdk.calls as calls
from omnitide.model import inventory as inv
from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.defaults import PAGE


class NodeCalls(AsyncConnection):
    """Nodes, and what is placed there."""

    async def list_nodes(
        self, *, status: str = "", scheduling: str = "", cursor: str = "", limit: int = PAGE
    ) -> inv.NodeList:
        return await self._do(calls.list_nodes(cursor, limit, status, scheduling))

    def nodes(self, *, status: str = "", scheduling: str = "") -> AsyncIterator[inv.Node]:
        return self._all(lambda cursor: self.list_nodes(status=status, scheduling=scheduling, cursor=cursor))

    async def get_node(self, node: str) -> inv.Node:
        """By name or id."""
        return await self._do(calls.get_node(node))

    async def label_node(
        self, node: str, labels: Mapping[str, str] | None = None, *, remove: Sequence[str] = (), dry_run: bool = False
    ) -> inv.NodeChanged:
        """Set labels of a node, which go before its own, and take away others that were given so."""
        return await self._do(calls.label_node(node, labels, remove, dry_run))

    async def cordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Nothing new is placed there."""
        return await self._do(calls.change_node(node, "cordon", dry_run))

    async def uncordon_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        return await self._do(calls.change_node(node, "uncordon", dry_run))

    async def drain_node(self, node: str, *, dry_run: bool = False) -> inv.NodeChanged:
        """Cordon it, and move what runs there."""
        return await self._do(calls.change_node(node, "drain", dry_run))

    async def remove_node(self, node: str, *, force: bool = False, dry_run: bool = False) -> inv.NodeChanged:
        return await self._do(calls.remove_node(node, force, dry_run))
