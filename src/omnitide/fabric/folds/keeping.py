"""What a rollback keeps, and a deployment of a spec that an earlier version had: replicas that run it are taken as they
are, in the new version.

They are the same instances, with their attempts, counts and health; only the number of their version changes. Where the
replica that is kept has been superseded by one of another spec, or by one that is not on a node yet or any more, it is
its slot's current one again, and what was to take its place is a stray: the rule that goes back has it stopped.
"""

from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.folds.membership import leave_slot_live, put_slot, set_stray
from omnitide.fabric.folds.moment import Moment
from omnitide.fabric.state import Agent, FabricState, Instance, Slot
from omnitide.model.provisions import stays
from omnitide.model.spec import AgentSpec


def with_spec(agent: Agent, spec: AgentSpec) -> set[int]:
    """The versions whose replicas a rollback to that spec keeps."""
    return {number for number, version in agent.versions.items() if version.spec == spec}


def deployed_again(agent: Agent, spec: AgentSpec) -> set[int]:
    """The versions whose replicas a deployment of that spec keeps. What runs since before a restart of it that somebody
    has asked for is none of them: whoever deploys a file does not take that back."""
    same = with_spec(agent, spec)
    since = max((number for number in same if agent.versions[number].reason == "restarted"), default=0)
    return {number for number in same if number >= since}


def kept_replicas(state: FabricState, agent: Agent, versions: AbstractSet[int]) -> list[Instance]:
    """What of its slots is of one of these versions, is on a node, and is not to stop."""
    if not versions:
        return []
    known = (state.instances.get(one) for one in (*(slot.current for slot in agent.slots.values()), *agent.superseded))
    return [one for one in known if one is not None and one.version in versions and runs_on(one)]


def keep_replicas(state: FabricState, identifier: str, versions: AbstractSet[int], at: Moment) -> FabricState:
    """Take over into the agent's newest version what is of one of these, as `kept_replicas` finds it."""
    agent = state.agents[identifier]
    kept = kept_replicas(state, agent, versions)
    if not kept:
        return state
    instances = state.instances.mutate()
    for one in kept:
        instances[one.id] = replace(one, version=agent.version, revision=at.revision, kept_ms=at.time_ms)
    state = replace(state, instances=instances.finish())
    for other in sorted(agent.superseded):
        if state.instances[other].version == agent.version:
            state = _take_back(state, state.instances[other])
    return state


def _take_back(state: FabricState, superseded: Instance) -> FabricState:
    """Unless what is to take its place is kept as well: then that is a move, and goes on."""
    agent = state.agents[superseded.workload]
    slot = agent.slots.get(superseded.slot)
    current = state.instances.get(slot.current) if slot is not None else None
    if slot is None or current is None or current.version == agent.version:
        return state
    agent = _without_overlap(agent, superseded)
    state = replace(
        state,
        instances=state.instances.set(superseded.id, replace(superseded, superseded=False)),
        agents=state.agents.set(agent.id, agent),
    )
    # It is rolling as it was: its newest version has only just come.
    state = set_stray(state, superseded, False)
    # What the slot said of generations before was said of the other one. How those before this one ended is not known
    # any more.
    following = Slot(generation=slot.generation, first=slot.first, current=superseded.id)
    return leave_slot_live(put_slot(state, superseded, following), current.id)


def _without_overlap(agent: Agent, superseded: Instance) -> Agent:
    homes = agent.homes
    if any(map(stays, agent.spec.volumes.values())):
        # A move without its volumes may have given its slot another home, and has come to nothing.
        homes = homes.set(superseded.slot, superseded.node)
    return replace(agent, superseded=agent.superseded.delete(superseded.id), homes=homes)
