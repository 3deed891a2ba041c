"""The stream of events without I/O: where to go on after a break, what has been seen already, what a closing means."""

import random
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from omnitide.model.happenings import CloudEvent
from omnitide.model.problem import problem
from omnitide.sdk.errors import (
    FabricError,
    NotAFabric,
    Trimmed,
    Unauthorized,
    UnknownRevision,
    foreign,
    from_problem,
    unreachable,
)
from omnitide.sdk.exchange import Retries

STREAM_PATH: Final = "/v1/events/stream"
SUBPROTOCOL: Final = "omnitide.v1"
BOOKMARK: Final = "omnitide.stream.bookmark.v1"
RETRIES: Final = Retries(attempts=1_000_000, first_s=0.2, longest_s=5.0)
"""A watch goes on until its caller has enough: it tries for ever, `patience_s` at a stretch."""
MAX_FRAME: Final = 64 << 20
"""Largest message that is taken from Nexus."""

_TRIMMED, _LAGGED, _UNKNOWN, _UNAUTHENTICATED, _FORBIDDEN = 4410, 4408, 4409, 4401, 4403


class _Reason(msgspec.Struct, frozen=True):
    code: str = ""
    resume: int = 0
    first: int = 0


class Feed:
    """One watch over all its connections."""

    def __init__(self, after: int | None, query: dict[str, str], rng: random.Random, patience_s: float) -> None:
        self.lagged = 0
        """How often Nexus had to break off because events were not taken fast enough. None was lost by it."""
        self._query = query
        self._after = after
        self._seen: set[str] = set()
        """Ids of the newest revision's events: after a break it is asked for again, for it may have been cut."""
        self._revision = after if after is not None else 0
        self._log = ""
        """The log that the revisions are of, from the ids of what it has sent: one that was restored is another, and
        may have come further than this one had."""
        self._rng = rng
        self._failures = 0
        self._patience_s = patience_s
        self._failing_s = 0.0

    @property
    def revision(self) -> int:
        """The newest revision that was seen; to go on later, watch again after this."""
        return self._revision

    def address(self, url: str) -> str:
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        query = dict(self._query)
        if self._after is not None:
            query["after"] = str(self._after)
            if self._log:
                query["log"] = self._log
        return urlunsplit((scheme, parts.netloc, STREAM_PATH, urlencode(query), ""))

    def opened(self) -> None:
        """Connected: what failed before is forgotten with the first frame, not now."""

    def take(self, frame: str | bytes) -> list[CloudEvent]:
        """The events of a message that have not been seen yet. Raises NotAFabric."""
        try:
            events = msgspec.json.decode(frame, type=list[CloudEventOrBookmark])
        except msgspec.MsgspecError as error:
            raise NotAFabric(foreign(f"an event cannot be understood: {error}")) from error
        self._failures = 0
        self._failing_s = 0.0
        fresh: list[CloudEvent] = []
        for event in events:
            self._log = event.id.rpartition("/")[0] or self._log
            if event.type == BOOKMARK:
                self._come_to(event.revision, complete=True)
                continue
            if event.revision < self._revision or event.id in self._seen:
                continue
            self._come_to(event.revision, complete=False)
            self._seen.add(event.id)
            fresh.append(event.event())
        return fresh

    def _come_to(self, revision: int, *, complete: bool) -> None:
        if revision > self._revision:
            self._seen.clear()
        if revision >= self._revision:
            self._revision = revision
            self._after = revision if complete else max(0, revision - 1)

    def closed(self, code: int, reason: str) -> float:
        """How long to wait before connecting again. Raises FabricError where that is of no use."""
        try:
            told = msgspec.json.decode(reason or "{}", type=_Reason)
        except msgspec.MsgspecError:
            told = _Reason()
        if code == _TRIMMED:
            detail = f"the events after revision {self._after} are not kept any more"
            raise Trimmed(
                problem("trimmed", detail, hint="read the state anew and watch from there", first_revision=told.first)
            )
        if code == _UNKNOWN:
            detail = f"the fabric is at revision {told.resume} and has never had revision {self._after}"
            if told.resume >= (self._after or 0):
                detail = f"the fabric was restored: its revision {self._after} is not the one that was seen before"
            hint = "a slip, or a revision from before a restore: read the state anew and watch from there"
            raise UnknownRevision(problem("unknown-revision", detail, hint=hint, resume_revision=told.resume))
        if code in (_UNAUTHENTICATED, _FORBIDDEN):
            cause = problem(
                "unauthenticated" if code == _UNAUTHENTICATED else "forbidden", "the token is not valid now"
            )
            raise from_problem(cause)
        if code == _LAGGED:
            self.lagged += 1
            return 0.0
        return self._wait(f"the connection was closed ({code})", "")

    def broke(self, url: str, reason: str, hint: str = "") -> float:
        """The same for a connection that broke or did not come about."""
        return self._wait(reason, url, hint)

    def refused(self, error: FabricError) -> float:
        """The same for a connection that Nexus did not accept."""
        if isinstance(error, Unauthorized) or not error.retryable:
            raise error
        return self._wait(error.detail, "")

    def _wait(self, reason: str, url: str, hint: str = "") -> float:
        if self._failing_s >= self._patience_s:
            raise unreachable(url or "the address given", reason, hint)
        self._failures += 1
        wait = RETRIES.wait_s(min(self._failures, 16), self._rng)
        self._failing_s += wait
        return wait


class CloudEventOrBookmark(msgspec.Struct, frozen=True):
    """A bookmark has no subject and no time."""

    specversion: str
    id: str
    source: str
    type: str
    revision: int
    subject: str = ""
    time: str = ""
    datacontenttype: str = ""
    data: dict[str, object] = msgspec.field(default_factory=dict)
    correlation: str = ""
    principal: str = ""

    def event(self) -> CloudEvent:
        return CloudEvent(**{name: getattr(self, name) for name in CloudEvent.__struct_fields__})
