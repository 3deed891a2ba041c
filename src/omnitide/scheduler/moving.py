"""What may leave draining nodes: each replica there that another node could take the place of now.

`decide` checks each again (`fabric.rules.moving`) and asks it to stop; its replacement is then placed like any other.
Room that is promised already is not promised twice: to what waits, and to the replacements of what is ending.
"""

from typing import Final, NamedTuple

import numpy as np

from omnitide.fabric.commands import MoveChoice, MoveInstances
from omnitide.fabric.rules.conditions import company, home_of
from omnitide.fabric.rules.failing import proven_nodes
from omnitide.fabric.rules.moving import is_leaving, is_missed, may_surge, moves_left, next_version, to_spare
from omnitide.fabric.state import Agent, FabricState, Instance, InstanceStatus, spec_of_instance
from omnitide.scheduler.ask import Requirements, requirements_of
from omnitide.scheduler.place import Planner
from omnitide.scheduler.table import Flags, NodeTable

MAX_MOVES: Final = 1000
"""Of one plan."""
MAX_CLAIMS: Final = 1000
"""Waiting instances whose claim on free room is looked at. Where more wait, theirs is left to the placing: what was
stopped may then wait for its place among them."""


class Leaving(NamedTuple):
    """A replica that is to leave its node."""

    instance: Instance
    agent: Agent
    version: int
    """Of its replacement."""


def leaving(state: FabricState) -> list[Leaving]:
    """Every replica on a draining node that has not been asked to stop, in order of node and id."""
    found: list[Leaving] = []
    for node in sorted(state.draining):
        for identifier in sorted(state.nodes[node].instances):
            instance = state.instances[identifier]
            if is_leaving(state, instance):
                agent = state.agents[instance.workload]
                found.append(Leaving(instance, agent, next_version(state, agent, instance)))
    return found


def plan_moves(state: FabricState, table: NodeTable) -> MoveInstances:
    """What may leave now, as many of each agent as its update allows. `table` shows the nodes of `state`."""
    moves = _Moves(state, table)
    choices: list[MoveChoice] = []
    for one in leaving(state):
        node = moves.take(one)
        if node:
            choices.append(MoveChoice(one.instance.id, node))
            if len(choices) == MAX_MOVES:
                break
    return MoveInstances(seen_revision=state.revision, choices=tuple(choices))


class _Moves:
    """The scratch of one plan."""

    def __init__(self, state: FabricState, table: NodeTable) -> None:
        self._state = state
        self._table = table
        self._planner = Planner(table)
        self._needs: dict[tuple[str, int], Requirements] = {}
        self._proven: dict[tuple[str, int], Flags | None] = {}
        self._spare: dict[str, int] = {}
        self._surge: dict[str, int] = {}
        if len(state.pending) <= MAX_CLAIMS:
            for identifier in sorted(state.pending):
                waiting = state.instances[identifier]
                need = requirements_of(spec_of_instance(state, waiting))
                self._planner.reserve(need, waiting.workload, waiting.avoids)
        for node in sorted(state.draining):
            for identifier in sorted(state.nodes[node].instances):
                ending = state.instances[identifier]
                if ending.kind == "agent" and ending.status is InstanceStatus.STOPPING:
                    agent = state.agents[ending.workload]
                    if agent.wants(ending.slot):
                        self._planner.reserve(self._need(agent, next_version(state, agent, ending)), agent.id)

    def take(self, one: Leaving) -> str:
        """The node that could take its replacement, and whose room is promised to it; empty if it stays."""
        agent = one.agent
        runs = is_missed(self._state, agent, one.instance)
        if agent.id not in self._spare:  # once for each agent: it looks at all that is watched of it
            self._spare[agent.id] = to_spare(self._state, agent, self._state.time_ms)
            self._surge[agent.id] = moves_left(self._state, agent)
        spare, surge = self._spare[agent.id], self._surge[agent.id]
        in_place = one.instance.superseded
        surges = in_place or (surge > 0 and may_surge(self._state, agent, one.instance))
        if runs and not surges and spare <= 0:
            return ""
        among = self._allowed_rows(one, self._proven_rows(agent, one.version))
        row = self._planner.reserve(self._need(agent, one.version), agent.id, among=among)
        if row is None:
            return ""
        if in_place:
            return self._table.nodes[row].id
        if surges:
            self._surge[agent.id] = surge - 1
        elif runs:
            self._spare[agent.id] = spare - 1
        return self._table.nodes[row].id

    def _need(self, agent: Agent, version: int) -> Requirements:
        key = (agent.id, version)
        if key not in self._needs:
            self._needs[key] = requirements_of(agent.versions[version].spec)
        return self._needs[key]

    def _allowed_rows(self, one: Leaving, among: Flags | None) -> Flags | None:
        """As `rules.moving.may_go_to` has it."""
        spec = one.agent.versions[one.version].spec
        home = home_of(self._state, one.instance, spec)
        allowed = {home} if home else set[str]()
        if spec.together is not None and not home:
            allowed = set(company(self._state, one.agent.namespace, spec.together))
        if not allowed:
            return among
        flags = np.array([node.id in allowed for node in self._table.nodes], dtype=np.bool_)
        return flags if among is None else flags & among

    def _proven_rows(self, agent: Agent, version: int) -> Flags | None:
        key = (agent.id, version)
        if key not in self._proven:
            proven = proven_nodes(self._state, agent, version)
            self._proven[key] = None if proven is None else np.array([node.id in proven for node in self._table.nodes])
        return self._proven[key]
