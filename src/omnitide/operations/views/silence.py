"""What cannot be known: which nodes are silent, on which a driver's runtime is, and what that hides.

Of instances whose runtime does not answer it, a node that is heard from only knows what was so before. Both are shown
alike: as unknown, since when, and as what was known last.
"""

from collections.abc import Iterable
from typing import Final

from immutables import Map

from omnitide.fabric.state import ON_NODE, FabricState, Instance, Node, NodeStatus, spec_of_instance
from omnitide.model.quantity import format_duration

STOPPED: Final = "was stopped by its operator"
SILENT: Final = frozenset({NodeStatus.UNREACHABLE, NodeStatus.LOST})


def silent_since(state: FabricState, instance: Instance) -> int:
    """Since when (ms) an instance's node, or its runtime there, is silent while the instance may still run there; 0 if
    neither is."""
    if instance.status not in ON_NODE:
        return 0
    node = state.nodes.get(instance.node)
    if node is None:
        return 0
    return node.since_ms if node.status in SILENT else _runtime_since(state, node, instance)


def silent_driver(state: FabricState, instance: Instance) -> str:
    """The driver of an instance, if its node is heard from and the driver's runtime is silent there; else empty."""
    node = state.nodes.get(instance.node)
    if instance.status not in ON_NODE or node is None or node.status in SILENT:
        return ""
    return spec_of_instance(state, instance).driver if _runtime_since(state, node, instance) else ""


def runtime_away(state: FabricState, instance: Instance) -> tuple[str, int]:
    """The driver of an instance and since when its runtime is silent on its node, whatever has become of the instance;
    0 if it is not."""
    driver = spec_of_instance(state, instance).driver
    node = state.nodes.get(instance.node)
    return driver, node.silent_drivers.get(driver, 0) if node is not None else 0


def why_unknown(state: FabricState, instance: Instance) -> str:
    """In words, without since when: why an instance is unknown, or what it is shown as is from before its node went
    away or was stopped. Empty: neither."""
    node = state.nodes.get(instance.node)
    if node is None or instance.status not in ON_NODE:
        return ""
    if node.stopped_ms:
        return f"node {node.name} {STOPPED}"
    if node.left:
        return f"node {node.name} has left"
    if not silent_since(state, instance):
        away = node_away(node)
        return f"node {node.name} is {away}" if away else ""
    driver = silent_driver(state, instance)
    return runtime_silent(driver, node.name) if driver else f"node {node.name} has not been heard from"


def node_away(node: Node) -> str:
    """In words, that a node has said goodbye for a while, for which it still counts as live; else empty. One that its
    operator stopped has not said when it is back, and is not away but stopped."""
    if node.status is not NodeStatus.LIVE or node.stopped_ms or not (node.departing and node.back_within_ms):
        return ""
    return f"away, back within {format_duration(node.back_within_ms)}"


def runtime_silent(driver: str, node: str) -> str:
    """In words, without since when."""
    who = "the container engine" if driver == "docker" else f"the driver {driver}"
    return f"{who} of node {node} does not answer"


def _runtime_since(state: FabricState, node: Node, instance: Instance) -> int:
    if not node.silent_drivers:
        return 0
    return node.silent_drivers.get(spec_of_instance(state, instance).driver, 0)


def _hides(node: Node) -> bool:
    """Of what is on it not all is known."""
    return node.status in SILENT or bool(node.silent_drivers)


def is_away(state: FabricState, instance: Instance) -> bool:
    """Its node still counts as live and has said goodbye: it is shown as it was then."""
    return bool(why_unknown(state, instance)) and not silent_since(state, instance)


class _Silent:
    """The nodes of the newest map of nodes of which not all is known: looking through all of them is worth doing once a
    change."""

    def __init__(self) -> None:
        self._nodes: Map[str, Node] | None = None
        self._silent: tuple[str, ...] = ()

    def of(self, nodes: Map[str, Node]) -> tuple[str, ...]:
        if nodes is not self._nodes:
            self._silent = tuple(sorted(node.id for node in nodes.values() if _hides(node)))
            self._nodes = nodes
        return self._silent


_silent: Final = _Silent()


Counts = dict[str, dict[str, int]]
"""Of instances, by workload and status."""


class Hidden:
    """How many instances of each workload, by their last known status, are where nothing is known of them.

    All that silent nodes hold is looked at once; whoever goes on with states (`follow`) looks at no more than what is
    another on them.
    """

    def __init__(self, state: FabricState) -> None:
        self._by_node: dict[str, Counts] = {}
        self._by_workload: Counts = {}
        self.follow(state, _silent.of(state.nodes))

    def follow(self, state: FabricState, nodes: Iterable[str]) -> None:
        """Go on to a later state. `nodes`: at least those that are otherwise than they were, or that hold an instance,
        or held one, that is."""
        for identifier in nodes:
            self._add(self._by_node.pop(identifier, {}), -1)
            node = state.nodes.get(identifier)
            if node is not None and _hides(node):
                found = self._by_node[identifier] = _hidden_on(state, node)
                self._add(found, 1)

    def _add(self, counts: Counts, sign: int) -> None:
        for workload, by_status in counts.items():
            of = self._by_workload.setdefault(workload, {})
            for status, number in by_status.items():
                of[status] = of.get(status, 0) + sign * number
                if not of[status]:
                    del of[status]
            if not of:
                del self._by_workload[workload]

    def of(self, workload: str) -> dict[str, int]:
        return self._by_workload.get(workload, {})

    def total(self) -> dict[str, int]:
        """Of all workloads together."""
        total: dict[str, int] = {}
        for counts in self._by_workload.values():
            for status, number in counts.items():
                total[status] = total.get(status, 0) + number
        return total


def _hidden_on(state: FabricState, node: Node) -> Counts:
    found: Counts = {}
    for identifier in node.instances:
        instance = state.instances[identifier]
        if silent_since(state, instance):
            of = found.setdefault(instance.workload, {})
            of[instance.status.value] = of.get(instance.status.value, 0) + 1
    return found
