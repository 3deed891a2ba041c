"""`omnitide metrics`."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.metrics.tools import grafana, prometheus
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import show
from omnitide.cli.show.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omnitide.model.metrics import MetricAnswer, MetricList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="What nodes and instances use, over time: the last 15 minutes by the second, 7 days by the minute.",
)

WATCH_S: Final = 1.0
NO_TIME: Final = "0s"
MOST_NEAR: Final = 3
"""Names that a hint gives."""
_SHARED: Final = frozenset({"omnitide", "node", "instance", "total", "bytes", "seconds"})
"""Words that say nothing of which metric is meant."""
_NAMES: Final = (
    Column("NAME"),
    Column("KIND", rank=2),
    Column("UNIT"),
    Column("SERIES", right=True),
    Column("LABELS", rank=1),
    Column("WHAT", free=True),
)
_NOT_TAKEN: Final = {
    "ended": "of instances that were over when their last samples came, which is no fault",
    "no room": "of more series than the memory holds (metrics.memory)",
    "too old": "they came more than two minutes late",
    "refused": "a node sent what is no batch of samples (nexus.log says which)",
}
_AGGREGATES: Final = ("avg", "min", "max", "last", "p95", "rate")
_COMBINES: Final = ("sum", "avg", "min", "max")


@app.command("ls")
def ls(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only names that begin so.")] = "",
) -> None:
    """List what is sampled, with units and how many series there are."""
    show(session_of(context), lambda client: client.list_metrics(prefix=prefix), _list_lines)


@app.command()
def query(
    context: typer.Context,
    selector: Annotated[
        str, typer.Argument(metavar="SELECTOR", help='name, or name{label="value"}. Names: metrics ls.')
    ],
    match: Annotated[
        list[str] | None,
        typer.Option(
            "--match",
            "-m",
            metavar="CONDITION",
            help="label=value, or with !=, =~ or !~; repeatable. Labels: metrics ls.",
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back, such as 15m or 2d.")] = "15m",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Up to so long ago.")] = NO_TIME,
    step: Annotated[
        str, typer.Option("--step", metavar="TIME", help="Length of a step; 0s: a 300th of it all.")
    ] = NO_TIME,
    aggregate: Annotated[
        str,
        typer.Option(
            "--aggregate", "-a", help=f"Of the samples of a step: {', '.join(_AGGREGATES)}. Default: rate or avg."
        ),
    ] = "",
    by: Annotated[
        str, typer.Option("--by", help="Labels to keep, a,b; series that are then the same are one. `-`: none.")
    ] = "",
    combine: Annotated[
        str, typer.Option("--combine", help=f"How series that are the same are one: {', '.join(_COMBINES)}.")
    ] = "sum",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew each second.")] = False,
) -> None:
    """Show samples over time: a line for each series, with its last, least and most.

    Of counters (names that end in _total) the rate a second is shown: of processor seconds, processors in use. What is
    older than 15 minutes is kept by the minute.
    """
    from omnitide.cli.durations import milliseconds
    from omnitide.cli.exits import Exit, Failure

    for flag, text, known in (("--aggregate", aggregate, _AGGREGATES), ("--combine", combine, _COMBINES)):
        if text and text not in known:
            raise Failure(f"{flag} {text}: must be one of {', '.join(known)}", code=Exit.USAGE)
    span, ended, length = (
        milliseconds(since, "--since"),
        milliseconds(until, "--until"),
        milliseconds(step, "--step"),
    )
    labels = tuple(part.strip() for part in by.split(",") if part.strip())
    known = False

    def read(client: "Client") -> "MetricAnswer":
        nonlocal known
        found = client.query_metrics(
            selector,
            match=tuple(match or ()),
            start_ms=-span,
            end_ms=-ended,
            step_ms=length,
            aggregate=aggregate,
            by=labels,
            combine=combine,
        )
        if not found.items and not known:
            # Nothing at all may also be what a mistyped name gives.
            check_metric(found.name, [one.name for one in client.list_metrics().items])
        known = True
        return found

    def lines(session: Session, found: "MetricAnswer", width: int | None) -> list[str]:
        from omnitide.cli.show.charts import chart_lines

        return chart_lines(found, color=session.color, width=width, span_ms=max(0, span - ended))

    show(session_of(context), read, lines, watch=watch, every_s=WATCH_S)


def check_metric(name: str, known: "Sequence[str]") -> None:
    """Raises Failure if there are some, and none of that name. In a fabric of which nothing was sampled yet any may
    come to be."""
    import difflib

    from omnitide.cli.exits import Exit, Failure

    if name in known or not known:
        return
    # By the words of a name too: people leave out the beginning and the unit that all have.
    words = set(name.lower().split("_"))
    shared = {one: len(words & (set(one.split("_")) - _SHARED)) for one in known}
    near = [one for one in known if 0 < shared[one] == max(shared.values())]
    found = dict.fromkeys([*near, *difflib.get_close_matches(name, known, MOST_NEAR, 0.75)])
    hint = f"did you mean {' or '.join(list(found)[:MOST_NEAR])}?" if found else "omnitide metrics ls"
    raise Failure(f"there is no metric {name!r}", hint, Exit.NOT_FOUND)


def _list_lines(session: Session, found: "MetricList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.model.quantity import format_bytes

    rows = [
        [one.name, one.kind, one.unit or "-", str(one.series), " ".join(one.labels), one.help] for one in found.items
    ]
    lines = table(_NAMES, rows, color=session.color, width=width) if rows else ["nothing has been sampled yet"]
    room = f"{format_bytes(found.memory_bytes)} of {format_bytes(found.memory_bound_bytes)}"
    lines.append(f"{found.series} series in {room}")
    for reason, number in found.dropped_by.items():
        lines.append(f"{number} not taken since Nexus began: {_NOT_TAKEN.get(reason, reason)}")
    return lines


app.command()(prometheus)
app.command()(grafana)
