"""Emptying nodes: what runs on a draining one leaves it once, and as long as, another could take its place.

The scheduler says which instance could go where (`MoveInstances`), again whenever room may have appeared; here that is
checked on the state that it is decided on, and the instance is asked to stop. Its replacement is placed like any other.
What fits nowhere else goes on running where it is.
"""

from omnitide.fabric import commands as cm
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.failing import Wanted, proven_nodes
from omnitide.fabric.rules.room import Room, promise
from omnitide.fabric.rules.settle import request_stop
from omnitide.fabric.state import ON_NODE, Agent, FabricState, Instance, InstanceStatus, Scheduling


def move_instances(draft: Draft, command: cm.MoveInstances) -> None:
    rooms: dict[str, Room] = {}
    moved = 0
    for choice in command.choices:
        instance = draft.state.instances.get(choice.instance)
        node = draft.state.nodes.get(choice.node)
        if instance is None or node is None or not is_leaving(draft.state, instance):
            continue
        agent = draft.state.agents[instance.workload]
        if instance.status is InstanceStatus.RUNNING and to_spare(agent) <= 0:
            continue
        version = next_version(draft.state, agent, instance)
        proven = proven_nodes(draft.state, agent, version)
        if proven is not None and node.id not in proven:
            continue
        room = rooms.setdefault(node.id, Room(node))
        if promise(room, agent.versions[version].spec):
            request_stop(draft, instance, "drain")
            moved += 1
    draft.result = {"moved": moved, "left_out": len(command.choices) - moved}


def is_leaving(state: FabricState, instance: Instance) -> bool:
    """A replica on a draining node that nobody has asked to stop yet. Tasks of jobs run to their end there."""
    if instance.kind != "agent" or instance.status not in ON_NODE or instance.status is InstanceStatus.STOPPING:
        return False
    return state.nodes[instance.node].scheduling is Scheduling.DRAINING


def to_spare(agent: Agent) -> int:
    """How many of its running replicas may be stopped now to move them: as many as an update may.

    One that has failed for good is not on its way, so that a move does not wait for it.
    """
    counts = agent.counts
    away = max(0, agent.replicas - counts.running - counts.succeeded - counts.failed)
    return agent.spec.update.max_unavailable - away


def next_version(state: FabricState, agent: Agent, instance: Instance) -> int:
    """Of what will replace it."""
    return Wanted(state, agent).version(instance.slot)
