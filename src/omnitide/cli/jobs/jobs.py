"""`omnitide jobs` and `omnitide cancel`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.objects import JobList
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("NAMESPACE", rank=2),
    Column("JOB"),
    Column("STATUS"),
    Column("NODE", rank=3),
    Column("TOOK", right=True, rank=3),
    Column("AGE", right=True, rank=1),
    Column("EXIT", rank=4, free=True),
)


def jobs(
    context: typer.Context,
    status: Annotated[str, typer.Option(help="Only of this status: active, succeeded, failed, cancelled.")] = "",
    watch: WatchOption = False,
) -> None:
    """List the jobs."""
    session = session_of(context)

    from omnitide.cli.instances.resolve import require_namespace

    def read(client: "Client") -> "JobList":
        from omnitide.model.objects import JobList

        items = tuple(client.jobs(namespace=session.options.namespace, status=status))
        if not items:
            require_namespace(session, client)
        return JobList(items=items, revision=client.seen)

    show(session, read, _lines, watch=watch)


def _lines(session: Session, found: "JobList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import ago, ending, now_ms, state

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
                ago(job.created_ms, job.finished_ms or now),
                ago(job.created_ms, now),
                "cancelling" if job.cancelling and job.status == "active" else ending(job.exit),
            ]
        )
    return table(_COLUMNS, rows, color=session.color, width=width)


def cancel(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="JOB...", help="Names, or namespace/name.")],
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
