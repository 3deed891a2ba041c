"""Folds of agents and jobs: versions, numbers of replicas, beginnings and ends."""

from typing import Final

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.access import count_workloads
from omnitide.fabric.folds.availability import is_available, is_ready, mark_rolling
from omnitide.fabric.folds.companies import join, keep_in_step, leave
from omnitide.fabric.folds.keeping import deployed_again, keep_replicas, with_spec
from omnitide.fabric.folds.membership import drop_instance
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import Agent, Counts, FabricState, Job, JobStatus, Slot, Version, scoped

KEPT_VERSIONS: Final = 20
"""Newest versions kept besides those that still run, and the newest that is known to work."""


def _put_agent(state: FabricState, agent: Agent) -> FabricState:
    """Where neither its rollout nor what is superseded has changed."""
    return replace(state, agents=state.agents.set(agent.id, agent))


def _put_rolling(state: FabricState, agent: Agent) -> FabricState:
    return mark_rolling(replace(state, agents=state.agents.set(agent.id, agent)), agent)


def agent_created(state: FabricState, event: ev.AgentCreated, at: Moment) -> FabricState:
    version = Version(number=1, spec=event.spec, created_ms=at.time_ms, principal=at.principal)
    agent = Agent(
        id=event.agent,
        namespace=event.namespace,
        name=event.name,
        version=1,
        replicas=event.replicas,
        versions=Map({1: version}),
        slots=Map(),
        counts=Counts(),
        created_ms=at.time_ms,
        revision=at.revision,
        replicas_owner=event.owner,
    )
    state = replace(
        state,
        agents=state.agents.set(agent.id, agent),
        agent_names=state.agent_names.set(scoped(agent.namespace, agent.name), agent.id),
    )
    if event.spec.together is not None:
        state = keep_in_step(state, None, agent)
    return count_workloads(state, agent.namespace, agents=1)


def _add_version(state: FabricState, agent: Agent, version: Version, at: Moment) -> FabricState:
    versions = agent.versions.set(version.number, version)
    if len(versions) > KEPT_VERSIONS:
        used = {version.number, newest_proven(agent, besides=version.number)}
        for slot in agent.slots.values():
            instance = state.instances.get(slot.current)
            if instance is not None:
                used.add(instance.version)
        for stray in agent.strays:
            used.add(state.instances[stray].version)
        for number in sorted(versions):
            if number <= version.number - KEPT_VERSIONS and number not in used:
                versions = versions.delete(number)
    after = replace(
        agent,
        version=version.number,
        versions=versions,
        revision=at.revision,
        rollout_cursor=1,
        paused=False,
    )
    if state.companies or version.spec.together is not None:
        state = keep_in_step(state, agent, after)
    return _put_rolling(state, after)


def agent_updated(state: FabricState, event: ev.AgentUpdated, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    version = Version(
        number=event.version, spec=event.spec, created_ms=at.time_ms, principal=at.principal, reason="updated"
    )
    state = _add_version(state, agent, version, at)
    return keep_replicas(state, event.agent, deployed_again(agent, event.spec), at) if event.keeps else state


def agent_restarted(state: FabricState, event: ev.AgentRestarted, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    version = Version(
        number=event.version,
        spec=agent.spec,
        created_ms=at.time_ms,
        principal=at.principal,
        reason="restarted",
        max_unavailable=event.max_unavailable,
    )
    return _add_version(state, agent, version, at)


def agent_rolled_back(state: FabricState, event: ev.AgentRolledBack, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    version = Version(
        number=event.version,
        spec=agent.versions[event.source].spec,
        created_ms=at.time_ms,
        principal=at.principal,
        reason="rolled-back",
        source=event.source,
        cause=event.cause,
    )
    state = _add_version(state, agent, version, at)
    return keep_replicas(state, event.agent, with_spec(agent, version.spec), at) if event.keeps else state


def version_proven(state: FabricState, event: ev.VersionProven, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    version = replace(agent.versions[event.version], proven=True)
    return _put_agent(state, replace(agent, versions=agent.versions.set(event.version, version), revision=at.revision))


def newest_proven(agent: Agent, *, besides: int) -> int:
    """Number of the newest version but one that is known to work; 0: there is none."""
    proven = (number for number, version in agent.versions.items() if version.proven and number != besides)
    return max(proven, default=0)


def rollout_paused(state: FabricState, event: ev.RolloutPaused, at: Moment) -> FabricState:
    return _put_agent(state, replace(state.agents[event.agent], paused=True, revision=at.revision))


def rollout_resumed(state: FabricState, event: ev.RolloutResumed, at: Moment) -> FabricState:
    return _put_agent(state, replace(state.agents[event.agent], paused=False, revision=at.revision))


def rollout_stumbled(state: FabricState, event: ev.RolloutStumbled, at: Moment) -> FabricState:
    agent = replace(state.agents[event.agent], revision=at.revision)
    return _put_agent(state, _stumbled(agent, event.slot))


def _stumbled(agent: Agent, slot: int) -> Agent:
    version = replace(agent.versions[agent.version], stumbled=slot)
    return replace(agent, versions=agent.versions.set(agent.version, version))


def rollout_late(state: FabricState, event: ev.RolloutLate, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    version = replace(agent.versions[agent.version], late=event.slot, progress_ms=at.time_ms)
    versions = agent.versions.set(agent.version, version)
    return _put_agent(state, replace(agent, versions=versions, revision=at.revision))


def _forgiven(agent: Agent) -> Agent:
    """At the end of a rollout, whichever: nothing halts it any more."""
    if not agent.stumbled and not agent.late:
        return agent
    version = replace(agent.versions[agent.version], stumbled=0, late=0)
    return replace(agent, versions=agent.versions.set(agent.version, version))


def agent_scaled(state: FabricState, event: ev.AgentScaled, at: Moment) -> FabricState:
    agent = state.agents[event.agent]
    return _put_agent(state, replace(agent, replicas=event.replicas, replicas_owner=event.owner, revision=at.revision))


def agent_stopped(state: FabricState, event: ev.AgentStopped, at: Moment) -> FabricState:
    agent = _forgiven(state.agents[event.agent])
    return _put_rolling(state, replace(agent, active=False, rollout_cursor=0, paused=False, revision=at.revision))


def agent_started(state: FabricState, event: ev.AgentStarted, at: Moment) -> FabricState:
    return _put_agent(state, replace(state.agents[event.agent], active=True, revision=at.revision))


def agent_deleted(state: FabricState, event: ev.AgentDeleted, at: Moment) -> FabricState:
    agent = _forgiven(state.agents[event.agent])
    return _put_rolling(state, replace(agent, deleting=True, rollout_cursor=0, paused=False, revision=at.revision))


def agent_removed(state: FabricState, event: ev.AgentRemoved, at: Moment) -> FabricState:
    for stray in sorted(state.agents[event.agent].strays):
        state = drop_instance(state, stray)
    agent = state.agents[event.agent]
    if agent.id in state.rolling:
        state = replace(state, rolling=state.rolling.delete(agent.id))
    if state.companies:
        state = keep_in_step(state, agent, None)
    state = replace(
        state,
        agents=state.agents.delete(agent.id),
        agent_names=state.agent_names.delete(scoped(agent.namespace, agent.name)),
    )
    return count_workloads(state, agent.namespace, agents=-1)


def rollout_advanced(state: FabricState, event: ev.RolloutAdvanced, at: Moment) -> FabricState:
    """Instances that have become available since are not watched any more; at its end, none that is ready."""
    agent = state.agents[event.agent]
    watched = agent.watched
    rolls = event.cursor > 0 or bool(agent.superseded)
    for identifier in agent.watched:
        instance = state.instances[identifier]
        if is_available(agent, instance, at.time_ms) or (not rolls and is_ready(agent, instance)):
            watched = watched.delete(identifier)
    paused = agent.paused and event.cursor > 0
    if not event.cursor:
        agent = _forgiven(agent)
    elif event.progress:
        version = replace(agent.versions[agent.version], progress_ms=at.time_ms)
        agent = replace(agent, versions=agent.versions.set(agent.version, version))
    return _put_rolling(state, replace(agent, rollout_cursor=event.cursor, watched=watched, paused=paused))


def job_created(state: FabricState, event: ev.JobCreated, at: Moment) -> FabricState:
    job = Job(
        id=event.job,
        namespace=event.namespace,
        name=event.name,
        spec=event.spec,
        slot=Slot(),
        created_ms=at.time_ms,
        revision=at.revision,
    )
    state = replace(
        state,
        jobs=state.jobs.set(job.id, job),
        job_names=state.job_names.set(scoped(job.namespace, job.name), job.id),
    )
    if job.spec.together is not None:
        state = join(state, scoped(job.namespace, job.spec.together), job.id)
    return count_workloads(state, job.namespace, jobs=1)


def _put_job(state: FabricState, job: Job) -> FabricState:
    return replace(state, jobs=state.jobs.set(job.id, job))


def job_cancelled(state: FabricState, event: ev.JobCancelled, at: Moment) -> FabricState:
    return _put_job(state, replace(state.jobs[event.job], cancelling=True, revision=at.revision))


def job_finished(state: FabricState, event: ev.JobFinished, at: Moment) -> FabricState:
    job = state.jobs[event.job]
    if job.spec.together is not None:
        state = leave(state, scoped(job.namespace, job.spec.together), job.id)
    return _put_job(
        state,
        replace(
            job,
            status=JobStatus(event.outcome),
            exit=event.exit,
            finished_ms=at.time_ms,
            cancelling=False,
            revision=at.revision,
        ),
    )


def job_deleted(state: FabricState, event: ev.JobDeleted, at: Moment) -> FabricState:
    return _put_job(state, replace(state.jobs[event.job], deleting=True, revision=at.revision))


def jobs_removed(state: FabricState, event: ev.JobsRemoved, at: Moment) -> FabricState:
    for identifier in event.jobs:
        job = state.jobs[identifier]
        for instance in sorted({*job.strays, job.slot.current} - {""}):
            state = drop_instance(state, instance)
        state = replace(
            state,
            jobs=state.jobs.delete(job.id),
            job_names=state.job_names.delete(scoped(job.namespace, job.name)),
        )
        state = count_workloads(state, job.namespace, jobs=-1)
    return state


FOLDS: Final[dict[type, Fold]] = {
    ev.AgentCreated: agent_created,
    ev.AgentUpdated: agent_updated,
    ev.AgentRestarted: agent_restarted,
    ev.AgentRolledBack: agent_rolled_back,
    ev.VersionProven: version_proven,
    ev.RolloutPaused: rollout_paused,
    ev.RolloutStumbled: rollout_stumbled,
    ev.RolloutLate: rollout_late,
    ev.RolloutResumed: rollout_resumed,
    ev.AgentScaled: agent_scaled,
    ev.AgentStopped: agent_stopped,
    ev.AgentStarted: agent_started,
    ev.AgentDeleted: agent_deleted,
    ev.AgentRemoved: agent_removed,
    ev.RolloutAdvanced: rollout_advanced,
    ev.JobCreated: job_created,
    ev.JobCancelled: job_cancelled,
    ev.JobFinished: job_finished,
    ev.JobDeleted: job_deleted,
    ev.JobsRemoved: jobs_removed,
}
