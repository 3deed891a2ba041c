"""What follows a failure: another generation, when and where, or none. Permanent causes end, transient ones back off.

A node says with an exit whether another try *there* can help. A permanent cause may be peculiar to one node (a user or
a program that others have), so that a few further generations are tried, at once and elsewhere; then it is taken to be
the spec's, and the slot or job has failed until somebody changes something.
"""

from typing import Final

from omnitide.fabric.state import Agent, ExitRecord, FabricState, Instance, InstanceStatus, Job, Slot
from omnitide.model.spec import Restart, WorkloadSpec

PORT_BUSY: Final = "port-busy"
"""Cause of an exit: a host port was taken by something else. The fabric's to mend, with other ports."""
PORT_TRIES: Final = 10
"""Generations in a row of a task that may end so."""
PERMANENT_TRIES: Final = 3
"""Generations in a row that may fail with a permanent cause, the first included."""


def reschedule_delay(restart: Restart, failures: int) -> int:
    """Milliseconds before the generation after `failures` failed ones in a row: 0, backoff, 2 x backoff, ... capped."""
    if failures <= 0:
        return 0
    return min(restart.backoff_max, restart.backoff << min(failures - 1, 30))


def failed_permanently(instance: Instance) -> bool:
    """Failed, and another try on its node cannot help."""
    return instance.status is InstanceStatus.FAILED and instance.exit is not None and instance.exit.permanent


def permanent_failures_after(slot: Slot, before: Instance | None, version: int, reset_after_ms: int | None) -> int:
    """How many generations in a row have failed with a permanent cause when `version` follows `before` in a slot.

    A stable run of `reset_after_ms` starts the count anew (None: nothing does), and so does another version, any other
    end, or a stop that was asked for. One that was lost before it ran has proved nothing.
    """
    if before is None or before.version != version:
        return 0
    if before.status is InstanceStatus.LOST:
        return 0 if before.started_ms else slot.permanent_failures
    if not failed_permanently(before):
        return 0
    stable = reset_after_ms is not None and before.started_ms and before.since_ms - before.started_ms >= reset_after_ms
    return 1 if stable else slot.permanent_failures + 1


def gave_up(instance: Instance, slot: Slot, restart: Restart) -> bool:
    """Failed permanently, after as many tries as such a cause is given. The slot's current instance."""
    tries = permanent_failures_after(slot, instance, instance.version, restart.reset_after)
    return failed_permanently(instance) and tries >= PERMANENT_TRIES


def is_finished(instance: Instance, spec: WorkloadSpec, slot: Slot) -> bool:
    """Ended for good: it did what it was for, its policy forbids another try, or none can help. `slot`: its own."""
    if instance.status is InstanceStatus.SUCCEEDED:
        return spec.restart.policy != "always"
    if instance.status is not InstanceStatus.FAILED:
        return False
    return spec.restart.policy == "never" or gave_up(instance, slot, spec.restart)


def may_retry(job: Job, exit_record: ExitRecord | None) -> bool:
    """Whether a task that failed so is tried again: a taken port always, else as often as policy and cause allow."""
    if exit_record is not None and exit_record.permanent and job.slot.permanent_failures + 1 >= PERMANENT_TRIES:
        return False
    if exit_record is not None and exit_record.cause == PORT_BUSY:
        return job.slot.failures < PORT_TRIES
    return job.spec.restart.policy != "never" and job.slot.failures < job.spec.restart.attempts


def next_try(time_ms: int, restart: Restart, failed: Instance, failures: int) -> tuple[int, str]:
    """Log time before which the generation after `failed` is not placed (0: any), and the node that it avoids.

    After a taken port it is tried at once, and there too: with other ports it may well run. After a permanent cause at
    once and elsewhere: to wait cannot help, and there are only a few such tries.
    """
    if failed.exit is not None and failed.exit.cause == PORT_BUSY:
        delay, avoid = reschedule_delay(restart, failures - 1), ""
    elif failed_permanently(failed):
        delay, avoid = 0, failed.node
    else:
        delay, avoid = reschedule_delay(restart, failures), failed.node
    return time_ms + delay if delay else 0, avoid


def halted_by(state: FabricState, agent: Agent) -> Instance | None:
    """The replica of the new version whose failure for good holds a rollout up; None if none does.

    A new version that cannot run must not take more of the old one with it. What has not been replaced stays, until
    the spec is changed or somebody asks for another try.
    """
    if not agent.rollout_cursor or not agent.counts.failed:
        return None
    for number in sorted(agent.slots):
        current = state.instances.get(agent.slots[number].current)
        if current is not None and current.status is InstanceStatus.FAILED and current.version == agent.version:
            return current
    return None
