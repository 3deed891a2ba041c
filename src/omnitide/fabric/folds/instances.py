"""Folds of instances: from pending to ended, and what that does to their node, slot and counters.

An instance is in `state.instances` while it is its slot's current one (ended or not) or still attached to a node.
Attached means: its id is in the node's `instances`, and what it set aside counts there.
"""

from typing import Final, TypeVar

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.availability import mark_rolling, runs_on, watch
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import (
    ASKED_FOR,
    ENDED,
    Agent,
    Counts,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    Phase,
    Slot,
)
from omnitide.model.names import instance_name
from omnitide.model.provisions import stays

OVERLAPPING: Final = frozenset({"update", "migrated", "drain"})
"""Reasons of new generations beside which the one before runs on."""

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


def _put(state: FabricState, old: Instance, new: Instance) -> FabricState:
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


def _watched(state: FabricState, instance: Instance) -> FabricState:
    """Keep `Agent.watched` in step after an instance came to run, or its health changed."""
    if instance.kind != "agent":
        return state
    agent = state.agents[instance.workload]
    watched = watch(agent, instance)
    if watched is agent.watched:
        return state
    return replace(state, agents=state.agents.set(agent.id, replace(agent, watched=watched)))


def _detach(state: FabricState, instance: Instance) -> FabricState:
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


def _set_stray(state: FabricState, instance: Instance, stray: bool) -> FabricState:
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


def _put_slot(state: FabricState, instance: Instance, slot: Slot) -> FabricState:
    if instance.kind == "agent":
        agent = state.agents[instance.workload]
        agent = replace(agent, slots=agent.slots.set(instance.slot, slot))
        return replace(state, agents=state.agents.set(agent.id, agent))
    job = state.jobs[instance.workload]
    return replace(state, jobs=state.jobs.set(job.id, replace(job, slot=slot)))


def drop_instance(state: FabricState, identifier: str) -> FabricState:
    """Forget an instance wholly: off its node, out of every index."""
    instance = state.instances[identifier]
    state = _detach(state, instance)
    pending = state.pending.delete(identifier) if identifier in state.pending else state.pending
    instances = state.instances.delete(identifier)
    if instance.kind == "job":
        state = _set_stray(state, instance, False)
        return replace(state, instances=instances, pending=pending)
    agent = state.agents[instance.workload]
    strays = agent.strays.delete(identifier) if identifier in agent.strays else agent.strays
    watched = agent.watched.delete(identifier) if identifier in agent.watched else agent.watched
    agent = replace(agent, counts=_moved(agent.counts, instance.status, None), strays=strays, watched=watched)
    if identifier in agent.failed:
        agent = replace(agent, failed=agent.failed.delete(identifier))
    state = replace(state, instances=instances, pending=pending, agents=state.agents.set(agent.id, agent))
    return _end_overlap(state, agent, identifier) if instance.superseded else state


def _leave_slot(state: FabricState, identifier: str) -> FabricState:
    """The instance stops being its slot's current one: kept while it is on a node, else forgotten."""
    instance = state.instances.get(identifier)
    if instance is None:
        return state
    if is_attached(state, instance):
        return _set_stray(state, instance, True)
    return drop_instance(state, identifier)


def ended_by_itself(instance: Instance) -> bool:
    """Ended, and nobody had asked it to."""
    if instance.status is InstanceStatus.STOPPED:
        return bool(instance.node) and not instance.stop_reason
    return instance.status in (InstanceStatus.FAILED, InstanceStatus.SUCCEEDED)


def failures_after(slot: Slot, before: Instance | None, version: int, reset_after_ms: int | None) -> int:
    """How many generations in a row have ended by themselves when `version` follows `before` in a slot.

    A stable run of `reset_after_ms` starts the count anew, and so does another version, or a stop that was asked for.
    None: nothing but those does. One that was lost is no failure, and proves no stability either.
    """
    if before is None or before.version != version:
        return 0
    ran_ms = before.since_ms - before.started_ms if before.started_ms else 0
    failures = 0 if reset_after_ms is not None and before.started_ms and ran_ms >= reset_after_ms else slot.failures
    if ended_by_itself(before):
        return failures + 1
    return failures if before.status is InstanceStatus.LOST else 0


def _next_slot(
    state: FabricState, old: Slot, identifier: str, generation: int, event: ev.InstancesCreated, reset_after: int | None
) -> Slot:
    before = state.instances.get(old.current)
    return Slot(
        generation=generation,
        first=old.first or generation,
        current=identifier,
        failures=failures_after(old, before, event.version, reset_after),
        permanent_failures=event.permanent_failures,
        last_exit=before.exit or old.last_exit if before is not None else old.last_exit,
        last_node=before.node or old.last_node if before is not None else old.last_node,
    )


def instances_created(state: FabricState, event: ev.InstancesCreated, at: Moment) -> FabricState:
    if event.workload_kind == "agent":
        agent: Agent | None = state.agents[event.workload]
        namespace, name = agent.namespace, agent.name
        reset_after: int | None = agent.versions[event.version].spec.restart.reset_after
    else:
        agent = None
        job = state.jobs[event.workload]
        namespace, name = job.namespace, job.name
        # A job has so many tries, however long each of them lasts.
        reset_after = None
    made: list[Instance] = []
    slots: list[tuple[int, Slot]] = []
    previous: list[str] = []
    overlapping: list[Instance] = []
    for number, generation in ((item.slot, item.generation) for item in event.slots):
        identifier = instance_id(event.workload, number, generation)
        old = (agent.slots.get(number) if agent is not None else state.jobs[event.workload].slot) or Slot()
        slots.append((number, _next_slot(state, old, identifier, generation, event, reset_after)))
        before = state.instances.get(old.current)
        if before is not None:
            previous.append(before.id)
            if event.reason in OVERLAPPING and runs_on(before):
                overlapping.append(replace(before, superseded=True))
        made.append(
            Instance(
                id=identifier,
                namespace=namespace,
                kind=event.workload_kind,
                workload=event.workload,
                name=instance_name(name, number, generation),
                version=event.version,
                slot=number,
                generation=generation,
                status=InstanceStatus.PENDING,
                created_ms=at.time_ms,
                since_ms=at.time_ms,
                revision=at.revision,
                not_before_ms=event.not_before_ms,
                avoid=event.avoid,
                correlation=at.correlation or (before.correlation if before is not None else ""),
                avoid_also=event.avoid_also,
                pinned=event.node,
            )
        )
    if overlapping:
        state = _supersede(state, overlapping)
    for identifier in previous:
        state = _leave_slot(state, identifier)
    instances = _with_all(state.instances, [(instance.id, instance) for instance in made])
    pending = _with_all(state.pending, [(instance.id, None) for instance in made])
    if event.workload_kind == "agent":
        agent = state.agents[event.workload]
        counts = replace(agent.counts, pending=agent.counts.pending + len(made))
        agent = replace(agent, slots=_with_all(agent.slots, slots), counts=counts)
        return replace(state, instances=instances, pending=pending, agents=state.agents.set(agent.id, agent))
    job = replace(state.jobs[event.workload], slot=slots[-1][1], revision=at.revision)
    return replace(state, instances=instances, pending=pending, jobs=state.jobs.set(job.id, job))


def _supersede(state: FabricState, instances: list[Instance]) -> FabricState:
    """They run on, until what was made in their place is available."""
    agent = state.agents[instances[0].workload]
    known, superseded = state.instances, agent.superseded
    for instance in instances:
        known = known.set(instance.id, instance)
        superseded = superseded.set(instance.id, None)
    agent = replace(agent, superseded=superseded)
    return mark_rolling(replace(state, instances=known, agents=state.agents.set(agent.id, agent)), agent)


def _with_all(known: Map[_Key, _Value], items: list[tuple[_Key, _Value]]) -> Map[_Key, _Value]:
    if len(items) == 1:
        return known.set(*items[0])
    changed = known.mutate()
    for key, value in items:
        changed[key] = value
    return changed.finish()


def instances_placed(state: FabricState, event: ev.InstancesPlaced, at: Moment) -> FabricState:
    node = state.nodes[event.node]
    attached, ports = node.instances, node.ports
    cpu, memory = node.used_cpu_milli, node.used_memory_bytes
    last, keeps = ("", 0), False
    for placement in event.placements:
        old = state.instances[placement.instance]
        new = replace(
            old,
            status=InstanceStatus.PLACED,
            since_ms=at.time_ms,
            revision=at.revision,
            node=event.node,
            cpu_milli=placement.cpu_milli,
            memory_bytes=placement.memory_bytes,
            ports=placement.ports,
        )
        state = _put(state, old, new)
        attached = attached.set(old.id, None)
        for _, port in placement.ports:
            ports = ports.set(port, old.id)
        cpu += placement.cpu_milli
        memory += placement.memory_bytes
        if (new.workload, new.version) != last:
            last, keeps = (new.workload, new.version), new.kind == "agent" and _keeps_volumes(state, new)
        if keeps:
            state = _settle_home(state, new)
    node = replace(node, instances=attached, ports=ports, used_cpu_milli=cpu, used_memory_bytes=memory)
    return replace(state, nodes=state.nodes.set(node.id, node))


def _keeps_volumes(state: FabricState, instance: Instance) -> bool:
    volumes = state.agents[instance.workload].versions[instance.version].spec.volumes
    return bool(volumes) and any(map(stays, volumes.values()))


def _settle_home(state: FabricState, instance: Instance) -> FabricState:
    """Its volumes stay with this node, which is that of its slot from now on."""
    agent = state.agents[instance.workload]
    agent = replace(agent, homes=agent.homes.set(instance.slot, instance.node))
    return replace(state, agents=state.agents.set(agent.id, agent))


def _status_after(old: Instance, status: InstanceStatus) -> InstanceStatus:
    """A stopping instance stays stopping whatever its attempts do."""
    return old.status if old.status is InstanceStatus.STOPPING else status


def instance_starting(state: FabricState, event: ev.InstanceStarting, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    status = _status_after(old, InstanceStatus.STARTING)
    new = replace(
        old,
        status=status,
        since_ms=at.time_ms if status is not old.status else old.since_ms,
        revision=at.revision,
        attempt=event.attempt,
        phase=Phase.STARTING,
        health=Health.UNKNOWN,
        health_message="",
        next_attempt_ms=0,
    )
    return _put(state, old, new)


def instance_running(state: FabricState, event: ev.InstanceRunning, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    status = _status_after(old, InstanceStatus.RUNNING)
    new = replace(
        old,
        status=status,
        since_ms=at.time_ms if status is not old.status else old.since_ms,
        revision=at.revision,
        attempt=event.attempt,
        phase=Phase.RUNNING,
        health=event.health,
        health_message="",
        started_ms=at.time_ms,
        next_attempt_ms=0,
        handle=event.handle,
        unenforced=event.unenforced,
        ready_ms=at.time_ms if event.health is Health.HEALTHY else 0,
    )
    return _watched(_put(state, old, new), new)


def instance_exited(state: FabricState, event: ev.InstanceExited, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    status = _status_after(old, InstanceStatus.STARTING)
    new = replace(
        old,
        status=status,
        since_ms=at.time_ms if status is not old.status else old.since_ms,
        revision=at.revision,
        attempt=event.exit.attempt,
        phase=Phase.WAITING,
        health=Health.UNKNOWN,
        health_message="",
        next_attempt_ms=event.next_attempt_ms,
        exit=event.exit,
        handle="",
        asked_ends=old.asked_ends + (event.exit.reason in ASKED_FOR),
    )
    return _put(state, old, new)


def instance_health_changed(state: FabricState, event: ev.InstanceHealthChanged, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    new = replace(
        old,
        health=event.health,
        health_message=event.message,
        revision=at.revision,
        ready_ms=at.time_ms if event.health is Health.HEALTHY else 0,
    )
    return _watched(_put(state, old, new), new)


def instance_stop_requested(state: FabricState, event: ev.InstanceStopRequested, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    new = replace(
        old,
        status=InstanceStatus.STOPPING,
        since_ms=at.time_ms,
        revision=at.revision,
        stop_reason=event.reason,
    )
    return _put(state, old, new)


def instance_ended(state: FabricState, event: ev.InstanceEnded, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    state = _detach(state, old)
    if not is_current(state, old):
        return drop_instance(state, old.id)
    new = replace(
        old,
        status=InstanceStatus(event.status),
        since_ms=at.time_ms,
        revision=at.revision,
        phase=Phase.ENDED,
        health=Health.UNKNOWN,
        health_message="",
        next_attempt_ms=0,
        exit=event.exit or old.exit,
        handle="",
    )
    return _put(state, old, new)


def instances_lost(state: FabricState, event: ev.InstancesLost, at: Moment) -> FabricState:
    for identifier in event.instances:
        old = state.instances[identifier]
        new = replace(old, status=InstanceStatus.LOST, since_ms=at.time_ms, revision=at.revision)
        state = _put(state, old, new)
    return state


def instance_recovered(state: FabricState, event: ev.InstanceRecovered, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    new = replace(
        old,
        status=InstanceStatus.RUNNING,
        since_ms=at.time_ms,
        revision=at.revision,
        attempt=event.attempt,
        phase=Phase.RUNNING,
        superseded=False,
    )
    state = _watched(_put(state, old, new), new)
    state = _set_stray(state, new, False)
    slot = slot_of(state, new) or Slot(generation=new.generation)
    replaced = slot.current
    state = _put_slot(state, new, replace(slot, current=new.id))
    return state if replaced in ("", new.id) else _leave_slot_live(state, replaced)


def _leave_slot_live(state: FabricState, identifier: str) -> FabricState:
    """As `_leave_slot`, but one that is pending or running stays, as a stray, until it has been stopped."""
    instance = state.instances[identifier]
    if instance.status in ENDED and not is_attached(state, instance):
        return drop_instance(state, identifier)
    return _set_stray(state, instance, True)


def slots_retired(state: FabricState, event: ev.SlotsRetired, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    currents = [agent.slots[number].current for number in event.slots]
    slots, floor = agent.slots, agent.generation_floor
    for number in event.slots:
        floor = max(floor, slots[number].generation)
        slots = slots.delete(number)
    agent = replace(agent, slots=slots, generation_floor=floor)
    state = replace(state, agents=state.agents.set(agent.id, agent))
    for current in currents:
        if current:
            state = _leave_slot(state, current)
    return state


FOLDS: Final[dict[type, Fold]] = {
    ev.InstancesCreated: instances_created,
    ev.InstancesPlaced: instances_placed,
    ev.InstanceStarting: instance_starting,
    ev.InstanceRunning: instance_running,
    ev.InstanceExited: instance_exited,
    ev.InstanceHealthChanged: instance_health_changed,
    ev.InstanceStopRequested: instance_stop_requested,
    ev.InstanceEnded: instance_ended,
    ev.InstancesLost: instances_lost,
    ev.InstanceRecovered: instance_recovered,
    ev.SlotsRetired: slots_retired,
}
