"""What a plan says beside its differences: what is done as asked, or is not, and is better known before."""

from collections.abc import Iterator
from typing import Final

from omnitide.fabric.folds.availability import is_available
from omnitide.fabric.folds.keeping import deployed_again, kept_replicas, with_spec
from omnitide.fabric.node import NodeStatus
from omnitide.fabric.rules.rolling import keeps_volumes
from omnitide.fabric.state import Agent, FabricState
from omnitide.model.quantity import format_bytes, format_duration
from omnitide.model.spec import AgentSpec, Limits, Resources

_MEMORY_UNASKED: Final = Resources().memory


def notes(
    state: FabricState, now_ms: int, before: Agent | None, after: Agent, asked_replicas: int | None
) -> Iterator[str]:
    """One line each. `state`, at log time `now_ms`: before the change, as is `before`, which is its agent; None: there
    is none."""
    if asked_replicas is not None and asked_replicas != after.replicas:
        yield (
            f"replicas stay at {after.replicas}: `scale` set them last; --take-over-replicas (take_over_replicas) "
            f"makes them {asked_replicas} and lets the manifest own them again"
        )
    if before is not None and before.version != after.version:
        yield from _kept(state, before, after)
        if after.rollout_cursor:
            yield from _by_turns(state, now_ms, before, after)
    if before is None or before.spec != after.spec:
        yield from _memory(state, after.spec)
        yield from _unenforced(state, after.spec)
        yield from _open_secrets(after.spec)


def _kept(state: FabricState, before: Agent, after: Agent) -> Iterator[str]:
    reason = after.versions[after.version].reason
    if reason == "restarted":
        return
    kept = kept_replicas(state, before, (with_spec if reason == "rolled-back" else deployed_again)(before, after.spec))
    number = len({one.slot for one in kept if after.wants(one.slot)})
    if number:
        runs, kept_as = ("runs", "is kept as it is") if number == 1 else ("run", "are kept as they are")
        yield f"{number} of {after.replicas} replicas {runs} this spec already, and {kept_as}"


def _by_turns(state: FabricState, now_ms: int, before: Agent, after: Agent) -> Iterator[str]:
    """How many run while replicas are replaced. It is what `rules.rolling` keeps to: what is not available already is
    not counted, and nobody promises that nothing else ends meanwhile."""
    running = _available(state, now_ms, before, after)
    if running <= 0:
        return
    away = min(after.may_be_away, after.replicas)
    beside = 0 if keeps_volumes(after.spec) else min(after.spec.update.max_surge, after.replicas)
    # What of an earlier rollout still runs beside takes room from this one's.
    covered = beside >= after.replicas and not before.superseded
    least = running if covered else min(running, after.replicas - away)
    if covered or not away:
        how = _once_there(after.replicas, beside)
    elif not beside:
        how = _before_successors(after.replicas, away)
    else:
        what = "its successor is available beside it" if beside == 1 else "their successors are available beside them"
        how = f"{_before_successors(after.replicas, away)}, {beside} more once {what}"
    if least:
        meanwhile = f"at least {least} of {after.replicas} run meanwhile"
        if after.replicas == 1:
            meanwhile = "it is not gone meanwhile"
        meanwhile += _counts_from(after.spec)
    else:
        meanwhile = "meanwhile none runs" if after.replicas == 1 else "meanwhile none may run"
    yield f"{how}: {meanwhile}"


def _available(state: FabricState, now_ms: int, before: Agent, after: Agent) -> int:
    """Slots of which an instance is available, of those that stay: what a scale-down takes away stands in for none."""
    known = (*(slot.current for slot in before.slots.values()), *before.superseded)
    found = (state.instances.get(identifier) for identifier in known)
    return len({one.slot for one in found if one and after.wants(one.slot) and is_available(before, one, now_ms)})


def _counts_from(spec: AgentSpec) -> str:
    """Without a readiness probe what ends a little later has been counted: that is better known before."""
    if spec.health.readiness is not None:
        return ""
    for_how_long = f" for {format_duration(spec.update.min_healthy)}" if spec.update.min_healthy else ""
    return f"; a new one counts once it has run{for_how_long} (update.min_healthy)"


def _before_successors(replicas: int, away: int) -> str:
    if replicas == 1:
        return "the one replica stops before its successor starts"
    if away == 1:
        return "one replica at a time stops before its successor starts"
    if away >= replicas:
        return f"all {replicas} replicas may stop before their successors start"
    return f"up to {away} replicas at a time stop before their successors start"


def _once_there(replicas: int, beside: int) -> str:
    if replicas == 1:
        return "the one replica stops once its successor is available beside it"
    if beside == 1:
        return "one replica at a time stops once its successor is available beside it"
    return f"up to {beside} replicas at a time stop once their successors are available beside them"


def _memory(state: FabricState, spec: AgentSpec) -> Iterator[str]:
    """Of processes that ask for memory: what is set aside for one looks like what it may take, and is not."""
    asked = spec.resources.memory
    if spec.driver != "process" or asked in (0, _MEMORY_UNASKED) or spec.limits.memory:
        return
    held, nodes = _enforcing(state, spec.driver, "memory")
    where = ""
    if held < nodes:
        some = f"{held} of {nodes} nodes" if held else "no node"
        where = f", and {some} with the driver {spec.driver} can enforce that"
    yield (
        f"{format_bytes(asked)} of memory is set aside for each replica and holds none to it: limits.memory stops one "
        f"that takes more{where}"
    )


def _unenforced(state: FabricState, spec: AgentSpec) -> Iterator[str]:
    """Of limits that are best-effort, and nothing more on some nodes."""
    if spec.limits.enforcement == "required":
        return
    found: dict[tuple[int, int], list[str]] = {}
    for limit in _limited(spec.limits):
        held, nodes = _enforcing(state, spec.driver, limit)
        if held < nodes:
            found.setdefault((held, nodes), []).append(f"limits.{limit}")
    for (held, nodes), limits in found.items():
        verb = "is" if len(limits) == 1 else "are"
        named = f"{', '.join(limits[:-1])} and {limits[-1]}" if len(limits) > 1 else limits[0]
        with_it = f"with the driver {spec.driver}"
        if not held:
            yield f"{named} {verb} enforced on no node {with_it}: nothing stops a replica that takes more"
        else:
            yield (
                f"{named} {verb} enforced on {held} of {nodes} nodes {with_it}, and elsewhere nothing stops a replica "
                'that takes more; limits.enforcement = "required" keeps it off those'
            )


def _limited(limits: Limits) -> list[str]:
    asked = {"cpu": limits.cpu, "memory": limits.memory, "pids": limits.pids}
    return [name for name, most in asked.items() if most]


def _enforcing(state: FabricState, driver: str, limit: str) -> tuple[int, int]:
    """Nodes whose driver enforces a limit, of those that have the driver."""
    held = nodes = 0
    for node in state.nodes.values():
        fact = node.facts.driver(driver) if node.status is not NodeStatus.LOST else None
        if fact is not None and not fact.absent:
            nodes += 1
            held += limit in fact.enforces
    return held, nodes


def _open_secrets(spec: AgentSpec) -> Iterator[str]:
    open_ones = sorted(name for name, use in spec.secrets.items() if use.environment is not None)
    if spec.driver == "docker" and open_ones:
        yield (
            f"the container engine keeps variables in the clear on the node's disk, of the secret "
            f"{', '.join(open_ones)} too: a file (`file` in place of `environment`) stays in memory"
        )
