"""Operations on samples over time. They are no part of the state: an answer shows what is known now (law 9)."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from omnitide.fabric.authorize import Permission
from omnitide.model import metrics as mm
from omnitide.operations.failures import Failed, failed
from omnitide.operations.inputs import Request
from omnitide.operations.operation import Answer, AnyDeclaration, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.query import Answer as Found
from omnitide.telemetry.series.query import Question
from omnitide.telemetry.series.rows import MAX_ADDED, STEP_S
from omnitide.telemetry.series.selecting import BadQuery, selection_of, split_selector

DEFAULT_SPAN_MS: Final = 900_000
MAX_SPAN_MS: Final = 31 * 86_400_000
MAX_NAMES: Final = 2_000

_Time = Annotated[
    int,
    Meta(ge=-MAX_SPAN_MS, le=2**53, description="Milliseconds since 1970; 0 or less: so long before now."),
]
_Step = Annotated[int, Meta(ge=0, le=86_400_000, description="Milliseconds; 0: some 300 steps in all.")]
_Selector = Annotated[
    str, Meta(min_length=1, max_length=2048, description='Name of a series, or name{label="value",other=~"a.*"}.')
]
_Matches = Annotated[
    tuple[Annotated[str, Meta(max_length=512)], ...],
    Meta(max_length=16, description="Further conditions: label=value, !=, =~ or !~."),
]


class QueryMetricsRequest(Request, frozen=True, kw_only=True):
    name: _Selector
    match: _Matches = ()
    start_ms: _Time = -DEFAULT_SPAN_MS
    end_ms: _Time = 0
    step_ms: _Step = 0
    aggregate: Annotated[
        Literal["", "avg", "min", "max", "last", "p95", "rate"],
        Meta(description="Of the samples of a step. Empty: rate of counters, avg of others."),
    ] = ""
    by: Annotated[
        tuple[Annotated[str, Meta(max_length=100)], ...],
        Meta(max_length=16, description="Labels to keep; `*` or none: all. Series that are then the same are one."),
    ] = ()
    combine: Annotated[
        Literal["sum", "avg", "min", "max"], Meta(description="How series that are the same are made one.")
    ] = "sum"


class ListMetricsRequest(Request, frozen=True, kw_only=True):
    prefix: Annotated[str, Meta(max_length=200, description="Only names that begin so.")] = ""


_Ids = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=80)], ...], Meta(max_length=100)]


class ReadUseRequest(Request, frozen=True, kw_only=True):
    instance: Annotated[_Ids, Meta(description="Ids of instances.")] = ()
    agent: Annotated[_Ids, Meta(description="Ids of agents.")] = ()
    node: Annotated[_Ids, Meta(description="Ids of nodes: all that they use, not by instances alone.")] = ()


async def _query(runtime: Runtime, _: Context, asked: QueryMetricsRequest) -> Answer[mm.MetricAnswer]:
    metrics = runtime.metrics()
    now_ms = metrics.now_s() * 1000
    start_ms = asked.start_ms if asked.start_ms > 0 else now_ms + asked.start_ms
    end_ms = asked.end_ms if asked.end_ms > 0 else now_ms + 1000 + asked.end_ms
    if start_ms < 0:
        raise failed("invalid", "start_ms: is before 1970")
    try:
        name, matches = split_selector(asked.name)
        question = Question(
            selection=selection_of(name, (*matches, *asked.match)),
            start_s=start_ms // 1000,
            # What is still to come is not asked for.
            end_s=min(-(-end_ms // 1000), now_ms // 1000 + 1),
            step_s=-(-asked.step_ms // 1000),
            aggregate=asked.aggregate,
            by=None if not asked.by or asked.by == ("*",) else tuple(one for one in asked.by if one != "-"),
            combine=asked.combine,
        )
        found = await metrics.ask(question)
    except BadQuery as bad:
        raise _problem(bad) from bad
    _note_watched(runtime, found)
    revision = runtime.committed().revision
    return Answer(
        mm.MetricAnswer(
            name=name,
            kind=found.kind,
            unit=found.unit,
            help=found.help,
            aggregate=found.aggregate,
            start_ms=found.window.start_s * 1000,
            step_ms=found.window.step_s * 1000,
            resolution_ms=found.resolution_s * 1000,
            by_minute_until_ms=found.by_minute_until_s * 1000,
            items=tuple(
                mm.MetricSeries(
                    labels=dict(one.labels),
                    values=tuple(value if abs(value) < float("inf") else None for value in one.values.tolist()),
                )
                for one in found.found
            ),
            revision=revision,
        ),
        revision,
    )


MAX_WATCHED: Final = 8
"""Nodes that a question about the last seconds makes send each second."""


def _note_watched(runtime: Runtime, found: Found) -> None:
    """Who asks for the newest seconds of a few nodes, looks at them."""
    metrics = runtime.metrics()
    if found.window.step_s > 2 or found.window.end_s < metrics.now_s() - 5:
        return
    state = runtime.committed()
    names: set[str] = set()
    # Not of the answer: what adds series up, as charts do, keeps no label of theirs.
    for one in found.looked_at:
        names |= {value for label, value in one.labels if label == "node" and value in state.node_names}
        if len(names) > MAX_WATCHED:
            return
    for name in sorted(names):
        metrics.watch_node(state.node_names[name])


async def _use(runtime: Runtime, _: Context, asked: ReadUseRequest) -> Answer[mm.UseRows]:
    state = runtime.committed()

    def members(identifier: str) -> Sequence[str]:
        agent = state.agents.get(identifier)
        if agent is None:
            return (identifier,) if identifier in state.instances or identifier in state.nodes else ()
        slots = (agent.slots.get(number) for number in range(1, min(agent.replicas, MAX_ADDED) + 1))
        return [slot.current for slot in slots if slot is not None and slot.current]

    found = await runtime.metrics().rows((*asked.instance, *asked.agent, *asked.node), members)
    return Answer(
        mm.UseRows(
            start_ms=found.start_s * 1000,
            step_ms=STEP_S * 1000,
            items=tuple(
                mm.UseRow(id=one, cpu_milli=row.cpu_milli, memory_bytes=row.memory_bytes, instances=row.instances)
                for one, row in found.rows.items()
            ),
            revision=state.revision,
        ),
        state.revision,
    )


async def _list(runtime: Runtime, _: Context, asked: ListMetricsRequest) -> Answer[mm.MetricList]:
    metrics = runtime.metrics()
    named = metrics.by_name(asked.prefix)
    if len(named) > MAX_NAMES:
        raise failed("invalid", f"prefix: {len(named)} names begin so; {MAX_NAMES} are the most that are shown")
    items = await asyncio.to_thread(lambda: tuple(_shown(name, series) for name, series in named.items()))
    counts = metrics.counts()
    revision = runtime.committed().revision
    return Answer(
        mm.MetricList(
            items=items,
            series=counts["series"],
            memory_bytes=counts["bytes"],
            memory_bound_bytes=counts["bound"],
            dropped=counts["dropped"],
            dropped_by={reason: number for reason, number in sorted(metrics.dropped().items()) if number},
            revision=revision,
        ),
        revision,
    )


def _shown(name: str, series: list[SeriesInfo]) -> mm.MetricName:
    values: dict[str, set[str]] = {}
    for info in series:
        for key, value in info.labels:
            values.setdefault(key, set()).add(value)
    first = series[0]
    return mm.MetricName(
        name=name,
        kind=first.kind,
        unit=first.unit,
        help=first.help,
        series=len(series),
        labels={key: len(found) for key, found in sorted(values.items())},
    )


def _problem(bad: BadQuery) -> Failed:
    return failed("invalid", f"{bad.field}: {bad}" if bad.field else str(bad), hint="omnitide metrics ls")


OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation[Any, Any](
        name="metrics.query",
        rpc="QueryMetrics",
        summary="Show samples over time, step by step.",
        description="The last 15 minutes are kept by the second, 7 days by the minute. Of counters the rate is shown.",
        method="GET",
        path="/v1/metrics/query",
        input=QueryMetricsRequest,
        output=mm.MetricAnswer,
        permission=Permission("read", "metric"),
        handler=_query,
    ),
    Operation[Any, Any](
        name="metrics.use",
        summary="Show what instances, agents and nodes use: a line of the last two minutes for each row of a table.",
        description="For who looks at a few of many: 100 of each at a time. Asked again within 5 s, it is the same.",
        method="GET",
        path="/v1/metrics/use",
        input=ReadUseRequest,
        output=mm.UseRows,
        permission=Permission("read", "metric"),
        handler=_use,
    ),
    Operation[Any, Any](
        name="metrics.list",
        rpc="ListMetrics",
        summary="List what is sampled: names, units, and how many series there are.",
        method="GET",
        path="/v1/metrics",
        input=ListMetricsRequest,
        output=mm.MetricList,
        permission=Permission("read", "metric"),
        handler=_list,
    ),
)
