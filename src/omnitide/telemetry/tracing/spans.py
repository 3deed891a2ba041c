"""Spans, and where those of this process go: nowhere, until `send_to`. A span is told of when it is over."""

import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from omnitide.telemetry.tracing.context import Place

Kind = Literal["internal", "server", "client"]
Value = str | int | float | bool


class Span(NamedTuple):
    """Times are nanoseconds since 1970."""

    name: str
    place: Place
    parent_id: str
    """Empty: the first of its trace."""
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    kind: Kind = "internal"
    error: str = ""
    """Why it failed."""


Sink = Callable[[Span], None]


class _Way:
    """Of this process."""

    sink: Sink | None = None


def send_to(sink: Sink | None) -> None:
    """Where spans go from now on: a function that neither waits nor raises."""
    _Way.sink = sink


def on() -> bool:
    """Whether anybody takes spans: asked before anything is done for one."""
    return _Way.sink is not None


def emit(span: Span) -> None:
    sink = _Way.sink
    if sink is not None:
        sink(span)


def now_ns() -> int:
    return time.time_ns()
