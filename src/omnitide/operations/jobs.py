"""Operations on jobs."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.state import FabricState, Job, find_job, scoped
from omnitide.model import objects as ob
from omnitide.model.names import NAME_PATTERN, suggest_name
from omnitide.model.spec import JobSpec
from omnitide.operations.agents import check_spec
from omnitide.operations.changing import Made, change
from omnitide.operations.failures import failed
from omnitide.operations.inputs import NamespaceFilter, NamespaceName, PageRequest, Request
from omnitide.operations.named import answer_of, page_by_name
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.workloads import show_job, show_job_summary

JobName = Annotated[str, Meta(pattern=NAME_PATTERN, description="Name of the job.")]


class JobRequest(Request, frozen=True, kw_only=True):
    """One job."""

    namespace: NamespaceName
    name: JobName


class ListJobsRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""
    status: Annotated[
        Literal["", "active", "succeeded", "failed", "cancelled"], Meta(description="Only of this status.")
    ] = ""


class GetJobRequest(JobRequest, frozen=True, kw_only=True):
    pass


class RunJobRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: Annotated[JobName | None, Meta(description="Left out: one is made.")] = None
    spec: JobSpec


class CancelJobRequest(JobRequest, frozen=True, kw_only=True):
    pass


class DeleteJobRequest(JobRequest, frozen=True, kw_only=True):
    pass


def _require(state: FabricState, namespace: str, name: str) -> Job:
    job = find_job(state, namespace, name)
    if job is None:
        subject = f"job {scoped(namespace, name)}"
        raise failed("not-found", f"there is no {subject}", hint="omnitide jobs", subject=subject)
    return job


async def _list(runtime: Runtime, _: Context, asked: ListJobsRequest) -> Answer[ob.JobList]:
    page = await page_by_name(
        runtime,
        asked,
        f"jobs {asked.status}",
        lambda state: (state.job_names, state.jobs),
        lambda job: asked.status in ("", job.status.value),
    )
    state = page.state
    items = tuple(show_job_summary(state, job) for job in page.items)
    return Answer(ob.JobList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


async def _get(runtime: Runtime, _: Context, asked: GetJobRequest) -> Answer[ob.Job]:
    state = runtime.committed()
    job = _require(state, asked.namespace, asked.name)
    return Answer(show_job(state, job), state.revision, etag=job.revision)


def _answer(made: Made, change_name: str) -> Answer[ob.JobChanged]:
    job = made.state.jobs.get(str(made.result.get("job", "")))
    value = ob.JobChanged(
        job=show_job(made.state, job) if job is not None else None,
        change=change_name if made.changed else "unchanged",
        revision=made.revision,
        dry_run=made.dry_run,
        replayed=made.replayed,
    )
    return answer_of(made, value, job, created=change_name == "created")


async def _run(runtime: Runtime, context: Context, asked: RunJobRequest) -> Answer[ob.JobChanged]:
    check_spec(runtime, asked.spec)
    command = cm.RunJob(
        job=runtime.new_id("job"),
        namespace=asked.namespace,
        name=asked.name or suggest_name(runtime.new_id("run")),
        spec=asked.spec,
    )
    return _answer(await change(runtime, context, command, namespace=asked.namespace), "created")


def _changes(
    command: type[cm.CancelJob | cm.DeleteJob], done: str
) -> Callable[[Runtime, Context, JobRequest], Awaitable[Answer[ob.JobChanged]]]:
    """The handler of a change that needs to know no more than which job."""

    async def handle(runtime: Runtime, context: Context, asked: JobRequest) -> Answer[ob.JobChanged]:
        wanted = command(namespace=asked.namespace, name=asked.name)
        return _answer(await change(runtime, context, wanted, namespace=asked.namespace), done)

    return handle


_JOB: Final = "/v1/namespaces/{namespace}/jobs/{name}"

OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="jobs.list",
        rpc="ListJobs",
        summary="List the jobs, in order of namespace and name.",
        method="GET",
        path="/v1/jobs",
        input=ListJobsRequest,
        output=ob.JobList,
        permission=Permission("read", "job", namespaced=True),
        handler=_list,
    ),
    Operation(
        name="jobs.get",
        rpc="GetJob",
        summary="Show a job.",
        method="GET",
        path=_JOB,
        input=GetJobRequest,
        output=ob.Job,
        permission=Permission("read", "job", namespaced=True),
        failures=("not-found",),
        handler=_get,
    ),
    Operation(
        name="jobs.run",
        rpc="RunJob",
        summary="Run a workload to completion.",
        method="POST",
        path="/v1/namespaces/{namespace}/jobs",
        input=RunJobRequest,
        output=ob.JobChanged,
        permission=PERMISSIONS[cm.RunJob],
        failures=("not-found", "already-exists", "impossible", "limit", "too-large"),
        handler=_run,
        writes=True,
        idempotent=False,
        dry_run=True,
    ),
    Operation(
        name="jobs.cancel",
        rpc="CancelJob",
        summary="Stop a job that has not finished.",
        method="POST",
        path=_JOB + "/cancel",
        input=CancelJobRequest,
        output=ob.JobChanged,
        permission=PERMISSIONS[cm.CancelJob],
        failures=("not-found", "conflict"),
        handler=_changes(cm.CancelJob, "cancelled"),
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Operation(
        name="jobs.delete",
        rpc="DeleteJob",
        summary="Stop a job if it runs, and forget it.",
        method="DELETE",
        path=_JOB,
        input=DeleteJobRequest,
        output=ob.JobChanged,
        permission=PERMISSIONS[cm.DeleteJob],
        failures=("not-found",),
        handler=_changes(cm.DeleteJob, "deleted"),
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
