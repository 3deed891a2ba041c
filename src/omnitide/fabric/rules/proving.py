"""Which versions of an agent are known to work: `Version.proven`, set once and never taken back.

A version is proven when its rollout is over with every replica available, and, outside of a rollout, where every
replica is seen to run well at a moment at which that may change: another version comes, another number of replicas is
wanted, the agent is stopped, or one of its instances is lost. Looked at then, and not with each report, so that it
costs what such a change costs anyway.
"""

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.availability import is_ready
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus


def runs_well(agent: Agent, instance: Instance, failures: int, now_ms: int) -> bool:
    """Whether it is ready, and not one that has ended by itself before, on its node or as one of `failures` generations
    in a row, unless it has run for `reset_after` since."""
    if not is_ready(agent, instance):
        return False
    if not failures and instance.attempt <= 1 + instance.asked_ends:
        return True
    return now_ms - instance.started_ms >= agent.versions[instance.version].spec.restart.reset_after


def prove_by_replicas(draft: Draft, identifier: str) -> None:
    """An agent's newest version, where no rollout is under way and every replica runs well in it, or has done its
    work."""
    agent = draft.state.agents[identifier]
    if works_now(draft.state, agent, draft.header.time_ms):
        draft.emit(ev.VersionProven(agent=identifier, version=agent.version))


def works_now(state: FabricState, agent: Agent, now_ms: int) -> bool:
    """Whether its newest version, which is not proven so far, would be at this moment."""
    if agent.rollout_cursor or agent.superseded or not agent.active or agent.deleting or not _has_all(agent):
        return False
    return all(_is_well(state, agent, number, now_ms) for number in range(1, agent.replicas + 1))


def prove_by_rollout(draft: Draft, identifier: str) -> None:
    """The same where its rollout is over, which has waited until every replica was available."""
    agent = draft.state.agents[identifier]
    if _has_all(agent):
        draft.emit(ev.VersionProven(agent=identifier, version=agent.version))


def _has_all(agent: Agent) -> bool:
    """Whether there is anything to see that is not known yet."""
    if agent.versions[agent.version].proven or agent.failed or not agent.replicas:
        return False
    return agent.counts.running + agent.counts.succeeded >= agent.replicas


def _is_well(state: FabricState, agent: Agent, number: int, now_ms: int) -> bool:
    slot = agent.slots.get(number)
    current = state.instances.get(slot.current) if slot is not None else None
    if slot is None or current is None or current.version != agent.version:
        return False
    return current.status is InstanceStatus.SUCCEEDED or runs_well(agent, current, slot.failures, now_ms)
