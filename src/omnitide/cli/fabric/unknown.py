"""Why a command on this machine does not know which fabric is meant, and what then helps here."""

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from omnitide.cli.session import Session
    from omnitide.sdk.target import NoFabric

_GIVEN: Final = "--url https://NEXUS:7400 --token-file FILE --ca FILE"
_MADE: Final = "a token for it is made there: omnitide token create --api"


def why_unknown(session: "Session", error: "NoFabric") -> "NoFabric":
    """The error with what this machine knows besides. Raises Failure where the settings cannot be read."""
    from omnitide.cli.fabric.kept import kept
    from omnitide.cli.fabric.layout import layout_of
    from omnitide.sdk.target import NoFabric

    layout = layout_of(session)
    if kept(layout, "nexus").wanted:
        why = f"the fabric in {layout.data} has been begun, and Nexus was not seen to serve yet"
        return NoFabric(error.path, why, "omnitide up goes on with it; omnitide status says how it is")
    if layout.identity.is_dir():
        why = "this machine is only a node of a fabric, whose API it has no token for"
        return NoFabric(
            error.path, why, f"{_GIVEN}; {_MADE}. The node itself: omnitide status, omnitide up --node-only"
        )
    if os.environ.get("OMNITIDE_INSTANCE_ID"):
        why = "an instance is not told how to reach its fabric's API"
        return NoFabric(error.path, why, f"{_GIVEN}, or OMNITIDE_CLIENT_URL and OMNITIDE_CLIENT_TOKEN; {_MADE}")
    return error
