"""Whose output is meant: agents, jobs, nodes and instances by name, as the instances that they have now."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from omnitide.fabric.state import ENDED, Agent, FabricState, Instance, Job, JobStatus, find_node, scoped
from omnitide.model.faults import Fault
from omnitide.operations.failures import failed, invalid
from omnitide.operations.forgotten import IDENTIFIER, placed_on
from omnitide.operations.happenings.known import book_of
from omnitide.operations.runtime import Runtime

KINDS: Final = ("agent", "job", "instance", "node")
MAX_TARGETS: Final = 1000
"""Instances whose output is read at a time."""
_NAME: Final = re.compile(r"(.+)-(\d{1,18})(?:\.(\d{1,18}))?")
"""`web-1.4`, or `web-1` for the one that has that place now."""


class Subject(NamedTuple):
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.name}" if self.namespace == "default" else f"{self.kind} {self.namespace}/{self.name}"
        )


class Target(NamedTuple):
    """An instance and the node that has its output. Sorts as its lines of one time do."""

    namespace: str
    workload: str
    slot: int
    generation: int
    id: str
    name: str
    node: str


def subjects_of(texts: Iterable[str]) -> list[Subject]:
    """Of `agent:web`, `job:shop/once`, `node:alpha`. Raises Failed."""
    found: list[Subject] = []
    for index, text in enumerate(texts):
        kind, _, name = text.partition(":")
        if kind not in KINDS or not name:
            example = "agent:web, job:shop/once, instance:web-1.2 or node:alpha"
            raise invalid([Fault(("of", index), f"{text[:100]!r} names nothing that writes", example)])
        namespace, _, own = name.rpartition("/")
        found.append(Subject(kind, namespace or "default", own if kind != "node" else name))
    return list(dict.fromkeys(found))


async def targets_of(runtime: Runtime, subjects: Iterable[Subject], *, strict: bool) -> list[Target]:
    """Those of the subjects that have been on a node, in order. Raises Failed where there are too many, and, if
    `strict`, for a subject that is not there."""
    state = runtime.committed()
    found: dict[str, Target] = {}
    for subject in subjects:
        instances = _instances(state, subject)
        if instances is None:
            old = await _replaced(runtime, state, subject) if strict else None
            if old is not None:
                found[old.id] = old
            elif strict:
                raise failed("not-found", f"there is no {subject}", hint="omnitide ps", subject=str(subject))
            continue
        for instance in instances:
            if instance.node:
                found[instance.id] = _target(state, instance)
            if len(found) > MAX_TARGETS:
                hint = "ask for fewer agents or nodes"
                raise failed("invalid", f"these are more than {MAX_TARGETS} instances, the most at a time", hint=hint)
    return sorted(found.values())


def may_grow(state: FabricState, subjects: Iterable[Subject]) -> bool:
    """Whether more can come to be of them."""
    for subject in subjects:
        key = scoped(subject.namespace, subject.name)
        job = state.jobs.get(state.job_names.get(key, ""))
        if subject.kind == "node" or (subject.kind == "agent" and key in state.agent_names):
            return True
        match = _NAME.fullmatch(subject.name) if subject.kind == "instance" else None
        if match is not None and match[3] is None and scoped(subject.namespace, match[1]) in state.agent_names:
            return True
        if subject.kind == "job" and job is not None and job.status is JobStatus.ACTIVE:
            return True
    return False


def all_ended(state: FabricState, targets: Iterable[Target]) -> bool:
    known = (state.instances.get(target.id) for target in targets)
    return all(one is None or one.status in ENDED for one in known)


def _instances(state: FabricState, subject: Subject) -> Iterable[Instance] | None:
    """None: it is not there."""
    key = scoped(subject.namespace, subject.name)
    match subject.kind:
        case "agent":
            agent = state.agents.get(state.agent_names.get(key, ""))
            return None if agent is None else _of_agent(state, agent)
        case "job":
            job = state.jobs.get(state.job_names.get(key, ""))
            return None if job is None else _of_job(state, job)
        case "node":
            node = find_node(state, subject.name)
            return None if node is None else (state.instances[one] for one in node.instances)
        case _:
            one = state.instances.get(subject.name) or _named(state, subject)
            return None if one is None else (one,)


def _of_agent(state: FabricState, agent: Agent) -> Iterator[Instance]:
    for identifier in (*(slot.current for slot in agent.slots.values()), *agent.strays):
        if identifier in state.instances:
            yield state.instances[identifier]


def _of_job(state: FabricState, job: Job) -> Iterator[Instance]:
    for identifier in (job.slot.current, *job.strays):
        if identifier in state.instances:
            yield state.instances[identifier]


def _named(state: FabricState, subject: Subject) -> Instance | None:
    """By its name, such as web-1.4; or web-1: the one that has the place."""
    match = _NAME.fullmatch(subject.name)
    if match is None:
        return None
    key = scoped(subject.namespace, match[1])
    agent = state.agents.get(state.agent_names.get(key, ""))
    job = state.jobs.get(state.job_names.get(key, ""))
    if match[3] is None:
        slot = agent.slots.get(int(match[2])) if agent is not None else None
        return state.instances.get(slot.current) if slot is not None else None
    for identifier in (agent.id if agent is not None else "", job.id if job is not None else ""):
        found = state.instances.get(f"{identifier}.{match[2]}.{match[3]}")
        if found is not None:
            return found
    return None


async def _replaced(runtime: Runtime, state: FabricState, subject: Subject) -> Target | None:
    """One that the state holds no more, whose node may still have its output: the log tells where it was placed."""
    if subject.kind != "instance":
        return None
    match, parts = _NAME.fullmatch(subject.name), IDENTIFIER.fullmatch(subject.name)
    agent = None
    if match is not None and match[3] is not None:
        agent = state.agents.get(state.agent_names.get(scoped(subject.namespace, match[1]), ""))
    if agent is not None and match is not None:
        identifier, slot, generation = f"{agent.id}.{match[2]}.{match[3]}", int(match[2]), int(match[3])
    elif parts is not None:
        identifier, slot, generation = subject.name, int(parts[2]), int(parts[3])
        agent = state.agents.get(parts[1])
    else:
        return None
    node = await placed_on(runtime, book_of(runtime), identifier)
    if node not in state.nodes:
        return None
    workload = agent.name if agent is not None else ""
    name = f"{workload}-{slot}.{generation}" if workload else identifier
    return Target(subject.namespace, workload, slot, generation, identifier, name, node)


def _target(state: FabricState, instance: Instance) -> Target:
    workloads = state.agents if instance.kind == "agent" else state.jobs
    workload = workloads[instance.workload].name
    return Target(
        instance.namespace, workload, instance.slot, instance.generation, instance.id, instance.name, instance.node
    )
