"""The scheduler's plan, checked again against the state it is decided on. What no longer holds is left out."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.state import DriverFact, Instance, InstanceStatus, Node, spec_of_instance
from omnitide.model.spec import WorkloadSpec


class _Room:
    """What a node still has while the plan is being taken."""

    __slots__ = ("cpu", "memory", "node", "placements", "ports")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.cpu = node.facts.cpu_milli - node.used_cpu_milli
        self.memory = node.facts.memory_bytes - node.used_memory_bytes
        self.ports: set[int] = set()
        self.placements: list[ev.Placement] = []


def place_instances(draft: Draft, command: cm.PlaceInstances) -> None:
    rooms: dict[str, _Room] = {}
    seen: set[str] = set()
    for choice in command.choices:
        instance = draft.state.instances.get(choice.instance)
        node = draft.state.nodes.get(choice.node)
        if instance is None or node is None or instance.id in seen:
            continue
        room = rooms.get(node.id)
        if room is None:
            room = rooms[node.id] = _Room(node)
        if _take(draft, instance, room, choice):
            seen.add(instance.id)
    for identifier in sorted(rooms):
        placements = rooms[identifier].placements
        if placements:
            draft.emit(ev.InstancesPlaced(node=identifier, placements=tuple(placements)))
    draft.result = {"placed": len(seen), "left_out": len(command.choices) - len(seen)}


def _take(draft: Draft, instance: Instance, room: _Room, choice: cm.PlaceChoice) -> bool:
    node = room.node
    if instance.status is not InstanceStatus.PENDING or instance.not_before_ms > draft.header.time_ms:
        return False
    if not node.schedulable:
        return False
    spec = spec_of_instance(draft.state, instance)
    driver = node.facts.driver(spec.driver)
    if driver is None or not driver.healthy or not _enforces(driver, spec):
        return False
    if spec.resources.cpu > room.cpu or spec.resources.memory > room.memory:
        return False
    if not _ports_hold(room, spec, choice.ports):
        return False
    room.cpu -= spec.resources.cpu
    room.memory -= spec.resources.memory
    room.ports.update(port for _, port in choice.ports)
    room.placements.append(ev.Placement(instance.id, spec.resources.cpu, spec.resources.memory, tuple(choice.ports)))
    return True


def _enforces(driver: DriverFact, spec: WorkloadSpec) -> bool:
    """What is required never lands where it cannot be enforced, even if the node has changed since the plan."""
    limits = spec.limits
    if limits.enforcement != "required":
        return True
    demanded = (("cpu", limits.cpu), ("memory", limits.memory), ("pids", limits.pids))
    return all(name in driver.enforces for name, limit in demanded if limit)


def _ports_hold(room: _Room, spec: WorkloadSpec, chosen: tuple[tuple[str, int], ...]) -> bool:
    """Every port of the spec once: the number that it names, or a free one of the node's range."""
    if not chosen and not spec.ports:
        return True
    numbers = dict(chosen)
    if len(numbers) != len(chosen) or numbers.keys() != spec.ports.keys() or len(set(numbers.values())) != len(chosen):
        return False
    facts = room.node.facts
    for name, number in chosen:
        fixed = spec.ports[name].port
        if number != fixed if fixed else not 0 < facts.port_first <= number <= facts.port_last:
            return False
        if number in room.node.ports or number in room.ports:
            return False
    return True
