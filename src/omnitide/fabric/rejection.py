"""Why a command was refused: a code for programs, a sentence for people, and what to do next."""

from typing import Literal

import msgspec

Code = Literal[
    "not-found",
    "already-exists",
    "conflict",
    "invalid",
    "forbidden",
    "expired",
    "limit",
    "stale",
    "idempotency-mismatch",
    "impossible",
]
"""not-found: no such object. already-exists: the name is taken. conflict: If-Match failed or the object's state forbids
it. invalid: the request cannot mean anything. forbidden: the principal may not. expired: token or key out of date.
limit: a bound of the fabric. stale: an older session or epoch speaks. idempotency-mismatch: the key was used for
another request. impossible: no node, even empty, could do it."""


class Rejection(msgspec.Struct, frozen=True):
    code: Code
    message: str
    hint: str = ""
    subject: str = ""
    """What it is about, e.g. `agent default/hello`."""
    used_by: tuple[str, ...] = ()
    """conflict: who would miss what was to be removed, in order."""


class Refuse(Exception):
    """Raised by rules inside `decide`, which turns it into its Rejection; never seen outside the core."""

    def __init__(
        self, code: Code, message: str, *, hint: str = "", subject: str = "", used_by: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.rejection = Rejection(code=code, message=message, hint=hint, subject=subject, used_by=used_by)
