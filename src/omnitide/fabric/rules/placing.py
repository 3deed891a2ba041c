"""The scheduler's plan, checked again against the state it is decided on. What no longer holds is left out."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.state import Instance, InstanceStatus, Node, spec_of_instance


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
    if driver is None or not driver.healthy:
        return False
    if spec.resources.cpu > room.cpu or spec.resources.memory > room.memory:
        return False
    if not _ports_hold(room, spec.ports.keys(), choice.ports):
        return False
    room.cpu -= spec.resources.cpu
    room.memory -= spec.resources.memory
    room.ports.update(port for _, port in choice.ports)
    room.placements.append(ev.Placement(instance.id, spec.resources.cpu, spec.resources.memory, tuple(choice.ports)))
    return True


def _ports_hold(room: _Room, wanted: "set[str] | object", chosen: tuple[tuple[str, int], ...]) -> bool:
    numbers = [port for _, port in chosen]
    if {name for name, _ in chosen} != set(wanted) or len(numbers) != len(set(numbers)):  # type: ignore[call-overload]
        return False
    return all(port not in room.node.ports and port not in room.ports for port in numbers)
