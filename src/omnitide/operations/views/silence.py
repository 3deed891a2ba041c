"""What cannot be known: which nodes are silent, and what that hides."""

from collections.abc import Iterable
from typing import Final

from immutables import Map

from omnitide.fabric.state import ON_NODE, FabricState, Instance, Node, NodeStatus

SILENT: Final = frozenset({NodeStatus.UNREACHABLE, NodeStatus.LOST})


def silent_since(state: FabricState, instance: Instance) -> int:
    """Since when (ms) an instance's node is silent while the instance may still run there; 0 if it is not."""
    if instance.status not in ON_NODE:
        return 0
    node = state.nodes.get(instance.node)
    return node.since_ms if node is not None and node.status in SILENT else 0


class _Silent:
    """The silent nodes of the newest map of nodes: looking through all of them is worth doing once a change."""

    def __init__(self) -> None:
        self._nodes: Map[str, Node] | None = None
        self._silent: tuple[str, ...] = ()

    def of(self, nodes: Map[str, Node]) -> tuple[str, ...]:
        if nodes is not self._nodes:
            self._silent = tuple(sorted(node.id for node in nodes.values() if node.status in SILENT))
            self._nodes = nodes
        return self._silent


_silent: Final = _Silent()


def silent_nodes(state: FabricState) -> tuple[str, ...]:
    """Ids of the nodes that have not been heard from for longer than their lease."""
    return _silent.of(state.nodes)


class Hidden:
    """How many instances of each workload, by their last known status, are on silent nodes."""

    def __init__(self, state: FabricState) -> None:
        self._by_workload: dict[str, dict[str, int]] = {}
        for node in silent_nodes(state):
            self._add(state, state.nodes[node].instances)

    def _add(self, state: FabricState, instances: Iterable[str]) -> None:
        for identifier in instances:
            instance = state.instances[identifier]
            if instance.status in ON_NODE:
                of = self._by_workload.setdefault(instance.workload, {})
                of[instance.status.value] = of.get(instance.status.value, 0) + 1

    def of(self, workload: str) -> dict[str, int]:
        return self._by_workload.get(workload, {})

    def total(self) -> dict[str, int]:
        """Of all workloads together."""
        total: dict[str, int] = {}
        for counts in self._by_workload.values():
            for status, number in counts.items():
                total[status] = total.get(status, 0) + number
        return total
