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

LAGGED: Final = 4408
"""Nexus closes a stream so whose watcher does not take what it is sent fast enough."""
_TRIMMED, _UNKNOWN, _UNAUTHENTICATED, _FORBIDDEN = 4410, 4409, 4401, 4403


class _Reason(msgspec.Struct, frozen=True):
    code: str = ""
    resume: int = 0
    first: int = 0


class Patience:
    """How long a watch goes on trying to reach a Nexus that does not answer, and how long it waits in between."""

    def __init__(self, rng: random.Random, patience_s: float) -> None:
        self._rng = rng
        self._patience_s = patience_s
        self._failures = 0
        self._failing_s = 0.0
        self.trouble = ""
        """Why there is no connection; empty while there is one."""

    def heard(self) -> None:
        """What failed before is forgotten with the first message, not with a connection."""
        self._failures = 0
        self._failing_s = 0.0
        self.trouble = ""

    def wait_s(self, reason: str, url: str, hint: str = "") -> float:
        """Raises Unreachable when it has an end."""
        if self._failing_s >= self._patience_s:
            raise unreachable(url or "the address given", reason, hint)
        self._failures += 1
        self.trouble = reason
        wait = RETRIES.wait_s(min(self._failures, 16), self._rng)
        self._failing_s += wait
        return wait


def socket_address(url: str, path: str, query: dict[str, str]) -> str:
    """Where the stream of a Nexus at this URL is."""
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, path, urlencode(query), ""))


def not_valid(code: int) -> FabricError | None:
    """The error of a stream that was closed as its token is not, or no longer, one that may watch."""
    if code not in (_UNAUTHENTICATED, _FORBIDDEN):
        return None
    told = "unauthenticated" if code == _UNAUTHENTICATED else "forbidden"
    hint = "it was revoked, or its time is over; another one: omnitide token create --api"
    return from_problem(problem(told, "the token is not valid now", hint=hint))


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
        self.patience = Patience(rng, patience_s)

    @property
    def revision(self) -> int:
        """The newest revision that was seen; to go on later, watch again after this."""
        return self._revision

    def address(self, url: str) -> str:
        query = dict(self._query)
        if self._after is not None:
            query["after"] = str(self._after)
            if self._log:
                query["log"] = self._log
        return socket_address(url, STREAM_PATH, query)

    def begin(self) -> None:
        """A connection has come about. What failed before is forgotten with the first message, not now."""

    def take(self, frame: str | bytes) -> list[CloudEvent]:
        """The events of a message that have not been seen yet. Raises NotAFabric."""
        try:
            events = msgspec.json.decode(frame, type=list[CloudEventOrBookmark])
        except msgspec.MsgspecError as error:
            raise NotAFabric(foreign(f"an event cannot be understood: {error}")) from error
        self.patience.heard()
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
        refusal = not_valid(code)
        if refusal is not None:
            raise refusal
        if code == LAGGED:
            self.lagged += 1
            return 0.0
        return self.patience.wait_s(f"the connection was closed ({code})", "")

    def broke(self, url: str, reason: str, hint: str = "") -> float:
        """The same for a connection that broke or did not come about."""
        return self.patience.wait_s(reason, url, hint)

    def refused(self, error: FabricError) -> float:
        """The same for a connection that Nexus did not accept."""
        if isinstance(error, Unauthorized) or not error.retryable:
            raise error
        return self.patience.wait_s(error.detail, "")


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
    by: str = ""

    def event(self) -> CloudEvent:
        return CloudEvent(**{name: getattr(self, name) for name in CloudEvent.__struct_fields__})
