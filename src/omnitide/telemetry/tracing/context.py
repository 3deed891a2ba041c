"""The context of a trace, which travels as the correlation id does: in it.

A call that is traced has the correlation `<trace id>-<span id>`, or `<trace id>-<span id>-<the caller's own id>`: 32
and 16 hexadecimal digits, those of the span of the call (W3C Trace Context). So it goes along with commands, events,
the state and assignments, survives restarts, and whoever only hands it on need not know of it. Ids of spans further
down are derived from it: Nexus and node name the same ones without a word between them. Pure.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

TRACEPARENT: Final = "TRACEPARENT"
"""Variable in which a program is handed its context."""
_CORRELATION: Final = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})(?:-.*)?", re.DOTALL)
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_LEAST: Final = 32 + 1 + 16
_MAX_TRACEPARENT: Final = 200


class Place(NamedTuple):
    """A span, by its ids: that under which others are to stand."""

    trace_id: str
    span_id: str


class Caller(NamedTuple):
    """What a `traceparent` says."""

    place: Place
    sampled: bool


def place_of(correlation: str) -> Place | None:
    """The span of the call whose correlation this is; None where it is not traced."""
    if len(correlation) < _LEAST or correlation[32] != "-":
        return None
    found = _CORRELATION.fullmatch(correlation)
    return Place(found[1], found[2]) if found is not None else None


def correlation_of(place: Place, own: str = "") -> str:
    """`own`: how the caller calls it."""
    return f"{place.trace_id}-{place.span_id}{'-' if own else ''}{own}"


def derived(correlation: str, *what: str | int) -> str:
    """Id of the span of a part of what a call has caused: the same for everybody who knows the same."""
    text = "\0".join((correlation, *map(str, what)))
    return blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()


def session_span(correlation: str, instance: str) -> str:
    """Id of Nexus's span of an instance at its node, under which the node's own stand."""
    return derived(correlation, "session", instance)


def start_span(correlation: str, instance: str, attempt: int) -> str:
    """Id of the node's span of the start of an attempt, under which that of the instance itself stands."""
    return derived(correlation, "start", instance, attempt)


def traceparent(place: Place) -> str:
    return f"00-{place.trace_id}-{place.span_id}-01"


def caller_of(text: str | None) -> Caller | None:
    """Of a `traceparent` header; None where there is none that is fit."""
    if not text or len(text) > _MAX_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # Version ff is forbidden, and 00 has nothing behind the flags; a later one may.
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Caller(Place(trace_id, span_id), bool(int(flags, 16) & 1))
