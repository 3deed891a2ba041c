"""What waits for a node, and why: by agent or job, and as far as it holds up a rollout."""

import asyncio
from typing import Final

from omnitide.fabric.rules.failing import halted_by, is_late
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus
from omnitide.operations.pending_kinds import pending_kind
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.failing import waits_for_node
from omnitide.scheduler.explanation import Explanation

_AT_ONCE: Final = 1000


class Waiting:
    """What of one agent or job waits for a node."""

    def __init__(self) -> None:
        self.number = 0
        self.first: Instance
        self.differ = False
        """Not all wait for the same."""
        self._kind: tuple[str, ...] = ()

    @property
    def since_ms(self) -> int:
        return self.first.since_ms

    def add(self, state: FabricState, instance: Instance, now_ms: int) -> None:
        kind = pending_kind(state, instance, now_ms)
        if not self.number or (instance.since_ms, instance.id) < (self.first.since_ms, self.first.id):
            self.first = instance
        self.differ |= bool(self.number) and kind != self._kind
        self._kind = kind
        self.number += 1


async def waiting_for_nodes(state: FabricState, now_ms: int) -> dict[str, Waiting]:
    """What has waited long for a node, by agent or job. A back-off is not a wait for a node."""
    waiting: dict[str, Waiting] = {}
    halted: dict[str, bool] = {}
    for count, identifier in enumerate(state.pending, start=1):
        if count % _AT_ONCE == 0:
            await asyncio.sleep(0)
        instance = state.instances[identifier]
        if waits_for_node(instance, now_ms):
            agent = state.agents.get(instance.workload)
            if agent is not None and instance.version == agent.version:
                if agent.id not in halted:
                    halted[agent.id] = halted_by_waiting(state, agent) is not None
                if halted[agent.id]:
                    continue  # told of with the rollout
            waiting.setdefault(instance.workload, Waiting()).add(state, instance, now_ms)
    return waiting


def halted_by_waiting(state: FabricState, agent: Agent) -> Instance | None:
    """The replica that is late and waits for a node, and so holds its rollout up; None if nothing does, or something
    else."""
    halting = halted_by(state, agent) if agent.active and not agent.deleting else None
    if halting is None or halting.status is not InstanceStatus.PENDING or halting.version != agent.version:
        return None
    return halting if is_late(agent, halting) else None


async def why_it_waits(runtime: Runtime, instance: str) -> str:
    """What no node has, say: what the scheduler puts first."""
    return said_first(await explanation_of(runtime, instance))


async def explanation_of(runtime: Runtime, instance: str) -> Explanation | None:
    """None: it has been placed or is gone meanwhile."""
    await asyncio.sleep(0)
    try:
        return await runtime.explain(instance, 0)
    except KeyError:
        return None


def said_first(explained: Explanation | None) -> str:
    return "" if explained is None else explained.text.partition(". ")[0].removesuffix(".")
