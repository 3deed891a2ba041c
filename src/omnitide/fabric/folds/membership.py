"""Where an instance is kept: its node, its slot, the counters and sets of its workload; and how it leaves them.

An instance is in `state.instances` while it is its slot's current one (ended or not) or still attached to a node.
Attached means: its id is in the node's `instances`, and what it set aside counts there.
"""

from typing import TypeVar

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.folds.availability import mark_rolling, runs_on, watch
from omnitide.fabric.state import (
    ENDED,
    Agent,
    Counts,
    FabricState,
    Instance,
    InstanceStatus,
    Slot,
)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def instance_id(workload: str, slot: int, generation: int) -> str:
    return f"{workload}.{slot}.{generation}"


def is_attached(state: FabricState, instance: Instance) -> bool:
    node = state.nodes.get(instance.node)
    return node is not None and instance.id in node.instances


def slot_of(state: FabricState, instance: Instance) -> Slot | None:
    """The slot that the instance was made for; None once that is retired."""
    if instance.kind == "agent":
        return state.agents[instance.workload].slots.get(instance.slot)
    return state.jobs[instance.workload].slot


def is_current(state: FabricState, instance: Instance) -> bool:
    slot = slot_of(state, instance)
    return slot is not None and slot.current == instance.id


def _moved(counts: Counts, before: InstanceStatus | None, after: InstanceStatus | None) -> Counts:
    changes: dict[str, int] = {}
    if before is not None:
        field = before.value
        changes[field] = getattr(counts, field) - 1
    if after is not None:
        field = after.value
        changes[field] = getattr(counts, field) + 1
    return replace(counts, **changes)


def put(state: FabricState, old: Instance, new: Instance) -> FabricState:
    """Replace an instance, keeping counters and the pending set in step."""
    before, after = old.status, new.status
    if before is after:
        return replace(state, instances=state.instances.set(new.id, new))
    pending = state.pending
    if before is InstanceStatus.PENDING:
        pending = pending.delete(new.id)
    if new.kind == "agent":
        agent = state.agents[new.workload]
        agent = replace(agent, counts=_moved(agent.counts, before, after))
        if before is InstanceStatus.RUNNING and new.id in agent.watched:
            agent = replace(agent, watched=agent.watched.delete(new.id))
        if after is InstanceStatus.FAILED:
            agent = replace(agent, failed=agent.failed.set(new.id, None))
        state = replace(
            state,
            instances=state.instances.set(new.id, new),
            agents=state.agents.set(agent.id, agent),
            pending=pending,
        )
        return _end_overlap(state, agent, new.id) if new.superseded and not runs_on(new) else state
    return replace(state, instances=state.instances.set(new.id, new), pending=pending)


def _end_overlap(state: FabricState, agent: Agent, identifier: str) -> FabricState:
    """An instance is not a superseded one that runs on any more."""
    if identifier not in agent.superseded:
        return state
    agent = replace(agent, superseded=agent.superseded.delete(identifier))
    return mark_rolling(replace(state, agents=state.agents.set(agent.id, agent)), agent)


def keep_watched(state: FabricState, instance: Instance) -> FabricState:
    """Keep `Agent.watched` in step after an instance came to run, or its health changed."""
    if instance.kind != "agent":
        return state
    agent = state.agents[instance.workload]
    watched = watch(agent, instance)
    if watched is agent.watched:
        return state
    return replace(state, agents=state.agents.set(agent.id, replace(agent, watched=watched)))


def detach(state: FabricState, instance: Instance) -> FabricState:
    """Give back what the instance set aside on its node."""
    if not is_attached(state, instance):
        return state
    node = state.nodes[instance.node]
    ports = node.ports
    for _, port in instance.ports:
        if ports.get(port) == instance.id:
            ports = ports.delete(port)
    node = replace(
        node,
        instances=node.instances.delete(instance.id),
        ports=ports,
        used_cpu_milli=node.used_cpu_milli - instance.cpu_milli,
        used_memory_bytes=node.used_memory_bytes - instance.memory_bytes,
    )
    return replace(state, nodes=state.nodes.set(node.id, node))


def set_stray(state: FabricState, instance: Instance, stray: bool) -> FabricState:
    if instance.kind == "agent":
        agent = state.agents[instance.workload]
        if stray == (instance.id in agent.strays):
            return state
        strays = agent.strays.set(instance.id, None) if stray else agent.strays.delete(instance.id)
        return replace(state, agents=state.agents.set(agent.id, replace(agent, strays=strays)))
    job = state.jobs[instance.workload]
    if stray == (instance.id in job.strays):
        return state
    strays = job.strays.set(instance.id, None) if stray else job.strays.delete(instance.id)
    return replace(state, jobs=state.jobs.set(job.id, replace(job, strays=strays)))


def put_slot(state: FabricState, instance: Instance, slot: Slot) -> FabricState:
    if instance.kind == "agent":
        agent = state.agents[instance.workload]
        agent = replace(agent, slots=agent.slots.set(instance.slot, slot))
        return replace(state, agents=state.agents.set(agent.id, agent))
    job = state.jobs[instance.workload]
    return replace(state, jobs=state.jobs.set(job.id, replace(job, slot=slot)))


def drop_instance(state: FabricState, identifier: str) -> FabricState:
    """Forget an instance wholly: off its node, out of every index."""
    instance = state.instances[identifier]
    state = detach(state, instance)
    pending = state.pending.delete(identifier) if identifier in state.pending else state.pending
    instances = state.instances.delete(identifier)
    if instance.kind == "job":
        state = set_stray(state, instance, False)
        return replace(state, instances=instances, pending=pending)
    agent = state.agents[instance.workload]
    strays = agent.strays.delete(identifier) if identifier in agent.strays else agent.strays
    watched = agent.watched.delete(identifier) if identifier in agent.watched else agent.watched
    agent = replace(agent, counts=_moved(agent.counts, instance.status, None), strays=strays, watched=watched)
    if identifier in agent.failed:
        agent = replace(agent, failed=agent.failed.delete(identifier))
    state = replace(state, instances=instances, pending=pending, agents=state.agents.set(agent.id, agent))
    return _end_overlap(state, agent, identifier) if instance.superseded else state


def leave_slot(state: FabricState, identifier: str) -> FabricState:
    """The instance stops being its slot's current one: kept while it is on a node, else forgotten."""
    instance = state.instances.get(identifier)
    if instance is None:
        return state
    if is_attached(state, instance):
        return set_stray(state, instance, True)
    return drop_instance(state, identifier)


def leave_slot_live(state: FabricState, identifier: str) -> FabricState:
    """As `leave_slot`, but one that is pending or running stays, as a stray, until it has been stopped."""
    instance = state.instances[identifier]
    if instance.status in ENDED and not is_attached(state, instance):
        return drop_instance(state, identifier)
    return set_stray(state, instance, True)


def supersede(state: FabricState, instances: list[Instance]) -> FabricState:
    """They run on, until what was made in their place is available."""
    agent = state.agents[instances[0].workload]
    known, superseded = state.instances, agent.superseded
    for instance in instances:
        known = known.set(instance.id, instance)
        superseded = superseded.set(instance.id, None)
    agent = replace(agent, superseded=superseded)
    return mark_rolling(replace(state, instances=known, agents=state.agents.set(agent.id, agent)), agent)


def with_all(known: Map[_Key, _Value], items: list[tuple[_Key, _Value]]) -> Map[_Key, _Value]:
    if len(items) == 1:
        return known.set(*items[0])
    changed = known.mutate()
    for key, value in items:
        changed[key] = value
    return changed.finish()
