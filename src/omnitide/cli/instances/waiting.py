"""Why instances of a list wait for a node, in few words."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from omnitide.model.explanations import PlacementVerdict
    from omnitide.model.objects import Instance
    from omnitide.sdk.client import Client

ASKED: Final = 16
"""Instances of which Nexus is asked in one list."""
OF_ITS_OWN: Final = ("back-off", "node", "no-nodes", "needs")
"""Rules that may keep one replica and not the others: its back-off, the node that it is bound to, the generation of its
slot that still has a volume."""


def why_pending(client: "Client", instances: "Iterable[Instance]") -> "dict[str, str]":
    """By id. What keeps one replica of a version keeps the others too, unless it is of its own; further ones than are
    asked of have no reason, as where nobody may say."""
    from omnitide.sdk.errors import FabricError

    found: dict[str, str] = {}
    shared: dict[tuple[str, str, int], str] = {}
    asked = 0
    for one in instances:
        if one.status != "pending":
            continue
        alike = one.namespace, one.workload_id, one.version
        if alike in shared:
            found[one.id] = shared[alike]
            continue
        if asked == ASKED:
            continue
        asked += 1
        try:
            placement = client.explain_instance(one.id).placement
        except FabricError:
            continue  # it has been placed meanwhile, or nobody may say
        if placement is None or not placement.reasons:
            continue
        found[one.id] = _reason(placement)
        if not any(reason.rule in OF_ITS_OWN for reason in placement.reasons):
            shared[alike] = found[one.id]
    return found


def _reason(placement: "PlacementVerdict") -> str:
    """The first, as it weighs most."""
    more = len(placement.reasons) - 1
    return placement.reasons[0].text + (f", and {more} more" if more else "")
