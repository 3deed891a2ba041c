"""The administrator's token of a Nexus on this machine, made anew where it opens nothing any more."""

import contextlib
import time
from typing import Final

from omnitide.cli.exits import Failure
from omnitide.cli.fabric.layout import Layout

NEW_S: Final = 15.0
"""For Nexus to see that the file is gone, and to make a token."""


def renew_token(layout: Layout) -> bool:
    """Whether the token was revoked or had expired, and there is a new one now. Raises Failure."""
    from omnitide.sdk.client import Client
    from omnitide.sdk.errors import FabricError, Forbidden, Unauthorized

    try:
        with Client(layout.target()) as client:
            client.get_fabric()
        return False
    except FabricError as error:
        if not isinstance(error, Unauthorized) or isinstance(error, Forbidden):
            return False  # what follows says so in its own words, if it is of any concern to it
    old = layout.token_file.read_bytes() if layout.token_file.exists() else b""
    layout.token_file.unlink(missing_ok=True)
    deadline = time.monotonic() + NEW_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if layout.token_file.read_bytes() not in (b"", old):
                return True
        time.sleep(0.05)
    raise Failure(
        f"Nexus makes no new administrator's token within {NEW_S:.0f} s, and the old one opens nothing any more",
        f"see {layout.nexus_log}; omnitide down, then omnitide up",
    )
