"""Which instances that are no longer wanted are still kept for their logs, and until when. Pure."""

import msgspec

from omnitide.model.quantity import format_duration


class Retention(msgspec.Struct, frozen=True):
    """How long the logs of instances that are no longer wanted stay on the node."""

    for_ms: int = 86_400_000
    instances: int = 200
    """At most so many; the ones removed first go first."""

    @property
    def text(self) -> str:
        """`that of the last 200 ended instances, for 1 d`."""
        if not self.instances or not self.for_ms:
            return "none of ended instances"
        many = f"the last {self.instances} ended instances" if self.instances > 1 else "the last ended instance"
        return f"that of {many}, for {format_duration(self.for_ms)}"


class Retained:
    """A queue of instances in order of removal, bounded by age and number."""

    def __init__(self, limits: Retention) -> None:
        self._limits = limits
        self._removed_at: dict[str, int] = {}

    def __contains__(self, instance: str) -> bool:
        return instance in self._removed_at

    def add(self, instance: str, removed_at_ms: int) -> None:
        self._removed_at[instance] = removed_at_ms

    def discard(self, instance: str) -> None:
        self._removed_at.pop(instance, None)

    def due(self, now: int) -> list[str]:
        """Takes out those to be forgotten now: the too old, and the oldest of the too many."""
        names = list(self._removed_at)
        count = max(0, len(names) - self._limits.instances)
        while count < len(names) and self._removed_at[names[count]] + self._limits.for_ms <= now:
            count += 1
        for name in names[:count]:
            del self._removed_at[name]
        return names[:count]

    def next_ms(self, now: int) -> int | None:
        """Time until the next one is due; None if there is none. A clock set back does not prolong it."""
        for removed_at in self._removed_at.values():
            return min(max(removed_at + self._limits.for_ms - now, 0), self._limits.for_ms)
        return None
