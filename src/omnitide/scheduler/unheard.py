"""What a change does not reach: replicas on nodes that are silent or were stopped, and those that are lost there."""

from typing import Final

from omnitide.fabric.state import (
    FabricState,
    Instance,
    InstanceStatus,
    Node,
    NodeStatus,
    Scheduling,
    spec_of_instance,
)
from omnitide.model.quantity import format_duration

_DRAINS: Final = frozenset({Scheduling.DRAINING, Scheduling.DRAINED})


def hears(node: Node) -> bool:
    """Whether it is there to be told, and to report what came of it."""
    return node.status is NodeStatus.LIVE and node.session > 0 and not node.stopped_ms


def why_unheard(state: FabricState, instance: Instance) -> str:
    """In words, of a replica on a node that does not hear, what becomes of it instead. Empty: its node hears."""
    node = state.nodes[instance.node]
    if hears(node):
        return ""
    spec = spec_of_instance(state, instance)
    if spec.on_disconnect == "keep":
        then = "it waits for that node (its on_disconnect is keep)"
    else:
        then = "it is replaced once it counts as lost"
        if spec.lost_after:
            then += f", {format_duration(spec.lost_after)} after that"
    how = "was stopped by its operator" if node.stopped_ms else "has left" if node.left else "has not been heard from"
    return f"node {node.name} {how}: {then}"


def replaced(before: FabricState, after: FabricState) -> int:
    """How many replicas are lost on nodes that are being drained, or at once were drained, by what lies between, and
    have a next generation, which is there or waits for a node."""
    if before.nodes is after.nodes:
        return 0
    closed = (node.id for node in after.nodes.values() if node.scheduling in _DRAINS)
    drained = [before.nodes[one] for one in closed if before.nodes[one].scheduling not in _DRAINS]
    return sum(_is_replaced(before, before.instances[one]) for node in drained for one in node.instances)


def _is_replaced(state: FabricState, instance: Instance) -> bool:
    agent = state.agents.get(instance.workload)
    if instance.status is not InstanceStatus.LOST or agent is None:
        return False
    slot = agent.slots.get(instance.slot)
    return slot is not None and agent.wants(instance.slot) and slot.current != instance.id
