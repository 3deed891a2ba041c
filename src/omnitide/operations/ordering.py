"""Names in order. Sorted anew only when the map of names is another one: only after something came or went."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from heapq import merge
from typing import Any, Final

from immutables import Map

from omnitide.fabric.state import FabricState

_KEPT: Final = 8

_sorted: OrderedDict[int, tuple[Map[str, Any], list[str]]] = OrderedDict()
"""By identity of the map, which is kept so that its identity is not given to another. `Any`: values do not matter."""


def in_order(names: Map[str, Any]) -> list[str]:
    """The keys of a map of names, sorted. The list is shared: not to be changed."""
    known = _sorted.get(id(names))
    if known is not None:
        _sorted.move_to_end(id(names))
        return known[1]
    keys = sorted(names)
    _sorted[id(names)] = (names, keys)
    while len(_sorted) > _KEPT:
        _sorted.popitem(last=False)
    return keys


def names_from(names: Map[str, Any], start: str, prefix: str = "") -> Iterator[str]:
    """Keys from `start` on, in order, those with a prefix only."""
    keys = in_order(names)
    for index in range(bisect_left(keys, max(start, prefix)), len(keys)):
        if not keys[index].startswith(prefix):
            return
        yield keys[index]


def after_name(key: tuple[str | int, ...] | None) -> str:
    """Where names after the first part of a key begin."""
    return f"{key[0]}\0" if key else ""


def workloads_from(state: FabricState, start: str, prefix: str = "") -> Iterator[str]:
    """`namespace/name` of agents and jobs together; no name is both."""
    return merge(names_from(state.agent_names, start, prefix), names_from(state.job_names, start, prefix))
