"""Which instances are available, and which have been superseded by the next generation of their slot.

An instance is available when it runs and is ready (healthy, or nothing asks for readiness), and while a rollout or a
move is under way for the `update.min_healthy` of its own version: another version that comes meanwhile does not make it
so any earlier. `Agent.watched` holds those that run and may not be: what an agent with many replicas costs
here goes with what has just been started, or is unwell, not with its size.
"""

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.state import Agent, FabricState, Health, Instance, InstanceStatus

_RUNS_ON = frozenset({InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING})


def runs_on(instance: Instance) -> bool:
    """On a node, and not asked to stop."""
    return instance.status in _RUNS_ON


def is_ready(agent: Agent, instance: Instance) -> bool:
    """Runs, and is healthy where its spec asks for that."""
    if instance.status is not InstanceStatus.RUNNING:
        return False
    return instance.health is Health.HEALTHY or agent.versions[instance.version].spec.health.readiness is None


def unready_since(instance: Instance) -> int:
    """Log time since which one that is not ready has not been, as it is now."""
    return max(instance.since_ms, instance.started_ms, instance.unready_ms)


def available_from(agent: Agent, instance: Instance) -> int:
    """Log time from which one that is ready is available."""
    return _ready_for_long_from(agent, instance) if instance.id in agent.watched else 0


def was_available(agent: Agent, instance: Instance, now_ms: int) -> bool:
    """The same of one as it was until its end at a log time, when it is not watched any more."""
    return is_ready(agent, instance) and now_ms >= _ready_for_long_from(agent, instance)


def _ready_for_long_from(agent: Agent, instance: Instance) -> int:
    spec = agent.versions[instance.version].spec
    since = instance.ready_ms if spec.health.readiness is not None else instance.started_ms
    return since + spec.update.min_healthy


def is_available(agent: Agent, instance: Instance, now_ms: int) -> bool:
    """At a log time."""
    return is_ready(agent, instance) and now_ms >= available_from(agent, instance)


def serves(agent: Agent, instance: Instance, now_ms: int) -> bool:
    """Whether to stop it takes something away: it is available, or is ready again for a short time only, in an earlier
    version that is known to work."""
    if is_available(agent, instance, now_ms):
        return True
    version = agent.versions[instance.version]
    return version.proven and instance.version != agent.version and is_ready(agent, instance)


def watch(agent: Agent, instance: Instance) -> Map[str, None]:
    """`agent.watched` after this instance came to run, or its health changed."""
    spec = agent.versions[instance.version].spec
    if spec.health.readiness is None:
        wanted = bool(agent.rollout_cursor or agent.superseded)
    else:
        wanted = bool(agent.rollout_cursor or agent.superseded) or instance.health is not Health.HEALTHY
    watched = agent.watched
    if wanted and instance.status is InstanceStatus.RUNNING:
        return watched if instance.id in watched else watched.set(instance.id, None)
    return watched.delete(instance.id) if instance.id in watched else watched


def mark_rolling(state: FabricState, agent: Agent) -> FabricState:
    """Keep `state.rolling` in step with the agent, which is in the state."""
    rolls = bool(agent.rollout_cursor or agent.superseded)
    if rolls == (agent.id in state.rolling):
        return state
    rolling = state.rolling.set(agent.id, None) if rolls else state.rolling.delete(agent.id)
    return replace(state, rolling=rolling)
