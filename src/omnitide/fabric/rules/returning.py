"""What becomes of instances that were given up as lost when their node is back: who wins, the old one or the new.

What is protected is the older *run*: the one that its users may have been talking to all the while. It wins if it is
healthy and its slot was not updated. One that was started anew out of sight has no such history: where a replacement
runs by then, that stays. What has done its work meanwhile has done it, and is not done again (promises 4 and 11).
"""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rules.bounds import MAX_TEXT, MAX_UNENFORCED, bounded_exit, bounded_text
from omnitide.fabric.rules.failing import failed_permanently, is_finished, is_held_up, may_retry, version_that_works
from omnitide.fabric.rules.settle import request_stop
from omnitide.fabric.state import (
    ENDED,
    Agent,
    ExitRecord,
    Health,
    Instance,
    InstanceStatus,
    JobStatus,
    NodeStatus,
    Phase,
    Scheduling,
    spec_of_instance,
)
from omnitide.model.provisions import stays

_NOT_RUN_YET = frozenset({InstanceStatus.PENDING, InstanceStatus.PLACED, InstanceStatus.STARTING})


def welcome_back(draft: Draft, instance: Instance, report: cm.InstanceReport | None) -> None:
    """A lost instance whose node is back, and what the node says of it: None if it knows nothing of it.

    One that takes its place again is current when this returns; the report itself is taken by the caller.
    """
    if report is not None and _wins(draft, instance, report):
        ended = _ended_unseen(instance, report)
        adopt(draft, instance, instance.attempt if ended is not None else report.attempt)
        if ended is not None:
            draft.emit(ev.InstanceExited(instance=instance.id, exit=ended))
        if report.phase is Phase.RUNNING and (instance.attempt, instance.phase) != (report.attempt, Phase.RUNNING):
            came_to_run(draft, instance, report)
        return
    still_there = report is not None and report.phase is not Phase.ENDED
    drained = draft.state.nodes[instance.node].scheduling is Scheduling.DRAINED
    if still_there and not drained and _keeps_volumes(draft, instance):
        # What is made in its place has the same volumes, and waits until it has ended.
        draft.emit(ev.InstanceStopRequested(instance=instance.id, reason="replaced"))
        return
    # A lost one is no slot's current one, and nothing waits for it: there is nothing to settle.
    draft.emit(ev.InstanceEnded(instance=instance.id, status="lost"))


def _ended_unseen(instance: Instance, report: cm.InstanceReport) -> ExitRecord | None:
    """How the attempt before the one that runs now had ended, where nothing was heard of that: the report of it was
    overtaken while the instance counted as lost."""
    before = (report.attempt - 1, Phase.WAITING)
    if report.phase is not Phase.RUNNING or report.attempt < 2 or before <= (instance.attempt, instance.phase):
        return None
    return bounded_exit(report.exit, report.attempt - 1)


def _keeps_volumes(draft: Draft, instance: Instance) -> bool:
    return any(map(stays, spec_of_instance(draft.state, instance).volumes.values()))


def came_to_run(draft: Draft, instance: Instance, report: cm.InstanceReport) -> None:
    draft.emit(
        ev.InstanceRunning(
            instance=instance.id,
            attempt=report.attempt,
            handle=bounded_text(report.handle, MAX_TEXT),
            unenforced=report.unenforced[:MAX_UNENFORCED],
            health=report.health,
        )
    )


def adopt(draft: Draft, instance: Instance, attempt: int) -> None:
    """Make an instance its slot's current one again; what replaced it is stopped."""
    replacement = _replacement(draft, instance)
    draft.emit(ev.InstanceRecovered(instance=instance.id, attempt=attempt))
    if replacement is not None:
        # A replacement that had ended is forgotten by now.
        known = draft.state.instances.get(replacement.id)
        if known is not None:
            request_stop(draft, known, "merged")
    if instance.kind == "agent":
        draft.touch(instance.workload)


def _wins(draft: Draft, instance: Instance, report: cm.InstanceReport) -> bool:
    if report.attempt < instance.attempt or not _may_merge(draft, instance):
        return False
    if report.phase is Phase.RUNNING:
        fit = not report.stopping and report.health is not Health.UNHEALTHY and _may_stay(draft, instance)
        return fit and (report.attempt == instance.attempt or not _is_replaced(draft, instance))
    if report.phase is not Phase.ENDED:
        return False
    if report.outcome == "succeeded":
        return True
    return report.outcome == "failed" and _failed_for_good(draft, instance, report)


def _is_replaced(draft: Draft, instance: Instance) -> bool:
    """Whether another runs in its place, as far as that can be known: one on a silent node may not."""
    replacement = _replacement(draft, instance)
    if replacement is None or replacement.status is not InstanceStatus.RUNNING:
        return False
    live = draft.state.nodes[replacement.node].status is NodeStatus.LIVE
    return live and replacement.health is not Health.UNHEALTHY


def _failed_for_good(draft: Draft, instance: Instance, report: cm.InstanceReport) -> bool:
    """A task that failed where no one could see it, and may not be tried again: unless that has begun already."""
    if instance.kind != "job" or may_retry(draft.state.jobs[instance.workload], report.exit):
        return False
    replacement = _replacement(draft, instance)
    return replacement is None or replacement.status in _NOT_RUN_YET


def _may_stay(draft: Draft, instance: Instance) -> bool:
    """Not on a node that is being emptied; a task may run to its end there until the node is said to be empty."""
    scheduling = draft.state.nodes[instance.node].scheduling
    if instance.kind == "agent":
        return scheduling not in (Scheduling.DRAINING, Scheduling.DRAINED)
    return scheduling is not Scheduling.DRAINED


def _may_merge(draft: Draft, instance: Instance) -> bool:
    if instance.stop_reason or instance.superseded:
        # To be stopped, or to be replaced: nobody wanted it to stay.
        return False
    if instance.kind == "job":
        job = draft.state.jobs[instance.workload]
        if job.status is not JobStatus.ACTIVE or job.cancelling or job.deleting:
            return False
        slot = job.slot
    else:
        agent = draft.state.agents[instance.workload]
        wanted = agent.slots.get(instance.slot)
        if wanted is None or not agent.wants(instance.slot) or not _version_may_return(draft, agent, instance):
            return False
        slot = wanted
    if instance.generation < slot.first:
        # Its slot was retired and made anew since: it had been scaled away or stopped.
        return False
    current = draft.state.instances.get(slot.current)
    if current is None or current.id == instance.id:
        return True
    finished = current.status in ENDED and is_finished(current, spec_of_instance(draft.state, current), slot)
    if finished and not failed_permanently(current) and current.version == instance.version:
        # What has done its work is not done again. One that cannot start anywhere is no better than one that runs, nor
        # is a newer version that has failed.
        return False
    # Of two lost ones of a slot the older wins, whichever comes back first.
    return current.generation > instance.generation


def _version_may_return(draft: Draft, agent: Agent, instance: Instance) -> bool:
    """The newest version; and while a rollout is paused, or halted by another slot than this, the one that this slot is
    to keep: what is known not to run does not take the place of what does."""
    if instance.version == agent.version:
        return True
    if instance.slot < agent.rollout_cursor or not is_held_up(draft.state, agent, besides=instance.slot):
        return False
    current = draft.state.instances.get(agent.slots[instance.slot].current)
    if current is None or (current.version == agent.version and current.status is InstanceStatus.FAILED):
        return instance.version == version_that_works(draft.state, agent)
    return instance.version == current.version


def _replacement(draft: Draft, instance: Instance) -> Instance | None:
    if instance.kind == "agent":
        slot = draft.state.agents[instance.workload].slots.get(instance.slot)
    else:
        slot = draft.state.jobs[instance.workload].slot
    if slot is None or slot.current in ("", instance.id):
        return None
    return draft.state.instances.get(slot.current)
