"""The fabric as a whole."""

from collections.abc import Mapping, Sequence

import omnitide.sdk.calls as calls
from omnitide.model import foreseen as fo
from omnitide.model import inventory as inv
from omnitide.sdk.asynchronous.connection import AsyncConnection


class FabricCalls(AsyncConnection):
    """Status, version, health and CA."""

    async def get_fabric(self, *, min_revision: int | None = None) -> inv.FabricStatus:
        """The whole at a glance."""
        return await self._do(calls.get_fabric(min_revision))

    async def get_version(self) -> inv.VersionInfo:
        return await self._do(calls.get_version())

    async def raise_feature_level(self, level: int, *, dry_run: bool = False) -> inv.FeatureLevelChanged:
        """Allow the events of a newer release in the log. For who knows that every replica runs such a release: there
        is no way back."""
        return await self._do(calls.raise_feature_level(level, dry_run))

    async def check_live(self) -> inv.Health:
        """Whether Nexus answers at all."""
        return await self._do(calls.check_live())

    async def check_ready(self) -> inv.Health:
        """Whether Nexus serves, with each thing that it depends on."""
        return await self._do(calls.check_ready())

    async def get_ca(self) -> calls.CaBundle:
        return await self._do(calls.get_ca())

    async def foresee_changes(self, changes: Sequence[Mapping[str, str | int]]) -> fo.Outlook:
        """What would come of changes that nobody has made yet. Each names its `verb` (`agent.scale`, `node.drain`, ...)
        and the `name` of what it is done to, and what else it needs: `namespace`, `replicas`, `version`, `node`."""
        return await self._do(calls.foresee_changes(changes))
