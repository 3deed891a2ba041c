"""Reactions: bring the slots of an agent and the task of a job in line with what is wanted, by further events.

Called at the end of a decision for what it touched, so that every entry of the log leaves the fabric consistent: a
wanted slot always has a current instance, an unwanted one never keeps a pending one, and a job ends with its task.
"""

from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.folds.instances import instance_id
from omnitide.fabric.state import (
    ENDED,
    Agent,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    NodeStatus,
    Scheduling,
    Slot,
)
from omnitide.model.spec import Restart, WorkloadSpec

_REPLACEABLE = frozenset({InstanceStatus.STOPPED, InstanceStatus.LOST})


def reschedule_delay(restart: Restart, failures: int) -> int:
    """Milliseconds before the generation after `failures` failed ones in a row: 0, backoff, 2 x backoff, ... capped."""
    if failures <= 0:
        return 0
    return min(restart.backoff_max, restart.backoff << min(failures - 1, 30))


def request_stop(draft: Draft, instance: Instance, reason: str) -> None:
    """Stop an instance: one that no node has seen ends at once, one on a node is asked to."""
    if instance.status in ENDED or instance.status is InstanceStatus.STOPPING:
        return
    if instance.status is InstanceStatus.PENDING:
        draft.emit(ev.InstanceEnded(instance=instance.id, status="stopped"))
    else:
        draft.emit(ev.InstanceStopRequested(instance=instance.id, reason=reason))


def _is_finished(instance: Instance, spec: WorkloadSpec) -> bool:
    """Ended for good: it did what it was for, or its policy forbids another try."""
    if instance.status is InstanceStatus.SUCCEEDED:
        return True
    return instance.status is InstanceStatus.FAILED and spec.restart.policy == "never"


def _needs_generation(agent: Agent, slot: Slot | None, current: Instance | None) -> bool:
    if slot is None or current is None:
        return True
    if current.status in _REPLACEABLE:
        return True
    if current.status in ENDED:
        return current.version != agent.version or not _is_finished(current, agent.spec)
    return False


def _create(draft: Draft, agent: Agent, numbers: list[int]) -> None:
    """Next generations for slots: those without a failure behind them in one event, the others each with its delay."""
    plain: list[ev.SlotGeneration] = []
    for number in numbers:
        slot = agent.slots.get(number) or Slot()
        current = draft.state.instances.get(slot.current)
        generation = slot.generation + 1
        if current is not None and current.status is InstanceStatus.FAILED:
            stable = current.started_ms > 0 and (
                current.since_ms - current.started_ms >= agent.spec.restart.reset_after
            )
            failures = 1 if stable else slot.failures + 1
            port_busy = current.exit is not None and current.exit.cause == "port-busy"
            draft.emit(
                ev.InstancesCreated(
                    workload_kind="agent",
                    workload=agent.id,
                    version=agent.version,
                    slots=(ev.SlotGeneration(number, generation),),
                    not_before_ms=draft.header.time_ms + reschedule_delay(agent.spec.restart, failures),
                    avoid="" if port_busy else current.node,
                    reason="rescheduled",
                )
            )
        else:
            plain.append(ev.SlotGeneration(number, generation))
    if plain:
        draft.emit(
            ev.InstancesCreated(workload_kind="agent", workload=agent.id, version=agent.version, slots=tuple(plain))
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
    create: list[int] = []
    retire: list[int] = []
    for number in numbers:
        slot = agent.slots.get(number)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if agent.wants(number):
            if current is not None and current.status is InstanceStatus.PENDING and current.version != agent.version:
                draft.emit(ev.InstanceEnded(instance=current.id, status="stopped"))
                create.append(number)
            elif _needs_generation(agent, slot, current):
                create.append(number)
        elif slot is not None:
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


def _finish_removal(draft: Draft, identifier: str) -> None:
    agent = draft.state.agents[identifier]
    if not agent.deleting or agent.slots:
        return
    for stray in agent.strays:
        if draft.state.instances[stray].status is not InstanceStatus.LOST:
            return
    draft.emit(ev.AgentRemoved(agent=identifier))


def _unavailable(agent: Agent) -> int:
    return max(0, agent.replicas - agent.counts.running)


def advance_rollout(draft: Draft, identifier: str) -> None:
    """Stop old versions, never more at once than `update.max_unavailable`; what does not run anyway goes at once."""
    agent = draft.state.agents.get(identifier)
    if agent is None or agent.rollout_cursor == 0 or not agent.active or agent.deleting:
        return
    cursor = agent.rollout_cursor
    budget = agent.spec.update.max_unavailable - _unavailable(agent)
    while cursor <= agent.replicas:
        slot = agent.slots.get(cursor)
        current = draft.state.instances.get(slot.current) if slot is not None else None
        if current is not None and current.version != agent.version and current.status not in ENDED:
            if current.status is InstanceStatus.RUNNING:
                if budget <= 0:
                    break
                budget -= 1
            request_stop(draft, current, "update")
        cursor += 1
    if cursor > agent.replicas:
        cursor = 0
    if cursor != agent.rollout_cursor:
        draft.emit(ev.RolloutAdvanced(agent=identifier, cursor=cursor))


def advance_drain(draft: Draft, node: str) -> None:
    """Move agents' instances off a draining node within their update budget; jobs run to their end there."""
    drained = draft.state.nodes[node]
    if drained.scheduling is not Scheduling.DRAINING:
        return
    left = 0
    for identifier in sorted(drained.instances):
        instance = draft.state.instances[identifier]
        if instance.status is InstanceStatus.LOST:
            continue
        left += 1
        if instance.kind != "agent" or instance.status in (InstanceStatus.STOPPING, *ENDED):
            continue
        agent = draft.state.agents[instance.workload]
        runs = instance.status is InstanceStatus.RUNNING
        if not runs or _unavailable(agent) < agent.spec.update.max_unavailable:
            request_stop(draft, instance, "drain")
    if left == 0:
        draft.emit(ev.NodeDrained(node=node))


def settle_job(draft: Draft, identifier: str) -> None:
    """Finish a job whose task has ended, or give a lost or failed task its next generation."""
    job = draft.state.jobs[identifier]
    current = draft.state.instances.get(job.slot.current)
    if job.status is not JobStatus.ACTIVE:
        _remove_job_if_asked(draft, job)
        return
    if (job.cancelling or job.deleting) and (current is None or current.status in ENDED):
        draft.emit(ev.JobFinished(job=identifier, outcome="cancelled", exit=current.exit if current else None))
    elif current is None:
        _next_task(draft, job, None)
    elif current.status is InstanceStatus.SUCCEEDED:
        draft.emit(ev.JobFinished(job=identifier, outcome="succeeded", exit=current.exit))
    elif current.status is InstanceStatus.FAILED:
        if _may_retry(job, current):
            _next_task(draft, job, current)
        else:
            draft.emit(ev.JobFinished(job=identifier, outcome="failed", exit=current.exit))
    elif current.status in ENDED:
        _next_task(draft, job, current)
    _remove_job_if_asked(draft, draft.state.jobs[identifier])


def _may_retry(job: Job, current: Instance) -> bool:
    """A taken port is the fabric's to mend; other failures are retried elsewhere as often as the policy allows."""
    if current.exit is not None and current.exit.cause == "port-busy":
        return job.slot.failures < 10
    return job.spec.restart.policy != "never" and job.slot.failures < job.spec.restart.attempts


def _next_task(draft: Draft, job: Job, current: Instance | None) -> None:
    failed = current is not None and current.status is InstanceStatus.FAILED
    delay = reschedule_delay(job.spec.restart, job.slot.failures + 1) if failed else 0
    draft.emit(
        ev.InstancesCreated(
            workload_kind="job",
            workload=job.id,
            version=1,
            slots=(ev.SlotGeneration(1, job.slot.generation + 1),),
            not_before_ms=draft.header.time_ms + delay if delay else 0,
            avoid=current.node if failed and current is not None else "",
        )
    )


def _remove_job_if_asked(draft: Draft, job: Job) -> None:
    if not job.deleting or job.status is JobStatus.ACTIVE:
        return
    for stray in job.strays:
        if draft.state.instances[stray].status is not InstanceStatus.LOST:
            return
    draft.emit(ev.JobsRemoved(jobs=(job.id,)))


def settle_instance(draft: Draft, instance: Instance, *, reason: str = "not wanted") -> None:
    """After an instance ended, was lost or came to run: its slot or job."""
    if instance.kind == "agent":
        if instance.workload in draft.state.agents:
            draft.touch(instance.workload)
            settle_slots(draft, instance.workload, [instance.slot], reason=reason)
    elif instance.workload in draft.state.jobs:
        settle_job(draft, instance.workload)


def react(draft: Draft) -> None:
    """The end of every decision: rollouts and drains go on with what has become free."""
    for agent in list(draft.agents):
        advance_rollout(draft, agent)
    if draft.agents or draft.state.draining:
        for node in sorted(draft.state.draining):
            if draft.state.nodes[node].status is not NodeStatus.JOINED:
                advance_drain(draft, node)


def next_instance_id(agent: Agent, slot: int) -> str:
    """Id of the generation that a slot would get next."""
    known = agent.slots.get(slot)
    return instance_id(agent.id, slot, (known.generation if known else 0) + 1)
