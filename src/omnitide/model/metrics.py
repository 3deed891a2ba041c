"""Samples over time, as the API shows them."""

from typing import Literal

from omnitide.model.objects import Millis, Object, Revision

SeriesKind = Literal["gauge", "counter"]
"""Of a counter, what is shown is its rate a second."""
Aggregate = Literal["avg", "min", "max", "last", "p95", "rate"]
Combine = Literal["sum", "avg", "min", "max"]


class MetricSeries(Object, frozen=True, kw_only=True):
    """One line of a chart."""

    labels: dict[str, str]
    values: tuple[float | None, ...]
    """One a step; None where nothing is known."""


class MetricAnswer(Object, frozen=True, kw_only=True):
    name: str
    kind: SeriesKind
    unit: str
    """`bytes`, `seconds`, ...; of a counter, what is shown is so much a second."""
    help: str
    aggregate: Aggregate
    start_ms: Millis
    """When the first step begins; a multiple of the step."""
    step_ms: int
    """May be longer than was asked: a part of a minute, or minutes where nothing of it is kept by the second."""
    resolution_ms: int
    """Of the samples that were looked at; where some are by the minute, that."""
    by_minute_until_ms: Millis = 0
    """Steps that begin before have the value of the whole minute that they are of: what is older than 15 minutes, or
    than the last start of Nexus, is known by the minute alone. 0: none has."""
    items: tuple[MetricSeries, ...]
    revision: Revision


class MetricName(Object, frozen=True, kw_only=True):
    """What there is by one name."""

    name: str
    kind: SeriesKind
    unit: str
    help: str
    series: int
    labels: dict[str, int]
    """Labels that they have, and how many values of each there are."""


class MetricList(Object, frozen=True, kw_only=True):
    items: tuple[MetricName, ...]
    """In order of name; of the last 15 minutes."""
    series: int
    """All of them."""
    memory_bytes: int
    """That they take."""
    memory_bound_bytes: int
    dropped: int
    """Samples or series that were not taken since Nexus began: there was no room, or they could not be."""
    dropped_by: dict[str, int]
    """The same by why, without reasons of none. ended: of instances that were over when their last samples came. no
    room: of more series than the memory holds. too old: they came too late. refused: a node sent what is no batch."""
    revision: Revision


class UseRow(Object, frozen=True, kw_only=True):
    """What an instance, or the replicas of an agent together, use."""

    id: str
    cpu_milli: tuple[int | None, ...]
    """One a step; None where nothing is known."""
    memory_bytes: tuple[int | None, ...]
    instances: int
    """Of how many that is, of those that were asked for; of an agent the first 500 slots are added up."""


class UseRows(Object, frozen=True, kw_only=True):
    start_ms: Millis
    """When the first step begins."""
    step_ms: int
    items: tuple[UseRow, ...]
    """In the order in which they were asked for; without those of which nothing is known."""
    revision: Revision
