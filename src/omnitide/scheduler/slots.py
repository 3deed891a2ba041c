"""What a slot of an agent has in a state, and what became of it in a later one."""

from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.state import ON_NODE, Agent, FabricState, Instance, InstanceStatus


def current_in(state: FabricState, agent: Agent | None, number: int) -> Instance | None:
    slot = agent.slots.get(number) if agent is not None else None
    return state.instances.get(slot.current) if slot is not None else None


def serving_in(state: FabricState, agent: Agent | None, number: int, emptied: frozenset[str]) -> Instance | None:
    """What of a slot is on a node and has not been asked to stop; of two, that which is on one of the nodes `emptied`,
    else its current one."""
    if agent is None:
        return None
    found: list[Instance] = []
    current = current_in(state, agent, number)
    if current is not None and current.status in ON_NODE and current.status is not InstanceStatus.STOPPING:
        found.append(current)
    if not found or emptied:
        others = (state.instances[identifier] for identifier in sorted(agent.superseded))
        found += [one for one in others if one.slot == number and one.status in ON_NODE]
    return next((one for one in found if one.node in emptied), found[0] if found else None)


def was_on_node(before: FabricState, now: Instance) -> bool:
    """Also one that was being stopped: where its node says nothing of it, nobody knows what follows it."""
    was = before.instances.get(now.id)
    return was is not None and was.status in ON_NODE


def slots_of(before: Agent | None, after: Agent | None) -> set[int]:
    return {*(before.slots if before is not None else ()), *(after.slots if after is not None else ())}


def is_kept(before: FabricState, state: FabricState, agent: Agent | None, number: int) -> bool:
    """Whether a rollback that was looked at takes over what is in this slot."""
    current = current_in(state, agent, number)
    was = before.instances.get(current.id) if current is not None else None
    return current is not None and was is not None and runs_on(current) and current.kept_ms > was.kept_ms


def is_held(state: FabricState, agent: Agent | None, number: int) -> bool:
    """Whether a rollout does not get to this slot."""
    if agent is None or not agent.rollout_cursor or not agent.wants(number):
        return False
    current = current_in(state, agent, number)
    return current is not None and current.status in ON_NODE and current.version != agent.version
