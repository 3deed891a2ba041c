"""What holds of every state that `decide` leads to. Each finding is one line of text.

`violations` looks at everything; `steps.step_violations` at what one entry touched and at what only a step can show.
The text is the same for the same state.

On capacity: what a node has set aside is always the sum over what is attached to it. It may exceed what the node
declares only because the node has since declared less; a *step* that sets more aside never goes beyond the capacity.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from omnitide.fabric.evolve import TURN_SIZE
from omnitide.fabric.folds.availability import is_ready, runs_on
from omnitide.fabric.folds.companies import words_of
from omnitide.fabric.folds.membership import instance_id, is_attached
from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.rules.failing import PERMANENT_TRIES, Wanted, is_finished
from omnitide.fabric.state import (
    DEFAULT_NAMESPACE,
    ENDED,
    ON_NODE,
    Agent,
    Counts,
    FabricState,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    Node,
    NodeStatus,
    Scheduling,
    Slot,
    scoped,
    spec_of_instance,
)
from omnitide.model.names import instance_name
from omnitide.model.spec import MAX_REPLICAS

_REPLACED: Final = frozenset({InstanceStatus.STOPPED, InstanceStatus.LOST})


def violations(state: FabricState) -> list[str]:
    """Everything that is wrong with a state; empty for a sound one."""
    found = list(_indexes(state))
    for identifier in sorted(state.instances):
        found += instance_violations(state, state.instances[identifier], identifier)
    for identifier in sorted(state.agents):
        found += agent_violations(state, state.agents[identifier], identifier)
    for identifier in sorted(state.jobs):
        found += job_violations(state, state.jobs[identifier], identifier)
    for identifier in sorted(state.nodes):
        found += node_violations(state, state.nodes[identifier], identifier)
    found += _namespaces(state)
    return found


def _indexes(state: FabricState) -> Iterator[str]:
    for what, names, objects in (
        ("node", state.node_names, state.nodes),
        ("agent", state.agent_names, state.agents),
        ("job", state.job_names, state.jobs),
        ("secret or config", state.provision_names, state.provisions),
    ):
        if len(names) != len(objects):
            yield f"fabric: {len(objects)} {what}s have {len(names)} names"
    for name in sorted(set(state.agent_names) & set(state.job_names)):
        yield f"fabric: {name} names an agent and a job"
    for identifier in sorted(set(state.agents) & set(state.jobs)):
        yield f"fabric: {identifier} is the id of an agent and of a job"
    for identifier in sorted(state.pending):
        instance = state.instances.get(identifier)
        if instance is None or instance.status is not InstanceStatus.PENDING:
            yield f"instance {identifier}: in the pending set, but {'gone' if instance is None else instance.status}"
    for identifier in sorted(state.draining):
        node = state.nodes.get(identifier)
        if node is None or node.scheduling is not Scheduling.DRAINING:
            yield f"node {identifier}: in the draining set, but {'gone' if node is None else node.scheduling}"
    keys: dict[str, str] = {}
    for identifier in sorted(state.nodes):
        node = state.nodes[identifier]
        for key in (node.key_digest, node.next_key_digest):
            other = keys.setdefault(key, identifier) if key else identifier
            if other != identifier:
                yield f"node {identifier}: has the key of node {other}"
    for identifier in sorted(state.tokens):
        if state.tokens[identifier].uses_left < 0:
            yield f"token {identifier}: used more often than allowed"
    for turn in (state.idempotency.recent, state.idempotency.older):
        if len(turn) > TURN_SIZE:
            yield f"fabric: {len(turn)} remembered answers in a turn of {TURN_SIZE}"
    for identifier in sorted(set(state.rolling) - set(state.agents)):
        yield f"agent {identifier}: among those that roll, and gone"
    yield from _companies(state)
    if state.fabric_id and DEFAULT_NAMESPACE not in state.namespaces:
        yield f"fabric: no namespace {DEFAULT_NAMESPACE}"


def _companies(state: FabricState) -> Iterator[str]:
    known = {(key, member) for key, members in state.companies.items() for member in members}
    there = {(key, agent.id) for agent in state.agents.values() for key in words_of(agent)}
    for job in state.jobs.values():
        if job.spec.together is not None and job.status is JobStatus.ACTIVE:
            there.add((scoped(job.namespace, job.spec.together), job.id))
    for key, member in sorted(known ^ there):
        yield f"fabric: {member} is {'' if (key, member) in known else 'not '}among the company {key}"


def _namespaces(state: FabricState) -> Iterator[str]:
    agents: dict[str, int] = {}
    jobs: dict[str, int] = {}
    for agent in state.agents.values():
        agents[agent.namespace] = agents.get(agent.namespace, 0) + 1
    for job in state.jobs.values():
        jobs[job.namespace] = jobs.get(job.namespace, 0) + 1
    for name in sorted({*state.namespaces, *agents, *jobs}):
        known = state.namespaces.get(name)
        there = (agents.get(name, 0), jobs.get(name, 0))
        if known is None:
            yield f"namespace {name}: gone, and holds {there[0]} agents and {there[1]} jobs"
        elif (known.agents, known.jobs) != there:
            counted = (known.agents, known.jobs)
            yield f"namespace {name}: counts {counted} agents and jobs, holds {there}"


def instance_violations(state: FabricState, instance: Instance, key: str) -> Iterator[str]:
    """Of one instance that is in the state."""
    label = f"instance {key}"
    status = instance.status
    if instance.id != key or key != instance_id(instance.workload, instance.slot, instance.generation):
        yield f"{label}: calls itself {instance.id} of {instance.workload}.{instance.slot}.{instance.generation}"
    workload = (state.agents if instance.kind == "agent" else state.jobs).get(instance.workload)
    if workload is None:
        yield f"{label}: an orphan, there is no {instance.kind} {instance.workload}"
        return
    if instance.namespace != workload.namespace:
        yield f"{label}: in namespace {instance.namespace}, its {instance.kind} in {workload.namespace}"
    if instance.name != instance_name(workload.name, instance.slot, instance.generation):
        yield f"{label}: named {instance.name}"
    if isinstance(workload, Agent):
        slot, floor = workload.slots.get(instance.slot), workload.generation_floor
        if instance.version not in workload.versions:
            yield f"{label}: runs version {instance.version}, which is not kept"
    else:
        slot, floor = workload.slot, 0
    current = slot is not None and slot.current == instance.id
    stray = instance.id in workload.strays
    if current == stray:
        yield f"{label}: {'current and a stray at once' if current else 'neither current nor a stray'}"
    if instance.generation > (slot.generation if slot is not None else floor):
        yield f"{label}: generation above the highest that its slot knows of"
    attached = is_attached(state, instance)
    if isinstance(workload, Agent) and instance.version in workload.versions:
        yield from _overlap(workload, instance, label)
    runs = instance.superseded and runs_on(instance)
    if stray and not runs and (status not in (InstanceStatus.STOPPING, InstanceStatus.LOST) or not attached):
        yield f"{label}: a stray that is {status}{'' if attached else ' and on no node'}"
    if status in ON_NODE and not attached:
        yield f"{label}: {status}, but node {instance.node or '(none)'} does not know it"
    if attached and status not in ON_NODE and status is not InstanceStatus.LOST:
        yield f"{label}: {status}, but still attached to node {instance.node}"
    if (status is InstanceStatus.PENDING) != (instance.id in state.pending):
        yield f"{label}: {status}, but {'' if instance.id in state.pending else 'not '}in the pending set"
    if status is InstanceStatus.PENDING and (instance.node or instance.ports or instance.cpu_milli):
        yield f"{label}: pending with something set aside"


def _overlap(agent: Agent, instance: Instance, label: str) -> Iterator[str]:
    """What runs on until another is available, and what may not be available."""
    if (instance.id in agent.superseded) != (instance.superseded and runs_on(instance)):
        there = "" if instance.id in agent.superseded else "not "
        yield f"{label}: {instance.status}, superseded: {instance.superseded}, and {there}among those that run on"
    if instance.superseded and instance.id not in agent.strays:
        yield f"{label}: superseded, and its slot's current instance"
    if (instance.id in agent.failed) != (instance.status is InstanceStatus.FAILED):
        there = "" if instance.id in agent.failed else "not "
        yield f"{label}: {instance.status}, and {there}among those that have failed"
    if instance.id in agent.watched and instance.status is not InstanceStatus.RUNNING:
        yield f"{label}: watched, and {instance.status}"
    unready = instance.status is InstanceStatus.RUNNING and not is_ready(agent, instance)
    if unready and instance.id not in agent.watched:
        yield f"{label}: runs, is not ready, and not watched"


def agent_violations(state: FabricState, agent: Agent, key: str) -> Iterator[str]:
    """Of one agent, its slots and strays."""
    label = f"agent {key}"
    if agent.id != key or state.agent_names.get(scoped(agent.namespace, agent.name)) != key:
        yield f"{label}: is not what {scoped(agent.namespace, agent.name)} names"
    if agent.version not in agent.versions or max(agent.versions) != agent.version:
        yield f"{label}: version {agent.version} is not its newest"
    if not 0 <= agent.replicas <= MAX_REPLICAS:
        yield f"{label}: {agent.replicas} replicas"
    members: list[Instance] = []
    wanted = Wanted(state, agent)
    for number in sorted(agent.slots):
        slot = agent.slots[number]
        current = state.instances.get(slot.current)
        if current is None or (current.workload, current.slot) != (key, number):
            yield f"{label} slot {number}: its current instance {slot.current or '(none)'} is not there"
            continue
        members.append(current)
        yield from _slot(agent, number, slot, current, wanted.version(number), label)
    if agent.active and not agent.deleting:
        # Slots are numbered from 1, those that are not wanted come after: the number tells whether one is missing.
        present = sum(1 for number in agent.slots if agent.wants(number))
        if present != agent.replicas:
            yield f"{label}: {present} slots for {agent.replicas} replicas"
    if (key in state.rolling) != bool(agent.rollout_cursor or agent.superseded):
        rolls = "" if key in state.rolling else "not "
        yield f"{label}: {rolls}rolling, at cursor {agent.rollout_cursor}, with {len(agent.superseded)} superseded"
    if agent.rollout_cursor and (agent.deleting or not agent.active):
        yield f"{label}: a rollout is under way, and none of it is wanted"
    if agent.paused and not agent.rollout_cursor:
        yield f"{label}: paused, and no rollout is under way"
    if agent.stumbled and not agent.rollout_cursor:
        yield f"{label}: slot {agent.stumbled} halts a rollout that is not under way"
    if agent.late and not agent.rollout_cursor:
        yield f"{label}: slot {agent.late} is late in a rollout that is not under way"
    for identifier in sorted({*agent.superseded, *agent.watched, *agent.failed} - {*state.instances}):
        yield f"{label}: {identifier} is watched, superseded or failed, and not there"
    slots = [state.instances[other].slot for other in sorted(agent.superseded) if other in state.instances]
    for number in sorted(set(slots)):
        if slots.count(number) > 1:
            yield f"{label} slot {number}: {slots.count(number)} superseded instances run on"
        if not agent.wants(number):
            yield f"{label} slot {number}: not wanted, and a superseded instance runs on"
    for stray in sorted(agent.strays):
        instance = state.instances.get(stray)
        if instance is None or instance.workload != key:
            yield f"{label}: its stray {stray} is not there"
        else:
            members.append(instance)
    counts = _recount(members)
    if counts != agent.counts:
        yield f"{label}: counts {agent.counts}, has {counts}"
    lost = all(instance.status is InstanceStatus.LOST for instance in members)
    if agent.deleting and not agent.slots and lost:
        yield f"{label}: being removed, with nothing left to wait for"


def _slot(agent: Agent, number: int, slot: Slot, current: Instance, version: int, label: str) -> Iterator[str]:
    """`version`: of the slot's next generation."""
    here = f"{label} slot {number}"
    status = current.status
    if number < 1:
        yield f"{here}: slots are numbered from 1"
    if not slot.first <= current.generation <= slot.generation:
        yield f"{here}: generation {current.generation} is current, of {slot.first} to {slot.generation}"
    if slot.permanent_failures >= PERMANENT_TRIES:
        yield f"{here}: tried again after {slot.permanent_failures} failures in a row with a permanent cause"
    if not agent.wants(number):
        if status is not InstanceStatus.STOPPING:
            yield f"{here}: not wanted, but its instance is {status}"
        return
    if status in _REPLACED:
        yield f"{here}: wanted, but its instance is {status} and was not replaced"
    elif status in ENDED and (
        current.version != version or not is_finished(current, agent.versions[version].spec, slot)
    ):
        yield f"{here}: {status} (version {current.version}) and not finished, but not replaced"
    if status is InstanceStatus.PENDING and current.version != version:
        yield f"{here}: waits for a node with version {current.version} of {version}"
    old = current.version != agent.version and status in ON_NODE and status is not InstanceStatus.STOPPING
    cursor = agent.rollout_cursor
    if old and not 1 <= cursor <= number:
        yield f"{here}: version {current.version} of {agent.version}, and the rollout ({cursor}) has passed it"


def _recount(instances: Iterable[Instance]) -> Counts:
    found: dict[str, int] = {}
    for instance in instances:
        found[instance.status.value] = found.get(instance.status.value, 0) + 1
    return Counts(**found)


def job_violations(state: FabricState, job: Job, key: str) -> Iterator[str]:
    """Of one job and its task."""
    label = f"job {key}"
    if job.id != key or state.job_names.get(scoped(job.namespace, job.name)) != key:
        yield f"{label}: is not what {scoped(job.namespace, job.name)} names"
    current = state.instances.get(job.slot.current)
    strays = [state.instances.get(stray) for stray in job.strays]
    if current is None or current.workload != key:
        yield f"{label}: its current instance {job.slot.current or '(none)'} is not there"
        return
    if any(stray is None or stray.workload != key for stray in strays):
        yield f"{label}: a stray is not there"
    if not job.slot.first <= current.generation <= job.slot.generation:
        yield f"{label}: generation {current.generation} is current, of {job.slot.first} to {job.slot.generation}"
    if job.slot.permanent_failures >= PERMANENT_TRIES:
        yield f"{label}: tried again after {job.slot.permanent_failures} failures in a row with a permanent cause"
    finished = job.status is not JobStatus.ACTIVE
    if finished != (job.finished_ms > 0):
        yield f"{label}: {job.status}, finished at {job.finished_ms}"
    if finished != (current.status in ENDED):
        yield f"{label}: {job.status}, but its task is {current.status}"
    if (job.status is JobStatus.SUCCEEDED) != (current.status is InstanceStatus.SUCCEEDED):
        yield f"{label}: {job.status}, but its task {current.status}"
    if not finished and (job.cancelling or job.deleting) and current.status is not InstanceStatus.STOPPING:
        yield f"{label}: to be stopped, but its task is {current.status}"
    held = any(stray is not None and stray.status is not InstanceStatus.LOST for stray in strays)
    if finished and job.deleting and not held:
        yield f"{label}: being removed, with nothing left to wait for"


def node_violations(state: FabricState, node: Node, key: str) -> Iterator[str]:
    """Of one node and what is attached to it."""
    label = f"node {key}"
    if node.id != key or state.node_names.get(node.name) != key:
        yield f"{label}: is not what {node.name} names"
    cpu = memory = unknown = 0
    held: dict[int, str] = {}
    for identifier in sorted(node.instances):
        instance = state.instances.get(identifier)
        if instance is None or instance.node != key:
            yield f"{label}: {identifier} is attached, but not there"
            continue
        cpu += instance.cpu_milli
        memory += instance.memory_bytes
        unknown += instance.status is InstanceStatus.LOST
        for name, port in instance.ports:
            other = held.setdefault(port, identifier)
            if other != identifier or node.ports.get(port) != identifier:
                yield f"{label}: port {port} ({name}) of {identifier} is held by {node.ports.get(port, '(none)')}"
        yield from _ports_named(state, instance)
    if (cpu, memory) != (node.used_cpu_milli, node.used_memory_bytes):
        yield (
            f"{label}: sets aside {node.used_cpu_milli} mcpu and {node.used_memory_bytes} bytes, "
            f"what is attached takes {cpu} and {memory}"
        )
    for port in sorted(node.ports):
        if node.ports[port] not in (FOREIGN_PORT, held.get(port)):
            yield f"{label}: port {port} is held by {node.ports[port]}, which does not have it"
    if (node.status is NodeStatus.JOINED) != (node.session == 0):
        yield f"{label}: {node.status} in session {node.session}"
    silent = {driver.name for driver in node.facts.drivers if driver.silent}
    if node.session and set(node.silent_drivers) != silent:
        yield f"{label}: holds {sorted(node.silent_drivers)} to be silent, and says that {sorted(silent)} are"
    if max(node.silent_drivers.values(), default=0) > state.time_ms:
        yield f"{label}: a driver is silent since a time to come"
    if node.status is NodeStatus.JOINED and node.instances:
        yield f"{label}: never connected, and holds {len(node.instances)} instances"
    if node.status is NodeStatus.LIVE and unknown:
        yield f"{label}: live, and {unknown} of its instances are lost"
    present = len(node.instances) - unknown
    if node.scheduling is Scheduling.DRAINED and present:
        yield f"{label}: drained, and holds {present} instances"
    if node.scheduling is Scheduling.DRAINING and not present:
        yield f"{label}: draining, with nothing left to wait for"
    if (node.scheduling is Scheduling.DRAINING) != (key in state.draining):
        yield f"{label}: {node.scheduling}, but {'' if key in state.draining else 'not '}in the draining set"


def _ports_named(state: FabricState, instance: Instance) -> Iterator[str]:
    workload = (state.agents if instance.kind == "agent" else state.jobs).get(instance.workload)
    if workload is None or (isinstance(workload, Agent) and instance.version not in workload.versions):
        return
    spec = spec_of_instance(state, instance)
    if {name for name, _ in instance.ports} != set(spec.ports):
        yield f"instance {instance.id}: has ports {sorted(instance.ports)}, its spec wants {sorted(spec.ports)}"
