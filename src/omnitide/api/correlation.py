"""The id that runs through everything a request causes: taken from the caller if it is fit to be written down."""

import re
from typing import Final

HEADER: Final = "omnitide-correlation"
_FIT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


def given(request_id: str | None, traceparent: str | None) -> str:
    """From `X-Request-Id`, else the trace id of a W3C `traceparent`; empty if there is none that is fit."""
    if request_id and _FIT.fullmatch(request_id):
        return request_id
    trace = _TRACEPARENT.fullmatch(traceparent) if traceparent and len(traceparent) <= 200 else None
    return trace[1] if trace is not None and trace[1] != "0" * 32 else ""
