"""`omnitide nodes`, and `omnitide cordon`, `uncordon` and `drain`."""

import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli import statuses
from omnitide.cli.access import names
from omnitide.cli.nodes.labels import label
from omnitide.cli.session import Session, session_of
from omnitide.cli.show.live import WatchOption, show
from omnitide.cli.show.table import Cell, Column

if TYPE_CHECKING:
    from omnitide.model.inventory import Driver, Node, NodeChanged, NodeList
    from omnitide.sdk.client import Client

app = typer.Typer(
    add_completion=False, invoke_without_command=True, help="List the nodes; show, label, cordon, drain or remove one."
)
app.command("label")(label)

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Name or id.", autocompletion=names.nodes)]

_COLUMNS: Final = (
    Column("NODE"),
    Column("STATUS"),
    Column("FOR", right=True, rank=1),
    Column("INSTANCES", right=True),
    Column("CPU", right=True, rank=2),
    Column("MEMORY", right=True, rank=2),
    Column("DRIVERS", rank=4),
    Column("ADDRESS", rank=3),
    Column("PLATFORM", rank=5),
    Column("LABELS", rank=6, free=True),
)

StatusOption = Annotated[
    str,
    typer.Option(
        help="Only of this status, as this list shows it: also stopped (by its operator), left, away. What is "
        "away is also found by what it counts as.",
        autocompletion=statuses.complete_of_nodes,
    ),
]


@app.callback()
def nodes(
    context: typer.Context,
    status: StatusOption = "",
    watch: WatchOption = False,
) -> None:
    """List the nodes. CPU and memory: set aside for instances, of what there is."""
    if context.invoked_subcommand is None:
        _list(context, status=status, watch=watch)


@app.command("list")
def list_(
    context: typer.Context,
    status: StatusOption = "",
    watch: WatchOption = False,
) -> None:
    """List the nodes."""
    _list(context, status=status, watch=watch)


def _list(context: typer.Context, *, status: str, watch: bool) -> None:
    session = session_of(context)
    statuses.require(status, statuses.of_nodes())

    def read(client: "Client") -> "NodeList":
        from omnitide.model.inventory import NodeList

        return NodeList(items=tuple(client.nodes(status=status)), revision=client.seen)

    def lines(session: Session, found: "NodeList", width: int | None) -> list[str]:
        if status and not found.items:
            return [f"no nodes are {status}; all: omnitide nodes"]
        return _lines(session, found, width)

    show(session, read, lines, watch=watch)


def _lines(session: Session, found: "NodeList", width: int | None) -> list[str]:
    from omnitide.cli.show.table import table
    from omnitide.cli.show.words import share, spell

    if not found.items:
        return ["no nodes; this machine: omnitide up, another: omnitide token create"]
    rows: list[list[Cell | str]] = [
        [
            node.name,
            _status(node),
            spell(node.stopped_ms or node.since_ms),
            str(node.instances),
            share(node.reserved_cpu_milli, node.cpu_milli, "cpu"),
            share(node.reserved_memory_bytes, node.memory_bytes, "bytes").replace(" ", ""),
            ", ".join(_driver(node, one) for one in node.drivers if not one.absent),
            node.address or node.session_address,
            _platform(node),
            ",".join(f"{key}={value}" for key, value in sorted(node.labels.items())),
        ]
        for node in found.items
    ]
    return table(_COLUMNS, rows, color=session.color, width=width)


def _platform(node: "Node") -> str:
    text = "/".join(filter(None, (node.platform.get("os"), node.platform.get("arch"))))
    return f"{text} (simulated)" if "simulated" in node.platform else text


def _driver(node: "Node", one: "Driver") -> str:
    from omnitide.cli.show.words import ago, is_silent

    if is_silent(node):
        return one.name  # what it said last of it is that it goes
    if one.silent_since_ms:
        return f"{one.name} (silent for {ago(one.silent_since_ms)})"
    return one.name if one.healthy else f"{one.name} (unhealthy)"


def _status(node: "Node") -> Cell:
    from omnitide.cli.show.words import away_of, state

    cell = state(node.status, node.unknown_since_ms)
    if away := away_of(node):
        cell = Cell(away, "yellow" if node.status == "live" and not node.stopped_ms else "")
    if node.scheduling == "open":
        return cell
    return Cell(f"{cell.text}, {node.scheduling}", cell.style if node.status != "live" else "yellow")


@app.command("show")
def show_node(context: typer.Context, node: NodeName) -> None:
    """Show everything about a node (YAML unless told otherwise).

    Before it, as a comment, stands what of it `omnitide status` would have somebody look at.
    """
    from omnitide.cli.show.forms import write

    session = session_of(context)
    with session.client() as client:
        found = client.get_node(node)
        if not session.plain:
            for line in _wants_an_eye(client, found.name):
                session.say(f"# {' '.join(line.split())}")
        write(found, session.output if session.plain else "yaml")


def _wants_an_eye(client: "Client", name: str) -> list[str]:
    """Nothing where nobody may say."""
    from omnitide.sdk.errors import FabricError

    try:
        concerns = client.get_fabric().concerns
    except FabricError:
        return []
    own = [one for one in concerns if one.subject == f"node {name}"]
    shown = f"omnitide nodes show {name}"
    lines = [(one.text if not one.text.startswith("is ") else f"it {one.text}", one.hint) for one in own]
    return [line for text, hint in lines for line in (text, hint) if line and line != shown]


@app.command()
def cordon(context: typer.Context, node: NodeName) -> None:
    """Place nothing new on a node."""
    session = session_of(context)
    with session.client() as client:
        _tell(session, node, client.cordon_node(node))


@app.command()
def uncordon(context: typer.Context, node: NodeName) -> None:
    """Open a node again that was cordoned or drained."""
    session = session_of(context)
    with session.client() as client:
        _tell(session, node, client.uncordon_node(node))


@app.command("drain")
def drain(
    context: typer.Context,
    node: NodeName,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is empty.")] = True,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long to wait: 90s, 10m.")] = "10m",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would move where and what would not fit, and change nothing.")
    ] = False,
) -> None:
    """Move everything off a node, and place nothing new there. Says what it waits for.

    The tasks of jobs run to their end. What fits nowhere else stays and runs, and moves when there is room.
    """
    from omnitide.cli.agents.deploy import seconds_of
    from omnitide.cli.nodes.draining import wait_until_empty

    session = session_of(context)
    limit_s = seconds_of(timeout)
    with session.client() as client:
        if dry_run:
            from omnitide.cli.show.outlook import foretell

            foretell(session, client, [{"verb": "node.drain", "name": node}])
            return
        began = time.monotonic()
        changed = client.drain_node(node)
        if not wait:
            _tell(session, node, changed)
            return
        found = wait_until_empty(session, client, node, limit_s)
        if session.plain:
            session.emit(found)
        else:
            took = f"{time.monotonic() - began:.1f} s"
            session.say(f"  {found.name} drained in {took}; open it again: omnitide nodes uncordon {found.name}")


@app.command()
def rm(
    context: typer.Context,
    node: NodeName,
    force: Annotated[bool, typer.Option("--force", help="Also with instances, which count as lost.")] = False,
) -> None:
    """Remove a node from the fabric: its certificate opens nothing any more."""
    session = session_of(context)
    with session.client() as client:
        _tell(session, node, client.remove_node(node, force=force))


def _tell(session: Session, node: str, changed: "NodeChanged") -> None:
    if session.plain:
        session.emit(changed)
    else:
        name = changed.node.name if changed.node is not None else node
        session.say(f"  {name} {changed.change}")
