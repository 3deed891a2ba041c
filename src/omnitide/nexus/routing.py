"""Whom a commit concerns: the nodes whose desired state an event may change."""

from omnitide.fabric import events as ev
from omnitide.fabric.state import FabricState


def _nodes_of_agent(before: FabricState, identifier: str) -> tuple[str, ...]:
    """Where its instances are, which may be taken over in another version."""
    agent = before.agents.get(identifier)
    if agent is None:
        return ()
    members = (before.instances.get(one) for one in (*(slot.current for slot in agent.slots.values()), *agent.strays))
    return tuple(dict.fromkeys(one.node for one in members if one is not None and one.node))


def nodes_of(before: FabricState, event: ev.Event) -> tuple[str, ...]:
    """Nodes whose desired state an event may change. `before` is the state before the batch that holds it."""
    if isinstance(event, ev.InstancesPlaced | ev.NodeRemoved):
        return (event.node,)
    if isinstance(event, ev.InstanceStopRequested | ev.InstanceEnded | ev.InstanceRecovered):
        instance = before.instances.get(event.instance)
        # Unknown before the batch: placed within it, and that event names the node.
        return (instance.node,) if instance is not None and instance.node else ()
    if isinstance(event, ev.AgentRolledBack | ev.AgentUpdated):
        return _nodes_of_agent(before, event.agent) if event.keeps else ()
    if isinstance(event, ev.AgentRemoved):
        agent = before.agents.get(event.agent)
        strays = () if agent is None else tuple(agent.strays)
        return tuple(before.instances[stray].node for stray in strays if stray in before.instances)
    if isinstance(event, ev.JobsRemoved):
        nodes: list[str] = []
        for identifier in event.jobs:
            job = before.jobs.get(identifier)
            if job is not None:
                nodes += [before.instances[stray].node for stray in job.strays if stray in before.instances]
        return tuple(nodes)
    return ()
