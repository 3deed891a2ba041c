"""What an instance waits for besides room: other agents and jobs, the node of its volumes, the company that it keeps.

Asked by the scheduler for what waits, and by `decide` again for what it is to place.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from immutables import Map

from omnitide.fabric.folds.availability import is_ready, runs_on
from omnitide.fabric.state import (
    ON_NODE,
    Agent,
    FabricState,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    NodeStatus,
    ProvisionKind,
    Scheduling,
    find_agent,
    find_job,
    find_provision,
    scoped,
    spec_of_instance,
)
from omnitide.model.provisions import stays
from omnitide.model.spec import Need, WorkloadSpec

_NOBODY: Final = Map[str, None]()
_EMPTIED = frozenset({Scheduling.DRAINING, Scheduling.DRAINED})


class Unmet(NamedTuple):
    """A need that is not met."""

    name: str
    need: Need
    text: str
    """`waits for agent db to be ready: 0 of its 1 replicas are`."""
    hopeless: bool = False
    """It has failed for good: it will not be met until somebody acts."""


def is_met(state: FabricState, namespace: str, name: str, need: Need) -> bool:
    agent = find_agent(state, namespace, name)
    if agent is not None:
        return _agent_meets(state, agent, need)
    job = find_job(state, namespace, name)
    return job is not None and _job_meets(state, job, need)


def _agent_meets(state: FabricState, agent: Agent, need: Need) -> bool:
    counts = agent.counts
    if counts.succeeded:
        # What has done its work was started, and was of use.
        return True
    if need == "completed":
        return False
    if need == "started":
        return counts.running > 0
    unready = sum(not is_ready(agent, state.instances[identifier]) for identifier in agent.watched)
    return counts.running > unready


def _job_meets(state: FabricState, job: Job, need: Need) -> bool:
    if job.status is not JobStatus.ACTIVE or need == "completed":
        return job.status is JobStatus.SUCCEEDED
    task = state.instances.get(job.slot.current)
    if task is None or task.status is not InstanceStatus.RUNNING:
        return False
    return need == "started" or job.spec.health.readiness is None or task.health == "healthy"


def needs_are_met(state: FabricState, namespace: str, spec: WorkloadSpec) -> bool:
    return all(is_met(state, namespace, name, need) for name, need in spec.needs.items())


def unmet_needs(state: FabricState, namespace: str, spec: WorkloadSpec) -> list[Unmet]:
    """In order of name, with what is missing of each."""
    found: list[Unmet] = []
    for name, need in sorted(spec.needs.items()):
        if not is_met(state, namespace, name, need):
            failed = _failed_for_good(state, namespace, name)
            found.append(Unmet(name, need, _why_unmet(state, namespace, name, need, failed), hopeless=bool(failed)))
    return found


def _failed_for_good(state: FabricState, namespace: str, name: str) -> str:
    """What says that an agent or job comes to nothing more by itself; empty while it may."""
    agent = find_agent(state, namespace, name)
    if agent is None:
        job = find_job(state, namespace, name)
        ended = job is not None and job.status in (JobStatus.FAILED, JobStatus.CANCELLED)
        return f"it is {job.status.value}" if job is not None and ended else ""
    if not agent.active or len(agent.failed) < max(1, agent.replicas):
        return ""
    failed = min((state.instances[identifier] for identifier in agent.failed), key=lambda one: one.slot)
    return f"{failed.name} has failed for good, and is not tried again by itself"


def _why_unmet(state: FabricState, namespace: str, name: str, need: Need, failed: str) -> str:
    wanted = {"started": "to run", "ready": "to be ready", "completed": "to have succeeded"}[need]
    agent = find_agent(state, namespace, name)
    circle = circle_of_needs(state, namespace, name)
    if circle:
        return f"waits for {name} {wanted}, and they wait for each other: {' -> '.join(circle)}"
    if agent is not None:
        if not agent.active:
            return f"waits for agent {name} {wanted}: it is stopped"
        if failed:
            return f"waits for agent {name} {wanted}: {failed}"
        if need == "completed":
            return f"waits for agent {name} {wanted}: {agent.counts.running} of its {agent.replicas} replicas run"
        unready = sum(not is_ready(agent, state.instances[identifier]) for identifier in agent.watched)
        ready = agent.counts.running - unready if need == "ready" else agent.counts.running
        verb = "are ready" if need == "ready" else "run"
        return f"waits for agent {name} {wanted}: {ready} of its {agent.replicas} replicas {verb}"
    job = find_job(state, namespace, name)
    if job is None:
        return f"waits for {name} {wanted}: there is no agent or job {scoped(namespace, name)}"
    task = state.instances.get(job.slot.current)
    status = job.status.value if job.status is not JobStatus.ACTIVE or task is None else task.status.value
    return f"waits for job {name} {wanted}: it is {status}"


def _spec_by_name(state: FabricState, namespace: str, name: str) -> WorkloadSpec | None:
    agent = find_agent(state, namespace, name)
    if agent is not None:
        return agent.spec
    job = find_job(state, namespace, name)
    return job.spec if job is not None else None


def circle_of_needs(state: FabricState, namespace: str, name: str) -> tuple[str, ...]:
    """Names from `name` back to itself by needs that are not met; empty if there is no such way."""
    ways: list[tuple[str, ...]] = [(name,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        spec = _spec_by_name(state, namespace, way[-1])
        if spec is None or way[-1] in seen:
            continue
        seen.add(way[-1])
        for other, need in sorted(spec.needs.items(), reverse=True):
            if is_met(state, namespace, other, need):
                continue
            if other == name:
                return (*way, other)
            ways.append((*way, other))
    return ()


def staying_volumes(spec: WorkloadSpec) -> list[str]:
    """Names of the volumes that stay with the node on which they are."""
    return sorted(volume.name or key for key, volume in spec.volumes.items() if stays(volume))


def home_of(state: FabricState, instance: Instance, spec: WorkloadSpec) -> str:
    """The node that holds volumes of its slot which stay there; empty if there is none, or it has left the fabric."""
    if not spec.volumes or not any(map(stays, spec.volumes.values())):
        return ""
    if instance.kind == "agent":
        home = state.agents[instance.workload].homes.get(instance.slot, "")
    else:
        home = state.jobs[instance.workload].slot.last_node
    return home if home in state.nodes else ""


def only_node(state: FabricState, instance: Instance) -> str:
    """The one node that a waiting instance may be placed on; empty: any. One that it was sent to binds it no more once
    that is lost or is being emptied; one that holds its volumes does."""
    pinned = state.nodes.get(instance.pinned) if instance.pinned else None
    if pinned is not None and pinned.scheduling not in _EMPTIED and pinned.status is not NodeStatus.LOST:
        return pinned.id
    spec = spec_of_instance(state, instance)
    return home_of(state, instance, spec) if spec.volumes else ""


def volume_holder(state: FabricState, instance: Instance) -> Instance | None:
    """Another generation of its slot that is still on the one node that a waiting instance may go to, with volumes that
    stay there: two never have them at once. It is a superseded one whose move came to nothing, or one that stops."""
    workload = state.agents.get(instance.workload) or state.jobs[instance.workload]
    if not workload.strays or not spec_of_instance(state, instance).volumes:
        return None
    only = only_node(state, instance)
    for identifier in sorted(workload.strays):
        other = state.instances[identifier]
        there = other.slot == instance.slot and other.node == only and other.status in ON_NODE
        if there and any(map(stays, spec_of_instance(state, other).volumes.values())):
            return other
    return None


def company(state: FabricState, namespace: str, word: str, *, besides: str = "") -> frozenset[str]:
    """Nodes on which instances with this word run, or are about to: empty where the next one decides.

    What is superseded, stopping or lost does not count, nor what is on a node that is being emptied: it leaves. More
    than one node only where a node came back with what had been started elsewhere meanwhile. `besides`: an instance.
    """
    return frozenset(
        instance.node
        for instance in _members(state, namespace, word)
        if instance.id != besides and state.nodes[instance.node].scheduling not in _EMPTIED
    )


def _members(state: FabricState, namespace: str, word: str) -> Iterator[Instance]:
    for workload in state.companies.get(scoped(namespace, word), _NOBODY):
        agent = state.agents.get(workload)
        if agent is None:
            yield from _task(state, state.jobs[workload])
            continue
        for slot in agent.slots.values():
            current = state.instances.get(slot.current)
            if current is not None and runs_on(current) and agent.versions[current.version].spec.together == word:
                yield current


def _task(state: FabricState, job: Job) -> Iterator[Instance]:
    task = state.instances.get(job.slot.current)
    if task is not None and runs_on(task):
        yield task


def unset_values(state: FabricState, namespace: str, spec: WorkloadSpec) -> Iterator[tuple[ProvisionKind, str]]:
    """Secrets and configs that it names and nobody has set: it is placed all the same, and starts once they are."""
    credentials = spec.container.credentials if spec.container is not None else ""
    for name in sorted({*spec.secrets, *([credentials] if credentials else ())}):
        if find_provision(state, "secret", namespace, name) is None:
            yield "secret", name
    for name in sorted(spec.configs):
        if find_provision(state, "config", namespace, name) is None:
            yield "config", name
