"""Which replicas end again and again, and the word that lists use for what an instance does."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from omnitide.fabric.rules.failing import ends_in_a_row
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, Phase
from omnitide.model import objects as ob
from omnitide.operations.missing import MISSING

LOOP: Final = 2
"""Ends in a row, on a node or of generations before, from which a replica that ended not long ago is taken to loop."""

LONG_PENDING_MS: Final = 10_000
"""What waits for a node longer than this is in trouble rather than on its way."""

EXAMINED_SLOTS: Final = 256
"""Slots of an agent that are looked at for what is wrong with it, each time that it is shown; the counters cover the
others. Of what has no counter it is told that there may be more (`is_part`)."""

_TRIES: Final = frozenset(
    {InstanceStatus.PENDING, InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING}
)


def waits_for_node(instance: Instance, now_ms: int) -> bool:
    """It has had no node for long. A back-off is not a wait for one."""
    pending = instance.status is InstanceStatus.PENDING and instance.not_before_ms <= now_ms
    return pending and now_ms - _pending_since_ms(instance) > LONG_PENDING_MS


def _pending_since_ms(instance: Instance) -> int:
    return max(instance.since_ms, instance.not_before_ms)


def is_failing(agent: Agent, instance: Instance, now_ms: int) -> bool:
    """Whether it ended by itself not long ago, as often as it takes to be no accident, and may do so again: whatever it
    does at this moment. `instance`: its slot's current one. What has failed for good is not tried any more, and what
    waits for a node does nothing that could fail: neither is such a one."""
    if not (instance.ends_before or instance.exit is not None) or instance.status not in _TRIES:
        return False
    if instance.exit is not None and instance.exit.cause == MISSING:
        return False  # it waits for a value that there is none of, and starts when that is set
    if waits_for_node(instance, now_ms):
        return False
    return ends_in_a_row(instance, agent.spec.restart.reset_after, now_ms) >= LOOP


def failing_of(state: FabricState, agent: Agent, now_ms: int) -> Iterator[Instance]:
    """The replicas of an agent that end again and again, of those looked at."""
    if not agent.active or agent.deleting:
        return
    for slot in islice(agent.slots.values(), EXAMINED_SLOTS):
        instance = state.instances.get(slot.current)
        if instance is not None and is_failing(agent, instance, now_ms):
            yield instance


def is_part(agent: Agent) -> bool:
    """Whether it has more replicas than are looked at."""
    return len(agent.slots) > EXAMINED_SLOTS


def failing_until_ms(agent: Agent, instance: Instance) -> int:
    """When one that runs has run well for as long as its agent takes to forgive; never, if it does not run."""
    if instance.status is not InstanceStatus.RUNNING:
        return ob.MAX_TIME_MS
    return instance.started_ms + agent.spec.restart.reset_after


def condition_of(instance: Instance, *, silent: bool, now_ms: int) -> ob.InstanceCondition:
    """`silent`: nothing is heard of it now."""
    if silent:
        return "unknown"
    if instance.health.value == "unhealthy":
        return "unhealthy"
    if instance.status is InstanceStatus.STARTING and instance.phase is Phase.WAITING:
        return "waiting"
    if instance.status is InstanceStatus.PENDING and instance.not_before_ms > now_ms:
        return "waiting"
    return instance.status.value


def changes_at_ms(agents: Mapping[str, Agent], instance: Instance, now_ms: int) -> int:
    """When the passing of time alone lets it look otherwise; 0: it does not."""
    if instance.status is InstanceStatus.PENDING:
        if instance.not_before_ms > now_ms:
            return instance.not_before_ms
        waits_ms = _pending_since_ms(instance) + LONG_PENDING_MS + 1
        return waits_ms if instance.ends_before >= LOOP and waits_ms > now_ms else 0
    agent = agents.get(instance.workload)
    slot = agent.slots.get(instance.slot) if agent is not None else None
    if agent is None or slot is None or slot.current != instance.id or instance.status is not InstanceStatus.RUNNING:
        return 0
    if not ends_in_a_row(instance, agent.spec.restart.reset_after, now_ms):
        return 0
    return failing_until_ms(agent, instance)
