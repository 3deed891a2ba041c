"""`omnitide join`: this machine becomes a node of a fabric, one hop after the other."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from omnitide.cli.session import Session, session_of

if TYPE_CHECKING:
    from omnitide.cli.exits import Exit
    from omnitide.cli.fabric.layout import Layout
    from omnitide.security.join_contract import Hop, JoinFailed

_HOPS: Final = {
    "name": "the name has an address",
    "route": "it can be reached",
    "port": "a Nexus listens there",
    "tls": "it speaks TLS as a Nexus of this fabric",
    "fingerprint": "its CA is the one in the token",
    "clock": "both clocks agree",
    "token": "Nexus accepts the token",
    "identity": "the certificate is valid and ours",
}


def join(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of Nexus: https://nexus.example:7400.")],
    token: Annotated[
        str,
        typer.Option(
            "--token",
            "-t",
            envvar="OMNITIDE_JOIN_TOKEN",
            help="From `omnitide token create`; - asks for it, or reads it from a pipe.",
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of this node, else the host's.")] = "",
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", metavar="KEY=VALUE", help="For placement; repeatable.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Give up the identity that this machine has.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only join; start it with up --node-only.")] = False,
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Stay, as under systemd.")] = False,
) -> None:
    """Make this machine a node of a fabric. It dials out; nothing has to reach it.

    Each hop is told as it is passed; a join that fails names the first broken one.
    """
    from omnitide.cli.exits import Exit, Failure
    from omnitide.cli.fabric import kept, processes
    from omnitide.cli.fabric import node as nodes
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.security.errors import SecurityError
    from omnitide.security.join import JoinFailed

    session = session_of(context)
    layout = layout_of(session)
    environment = _environment(name, label or ())
    text = _read_token() if token == "-" else token  # noqa: S105 - the dash of standard input
    hops = _Hops(session)
    with processes.locked(layout):
        fabric, node = ("", "") if replace else nodes.identity_of(layout)
        if node:
            called = nodes.name_of(layout) or node
            if nodes.was_removed(layout):
                text = f"this machine was node {called} of fabric {fabric}, which has removed it"
                raise Failure(text, f"omnitide join {url} --token - --replace", Exit.CONFLICT)
            up = kept.find(layout, "node") is not None
            start = "" if up else "start it: omnitide up --node-only; "
            raise Failure(
                f"this machine is node {called} of fabric {fabric} already, and {'up' if up else 'down'}",
                f"{start}a second node of this machine has a folder of its own: omnitide --data DIR join {url} "
                f"--token - --name NAME; in place of {called}, which loses what it runs: --replace",
                Exit.CONFLICT,
            )
        try:
            result = nodes.join_fabric(layout, url, text, name, replace_identity=replace, on_hop=hops.take)
        except JoinFailed as error:
            hops.broke(error.hop)
            code = _code(error, begun=hops.begun)
            raise Failure(f"join failed at {error.hop}: {error.detail}", error.hint, code) from None
        except (SecurityError, OSError) as error:
            raise Failure(f"join failed: {error}") from None
        hops.done()
        for warning in result.warnings:
            session.note(f"  warning: {warning}")
        # Nexus has the last word on names; instances are to see the one that everybody else sees.
        told = {**environment, "OMNITIDE_NODE_NAME": result.name}
        running = None if no_start else _start(session, layout, told)
    identity = result.identity
    if session.plain:
        about = {"node_id": identity.node_id, "name": result.name, "fabric_id": identity.fabric_id}
        session.emit({**about, "started": not no_start})
    else:
        then = "start it: omnitide up --node-only" if no_start else f"running as process {running}"
        session.say(f'  joined fabric "{identity.fabric_id}" as node {result.name} ({identity.node_id}); {then}')
    if foreground and not no_start:
        from omnitide.cli.fabric.foreground import stay

        stay(session, layout, ["node"])


def _read_token() -> str:
    """From standard input; on a terminal it is asked for and not shown. Raises Abort."""
    if sys.stdin.isatty():
        return str(typer.prompt("  token", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _start(session: Session, layout: "Layout", environment: dict[str, str]) -> int:
    """Process id of the node proxy, once it serves its instances. Raises Failure if it cannot."""
    from pathlib import Path

    from omnitide.cli.fabric import kept
    from omnitide.cli.fabric import node as nodes

    config = session.options.config
    kept.stop(layout, "node")
    file = str(Path(config).expanduser().absolute()) if config else ""
    return nodes.ensure_node(layout, file, environment, anew=True).pid


def _environment(name: str, labels: "list[str] | tuple[str, ...]") -> dict[str, str]:
    from omnitide.cli.exits import Exit, Failure
    from omnitide.model.names import is_name, suggest_name

    if name and not is_name(name):
        near = suggest_name(name)
        raise Failure(f"{name!r} is no name for a node", f"try {near!r}" if near else "", Exit.USAGE)
    for label in labels:
        if "=" not in label or "," in label:
            raise Failure(f"--label {label!r} is not KEY=VALUE", code=Exit.USAGE)
    return {"OMNITIDE_NODE_LABELS": ",".join(labels)} if labels else {}


def _code(error: "JoinFailed", *, begun: bool) -> "Exit":
    from omnitide.cli.exits import Exit

    if error.hop in ("name", "tls") and not begun:
        return Exit.USAGE  # an address that cannot be one of a Nexus
    if error.retryable:
        return Exit.UNAVAILABLE
    return Exit.UNAUTHORIZED if error.hop == "token" else Exit.FAILED


class _Hops:
    """One line a hop. A hop is told before it is taken; that the next one begins says that it was passed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open = ""
        self._began = time.monotonic()
        self.begun = False

    def take(self, hop: "Hop") -> None:
        self.done()
        self.begun = True
        self._open = str(hop)
        self._began = time.monotonic()

    def done(self) -> None:
        if self._open:
            took = round((time.monotonic() - self._began) * 1000)
            self._session.say(f"  ok    {self._open:<12} {_HOPS.get(self._open, ''):<42} {took} ms")
        self._open = ""

    def broke(self, hop: "Hop") -> None:
        """The error that follows says how."""
        order = [str(one) for one in type(hop)]
        if self._open and order.index(self._open) < order.index(str(hop)):
            self.done()
        self._open = ""
        self._session.say(f"  FAIL  {hop}")
