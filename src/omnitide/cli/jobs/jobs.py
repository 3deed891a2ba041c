"""`omnitide jobs` and `omnitide cancel`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.access.names import any_jobs
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.objects import JobList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False, invoke_without_command=True, help="List the jobs, the newest last; remove those that ended."
)

_COLUMNS: Final = (
    Column("NAMESPACE", rank=4),
    Column("JOB"),
    Column("STATUS"),
    Column("NODE", rank=3),
    Column("TOOK", right=True, rank=3),
    Column("AGE", right=True, rank=2),
    Column("EXIT", rank=1, free=True),
)

Status = Annotated[str, typer.Option(help="Only of this status: active, succeeded, failed, cancelled.")]


@app.callback()
def jobs(context: typer.Context, status: Status = "", watch: WatchOption = False) -> None:
    """List the jobs, the newest last."""
    if context.invoked_subcommand is None:
        _list(context, status=status, watch=watch)


@app.command("list")
def list_(context: typer.Context, status: Status = "", watch: WatchOption = False) -> None:
    """List the jobs, the newest last."""
    _list(context, status=status, watch=watch)


@app.command()
def rm(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Names, or namespace/name.", autocompletion=any_jobs)
    ] = None,
    finished: Annotated[
        bool, typer.Option("--finished", help="Every job of the namespace that has ended, however it did.")
    ] = False,
) -> None:
    """Remove jobs, or all that have ended. If one of the names is not there, none is removed."""
    from omnitide.cli.agents.deploy import one_document
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.instances.resolve import require_namespace
    from omnitide.cli.show.words import plural
    from omnitide.sdk.errors import NotFound

    if bool(names) == finished:
        raise Failure("names of jobs, or --finished", "omnitide jobs rm --finished", Exit.USAGE)
    session = session_of(context)
    with session.client() as client, one_document(session, several=True) as done:
        if finished:
            require_namespace(session, client)
            todo = [(one.namespace, one.name) for one in client.jobs(namespace=session.namespace) if one.finished_ms]
        else:
            todo = [session.name(name) for name in names or ()]
            for namespace, name in todo:
                client.get_job(name, namespace=namespace)
        for namespace, name in todo:
            try:
                done.append(client.delete_job(name, namespace=namespace))
            except NotFound:
                continue  # somebody was quicker
            if not finished:
                session.say(f"  job {name} removed")
        if finished:
            session.say(f"  {plural(len(done), 'job')} removed")


def _list(context: typer.Context, *, status: str, watch: bool) -> None:
    session = session_of(context)

    from omnitide.cli.instances.resolve import require_namespace

    def read(client: "Client") -> "JobList":
        from omnitide.model.objects import JobList

        found = client.jobs(namespace=session.options.namespace, status=status)
        items = tuple(sorted(found, key=lambda one: (one.created_ms, one.namespace, one.name)))
        if not items:
            require_namespace(session, client)
        return JobList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "JobList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ending, now_ms, spell, state

    if not found.items:
        return ["no jobs; one: omnitide run -- COMMAND"]
    now = now_ms()
    rows: list[list[Cell | str]] = []
    for job in found.items:
        status = job.instance_status if job.status == "active" and job.instance_status else job.status
        rows.append(
            [
                job.namespace,
                job.name,
                state(status),
                job.node or "-",
                spell(job.created_ms, job.finished_ms or now),
                spell(job.created_ms, now),
                "cancelling" if job.cancelling and job.status == "active" else ending(job.exit),
            ]
        )
    return table(_COLUMNS, rows, color=session.color, width=width)


def cancel(
    context: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="JOB...", help="Names, or namespace/name.", autocompletion=any_jobs)
    ],
) -> None:
    """Cancel jobs: what runs is stopped, what waits does not begin."""
    session = session_of(context)
    with session.client() as client:
        for name in names:
            namespace, job = session.name(name)
            changed = client.cancel_job(job, namespace=namespace)
            if session.plain:
                session.emit(changed)
            else:
                session.say(f"  {job} {'cancelled' if changed.change == 'cancelled' else changed.change}")
