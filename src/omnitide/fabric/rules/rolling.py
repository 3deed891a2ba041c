"""Rollouts: how a new version takes the place of the old one, how far it may go, and what ends it.

A rollout goes through the slots in order (`Agent.rollout_cursor`). Where the update allows a surge, the next generation
of a slot is made while the one before runs on, *superseded*, and that is stopped once the new one is available; else it
is stopped first, as long as no more than `max_unavailable` replicas are away by it. What serves nobody in an older
version goes before its turn where it would hold up the others. The cursor is 0 again when every slot is available in
the new version. Nothing here reads a clock: `AdvanceRollouts` comes when `next_due` says that a replica will have been
ready for long enough, and is looked at by log time.
"""

from collections.abc import Iterable

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import available_from, is_available, is_ready, serves, was_available
from omnitide.fabric.folds.membership import is_current
from omnitide.fabric.rules.conditions import volume_holder
from omnitide.fabric.rules.failing import (
    ends_before,
    ends_in_a_row,
    halted_by,
    halting_ends,
    is_held_up,
    is_late,
    stumbling,
    version_that_works,
    why_halted,
)
from omnitide.fabric.rules.going_back import go_back
from omnitide.fabric.rules.lateness import forgive_lateness, note_lateness
from omnitide.fabric.rules.proving import prove_by_rollout
from omnitide.fabric.rules.settle import request_stop, settle_agent
from omnitide.fabric.state import ENDED, Agent, ExitRecord, FabricState, Instance, InstanceStatus
from omnitide.model.provisions import stays
from omnitide.model.spec import WorkloadSpec

MAX_ADVANCED = 1000
"""Agents, and late ones, of one `AdvanceRollouts`; further ones are due again at once."""


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
    well = _runs_well_from(state, agent)
    watched = (state.instances[identifier] for identifier in agent.watched)
    times = [available_from(agent, instance) for instance in watched if is_ready(agent, instance)]
    return min([*times, well] if well is not None else times, default=None)


def _runs_well_from(state: FabricState, agent: Agent) -> int | None:
    """Log time from which the replica that has stumbled halts the rollout no more; None: it does not run."""
    found = stumbling(state, agent)
    if found is None or not is_ready(agent, found[0]):
        return None
    return found[0].started_ms + agent.versions[found[0].version].spec.restart.reset_after


def note_end(draft: Draft, before: Instance) -> None:
    """Whether the rollout stumbles over the end of an attempt, or of a generation, of a replica. `before`: as it was
    until then."""
    agent = draft.state.agents.get(before.workload)
    if agent is None or not agent.rollout_cursor or agent.stumbled or before.version != agent.version:
        return
    slot = agent.slots.get(before.slot)
    current = draft.state.instances.get(slot.current) if slot is not None else None
    if slot is None or current is None or current.version != agent.version or not agent.wants(before.slot):
        return
    if current.status in ENDED or was_available(agent, before, draft.header.time_ms):
        return
    if ends_in_a_row(current, agent.spec.restart.reset_after, draft.header.time_ms) >= halting_ends(agent.spec.restart):
        draft.emit(ev.RolloutStumbled(agent=agent.id, slot=before.slot))


def advance_rollouts(draft: Draft, command: cm.AdvanceRollouts) -> None:
    for identifier in command.agents[:MAX_ADVANCED]:
        agent = draft.state.agents.get(identifier)
        if agent is None:
            continue
        due = next_due(draft.state, agent)
        if due is not None and due <= draft.header.time_ms:
            # They are not watched any more.
            further = _comes_further(draft.state, agent, draft.header.time_ms)
            draft.emit(ev.RolloutAdvanced(agent=agent.id, cursor=agent.rollout_cursor, progress=further))
            well = _runs_well_from(draft.state, draft.state.agents[agent.id])
            if well is not None and well <= draft.header.time_ms:
                draft.emit(ev.RolloutStumbled(agent=agent.id, slot=0))
            draft.touch(agent.id)
    for identifier in command.late[:MAX_ADVANCED]:
        note_lateness(draft, identifier)


def _comes_further(state: FabricState, agent: Agent, now_ms: int) -> bool:
    """Whether a replica of the version that rolls out has become available without anyone's having looked."""
    if not agent.rollout_cursor:
        return False
    watched = (state.instances[identifier] for identifier in agent.watched)
    return any(one.version == agent.version and is_available(agent, one, now_ms) for one in watched)


def keeps_volumes(spec: WorkloadSpec) -> bool:
    """Whether a volume of it stays with its node: then no two generations of a slot run at once."""
    return any(map(stays, spec.volumes.values()))


def overlap(draft: Draft, instance: Instance, version: int, *, reason: str, node: str = "") -> None:
    """The next generation of a slot, made while this instance, its current one, runs on."""
    agent = draft.state.agents[instance.workload]
    slot, restart = agent.slots[instance.slot], agent.versions[version].spec.restart
    # A person moves a replica to try it elsewhere; a drain says nothing of it.
    moved = instance if reason == "drain" else None
    draft.emit(
        ev.InstancesCreated(
            workload_kind="agent",
            workload=instance.workload,
            version=version,
            slots=(ev.SlotGeneration(instance.slot, slot.generation + 1),),
            reason=reason,
            node=node,
            ends_before=ends_before(moved, version, restart.reset_after, draft.header.time_ms),
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
    if not serves(agent, instance, now_ms):
        return True
    return unavailable(draft.state, agent, now_ms) < agent.may_be_away


def _takes_over(agent: Agent, current: Instance, now_ms: int) -> bool:
    if current.status is InstanceStatus.RUNNING:
        return is_available(agent, current, now_ms)
    # One that has done its work needs no other; one that has failed for good leaves it to the one before.
    return current.status is InstanceStatus.SUCCEEDED


def advance_rollout(draft: Draft, identifier: str, told: Iterable[str] = ()) -> None:
    """Take the rollout as far as it may go now.

    Nothing more is taken from the old version while it is paused, or once a replica of the new version has failed for
    good (see `halted_by`): then it stays as it is, or the version that works is rolled out again, by `on_failure`.
    `told`: instances of the agent of which this decision has heard.
    """
    agent = draft.state.agents.get(identifier)
    if agent is None or agent.rollout_cursor == 0 or not agent.active or agent.deleting or agent.paused:
        return
    forgive_lateness(draft, identifier)
    agent = draft.state.agents[identifier]
    failed = halted_by(draft.state, agent)
    if failed is not None:
        _roll_back_by_itself(draft, agent, failed)
        agent = draft.state.agents[identifier]
        if halted_by(draft.state, agent) is not None:
            return
    before = draft.before.agents.get(identifier)
    begins = before is None or before.version != agent.version
    if before is not None and not begins and is_held_up(draft.before, before):
        # It goes on: what waits in an older version, made while it was held up, is wanted in the new one again.
        settle_agent(draft, identifier, reason="update")
        agent, begins = draft.state.agents[identifier], True
    if begins:
        told = [agent.slots[number].current for number in sorted(agent.slots)]
    _make_way(draft, agent, sorted({*told, *agent.watched}))
    agent = draft.state.agents[identifier]
    cursor = _go_on(draft, agent)
    agent = draft.state.agents[identifier]
    if cursor > agent.replicas and not agent.superseded and not unavailable(draft.state, agent, draft.header.time_ms):
        cursor = 0
        prove_by_rollout(draft, identifier)
    if cursor != agent.rollout_cursor:
        draft.emit(ev.RolloutAdvanced(agent=identifier, cursor=cursor, progress=True))


def _make_way(draft: Draft, agent: Agent, known: list[str]) -> None:
    """Stop what serves nobody in an older version and uses up what may be away: wherever its slot is, it must not hold
    up the version that may mend it.

    As many at once as may be away, one at least, and only while nothing of the new version is on its way: it has to
    show that it can run before more is taken. `known`: instances to look at, all when the rollout begins, later those
    that may have come to be so, so that a rollout costs what it has in hand.
    """
    now_ms = draft.header.time_ms
    idle: list[Instance] = []
    for identifier in known:
        instance = draft.state.instances.get(identifier)
        if instance is None or instance.status in ENDED or instance.status is InstanceStatus.STOPPING:
            continue
        if instance.version == agent.version:
            if not is_available(agent, instance, now_ms):
                return
        # Nearly all serve: that is asked first, as it takes no look at the slot.
        elif not serves(agent, instance, now_ms) and is_current(draft.state, instance):
            idle.append(instance)
    counts = agent.counts
    unseen = counts.pending + counts.placed + counts.starting + counts.stopping
    if unseen > sum(instance.status is not InstanceStatus.RUNNING for instance in idle):
        return
    for instance in idle[: max(1, agent.may_be_away)]:
        request_stop(draft, instance, _reason(agent))


def _reason(agent: Agent) -> str:
    return "restart" if agent.versions[agent.version].reason == "restarted" else "update"


def _go_on(draft: Draft, agent: Agent) -> int:
    """Returns the next slot to look at."""
    cursor, now_ms = agent.rollout_cursor, draft.header.time_ms
    if cursor > agent.replicas:
        return cursor
    state, budget = draft.state, None
    surge = surge_left(agent)
    covered = {state.instances[other].slot for other in agent.superseded}
    while cursor <= agent.replicas:
        slot = agent.slots.get(cursor)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if current is not None and current.version != agent.version and current.status not in ENDED:
            if serves(agent, current, now_ms):
                if surge > 0 and cursor not in covered:
                    surge -= 1
                    overlap(draft, current, agent.version, reason="update")
                    cursor += 1
                    continue
                if budget is None:
                    budget = agent.may_be_away - unavailable(state, agent, now_ms)
                if budget <= 0:
                    break
                budget -= 1
            request_stop(draft, current, _reason(agent))
        cursor += 1
    return cursor


def _how_it_ended(ending: ExitRecord) -> str:
    if ending.cause:
        return ending.cause
    if ending.code is not None:
        return f"exit code {ending.code}"
    return ending.reason if ending.signal is None else f"signal {ending.signal}"


def _roll_back_by_itself(draft: Draft, agent: Agent, failed: Instance) -> None:
    """If its spec says so. Never from a version that is a way back itself: then both have failed."""
    version = agent.versions[agent.version]
    if agent.spec.update.on_failure != "rollback" or version.reason == "rolled-back":
        return
    source = version_that_works(draft.state, agent)
    if source not in agent.versions or agent.versions[source].spec == agent.spec:
        return
    slot = agent.slots.get(failed.slot)
    ending = failed.exit or (slot.last_exit if slot is not None else None)
    if is_late(agent, failed):
        ending = None
    why = "" if ending is None else _how_it_ended(ending)
    how = why_halted(agent, failed).removeprefix("has ")
    cause = f"{failed.name} of version {agent.version} {how}{f': {why}' if why else ''}"
    go_back(draft, agent.id, source, cause=cause)
