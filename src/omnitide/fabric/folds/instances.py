"""Folds of instances: from pending to ended, and what that does to their node, slot and counters (see `membership`)."""

from typing import Final

from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.folds.membership import (
    detach,
    drop_instance,
    instance_id,
    is_current,
    keep_watched,
    leave_slot,
    leave_slot_live,
    put,
    put_slot,
    set_stray,
    slot_of,
    supersede,
    with_all,
)
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import (
    ASKED_FOR,
    PORT_BUSY,
    Agent,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    Phase,
    Slot,
    spec_of_instance,
)
from omnitide.model.names import instance_name
from omnitide.model.provisions import stays

OVERLAPPING: Final = frozenset({"update", "migrated", "drain"})
"""Reasons of new generations beside which the one before runs on."""


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


def spent_after(slot: Slot, before: Instance, version: int, reset_after_ms: int | None) -> int:
    """Of `failures_after` the ones that count against `restart.reschedules`: a taken port is the fabric's to mend, and
    what a node lacks says nothing of the instance."""
    failures = failures_after(slot, before, version, reset_after_ms)
    if not ended_by_itself(before):
        return min(slot.spent, failures)
    counts = before.exit is None or not (before.exit.permanent or before.exit.cause == PORT_BUSY)
    return min(slot.spent, failures - 1) + counts


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
        spent=event.spent,
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
                ends_before=event.ends_before,
            )
        )
    if overlapping:
        state = supersede(state, overlapping)
    for identifier in previous:
        state = leave_slot(state, identifier)
    instances = with_all(state.instances, [(instance.id, instance) for instance in made])
    pending = with_all(state.pending, [(instance.id, None) for instance in made])
    if event.workload_kind == "agent":
        agent = state.agents[event.workload]
        counts = replace(agent.counts, pending=agent.counts.pending + len(made))
        agent = replace(agent, slots=with_all(agent.slots, slots), counts=counts)
        return replace(state, instances=instances, pending=pending, agents=state.agents.set(agent.id, agent))
    job = replace(state.jobs[event.workload], slot=slots[-1][1], revision=at.revision)
    return replace(state, instances=instances, pending=pending, jobs=state.jobs.set(job.id, job))


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
        state = put(state, old, new)
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
        unready_ms=0,
        next_attempt_ms=0,
    )
    return put(state, old, new)


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
        unready_ms=0,
        started_ms=at.time_ms,
        next_attempt_ms=0,
        handle=event.handle,
        unenforced=event.unenforced,
        ready_ms=at.time_ms if event.health is Health.HEALTHY else 0,
    )
    return keep_watched(put(state, old, new), new)


def instance_exited(state: FabricState, event: ev.InstanceExited, at: Moment) -> FabricState:
    old, ending = state.instances[event.instance], event.exit
    status = _status_after(old, InstanceStatus.STARTING)
    asked, stable = ending.reason in ASKED_FOR, _ran_well(state, old, ending, at.time_ms)
    new = replace(
        old,
        status=status,
        since_ms=at.time_ms if status is not old.status else old.since_ms,
        revision=at.revision,
        attempt=ending.attempt,
        phase=Phase.WAITING,
        health=Health.UNKNOWN,
        health_message="",
        unready_ms=0,
        next_attempt_ms=event.next_attempt_ms,
        exit=ending,
        handle="",
        ready_ms=0,
        asked_ends=ending.attempt - 1 + asked if stable and ending.attempt > 1 else old.asked_ends + asked,
        ends_before=0 if stable else old.ends_before,
    )
    return put(state, old, new)


def _ran_well(state: FabricState, old: Instance, ending: ExitRecord, time_ms: int) -> bool:
    """Whether what has ended had run for `reset_after`, which excuses all ends before this one."""
    ran_ms = time_ms - old.started_ms if old.phase is Phase.RUNNING and old.attempt == ending.attempt else 0
    return ran_ms > 0 and ran_ms >= spec_of_instance(state, old).restart.reset_after


def instance_health_changed(state: FabricState, event: ev.InstanceHealthChanged, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    new = replace(
        old,
        health=event.health,
        health_message=event.message,
        unready_ms=event.unready_ms,
        revision=at.revision,
        ready_ms=at.time_ms if event.health is Health.HEALTHY else 0,
    )
    return keep_watched(put(state, old, new), new)


def instance_stop_requested(state: FabricState, event: ev.InstanceStopRequested, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    new = replace(
        old,
        status=InstanceStatus.STOPPING,
        since_ms=at.time_ms,
        revision=at.revision,
        stop_reason=event.reason,
    )
    return put(state, old, new)


def instance_ended(state: FabricState, event: ev.InstanceEnded, at: Moment) -> FabricState:
    old = state.instances[event.instance]
    state = detach(state, old)
    if not is_current(state, old):
        return drop_instance(state, old.id)
    ending = event.exit
    stable = ending is not None and _ran_well(state, old, ending, at.time_ms)
    new = replace(
        old,
        status=InstanceStatus(event.status),
        since_ms=at.time_ms,
        revision=at.revision,
        phase=Phase.ENDED,
        health=Health.UNKNOWN,
        health_message="",
        unready_ms=0,
        next_attempt_ms=0,
        exit=ending or old.exit,
        handle="",
        asked_ends=_asked_ends(old, event, stable=stable),
        ends_before=0 if stable else old.ends_before,
    )
    return put(state, old, new)


def _asked_ends(old: Instance, event: ev.InstanceEnded, *, stable: bool) -> int:
    if event.asked is None:
        return old.asked_ends
    return event.exit.attempt - 1 + event.asked if stable and event.exit is not None else old.asked_ends + event.asked


def instances_lost(state: FabricState, event: ev.InstancesLost, at: Moment) -> FabricState:
    for identifier in event.instances:
        old = state.instances[identifier]
        new = replace(old, status=InstanceStatus.LOST, since_ms=at.time_ms, revision=at.revision)
        state = put(state, old, new)
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
    state = keep_watched(put(state, old, new), new)
    state = set_stray(state, new, False)
    slot = slot_of(state, new) or Slot(generation=new.generation)
    replaced = slot.current
    state = put_slot(state, new, replace(slot, current=new.id))
    return state if replaced in ("", new.id) else leave_slot_live(state, replaced)


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
            state = leave_slot(state, current)
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
