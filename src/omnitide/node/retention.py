"""Which instances that are no longer wanted are still kept for their logs, and until when. Pure."""

from dataclasses import dataclass

import msgspec

from omnitide.model.quantity import format_bytes, format_duration


class Retention(msgspec.Struct, frozen=True):
    """How long the logs of instances that are no longer wanted stay on the node."""

    for_ms: int = 86_400_000
    instances: int = 200
    """At most so many; the ones removed first go first."""
    bytes: int | None = None
    """At most so much of all together, but for the last one, which is kept whatever its size: who has filled a disk is
    to be asked why. None: no bound, and nothing is measured."""

    @property
    def text(self) -> str:
        """`that of the last 200 ended instances, for 1 d, and 4 GiB in all`."""
        if not self.instances or not self.for_ms:
            return "none of ended instances"
        many = f"the last {self.instances} ended instances" if self.instances > 1 else "the last ended instance"
        most = "" if self.bytes is None or self.instances == 1 else f", and {format_bytes(self.bytes)} in all"
        return f"that of {many}, for {format_duration(self.for_ms)}{most}"


@dataclass(slots=True)
class _Kept:
    removed_at_ms: int
    bytes: int = 0
    """0 also until it was measured."""


class Retained:
    """A queue of instances in order of removal, bounded by age, number and bytes."""

    def __init__(self, limits: Retention) -> None:
        self._limits = limits
        self._kept: dict[str, _Kept] = {}

    def __contains__(self, instance: str) -> bool:
        return instance in self._kept

    @property
    def measures(self) -> bool:
        """Whether sizes are of interest."""
        return self._limits.bytes is not None

    def add(self, instance: str, removed_at_ms: int) -> None:
        self._kept[instance] = _Kept(removed_at_ms)

    def measured(self, instance: str, size: int) -> None:
        """What is kept of it takes so many bytes on disk."""
        kept = self._kept.get(instance)
        if kept is not None:
            kept.bytes = size

    def discard(self, instance: str) -> None:
        self._kept.pop(instance, None)

    def due(self, now: int) -> list[str]:
        """Takes out those to be forgotten now: the too old, and the oldest of the too many and the too large."""
        names = list(self._kept)
        count = max(0, len(names) - self._limits.instances)
        while count < len(names) and self._kept[names[count]].removed_at_ms + self._limits.for_ms <= now:
            count += 1
        if self._limits.bytes is not None:
            total = sum(self._kept[name].bytes for name in names[count:])
            while count < len(names) - 1 and total > self._limits.bytes:
                total -= self._kept[names[count]].bytes
                count += 1
        for name in names[:count]:
            del self._kept[name]
        return names[:count]

    def next_ms(self, now: int) -> int | None:
        """Time until the next one is due; None if there is none. A clock set back does not prolong it."""
        for kept in self._kept.values():
            return min(max(kept.removed_at_ms + self._limits.for_ms - now, 0), self._limits.for_ms)
        return None
