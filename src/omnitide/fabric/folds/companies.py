"""Which agents and jobs have a word of `together`, so that nobody looks through all of them for the few that do."""

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.state import Agent, FabricState, scoped


def words_of(agent: Agent) -> set[str]:
    """Keys of `FabricState.companies`: the words of all its versions, since instances of each of them may run."""
    words = {version.spec.together for version in agent.versions.values()}
    return {scoped(agent.namespace, word) for word in words if word is not None}


def join(state: FabricState, key: str, workload: str) -> FabricState:
    members = state.companies.get(key, Map[str, None]())
    return replace(state, companies=state.companies.set(key, members.set(workload, None)))


def leave(state: FabricState, key: str, workload: str) -> FabricState:
    members = state.companies.get(key)
    if members is None or workload not in members:
        return state
    members = members.delete(workload)
    return replace(state, companies=state.companies.set(key, members) if members else state.companies.delete(key))


def keep_in_step(state: FabricState, before: Agent | None, after: Agent | None) -> FabricState:
    """After an agent was made, got or lost versions, or was removed (None)."""
    old = words_of(before) if before is not None else set[str]()
    new = words_of(after) if after is not None else set[str]()
    workload = after or before
    if workload is None or old == new:
        return state
    for key in sorted(old - new):
        state = leave(state, key, workload.id)
    for key in sorted(new - old):
        state = join(state, key, workload.id)
    return state
