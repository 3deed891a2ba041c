"""The node proxy on this machine: give it an identity, start it, wait until Nexus hears from it, stop it."""

import asyncio
import platform
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from msgspec.structs import replace

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import processes
from omnitide.cli.fabric.layout import Layout

if TYPE_CHECKING:
    from omnitide.sdk.client import Client
    from omnitide.security.join import JoinResult
    from omnitide.security.join_contract import Hop

LIVE_S = 20.0
STOP_S = 10.0


def find_node(layout: Layout) -> psutil.Process | None:
    """The node proxy that runs on the folder."""
    return processes.find(processes.NODE, layout.node, processes.read_records(layout).node, layout.node_pid())


def identity_of(layout: Layout) -> tuple[str, str]:
    """Fabric and node id of this machine; empty if it has not joined."""
    from omnitide.security.errors import SecurityError
    from omnitide.security.identity import IdentityStore

    store = IdentityStore(layout.identity)
    if not store.exists():
        return "", ""
    try:
        identity = store.load()
    except SecurityError as error:
        raise Failure(f"the identity of this node cannot be used: {error}", "omnitide join ... --replace") from None
    return identity.fabric_id, identity.node_id


def facts(name: str) -> dict[str, object]:
    from omnitide import __version__

    told: dict[str, object] = {
        "host": socket.gethostname(),
        "os": platform.system().lower(),
        "arch": platform.machine(),
        "software": __version__,
    }
    return {**told, "name": name} if name else told


def join_fabric(
    layout: Layout,
    url: str,
    token: str,
    name: str,
    *,
    replace_identity: bool = False,
    on_hop: "Callable[[Hop], None] | None" = None,
) -> "JoinResult":
    """Raises JoinFailed, SecurityError, OSError."""
    from omnitide.security.join import join

    layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
    return asyncio.run(join(url, token, facts(name), layout.identity, on_hop=on_hop, replace=replace_identity))


def told_last(layout: Layout) -> dict[str, str]:
    """The variables with which the proxy was started the last time."""
    record = processes.read_records(layout).node
    return record.environment if record is not None else {}


def start_node(layout: Layout, environment: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Detached. `environment` None: as it was started last."""
    records = processes.read_records(layout)
    told = dict(environment) if environment is not None else told_last(layout)
    # Nexus here may have other ports than when this machine joined.
    ready = layout.ready()
    arguments = ["--endpoint", ready.node_endpoint] if ready is not None and ready.node_endpoint else []
    child = processes.start(processes.NODE, layout.node, arguments, layout.node_log, told, detached=True)
    processes.write_records(layout, replace(records, node=processes.recorded(child, told)))
    return child


def wait_live(
    layout: Layout, client: "Client", node_id: str, child: "subprocess.Popen[bytes] | None", begin: int
) -> str:
    """Until Nexus shows the node live; its name. Raises Failure."""
    from omnitide.sdk.errors import FabricError, NotFound

    deadline = time.monotonic() + LIVE_S
    status = "unknown"
    while True:
        try:
            node = client.get_node(node_id)
            status = node.status
            # Right after its start Nexus believes of every node what it knew: a session is what proves it.
            if status == "live" and node.session_address:
                return node.name
        except NotFound:
            pass
        except FabricError as error:
            status = error.detail
        watch_child(layout, child, begin)
        if time.monotonic() > deadline:
            hint = f"its log: {layout.node_log}"
            raise Failure(f"the node is {status} after {LIVE_S:.0f} s", hint, Exit.TIMEOUT)
        time.sleep(processes.POLL_S)


def watch_child(layout: Layout, child: "subprocess.Popen[bytes] | None", begin: int) -> None:
    """Raises Failure with its last words if it has ended."""
    if child is None or child.poll() is None:
        return
    said = processes.tail(layout.node_log, begin) or f"it ended with code {child.returncode} without a word"
    raise Failure(f"the node proxy did not start: {said}", f"its log: {layout.node_log}")


def stop_instances(folder: Path, grace_ms: int | None) -> int:
    """End a keeper with all that it runs; how many that were. Raises Failure."""
    from omnitide.node.keeper.launch import KeeperUnavailable, Talk, stop_keeper
    from omnitide.node.keeper.protocol import Refused

    try:
        with Talk(str(folder)) as talk:
            live = talk.ask("info").get("live", 0)
        stop_keeper(str(folder), stop_runs=True, grace_ms=grace_ms, timeout_s=660.0)
    except KeeperUnavailable:
        return 0
    except Refused as error:
        raise Failure(f"the keeper of {folder} does not stop: {error}") from None
    return live if isinstance(live, int) else 0
