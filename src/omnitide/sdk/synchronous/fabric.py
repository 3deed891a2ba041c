# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.fabric`; change that.
"""The fabric as a whole."""

from collections.abc import Mapping, Sequence

import omnitide.sdk.calls as calls
from omnitide.model import foreseen as fo
from omnitide.model import inventory as inv
from omnitide.sdk.synchronous.connection import Connection


class FabricCalls(Connection):
    """Status, version, health and CA."""

    def get_fabric(self, *, min_revision: int | None = None) -> inv.FabricStatus:
        """The whole at a glance."""
        return self._do(calls.get_fabric(min_revision))

    def get_version(self) -> inv.VersionInfo:
        return self._do(calls.get_version())

    def raise_feature_level(self, level: int, *, dry_run: bool = False) -> inv.FeatureLevelChanged:
        """Allow the events of a newer release in the log. For who knows that every replica runs such a release: there
        is no way back."""
        return self._do(calls.raise_feature_level(level, dry_run))

    def check_live(self) -> inv.Health:
        """Whether Nexus answers at all."""
        return self._do(calls.check_live())

    def check_ready(self) -> inv.Health:
        """Whether Nexus serves, with each thing that it depends on."""
        return self._do(calls.check_ready())

    def get_ca(self) -> calls.CaBundle:
        return self._do(calls.get_ca())

    def foresee_changes(self, changes: Sequence[Mapping[str, str | int]]) -> fo.Outlook:
        """What would come of changes that nobody has made yet. Each names its `verb` (`agent.scale`, `node.drain`, ...)
        and the `name` of what it is done to, and what else it needs: `namespace`, `replicas`, `version`, `node`."""
        return self._do(calls.foresee_changes(changes))
