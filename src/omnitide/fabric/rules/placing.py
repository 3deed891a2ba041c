"""The scheduler's plan, checked again against the state it is decided on. What no longer holds is left out."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.conditions import company, needs_are_met, only_node, volume_holder
from omnitide.fabric.rules.room import Room, holds_port, may_run_on
from omnitide.fabric.state import Instance, InstanceStatus, spec_of_instance
from omnitide.model.spec import WorkloadSpec


def place_instances(draft: Draft, command: cm.PlaceInstances) -> None:
    rooms: dict[str, Room] = {}
    conditions = _Conditions(draft)
    seen: set[str] = set()
    for choice in command.choices:
        instance = draft.state.instances.get(choice.instance)
        node = draft.state.nodes.get(choice.node)
        if instance is None or node is None or instance.id in seen:
            continue
        room = rooms.get(node.id)
        if room is None:
            room = rooms[node.id] = Room(node)
        if _take(draft, instance, room, choice, conditions):
            seen.add(instance.id)
    for identifier in sorted(rooms):
        placements = rooms[identifier].placements
        if placements:
            draft.emit(ev.InstancesPlaced(node=identifier, placements=tuple(placements)))
    draft.result = {"placed": len(seen), "left_out": len(command.choices) - len(seen)}


class _Conditions:
    """The scratch of one plan: what is asked once for all instances of a kind."""

    __slots__ = ("_company", "_draft", "_needs")

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._needs: dict[tuple[str, int], bool] = {}
        self._company: dict[tuple[str, str], frozenset[str]] = {}

    def hold(self, instance: Instance, spec: WorkloadSpec, node: str) -> bool:
        state = self._draft.state
        if instance.pinned or spec.volumes:
            only = only_node(state, instance)
            if (only and only != node) or volume_holder(state, instance) is not None:
                return False
        if spec.needs:
            key = (instance.workload, instance.version)
            if key not in self._needs:
                self._needs[key] = needs_are_met(state, instance.namespace, spec)
            if not self._needs[key]:
                return False
        if spec.together is None:
            return True
        word = (instance.namespace, spec.together)
        if word not in self._company:
            self._company[word] = company(state, *word)
        return not self._company[word] or node in self._company[word]

    def took(self, instance: Instance, spec: WorkloadSpec, node: str) -> None:
        if spec.together is not None:
            word = (instance.namespace, spec.together)
            self._company[word] |= {node}


def _take(draft: Draft, instance: Instance, room: Room, choice: cm.PlaceChoice, conditions: _Conditions) -> bool:
    node = room.node
    if instance.status is not InstanceStatus.PENDING or instance.not_before_ms > draft.header.time_ms:
        return False
    spec = spec_of_instance(draft.state, instance)
    if not may_run_on(node, spec):
        return False
    conditional = instance.pinned or spec.volumes or spec.needs or spec.together is not None
    if conditional and not conditions.hold(instance, spec, node.id):
        return False
    if spec.resources.cpu > room.cpu or spec.resources.memory > room.memory:
        return False
    if not _ports_hold(room, spec, choice.ports):
        return False
    if conditional:
        conditions.took(instance, spec, node.id)
    room.cpu -= spec.resources.cpu
    room.memory -= spec.resources.memory
    room.ports.update(port for _, port in choice.ports)
    room.placements.append(ev.Placement(instance.id, spec.resources.cpu, spec.resources.memory, tuple(choice.ports)))
    return True


def _ports_hold(room: Room, spec: WorkloadSpec, chosen: tuple[tuple[str, int], ...]) -> bool:
    """Every port of the spec once: the number that it names, which one for tcp and one for udp may share, or a free one
    of the node's range."""
    if not chosen and not spec.ports:
        return True
    numbers = dict(chosen)
    if len(numbers) != len(chosen) or numbers.keys() != spec.ports.keys():
        return False
    static = [port.port for port in spec.ports.values() if port.port]
    if len(set(numbers.values())) != len(set(static)) + len(spec.ports) - len(static):
        return False
    facts = room.node.facts
    for name, number in chosen:
        fixed = spec.ports[name].port
        if number != fixed if fixed else not 0 < facts.port_first <= number <= facts.port_last:
            return False
        if number in room.ports or (holds_port(room.node, number) if fixed else number in room.node.ports):
            return False
    return True
