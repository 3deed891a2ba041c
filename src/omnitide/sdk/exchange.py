"""One call from its first attempt to its answer, without I/O: what to send, what an answer means, when to try again.

Reads are repeated freely. Writes carry an idempotency key that stays the same over their attempts, so that a write
whose answer was lost is not done twice.
"""

import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgspec

from omnitide.model.normalise import Invalid as Unreadable
from omnitide.model.normalise import has_quantities, read
from omnitide.sdk.errors import FabricError, NotAFabric, Unavailable, foreign, from_answer, late, unreachable

T = TypeVar("T")

REVISION_HEADER: Final = "omnitide-revision"
MAX_WAIT_S: Final = 30.0
"""Longest wait that an answer's Retry-After can ask for."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long to try again."""

    attempts: int = 4
    first_s: float = 0.1
    """Ceiling of the first wait; each later one's is twice as high. The wait is drawn evenly below its ceiling."""
    longest_s: float = 2.0

    def wait_s(self, attempt: int, rng: random.Random) -> float:
        return rng.uniform(0.3, 1.0) * min(self.longest_s, self.first_s * 2.0 ** (attempt - 1))


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request of one operation."""

    method: str
    path: str
    output: type[T]
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | None = None
    writes: bool = False
    if_match: int | None = None
    """Refuse unless the object's own last revision is this; 0: unless there is none."""
    within_s: float | None = None
    """How long its answer may take, with all its waiting for news; then it raises Late. None: as the client says."""
    unready_is_answer: bool = False
    """Status 503 with the operation's own answer, as of readiness."""

    @property
    def for_news(self) -> bool:
        """Whether it is to be answered only once something has happened, so that a late answer is no trouble."""
        return self.within_s is not None or "min_revision" in self.query


@dataclass(slots=True)
class Memory:
    """What a client remembers from call to call."""

    written: int = 0
    """Newest revision that a write of this client made: its reads show at least this."""
    seen: int = 0
    """Newest revision that any answer named."""
    shown: int = 0
    """Revision that the last answer named."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after so long."""

    seconds: float


class Exchange(Generic[T]):
    """One call. Alternate `headers`/`query` and `answered` or `broke` until an answer is there or they raise."""

    def __init__(self, call: Call[T], memory: Memory, retries: Retries, url: str, rng: random.Random) -> None:
        self.call = call
        self._memory = memory
        self._retries = retries
        self._url = url
        self._rng = rng
        self._attempt = 1
        self._key = secrets.token_hex(16) if call.writes else ""
        self._asks = "" if call.writes or not call.path.startswith("/v1/") else str(memory.written or "")

    def headers(self) -> dict[str, str]:
        headers = {"accept": "application/json"}
        if self.call.body is not None:
            headers["content-type"] = "application/json"
        if self._key:
            headers["idempotency-key"] = self._key
        if self.call.if_match == 0:
            headers["if-none-match"] = "*"
        elif self.call.if_match is not None:
            headers["if-match"] = f'"{self.call.if_match}"'
        return headers

    def query(self) -> dict[str, str]:
        query = dict(self.call.query)
        if self._asks and "min_revision" not in query:
            query["min_revision"] = self._asks
        return query

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> T | Wait:
        """The answer, or how long to wait before the next attempt. Raises FabricError."""
        if 200 <= status < 300 or (status == 503 and self.call.unready_is_answer):
            value = decode(body, self.call.output)
            revision = headers.get(REVISION_HEADER, "")
            if revision.isdecimal():
                self._memory.shown = int(revision)
                self._memory.seen = max(self._memory.seen, int(revision))
                if self.call.writes and "dry_run" not in self.call.query:
                    self._memory.written = max(self._memory.written, int(revision))
            return value
        error = from_answer(status, body)
        if error.code == "behind" and self._asks and "min_revision" not in self.call.query:
            # Revisions compare within one log only. After a restore ours is of another: what was written is gone.
            self._memory.written = self._memory.seen = self._memory.shown = 0
            self._asks = ""
            return self._again(error, 0.0)
        if isinstance(error, Unavailable) and error.retryable and error.code != "behind":
            return self._again(error, float(error.retry_after_s))
        raise error

    def late(self) -> FabricError:
        """No answer came within the call's own bound."""
        return late(self._url, self.call.within_s or 0.0)

    def broke(self, reason: str, *, hint: str = "", final: bool = False) -> Wait:
        """No answer came. Raises Unreachable after the last attempt, or at once if it is `final`."""
        error = unreachable(self._url, reason, hint or plaintext_hint(self._url, reason))
        if final:
            raise error
        return self._again(error, 0.0)

    def _again(self, error: FabricError, least_s: float) -> Wait:
        if self._attempt >= self._retries.attempts or least_s > MAX_WAIT_S:
            raise error
        wait = max(least_s, self._retries.wait_s(self._attempt, self._rng))
        self._attempt += 1
        return Wait(wait)


def decode(body: bytes, output: type[T]) -> T:
    """An answer's object. Raises NotAFabric."""
    try:
        if not has_quantities(output):
            return msgspec.json.decode(body, type=output)
        return read(msgspec.json.decode(body), output)
    except (msgspec.MsgspecError, UnicodeDecodeError, Unreadable) as error:
        cause = foreign(f"the answer cannot be understood: {error}")
        raise NotAFabric(
            msgspec.structs.replace(cause, hint="client and Nexus may have versions that do not fit")
        ) from error


def plaintext_hint(url: str, reason: str) -> str:
    """The next step where something listens at an http address, and hangs up when it is spoken to."""
    if not url.startswith("http://") or not any(sign in reason for sign in ("disconnected", "reset by peer")):
        return ""
    return f"if that is the HTTPS port of Nexus, as its own always is: --url https{url.removeprefix('http')}"


def tls_hint(reason: str) -> str:
    """The next step where the connection failed in its handshake; empty for other reasons."""
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate verify failed" in reason:
        return "its certificate is not from the CA given (--ca, or the profile's): another fabric, or another CA file"
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
        return "that port does not speak TLS"
    return ""
