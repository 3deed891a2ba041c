"""Entries from memory: exactly those after a revision, or none where memory does not reach back so far."""

import pytest

from omnitide.fabric.events import Entry
from omnitide.nexus.watching import Committed, Watchers


def entries(first: int, last: int) -> list[Committed]:
    return [Committed(revision, Entry(time_ms=0, principal="", events=())) for revision in range(first, last + 1)]


@pytest.mark.parametrize(("after", "expected"), [(4, [5, 6, 7]), (5, [6, 7]), (6, [7]), (7, []), (3, None), (0, None)])
def test_memory_gives_what_follows_a_revision_without_a_gap(after: int, expected: list[int] | None) -> None:
    watchers = Watchers(bound=10, recent=3)
    watchers.publish(entries(1, 7))
    found = watchers.recent_after(after, 10)
    assert (found if found is None else [each.revision for each in found]) == expected


def test_no_more_are_given_than_were_asked_for() -> None:
    watchers = Watchers(bound=10, recent=5)
    watchers.publish(entries(1, 5))
    found = watchers.recent_after(1, 2)
    assert found is not None
    assert [each.revision for each in found] == [2, 3]
