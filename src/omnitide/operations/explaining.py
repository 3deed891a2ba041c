"""Why an instance or an agent is as it is, from the state, the scheduler's verdict and the last output."""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec

from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, Phase
from omnitide.model import explanations as ex
from omnitide.model import objects as ob
from omnitide.model.quantity import format_duration
from omnitide.operations.closing import closing
from omnitide.operations.runtime import LogsUnavailable, NodeAway, Runtime
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.workloads import show_agent

LAST_LINES: Final = 50
OUTPUT_WAIT_S: Final = 2.0
"""How long a node has to give the last lines of what died."""
MAX_OUTPUT_BYTES: Final = 64 << 10
MAX_TROUBLES: Final = 10
_WITH_OUTPUT: Final = 3
"""Troubles of an agent for which nodes are asked for output."""


async def explain_instance(
    runtime: Runtime, state: FabricState, instance: Instance, nodes: int, *, with_output: bool = True
) -> ex.InstanceExplanation:
    shown = show_instance(state, instance)
    now_ms = runtime.now_ms()
    placement = None
    if shown.status == "pending":
        placement = await _placement(runtime, instance, nodes)
    output: tuple[str, ...] = ()
    missing = ""
    if with_output and _died(instance):
        output, missing = await _last_output(runtime, instance.id)
    return ex.InstanceExplanation(
        instance=shown,
        text=_text(shown, instance, placement, now_ms),
        placement=placement,
        last_output=output,
        last_output_missing=missing,
        revision=state.revision,
    )


async def explain_agent(runtime: Runtime, state: FabricState, agent: Agent, nodes: int) -> ex.AgentExplanation:
    shown = show_agent(state, agent, runtime.now_ms())
    examples: dict[tuple[str, ...], Instance] = {}
    numbers: dict[tuple[str, ...], int] = {}
    for count, instance in enumerate(_instances(state, agent), start=1):
        if count % 1000 == 0:
            await asyncio.sleep(0)
        kind = _trouble(state, instance)
        if kind:
            numbers[kind] = numbers.get(kind, 0) + 1
            if kind in examples or len(examples) < MAX_TROUBLES:
                examples.setdefault(kind, instance)
    troubles = [
        await explain_instance(runtime, state, instance, nodes, with_output=index < _WITH_OUTPUT)
        for index, instance in enumerate(examples.values())
    ]
    parts = [f"{shown.running} of {agent.replicas} replicas are known to run"]
    if not agent.active:
        parts = ["stopped by request"]
    for kind, trouble in zip(examples, troubles, strict=True):
        parts.append(f"{numbers[kind]} {trouble.instance.status}, such as {trouble.instance.name}: {trouble.text}")
    return ex.AgentExplanation(
        agent=shown,
        text="; ".join(parts),
        troubles=tuple(troubles),
        revision=state.revision,
    )


def _instances(state: FabricState, agent: Agent) -> Iterator[Instance]:
    for number in sorted(agent.slots):
        instance = state.instances.get(agent.slots[number].current)
        if instance is not None:
            yield instance
    for identifier in sorted(agent.strays):
        yield state.instances[identifier]


def _trouble(state: FabricState, instance: Instance) -> tuple[str, ...]:
    """What kind of trouble it is in, so that each kind is explained once; empty for none."""
    shown = show_instance(state, instance)
    if shown.status == "running" and shown.health != "unhealthy":
        return ()
    cause = ""
    if shown.exit is not None:
        cause = shown.exit.cause or shown.exit.text
    elif shown.previous_exit is not None:
        cause = shown.previous_exit.cause or shown.previous_exit.text
    return shown.status, shown.stop_reason, cause


def _died(instance: Instance) -> bool:
    return instance.exit is not None and instance.attempt > 0 and bool(instance.node)


async def _placement(runtime: Runtime, instance: Instance, nodes: int) -> ex.PlacementVerdict | None:
    try:
        found = await runtime.explain(instance.id, nodes)
    except KeyError:
        return None  # placed or gone in the meantime
    return msgspec.convert(msgspec.to_builtins(found), type=ex.PlacementVerdict)


async def _last_output(runtime: Runtime, instance: str) -> tuple[tuple[str, ...], str]:
    """The last lines of an instance, or why there are none."""
    data = bytearray()
    try:
        source = runtime.logs(instance, follow=False, tail_lines=LAST_LINES, since_ms=0)
        async with asyncio.timeout(OUTPUT_WAIT_S), closing(source) as pieces:
            async for piece in pieces:
                data += piece.data
                if len(data) > MAX_OUTPUT_BYTES:
                    del data[: len(data) - MAX_OUTPUT_BYTES]
    except TimeoutError:
        if not data:
            return (), f"the node did not answer within {OUTPUT_WAIT_S:g} s"
    except NodeAway as away:
        return (), str(away)
    except LogsUnavailable as none:
        return (), none.reason
    lines = data.decode("utf-8", "replace").splitlines()
    return tuple(lines[-LAST_LINES:]), "" if lines else "it wrote nothing"


def _text(shown: ob.Instance, instance: Instance, placement: ex.PlacementVerdict | None, now_ms: int) -> str:
    since = format_duration(max(0, now_ms - shown.since_ms))
    where = f" on {shown.node}" if shown.node else ""
    before = ""
    if shown.previous_exit is not None:
        before = f"; the generation before ended with {shown.previous_exit.text}"
        if shown.failures > 1:
            before += f", the {_ordinal(shown.failures)} failure in a row"
    if shown.status == "unknown":
        return f"its node {shown.node} has not been heard from for {since}; it was {shown.last_status} then"
    if shown.status == "pending":
        why = placement.text if placement is not None else "it is about to be placed"
        return f"pending for {since}: {why}{before}"
    if shown.status == "placed":
        return f"placed{where} {since} ago; the node has not started it yet{before}"
    if instance.phase is Phase.WAITING and shown.exit is not None:
        wait = max(0, shown.next_attempt_ms - now_ms)
        then = f"starts in {format_duration(wait)}" if wait else "is due"
        return f"attempt {shown.attempt}{where} ended with {shown.exit.text}; the next one {then}"
    if shown.status == "starting":
        return f"starting{where} for {since}, attempt {shown.attempt}{before}"
    if shown.status == "running":
        return _running_text(shown, since, where, before)
    if shown.status == "stopping":
        return f"being stopped{where} for {since} ({shown.stop_reason})"
    if instance.status is InstanceStatus.LOST:
        return f"lost {since} ago: its node{where and ' ' + shown.node} was silent for too long"
    ended = f" with {shown.exit.text}" if shown.exit is not None else ""
    return f"{shown.status} {since} ago{where}{ended}"


def _running_text(shown: ob.Instance, since: str, where: str, before: str) -> str:
    text = f"runs{where} for {since}, attempt {shown.attempt}"
    if shown.health == "unhealthy":
        text += ", unhealthy"
    if shown.exit is not None:
        text += f"; attempt {shown.exit.attempt} ended with {shown.exit.text}"
    if shown.unenforced:
        text += f"; the node cannot enforce its limits of {', '.join(shown.unenforced)}"
    return text + before


def _ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
