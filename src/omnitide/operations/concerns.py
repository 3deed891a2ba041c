"""What of a fabric wants a person's eye: that no node is live, nodes, agents that do not come to run, what waits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from omnitide.fabric.folds.availability import is_ready, unready_since
from omnitide.fabric.rules.failing import ends_in_a_row, halted_by, how_it_is, why_halted
from omnitide.fabric.rules.nodes import may_be_removed
from omnitide.fabric.state import (
    ASKED_FOR,
    Agent,
    FabricState,
    Instance,
    InstanceStatus,
    Job,
    Node,
    NodeStatus,
    Phase,
    Scheduling,
    Slot,
    scoped,
)
from omnitide.model import inventory as inv
from omnitide.model.quantity import format_duration
from omnitide.operations.missing import MISSING, missing_values
from omnitide.operations.runtime import Runtime
from omnitide.operations.staying import drains_that_cannot_end
from omnitide.operations.views.failing import EXAMINED_SLOTS, LONG_PENDING_MS, LOOP, is_failing, waits_for_node
from omnitide.operations.views.instances import show_exit
from omnitide.operations.views.silence import SILENT, node_away, runtime_silent, why_unknown
from omnitide.operations.what_waits import (
    Waiting,
    explanation_of,
    halted_by_waiting,
    said_first,
    waiting_for_nodes,
    why_it_waits,
)

MAX_CONCERNS: Final = 20
CLOCK_OFF_MS: Final = 60_000
SAMPLED_SLOTS: Final = 32
"""Slots of an agent that runs in full that are looked at, as one that loops runs now and then; of another one,
EXAMINED_SLOTS."""
EXAMINED: Final = 20_000
"""Replicas that are looked at for one answer."""
EXPLAINED: Final = 5
"""Agents whose rollout something that waits holds up, of which it is told why: the scheduler is asked of each."""
_AT_ONCE: Final = 1000


async def concerns(runtime: Runtime, state: FabricState, now_ms: int) -> tuple[inv.Concern, ...]:
    """The most pressing."""
    dead = no_node_is_live(state)
    waiting = await waiting_for_nodes(state, now_ms)
    closed = closed_nodes(state) if not dead and len(waiting) > 1 else []
    found = [
        *([_of_no_node(state, waiting)] if dead else []),
        *_of_services(runtime),
        *_of_clock(runtime.clock_ahead_ms()),
        *_of_nodes(runtime, state, now_ms),
        *[concern async for concern in drains_that_cannot_end(runtime, state, now_ms)],
        *([_of_closed(closed, waiting)] if closed else []),
        *[concern async for concern in _of_agents(runtime, state, now_ms)],
        *[concern async for concern in _of_waiting(runtime, state, waiting, now_ms, told=dead or bool(closed))],
    ]
    return tuple(found[:MAX_CONCERNS])


# -- the whole ---------------------------------------------------------------------------------------------------------


def no_node_is_live(state: FabricState) -> bool:
    """Nodes have joined, and of none it is known that it runs anything."""
    return bool(state.nodes) and not _live(state)


def _live(state: FabricState) -> list[Node]:
    return [node for node in state.nodes.values() if node.status is NodeStatus.LIVE and not node.stopped_ms]


def _of_no_node(state: FabricState, waiting: dict[str, Waiting]) -> inv.Concern:
    """Whatever waits waits for a node, so that it is told here and not once an agent."""
    text = "no node is live: nothing runs that is known of"
    pending = sum(found.number for found in waiting.values())
    return inv.Concern(
        subject=inv.WHOLE,
        text=f"{text}; {pending} pending wait{'s' if pending == 1 else ''} for one" if pending else text,
        since_ms=max(node.stopped_ms or node.since_ms for node in state.nodes.values()),
        hint="omnitide nodes",
    )


def closed_nodes(state: FabricState) -> list[Node]:
    """The nodes that are live, by name, where none of them takes anything new; none, where one does."""
    live = _live(state)
    return [] if any(node.scheduling is Scheduling.OPEN for node in live) else sorted(live, key=lambda one: one.name)


def _of_closed(nodes: list[Node], waiting: dict[str, Waiting]) -> inv.Concern:
    """Whatever waits waits until one is opened, so that it is told here and not once an agent."""
    pending = sum(found.number for found in waiting.values())
    first = nodes[0]
    if len(nodes) == 1:
        text, hint = f"is {first.scheduling.value}, and no other node is live", f"omnitide uncordon {first.name}"
    else:
        such = f"{first.name}: {first.scheduling.value}"
        text, hint = f"none of {len(nodes)} that are live takes anything new (such as {such})", "omnitide nodes"
    return inv.Concern(
        subject=f"node {first.name}" if len(nodes) == 1 else "nodes",
        text=f"{text}; {pending} pending wait{'s' if pending == 1 else ''} for one that takes new instances",
        since_ms=min(found.since_ms for found in waiting.values()),
        hint=hint,
    )


# -- Nexus -------------------------------------------------------------------------------------------------------------


def _of_services(runtime: Runtime) -> Iterator[inv.Concern]:
    for check in runtime.readiness():
        if not check.ok:
            yield inv.Concern(subject=f"Nexus: {check.name}", text=check.detail, hint="Nexus's log has the details")


# -- time --------------------------------------------------------------------------------------------------------------


def _of_clock(ahead_ms: int) -> Iterator[inv.Concern]:
    if abs(ahead_ms) < CLOCK_OFF_MS:
        return
    apart = format_duration(abs(ahead_ms) // 60_000 * 60_000)
    if ahead_ms > 0:
        text = f"Nexus's clock is {apart} behind the log: times go on from the log's"
        hint = "set the clock of Nexus's machine right; the log then waits for it, a little slower than real time"
    else:
        text = f"Nexus's clock has jumped {apart} ahead of the log, which follows if that lasts"
        hint = "set the clock of Nexus's machine right, if it is wrong"
    yield inv.Concern(subject="clock", text=text, hint=hint)


# -- nodes -------------------------------------------------------------------------------------------------------------


def _of_nodes(runtime: Runtime, state: FabricState, now_ms: int) -> Iterator[inv.Concern]:
    for name in sorted(state.node_names):
        node = state.nodes[state.node_names[name]]
        live = runtime.node_live(node.id)
        hint = f"omnitide nodes show {name}"
        if node.stopped_ms:
            text = f"stopped by its operator {format_duration(max(0, now_ms - node.stopped_ms))} ago"
            hint = "start it again where it was stopped (omnitide up, systemctl start)"
            if may_be_removed(node):
                hint += f", or omnitide nodes rm {name}"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=node.stopped_ms, hint=hint)
        elif node.left:
            text = f"left {format_duration(max(0, now_ms - node.since_ms))} ago"
            hint = f"omnitide nodes rm {name}"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=node.since_ms, hint=hint)
        elif node.status in SILENT:
            text = f"not heard from for {format_duration(max(0, now_ms - node.since_ms))}"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=node.since_ms, hint=hint)
        elif live is not None and live.stalled_since_ms:
            text = "connected, but its beats are not answered"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=live.stalled_since_ms, hint=hint)
        elif away := node_away(node):
            yield inv.Concern(subject=f"node {name}", text=f"{away} of its goodbye: {node.departing}", hint=hint)
        if live is not None and live.clock_ahead_ms:
            apart = format_duration(abs(live.clock_ahead_ms))
            text = f"its clock is {apart} {'ahead of' if live.clock_ahead_ms > 0 else 'behind'} Nexus's"
            yield inv.Concern(subject=f"node {name}", text=text, hint="set the clock of that machine right")
        if live is not None and live.withheld:
            why = live.withheld[min(live.withheld)]
            yield inv.Concern(
                subject=f"node {name}", text=f"not told of {len(live.withheld)} instances: {why}", hint=hint
            )
        if node.stopped_ms or node.status in SILENT:
            continue  # what it said last of its drivers is not what is wrong
        for driver in node.facts.drivers:
            since_ms = node.silent_drivers.get(driver.name, 0)
            if since_ms:
                apart = format_duration(max(0, now_ms - since_ms))
                what = f"{runtime_silent(driver.name, name)}, for {apart} now; what it runs is shown as it was then"
                text = f"{what}: {driver.detail}" if driver.detail else what
                yield inv.Concern(subject=f"node {name}", text=text, since_ms=since_ms, hint=hint)
            elif not driver.healthy and not driver.absent:
                text = f"the driver {driver.name} does not work: {driver.detail or 'no detail given'}"
                yield inv.Concern(subject=f"node {name}", text=text, hint=hint)


# -- agents ------------------------------------------------------------------------------------------------------------


async def _of_agents(runtime: Runtime, state: FabricState, now_ms: int) -> AsyncIterator[inv.Concern]:
    left, examined, explained = EXAMINED, 0, 0
    for number, key in enumerate(sorted(state.agent_names), start=1):
        agent = state.agents[state.agent_names[key]]
        if not agent.active or agent.deleting:
            continue
        whole = agent.counts.running >= agent.replicas and not agent.counts.failed
        slots = list(islice(agent.slots.items(), min(left, SAMPLED_SLOTS if whole else EXAMINED_SLOTS)))
        left -= len(slots)
        examined += len(slots)
        waits, why = halted_by_waiting(state, agent), ""
        if waits is not None and waits.not_before_ms <= now_ms and explained < EXPLAINED:
            explained += 1
            why = await why_it_waits(runtime, waits.id)
        for concern in _of_agent(state, agent, slots, now_ms, why):
            yield concern
        if number % _AT_ONCE == 0 or examined >= _AT_ONCE:
            examined = 0
            await asyncio.sleep(0)


def _of_agent(
    state: FabricState, agent: Agent, slots: list[tuple[int, Slot]], now_ms: int, why_pending: str
) -> Iterator[inv.Concern]:
    """`why_pending`: of the replica that `halted_by_waiting` finds, as far as it was asked."""
    halting = halted_by(state, agent)
    whole = len(slots) == len(agent.slots)
    some = partial(_some, agent=agent, whole=whole)
    failed: list[Instance] = []
    valueless: list[Instance] = []
    lacking: dict[int, tuple[str, ...]] = {}
    pending: list[Instance] = []
    looping: list[tuple[int, Instance, Slot]] = []
    for _, slot in slots:
        instance = state.instances.get(slot.current)
        if instance is None:
            continue
        if instance.status is InstanceStatus.PENDING and instance.version == agent.version:
            pending.append(instance)
        if instance.status is InstanceStatus.FAILED:
            failed.append(instance)
        elif _was_without_values(instance):
            if instance.version not in lacking:
                lacking[instance.version] = tuple(missing_values(state, instance))
            if lacking[instance.version]:  # else they have been set meanwhile, and it is about to start
                valueless.append(instance)
        elif is_failing(agent, instance, now_ms) and not _told_otherwise(state, instance, now_ms):
            ends = ends_in_a_row(instance, agent.spec.restart.reset_after, now_ms)
            looping.append((ends, instance, slot))
    unready = _unready(state, agent, now_ms)
    if halting is not None:
        # What does not come up of the version that is halted is why it is: one cause, one concern.
        held = _Held(
            looping=[(instance, slot) for _, instance, slot in looping if instance.version == agent.version],
            unready=[one for one in unready if one.version == agent.version],
            valueless=[one for one in valueless if one.version == agent.version] if halting in valueless else [],
            pending=pending if halted_by_waiting(state, agent) is not None else [],
            why=why_pending,
            all=whole,
        )
        yield _of_halted(state, agent, halting, held)
        looping = [one for one in looping if one[1].version != agent.version]
        unready = [one for one in unready if one.version != agent.version]
        valueless = [one for one in valueless if one not in held.valueless]
    elif failed:
        first = min(failed, key=lambda one: (one.since_ms, one.name))
        text = f"{some(len(failed))} failed for good, such as {first.name}{_how(first)}"
        yield _concern(agent, text, first.since_ms)
    for waits in sorted({lacking[one.version] for one in valueless}, key=lambda waits: (-len(waits), waits)):
        those = [one for one in valueless if lacking[one.version] == waits]
        text = f"{some(len(those))} cannot start without {' and without '.join(waits)}"
        yield _concern(agent, text, min(one.created_ms for one in those))
    if unready:
        first = min(unready, key=lambda one: (unready_since(one), one.name))
        why = f": {first.health_message}" if first.health_message else ""
        number = _some(len(unready), agent, whole=len(agent.watched) <= EXAMINED_SLOTS)
        text = f"{number} run and are not ready, such as {first.name}{why}"
        yield _concern(agent, text, unready_since(first))
    if looping:
        times, most, slot = max(looping, key=lambda one: (one[0], one[1].name))
        text = f"{some(len(looping))} end again and again, such as {most.name} ({times} times so far)"
        yield _concern(agent, text + _how(most, slot), most.created_ms)


def _some(number: int, agent: Agent, *, whole: bool) -> str:
    """`whole`: all its replicas were looked at."""
    return f"{'' if whole else 'at least '}{number} of {agent.replicas}"


def _told_otherwise(state: FabricState, instance: Instance, now_ms: int) -> bool:
    """Whatever it did before: it waits for a node, or nothing is heard of it."""
    return waits_for_node(instance, now_ms) or bool(why_unknown(state, instance))


def _was_without_values(instance: Instance) -> bool:
    """It waits, as there was no secret or config that its spec names when it was to start."""
    return instance.phase is Phase.WAITING and instance.exit is not None and instance.exit.cause == MISSING


@dataclass(frozen=True)
class _Held:
    """Replicas of a version that is halted, by how they do not come up."""

    looping: list[tuple[Instance, Slot]]
    unready: list[Instance]
    valueless: list[Instance]
    """This and `pending` only where the one that halts it is of them: else they wait for something of their own."""
    pending: list[Instance]
    why: str
    """Why those wait that are pending; empty: not known."""
    all: bool
    """Every replica was looked at: those that wait may be counted."""


def _of_halted(state: FabricState, agent: Agent, halting: Instance, held: _Held) -> inv.Concern:
    text = f"the rollout of version {agent.version} is halted: {halting.name} {why_halted(agent, halting)}"
    missing = missing_values(state, halting) if halting in held.valueless else []
    if missing:
        text = (
            f"{text.removesuffix(how_it_is(agent, halting))}: it cannot start without {' and without '.join(missing)}"
        )
    elif held.pending:
        text += f": {held.why}" if held.why else ""
    elif not _was_without_values(halting):
        text += _how(halting, next((slot for instance, slot in held.looping if instance is halting), None))
    for what, found in (
        ("are pending", held.pending if held.all else []),
        ("cannot start without it", held.valueless if held.all else []),
        ("end again and again", [instance for instance, _ in held.looping]),
        ("run and are not ready", held.unready),
    ):
        if any(one is not halting for one in found):
            text += f"; {_some(len(found), agent, whole=held.all)} {what}"
    return _concern(agent, text, halting.since_ms)


def _unready(state: FabricState, agent: Agent, now_ms: int) -> list[Instance]:
    """Replicas that run and are not ready, or unhealthy, for longer than it takes to become so."""
    watched = (state.instances[identifier] for identifier in islice(agent.watched, EXAMINED_SLOTS))
    return [
        one
        for one in watched
        if not is_ready(agent, one) and now_ms - unready_since(one) > LONG_PENDING_MS and not why_unknown(state, one)
    ]


def _how(instance: Instance, slot: Slot | None = None) -> str:
    record = instance.exit or (slot.last_exit if slot is not None else None)
    last = show_exit(record)
    if last is None or (record is not None and record.reason in ASKED_FOR):
        return ""
    return f", the last with {last.text}" if slot is not None else f": {last.text}"


def _concern(owner: Agent | Job, text: str, since_ms: int) -> inv.Concern:
    kind = "agent" if isinstance(owner, Agent) else "job"
    name = scoped(owner.namespace, owner.name)
    return inv.Concern(
        subject=f"{kind} {name}",
        text=text,
        hint=f"omnitide explain {name.removeprefix('default/')}",
        since_ms=since_ms,
    )


# -- what waits --------------------------------------------------------------------------------------------------------


async def _of_waiting(
    runtime: Runtime, state: FabricState, waiting: dict[str, Waiting], now_ms: int, *, told: bool
) -> AsyncIterator[inv.Concern]:
    """Why, of those that have waited longest. `told`: that no node is live, or takes anything new; then only what such
    a node would not help."""
    ordered = sorted(waiting.items(), key=lambda item: (item[1].since_ms, item[0]))
    for workload, found in ordered[:MAX_CONCERNS]:
        explained = await explanation_of(runtime, found.first.id)
        if told and (explained is None or explained.verdict != "never"):
            continue
        why = said_first(explained)
        text = f"{found.number} pending for {format_duration(max(0, now_ms - found.since_ms))}"
        if why:
            such = f", such as {found.first.name}" if found.differ else ""
            text = f"{text}{such}: {why}"
        agent = state.agents.get(workload)
        if agent is not None and (ends := ends_in_a_row(found.first, agent.spec.restart.reset_after, now_ms)) >= LOOP:
            text += f"; {found.first.name} ended {ends} times in a row before"
        yield _concern(agent or state.jobs[workload], text, found.since_ms)
