"""Nodes that are being drained and do not become empty by themselves: what stays fits nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice
from typing import Final, NamedTuple

from omnitide.fabric.rules.moving import is_leaving, next_version
from omnitide.fabric.state import FabricState, Instance, Node
from omnitide.model import inventory as inv
from omnitide.model.names import called
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.silence import SILENT

EXAMINED: Final = 20_000
"""Replicas that are looked at for one answer."""
EXPLAINED: Final = 5
"""Agents of each node of which it is asked whether they fit elsewhere; further ones are counted."""
NODES: Final = 20
"""Nodes of which that is asked, for one answer: more are not told at once."""
_AT_ONCE: Final = 1000


class _Stays(NamedTuple):
    """Replicas of one version of an agent that nothing else can take."""

    first: Instance
    number: int
    why: str


async def drains_that_cannot_end(runtime: Runtime, state: FabricState) -> AsyncIterator[inv.Concern]:
    """One of each such node, by name, as far as it is looked. Tasks of jobs run to their end: they are waited for."""
    looked = 0
    # Of one that is silent that is what is said.
    heard = [node for one in state.draining if (node := state.nodes[one]).status not in SILENT]
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
        stays = [
            _Stays(those[0], len(those), why)
            for those in islice(leaving.values(), EXPLAINED)
            if (why := await _why_nowhere_else(runtime, those[0].id))
        ]
        if stays:
            yield _concern(state, node, stays, len(leaving) - EXPLAINED)


async def _why_nowhere_else(runtime: Runtime, instance: str) -> str:
    """What the scheduler puts first; empty: another node can take it, or it has left in the meantime."""
    await asyncio.sleep(0)
    try:
        found = await runtime.explain(instance, 0)
    except KeyError:
        return ""
    return "" if found.verdict == "fits-now" else found.text.partition(". ")[0].removesuffix(".")


def _concern(state: FabricState, node: Node, stays: list[_Stays], unasked: int) -> inv.Concern:
    """`unasked`: versions of agents there of which it is not known."""
    first, number, why = stays[0]
    agent = state.agents[first.workload]
    name = called(agent.namespace, agent.name)
    what = f"{first.name} stays" if number == 1 else f"{number} of {agent.name} stay, such as {first.name}"
    agents = len({one.first.workload for one in stays} - {agent.id})
    more = f"; so {'does' if agents == 1 else 'do'} {agents} more agent{'' if agents == 1 else 's'}" if agents else ""
    if unasked > 0:
        more += f"; perhaps {unasked} more, which were not looked at"
    return inv.Concern(
        subject=f"node {node.name}",
        text=f"is being drained, and {what}, which fits nowhere else: {why}{more}",
        hint=f"add a node that can take it (omnitide token create), end it (omnitide stop {name}), or let {node.name} "
        f"go on: omnitide nodes uncordon {node.name}",
    )
