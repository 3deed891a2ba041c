"""`omnitide up`: Nexus and a node on this machine, from nothing or from where they were."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.fabric.layout import Layout
    from omnitide.cli.fabric.nexus import Running
    from omnitide.cli.fabric.told import Flags


class _NodeUp(NamedTuple):
    name: str
    fresh: bool
    changed: tuple[str, ...]
    alone: str = ""
    """The endpoint of Nexus, where that has not been reached."""


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
    name: Annotated[str, typer.Option(help="Name that this node joins by, else the host's; it keeps it.")] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            "-l",
            metavar="KEY=VALUE|KEY-",
            help="Label of this node, set or taken away, as by nodes label; repeatable.",
        ),
    ] = None,
) -> None:
    """Start a fabric here: Nexus, and this machine as its first node. On a node of another one: up --node-only.

    They go on in the background, and what dies is started again by a small supervisor. Done already: says so; other
    settings than before: restarts what they concern, and agents go on. Flags of Nexus are kept, over `down` too, until
    others are given. `config show` says where the data folders are.

    What there is no flag for comes from a file (--config) or the environment: `config show` lists every setting with
    its variable. Traces, metrics and logs go out over OTLP once OTEL_EXPORTER_OTLP_ENDPOINT (otel.endpoint) is set.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import kept
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.cli.fabric.processes import locked
    from omnitide.cli.nodes.labels import parsed

    if nexus_only and node_only:
        raise Failure("--nexus-only and --node-only exclude each other", code=Exit.USAGE)
    if label and (nexus_only or node_only):
        raise Failure(
            f"--label does not go with {'--nexus-only' if nexus_only else '--node-only'}",
            "omnitide nodes label NODE KEY=VALUE, wherever that fabric is administered",
            Exit.USAGE,
        )
    labels, unlabel = parsed(label or [])
    session = session_of(context)
    layout = layout_of(session)
    began = time.monotonic()
    flags = _flags(session, listen, api_port, node_port, grpc_port, public_name or [])
    with locked(layout):
        if not nexus_only and not node_only:
            _no_second_fabric(layout)
        if name and not nexus_only:
            _no_other_name(layout, name)
        ran = {part for part in kept.TITLES if kept.find(layout, part) is not None}
        # Whatever the last supervisor kept starts with the new one, before anything below looks for it.
        kept.supervise(layout)
        nexus = None if node_only else _nexus(session, layout, flags)
        node = None if nexus_only else _node(session, layout, nexus, name)
        if node is not None and label:
            node = _labelled(layout, node, labels, unlabel)
    if nexus is not None and "nexus" not in ran:
        nexus = nexus._replace(fresh=True)
    if node is not None and "node" not in ran:
        node = node._replace(fresh=True)
    _tell(session, layout, nexus, node, seconds=time.monotonic() - began)
    if foreground:
        from omnitide.cli.fabric.foreground import stay

        stay(session, layout, [part for part, out in (("nexus", node_only), ("node", nexus_only)) if not out])


def _no_second_fabric(layout: "Layout") -> None:
    """A machine that has joined a fabric is not to become another one unasked. Raises Failure."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import node as nodes

    if layout.has_fabric:
        return
    fabric_id, node_id = nodes.identity_of(layout)
    if node_id:
        raise Failure(
            f"this machine is a node of fabric {fabric_id}: omnitide up --node-only",
            "a fabric of its own besides: another folder, omnitide --data DIR up",
            Exit.CONFLICT,
        )


def _no_other_name(layout: "Layout", name: str) -> None:
    """A node has the name that it joined by. Raises Failure."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.model.names import is_name, suggest_name

    if not is_name(name):
        near = suggest_name(name)
        raise Failure(f"{name!r} is no name for a node", f"try {near!r}" if near else "", Exit.USAGE)
    known = nodes.name_of(layout)
    if known and known != name and nodes.identity_of(layout)[1]:
        raise Failure(
            f"this node is called {known}, by which it has joined: its name cannot be changed to {name}",
            f"as another node, which loses what runs here: omnitide leave, then omnitide up --name {name}",
            Exit.CONFLICT,
        )


def _flags(
    session: Session,
    listen: str | None,
    api_port: int | None,
    node_port: int | None,
    grpc_port: int | None,
    public_names: list[str],
) -> "Flags":
    given: dict[str, str | int | None] = {
        "--listen": listen,
        "--api-port": api_port,
        "--node-port": node_port,
        "--grpc-port": grpc_port,
        "--config": _config(session),
    }
    flags = {flag: (str(value),) for flag, value in given.items() if value not in (None, "")}
    return {**flags, "--public-name": tuple(public_names)} if public_names else flags


def _config(session: Session) -> str:
    return str(Path(session.options.config).expanduser().absolute()) if session.options.config else ""


def _nexus(session: Session, layout: "Layout", flags: "Flags") -> "Running":
    from omnitide.cli.fabric.admin_token import renew_token
    from omnitide.cli.fabric.nexus import ensure_nexus, remember
    from omnitide.sdk.target import PROFILE_NAME

    running = ensure_nexus(layout, flags)
    remember(layout, running.ready, *{layout.data / PROFILE_NAME, session.own_profile})
    if renew_token(layout):
        session.warn(f"the administrator's token opened nothing any more: a new one is in {layout.token_file}")
    _warn_of_move(session, layout, running)
    if running.unit and flags:
        session.warn(
            f"Nexus is kept by systemd and goes on as it was: {' '.join(flags)} does not reach it.\n"
            f"  to have it otherwise: systemctl edit {running.unit}"
        )
    return running


def _warn_of_move(session: Session, layout: "Layout", nexus: "Running") -> None:
    """Nodes that have joined dial the port that they know."""
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.show.words import plural
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError

    before, now = nexus.moved
    if not before:
        return
    here = nodes.identity_of(layout)[1]
    try:
        with Client(layout.target()) as client:
            others = sum(node.id != here for node in client.nodes())
        who = f"{plural(others, 'node')} know{'s' if others == 1 else ''}"
    except FabricError:
        others, who = 1, "nodes that have joined know"
    if others:
        session.warn(
            f"the port for nodes was {before} and is {now} now: {who}"
            f" only the old one and cannot find Nexus any more.\n"
            f"  the old one again: --node-port {before}; else on each of them: "
            f"omnitide join {nexus.ready.url} --token - --replace"
        )


def _node(session: Session, layout: "Layout", nexus: "Running | None", name: str) -> _NodeUp:
    """Raises Failure."""
    from omnitide.cli.exits import Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.processes import size_of
    from omnitide.sdk.client import Client

    fabric_id, node_id = nodes.identity_of(layout)
    config = _config(session)
    if nexus is None:
        if not node_id:
            raise Failure("this machine has not joined a fabric", "omnitide join URL --token -")
        started = nodes.ensure_node(layout, config)
        said = nodes.wait_welcome(layout, fresh=started.fresh)
        alone = "" if said.connected else said.endpoint or "an unknown place"
        return _NodeUp(said.name or node_id, started.fresh, started.changed, alone)
    if node_id and fabric_id != nexus.ready.fabric_id:
        raise Failure(
            f"this machine is a node of fabric {fabric_id}, and {layout.nexus} is fabric {nexus.ready.fabric_id}",
            "--nexus-only, or give up its membership first: omnitide leave",
        )
    with Client(layout.target()) as client:
        if not node_id:
            token = client.create_token("join", ttl="10m", uses=1, note="omnitide up").text
            node_id = _join(layout, nexus.ready.url, token, name)
        begin = size_of(layout.node_log)
        # Nexus has the last word on names; instances are to see the one that everybody else sees.
        told = {"OMNITIDE_NODE_NAME": client.get_node(node_id).name}
        started = nodes.ensure_node(layout, config, told)
        return _NodeUp(nodes.wait_live(layout, client, node_id, begin), started.fresh, started.changed)


def _labelled(layout: "Layout", node: _NodeUp, labels: dict[str, str], remove: list[str]) -> _NodeUp:
    """Raises FabricError."""
    from omnitide.sdk.client import Client

    with Client(layout.target()) as client:
        found = client.label_node(node.name, labels, remove=remove)
    if found.change == "unchanged" or found.node is None:
        return node
    shown = ", ".join(f"{key}={value}" for key, value in sorted(found.node.labels.items()))
    return node._replace(changed=(*node.changed, f"labels of {node.name}: {shown or 'none'}"))


def _join(layout: "Layout", url: str, token: str, name: str) -> str:
    from omnitide.cli.exits import Failure
    from omnitide.cli.fabric import node as nodes
    from omnitide.security.errors import SecurityError

    try:
        return nodes.join_fabric(layout, url, token, name).identity.node_id
    except (SecurityError, OSError) as error:
        raise Failure(f"this machine cannot join its own fabric: {error}") from None


def _tell(session: Session, layout: "Layout", nexus: "Running | None", node: _NodeUp | None, *, seconds: float) -> None:
    from omnitide.cli.show.table import paint
    from omnitide.cli.show.visible import visible

    fresh = (node is not None and node.fresh) or (nexus is not None and nexus.fresh)
    # What concerns both is one change.
    changed = list(dict.fromkeys([*(nexus.changed if nexus else ()), *(node.changed if node else ())]))
    if session.plain:
        served = nexus.ready if nexus is not None else None
        session.emit(
            {
                "fabric_id": served.fabric_id if served else "",
                "url": served.url if served else "",
                "panel": panel_link(layout) if served else "",
                "node": node.name if node else "",
                "started": fresh,
                "connected": node is not None and not node.alone,
                "changed": changed,
                "seconds": round(seconds, 3),
                "data": str(layout.data),
            }
        )
        return
    parts = " and ".join(filter(None, ("Nexus" if nexus else "", f"node {node.name}" if node else "")))
    ready = f"{parts} ready in {seconds:.1f} s" if fresh else f"{parts} already up"
    if node is not None and node.alone:
        how = "started" if fresh else "already up"
        ready = f"{parts} {how}; Nexus not reached yet at {node.alone}, which goes on being tried"

    def line(title: str, text: str) -> None:
        session.say_painted(f"  {paint(f'{title:<9}', 'bold', session.color)} {visible(text)}")

    fabric = f'fabric "{nexus.ready.fabric_id}"   ' if nexus is not None else ""
    line("Omnitide", f"{fabric}{ready}")
    for change in changed:
        line("Changed", change)
    if nexus is not None and nexus.unit:
        line("Kept by", f"systemd: {nexus.unit}")
    if nexus is None:
        line("Log", str(layout.node_log))
        return
    link = panel_link(layout)
    if link:
        line("Panel", f"{link}   (one-time link)")
    line("API", f"{nexus.ready.url}   (token: {layout.token_file})")
    if session.options.data:
        line("Commands", f"with --data {layout.data}, or: export OMNITIDE_DATA={layout.data}")
    line("Next", "omnitide deploy examples/hello.toml    omnitide token create    omnitide --help")


def panel_link(layout: "Layout") -> str:
    """A link that logs a browser in; empty where there is no panel to log in to, or Nexus takes no changes now."""
    import omnitide
    from omnitide.cli.fabric.panel import login_link
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError

    if not (Path(omnitide.__file__).parent / "api" / "static" / "index.html").exists():
        return ""
    try:
        with Client(layout.target()) as client:
            return login_link(client, client.target.url)
    except FabricError:
        return ""
