"""Volumes that nodes keep, as the API shows them."""

from omnitide.model.objects import Millis, Object, Revision


class KeptVolume(Object, frozen=True, kw_only=True):
    """A directory of one node that outlives the instances which use it."""

    namespace: str
    name: str
    node: str
    """Its name."""
    size_bytes: int | None = None
    """On the node's disk; None: too much to be measured by the way."""
    used_by: tuple[str, ...] = ()
    """Agents and jobs that would find it there: they run on the node, or are bound to it by this volume. Empty: it is
    an orphan."""
    instances: tuple[str, ...] = ()
    """That have it now."""


class SilentNode(Object, frozen=True, kw_only=True):
    """A node that could not be asked: what it keeps is not known."""

    node: str
    reason: str
    since_ms: Millis = 0
    """Since when nothing has been heard of it; 0: that is not why."""


class VolumeList(Object, frozen=True, kw_only=True):
    items: tuple[KeptVolume, ...]
    """In order of node, namespace and name."""
    silent: tuple[SilentNode, ...] = ()
    revision: Revision
    next_cursor: str = ""


class VolumeRemoved(Object, frozen=True, kw_only=True):
    namespace: str
    name: str
    node: str
    revision: Revision
    dry_run: bool = False
