"""What a plan says of volumes that nodes keep from before: a new agent may be placed elsewhere, and find none there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from omnitide.cli.session import Session

if TYPE_CHECKING:
    from omnitide.model.spec import AgentManifest
    from omnitide.model.volumes import KeptVolume
    from omnitide.sdk.client import Client

MAX_PAGES: Final = 20
"""Of 50 nodes each are asked; what more keep is not told."""


def tell_volumes_left(session: Session, client: "Client", new: "Sequence[tuple[str, AgentManifest]]") -> None:
    """Of agents that are not there yet, by namespace: which of their volumes some nodes have and others have not.

    A warning, and nothing worse where it cannot be asked: the plan is as good without.
    """
    from omnitide.sdk.errors import FabricError

    of_each = [(namespace, manifest, kept) for namespace, manifest in new if (kept := _kept_by(manifest))]
    if not of_each:
        return
    try:
        left = {namespace: _orphans(client, namespace) for namespace in {namespace for namespace, _, _ in of_each}}
        nodes = {one.name for one in client.nodes()} if any(left.values()) else set[str]()
    except FabricError as error:
        session.note(f"  whether nodes keep volumes of these names cannot be said: {error.detail}")
        return
    for namespace, manifest, kept in of_each:
        for name in sorted(kept):
            on = {one.node for one in left[namespace] if one.name == name}
            # It is placed where the volume is in any case.
            if on and not nodes <= on and not _held_to(manifest) & on:
                session.warn(_text(namespace, manifest.name, name, sorted(on)))


def _kept_by(manifest: "AgentManifest") -> set[str]:
    """Names of the volumes that its node keeps for it, but for those that may begin empty when it moves."""
    from omnitide.model.provisions import stays

    return {volume.name or key for key, volume in manifest.volumes.items() if not volume.source and stays(volume)}


def _held_to(manifest: "AgentManifest") -> set[str]:
    """Names of the nodes that a constraint of its own leaves it."""
    return {
        value
        for one in manifest.constraints
        if one.label == "node" and one.operator in ("=", "in")
        for value in one.values
    }


def _orphans(client: "Client", namespace: str) -> "list[KeptVolume]":
    found: list[KeptVolume] = []
    cursor = ""
    for _ in range(MAX_PAGES):
        page = client.list_volumes(namespace=namespace, cursor=cursor)
        found += [one for one in page.items if not one.used_by and not one.instances]
        cursor = page.next_cursor
        if not cursor:
            break
    return found


def _text(namespace: str, agent: str, volume: str, on: list[str]) -> str:
    where = f"node {on[0]}" if len(on) == 1 else f"the nodes {', '.join(on)}"
    values = ", ".join(f'"{one}"' for one in on)
    operator = "" if len(on) == 1 else ', operator = "in"'
    keep = f'constraints = [{{ label = "node"{operator}, values = [{values}] }}]'
    return (
        f"the volume {namespace}/{volume} is on {where}, and no agent has it: placed elsewhere, {agent} begins with an "
        f"empty one\n         to keep what is in it, write into the manifest of {agent}:  {keep}"
    )
