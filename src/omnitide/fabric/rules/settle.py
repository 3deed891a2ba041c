"""Reactions: bring the slots of an agent and the task of a job in line with what is wanted, by further events.

Called at the end of a decision for what it touched, so that every entry of the log leaves the fabric consistent: a
wanted slot always has a current instance, an unwanted one never keeps a pending one, and a job ends with its task.
"""

from collections.abc import Iterable

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.instances import ended_by_itself, failures_after, spent_after
from omnitide.fabric.rules.failing import (
    NextTry,
    Wanted,
    ends_before,
    is_finished,
    may_retry,
    next_try,
    permanent_failures_after,
    try_again,
)
from omnitide.fabric.state import (
    ENDED,
    Agent,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    Scheduling,
    Slot,
)

_REPLACEABLE = frozenset({InstanceStatus.STOPPED, InstanceStatus.LOST})


def request_stop(draft: Draft, instance: Instance, reason: str) -> None:
    """Stop an instance: one that no node has seen ends at once, one on a node is asked to."""
    if instance.status in ENDED or instance.status is InstanceStatus.STOPPING:
        return
    if instance.status is InstanceStatus.PENDING:
        draft.emit(ev.InstanceEnded(instance=instance.id, status="stopped"))
    else:
        draft.emit(ev.InstanceStopRequested(instance=instance.id, reason=reason))


def _needs_generation(agent: Agent, version: int, slot: Slot | None, current: Instance | None) -> bool:
    """Whether a slot that is wanted, with its next generation of this version, has none that will do."""
    if slot is None or current is None:
        return True
    if current.status in _REPLACEABLE:
        return True
    if current.status in ENDED:
        return current.version != version or not is_finished(current, agent.versions[version].spec, slot)
    return False


def _create(draft: Draft, agent: Agent, versions: dict[int, int]) -> None:
    """Next generations for slots, each of a version: those that need not wait together, the others each with its
    delay."""
    plain: dict[tuple[int, int], list[ev.SlotGeneration]] = {}
    now_ms = draft.header.time_ms
    for number, version in versions.items():
        slot = agent.slots.get(number) or Slot(generation=agent.generation_floor)
        current = draft.state.instances.get(slot.current)
        following = ev.SlotGeneration(number, slot.generation + 1)
        spec = agent.versions[version].spec
        restart = spec.restart
        permanent = permanent_failures_after(slot, current, version, restart.reset_after)
        failed = current is not None and current.version == version and ended_by_itself(current)
        spent = 0
        if restart.reschedules is not None and current is not None:
            spent = spent_after(slot, current, version, restart.reset_after)
        ends = ends_before(current, version, restart.reset_after, now_ms)
        if current is None or not (failed or permanent or spent):
            plain.setdefault((version, ends), []).append(following)
            continue
        if failed:
            failures = failures_after(slot, current, version, restart.reset_after)
            then = next_try(now_ms, spec, current, failures, permanent)
        else:
            then = try_again(current)
        draft.emit(
            ev.InstancesCreated(
                workload_kind="agent",
                workload=agent.id,
                version=version,
                slots=(following,),
                not_before_ms=then.not_before_ms,
                avoid=then.avoid,
                reason="rescheduled",
                permanent_failures=permanent,
                avoid_also=then.avoid_also,
                spent=spent,
                ends_before=ends,
            )
        )
    for (version, ends), following in plain.items():
        draft.emit(
            ev.InstancesCreated(
                workload_kind="agent", workload=agent.id, version=version, slots=tuple(following), ends_before=ends
            )
        )


def settle_agent(draft: Draft, identifier: str, *, reason: str) -> None:
    """Every slot of an agent, after its number of replicas, its life or its version changed."""
    agent = draft.state.agents[identifier]
    wanted = agent.replicas if agent.active and not agent.deleting else 0
    numbers = sorted({*agent.slots, *range(1, wanted + 1)})
    settle_slots(draft, identifier, numbers, reason=reason)


def settle_slots(draft: Draft, identifier: str, numbers: list[int], *, reason: str) -> None:
    """Some slots of an agent."""
    agent = draft.state.agents[identifier]
    wanted = Wanted(draft.state, agent)
    create: dict[int, int] = {}
    retire: list[int] = []
    for number in numbers:
        slot = agent.slots.get(number)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if agent.wants(number):
            version = wanted.version(number)
            if current is not None and current.status is InstanceStatus.PENDING and current.version != version:
                draft.emit(ev.InstanceEnded(instance=current.id, status="stopped"))
                create[number] = version
            elif _needs_generation(agent, version, slot, current):
                create[number] = version
        elif slot is not None:
            if agent.superseded:
                _end_superseded(draft, identifier, number, reason)
            if current is not None and current.status not in ENDED:
                request_stop(draft, current, reason)
                current = draft.state.instances.get(current.id)
            if current is None or current.status in ENDED:
                retire.append(number)
    if create:
        _create(draft, draft.state.agents[identifier], create)
    if retire:
        draft.emit(ev.SlotsRetired(agent=identifier, slots=tuple(retire)))
    _finish_removal(draft, identifier)


def _end_superseded(draft: Draft, identifier: str, number: int, reason: str) -> None:
    """What still runs in a slot that is not wanted, besides its current instance."""
    for other in sorted(draft.state.agents[identifier].superseded):
        instance = draft.state.instances[other]
        if instance.slot == number:
            request_stop(draft, instance, reason)


def _finish_removal(draft: Draft, identifier: str) -> None:
    agent = draft.state.agents[identifier]
    if not agent.deleting or agent.slots:
        return
    for stray in agent.strays:
        if draft.state.instances[stray].status is not InstanceStatus.LOST:
            return
    draft.emit(ev.AgentRemoved(agent=identifier, namespace=agent.namespace, name=agent.name))


def retry_slot(draft: Draft, identifier: str, number: int) -> None:
    """The next generation of a slot whose current instance has failed for good, because somebody asks for it."""
    agent = draft.state.agents[identifier]
    slot = agent.slots[number]
    draft.emit(
        ev.InstancesCreated(
            workload_kind="agent",
            workload=identifier,
            version=Wanted(draft.state, agent).version(number),
            slots=(ev.SlotGeneration(number, slot.generation + 1),),
            reason="restart",
        )
    )


def advance_drain(draft: Draft, node: str) -> None:
    """A draining node on which nothing is left is drained. What is there leaves by `moving`, tasks when they end."""
    drained = draft.state.nodes[node]
    if drained.scheduling is not Scheduling.DRAINING:
        return
    if all(draft.state.instances[identifier].status is InstanceStatus.LOST for identifier in drained.instances):
        draft.emit(ev.NodeDrained(node=node))


def settle_job(draft: Draft, identifier: str) -> None:
    """Finish a job whose task has ended, or give a lost or failed task its next generation."""
    job = draft.state.jobs[identifier]
    current = draft.state.instances.get(job.slot.current)
    if job.status is JobStatus.ACTIVE:
        if current is None:
            _next_task(draft, job, None)
        elif current.status in ENDED:
            _task_ended(draft, job, current)
    _remove_job_if_asked(draft, draft.state.jobs[identifier])


def _task_ended(draft: Draft, job: Job, current: Instance) -> None:
    # Success comes first: a task that was through before it could be cancelled has done its work.
    if current.status is InstanceStatus.SUCCEEDED:
        draft.emit(ev.JobFinished(job=job.id, outcome="succeeded", exit=current.exit))
    elif job.cancelling or job.deleting:
        draft.emit(ev.JobFinished(job=job.id, outcome="cancelled", exit=current.exit))
    elif current.status is InstanceStatus.FAILED and not may_retry(job, current.exit):
        draft.emit(ev.JobFinished(job=job.id, outcome="failed", exit=current.exit))
    else:
        _next_task(draft, job, current)


def _next_task(draft: Draft, job: Job, current: Instance | None) -> None:
    then = NextTry()
    permanent = permanent_failures_after(job.slot, current, 1, None)
    if current is not None and ended_by_itself(current):
        failures = failures_after(job.slot, current, 1, None)
        then = next_try(draft.header.time_ms, job.spec, current, failures, permanent)
    elif current is not None and permanent:
        then = try_again(current)
    draft.emit(
        ev.InstancesCreated(
            workload_kind="job",
            workload=job.id,
            version=1,
            slots=(ev.SlotGeneration(1, job.slot.generation + 1),),
            not_before_ms=then.not_before_ms,
            avoid=then.avoid,
            reason="rescheduled" if current is not None else "",
            permanent_failures=permanent,
            avoid_also=then.avoid_also,
            ends_before=ends_before(current, 1, None, draft.header.time_ms),
        )
    )


def _remove_job_if_asked(draft: Draft, job: Job) -> None:
    if not job.deleting or job.status is JobStatus.ACTIVE:
        return
    for stray in job.strays:
        if draft.state.instances[stray].status is not InstanceStatus.LOST:
            return
    draft.emit(jobs_removed(draft, (job.id,)))


def jobs_removed(draft: Draft, jobs: tuple[str, ...]) -> ev.JobsRemoved:
    """The event of their removal, with their names."""
    known = [draft.state.jobs[identifier] for identifier in jobs]
    return ev.JobsRemoved(jobs=jobs, names=tuple((job.namespace, job.name) for job in known))


def settle_instance(draft: Draft, instance: Instance) -> None:
    """After an instance ended: its slot or job."""
    settle_instances(draft, (instance,))


def settle_instances(draft: Draft, instances: Iterable[Instance]) -> None:
    """After instances ended or were lost: each agent's slots together, and each job."""
    draft.ended = True
    slots: dict[str, dict[int, None]] = {}
    for instance in instances:
        slots.setdefault(instance.workload, {})[instance.slot] = None
    for workload, numbers in slots.items():
        if workload in draft.state.agents:
            draft.touch(workload)
            settle_slots(draft, workload, sorted(numbers), reason="not wanted")
        elif workload in draft.state.jobs:
            settle_job(draft, workload)
