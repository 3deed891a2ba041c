"""What a fabric answers when it does not do what was asked, as exceptions. Each holds the whole problem."""

from typing import Final

import msgspec

from omnitide.model.problem import FieldFault, Problem, problem


class FabricError(Exception):
    """A request that failed. `hint` is the next step, `correlation` finds it in the logs of Nexus and nodes."""

    def __init__(self, cause: Problem) -> None:
        super().__init__(cause.detail)
        self.problem = cause

    @property
    def code(self) -> str:
        """For programs: one of `model.problem.KINDS`, or `unreachable`, `late`, `not-a-fabric`."""
        return self.problem.code

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def hint(self) -> str:
        return self.problem.hint

    @property
    def subject(self) -> str:
        return self.problem.subject

    @property
    def correlation(self) -> str:
        return self.problem.correlation

    @property
    def retryable(self) -> bool:
        """The same request may succeed later."""
        return self.problem.retryable


class NotFound(FabricError):
    """There is no such object."""


class Conflict(FabricError):
    """The state of the object forbids it."""

    @property
    def used_by(self) -> tuple[str, ...]:
        """Who would miss what was to be removed, as far as it is that."""
        return self.problem.used_by


class AlreadyExists(Conflict):
    """The name is taken."""


class PreconditionFailed(Conflict):
    """The object has changed since the revision that was named."""


class Invalid(FabricError):
    """The request cannot mean anything; `errors` says field by field why."""

    @property
    def errors(self) -> tuple[FieldFault, ...]:
        return self.problem.errors


class Impossible(Invalid):
    """No node could ever do this."""


class Unauthorized(FabricError):
    """No token, or a wrong one."""


class Forbidden(Unauthorized):
    """The token is right and does not allow this."""


class LimitReached(FabricError):
    """A bound of the fabric is reached."""


class Gone(FabricError):
    """It was there and is no longer valid."""


class Trimmed(Gone):
    """Events that far back are not kept; `first_revision` is the oldest that is."""

    @property
    def first_revision(self) -> int:
        return self.problem.first_revision


class UnknownRevision(Conflict):
    """The fabric has never had the revision that was named: a slip, or one from before a restore."""

    @property
    def newest_revision(self) -> int:
        return self.problem.resume_revision


class Unavailable(FabricError):
    """It cannot be done now; the same request may succeed later."""

    @property
    def retry_after_s(self) -> int:
        return self.problem.retry_after_s


class NodeAway(Unavailable):
    """The node that would have to answer is not connected, since `since_ms` (0: it never came)."""

    @property
    def since_ms(self) -> int:
        return self.problem.since_ms


class RuntimeAway(Unavailable):
    """The node is there, and what would have to answer on it, such as its container engine, does not, since `since_ms`
    (0: that has only just shown)."""

    @property
    def since_ms(self) -> int:
        return self.problem.since_ms


class Unreachable(Unavailable):
    """No Nexus answered at all."""


class Late(Unavailable):
    """No answer within the time that the call gave for it."""


class NotAFabric(FabricError):
    """Something answered, and it does not speak like a Nexus."""


_BY_CODE: Final[dict[str, type[FabricError]]] = {
    "not-found": NotFound,
    "no-route": NotFound,
    "logs-unavailable": NotFound,
    "already-exists": AlreadyExists,
    "conflict": Conflict,
    "stale": Conflict,
    "precondition-failed": PreconditionFailed,
    "impossible": Impossible,
    "unauthenticated": Unauthorized,
    "forbidden": Forbidden,
    "limit": LimitReached,
    "throttled": Unavailable,
    "expired": Gone,
    "trimmed": Trimmed,
    "unknown-revision": UnknownRevision,
    "node-away": NodeAway,
    "runtime-away": RuntimeAway,
    "unreachable": Unreachable,
    "copy-refused": FabricError,
    "late": Late,
    "not-a-fabric": NotAFabric,
}
_BY_STATUS: Final[dict[int, type[FabricError]]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    413: Invalid,
    422: Invalid,
    429: LimitReached,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def from_problem(cause: Problem) -> FabricError:
    """The exception for a problem; of a code that is not known here, by its status."""
    return _BY_CODE.get(cause.code, _BY_STATUS.get(cause.status, FabricError))(cause)


def from_answer(status: int, body: bytes) -> FabricError:
    """The exception for an answer that is no success."""
    try:
        cause = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        text = body[:200].decode("utf-8", "replace").strip()
        cause = foreign(f"the answer has status {status} and is no problem that a Nexus would tell: {text!r}", status)
    return from_problem(cause)


def foreign(detail: str, status: int = 0) -> Problem:
    """Of an answer that no Nexus gives."""
    return Problem(
        type="about:blank",
        title="Not a fabric",
        status=status,
        code="unreachable" if status in (502, 504) else "not-a-fabric",
        detail=detail,
        hint="check the address: is that the HTTPS port of Nexus (7400 by default), and nothing in between?",
        retryable=status in (502, 504),
    )


def unreachable(url: str, reason: str, hint: str = "") -> Unreachable:
    """Nobody answered."""
    return Unreachable(
        Problem(
            type="about:blank",
            title="Nexus cannot be reached",
            status=0,
            code="unreachable",
            detail=f"no Nexus answers at {url}: {reason}",
            hint=hint or "is it running? on its machine: omnitide up",
            retryable=True,
        )
    )


def late(url: str, seconds: float) -> Late:
    """Somebody may yet answer, but not in time."""
    return Late(
        Problem(
            type="about:blank",
            title="No answer in time",
            status=0,
            code="late",
            detail=f"{url} gave no answer within {seconds:.3g} s",
            retryable=True,
        )
    )


NO_NEWS: Final = ("behind", "late")
"""Codes of a read that waited for a later revision in vain."""


def refused_here(detail: str, hint: str = "") -> Invalid:
    """Something that is wrong before anything is sent."""
    return Invalid(problem("invalid", detail, hint=hint))
