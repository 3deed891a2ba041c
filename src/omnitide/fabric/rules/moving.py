"""Emptying nodes: what runs on a draining one leaves it once, and as long as, another could take its place.

The scheduler says which instance could go where (`MoveInstances`), again whenever room may have appeared; here that is
checked on the state that it is decided on, and the instance is asked to stop. Its replacement is placed like any other.
What fits nowhere else goes on running where it is.
"""

from omnitide.fabric import commands as cm
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.conditions import company, home_of
from omnitide.fabric.rules.failing import Wanted, proven_nodes
from omnitide.fabric.rules.rolling import available, overlap, surge_left
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
        if instance.status is InstanceStatus.RUNNING and not surges and to_spare(draft.state, agent, now_ms) <= 0:
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
                overlap(draft, instance, version, reason="drain")
                draft.touch(agent.id)
            else:
                request_stop(draft, instance, "drain")
            moved += 1
    draft.result = {"moved": moved, "left_out": len(command.choices) - moved}


def is_leaving(state: FabricState, instance: Instance) -> bool:
    """A replica on a draining node that nobody has asked to stop, or made another for, yet. Tasks of jobs run to their
    end there."""
    if instance.superseded or instance.kind != "agent":
        return False
    if instance.status not in ON_NODE or instance.status is InstanceStatus.STOPPING:
        return False
    return state.nodes[instance.node].scheduling is Scheduling.DRAINING


def may_surge(state: FabricState, agent: Agent, instance: Instance) -> bool:
    """Whether its replacement may be made while it runs on."""
    if instance.status is not InstanceStatus.RUNNING or surge_left(agent) <= 0:
        return False
    return not any(state.instances[other].slot == instance.slot for other in agent.superseded)


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

    One that has failed for good is not on its way, so that a move does not wait for it.
    """
    counts = agent.counts
    away = max(0, agent.replicas - available(state, agent, now_ms) - counts.succeeded - counts.failed)
    return agent.spec.update.max_unavailable - away


def next_version(state: FabricState, agent: Agent, instance: Instance) -> int:
    """Of what will replace it."""
    return Wanted(state, agent).version(instance.slot)
