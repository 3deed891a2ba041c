"""Rules of agents: deploy, scale, restart, stop, start, delete, and one instance's restart."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.keeping import deployed_again
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import require_name, require_namespace
from omnitide.fabric.rules.bounds import require_others, require_spec
from omnitide.fabric.rules.feasible import require_feasible
from omnitide.fabric.rules.going_back import go_back, stop_what_was_to_follow
from omnitide.fabric.rules.proving import prove_by_replicas
from omnitide.fabric.rules.settle import request_stop, retry_slot, settle_agent, settle_slots
from omnitide.fabric.state import ENDED, Agent, InstanceStatus, find_agent, find_job, scoped
from omnitide.model.names import called
from omnitide.model.spec import MAX_REPLICAS, AgentSpec

MAX_INSTANCES = 250_000
MAX_AGENTS = 50_000


def _subject(namespace: str, name: str) -> str:
    return f"agent {scoped(namespace, name)}"


def _agent(draft: Draft, namespace: str, name: str, if_match: int | None) -> Agent:
    require_namespace(draft, namespace)
    agent = find_agent(draft.state, namespace, name)
    if agent is None:
        raise Refuse(
            "not-found",
            f"there is no agent {scoped(namespace, name)}",
            hint="omnitide agents",
            subject=_subject(namespace, name),
        )
    if agent.deleting:
        raise Refuse("conflict", f"agent {scoped(namespace, name)} is being removed", subject=_subject(namespace, name))
    _match(agent, if_match)
    return agent


def _match(agent: Agent, if_match: int | None) -> None:
    if if_match is not None and if_match != agent.revision:
        raise Refuse(
            "conflict",
            f"agent {scoped(agent.namespace, agent.name)} is at revision {agent.revision}, not {if_match}",
            hint="read it again and decide anew",
            subject=_subject(agent.namespace, agent.name),
        )


def _require_room(draft: Draft, more: int) -> None:
    if more > 0 and len(draft.state.instances) + more > MAX_INSTANCES:
        raise Refuse(
            "limit", f"the fabric would hold more than {MAX_INSTANCES} instances", hint="scale something down first"
        )


def _require_replicas(replicas: int) -> None:
    if not 0 <= replicas <= MAX_REPLICAS:
        raise Refuse("invalid", f"an agent has 0 to {MAX_REPLICAS} replicas, not {replicas}")


def deploy_agent(draft: Draft, command: cm.DeployAgent) -> None:
    require_name(command.name, "an agent")
    require_namespace(draft, command.namespace)
    if command.replicas is not None:
        _require_replicas(command.replicas)
    agent = find_agent(draft.state, command.namespace, command.name)
    if agent is None:
        _create_agent(draft, command)
    else:
        _update_agent(draft, command, agent)


def _create_agent(draft: Draft, command: cm.DeployAgent) -> None:
    subject = _subject(command.namespace, command.name)
    if command.if_match:
        raise Refuse(
            "conflict", f"{subject} does not exist, so it cannot be at revision {command.if_match}", subject=subject
        )
    if find_job(draft.state, command.namespace, command.name) is not None:
        raise Refuse(
            "already-exists", f"{scoped(command.namespace, command.name)} is the name of a job", subject=subject
        )
    if not command.agent or command.agent in draft.state.agents or command.agent in draft.state.jobs:
        raise Refuse("already-exists", f"id {command.agent!r} is in use", subject=subject)
    if len(draft.state.agents) >= MAX_AGENTS:
        raise Refuse("limit", f"the fabric holds {MAX_AGENTS} agents, the most it can", subject=subject)
    replicas = 1 if command.replicas is None else command.replicas
    _require_room(draft, replicas)
    require_spec(command.spec, AgentSpec, subject)
    require_others(command.spec, command.name, subject)
    require_feasible(draft, command.spec, subject)
    draft.emit(
        ev.AgentCreated(
            agent=command.agent,
            namespace=command.namespace,
            name=command.name,
            spec=command.spec,
            replicas=replicas,
        )
    )
    settle_agent(draft, command.agent, reason="scaled-down")
    draft.result = {"agent": command.agent, "version": 1, "replicas": replicas, "change": "created"}


def _update_agent(draft: Draft, command: cm.DeployAgent, agent: Agent) -> None:
    subject = _subject(agent.namespace, agent.name)
    if agent.deleting:
        raise Refuse("conflict", f"{subject} is being removed", hint="wait until it is gone", subject=subject)
    if command.if_match == 0:
        raise Refuse("already-exists", f"{subject} exists", subject=subject)
    _match(agent, command.if_match)
    change = "unchanged"
    version = agent.version
    if command.spec != agent.spec:
        require_spec(command.spec, AgentSpec, subject)
        require_others(command.spec, command.name, subject)
        require_feasible(draft, command.spec, subject)
        version += 1
        prove_by_replicas(draft, agent.id)
        keeps = agent.active and bool(deployed_again(agent, command.spec))
        draft.emit(ev.AgentUpdated(agent=agent.id, version=version, spec=command.spec, keeps=keeps))
        if keeps:
            stop_what_was_to_follow(draft, agent.id)
        change = "updated"
    replicas = agent.replicas
    if command.replicas is not None and (agent.replicas_owner == "manifest" or command.take_over_replicas):
        replicas = command.replicas
        if (replicas, "manifest") != (agent.replicas, agent.replicas_owner):
            prove_by_replicas(draft, agent.id)
            draft.emit(ev.AgentScaled(agent=agent.id, replicas=replicas, owner="manifest"))
            change = "updated" if change == "updated" else "scaled"
    _require_room(draft, replicas - (agent.replicas if agent.active else 0))
    if not agent.active:
        draft.emit(ev.AgentStarted(agent=agent.id))
        change = "started" if change == "unchanged" else change
    if change != "unchanged":
        draft.touch(agent.id)
        settle_agent(draft, agent.id, reason="scaled-down")
    draft.result = {"agent": agent.id, "version": version, "replicas": replicas, "change": change}


def scale_agent(draft: Draft, command: cm.ScaleAgent) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    _require_replicas(command.replicas)
    if agent.active:
        _require_room(draft, command.replicas - agent.replicas)
    draft.result = {"agent": agent.id, "from": agent.replicas, "to": command.replicas}
    if command.replicas == agent.replicas and agent.replicas_owner == "scale":
        return
    prove_by_replicas(draft, agent.id)
    draft.emit(ev.AgentScaled(agent=agent.id, replicas=command.replicas, owner="scale"))
    if command.replicas != agent.replicas:
        draft.touch(agent.id)
        low, high = sorted((agent.replicas, command.replicas))
        settle_slots(draft, agent.id, list(range(low + 1, high + 1)), reason="scaled-down")


def restart_agent(draft: Draft, command: cm.RestartAgent) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    if not agent.active:
        raise Refuse(
            "conflict",
            f"agent {scoped(agent.namespace, agent.name)} is stopped",
            hint=f"omnitide start {called(agent.namespace, agent.name)}",
            subject=_subject(agent.namespace, agent.name),
        )
    if agent.paused and agent.rollout_cursor:
        raise Refuse(
            "conflict",
            f"the rollout of agent {scoped(agent.namespace, agent.name)} is paused, and a restart would go on with it",
            hint=f"omnitide rollout resume {called(agent.namespace, agent.name)}; "
            "one replica: omnitide restart <instance>",
            subject=_subject(agent.namespace, agent.name),
        )
    prove_by_replicas(draft, agent.id)
    if command.max_unavailable < 0:
        raise Refuse("invalid", "max_unavailable is how many replicas may be away at once: 1 or more")
    most = min(command.max_unavailable, MAX_REPLICAS)
    draft.emit(ev.AgentRestarted(agent=agent.id, version=agent.version + 1, max_unavailable=most))
    draft.touch(agent.id)
    settle_agent(draft, agent.id, reason="restart")
    draft.result = {"agent": agent.id, "version": agent.version + 1}


def roll_back_agent(draft: Draft, command: cm.RollBackAgent) -> None:
    """Raises Refuse where there is no such version, it has the spec that is rolled out already, or none is named and
    none is known to work."""
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    subject = _subject(agent.namespace, agent.name)
    if not agent.active:
        raise Refuse(
            "conflict",
            f"{subject} is stopped",
            hint=f"omnitide start {called(agent.namespace, agent.name)}",
            subject=subject,
        )
    kept = sorted(agent.versions)
    others = [number for number in kept if number < agent.version and agent.versions[number].spec != agent.spec]
    proven = [number for number in others if agent.versions[number].proven]
    source = command.version or max(proven, default=0)
    if not source:
        raise _nothing_to_go_back_to(agent, others, subject)
    if source not in agent.versions:
        raise Refuse(
            "not-found",
            f"there is no version {source} of {subject}; there are {', '.join(map(str, kept))}",
            hint=f"omnitide history {called(agent.namespace, agent.name)} shows what each changed",
            subject=subject,
        )
    if agent.versions[source].spec == agent.spec:
        raise Refuse(
            "conflict",
            f"version {source} of {subject} has the same spec as version {agent.version}, the newest",
            hint=f"omnitide restart {called(agent.namespace, agent.name)}",
            subject=subject,
        )
    require_feasible(draft, agent.versions[source].spec, subject)
    prove_by_replicas(draft, agent.id)
    draft.touch(agent.id)
    go_back(draft, agent.id, source)
    draft.result = {"agent": agent.id, "version": draft.state.agents[agent.id].version, "source": source}


def _nothing_to_go_back_to(agent: Agent, others: list[int], subject: str) -> Refuse:
    """Of a rollback that names no version. `others`: earlier ones that are kept and have another spec."""
    if others:
        listed = ", ".join(map(str, others))
        what = f"no earlier version of {subject} is known to work: never were all of its replicas available in {listed}"
        hint = (
            f"to go back to one all the same: omnitide rollback {called(agent.namespace, agent.name)} --to {others[-1]}"
        )
        return Refuse("conflict", what, hint=hint, subject=subject)
    earlier = [number for number in sorted(agent.versions) if number < agent.version]
    what = f"{subject} has nothing to go back to: version {agent.version} is the only one that is kept"
    if earlier:
        verb = "version {} before it has" if len(earlier) == 1 else "versions {} before it have"
        same = verb.format(", ".join(map(str, earlier)))
        what = f"{subject} has nothing to go back to: {same} the same spec as version {agent.version}"
    anew = f"omnitide restart {called(agent.namespace, agent.name)}"
    hint = f"deploy a changed file: omnitide deploy FILE; what it is now, anew: {anew}"
    return Refuse("conflict", what, hint=hint, subject=subject)


def pause_rollout(draft: Draft, command: cm.PauseRollout) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    subject = _subject(agent.namespace, agent.name)
    if not agent.rollout_cursor:
        raise Refuse(
            "conflict",
            f"no rollout of {subject} is under way",
            hint=f"omnitide rollout status {called(agent.namespace, agent.name)}",
            subject=subject,
        )
    if not agent.paused:
        draft.emit(ev.RolloutPaused(agent=agent.id))
        # What waits in the new version, in slots that the rollout has not reached, keeps the old one.
        settle_agent(draft, agent.id, reason="update")
    draft.result = {"agent": agent.id}


def resume_rollout(draft: Draft, command: cm.ResumeRollout) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    if agent.paused:
        draft.emit(ev.RolloutResumed(agent=agent.id))
        draft.emit(ev.RolloutAdvanced(agent=agent.id, cursor=agent.rollout_cursor, progress=True))
        draft.touch(agent.id)
        settle_agent(draft, agent.id, reason="update")
    draft.result = {"agent": agent.id}


def stop_agent(draft: Draft, command: cm.StopAgent) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    if agent.active:
        prove_by_replicas(draft, agent.id)
        draft.emit(ev.AgentStopped(agent=agent.id))
        settle_agent(draft, agent.id, reason="stopped")
    draft.result = {"agent": agent.id}


def start_agent(draft: Draft, command: cm.StartAgent) -> None:
    agent = _agent(draft, command.namespace, command.name, command.if_match)
    if not agent.active:
        _require_room(draft, agent.replicas)
        draft.emit(ev.AgentStarted(agent=agent.id))
        draft.touch(agent.id)
        settle_agent(draft, agent.id, reason="stopped")
    draft.result = {"agent": agent.id}


def delete_agent(draft: Draft, command: cm.DeleteAgent) -> None:
    require_namespace(draft, command.namespace)
    agent = find_agent(draft.state, command.namespace, command.name)
    if agent is None:
        raise Refuse(
            "not-found",
            f"there is no agent {scoped(command.namespace, command.name)}",
            hint="omnitide agents",
            subject=_subject(command.namespace, command.name),
        )
    _match(agent, command.if_match)
    if not agent.deleting:
        draft.emit(ev.AgentDeleted(agent=agent.id))
        settle_agent(draft, agent.id, reason="deleted")
    draft.result = {"agent": agent.id}


def restart_instance(draft: Draft, command: cm.RestartInstance) -> None:
    instance = draft.state.instances.get(command.instance)
    if instance is None:
        raise Refuse("not-found", f"there is no instance {command.instance}", hint="omnitide ps")
    if instance.kind != "agent":
        raise Refuse("conflict", f"{instance.name} is a task of a job; it runs once", hint="run the job again")
    agent = draft.state.agents[instance.workload]
    draft.touch(instance.workload)
    # One that has failed and is still there has failed for good: what it lacked may be there by now.
    if instance.status is InstanceStatus.FAILED and agent.wants(instance.slot):
        retry_slot(draft, instance.workload, instance.slot)
    elif instance.status in ENDED:
        raise Refuse("conflict", f"{instance.name} has ended already ({instance.status.value})")
    else:
        request_stop(draft, instance, "restart")
        settle_slots(draft, instance.workload, [instance.slot], reason="restart")
    draft.result = {"agent": instance.workload, "instance": instance.id}
