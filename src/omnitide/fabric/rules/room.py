"""What a node still has while a plan is being taken, and whether it can take an instance now."""

import posixpath
from typing import Final

from omnitide.fabric import events as ev
from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.state import DriverFact, Node, NodeFacts, NodeStatus
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.model.spec import Constraint, WorkloadSpec

PLATFORM_LABELS: Final = frozenset({"os", "arch", "host"})


class Room:
    """The scratch of one plan on one node: what it takes is not seen by the state yet."""

    __slots__ = ("cpu", "memory", "node", "placements", "ports", "unnamed")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cpu = node.facts.cpu_milli - node.used_cpu_milli
        self.memory = node.facts.memory_bytes - node.used_memory_bytes
        self.ports: set[int] = set()
        self.unnamed = 0
        """Ports of the node's range that are promised without a number yet."""
        self.placements: list[ev.Placement] = []


def label_of(node: Node, key: str) -> str | None:
    """A node's label. `node` is its name; `os`, `arch` and `host` are what the machine declares, where it does.

    What came with the join token goes before what the node says of itself.
    """
    if key == "node":
        return node.name
    if key in PLATFORM_LABELS:
        declared = node.facts.platform.get(key)
        if declared:
            return declared
    given = node.join_labels.get(key)
    return node.facts.labels.get(key) if given is None else given


def enforces(driver: DriverFact, spec: WorkloadSpec) -> bool:
    """What is required never lands where it cannot be enforced, even if the node has changed since the plan."""
    limits = spec.limits
    if spec.isolation == "sandbox" and "sandbox" not in driver.enforces:
        return False
    if limits.enforcement != "required":
        return True
    demanded = (("cpu", limits.cpu), ("memory", limits.memory), ("pids", limits.pids))
    return all(name in driver.enforces for name, limit in demanded if limit)


def asked_devices(spec: WorkloadSpec) -> tuple[str, ...]:
    """Paths on the node of the devices that an instance is to be given."""
    if spec.container is None:
        return ()
    return tuple(sorted({posixpath.normpath(device.partition(":")[0]) for device in spec.container.devices}))


def gives_device(facts: NodeFacts, path: str) -> bool:
    """Whether the node gives a container this device, as far as it has told. By name: it looks itself at what it is."""
    if not facts.devices:
        return True
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in facts.devices)


def may_run_on(node: Node, spec: WorkloadSpec) -> bool:
    """Whether the node takes instances at all, with a driver that works and enforces what is required."""
    driver = node.facts.driver(spec.driver)
    if not node.schedulable or driver is None or not driver.healthy or not enforces(driver, spec):
        return False
    return all(gives_device(node.facts, path) for path in asked_devices(spec))


def obstacles(room: Room, spec: WorkloadSpec) -> list[str]:
    """Why the node cannot take one such instance now, each reason in a few words; empty if it can."""
    node, found = room.node, list[str]()
    if node.status is not NodeStatus.LIVE:
        found.append("it has left" if node.left else f"it is {'stopped' if node.stopped_ms else node.status.value}")
    elif not node.schedulable:
        leaving = "stopped" if node.stopped_ms else "about to leave"
        found.append(f"it is {leaving if node.departing else node.scheduling.value}")
    driver = node.facts.driver(spec.driver)
    if driver is None:
        found.append(f"it does not have the driver {spec.driver}")
    elif not driver.healthy:
        found.append(f"its driver {spec.driver} does not work ({driver.detail or 'no detail given'})")
    elif not enforces(driver, spec):
        found.append("it cannot enforce a limit that is required")
    found += [
        f"it gives no container the device {path}" for path in asked_devices(spec) if not gives_device(node.facts, path)
    ]
    for constraint in spec.constraints:
        if not _meets(node, constraint):
            values = f" {', '.join(constraint.values)}" if constraint.values else ""
            found.append(f"it does not meet {constraint.label} {constraint.operator}{values}")
    if spec.resources.cpu > room.cpu:
        found.append(f"needs {format_cpu(spec.resources.cpu)} cpu, {format_cpu(max(0, room.cpu))} are free")
    if spec.resources.memory > room.memory:
        found.append(
            f"needs {format_bytes(spec.resources.memory)} of memory, {format_bytes(max(0, room.memory))} are free"
        )
    taken = {port.port for port in spec.ports.values() if holds_port(node, port.port) or port.port in room.ports}
    found += [f"its host port {port} is taken" for port in sorted(taken)]
    if not found and not promise(room, spec):
        found.append("it cannot take it now")
    return found


def holds_port(node: Node, port: int) -> bool:
    """Whether an instance there has it. One that the node has found taken by something else is not chosen for anybody,
    but whoever names it tries it: nobody tells when it is free again."""
    return node.ports.get(port, FOREIGN_PORT) != FOREIGN_PORT


def promise(room: Room, spec: WorkloadSpec) -> bool:
    """Set aside what one instance needs, its ports not chosen yet, if the node could take it now: else nothing."""
    if not may_run_on(room.node, spec) or not all(_meets(room.node, constraint) for constraint in spec.constraints):
        return False
    if spec.resources.cpu > room.cpu or spec.resources.memory > room.memory:
        return False
    facts, taken = room.node.facts, room.node.ports
    static = [port.port for port in spec.ports.values() if port.port]
    if any(holds_port(room.node, port) or port in room.ports for port in static):
        return False
    unnamed = room.unnamed + len(spec.ports) - len(static)
    if unnamed > room.unnamed:
        used = {*taken, *room.ports, *static}
        free = facts.port_last - facts.port_first + 1 if facts.port_first else 0
        if free - sum(facts.port_first <= port <= facts.port_last for port in used) < unnamed:
            return False
    room.cpu -= spec.resources.cpu
    room.memory -= spec.resources.memory
    room.ports.update(static)
    room.unnamed = unnamed
    return True


def _meets(node: Node, constraint: Constraint) -> bool:
    """A node without the label meets `!=`, `not-in` and `absent`."""
    value = label_of(node, constraint.label)
    if constraint.operator in ("exists", "absent"):
        return (value is not None) == (constraint.operator == "exists")
    hit = value is not None and value in constraint.values
    return not hit if constraint.operator in ("!=", "not-in") else hit
