"""What holds of each step while rollouts and moves go on: no more is stopped, and no more runs beside what it replaces,
than an update allows."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.availability import is_available
from omnitide.fabric.rules.conditions import volume_holder
from omnitide.fabric.rules.moving import held, hopeless
from omnitide.fabric.rules.rolling import available
from omnitide.fabric.state import Agent, FabricState, Health, Instance, InstanceStatus


def serving_violations(
    before: FabricState, after: FabricState, agents: Iterable[str], entry: ev.Entry
) -> Iterator[str]:
    """`agents`: ids of those that the entry touched."""
    yield from _overlapping(before, after, agents)
    yield from _taken_away(before, after, entry)
    yield from _stopped_for_less(before, after, entry)


def as_taken_over(before: FabricState, after: FabricState, entry: ev.Entry, instance: Instance) -> Instance:
    """The instance as it was; in the version of the rollback, or of the deployment of the same spec, that has taken it
    over, if one that keeps replicas did."""
    for event in entry.events:
        if not isinstance(event, ev.AgentRolledBack | ev.AgentUpdated):
            continue
        if not event.keeps or event.agent != instance.workload:
            continue
        now = after.instances[instance.id]
        spec = before.agents[event.agent].versions[instance.version].spec
        if now.version == event.version and spec == after.agents[event.agent].versions[event.version].spec:
            return replace(instance, version=event.version)
    return instance


def _overlapping(before: FabricState, after: FabricState, agents: Iterable[str]) -> Iterator[str]:
    """No more run at once than the update's surge allows, what somebody has sent elsewhere, and what does not come up
    in a halted rollout."""
    for identifier in agents:
        old, new = before.agents.get(identifier), after.agents.get(identifier)
        if new is None:
            continue
        more = len(set(new.superseded) - set(old.superseded if old is not None else ()))
        moved = sum(
            bool(after.instances[slot.current].pinned) and (old is None or old.slots.get(number) != slot)
            for number, slot in new.slots.items()
        )
        if more > moved and len(new.superseded) > new.spec.update.max_surge + moved + _covering(before, after, new):
            yield f"agent {identifier}: {len(new.superseded)} superseded instances run on"


def _covering(before: FabricState, after: FabricState, agent: Agent) -> int:
    """How many of the superseded do so for one that does not come up, or has made way for a move just now."""
    old = before.agents.get(agent.id)
    for_none = {one.slot for one in (*held(after, agent), *(held(before, old) if old is not None else ()))}
    return sum(after.instances[other].slot in for_none for other in agent.superseded)


def _taken_away(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """A rollout or a drain by itself never leaves fewer available than the update allows."""
    agents: dict[str, None] = {}
    back: set[str] = set()
    for event in entry.events:
        instance = before.instances.get(event.instance) if isinstance(event, ev.InstanceStopRequested) else None
        if instance is None or not isinstance(event, ev.InstanceStopRequested):
            continue
        if event.reason in ("update", "drain"):
            agents[instance.workload] = None
        elif event.reason == "superseded":
            agent = after.agents[instance.workload]
            current = after.instances[agent.slots[instance.slot].current]
            covered = any(after.instances[other].slot == instance.slot for other in agent.superseded)
            on_its_way = (InstanceStatus.PENDING, InstanceStatus.PLACED, InstanceStatus.STARTING)
            holder = volume_holder(after, current) if current.status is InstanceStatus.PENDING else None
            if holder is not None and holder.id == instance.id:
                # Its move came to nothing: it starts anew where its volumes are.
                back.add(instance.id)
                agents[instance.workload] = None
            elif current.status in on_its_way and not covered:
                yield f"instance {instance.id}: stopped, and {current.id} in its place is {current.status}"
            elif current.status is InstanceStatus.RUNNING and not is_available(agent, current, entry.time_ms):
                yield f"instance {instance.id}: stopped, and {current.id} in its place is not available yet"
    for identifier in agents:
        old, new = before.agents.get(identifier), after.agents.get(identifier)
        if old is None or new is None or not new.active or new.deleting or old.replicas != new.replicas:
            continue
        # What the world has taken in this very entry is not the rollout's doing.
        told = (ev.InstanceStarting, ev.InstanceRunning, ev.InstanceExited, ev.InstanceHealthChanged, ev.InstanceEnded)
        moved = {event.instance for event in entry.events if isinstance(event, told)}
        asked = {event.instance for event in entry.events if isinstance(event, ev.InstanceStopRequested)}
        lost = sum(
            1
            for event in entry.events
            if isinstance(event, ev.InstanceStopRequested)
            and (event.reason in ("update", "drain") or event.instance in back)
            and event.instance in before.instances
            and before.instances[event.instance].workload == identifier  # one entry may drain several agents
            and event.instance not in moved
            and is_available(old, before.instances[event.instance], entry.time_ms)
        )
        now = available(after, new, entry.time_ms)
        done = new.counts.succeeded + hopeless(after, new)
        if lost and now + done < new.replicas - max(old.may_be_away, new.may_be_away):
            yield f"agent {identifier}: {now} of {new.replicas} available after {sorted(asked)} were asked to stop"


def _is_there(agent: Agent, instance: Instance, now_ms: int, before: Agent) -> bool:
    """Available by the rule of its own version, whatever version is the newest by now. Written here once more, so that
    a rollout is not judged by what it goes by itself."""
    spec = agent.versions[instance.version].spec
    if instance.status is not InstanceStatus.RUNNING:
        return False
    if spec.health.readiness is None:
        since = instance.started_ms
    elif instance.health is Health.HEALTHY:
        since = instance.ready_ms
    else:
        return False
    # What was not watched had been seen to be available, or came to run while nothing rolled out.
    watched = instance.id in before.watched or instance.id in agent.watched
    return not watched or now_ms >= since + spec.update.min_healthy


def _stopped_for_less(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """An available instance of a version that is known to work is not stopped by a rollout or a move for one that is
    not available by its own version's rule. One that the same entry asks to stop, after that, is judged as it was."""
    asked = {event.instance for event in entry.events if isinstance(event, ev.InstanceStopRequested)}
    for event in entry.events:
        if not isinstance(event, ev.InstanceStopRequested) or event.reason != "superseded":
            continue
        instance = before.instances.get(event.instance)
        old = before.agents.get(instance.workload) if instance is not None else None
        new = after.agents.get(instance.workload) if instance is not None else None
        if instance is None or old is None or new is None or not new.versions[instance.version].proven:
            continue
        slot = new.slots.get(instance.slot)
        current = after.instances.get(slot.current) if slot is not None else None
        if current is None or current.status is InstanceStatus.SUCCEEDED:
            continue
        holder = volume_holder(after, current) if current.status is InstanceStatus.PENDING else None
        if holder is not None and holder.id == instance.id:
            continue  # its move came to nothing: as many may be away as in an update
        others = [current, *(after.instances[other] for other in new.superseded)]
        others = [before.instances.get(one.id, one) if one.id in asked else one for one in others]
        there = any(one.slot == instance.slot and _is_there(new, one, entry.time_ms, old) for one in others)
        if _is_there(old, instance, entry.time_ms, old) and not there:
            yield (
                f"instance {instance.id}: available in version {instance.version}, which is known to work, and stopped "
                "for what is not available by the rule of its own version"
            )
