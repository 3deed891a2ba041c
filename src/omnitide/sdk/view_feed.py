"""The stream of the live view without I/O: what a message is, and what a closing means. After a break there is nothing
to resume: the view begins anew, and what was known holds until the new one is whole.
"""

import random
from typing import Final

from omnitide.sdk.errors import FabricError, Unauthorized
from omnitide.sdk.feed import LAGGED, Patience, not_valid, socket_address
from omnitide.sdk.view import Changes, View

VIEW_PATH: Final = "/v1/view"


class ViewFeed:
    """One view over all its connections."""

    def __init__(self, rng: random.Random, patience_s: float) -> None:
        self.view = View()
        self.lagged = 0
        """How often Nexus had to break off because messages were not taken fast enough."""
        self.patience = Patience(rng, patience_s)

    def address(self, url: str) -> str:
        return socket_address(url, VIEW_PATH, {})

    def begin(self) -> None:
        """A connection has come about."""
        self.view.begin()

    def take(self, frame: str | bytes) -> Changes:
        """Raises NotAFabric."""
        changes = self.view.take(frame)
        self.patience.heard()
        return changes

    def closed(self, code: int, reason: str) -> float:
        """How long to wait before connecting again. Raises FabricError where that is of no use."""
        refusal = not_valid(code)
        if refusal is not None:
            raise refusal
        if code == LAGGED:
            self.lagged += 1
            self.patience.trouble = "this end was too slow, and begins anew"
            return 0.0
        return self.patience.wait_s(f"Nexus closed the view ({code}{f': {reason}' if reason else ''})", "")

    def broke(self, url: str, reason: str, hint: str = "") -> float:
        """The same for a connection that broke or did not come about."""
        return self.patience.wait_s(reason, url, hint)

    def refused(self, error: FabricError) -> float:
        """The same for a connection that Nexus did not accept."""
        if isinstance(error, Unauthorized) or not error.retryable:
            raise error
        return self.patience.wait_s(error.detail, "")
