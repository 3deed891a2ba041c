# Made by scripts/unasync.py from `omnitide.sdk.asynchronous.volumes`; change that.
"""Volumes that nodes keep."""

from collections.abc import Iterator

import omnitide.sdk.calls as calls
from omnitide.model import volumes as mv
from omnitide.sdk.defaults import DEFAULT
from omnitide.sdk.synchronous.connection import Connection


class VolumeCalls(Connection):
    """Directories of nodes that outlive the instances which use them."""

    def list_volumes(self, *, namespace: str = "", node: str = "", cursor: str = "", nodes: int = 50) -> mv.VolumeList:
        """Of so many nodes at a time, with those that could not be asked. `namespace`, `node`: of one alone."""
        return self._do(calls.list_volumes(namespace, node, cursor, nodes))

    def volumes(self, *, namespace: str = "", node: str = "") -> Iterator[mv.KeptVolume]:
        """Of all nodes that can be asked."""
        return self._all(lambda cursor: self.list_volumes(namespace=namespace, node=node, cursor=cursor))

    def remove_volume(
        self, node: str, name: str, *, namespace: str = DEFAULT, force: bool = False, dry_run: bool = False
    ) -> mv.VolumeRemoved:
        """With all that is in it. `force`: even if an agent or job that has nothing running there would miss it."""
        return self._do(calls.remove_volume(node, namespace, name, force, dry_run))
