"""Emptying nodes: what runs on a draining one leaves it once, and as long as, another could take its place.

The scheduler says which instance could go where (`MoveInstances`), again whenever room may have appeared; here that is
checked on the state that it is decided on, and the instance is asked to stop. Its replacement is placed like any other.
What fits nowhere else goes on running where it is.

A rollout that is halted holds up no drain. What does not come up in the new version is on its way nowhere, so that a
move does not wait for it; what serves moves in the version that it has, and where the next generation of its slot is
what does not come up, that makes way for it.
"""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import is_available
from omnitide.fabric.rules.conditions import company, home_of
from omnitide.fabric.rules.failing import Wanted, halted_by, proven_nodes
from omnitide.fabric.rules.rolling import available, keeps_volumes, overlap, surge_left
from omnitide.fabric.rules.room import Room, promise
from omnitide.fabric.rules.settle import request_stop
from omnitide.fabric.state import ON_NODE, Agent, FabricState, Instance, InstanceStatus, Scheduling
from omnitide.model.spec import WorkloadSpec


def move_instances(draft: Draft, command: cm.MoveInstances) -> None:
    rooms: dict[str, Room] = {}
    now_ms = draft.header.time_ms
    moved = 0
    for choice in command.choices:
        instance = draft.state.instances.get(choice.instance)
        node = draft.state.nodes.get(choice.node)
        if instance is None or node is None or not is_leaving(draft.state, instance):
            continue
        agent = draft.state.agents[instance.workload]
        surges = may_surge(draft.state, agent, instance)
        if is_missed(draft.state, agent, instance) and not surges and to_spare(draft.state, agent, now_ms) <= 0:
            continue
        version = next_version(draft.state, agent, instance)
        if not may_go_to(draft.state, instance, agent.versions[version].spec, node.id):
            continue
        proven = proven_nodes(draft.state, agent, version)
        if proven is not None and node.id not in proven:
            continue
        room = rooms.setdefault(node.id, Room(node))
        if promise(room, agent.versions[version].spec):
            if surges:
                if instance.superseded:
                    _make_way(draft, instance)
                overlap(draft, instance, version, reason="drain")
                draft.touch(agent.id)
            else:
                request_stop(draft, instance, "drain")
            moved += 1
    draft.result = {"moved": moved, "left_out": len(command.choices) - moved}


def _make_way(draft: Draft, superseded: Instance) -> None:
    """What was to take the place of a replica, and does not come up, is given up, so that the replica can move. The
    rollout goes back to its slot, and stays halted there."""
    agent = draft.state.agents[superseded.workload]
    current = draft.state.instances[agent.slots[superseded.slot].current]
    draft.emit(ev.RolloutLate(agent=agent.id, slot=superseded.slot))
    if superseded.slot < agent.rollout_cursor:
        draft.emit(ev.RolloutAdvanced(agent=agent.id, cursor=superseded.slot))
    request_stop(draft, current, "drain")


def is_leaving(state: FabricState, instance: Instance) -> bool:
    """A replica on a draining node that nobody has asked to stop, or made another for which may still come up, yet.
    Tasks of jobs run to their end there."""
    if instance.kind != "agent" or instance.status not in ON_NODE or instance.status is InstanceStatus.STOPPING:
        return False
    if state.nodes[instance.node].scheduling is not Scheduling.DRAINING:
        return False
    if not instance.superseded:
        return True
    agent = state.agents[instance.workload]
    slot = agent.slots.get(instance.slot)
    return slot is not None and _is_held(state, agent, state.instances[slot.current])


def is_missed(state: FabricState, agent: Agent, instance: Instance) -> bool:
    """Whether to stop it now may take something away: it runs, and is not what holds a rollout up."""
    return instance.status is InstanceStatus.RUNNING and not _is_held(state, agent, instance)


def _is_held(state: FabricState, agent: Agent, current: Instance) -> bool:
    """Whether a slot's current instance is one of a version that does not come up, in a rollout that is halted."""
    if current.version != agent.version or is_available(agent, current, state.time_ms):
        return False
    return halted_by(state, agent) is not None


def held(state: FabricState, agent: Agent) -> list[Instance]:
    """The current instances of its slots that do not come up; looked for only where a rollout is halted."""
    if halted_by(state, agent) is None:
        return []
    currents = (state.instances.get(slot.current) for slot in agent.slots.values())
    return [one for one in currents if one is not None and _is_held(state, agent, one)]


def may_surge(state: FabricState, agent: Agent, instance: Instance) -> bool:
    """Whether its replacement may be made while it runs on."""
    if instance.superseded:
        return True  # in place of one that it has already
    if instance.status is not InstanceStatus.RUNNING or moves_left(state, agent) <= 0:
        return False
    return not any(state.instances[other].slot == instance.slot for other in agent.superseded)


def moves_left(state: FabricState, agent: Agent) -> int:
    """How many more replacements may be made while what they replace runs on: as many as an update may, besides those
    that do not come up."""
    left = surge_left(agent)
    if not agent.superseded or keeps_volumes(agent.spec):
        return left
    slots = (agent.slots.get(state.instances[other].slot) for other in agent.superseded)
    return left + sum(slot is not None and _is_held(state, agent, state.instances[slot.current]) for slot in slots)


def may_go_to(state: FabricState, instance: Instance, spec: WorkloadSpec, node: str) -> bool:
    """Whether nothing but room decides if its replacement may be on that node: no volume that stays, no company."""
    home = home_of(state, instance, spec)
    if home and home != node:
        return False
    if spec.together is None:
        return True
    others = company(state, instance.namespace, spec.together)
    return not others or node in others


def to_spare(state: FabricState, agent: Agent, now_ms: int) -> int:
    """How many of its available replicas may be stopped now to move them: as many as an update may.

    One that has failed for good, or that holds up a halted rollout, is not on its way, so that a move does not wait for
    it.
    """
    away = agent.replicas - available(state, agent, now_ms) - agent.counts.succeeded
    return agent.spec.update.max_unavailable - max(0, away - hopeless(state, agent))


def hopeless(state: FabricState, agent: Agent) -> int:
    """How many of its slots have failed for good, or hold up a halted rollout: nothing is on its way in them. Not those
    in which an older version serves."""
    served = {state.instances[other].slot for other in agent.superseded}
    currents = (agent.slots[slot].current for slot in served if slot in agent.slots)
    failed = agent.counts.failed - sum(state.instances[one].status is InstanceStatus.FAILED for one in currents)
    others = (one for one in held(state, agent) if one.status is not InstanceStatus.FAILED)
    return failed + sum(one.slot not in served for one in others)


def next_version(state: FabricState, agent: Agent, instance: Instance) -> int:
    """Of what will replace it."""
    if instance.superseded:
        return instance.version
    return Wanted(state, agent).version(instance.slot)
