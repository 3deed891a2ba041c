"""How many calls the surfaces answer, how each ended, and how long they took: what `/metrics` says of the API."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Final

from omnitide.telemetry.series.exposition import Sample

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, seconds."""
NO_OPERATION: Final = "none"
"""What was asked for is no operation that there is."""

_CALLS: Final = "omnitide_api_calls_total"
_TOOK: Final = "omnitide_api_call_duration_seconds"
_CALLS_HELP: Final = "Calls that were answered, by operation, surface and outcome."
_TOOK_HELP: Final = "Time from the head of a call to its answer; streams are left out."


class CallCounts:
    """Of a process, since its start. The labels are bounded: operations that there are, surfaces, outcomes."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def took(self, surface: str, operation: str, outcome: str, seconds: float, *, changes: bool) -> None:
        """`outcome`: ok, refused or failed."""
        self._calls[operation, surface, outcome] += 1
        kind = "change" if changes else "read"
        buckets = self._buckets.get(kind)
        if buckets is None:
            buckets = self._buckets[kind] = [0] * (len(BOUNDS_S) + 1)
        buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds

    def samples(self) -> Iterator[Sample]:
        for (operation, surface, outcome), number in sorted(self._calls.items()):
            labels = (("operation", operation), ("outcome", outcome), ("surface", surface))
            yield Sample(_CALLS, labels, "counter", "", _CALLS_HELP, number)
        for kind, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), buckets, strict=True):
                total += number
                labels = (("kind", kind), ("le", bound))
                yield Sample(f"{_TOOK}_bucket", labels, "histogram", "seconds", _TOOK_HELP, total)
            labels = (("kind", kind),)
            yield Sample(f"{_TOOK}_sum", labels, "histogram", "seconds", _TOOK_HELP, self._seconds[kind])
            yield Sample(f"{_TOOK}_count", labels, "histogram", "seconds", _TOOK_HELP, total)
