"""Rollouts: how a new version takes the place of the old one, how far it may go, and what ends it.

A rollout goes through the slots in order (`Agent.rollout_cursor`). Where the update allows a surge, the next generation
of a slot is made while the one before runs on, *superseded*, and that is stopped once the new one is available; else it
is stopped first, as long as no more than `max_unavailable` replicas are away by it. The cursor is 0 again when every
slot is available in the new version. Nothing here reads a clock: `AdvanceRollouts` comes when `next_due` says that a
replica will have been ready for long enough, and is looked at by log time.
"""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import available_from, is_available, is_ready
from omnitide.fabric.rules.conditions import volume_holder
from omnitide.fabric.rules.failing import halted_by, is_held_up, version_that_works
from omnitide.fabric.rules.settle import request_stop, settle_agent
from omnitide.fabric.state import ENDED, Agent, FabricState, Instance, InstanceStatus
from omnitide.model.provisions import stays
from omnitide.model.spec import WorkloadSpec

MAX_ADVANCED = 1000
"""Agents of one `AdvanceRollouts`; further ones are due again at once."""


def available(state: FabricState, agent: Agent, now_ms: int) -> int:
    """Slots of which an instance is available. Two may be, until `release_superseded` has been through."""
    unready = sum(not is_available(agent, state.instances[identifier], now_ms) for identifier in agent.watched)
    twice = sum(_is_covered(state, agent, state.instances[identifier], now_ms) for identifier in agent.superseded)
    return agent.counts.running - unready - twice


def _is_covered(state: FabricState, agent: Agent, superseded: Instance, now_ms: int) -> bool:
    """Whether it is available, and what is to take its place as well."""
    slot = agent.slots.get(superseded.slot)
    current = state.instances.get(slot.current) if slot is not None else None
    return current is not None and all(is_available(agent, one, now_ms) for one in (superseded, current))


def unavailable(state: FabricState, agent: Agent, now_ms: int) -> int:
    """Replicas that should be available and are not: not those that have done their work, or that their policy gave one
    try."""
    counts = agent.counts
    done = counts.succeeded + (counts.failed if agent.spec.restart.policy == "never" else 0)
    return max(0, agent.replicas - available(state, agent, now_ms) - done)


def next_due(state: FabricState, agent: Agent) -> int | None:
    """Log time, maybe past, at which a replica of a rollout or move under way is available without anyone's having
    looked; None if none is to be."""
    if agent.id not in state.rolling:
        return None
    watched = (state.instances[identifier] for identifier in agent.watched)
    return min((available_from(agent, instance) for instance in watched if is_ready(agent, instance)), default=None)


def advance_rollouts(draft: Draft, command: cm.AdvanceRollouts) -> None:
    for identifier in command.agents[:MAX_ADVANCED]:
        agent = draft.state.agents.get(identifier)
        due = next_due(draft.state, agent) if agent is not None else None
        if agent is not None and due is not None and due <= draft.header.time_ms:
            # They are not watched any more.
            draft.emit(ev.RolloutAdvanced(agent=agent.id, cursor=agent.rollout_cursor))
            draft.touch(agent.id)


def keeps_volumes(spec: WorkloadSpec) -> bool:
    """Whether a volume of it stays with its node: then no two generations of a slot run at once."""
    return any(map(stays, spec.volumes.values()))


def overlap(draft: Draft, instance: Instance, version: int, *, reason: str, node: str = "") -> None:
    """The next generation of a slot, made while this instance, its current one, runs on."""
    slot = draft.state.agents[instance.workload].slots[instance.slot]
    draft.emit(
        ev.InstancesCreated(
            workload_kind="agent",
            workload=instance.workload,
            version=version,
            slots=(ev.SlotGeneration(instance.slot, slot.generation + 1),),
            reason=reason,
            node=node,
        )
    )


def surge_left(agent: Agent) -> int:
    """How many more generations may run beside the ones that they are to replace."""
    if keeps_volumes(agent.spec):
        return 0
    return agent.spec.update.max_surge - len(agent.superseded)


def release_superseded(draft: Draft, identifier: str) -> None:
    """Stop what has been superseded by an instance that is available by now."""
    agent = draft.state.agents.get(identifier)
    if agent is None or not agent.superseded:
        return
    for other in sorted(agent.superseded):
        instance = draft.state.instances[other]
        slot = agent.slots.get(instance.slot)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if slot is None or not agent.wants(instance.slot):
            request_stop(draft, instance, "scaled-down")
            continue
        over = current is None or _takes_over(agent, current, draft.header.time_ms)
        if over or (_comes_back(draft.state, instance, current) and _may_be_away(draft, agent, instance)):
            request_stop(draft, instance, "superseded")


def _comes_back(state: FabricState, superseded: Instance, current: Instance | None) -> bool:
    """Whether a move came to nothing: the next generation waits for the volumes that the superseded one has."""
    if current is None:
        return False
    return current.status is InstanceStatus.PENDING and volume_holder(state, current) == superseded


def _may_be_away(draft: Draft, agent: Agent, instance: Instance) -> bool:
    """Whether it may be stopped before another is there, as in an update."""
    agent, now_ms = draft.state.agents[agent.id], draft.header.time_ms
    if not is_available(agent, instance, now_ms):
        return True
    return unavailable(draft.state, agent, now_ms) < agent.spec.update.max_unavailable


def _takes_over(agent: Agent, current: Instance, now_ms: int) -> bool:
    if current.status is InstanceStatus.RUNNING:
        return is_available(agent, current, now_ms)
    # One that has done its work needs no other; one that has failed for good leaves it to the one before.
    return current.status is InstanceStatus.SUCCEEDED


def advance_rollout(draft: Draft, identifier: str) -> None:
    """Take the rollout as far as it may go now.

    Nothing more is taken from the old version while it is paused, or once a replica of the new version has failed for
    good (see `halted_by`): then it stays as it is, or the version that works is rolled out again, by `on_failure`.
    """
    agent = draft.state.agents.get(identifier)
    if agent is None or agent.rollout_cursor == 0 or not agent.active or agent.deleting or agent.paused:
        return
    failed = halted_by(draft.state, agent)
    if failed is not None:
        _roll_back_by_itself(draft, agent, failed)
        agent = draft.state.agents[identifier]
        if halted_by(draft.state, agent) is not None:
            return
    before = draft.before.agents.get(identifier)
    if before is not None and before.version == agent.version and is_held_up(draft.before, before):
        # It goes on: what waits in an older version, made while it was held up, is wanted in the new one again.
        settle_agent(draft, identifier, reason="update")
        agent = draft.state.agents[identifier]
    cursor = _go_on(draft, agent)
    agent = draft.state.agents[identifier]
    if cursor > agent.replicas and not agent.superseded and not unavailable(draft.state, agent, draft.header.time_ms):
        cursor = 0
    if cursor != agent.rollout_cursor:
        draft.emit(ev.RolloutAdvanced(agent=identifier, cursor=cursor))


def _go_on(draft: Draft, agent: Agent) -> int:
    """Returns the next slot to look at."""
    cursor, now_ms = agent.rollout_cursor, draft.header.time_ms
    if cursor > agent.replicas:
        return cursor
    restarted = agent.versions[agent.version].reason == "restarted"
    state, budget = draft.state, None
    surge = surge_left(agent)
    while cursor <= agent.replicas:
        slot = agent.slots.get(cursor)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if current is not None and current.version != agent.version and current.status not in ENDED:
            if is_available(agent, current, now_ms):
                if surge > 0:
                    surge -= 1
                    overlap(draft, current, agent.version, reason="update")
                    cursor += 1
                    continue
                if budget is None:
                    budget = agent.spec.update.max_unavailable - unavailable(state, agent, now_ms)
                if budget <= 0:
                    break
                budget -= 1
            request_stop(draft, current, "restart" if restarted else "update")
        cursor += 1
    return cursor


def _roll_back_by_itself(draft: Draft, agent: Agent, failed: Instance) -> None:
    """If its spec says so. Never from a version that is a way back itself: then both have failed."""
    version = agent.versions[agent.version]
    if agent.spec.update.on_failure != "rollback" or version.reason == "rolled-back":
        return
    source = version_that_works(draft.state, agent)
    if source not in agent.versions or agent.versions[source].spec == agent.spec:
        return
    ending = failed.exit
    why = "" if ending is None else ending.cause or ending.reason
    cause = f"{failed.name} of version {agent.version} failed for good{f': {why}' if why else ''}"
    draft.emit(ev.AgentRolledBack(agent=agent.id, version=agent.version + 1, source=source, cause=cause))
    settle_agent(draft, agent.id, reason="update")
