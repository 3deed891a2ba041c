"""The node proxy on this machine: given an identity, started, kept, waited for until Nexus hears from it."""

import asyncio
import os
import platform
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import kept, processes, told
from omnitide.cli.fabric.layout import Layout, NodeReady
from omnitide.supervisor import policy

if TYPE_CHECKING:
    from omnitide.sdk.client import Client
    from omnitide.security.identity import NodeIdentity
    from omnitide.security.join import JoinResult
    from omnitide.security.join_contract import Hop

ENGINE: Final = "DOCKER_HOST"
"""The variable that says where the node finds its container engine."""
LIVE_S = 20.0
READY_S = 20.0
WELCOME_S = 5.0
"""After which a node that has not heard from Nexus is started all the same, and said to be alone."""
KNOWN_S = 0.5
"""As WELCOME_S, for a proxy that runs already: it has had its time."""


def identity_of(layout: Layout) -> tuple[str, str]:
    """Fabric and node id of this machine; empty if it has not joined. Raises Failure."""
    identity = _identity(layout)
    return (identity.fabric_id, identity.node_id) if identity is not None else ("", "")


def name_of(layout: Layout) -> str:
    """Of this machine's node, as far as it is known here: Nexus has the last word on names."""
    return kept.kept(layout, "node").told.get("OMNITIDE_NODE_NAME") or layout.node_ready().name


def endpoints_of(layout: Layout) -> tuple[str, ...]:
    """Of Nexus, as this machine learned them when it joined; none if it has not. Raises Failure."""
    identity = _identity(layout)
    return identity.endpoints if identity is not None else ()


def _identity(layout: Layout) -> "NodeIdentity | None":
    from omnitide.security.errors import SecurityError
    from omnitide.security.identity import IdentityStore

    store = IdentityStore(layout.identity)
    if not store.exists():
        return None
    try:
        return store.load()
    except SecurityError as error:
        raise Failure(f"the identity of this node cannot be used: {error}", "omnitide join ... --replace") from None


def was_removed(layout: Layout) -> bool:
    """Whether Nexus has told this machine's proxy that its node is in the fabric no more."""
    return policy.PERMANENT[4] in kept.kept(layout, "node").gave_up


def facts(name: str) -> dict[str, object]:
    from omnitide import __version__

    found: dict[str, object] = {
        "host": socket.gethostname(),
        "os": platform.system().lower(),
        "arch": platform.machine(),
        "software": __version__,
    }
    return {**found, "name": name} if name else found


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


class Started(NamedTuple):
    pid: int
    fresh: bool
    """It was started just now."""
    changed: tuple[str, ...] = ()
    """Why it was started again."""


def ensure_node(
    layout: Layout, config: str, environment: Mapping[str, str] | None = None, *, anew: bool = False
) -> Started:
    """The node proxy of the folder, started now if there is none, or if what it was told is not so any more.

    Returns when it serves its instances; that Nexus hears of it is another matter. `environment`: what it is told
    besides its folder; None: as it was told last. `anew`: nothing counts that an earlier one was told. Raises Failure.
    """
    kept.supervise(layout)
    found = kept.find(layout, "node")
    if found is not None and found.folder != layout.node:
        raise Failure(
            f"the node proxy runs on {found.folder}, and node.data_dir is {layout.node} now",
            "omnitide down --keep-agents",
            Exit.CONFLICT,
        )
    if found is not None and found.unit:
        return Started(found.pid, fresh=False)
    if found is not None:
        kept.hold(layout, "node", found)
    before = kept.Kept() if anew else kept.kept(layout, "node")
    flags = told.flags_of(before.arguments)
    if config:
        flags["--config"] = (config,)
    ready = layout.ready()
    if ready is not None and ready.node_endpoint:
        # Nexus here may have other ports than when this machine joined.
        flags["--endpoint"] = (ready.node_endpoint,)
    settings = told.settings_of("node", flags)
    variables = {**before.told, **environment} if environment is not None else before.told
    changed: tuple[str, ...] = ()
    if found is not None:
        other_file = told.config_of(flags) != kept.told_config(before.arguments)
        differing = told.changes(before.settings, settings, other_file=other_file)
        had = processes.environment_of(found.pid)
        variable = [*_other_engine(had), *told.telemetry_changes(had, os.environ)]
        changed = (*differing, *_other_endpoint(before.arguments, flags), *variable)
        if not changed:
            return Started(found.pid, fresh=False)
        kept.stop(layout, "node")
    begin = processes.size_of(layout.node_log)
    kept.start(layout, "node", layout.node, told.words_of(flags), variables, settings)
    pid = kept.wait_until(
        layout, "node", lambda pid: pid if layout.node_pid() == pid else None, READY_S, begin, fresh=True
    )
    return Started(pid, fresh=True, changed=changed)


def _other_endpoint(arguments: list[str], flags: told.Flags) -> list[str]:
    before, now = (given.get("--endpoint", ("",))[-1] for given in (told.flags_of(arguments), flags))
    return [f"endpoint of Nexus {before or '(as learned)'} -> {now}"] if now not in ("", before) else []


def _other_engine(had: Mapping[str, str]) -> list[str]:
    """`had`: the variables that it was started with. One that is not given stays as it was."""
    before, now = had.get(ENGINE, ""), os.environ.get(ENGINE, "")
    return [f"{ENGINE} {before or '(none)'} -> {now}"] if now not in ("", before) else []


def wait_welcome(layout: Layout, *, fresh: bool) -> NodeReady:
    """What the proxy says of itself once Nexus has welcomed it, or when the time for that is up. Raises Failure if it
    does not stay, as one that was removed from its fabric."""
    deadline = time.monotonic() + (WELCOME_S if fresh else KNOWN_S)
    while True:
        said = layout.node_ready()
        if said.connected:
            return said
        gave_up = kept.kept(layout, "node").gave_up
        if gave_up:
            hint = "omnitide join URL --token - --replace" if was_removed(layout) else f"its log: {layout.node_log}"
            raise Failure(f"the node proxy does not stay: {gave_up}", hint)
        if time.monotonic() > deadline:
            return said
        time.sleep(processes.POLL_S)


def wait_live(layout: Layout, client: "Client", node_id: str, begin: int) -> str:
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
        gave_up = kept.kept(layout, "node").gave_up
        if gave_up:
            said = processes.tail(layout.node_log, begin) or gave_up
            raise Failure(f"the node proxy does not stay: {said}", f"its log: {layout.node_log}")
        if time.monotonic() > deadline:
            how = "has no session yet" if status == "live" else f"is {status}"
            hint = f"its log: {layout.node_log}; Nexus's: {layout.nexus_log}"
            raise Failure(
                f"the node {how} after {LIVE_S:.0f} s{processes.full_disks(layout)}; it goes on trying",
                hint,
                Exit.TIMEOUT,
            )
        time.sleep(processes.POLL_S)
