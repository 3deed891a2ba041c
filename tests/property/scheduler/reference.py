"""A scheduler's conscience: whether an instance may be on a node, said plainly, one node at a time, from the spec.

Shares no code with omnitide.scheduler.
"""

from dataclasses import dataclass, field

from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.state import FabricState, Node
from omnitide.model.spec import Constraint, WorkloadSpec


@dataclass
class Left:
    """What a node has left."""

    cpu: int
    memory: int
    ports: set[int] = field(default_factory=set[int])
    """Of instances."""
    marked: set[int] = field(default_factory=set[int])
    """Found taken by something else: not chosen, but tried where they are named."""


def left_on(node: Node) -> Left:
    return Left(
        cpu=node.facts.cpu_milli - node.used_cpu_milli,
        memory=node.facts.memory_bytes - node.used_memory_bytes,
        ports={port for port, holder in node.ports.items() if holder != FOREIGN_PORT},
        marked={port for port, holder in node.ports.items() if holder == FOREIGN_PORT},
    )


def left_now(state: FabricState) -> dict[str, Left]:
    return {node.id: left_on(node) for node in state.nodes.values()}


def left_when_empty(state: FabricState) -> dict[str, Left]:
    return {node.id: Left(node.facts.cpu_milli, node.facts.memory_bytes) for node in state.nodes.values()}


def could_ever(node: Node, spec: WorkloadSpec) -> bool:
    """Whether the node is of the right kind and may come back, whatever runs on it and however it stands."""
    if node.left:
        return False
    drivers = {fact.name: fact for fact in node.facts.drivers}
    if spec.driver not in drivers:
        return False
    if spec.isolation == "sandbox" and "sandbox" not in drivers[spec.driver].enforces:
        return False
    if spec.limits.enforcement == "required":
        for name in ("cpu", "memory", "pids"):
            if getattr(spec.limits, name) > 0 and name not in drivers[spec.driver].enforces:
                return False
    return all(meets(node, constraint) for constraint in spec.constraints)


def stands_open(node: Node, spec: WorkloadSpec) -> bool:
    healthy = any(fact.name == spec.driver and fact.healthy for fact in node.facts.drivers)
    return node.status.value == "live" and node.scheduling.value == "open" and healthy


def meets(node: Node, constraint: Constraint) -> bool:
    value = {**node.facts.labels, "node": node.name}.get(constraint.label)
    match constraint.operator:
        case "=" | "in":
            return value in constraint.values
        case "!=" | "not-in":
            return value not in constraint.values
        case "exists":
            return value is not None
        case "absent":
            return value is None


def has_room(node: Node, left: Left, spec: WorkloadSpec) -> bool:
    if left.cpu < spec.resources.cpu or left.memory < spec.resources.memory:
        return False
    static = [port.port for port in spec.ports.values() if port.port]
    if len(static) != len(set(static)) or left.ports & set(static):
        return False
    first, last = node.facts.port_first, node.facts.port_last
    free = set(range(first, last + 1)) - left.ports - left.marked - set(static) if first > 0 else set[int]()
    return len(free) >= len(spec.ports) - len(static)


def fits(node: Node, left: Left, spec: WorkloadSpec) -> bool:
    return could_ever(node, spec) and stands_open(node, spec) and has_room(node, left, spec)


def take(node: Node, left: Left, spec: WorkloadSpec, ports: tuple[tuple[str, int], ...]) -> None:
    """Put one there; raises AssertionError where that is not allowed."""
    assert fits(node, left, spec)
    assert sorted(name for name, _ in ports) == sorted(spec.ports)
    for name, number in ports:
        wanted = spec.ports[name].port
        assert number not in left.ports
        assert wanted or number not in left.marked
        assert number == wanted if wanted else node.facts.port_first <= number <= node.facts.port_last
        left.ports.add(number)
    left.cpu -= spec.resources.cpu
    left.memory -= spec.resources.memory
    assert left.cpu >= 0
    assert left.memory >= 0
