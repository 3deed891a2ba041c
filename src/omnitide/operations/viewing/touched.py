"""Which objects look different after some entries of the log. Pure: two states and what happened in between.

What an object shows is more than its own record: an instance shows whether its node is silent, an agent sums up its
instances. So each event names what it is about, and this adds what shows it too.
"""

from collections.abc import Iterable

from omnitide.fabric import events as ev
from omnitide.fabric.events import Entry, Event
from omnitide.fabric.state import FabricState, Node


class Touched:
    """Ids by kind of object; some of them may be gone, and some look as they did."""

    __slots__ = ("agents", "instances", "jobs", "namespaces", "nodes")

    def __init__(self) -> None:
        self.nodes: set[str] = set()
        self.agents: set[str] = set()
        self.jobs: set[str] = set()
        self.instances: set[str] = set()
        self.namespaces: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, (self.nodes, self.agents, self.jobs, self.instances, self.namespaces)))


def touched_by(before: FabricState, entries: Iterable[Entry], after: FabricState) -> Touched:
    """`before` and `after`: the states before the first and after the last of the entries."""
    touched = Touched()
    for entry in entries:
        for event in entry.events:
            _add(touched, before, event)
    _add_what_nodes_hide(touched, before, after)
    _add_around_instances(touched, before, after)
    _add_namespaces(touched, before, after)
    return touched


def _add(touched: Touched, before: FabricState, event: Event) -> None:
    match event:
        case ev.NamespaceCreated() | ev.NamespaceDeleted():
            touched.namespaces.add(event.name)
        case ev.InstancesCreated():
            _add_workload(touched, event.workload_kind, event.workload)
            for made in event.slots:
                touched.instances.add(f"{event.workload}.{made.slot}.{made.generation}")
                _add_current(touched, before, event.workload, made.slot)
        case ev.InstancesPlaced():
            touched.nodes.add(event.node)
            touched.instances.update(placement.instance for placement in event.placements)
        case ev.InstancesLost():
            touched.nodes.add(event.node)
            touched.instances.update(event.instances)
        case ev.InstanceRecovered():
            workload, slot, _ = event.instance.rsplit(".", 2)
            touched.instances.add(event.instance)
            _add_current(touched, before, workload, int(slot))
        case ev.SlotsRetired():
            touched.agents.add(event.agent)
            for slot in event.slots:
                _add_current(touched, before, event.agent, slot)
        case ev.AgentRolledBack() | ev.AgentUpdated():
            touched.agents.add(event.agent)
            if event.keeps:
                _add_all_of_agent(touched, before, event.agent)
        case ev.AgentRemoved():
            touched.agents.add(event.agent)
            _add_all_of_agent(touched, before, event.agent)
        case ev.JobsRemoved():
            for job in event.jobs:
                touched.jobs.add(job)
                _add_all_of_job(touched, before, job)
        case _:
            _add_by_field(touched, event)


def _add_by_field(touched: Touched, event: Event) -> None:
    """By the field that says what an event is about; tokens and secrets are not part of the view."""
    instance = getattr(event, "instance", None)
    if instance is not None:
        touched.instances.add(instance)
        return
    if isinstance(event, ev.TokenUsed):
        return
    for field, known in (("agent", touched.agents), ("job", touched.jobs), ("node", touched.nodes)):
        identifier = getattr(event, field, None)
        if identifier is not None:
            known.add(identifier)


def _add_workload(touched: Touched, kind: str, workload: str) -> None:
    (touched.agents if kind == "agent" else touched.jobs).add(workload)


def _add_current(touched: Touched, before: FabricState, workload: str, number: int) -> None:
    """What was a slot's current instance, and may not be any more."""
    agent = before.agents.get(workload)
    job = before.jobs.get(workload)
    slot = agent.slots.get(number) if agent is not None else job.slot if job is not None else None
    if slot is not None and slot.current:
        touched.instances.add(slot.current)


def _add_all_of_agent(touched: Touched, before: FabricState, identifier: str) -> None:
    agent = before.agents.get(identifier)
    if agent is not None:
        touched.instances.update(slot.current for slot in agent.slots.values() if slot.current)
        touched.instances.update(agent.strays)


def _add_all_of_job(touched: Touched, before: FabricState, identifier: str) -> None:
    job = before.jobs.get(identifier)
    if job is not None:
        touched.instances.update(job.strays)
        touched.instances.update([job.slot.current] if job.slot.current else [])


def _add_what_nodes_hide(touched: Touched, before: FabricState, after: FabricState) -> None:
    """The instances of nodes that fell silent, said goodbye, came back, or are called or reached otherwise."""
    otherwise: set[str] = set()
    for identifier in touched.nodes:
        old, new = before.nodes.get(identifier), after.nodes.get(identifier)
        if _place(old) != _place(new):
            otherwise.add(identifier)
        elif old is not None and new is not None and _silence(old) != _silence(new):
            touched.instances.update(old.instances)
            touched.instances.update(new.instances)
    if otherwise:
        # What has ended there is on no list of the node's any more, and shows its name all the same. This is seldom.
        for state in (before, after):
            touched.instances.update(one.id for one in state.instances.values() if one.node in otherwise)


def _place(node: Node | None) -> object:
    """What all instances show of a node that they are or were on."""
    return None if node is None else (node.name, node.facts.address)


def _silence(node: Node) -> object:
    """What hides those that are on it."""
    return (node.status, node.since_ms, node.silent_drivers, node.departing, node.back_within_ms, node.stopped_ms)


def _add_around_instances(touched: Touched, before: FabricState, after: FabricState) -> None:
    """The nodes that instances were or are on, and their workloads."""
    for identifier in touched.instances:
        for state in (before, after):
            instance = state.instances.get(identifier)
            if instance is not None:
                _add_workload(touched, instance.kind, instance.workload)
                if instance.node:
                    touched.nodes.add(instance.node)


def _add_namespaces(touched: Touched, before: FabricState, after: FabricState) -> None:
    """Namespaces count their workloads."""
    for identifier in touched.agents:
        old, new = before.agents.get(identifier), after.agents.get(identifier)
        if (old is None) != (new is None):
            touched.namespaces.update(one.namespace for one in (old, new) if one is not None)
    for identifier in touched.jobs:
        earlier, later = before.jobs.get(identifier), after.jobs.get(identifier)
        if (earlier is None) != (later is None):
            touched.namespaces.update(one.namespace for one in (earlier, later) if one is not None)
