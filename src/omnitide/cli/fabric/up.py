"""`omnitide up`: Nexus and a node on this machine, from nothing or from where they were."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.nexus import Running
    from omnitide.sdk.target import Target

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")]


def up(
    context: typer.Context,
    foreground: Annotated[
        bool, typer.Option("--foreground", "-f", help="Stay; Ctrl-C ends Nexus and node proxy, agents go on.")
    ] = False,
    nexus_only: Annotated[bool, typer.Option("--nexus-only", help="No node on this machine.")] = False,
    node_only: Annotated[bool, typer.Option("--node-only", help="Only the node, which has joined before.")] = False,
    listen: Annotated[str | None, typer.Option(help="Address that Nexus listens on; 0.0.0.0 is all.")] = None,
    api_port: Port = None,
    node_port: Port = None,
    grpc_port: Port = None,
    public_name: Annotated[
        list[str] | None, typer.Option(help="Name or address by which other machines reach Nexus.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of this node, else the host's.")] = "",
) -> None:
    """Start a fabric here: Nexus, and this machine as its first node.

    Done already: says so. The data folder is --data, OMNITIDE_DATA, or /var/lib/omnitide for root.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.processes import locked

    if nexus_only and node_only:
        raise Failure("--nexus-only and --node-only exclude each other", code=Exit.USAGE)
    session = session_of(context)
    layout = Layout(session.data)
    began = time.monotonic()
    arguments = _arguments(session, listen, api_port, node_port, grpc_port, public_name or [])
    with locked(layout):
        nexus = None if node_only else _nexus(session, layout, arguments)
        node, fresh = ("", False) if nexus_only else _node(layout, nexus, name)
    seconds = time.monotonic() - began
    _tell(session, layout, nexus, node, fresh=fresh, seconds=seconds)
    if foreground:
        from omnitide.cli.fabric.foreground import stay

        stay(session, layout, arguments, with_nexus=not node_only, with_node=not nexus_only)


def _arguments(
    session: Session,
    listen: str | None,
    api_port: int | None,
    node_port: int | None,
    grpc_port: int | None,
    public_names: list[str],
) -> list[str]:
    given: dict[str, str | int | None] = {
        "--listen": listen,
        "--api-port": api_port,
        "--node-port": node_port,
        "--grpc-port": grpc_port,
        "--config": str(Path(session.options.config).expanduser().absolute()) if session.options.config else None,
    }
    words = [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
    return [*words, *(word for public in public_names for word in ("--public-name", public))]


def _nexus(session: Session, layout: "Layout", arguments: list[str]) -> "Running":
    from omnitide.cli.fabric.nexus import ensure_nexus, remember
    from omnitide.sdk.target import PROFILE_NAME

    running = ensure_nexus(layout, arguments, detached=True)
    remember(layout, running.ready, *{layout.data / PROFILE_NAME, session.profile_path})
    return running


def _local(layout: "Layout") -> "Target":
    from omnitide.sdk.target import PROFILE_NAME, find_target

    return find_target(environ={}, profile=layout.data / PROFILE_NAME)


def _node(layout: "Layout", nexus: "Running | None", name: str) -> tuple[str, bool]:
    """Name of the node, and whether its proxy was started now. Raises Failure."""
    from omnitide.cli.exits import Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.processes import size_of
    from omnitide.sdk.client import Client

    fabric_id, node_id = nodes.identity_of(layout)
    if nexus is None:
        if not node_id:
            raise Failure("this machine has not joined a fabric", "omnitide join URL --token T")
        if nodes.find_node(layout) is not None:
            return node_id, False
        begin = size_of(layout.node_log)
        child = nodes.start_node(layout)
        time.sleep(0.3)  # a proxy that cannot start ends at once; without Nexus here there is nobody to ask
        nodes.watch_child(layout, child, begin)
        return node_id, True
    if node_id and fabric_id != nexus.ready.fabric_id:
        raise Failure(
            f"this machine is a node of fabric {fabric_id}, and {layout.nexus} is fabric {nexus.ready.fabric_id}",
            "--nexus-only, or give up its membership first: omnitide leave",
        )
    with Client(_local(layout)) as client:
        if not node_id:
            token = client.create_token("join", ttl="10m", uses=1, note="omnitide up").text
            node_id = _join(layout, nexus.ready.url, token, name)
        child, begin = None, size_of(layout.node_log)
        fresh = nodes.find_node(layout) is None
        if fresh:
            # Nexus has the last word on names; instances are to see the one that everybody else sees.
            told = {**nodes.told_last(layout), "OMNITIDE_NODE_NAME": client.get_node(node_id).name}
            child = nodes.start_node(layout, told)
        return nodes.wait_live(layout, client, node_id, child, begin), fresh


def _join(layout: "Layout", url: str, token: str, name: str) -> str:
    from omnitide.cli.exits import Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.security.errors import SecurityError

    try:
        return nodes.join_fabric(layout, url, token, name).identity.node_id
    except (SecurityError, OSError) as error:
        raise Failure(f"this machine cannot join its own fabric: {error}") from None


def _tell(
    session: Session, layout: "Layout", nexus: "Running | None", node: str, *, fresh: bool, seconds: float
) -> None:
    from omnitide.cli.show.table import paint

    started = fresh or (nexus is not None and nexus.fresh)
    if session.plain:
        ready = nexus.ready if nexus is not None else None
        session.emit(
            {
                "fabric_id": ready.fabric_id if ready else "",
                "url": ready.url if ready else "",
                "node": node,
                "started": started,
                "seconds": round(seconds, 3),
                "data": str(layout.data),
            }
        )
        return
    parts = " and ".join(filter(None, ("Nexus" if nexus else "", f"node {node}" if node else "")))
    ready = f"{parts} ready in {seconds:.1f} s" if started else f"{parts} already up"

    def line(title: str, text: str) -> None:
        session.say(f"  {paint(f'{title:<9}', 'bold', session.color)} {text}")

    fabric = f'fabric "{nexus.ready.fabric_id}"   ' if nexus is not None else ""
    line("Omnitide", f"{fabric}{ready}")
    if nexus is None:
        line("Log", str(layout.node_log))
        return
    line("API", f"{nexus.ready.url}   (token: {layout.token_file})")
    if session.options.data:
        line("Commands", f"with --data {layout.data}, or: export OMNITIDE_DATA={layout.data}")
    line("Next", "omnitide deploy examples/hello.toml    omnitide token create    omnitide --help")
