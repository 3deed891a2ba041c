"""What sets the waits of an agent's replicas apart: where it is the same, what is told of one is true of the others."""

from omnitide.fabric.rules.conditions import only_node, volume_holder
from omnitide.fabric.state import FabricState, Instance


def pending_kind(state: FabricState, instance: Instance, now_ms: int) -> tuple[str, ...]:
    """Of one that is pending: its version, the node that it is bound to and by what, the generation that it waits for,
    and whether it waits for its back-off."""
    only, holder = only_node(state, instance), volume_holder(state, instance)
    return (
        str(instance.version),
        only,
        "sent" if only and only == instance.pinned else "",
        holder.id if holder is not None else "",
        "back-off" if instance.not_before_ms > now_ms else "",
    )
