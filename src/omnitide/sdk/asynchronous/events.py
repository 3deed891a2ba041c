"""Events, and the live view."""

from collections.abc import Sequence

import omnitide.sdk.calls as calls
from omnitide.model import happenings as hp
from omnitide.sdk.asynchronous.connection import AsyncConnection
from omnitide.sdk.asynchronous.watch import AsyncEventWatch, AsyncViewWatch
from omnitide.sdk.defaults import PAGE, PATIENCE_S
from omnitide.sdk.feed import Feed
from omnitide.sdk.view_feed import ViewFeed


class EventCalls(AsyncConnection):
    """What happened, and what happens."""

    async def list_events(
        self,
        *,
        after: int = 0,
        skip: int = 0,
        last: int = 0,
        kinds: Sequence[str] = (),
        namespace: str = "",
        subject: str = "",
        limit: int = PAGE,
    ) -> hp.EventPage:
        """`last`: instead of those after a revision, the newest so many."""
        return await self._do(calls.list_events(after, skip, last, kinds, namespace, subject, limit))

    def watch_events(
        self,
        *,
        after: int | None = None,
        kinds: Sequence[str] = (),
        namespace: str = "",
        subject: str = "",
        patience_s: float = PATIENCE_S,
    ) -> "AsyncEventWatch":
        """Events from a revision (None: now) on, each once, through broken connections and restarts of Nexus.

        Raises Trimmed where what comes next is not kept any more, UnknownRevision where `after` has never been,
        Unreachable after `patience_s` without a Nexus.
        """
        feed = Feed(after, calls.watch_query(kinds, namespace, subject), self._rng, patience_s)
        return AsyncEventWatch(self.target, self._context, feed, self._sleep)

    def watch_view(self, *, patience_s: float = PATIENCE_S) -> "AsyncViewWatch":
        """Everything that there is, and what of it changes, through broken connections and restarts of Nexus. For who
        shows the whole; who wants facts takes the events.

        Raises Unreachable after `patience_s` without a Nexus, NotAFabric for what is no view.
        """
        return AsyncViewWatch(self.target, self._context, ViewFeed(self._rng, patience_s), self._sleep)
