"""Nodes that are being drained and do not become empty by themselves: what stays fits nowhere else, or may not go
while another replica of its agent is down."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from typing import Final, NamedTuple

from omnitide.fabric.folds.availability import is_available, unready_since
from omnitide.fabric.rules.failing import how_it_is
from omnitide.fabric.rules.moving import held, is_leaving, is_missed, may_surge, next_version, to_spare
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, Node
from omnitide.model import inventory as inv
from omnitide.model.names import called
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.failing import LONG_PENDING_MS
from omnitide.operations.views.silence import SILENT
from omnitide.scheduler.blocked import EXAMINED_SLOTS
from omnitide.scheduler.wording import in_which_version

EXAMINED: Final = 20_000
"""Replicas that are looked at for one answer."""
EXPLAINED: Final = 5
"""Agents of each node of which it is asked whether they fit elsewhere; further ones are counted."""
NODES: Final = 20
"""Nodes of which that is asked, for one answer: more are not told at once."""
_AT_ONCE: Final = 1000
_OVER: Final = frozenset({InstanceStatus.FAILED, InstanceStatus.SUCCEEDED})


class _Stays(NamedTuple):
    """Replicas of one version of an agent that nothing else can take, or that wait for another one."""

    first: Instance
    number: int
    why: str
    """After what says that they stay."""
    mate: Instance | None = None
    """The one that is waited for."""


async def drains_that_cannot_end(runtime: Runtime, state: FabricState, now_ms: int) -> AsyncIterator[inv.Concern]:
    """One of each such node, by name, as far as it is looked. Tasks of jobs run to their end: they are waited for."""
    looked = 0
    # Of one that is silent, or was stopped, that is what is said.
    draining = (state.nodes[one] for one in state.draining)
    heard = [node for node in draining if node.status not in SILENT and not node.stopped_ms]
    for node in islice(sorted(heard, key=lambda node: node.name), NODES):
        leaving: dict[tuple[str, int], list[Instance]] = {}
        for identifier in sorted(node.instances):
            looked += 1
            if looked > EXAMINED:
                break
            if looked % _AT_ONCE == 0:
                await asyncio.sleep(0)
            instance = state.instances[identifier]
            if is_leaving(state, instance):
                version = next_version(state, state.agents[instance.workload], instance)
                leaving.setdefault((instance.workload, version), []).append(instance)
        asked = [await _why(runtime, state, those, now_ms) for those in islice(leaving.values(), EXPLAINED)]
        stays = [one for one in asked if one is not None]
        # What no patience helps comes first.
        stays.sort(key=lambda one: one.mate is not None)
        if stays:
            yield _concern(state, node, stays, len(leaving) - EXPLAINED)


async def _why(runtime: Runtime, state: FabricState, those: list[Instance], now_ms: int) -> _Stays | None:
    """Of replicas of one version of an agent; None: they are about to go, or have gone in the meantime."""
    await asyncio.sleep(0)
    first = those[0]
    try:
        found = await runtime.explain(first.id, 0)
    except KeyError:
        return None
    if found.verdict != "fits-now":
        where = f"nowhere else{in_which_version(state, first)}"
        why = f", which fits {where}: {found.text.partition('. ')[0].removesuffix('.')}"
        return _Stays(first, len(those), why)
    agent = state.agents[first.workload]
    waits = [one for one in those if is_missed(state, agent, one) and not may_surge(state, agent, one)]
    if not waits or to_spare(state, agent, now_ms) > 0:
        return None
    mate = _mate_that_is_down(state, agent, waits[0], now_ms)
    if mate is None:
        return None
    whom = "it" if mate is waits[0] else mate.name
    comma = "," if len(waits) > 1 else ""
    may = f"{agent.spec.update.max_unavailable} of {agent.replicas} replicas may be away at once"
    why = f"{comma} until {whom} is available{how_it_is(agent, mate)}; {may}"
    return _Stays(waits[0], len(waits), why, mate)


def _mate_that_is_down(state: FabricState, agent: Agent, stays: Instance, now_ms: int) -> Instance | None:
    """A replica that has not been available for long, another one than `stays` if there is one: for a moment one is not
    in every drain. Not one that nothing is on its way in (see `to_spare`), as nobody waits for that."""
    hopeless = {one.id for one in held(state, agent)}
    down: list[Instance] = []
    for slot in islice(agent.slots.values(), EXAMINED_SLOTS):
        one = state.instances.get(slot.current)
        if one is None or one.status in _OVER or one.id in hopeless or is_available(agent, one, now_ms):
            continue
        if now_ms - unready_since(one) > LONG_PENDING_MS:
            down.append(one)
    return min(down, key=lambda one: (one is stays, one.since_ms, one.id), default=None)


def _concern(state: FabricState, node: Node, stays: list[_Stays], unasked: int) -> inv.Concern:
    """`unasked`: versions of agents there of which it is not known."""
    first, number, why, mate = stays[0]
    agent = state.agents[first.workload]
    name = called(agent.namespace, agent.name)
    what = f"{first.name} stays" if number == 1 else f"{number} of {agent.name} stay, such as {first.name}"
    agents = len({one.first.workload for one in stays} - {agent.id})
    # For whatever reason: theirs need not be the one that is told.
    more = f"; replicas of {agents} more agent{'' if agents == 1 else 's'} stay too" if agents else ""
    if unasked > 0:
        more += f"; perhaps {unasked} more, which were not looked at"
    if mate is not None:
        ways = f"omnitide explain {called(mate.namespace, mate.name)};"
    else:
        ways = f"add a node that can take it (omnitide token create), end it (omnitide stop {name}),"
    return inv.Concern(
        subject=f"node {node.name}",
        text=f"is being drained, and {what}{why}{more}",
        since_ms=node.draining_since_ms,
        hint=f"{ways} or let {node.name} go on: omnitide nodes uncordon {node.name}",
    )
