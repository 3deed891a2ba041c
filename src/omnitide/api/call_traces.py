"""The span of a call, and the correlation that carries it: what begins at the caller goes on from here."""

import random
from collections.abc import Mapping
from typing import Final, NamedTuple

from omnitide.api import correlation as correlations
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.choosing import Choice
from omnitide.telemetry.tracing.context import Caller, Place, caller_of, correlation_of
from omnitide.telemetry.tracing.spans import Span, Value

_FAULT: Final = 500


class CallTrace(NamedTuple):
    """A call that is traced."""

    place: Place
    parent_id: str
    began_ns: int
    own: str
    """How the caller calls it, if it does."""

    @property
    def correlation(self) -> str:
        return correlation_of(self.place, self.own)


class CallTraces:
    """Of one surface. `choice`: which calls are traced; None: none of them."""

    def __init__(self, choice: Choice | None = None) -> None:
        self._choice = choice

    def begin(self, request_id: str | None, traceparent: str | None, *, changes: bool) -> CallTrace | None:
        """None: it is not traced, or nobody takes spans."""
        if self._choice is None or not spans.on():
            return None
        caller: Caller | None = caller_of(traceparent) if traceparent else None
        if caller is None and not self._choice.may_take(changes=changes):
            return None  # of most calls of a busy fabric
        trace_id = caller.place.trace_id if caller is not None else _drawn(128)
        if not self._choice.takes(caller, trace_id, changes=changes):
            return None
        parent_id = caller.place.span_id if caller is not None else ""
        own = correlations.given(request_id, None)
        return CallTrace(Place(trace_id, _drawn(64)), parent_id, spans.now_ns(), own)


def _drawn(bits: int) -> str:
    """Ids are to differ, and are no secrets: the kernel's chance would cost more than the whole of it."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"


def end(call: CallTrace, name: str, attributes: Mapping[str, Value], error: str = "") -> None:
    spans.emit(
        Span(name, call.place, call.parent_id, call.began_ns, spans.now_ns(), attributes, kind="server", error=error)
    )


def error_of(status: int) -> str:
    """Of an answer over HTTP: that a caller asked for what cannot be had is no error of Nexus."""
    return f"HTTP {status}" if status >= _FAULT else ""
