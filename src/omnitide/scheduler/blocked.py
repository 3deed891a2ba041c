"""Why a replica that would fit on another node does not leave its own: the update of its agent lets no more be away."""

from itertools import islice
from typing import Final

from omnitide.fabric.folds.availability import is_available
from omnitide.fabric.rules.failing import halted_by, how_it_is
from omnitide.fabric.rules.moving import held, is_missed, may_surge, to_spare
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, Phase

EXAMINED_SLOTS: Final = 1000
"""Of an agent, in search of the replica that is waited for. Asked of few replicas at a time, so that more are looked at
than where every agent is shown."""
_OVER: Final = frozenset({InstanceStatus.FAILED, InstanceStatus.SUCCEEDED})


def why_blocked(state: FabricState, instance: Instance, now_ms: int, *, generations: bool = True) -> str:
    """Of a replica that is to leave its node and would fit elsewhere, to stand after `it stays `; empty: nothing but
    room keeps it. `generations`: whether that which it waits for is named with its generation, or as a replica."""
    agent = state.agents[instance.workload]
    if not is_missed(state, agent, instance) or may_surge(state, agent, instance):
        return ""
    if to_spare(state, agent, now_ms) > 0:
        return ""
    down, others = _waited_for(state, agent, now_ms)
    beside = bool(agent.superseded) and not down
    if beside:
        slots = sorted({state.instances[one].slot for one in agent.superseded})
        currents = (state.instances.get(agent.slots[slot].current) for slot in slots if slot in agent.slots)
        coming = [one for one in currents if one is not None and not is_available(agent, one, now_ms)]
        down, others = coming[:1], max(0, len(coming) - 1)
    update = agent.spec.update
    if beside and update.max_surge:
        may = f"{_replicas(agent)} and {update.max_surge} more may run at once"
    else:
        may = f"{update.max_unavailable or 'none'} of {_replicas(agent)} may be away at once"
    if not down:
        return f"as {may}"
    first = down[0]
    held_up = _held_up(state, agent, first)
    name = first.name if generations else f"{agent.name}-{first.slot}"
    whom = "it" if first.id == instance.id else f"{name}{_version(state, agent, first)}"
    if first.status is InstanceStatus.STOPPING:
        whom = f"another runs in place of {name}, which stops"
        return f"until {whom}; {may}{held_up}"
    least = "at least " if len(agent.slots) > EXAMINED_SLOTS and not beside else ""
    besides = f", and {least}{others} more" if others else ""
    are = "are" if others else "is"
    return f"until {whom}{besides} {are} available{_how(agent, first)}; {may}{held_up}"


def why_not_released(state: FabricState, superseded: Instance) -> str:
    """Of one that goes once the next generation of its slot is available, to stand after `it stays `."""
    agent = state.agents[superseded.workload]
    current = state.instances[agent.slots[superseded.slot].current]
    until = f"until version {current.version} is available in its place"
    return f"{until}{_how(agent, current)}{_held_up(state, agent, current)}"


def _waited_for(state: FabricState, agent: Agent, now_ms: int) -> tuple[list[Instance], int]:
    """What is to be available before another may go, if any, and how many more: not what nothing is on its way in (see
    `to_spare`), nor a slot in which an older version serves."""
    hopeless = {one.id for one in held(state, agent)}
    served = {state.instances[one].slot for one in agent.superseded if state.instances[one].status not in _OVER}
    down: list[Instance] = []
    for slot in islice(agent.slots.values(), EXAMINED_SLOTS):
        one = state.instances.get(slot.current)
        if one is None or one.status in _OVER or one.id in hopeless or one.slot in served:
            continue
        if not is_available(agent, one, now_ms):
            down.append(one)
    down.sort(key=lambda one: (one.since_ms, one.slot))
    return down[:1], max(0, len(down) - 1)


def _replicas(agent: Agent) -> str:
    return f"{agent.replicas} replica{'' if agent.replicas == 1 else 's'}"


def _version(state: FabricState, agent: Agent, one: Instance) -> str:
    """Told while there is more than one."""
    return f" of version {one.version}" if agent.id in state.rolling else ""


def _how(agent: Agent, one: Instance) -> str:
    if one.phase is Phase.WAITING:
        return ": it ended, and is to be tried again"
    return how_it_is(agent, one)


def _held_up(state: FabricState, agent: Agent, one: Instance) -> str:
    """Of the rollout that is to bring what is waited for."""
    if one.version != agent.version:
        return ""
    if agent.rollout_cursor and agent.paused:
        return f"; the rollout of version {agent.version} is paused"
    if halted_by(state, agent) is not None:
        return f"; the rollout of version {agent.version} is halted"
    return ""
