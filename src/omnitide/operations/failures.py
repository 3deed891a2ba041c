"""How an operation fails: always with a problem, whatever went wrong below."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from omnitide.fabric.rejection import Rejection
from omnitide.model.blobs import BlobError
from omnitide.model.faults import Fault, field_of, pointer_of
from omnitide.model.problem import FieldFault, Problem, problem
from omnitide.operations.runtime import (
    InternalFault,
    LogsUnavailable,
    NodeAway,
    NotServing,
    RuntimeAway,
    StreamEnded,
    Trimmed,
    WatchLagged,
)
from omnitide.operations.views.silence import runtime_silent

_BLOB_CODES: Final = {
    "not-found": "not-found",
    "malformed": "malformed",
    "mismatch": "digest-mismatch",
    "quota": "storage-full",
    "disk-full": "storage-full",
    "too-large": "too-large",
    "trouble": "not-serving",
}


class Failed(Exception):
    """Carries the problem that every surface answers with in its own form."""

    def __init__(self, cause: Problem) -> None:
        super().__init__(cause.detail)
        self.problem = cause


def failed(code: str, detail: str, *, hint: str = "", subject: str = "", retry_after_s: int = 0) -> Failed:
    return Failed(problem(code, detail, hint=hint, subject=subject, retry_after_s=retry_after_s))


def refused(rejection: Rejection, *, code: str = "", hop: str = "") -> Failed:
    """The core's refusal, under its own code or a more precise one."""
    return Failed(
        problem(
            code or rejection.code,
            rejection.message,
            hint=rejection.hint,
            subject=rejection.subject,
            used_by=rejection.used_by,
            hop=hop,
        )
    )


def invalid(faults: Iterable[Fault], *, code: str = "invalid", under: tuple[str | int, ...] = ()) -> Failed:
    """Fields that are wrong, each named. `under`: where in the request the faults' paths begin."""
    errors = tuple(
        FieldFault(
            field=field_of((*under, *fault.path)),
            pointer=pointer_of((*under, *fault.path)),
            message=fault.message,
            hint=fault.hint,
        )
        for fault in faults
    )
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"{first.field}: {first.message}{more}" if first.field else f"{first.message}{more}"
    return Failed(problem(code, detail, hint=first.hint, errors=errors))


def from_exception(error: Exception) -> Failed | None:
    """The problem for what a runtime raises; None for what it should not."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, InternalFault):
        return Failed(problem("internal", error.reason, hint="Nexus's log has the details"))
    if isinstance(error, NotServing):
        hint = "reads go on; try again when it has been put right" if error.retryable else ""
        retry = 1 if error.retryable else 0
        return Failed(problem("not-serving", error.reason, hint=hint, retryable=error.retryable, retry_after_s=retry))
    if isinstance(error, Trimmed):
        hint = f"start after revision {error.first - 1}, or from a fresh list"
        return Failed(problem("trimmed", str(error), hint=hint, first_revision=error.first))
    if isinstance(error, WatchLagged):
        detail = "the watcher read too slowly: events waited for it beyond the bound"
        hint = f"watch again after revision {error.resume_from}"
        return Failed(problem("lagged", detail, hint=hint, resume_revision=error.resume_from))
    if isinstance(error, StreamEnded):
        return Failed(problem("not-serving", "the control plane is stopping", retry_after_s=1))
    if isinstance(error, NodeAway):
        heard = f"since {_utc(error.since_ms)}" if error.since_ms else "yet"
        detail = f"node {error.node} cannot be asked: nothing has been heard of it {heard}"
        return Failed(problem("node-away", detail, subject=f"node {error.node}", since_ms=error.since_ms))
    if isinstance(error, RuntimeAway):
        since = f" (since {_utc(error.since_ms)})" if error.since_ms else ""
        detail = f"{runtime_silent(error.driver, error.node)}{since}: nothing that it runs can be reached into or read"
        hint = f"what it runs goes on if it can; why it does not answer: omnitide nodes show {error.node}"
        return Failed(problem("runtime-away", detail, hint=hint, subject=f"node {error.node}", since_ms=error.since_ms))
    if isinstance(error, BlobError):
        return Failed(problem(_BLOB_CODES[error.code], str(error)))
    if isinstance(error, LogsUnavailable):
        return Failed(problem("busy" if error.busy else "logs-unavailable", error.reason))
    return None


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _utc(milliseconds: int) -> str:
    """`2026-11-25 17:40:02 UTC`."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).strftime("%Y-%m-%d %H:%M:%S UTC")
