"""Agents and jobs."""

from itertools import islice

from omnitide.fabric.rules.failing import halted_by, how_it_is, why_halted
from omnitide.fabric.rules.lateness import late_at_first
from omnitide.fabric.rules.proving import works_now
from omnitide.fabric.rules.rolling import available, unavailable
from omnitide.fabric.state import Agent, FabricState, InstanceStatus, Job, Phase, Version
from omnitide.model import objects as ob
from omnitide.model.names import called
from omnitide.model.quantity import format_duration
from omnitide.operations.views.callers import caller_words
from omnitide.operations.views.failing import EXAMINED_SLOTS, LONG_PENDING_MS, failing_of, is_part
from omnitide.operations.views.instances import show_exit
from omnitide.operations.views.silence import Hidden, silent_since


def show_counts(agent: Agent, hidden: dict[str, int]) -> ob.InstanceCounts:
    counts = {status.value: getattr(agent.counts, status.value) for status in InstanceStatus}
    for status, number in hidden.items():
        counts[status] -= number
    return ob.InstanceCounts(**counts, unknown=sum(hidden.values()))


def agent_status(
    state: FabricState, agent: Agent, counts: ob.InstanceCounts, failing: int, now_ms: int
) -> ob.AgentStatus:
    """`failing`: how many of its replicas end again and again."""
    if agent.deleting:
        return "removing"
    if not agent.active:
        return "stopped"
    if counts.unknown:
        return "unknown"
    if counts.failed:
        return "degraded"
    if failing:
        return "failing"
    if _in_trouble(state, agent, now_ms):
        return "degraded"
    # One that runs and is not ready serves nobody yet.
    ready = counts.running - len(agent.watched) >= agent.replicas or available(state, agent, now_ms) >= agent.replicas
    settled = counts.running >= agent.replicas and ready and not agent.rollout_cursor
    return "running" if settled and not (counts.pending or counts.placed or counts.starting) else "progressing"


def failing_replicas(state: FabricState, agent: Agent, now_ms: int) -> int:
    """How many end again and again, of those looked at: also where all run at this moment."""
    return sum(1 for _ in failing_of(state, agent, now_ms))


def _in_trouble(state: FabricState, agent: Agent, now_ms: int) -> bool:
    if agent.counts.running >= agent.replicas:
        return False
    for slot in islice(agent.slots.values(), EXAMINED_SLOTS):
        instance = state.instances.get(slot.current)
        if instance is None or instance.status is InstanceStatus.RUNNING:
            continue
        if slot.failures or instance.phase is Phase.WAITING:
            return True
        if instance.status is InstanceStatus.PENDING and now_ms - instance.since_ms > LONG_PENDING_MS:
            return True
    return False


def _summary(state: FabricState, agent: Agent, hidden: Hidden, now_ms: int) -> dict[str, object]:
    counts = show_counts(agent, hidden.of(agent.id))
    failing = failing_replicas(state, agent, now_ms)
    spec = agent.spec
    rollout = None
    if agent.rollout_cursor:
        rollout = ob.Rollout(
            version=agent.version,
            asked=min(agent.rollout_cursor - 1, agent.replicas),
            replicas=agent.replicas,
            halted=_halted(state, agent),
            paused=agent.paused,
        )
    return {
        "id": agent.id,
        "namespace": agent.namespace,
        "name": agent.name,
        "status": agent_status(state, agent, counts, failing, now_ms),
        "version": agent.version,
        "replicas": agent.replicas,
        "running": counts.running,
        "replicas_owner": agent.replicas_owner,
        "counts": counts,
        "available": min(available(state, agent, now_ms), agent.replicas) if agent.active else 0,
        "failing": failing,
        "failing_at_least": failing > 0 and is_part(agent),
        "driver": spec.driver,
        "cpu_milli": spec.resources.cpu,
        "memory_bytes": spec.resources.memory,
        "labels": spec.labels,
        "rollout": rollout,
        "created_ms": agent.created_ms,
        "revision": agent.revision,
    }


def _halted(state: FabricState, agent: Agent) -> str:
    failed = halted_by(state, agent)
    if failed is None:
        return ""
    slot = agent.slots.get(failed.slot)
    ending = show_exit(failed.exit or (slot.last_exit if slot is not None else None))
    why = f" ({ending.text})" if ending is not None else ""
    return (
        f"{failed.name} {why_halted(agent, failed)}{why}; what still runs of the version before stays. "
        f"Deploy a version that can run, or mend the nodes and try again: omnitide restart {agent.name}"
    )


def paused_too(agent: Agent) -> str:
    """What is said of a rollout that is halted and paused as well."""
    name = called(agent.namespace, agent.name)
    return f"it is paused too: once that is mended, to go on: omnitide rollout resume {name}"


def show_agent_summary(state: FabricState, agent: Agent, hidden: Hidden, now_ms: int) -> ob.AgentSummary:
    return ob.AgentSummary(**_summary(state, agent, hidden, now_ms))  # type: ignore[arg-type]


def show_agent(state: FabricState, agent: Agent, now_ms: int) -> ob.Agent:
    return ob.Agent(**_summary(state, agent, Hidden(state), now_ms), spec=agent.spec)  # type: ignore[arg-type]


def show_rollout(state: FabricState, agent: Agent, now_ms: int) -> ob.RolloutStatus:
    """`now_ms`: log time."""
    version = agent.versions[agent.version]
    currents = [state.instances.get(slot.current) for slot in agent.slots.values()]
    updated = sum(
        current is not None and current.version == agent.version and current.status is InstanceStatus.RUNNING
        for current in currents
    )
    verdict, cause = _verdict(state, agent, now_ms)
    asked = min(agent.rollout_cursor - 1, agent.replicas) if agent.rollout_cursor else agent.replicas
    return ob.RolloutStatus(
        agent=agent.name,
        namespace=agent.namespace,
        version=agent.version,
        reason=version.reason,
        source=version.source,
        verdict=verdict,
        cause=cause,
        replicas=agent.replicas,
        asked=asked,
        updated=updated,
        available=min(available(state, agent, now_ms), agent.replicas),
        superseded=len(agent.superseded),
        started_ms=version.created_ms,
        revision=state.revision,
    )


def _verdict(state: FabricState, agent: Agent, now_ms: int) -> tuple[ob.RolloutVerdict, str]:
    """One word, and why. A version that was rolled back to never looks like the success of another."""
    version = agent.versions[agent.version]
    if not agent.active or agent.deleting:
        return "stopped", ""
    halted = _halted(state, agent)
    if halted:  # also of one that is paused: to let it go on does not mend it
        return "halted", halted + (f"; {paused_too(agent)}" if agent.paused else "")
    if agent.paused:
        return "paused", ""
    if agent.rollout_cursor:
        return "progressing", version.cause
    if version.reason == "rolled-back":
        return "rolled-back", version.cause
    if version.number > 1:
        return "done", ""
    # The first version is no rollout: it is done once every replica is available, or has done its work.
    if not unavailable(state, agent, now_ms):
        return "done", ""
    late = late_at_first(state, agent, now_ms)
    if late is None:
        return "progressing", ""
    after = format_duration(agent.spec.update.progress_deadline)
    return "halted", f"{late.name} is not available after {after}{how_it_is(agent, late)}; it goes on being tried"


def show_version(
    state: FabricState, agent: Agent, version: Version, now_ms: int, changes: tuple[ob.Difference, ...] = ()
) -> ob.AgentVersion:
    """`now_ms`: log time."""
    # The fabric notes it only once something is about to change what is seen.
    proven = version.proven or (version.number == agent.version and works_now(state, agent, now_ms))
    return ob.AgentVersion(
        number=version.number,
        current=version.number == agent.version,
        spec=version.spec,
        reason=version.reason,
        principal=version.principal,
        by=caller_words(state, version.principal),
        created_ms=version.created_ms,
        source=version.source,
        cause=version.cause,
        differences=changes,
        proven=proven,
        fault="" if proven else _fault(state, agent, version, now_ms),
    )


def _fault(state: FabricState, agent: Agent, version: Version, now_ms: int) -> str:
    """What is known to have failed in a version: for good, again and again, or to come up in time. Of one that has been
    replaced, what of that is kept with it, or why the fabric went back from it."""
    if version.number == agent.version:
        failed = halted_by(state, agent)
        if failed is not None:
            return f"{failed.name} {why_halted(agent, failed)}"
        for_good = [one for one in (state.instances[found] for found in agent.failed) if one.version == version.number]
        if for_good:
            return f"{min(for_good, key=lambda one: one.slot).name} has failed for good"
        again = next((one for one in failing_of(state, agent, now_ms) if one.version == version.number), None)
        return f"{again.name} ends again and again" if again is not None else ""
    if version.stumbled:
        return f"{agent.name}-{version.stumbled} ended again and again before it was available"
    if version.late:
        return f"{agent.name}-{version.late} was not available in time"
    following = agent.versions.get(version.number + 1)
    return following.cause if following is not None else ""


def show_job_summary(state: FabricState, job: Job) -> ob.JobSummary:
    instance = state.instances.get(job.slot.current)
    status: ob.InstanceStatus | None = None
    node = ""
    if instance is not None:
        status = "unknown" if silent_since(state, instance) else instance.status.value
        node = state.nodes[instance.node].name if instance.node in state.nodes else ""
    last = job.exit or (instance.exit if instance is not None else None) or job.slot.last_exit
    return ob.JobSummary(
        id=job.id,
        namespace=job.namespace,
        name=job.name,
        status=job.status.value,
        cancelling=job.cancelling,
        deleting=job.deleting,
        instance=job.slot.current,
        instance_status=status,
        node=node,
        exit=show_exit(last),
        driver=job.spec.driver,
        labels=job.spec.labels,
        created_ms=job.created_ms,
        finished_ms=job.finished_ms,
        revision=job.revision,
    )


def show_job(state: FabricState, job: Job) -> ob.Job:
    summary = show_job_summary(state, job)
    return ob.Job(**{name: getattr(summary, name) for name in summary.__struct_fields__}, spec=job.spec)
