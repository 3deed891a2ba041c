"""Instances that the fabric holds no more - replaced, stopped, removed - as their placing tells of them: for the output
that stays on their node for a while."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from omnitide.cli.session import Session
from omnitide.model.names import called

if TYPE_CHECKING:
    from omnitide.model.happenings import CloudEvent
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

LOOKED_AT: Final = 1000
"""Newest placings of an agent that are looked at for the last of each replica."""
_CREATED: Final = ("instance.created",)
_PLACED: Final = ("instance.placed",)
_NAME: Final = re.compile(r"([a-z0-9-]+)-(\d+)\.(\d+)")
_ID: Final = re.compile(r"(.+)\.(\d+)\.(\d+)")


def remembered_of(session: Session, client: "Client", reference: str) -> "tuple[str, list[Instance], bool]":
    """What a name is, its instances, and whether all of it is known from its past alone. Raises NotFound."""
    from omnitide.cli.instances.resolve import SLOT, instances_of
    from omnitide.sdk.errors import NotFound

    try:
        return *instances_of(session, client, reference), False
    except NotFound:
        one = _instance_of(session, client, reference)
        if one is not None:
            return "instance", [one], True
        namespace, name = session.name(reference)
        gone = last_of_each(client, namespace, name)
        if gone:
            return "agent", gone, True
        slot = SLOT.fullmatch(name)
        own = [one for one in last_of_each(client, namespace, slot[1]) if one.slot == int(slot[2])] if slot else []
        if not own:
            raise
        return "instance", own, True


def _instance_of(session: Session, client: "Client", reference: str) -> "Instance | None":
    """Of a name such as `hello-2.1`, or an id; None for what is neither, or was never there as far as is known. Raises
    Failure for one that never was on a node."""
    from omnitide.cli.exits import Exit, Failure
    from omnitide.sdk.errors import NotFound

    namespace, name = session.name(reference)
    match = _NAME.fullmatch(name)
    if match is None:
        match = _ID.fullmatch(name)
        # What has the form of an id may be one: the fabric knows whether it was.
        return _instance(name, namespace, name, match) if match is not None else None
    subject = f"instance/{namespace}/{name}"
    page = client.list_events(last=1, kinds=_PLACED, subject=subject)
    if page.items:
        return _placed(page.items[0])
    if client.list_events(last=1, kinds=_CREATED, subject=subject).items:
        before = placed_by(client, namespace, name)
        hint = f"the one before it: omnitide logs {called(namespace, before)}" if before else ""
        raise Failure(f"{name} was given up before it was placed: it has no output", hint, Exit.NOT_FOUND)
    try:
        agent = client.get_agent(match[1], namespace=namespace)
    except NotFound:
        return None
    # Longer ago than events are searched: its node is still to be found.
    return _instance(f"{agent.id}.{match[2]}.{match[3]}", namespace, name, match)


def placed_by(client: "Client", namespace: str, name: str) -> str:
    """Name of an instance, or of the newest before it of its replica, that was on a node; empty if none is known."""
    match = _NAME.fullmatch(name)
    if match is None:
        return ""
    page = client.list_events(last=LOOKED_AT, kinds=_PLACED, subject=f"agent/{namespace}/{match[1]}")
    for event in reversed(page.items):
        one = _placed(event)
        if one is not None and one.slot == int(match[2]) and one.generation <= int(match[3]):
            return one.name
    return ""


def last_of_each(client: "Client", namespace: str, workload: str, without: Collection[str] = ()) -> "list[Instance]":
    """The last instance of each replica that was ever placed, in order; of one that was removed too. `without`: ids of
    those that are known already."""
    page = client.list_events(last=LOOKED_AT, kinds=_PLACED, subject=f"agent/{namespace}/{workload}")
    found: dict[int, Instance] = {}
    for event in page.items:
        one = _placed(event)
        if one is not None and one.id not in without:
            found[one.slot] = one
    # One that was removed and made again under its name is another: of the newest alone.
    newest = max(found.values(), key=lambda one: one.revision, default=None)
    return [found[slot] for slot in sorted(found) if newest and found[slot].workload_id == newest.workload_id]


def _placed(event: "CloudEvent") -> "Instance | None":
    name = str(event.data.get("name", ""))
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    found = _instance(str(event.data.get("instance", "")), str(event.data.get("namespace", "")), name, match)
    from msgspec.structs import replace

    return replace(
        found,
        node=str(event.data.get("node_name", "")),
        node_id=str(event.data.get("node", "")),
        revision=event.revision,
    )


def _instance(identifier: str, namespace: str, name: str, match: "re.Match[str]") -> "Instance":
    """As one that has ended, which is all that is known."""
    from omnitide.model.objects import Instance

    return Instance(
        id=identifier,
        namespace=namespace,
        name=name,
        kind="agent",
        workload=match[1],
        workload_id=identifier.rsplit(".", 2)[0],
        version=0,
        slot=int(match[2]),
        generation=int(match[3]),
        status="stopped",
        last_status="stopped",
        since_ms=0,
        created_ms=0,
        revision=0,
    )
