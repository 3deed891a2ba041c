"""Errors on every surface: RFC 9457 problem details with a code for programs, a sentence for people and a next step."""

from typing import Final, NamedTuple

import msgspec

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:omnitide:problem:"
"""A URN, because no server of ours has to be there for a type to mean something."""


class Kind(NamedTuple):
    status: int
    title: str
    retryable: bool = False
    """The same request may succeed later."""


KINDS: Final[dict[str, Kind]] = {
    # The core's refusals, by their codes.
    "not-found": Kind(404, "No such object"),
    "already-exists": Kind(409, "The name is taken"),
    "conflict": Kind(409, "The object's state forbids it"),
    "invalid": Kind(422, "The request cannot mean anything"),
    "forbidden": Kind(403, "Not allowed"),
    "expired": Kind(410, "No longer valid"),
    "limit": Kind(429, "A bound of the fabric is reached"),
    "stale": Kind(409, "Out of date"),
    "idempotency-mismatch": Kind(422, "The idempotency key belongs to another request"),
    "impossible": Kind(422, "No node could ever do this"),
    # The surfaces' own.
    "precondition-failed": Kind(412, "The object has changed"),
    "malformed": Kind(400, "The request cannot be read"),
    "unauthenticated": Kind(401, "Who are you?"),
    "no-route": Kind(404, "No such path"),
    "method-not-allowed": Kind(405, "Not with this method"),
    "not-acceptable": Kind(406, "Not in that format"),
    "timeout": Kind(408, "Too slow a request", retryable=True),
    "too-large": Kind(413, "Too large"),
    "uri-too-long": Kind(414, "The address is too long"),
    "unsupported-media-type": Kind(415, "Not in this format"),
    "upgrade-required": Kind(426, "This is a WebSocket"),
    "throttled": Kind(429, "Too many attempts", retryable=True),
    "busy": Kind(503, "Too much at once", retryable=True),
    "trimmed": Kind(410, "That far back nothing is kept"),
    "unknown-revision": Kind(409, "No such revision here"),
    "lagged": Kind(503, "Too slow", retryable=True),
    "behind": Kind(503, "Not at that revision yet", retryable=True),
    "not-serving": Kind(503, "Changes are not taken now", retryable=True),
    "node-away": Kind(503, "The node is away", retryable=True),
    "runtime-away": Kind(503, "What runs it there does not answer", retryable=True),
    "logs-unavailable": Kind(404, "No output to show"),
    "digest-mismatch": Kind(422, "Not what was announced"),
    "storage-full": Kind(507, "No room for it"),
    "not-running": Kind(409, "It does not run"),
    "no-such-file": Kind(404, "No such file in the instance"),
    "command-not-found": Kind(422, "No such program in the instance"),
    "not-executable": Kind(422, "Nothing that can be executed"),
    "unsupported": Kind(422, "What runs the instance cannot do this"),
    "copy-refused": Kind(422, "The instance does not take or give it"),
    "reach-failed": Kind(502, "The instance could not be reached into"),
    "internal": Kind(500, "A fault of ours"),
}


class FieldFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a request's fields."""

    field: str
    """`resources.memory`, `command[2]`; empty for the whole."""
    pointer: str
    """The same as a JSON pointer: `/resources/memory`."""
    message: str
    hint: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str = ""
    """The path that was asked for."""
    hint: str = ""
    subject: str = ""
    """What it is about: `agent default/hello`."""
    errors: tuple[FieldFault, ...] = ()
    used_by: tuple[str, ...] = ()
    """conflict: who would miss what was to be removed, in order: `agent default/hello`."""
    correlation: str = ""
    retryable: bool = False
    retry_after_s: int = 0
    since_ms: int = 0
    """node-away: since when; 0 if it never came. runtime-away: since when; 0 if that has only just shown."""
    first_revision: int = 0
    """trimmed: the oldest revision that is kept."""
    resume_revision: int = 0
    """lagged: watch again after this. unknown-revision: the newest that there is."""
    hop: str = ""
    """join: the step that failed."""


def problem(
    code: str,
    detail: str,
    *,
    hint: str = "",
    subject: str = "",
    errors: tuple[FieldFault, ...] = (),
    used_by: tuple[str, ...] = (),
    retryable: bool | None = None,
    retry_after_s: int = 0,
    since_ms: int = 0,
    first_revision: int = 0,
    resume_revision: int = 0,
    hop: str = "",
) -> Problem:
    """A problem of a kind in KINDS; `instance` and `correlation` are filled in by the surface."""
    kind = KINDS[code]
    return Problem(
        type=TYPE_PREFIX + code,
        title=kind.title,
        status=kind.status,
        code=code,
        detail=detail,
        hint=hint,
        subject=subject,
        errors=errors,
        used_by=used_by,
        retryable=kind.retryable if retryable is None else retryable,
        retry_after_s=retry_after_s,
        since_ms=since_ms,
        first_revision=first_revision,
        resume_revision=resume_revision,
        hop=hop,
    )
