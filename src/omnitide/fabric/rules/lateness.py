"""The deadline of a rollout's progress: one that comes no further for too long is halted, as one that has failed.

Nothing here reads a clock: `AdvanceRollouts` names it as late when `late_from` says so, and is looked at by log time.
What is late by then is one replica, the first that the rollout waits for; it is forgiven once it is available after
all.
"""

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import is_available, is_ready
from omnitide.fabric.rules.failing import halted_by
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus


def late_from(state: FabricState, agent: Agent) -> int | None:
    """Log time, maybe past, from which a rollout under way has not come further for too long; None: it is not bounded,
    or goes on no more anyway."""
    if not agent.rollout_cursor or agent.paused:
        return None
    version = agent.versions[agent.version]
    if not version.spec.update.progress_deadline or halted_by(state, agent) is not None:
        return None
    return version.came_further_ms + version.spec.update.progress_deadline


def note_lateness(draft: Draft, identifier: str) -> None:
    """Halt the rollout if it is due to be."""
    agent = draft.state.agents.get(identifier)
    if agent is None:
        return
    due = late_from(draft.state, agent)
    if due is not None and due <= draft.header.time_ms:
        slot = _waited_for(draft.state, agent, draft.header.time_ms)
        draft.emit(ev.RolloutLate(agent=agent.id, slot=slot))
        draft.touch(agent.id)


def _waited_for(state: FabricState, agent: Agent, now_ms: int) -> int:
    """The first slot that is not available, of those in the newest version if there is one; else the next to be asked,
    which others hold up."""
    found = 0
    for number in range(1, agent.replicas + 1):
        current = state.instances[agent.slots[number].current]
        if is_available(agent, current, now_ms):
            continue
        if current.version == agent.version:
            return number
        found = found or number
    return found or min(agent.rollout_cursor, agent.replicas)


def forgive_lateness(draft: Draft, identifier: str) -> None:
    """Let the rollout go on where what was late is available in the newest version."""
    agent = draft.state.agents[identifier]
    slot = agent.slots.get(agent.late) if agent.late else None
    current = draft.state.instances.get(slot.current) if slot is not None else None
    if current is None or current.version != agent.version:
        return
    if is_available(agent, current, draft.header.time_ms):
        draft.emit(ev.RolloutLate(agent=agent.id, slot=0))


def late_at_first(state: FabricState, agent: Agent, now_ms: int) -> Instance | None:
    """Of a first version, which has nothing to halt, the first replica that has been on its way for as long as the
    deadline, while no other has become available for as long; None if none has. Nothing is decided by it.

    What somebody has asked for since, or has ended and begins anew, has its own time.
    """
    version, deadline = agent.versions[agent.version], agent.spec.update.progress_deadline
    if not deadline or version.number > 1 or version.proven:
        return None
    further, found = version.created_ms, None
    for number in range(1, agent.replicas + 1):
        slot = agent.slots.get(number)
        current = state.instances.get(slot.current) if slot is not None else None
        if current is None or current.status is InstanceStatus.SUCCEEDED:
            continue
        if is_ready(agent, current):
            further = max(further, current.started_ms, current.ready_ms)
        if is_available(agent, current, now_ms):
            continue
        began = max(current.created_ms, current.since_ms, current.started_ms)
        if found is None and began + deadline <= now_ms:
            found = current
    return found if further + deadline <= now_ms else None
