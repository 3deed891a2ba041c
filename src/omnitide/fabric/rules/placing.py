"""The scheduler's plan, checked again against the state it is decided on. What no longer holds is left out."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.room import Room, may_run_on
from omnitide.fabric.state import Instance, InstanceStatus, spec_of_instance
from omnitide.model.spec import WorkloadSpec


def place_instances(draft: Draft, command: cm.PlaceInstances) -> None:
    rooms: dict[str, Room] = {}
    seen: set[str] = set()
    for choice in command.choices:
        instance = draft.state.instances.get(choice.instance)
        node = draft.state.nodes.get(choice.node)
        if instance is None or node is None or instance.id in seen:
            continue
        room = rooms.get(node.id)
        if room is None:
            room = rooms[node.id] = Room(node)
        if _take(draft, instance, room, choice):
            seen.add(instance.id)
    for identifier in sorted(rooms):
        placements = rooms[identifier].placements
        if placements:
            draft.emit(ev.InstancesPlaced(node=identifier, placements=tuple(placements)))
    draft.result = {"placed": len(seen), "left_out": len(command.choices) - len(seen)}


def _take(draft: Draft, instance: Instance, room: Room, choice: cm.PlaceChoice) -> bool:
    node = room.node
    if instance.status is not InstanceStatus.PENDING or instance.not_before_ms > draft.header.time_ms:
        return False
    spec = spec_of_instance(draft.state, instance)
    if not may_run_on(node, spec):
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


def _ports_hold(room: Room, spec: WorkloadSpec, chosen: tuple[tuple[str, int], ...]) -> bool:
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
