"""Going on with lines of output after a break: asked again from a little before it, and nothing shown twice."""

from collections import Counter
from typing import Final

from omnitide.model.happenings import OutputLine

OVERLAP_MS: Final = 2_000
"""It is asked again from so long before the last line."""
SEEN: Final = 20_000
"""Lines that are remembered until they are older than the overlap."""

_Key = tuple[str, int, str, str]


class Seen:
    """What came of a node lately, so that nothing is given twice after a break. Lines that are the same in everything
    are told apart by how many there were."""

    def __init__(self) -> None:
        self._seen: Counter[_Key] = Counter()
        self._again: Counter[_Key] = Counter()
        self._repeating = False
        self.newest_ms = 0
        """By Nexus's clock."""

    def repeat(self) -> None:
        """From here on lines may come that came already."""
        self._again = Counter()
        self._repeating = True

    def new(self, line: OutputLine) -> bool:
        key = (line.instance, line.node_at_ms, line.stream, line.text)
        if self._repeating:
            self._again[key] += 1
            if self._again[key] <= self._seen[key]:
                return False
        self._seen[key] += 1
        if line.at_ms > self.newest_ms:
            self.newest_ms = line.at_ms
        if len(self._seen) > SEEN:
            # Those of more than the overlap ago cannot come again.
            floor = line.node_at_ms - 2 * OVERLAP_MS
            self._seen = Counter({one: count for one, count in self._seen.items() if one[1] >= floor})
            self._repeating = self._repeating and len(self._seen) <= SEEN
        return True
