"""What this machine itself knows of the fabric: its processes, and on a node's own folder whether Nexus is reached."""

from typing import TYPE_CHECKING

import msgspec

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.fabric import kept
from omnitide.cli.fabric.kept import Kept, Record
from omnitide.cli.fabric.layout import Layout, layout_of
from omnitide.cli.fabric.told import flags_of
from omnitide.cli.show.words import ago, plural
from omnitide.supervisor import identity
from omnitide.supervisor.places import Places

if TYPE_CHECKING:
    from omnitide.cli.session import Session
    from omnitide.model.inventory import Concern

_TITLES = {"nexus": "Nexus", "node": "node proxy"}


class LocalNode(msgspec.Struct, frozen=True):
    """A node by its own folder, whatever Nexus thinks of it."""

    fabric_id: str
    node_id: str
    name: str
    endpoint: str
    """Of Nexus."""
    connected: bool
    since_ms: int
    """When it was connected or cut off, or began to try; 0 where the proxy does not run."""
    pid: int
    """Of the node proxy; 0 if it does not run."""
    trouble: str
    """Why the proxy does not run, if that is known."""
    instances: tuple[str, ...]
    """Names of what its keeper runs."""


def record_of(session: "Session") -> Record:
    """What the supervisor of this machine keeps, if that is of the fabric that is meant."""
    if session.options.url or not session.target.local:
        return Record()
    return kept.read_record(layout_of(session))


def process_lines(record: Record) -> list[str]:
    """One line a process that this machine keeps."""
    found: list[str] = []
    for name, one in sorted(record.children.items()):
        title = _TITLES.get(name, name)
        if one.gave_up:
            found.append(f"{title}: not started again: {one.gave_up}; its log: {one.log}")
        elif one.wanted:
            how = f"process {one.pid}" if one.alive else _absent(record)
            last = f", the last {ago(one.last_end_ms)} ago: {one.last_end}" if one.restarts else ""
            found.append(f"{title}: {how}, {plural(one.restarts, 'restart')}{last}")
    return found


def silent(layout: Layout, record: Record, detail: str) -> Failure:
    """What is to be said where Nexus does not answer: all that this machine itself knows of it."""
    nexus = record.children.get("nexus", Kept())
    if nexus.gave_up:
        what, hint = f"Nexus is not started again: {nexus.gave_up}", "mend that, then: omnitide up"
    elif hung := _hangs(record, detail):
        what, hint = hung
    elif record.forsaken:
        what, hint = "Nexus does not answer, and the supervisor that would start it again is gone", "omnitide up"
    elif nexus.wanted:
        what, hint = f"Nexus does not answer: {detail}", "it goes on being tried; to wait for it: omnitide up"
    else:
        what, hint = f"Nexus does not answer, as it was ended: {detail}", "omnitide up"
    alive = identity.same(record.supervisor.pid, record.supervisor.mark)
    how = f"process {record.supervisor.pid}" if alive else "not running"
    lines = [f"supervisor: {how}; its log: {Places(str(layout.data)).log}"]
    for name, one in sorted(record.children.items(), key=lambda pair: pair[0] != "nexus"):
        lines.append(f"{_TITLES.get(name, name)}: {_in_full(record, one)}; its log: {one.log}")
    text = "".join(f"\n       {line}" for line in (what, *lines))
    return Failure(text.strip(), hint, Exit.UNAVAILABLE)


def hanging(session: "Session", detail: str) -> tuple[str, str] | None:
    """What to say instead of `detail`, which tells that nobody answers, and what to do, where Nexus runs on this
    machine all the same; None: it does not, or that is not known here."""
    from omnitide.sdk.errors import FabricError

    try:
        return _hangs(record_of(session), detail)
    except (FabricError, Failure):
        return None


def _hangs(record: Record, detail: str) -> tuple[str, str] | None:
    """One that listens and has not begun to answer refuses; one that is stopped or starved lets whoever asks wait."""
    nexus = record.children.get("nexus")
    if nexus is None or not nexus.alive or "timed out" not in detail:
        return None
    then = "then: omnitide up" if record.forsaken else "it is started again then"
    what = f"Nexus is there as process {nexus.pid}, and does not answer: {detail}"
    return what, (
        f"is it stopped (kill -CONT {nexus.pid}) or starved of memory? its log: {nexus.log}; if it stays so: "
        f"kill -KILL {nexus.pid}, {then}"
    )


def _in_full(record: Record, one: Kept) -> str:
    if one.gave_up:
        return f"not started again: {one.gave_up}"
    if not one.wanted:
        return "not to run: it was ended on request"
    how = f"process {one.pid}" if one.alive else _absent(record)
    last = f", the last {ago(one.last_end_ms)} ago: {one.last_end}" if one.last_end else ""
    return f"{how}, {plural(one.restarts, 'restart')}{last}"


def _absent(record: Record) -> str:
    return "gone, and nobody starts it again" if record.forsaken else "being started again"


def concerns_of(record: Record) -> "tuple[Concern, ...]":
    """What of it wants a person's eye."""
    from omnitide.model.inventory import Concern

    if not record.forsaken:
        return ()
    command = "omnitide up" if "nexus" in record.children else "omnitide up --node-only"
    names = [_TITLES.get(name, name) for name, one in sorted(record.children.items()) if one.wanted]
    text = f"it is gone (it was process {record.supervisor.pid}): {' and '.join(names)} would not be started again"
    return (Concern(subject="supervisor", text=text, hint=f"{command} starts it; what runs goes on"),)


def local_node(layout: Layout) -> LocalNode | None:
    """None where this machine has not joined. Raises Failure if its identity cannot be read."""
    from omnitide.cli.fabric.ending import running_here
    from omnitide.cli.fabric.node import identity_of

    fabric_id, node_id = identity_of(layout)
    if not node_id:
        return None
    known = kept.kept(layout, "node")
    proxy = kept.find(layout, "node")
    said = layout.node_ready()
    mine = proxy is not None and said.pid == proxy.pid
    return LocalNode(
        fabric_id=fabric_id,
        node_id=node_id,
        name=known.told.get("OMNITIDE_NODE_NAME") or said.name,
        endpoint=said.endpoint or _last_endpoint(layout, known),
        connected=mine and said.connected,
        since_ms=said.since_ms if mine else 0,
        pid=proxy.pid if proxy is not None else 0,
        trouble="" if proxy is not None else _why_down(layout, known),
        instances=tuple(running_here(layout.keepers())),
    )


def _last_endpoint(layout: Layout, known: Kept) -> str:
    """Of Nexus, where the proxy does not say it: as it was told, or as it joined by."""
    from omnitide.cli.fabric.node import endpoints_of

    told = flags_of(known.arguments).get("--endpoint", ())
    return next(iter((*told[-1:], *endpoints_of(layout))), "")


def _why_down(layout: Layout, known: Kept) -> str:
    if known.gave_up:
        return f"not started again: {known.gave_up}; its log: {known.log}"
    if not known.wanted:
        return "not started: omnitide up --node-only"
    return (
        "gone, and nobody starts it again: omnitide up --node-only"
        if kept.read_record(layout).forsaken
        else (f"being started again; the last time: {known.last_end}")
    )


def node_lines(node: LocalNode) -> list[tuple[str, str]]:
    """Rows of title and text."""
    name = f"{node.name} ({node.node_id})" if node.name else node.node_id
    nexus = node.endpoint or "not known"
    if node.pid:
        how = "connected" if node.connected else "not connected"
        nexus = f"{nexus}   {how} for {ago(node.since_ms)}" if node.since_ms else nexus
    return [
        ("node", f'{name} of fabric "{node.fabric_id}"'),
        ("proxy", f"process {node.pid}" if node.pid else node.trouble),
        ("nexus", nexus),
        ("instances", ", ".join(node.instances) or "none"),
    ]
