"""`omnitide ps`: the instances."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli import statuses
from omnitide.cli.access.names import nodes, workloads
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.objects import Instance, InstanceList
    from omnitide.sdk.client import Client

_COLUMNS: Final = (
    Column("NAMESPACE", rank=5),
    Column("INSTANCE"),
    Column("STATUS"),
    Column("FOR", right=True, rank=2),
    Column("NODE"),
    Column("ATTEMPT", right=True, rank=4),
    Column("HANDLE", rank=1),
    Column("ENDPOINTS", rank=3),
    Column("NOTE", rank=6, free=True),
)


def ps(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="[AGENT]", help="Only of this agent or job.", autocompletion=workloads)
    ] = "",
    node: Annotated[str, typer.Option(help="Only on this node.", autocompletion=nodes)] = "",
    status: Annotated[
        str,
        typer.Option(
            help="Only of this status, as this list shows it: also failing (ends again and again), waiting (to start "
            "again), unhealthy, away (its node is waited for). What fails or is away is also found by what it does, or "
            "did then.",
            autocompletion=statuses.complete_of_instances,
        ),
    ] = "",
    ended: Annotated[bool, typer.Option("--all", "-a", help="Also those that have ended.")] = False,
    watch: WatchOption = False,
) -> None:
    """List the instances: what runs where."""
    session = session_of(context)
    statuses.require(status, statuses.of_instances())

    from omnitide.cli.instances.resolve import require_namespace, require_workload
    from omnitide.cli.instances.waiting import why_pending

    waits: dict[str, str] = {}

    def read(client: "Client") -> "InstanceList":
        from omnitide.model.objects import Instance, InstanceList

        namespace, workload = session.name(name) if name else (session.options.namespace, "")
        found: list[Instance] = []
        for asked in statuses.OWN_OF_INSTANCES.get(status, (status,)):
            some = list(client.instances(namespace=namespace, agent=workload, node=node, status=asked, ended=ended))
            if workload and not some:
                some = list(client.instances(namespace=namespace, job=workload, node=node, status=asked, ended=ended))
            found += some
        if status:
            found = [one for one in found if status in (_word(one), one.condition)]
        if not found:
            if workload:
                require_workload(session, client, name)
            if node:
                client.get_node(node)
            require_namespace(session, client)
        waits.clear()
        if not session.plain:
            waits.update(why_pending(client, found))
        return InstanceList(items=tuple(found), revision=client.seen)

    def lines(session: Session, found: "InstanceList", width: int | None) -> list[str]:
        return _lines(session, found, waits, width)

    show(session, read, lines, watch=watch)


def _lines(session: Session, found: "InstanceList", waits: dict[str, str], width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import spell

    if not found.items:
        return ["no instances"]
    rows: list[list[Cell | str]] = [
        [
            one.namespace,
            one.name,
            _state(one),
            spell(one.since_ms),
            one.node or "-",
            str(one.attempt) if one.attempt else "-",
            one.handle,
            " ".join(one.urls.values()),
            _note(one, waits.get(one.id, "")),
        ]
        for one in found.items
    ]
    return table(_COLUMNS, rows, color=session.color, width=width)


def _state(one: "Instance") -> Cell:
    from omnitide.cli.show.words import state

    return state(_word(one), one.unknown_since_ms)


def _word(one: "Instance") -> str:
    """As `top` and the panel call it. What an instance on a node that is away does nobody knows."""
    if one.unknown_because and one.status != "unknown":
        return "away"
    return "failing" if one.failing and one.status != "unknown" else one.condition


def _note(one: "Instance", waits: str = "") -> str:
    """`waits`: why it has no node yet."""
    from omnitide.cli.happenings.wording import ASKED_FOR
    from omnitide.cli.show.words import plural

    parts = [waits] if waits else []
    if one.status == "unknown":
        parts.append(f"was {one.last_status}")
    elif one.unknown_because:
        parts.append(f"was {'failing' if one.failing else one.condition}")
    if one.unknown_because:
        parts.append(one.unknown_because)
    if one.stop_reason:
        parts.append(one.stop_reason)
    if one.failing:
        in_a_row = f"ended {plural(one.ends, 'time')} in a row"
        parts += [one.condition, in_a_row] if _word(one) == "failing" else [in_a_row]
    if one.exit is not None and one.condition == "waiting":
        begun = "could not start" if one.exit.reason == "start-failed" else "restarts"
        parts.append(f"{begun}; attempt {one.exit.attempt}: {one.exit.text}")
    elif one.exit is not None and one.exit.attempt < one.attempt:
        # Of an earlier attempt: of the current one there is no end, or none that is known.
        if one.exit.reason not in ASKED_FOR:
            parts.append(f"before: {one.exit.text}")
    elif one.exit is not None and one.status != "running":
        parts.append(one.exit.text)
    elif one.exit is None and one.previous_exit is not None and one.ends and one.previous_exit.reason not in ASKED_FOR:
        # The one before was not asked to end, as for a move or an update: then how it ended says nothing. Nor does it
        # if it was of another version, or this one has run well for long: then no end in a row counts.
        parts.append(f"before: {one.previous_exit.text}")
    if one.unenforced:
        parts.append(f"limits not enforced: {', '.join(one.unenforced)}")
    return ", ".join(parts)
