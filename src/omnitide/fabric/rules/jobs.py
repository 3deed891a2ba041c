"""Rules of jobs."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import require_name, require_namespace
from omnitide.fabric.rules.agents import MAX_INSTANCES
from omnitide.fabric.rules.bounds import require_others, require_spec
from omnitide.fabric.rules.feasible import require_feasible
from omnitide.fabric.rules.settle import request_stop, settle_job
from omnitide.fabric.state import ENDED, Job, JobStatus, find_agent, find_job, scoped
from omnitide.model.spec import JobSpec

MAX_JOBS = 100_000


def _subject(namespace: str, name: str) -> str:
    return f"job {scoped(namespace, name)}"


def _job(draft: Draft, namespace: str, name: str) -> Job:
    require_namespace(draft, namespace)
    job = find_job(draft.state, namespace, name)
    if job is None:
        raise Refuse(
            "not-found",
            f"there is no job {scoped(namespace, name)}",
            hint="omnitide jobs",
            subject=_subject(namespace, name),
        )
    return job


def run_job(draft: Draft, command: cm.RunJob) -> None:
    require_name(command.name, "a job")
    require_namespace(draft, command.namespace)
    subject = _subject(command.namespace, command.name)
    if find_job(draft.state, command.namespace, command.name) is not None:
        raise Refuse("already-exists", f"{subject} exists", hint="choose another name or remove it", subject=subject)
    if find_agent(draft.state, command.namespace, command.name) is not None:
        raise Refuse(
            "already-exists", f"{scoped(command.namespace, command.name)} is the name of an agent", subject=subject
        )
    if not command.job or command.job in draft.state.jobs or command.job in draft.state.agents:
        raise Refuse("already-exists", f"id {command.job!r} is in use", subject=subject)
    if len(draft.state.jobs) >= MAX_JOBS or len(draft.state.instances) >= MAX_INSTANCES:
        raise Refuse("limit", f"the fabric holds {MAX_JOBS} jobs or {MAX_INSTANCES} instances, the most it can")
    require_spec(command.spec, JobSpec, subject)
    require_others(command.spec, command.name, subject)
    require_feasible(draft, command.spec, subject)
    draft.emit(ev.JobCreated(job=command.job, namespace=command.namespace, name=command.name, spec=command.spec))
    settle_job(draft, command.job)
    draft.result = {"job": command.job}


def _stop_task(draft: Draft, job: Job, reason: str) -> None:
    for identifier in sorted({job.slot.current, *job.strays} - {""}):
        instance = draft.state.instances.get(identifier)
        if instance is not None and instance.status not in ENDED:
            request_stop(draft, instance, reason)


def cancel_job(draft: Draft, command: cm.CancelJob) -> None:
    job = _job(draft, command.namespace, command.name)
    draft.result = {"job": job.id}
    if job.status is not JobStatus.ACTIVE:
        raise Refuse(
            "conflict",
            f"job {scoped(job.namespace, job.name)} has finished already ({job.status.value})",
            subject=_subject(job.namespace, job.name),
        )
    if not job.cancelling:
        draft.emit(ev.JobCancelled(job=job.id))
        _stop_task(draft, job, "cancelled")
        settle_job(draft, job.id)


def delete_job(draft: Draft, command: cm.DeleteJob) -> None:
    job = _job(draft, command.namespace, command.name)
    draft.result = {"job": job.id}
    if not job.deleting:
        draft.emit(ev.JobDeleted(job=job.id))
        _stop_task(draft, job, "deleted")
        settle_job(draft, job.id)
