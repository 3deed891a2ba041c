"""Why an instance or an agent is as it is, from the state, the scheduler's verdict and the last output."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from omnitide.fabric.folds.membership import slot_of
from omnitide.fabric.rules.failing import PERMANENT_TRIES, gave_up, is_spent, proven_nodes
from omnitide.fabric.rules.moving import is_leaving, next_version
from omnitide.fabric.state import (
    ASKED_FOR,
    TAKEN_DOWN,
    Agent,
    ExitRecord,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    Phase,
    spec_of_instance,
)
from omnitide.model import explanations as ex
from omnitide.model import objects as ob
from omnitide.model.names import called
from omnitide.model.provisions import VALUES_CHANGED
from omnitide.model.quantity import format_duration
from omnitide.operations.last_output import last_output
from omnitide.operations.missing import MISSING, missing_values
from omnitide.operations.pending_kinds import pending_kind
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.instances import show_exit, show_instance
from omnitide.operations.views.silence import STOPPED, silent_driver
from omnitide.operations.views.workloads import paused_too, show_agent
from omnitide.scheduler.blocked import why_blocked
from omnitide.scheduler.wording import in_which_version

MAX_TROUBLES: Final = 10
_LOOKED_AT: Final = 1000
"""Replicas of an agent that are looked through for how one of them ended before."""
_WITH_OUTPUT: Final = 3
"""Troubles of an agent for which nodes are asked for output."""


async def explain_instance(
    runtime: Runtime, state: FabricState, instance: Instance, nodes: int, *, with_output: bool = True
) -> ex.InstanceExplanation:
    now_ms = runtime.now_ms()
    shown = show_instance(state, instance, now_ms)
    placement = None
    leaves = shown.status != "unknown" and is_leaving(state, instance)
    if shown.status == "pending" or leaves:
        placement = await _placement(runtime, instance, nodes)
    output: tuple[str, ...] = ()
    missing = ""
    if with_output and instance.exit is not None and _died(instance):
        output, missing = await last_output(runtime, instance, instance.exit)
    return ex.InstanceExplanation(
        instance=shown,
        text=(
            _waits_for_values(state, shown, instance, now_ms)
            or _text(shown, instance, placement, now_ms, runtime=bool(silent_driver(state, instance)))
        )
        + _prepares(runtime, shown)
        + _not_ready(state, instance)
        + _no_more(state, instance)
        + (_leaving(state, instance, shown.node, placement) if leaves else "")
        + (f"; {unread}" if (unread := _unread(runtime, instance)) else "")
        + _as_it_was(shown),
        placement=placement,
        last_output=output,
        last_output_missing=missing,
        revision=state.revision,
    )


async def explain_agent(runtime: Runtime, state: FabricState, agent: Agent, nodes: int) -> ex.AgentExplanation:
    now_ms = runtime.now_ms()
    shown = show_agent(state, agent, now_ms)
    examples: dict[tuple[str, ...], Instance] = {}
    numbers: dict[tuple[str, ...], int] = {}
    for count, instance in enumerate(_instances(state, agent), start=1):
        if count % 1000 == 0:
            await asyncio.sleep(0)
        kind = _trouble(state, instance, now_ms)
        if kind:
            numbers[kind] = numbers.get(kind, 0) + 1
            if kind in examples or len(examples) < MAX_TROUBLES:
                examples.setdefault(kind, instance)
    troubles = [
        msgspec.structs.replace(
            await explain_instance(runtime, state, instance, nodes, with_output=index < _WITH_OUTPUT),
            alike=numbers[kind] - 1,
        )
        for index, (kind, instance) in enumerate(examples.items())
    ]
    failing = ex.again_and_again(shown.failing, at_least=shown.failing_at_least)
    parts = [f"{ex.known_to_run(shown.running, agent.replicas)}{failing}"]
    if not agent.active:
        parts = [f"stopped by request; to start it again: omnitide start {called(agent.namespace, agent.name)}"]
    elif not agent.replicas and not agent.deleting:
        parts = [f"no replicas are wanted; to have one: omnitide scale {called(agent.namespace, agent.name)} 1"]
    if shown.rollout is not None and shown.rollout.halted:
        parts.append(f"the rollout of version {agent.version} is halted: {shown.rollout.halted}")
        if agent.paused:
            parts.append(paused_too(agent))
    elif shown.rollout is not None and shown.rollout.paused:
        parts.append(
            f"the rollout of version {agent.version} is paused; to go on: "
            f"omnitide rollout resume {called(agent.namespace, agent.name)}"
        )
    for kind, trouble in zip(examples, troubles, strict=True):
        # Those that end again and again have been counted: what they do at this moment is told of the same ones.
        of_these = "of these " if trouble.instance.failing and failing else ""
        parts.append(
            f"{of_these}{numbers[kind]} {trouble.instance.status}, such as {trouble.instance.name}: {trouble.text}"
        )
    untold = sum(number for kind, number in numbers.items() if kind not in examples)
    if untold:
        others = "1 more, for a reason" if untold == 1 else f"{untold} more, for reasons"
        parts.append(f"{others} of another kind: omnitide ps {called(agent.namespace, agent.name)}")
    before = _ended_before(state, agent, {trouble.instance.id for trouble in troubles}, now_ms)
    if before:
        parts.append(before)
    unread = _unread_of_agent(runtime, state, agent)
    if unread:
        parts.append(unread)
    return ex.AgentExplanation(
        agent=shown,
        text="; ".join(parts),
        points=tuple(parts),
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


def _trouble(state: FabricState, instance: Instance, now_ms: int) -> tuple[str, ...]:
    """What kind of trouble it is in, so that each kind is explained once; empty for none."""
    shown = show_instance(state, instance, now_ms)
    leaves = shown.status == "running" and is_leaving(state, instance)
    if shown.status == "running" and shown.health == "unknown" and _asks_for_readiness(state, instance):
        return shown.status, "not ready"
    well = shown.status == "running" and shown.health != "unhealthy" and not shown.failing
    if well:
        return (shown.status, "drain", shown.node) if leaves else ()
    cause = ""
    if shown.exit is not None:
        cause = shown.exit.cause or shown.exit.text
    elif shown.previous_exit is not None:
        cause = shown.previous_exit.cause or shown.previous_exit.text
    waits = pending_kind(state, instance, now_ms) if instance.status is InstanceStatus.PENDING else ()
    looping = ("failing",) if shown.failing else ()
    return shown.status, shown.stop_reason, cause, *waits, *looping


def _unread(runtime: Runtime, instance: Instance) -> str:
    """Of one that runs, and whose own metrics its node asks for in vain."""
    if instance.status is not InstanceStatus.RUNNING:
        return ""
    reason = runtime.metrics().endpoint_trouble(instance.id, instance.node).fault
    return f"its own metrics cannot be had: {reason}" if reason else ""


def _unread_of_agent(runtime: Runtime, state: FabricState, agent: Agent) -> str:
    if agent.spec.metrics is None:
        return ""
    found = [
        (instance, text)
        for instance in islice(_instances(state, agent), _LOOKED_AT)
        if (text := _unread(runtime, instance))
    ]
    if not found:
        return ""
    first, text = found[0]
    if len(found) == 1:
        return f"{first.name} runs, and {text}"
    return f"{len(found)} run, and their own metrics cannot be had, such as {first.name}: {text.partition(': ')[2]}"


def _asks_for_readiness(state: FabricState, instance: Instance) -> bool:
    return spec_of_instance(state, instance).health.readiness is not None


def _not_ready(state: FabricState, instance: Instance) -> str:
    """Of one that runs, and whose readiness probe has neither succeeded nor failed often enough to say."""
    if instance.status is not InstanceStatus.RUNNING or instance.health is not Health.UNKNOWN:
        return ""
    probe = spec_of_instance(state, instance).health.readiness
    if probe is None:
        return ""
    if instance.health_message:
        return f"; not ready yet: {instance.health_message}"
    return f"; not ready yet: its readiness probe ({probe.type}) has not succeeded since it started"


def _leaving(state: FabricState, instance: Instance, node: str, placement: ex.PlacementVerdict | None) -> str:
    """Why it is still on a node that is to be emptied."""
    agent = state.agents[instance.workload]
    began = f"; {node} is being drained, and it stays"
    if placement is None:
        return began
    if placement.verdict != "fits-now":
        where = f"nowhere else{in_which_version(state, instance)}"
        return f"{began} as it fits {where}: {placement.text.removesuffix('.')}"
    blocked = why_blocked(state, instance, state.time_ms)
    if blocked:
        return f"{began} {blocked}"
    if proven_nodes(state, agent, next_version(state, agent, instance)) is not None:
        return f"{began} as no other node is known to have what it needs: another replica could start on none"
    return f"; {node} is being drained, and it is about to leave"


def _ended_before(state: FabricState, agent: Agent, told: set[str], now_ms: int) -> str:
    """The last time that a replica which runs now ended by itself, of those that nothing else tells of."""
    last: tuple[int, str] | None = None
    for instance in islice(_instances(state, agent), _LOOKED_AT):
        slot = slot_of(state, instance)
        if instance.id in told or instance.status is not InstanceStatus.RUNNING or slot is None:
            continue
        earlier = slot.last_exit if slot.failures and instance.id == slot.current else None
        for record, name in ((instance.exit, instance.name), (earlier, f"the one before {instance.name}")):
            ending = show_exit(record)
            # What runs now was started soon after it, should the node not have said when it was.
            at_ms = ending.ended_ms or instance.started_ms if ending is not None else 0
            if ending is not None and (last is None or at_ms > last[0]):
                last = at_ms, f"{name} {_how_it_ended(ending)}"
    return "" if last is None else f"{last[1]}, {format_duration(max(0, now_ms - last[0]))} ago, and was started again"


def _no_more(state: FabricState, instance: Instance) -> str:
    """Why what has failed is not tried again, and what would help."""
    slot = slot_of(state, instance)
    if instance.status is not InstanceStatus.FAILED or instance.kind != "agent" or slot is None:
        return ""
    restart = spec_of_instance(state, instance).restart
    name = called(instance.namespace, state.agents[instance.workload].name)
    if gave_up(instance, slot, restart):
        why = f"no other try can help: {PERMANENT_TRIES} in a row failed with a permanent cause"
    elif restart.policy == "never":
        why = "its restart policy is never"
    elif is_spent(instance, slot, restart):
        nodes = f"{restart.reschedules + 1} in a row" if restart.reschedules else "one"
        why = f"restart.reschedules is {restart.reschedules}, and {nodes} failed after restart.attempts"
    else:
        return ""
    return f"; not tried again by itself, {why}. Deploy a changed spec, or: omnitide restart {name}"


def _died(instance: Instance) -> bool:
    """Whether it has ended, and its last words may tell why: not where somebody asked for that, as by a `down`, and it
    ended as it was asked to."""
    record = instance.exit
    return record is not None and instance.attempt > 0 and bool(instance.node) and not _ended_as_asked(record)


def _ended_as_asked(ending: ExitRecord | ob.InstanceExit) -> bool:
    """Somebody stopped it, and it went: it had not to be killed, and told of no failure."""
    return ending.reason == "stopped" and not ending.out_of_memory and (bool(ending.signal) or ending.code == 0)


def _how_it_ended(ending: ob.InstanceExit) -> str:
    if ending.cause == VALUES_CHANGED:
        return f"was stopped {ending.message}"
    if ending.reason not in ASKED_FOR:
        return f"ended with {ending.text}"
    whose = "with its node, which was taken down" if ending.message == TAKEN_DOWN else "by request"
    return f"was stopped {whose}" + ("" if _ended_as_asked(ending) else f", with {ending.text}")


async def _placement(runtime: Runtime, instance: Instance, nodes: int) -> ex.PlacementVerdict | None:
    try:
        found = await runtime.explain(instance.id, nodes)
    except KeyError:
        return None  # placed or gone in the meantime
    return msgspec.convert(msgspec.to_builtins(found), type=ex.PlacementVerdict)


def _as_it_was(shown: ob.Instance) -> str:
    """Of one whose node is away for a while, and not silent for long enough to count as such."""
    if shown.status == "unknown" or not shown.unknown_because:
        return ""
    return f"; {shown.unknown_because}: this is what it was then"


def _prepares(runtime: Runtime, shown: ob.Instance) -> str:
    """What its node is doing so that it can start, if that takes long."""
    live = runtime.node_live(shown.node_id) if shown.status in ("placed", "starting") else None
    text = live.withheld.get(shown.id) or live.preparing.get(shown.id, "") if live is not None else ""
    return f": {text}" if text else ""


def _waits_for_values(state: FabricState, shown: ob.Instance, instance: Instance, now_ms: int) -> str:
    """Of one that cannot start without a secret or config that there is none of: it is not time that it waits for."""
    if instance.phase is not Phase.WAITING or shown.exit is None or shown.exit.cause != MISSING:
        return ""
    if shown.status != "starting":
        return ""
    waits = missing_values(state, instance)
    if not waits:
        return ""
    since = format_duration(max(0, now_ms - shown.since_ms))
    return f"waits on {shown.node} for {since} for {' and for '.join(waits)}; it starts when that is set"


def _text(
    shown: ob.Instance, instance: Instance, placement: ex.PlacementVerdict | None, now_ms: int, *, runtime: bool
) -> str:
    """`runtime`: if it is unknown, that is for its runtime, not for its node."""
    since = format_duration(max(0, now_ms - shown.since_ms))
    where = f" on {shown.node}" if shown.node else ""
    before = ""
    if shown.previous_exit is not None:
        before = f"; the generation before {_how_it_ended(shown.previous_exit)}"
    often = f"; it has ended {shown.ends} times in a row" if shown.ends > 1 else ""
    before += often
    if shown.status == "unknown":
        if shown.unknown_because.endswith(STOPPED):
            silent = f"its {shown.unknown_because}, and has not been heard from for {since}"
            return f"{silent}; it was {shown.last_status} then"
        if not runtime:
            return f"its node {shown.node} has not been heard from for {since}; it was {shown.last_status} then"
        return _unheard_text(shown, since)
    if shown.status == "pending":
        if shown.not_before_ms > now_ms and shown.previous_exit is not None:
            return f"pending for {since}: {_back_off_text(shown, placement, now_ms)}"
        why = placement.text.removesuffix(".") if placement is not None else "it is about to be placed"
        return f"pending for {since}: {why}{before}"
    if shown.status == "placed":
        return f"placed{where} {since} ago; the node has not started it yet{before}"
    if instance.phase is Phase.WAITING and shown.exit is not None:
        wait = max(0, shown.next_attempt_ms - now_ms)
        then = f"in {format_duration(wait)}" if wait else "at any moment"
        return (
            f"waits to be restarted{where}: attempt {shown.attempt} ended with {shown.exit.text}{often}; "
            f"the next comes {then}"
        )
    if shown.status == "starting":
        if shown.exit is not None and shown.exit.attempt < shown.attempt:
            before = f"; attempt {shown.exit.attempt} ended with {shown.exit.text}"
        return f"starting{where} for {since}, attempt {shown.attempt}{before}"
    if shown.status == "running":
        return _running_text(shown, instance, since, where, before)
    if shown.status == "stopping":
        return f"being stopped{where} for {since} ({shown.stop_reason})"
    if instance.status is InstanceStatus.LOST:
        return f"lost {since} ago: its node{where and ' ' + shown.node} was silent for too long"
    ended = f" with {shown.exit.text}" if shown.exit is not None else ""
    return f"{shown.status} {since} ago{where}{ended}"


def _unheard_text(shown: ob.Instance, since: str) -> str:
    """Of one whose node is heard from, and its runtime is not."""
    text = f"{shown.unknown_because}, for {since} now; it was {shown.last_status} then"
    if shown.health != "unknown":
        text += f", and its probes last said {shown.health}"
    return f"{text}: {shown.health_message}" if shown.health_message else text


def _back_off_text(shown: ob.Instance, placement: ex.PlacementVerdict | None, now_ms: int) -> str:
    """It ended by itself again and again: how often, how, when it is tried again, and whether it fits then."""
    assert shown.previous_exit is not None
    wait = format_duration(shown.not_before_ms - now_ms)
    often = f"{shown.ends} times in a row, the last " if shown.ends > 1 else ""
    text = f"waits for its back-off after it ended {often}with {shown.previous_exit.text}; tried again in {wait}"
    # What the scheduler says of the wait itself is its first sentence.
    rest = placement.text.partition(". ")[2].removesuffix(".") if placement is not None else ""
    return f"{text}. {rest}" if rest else text


def _running_text(shown: ob.Instance, instance: Instance, since: str, where: str, before: str) -> str:
    text = f"runs{where} for {since}, attempt {shown.attempt}"
    if shown.health == "unhealthy":
        text += f", unhealthy: {shown.health_message}" if shown.health_message else ", unhealthy"
    if shown.exit is not None:
        text += f"; attempt {shown.exit.attempt} {_how_it_ended(shown.exit)}"
    if instance.superseded:
        text += ", until the next generation of its slot is available"
    if shown.unenforced:
        text += f"; the node cannot enforce its limits of {', '.join(shown.unenforced)}"
    return text + before
