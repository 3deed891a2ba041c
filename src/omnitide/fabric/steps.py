"""What holds of every step from one state to the next: numbers that only grow, ids never made twice, ends that stay.

Together with the invariants of what the entry touched, at the cost of that and not of the whole state: the simulation
asks after each entry.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.membership import instance_id
from omnitide.fabric.invariants import agent_violations, instance_violations, job_violations, node_violations
from omnitide.fabric.keeping_up import as_taken_over, serving_violations
from omnitide.fabric.rules.conditions import company, only_node, unmet_needs, volume_holder
from omnitide.fabric.rules.failing import gave_up, is_held_up
from omnitide.fabric.rules.moving import next_version
from omnitide.fabric.rules.room import Room, promise
from omnitide.fabric.state import (
    ENDED,
    Agent,
    FabricState,
    Health,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    Node,
    NodeStatus,
    Slot,
    spec_of_instance,
)

Ids = dict[str, None]


class Touched:
    """Ids that the events of an entry name, directly or through their instances. In order of first mention."""

    __slots__ = ("agents", "instances", "jobs", "nodes")

    def __init__(self, before: FabricState, after: FabricState, entry: ev.Entry) -> None:
        self.instances: Ids = {}
        self.agents: Ids = {}
        self.jobs: Ids = {}
        self.nodes: Ids = {}
        for event in entry.events:
            self._event(event)
        for identifier in self.instances:
            for state in (before, after):
                instance = state.instances.get(identifier)
                if instance is not None:
                    (self.agents if instance.kind == "agent" else self.jobs)[instance.workload] = None
                    if instance.node:
                        self.nodes[instance.node] = None
        for agent in self.agents:
            for state in (before, after):
                self._members(state.agents.get(agent))
        for job in self.jobs:
            for state in (before, after):
                known = state.jobs.get(job)
                if known is not None:
                    self.instances.update(known.strays)
                    self.instances[known.slot.current] = None
        self.instances.pop("", None)

    def _event(self, event: ev.Event) -> None:
        """By the names of the fields, which mean the same in every event."""
        for field, ids in (
            ("node", self.nodes),
            ("agent", self.agents),
            ("job", self.jobs),
            ("instance", self.instances),
        ):
            value = getattr(event, field, "")
            if value:
                ids[value] = None
        if isinstance(event, ev.InstancesCreated):
            (self.agents if event.workload_kind == "agent" else self.jobs)[event.workload] = None
            for made in event.slots:
                self.instances[instance_id(event.workload, made.slot, made.generation)] = None
        elif isinstance(event, ev.InstancesPlaced):
            self.instances.update((placement.instance, None) for placement in event.placements)
        elif isinstance(event, ev.InstancesLost):
            self.instances.update((identifier, None) for identifier in event.instances)
        elif isinstance(event, ev.JobsRemoved):
            self.jobs.update((identifier, None) for identifier in event.jobs)

    def _members(self, agent: Agent | None) -> None:
        if agent is not None:
            self.instances.update(agent.strays)
            self.instances.update((slot.current, None) for slot in agent.slots.values())


def step_violations(before: FabricState, after: FabricState, entry: ev.Entry) -> list[str]:
    """Everything that is wrong with one step, and with what it touched; empty for a sound one."""
    found = list(_whole(before, after, entry))
    touched = Touched(before, after, entry)
    for identifier in sorted(touched.instances):
        known, instance = before.instances.get(identifier), after.instances.get(identifier)
        if instance is not None:
            found += instance_violations(after, instance, identifier)
        if known is not None and instance is not None:
            found += _instance_step(as_taken_over(before, after, entry, known), instance)
    for identifier in sorted(touched.agents):
        old, new = before.agents.get(identifier), after.agents.get(identifier)
        if new is not None:
            found += agent_violations(after, new, identifier)
        if old is not None and new is not None:
            found += _agent_step(old, new)
    for identifier in sorted(touched.jobs):
        task, now = before.jobs.get(identifier), after.jobs.get(identifier)
        if now is not None:
            found += job_violations(after, now, identifier)
        if task is not None and now is not None:
            found += _job_step(task, now)
    for identifier in sorted(touched.nodes):
        was, node = before.nodes.get(identifier), after.nodes.get(identifier)
        if node is not None:
            found += node_violations(after, node, identifier)
            found += _node_step(was, node)
    found += _made_once(before, entry)
    found += _given_up(before, entry)
    found += _taken_back(before, after, entry)
    found += _halted(before, after, entry)
    found += _made_to_fail(before, after, entry)
    found += _driven_out(before, entry)
    found += serving_violations(before, after, sorted(touched.agents), entry)
    found += _placed_right(before, after, entry)
    found += _sizes(before, after, touched)
    return found


def _whole(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    if after.revision != before.revision + 1:
        yield f"fabric: revision {after.revision} follows {before.revision}"
    if after.time_ms < before.time_ms:
        yield f"fabric: time {after.time_ms} follows {before.time_ms}"
    if after.time_ms != entry.time_ms:
        yield f"fabric: the state is of time {after.time_ms}, the entry of {entry.time_ms}"
    if before.fabric_id and after.fabric_id != before.fabric_id:
        yield f"fabric: {after.fabric_id} follows {before.fabric_id}"


def _instance_step(before: Instance, after: Instance) -> Iterator[str]:
    label = f"instance {after.id}"
    old = (before.version, before.created_ms, before.node or after.node)
    if (after.version, after.created_ms, after.node) != old:
        yield f"{label}: another version, age or node than it had"
    if after.attempt < before.attempt:
        yield f"{label}: attempt {after.attempt} follows {before.attempt}"
    back = after.attempt == before.attempt and after.phase < before.phase
    if back and before.status is not InstanceStatus.LOST:
        yield f"{label}: phase {after.phase.name} follows {before.phase.name}"
    if before.status in ENDED and before.status is not InstanceStatus.LOST and after.status is not before.status:
        yield f"{label}: had ended ({before.status}) and is {after.status}"
    if before.stop_reason and after.status in (InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING):
        yield f"{label}: was to be stopped ({before.stop_reason}) and is {after.status}"


def _agent_step(before: Agent, after: Agent) -> Iterator[str]:
    label = f"agent {after.id}"
    if after.version < before.version:
        yield f"{label}: version {after.version} follows {before.version}"
    for number in sorted(set(before.versions) & set(after.versions)):
        old_version, new_version = before.versions[number], after.versions[number]
        same = {name: getattr(old_version, name) for name in ("proven", "stumbled", "late", "progress_ms")}
        if replace(new_version, **same) != old_version:
            yield f"{label}: version {number} was changed"
        if old_version.proven and not new_version.proven:
            yield f"{label}: version {number} was known to work, and is not any more"
    if any(version.proven for version in before.versions.values()) and not any(
        version.proven for version in after.versions.values()
    ):
        yield f"{label}: no version is kept that is known to work"
    if before.deleting and not after.deleting:
        yield f"{label}: its removal was taken back"
    if after.generation_floor < before.generation_floor:
        yield f"{label}: generation floor {after.generation_floor} follows {before.generation_floor}"
    for number in sorted(set(before.slots) | set(after.slots)):
        old, new = before.slots.get(number), after.slots.get(number)
        highest = old.generation if old is not None else before.generation_floor
        now = new.generation if new is not None else after.generation_floor
        if now < highest:
            yield f"{label} slot {number}: generation {now} follows {highest}"


def _job_step(before: Job, after: Job) -> Iterator[str]:
    label = f"job {after.id}"
    if after.slot.generation < before.slot.generation:
        yield f"{label}: generation {after.slot.generation} follows {before.slot.generation}"
    if after.spec != before.spec:
        yield f"{label}: its spec was changed"
    if before.status is JobStatus.ACTIVE:
        return
    old = (before.status, before.exit, before.finished_ms, before.slot)
    if (after.status, after.exit, after.finished_ms, after.slot) != old:
        yield f"{label}: had finished ({before.status}) and has changed since ({after.status})"


def _node_step(before: Node | None, after: Node) -> Iterator[str]:
    label = f"node {after.id}"
    used_cpu, used_memory = (0, 0) if before is None else (before.used_cpu_milli, before.used_memory_bytes)
    if after.used_cpu_milli > max(used_cpu, after.facts.cpu_milli):
        yield f"{label}: {after.used_cpu_milli} mcpu set aside of {after.facts.cpu_milli}"
    if after.used_memory_bytes > max(used_memory, after.facts.memory_bytes):
        yield f"{label}: {after.used_memory_bytes} bytes set aside of {after.facts.memory_bytes}"
    if before is None:
        return
    if after.session < before.session:
        yield f"{label}: session {after.session} follows {before.session}"
    if after.session == before.session and after.outbox == before.outbox and after.sequence < before.sequence:
        yield f"{label}: sequence {after.sequence} follows {before.sequence}"
    if after.key_digest not in (before.key_digest, before.next_key_digest or before.key_digest):
        yield f"{label}: its key was changed"
    if not after.schedulable and not before.schedulable:
        for identifier in sorted(set(after.instances) - set(before.instances)):
            yield f"{label}: {identifier} was placed on it although it takes nothing"


def _made_once(before: FabricState, entry: ev.Entry) -> Iterator[str]:
    highest: dict[tuple[str, int], int] = {}
    for event in entry.events:
        if not isinstance(event, ev.InstancesCreated):
            continue
        for made in event.slots:
            key = (event.workload, made.slot)
            known = highest.get(key)
            if known is None:
                known = _highest(before, event, made.slot)
            if made.generation <= known:
                yield f"instance {event.workload}.{made.slot}.{made.generation}: made, after generation {known}"
            highest[key] = max(known, made.generation)


def _slot_of(state: FabricState, kind: str, workload: str, number: int) -> Slot | None:
    if kind == "job":
        job = state.jobs.get(workload)
        return job.slot if job is not None else None
    agent = state.agents.get(workload)
    return agent.slots.get(number) if agent is not None else None


def _given_up(before: FabricState, entry: ev.Entry) -> Iterator[str]:
    """What failed with a permanent cause on several nodes is not tried again unless someone asks, or changes it."""
    for event in entry.events:
        if not isinstance(event, ev.InstancesCreated) or event.reason == "restart":
            continue
        for made in event.slots:
            slot = _slot_of(before, event.workload_kind, event.workload, made.slot)
            current = before.instances.get(slot.current) if slot is not None else None
            if slot is None or current is None or current.version != event.version or current.kind != "agent":
                continue
            restart = before.agents[event.workload].versions[event.version].spec.restart
            if gave_up(current, slot, restart):
                yield f"instance {current.id}: had failed for good and is tried again by itself"


def _taken_back(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """One that was started anew out of sight interrupts no other that runs in its place by then."""
    for event in entry.events:
        if not isinstance(event, ev.InstanceRecovered):
            continue
        old, now = before.instances.get(event.instance), after.instances.get(event.instance)
        if old is None or now is None or now.status is not InstanceStatus.RUNNING or now.attempt == old.attempt:
            continue
        slot = _slot_of(before, old.kind, old.workload, old.slot)
        other = before.instances.get(slot.current) if slot is not None else None
        if other is None or other.id == old.id or other.status is not InstanceStatus.RUNNING:
            continue
        if other.health is not Health.UNHEALTHY and before.nodes[other.node].status is NodeStatus.LIVE:
            yield f"instance {old.id}: started anew out of sight, and interrupts {other.id}, which runs in its place"


def _halted(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """A rollout whose new version has failed for good takes nothing more of the old one."""
    for event in entry.events:
        if not isinstance(event, ev.InstanceStopRequested) or event.reason != "update":
            continue
        instance = before.instances.get(event.instance)
        old = before.agents.get(instance.workload) if instance is not None else None
        new = after.agents.get(instance.workload) if instance is not None else None
        if old is None or new is None or old.version != new.version:
            continue
        if is_held_up(before, old) and is_held_up(after, new):
            yield f"instance {event.instance}: stopped for an update that cannot go on"


def _made_to_fail(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """While a rollout is halted, nothing that the old version still did is made anew in the one that cannot run."""
    for event in entry.events:
        if not isinstance(event, ev.InstancesCreated) or event.reason == "restart":
            continue
        old, new = before.agents.get(event.workload), after.agents.get(event.workload)
        if old is None or new is None or not old.version == new.version == event.version:
            continue
        if not is_held_up(before, old) or not is_held_up(after, new):
            continue
        for made in event.slots:
            slot = old.slots.get(made.slot)
            current = before.instances.get(slot.current) if slot is not None else None
            was = current.version if current is not None else 0
            if made.slot >= old.rollout_cursor and was != event.version:
                yield f"agent {event.workload} slot {made.slot}: made in version {event.version}, which cannot run"


def _driven_out(before: FabricState, entry: ev.Entry) -> Iterator[str]:
    """A drain stops only what another node could have taken at that time."""
    for event in entry.events:
        if not isinstance(event, ev.InstanceStopRequested) or event.reason != "drain":
            continue
        instance = before.instances[event.instance]
        agent = before.agents[instance.workload]
        spec = agent.versions[next_version(before, agent, instance)].spec
        if not any(promise(Room(node), spec) for node in before.nodes.values()):
            yield f"instance {event.instance}: stopped by a drain with nowhere else to go"


def _placed_right(before: FabricState, after: FabricState, entry: ev.Entry) -> Iterator[str]:
    """Nothing is placed before what it needs is there, away from its volumes, or apart from its company."""
    for event in entry.events:
        if not isinstance(event, ev.InstancesPlaced):
            continue
        for placement in event.placements:
            instance = before.instances.get(placement.instance)
            if instance is None:
                continue
            spec = spec_of_instance(before, instance)
            label = f"instance {instance.id}: placed on {event.node}"
            for unmet in unmet_needs(before, instance.namespace, spec):
                yield f"{label}, and {unmet.text}"
            only = only_node(before, instance)
            if only not in ("", event.node):
                yield f"{label}, and bound to {only}"
            holder = volume_holder(before, instance)
            if holder is not None:
                yield f"{label}, where {holder.id} has its volumes"
            if spec.together is None:
                continue
            others = company(before, instance.namespace, spec.together)
            if (others and event.node not in others) or (
                not others and len(company(after, instance.namespace, spec.together)) > 1
            ):
                yield f"{label}, apart from its company on {', '.join(sorted(others))}"


def _highest(state: FabricState, event: ev.InstancesCreated, number: int) -> int:
    if event.workload_kind == "job":
        job = state.jobs.get(event.workload)
        return job.slot.generation if job is not None else 0
    agent = state.agents.get(event.workload)
    if agent is None:
        return 0
    slot = agent.slots.get(number)
    return slot.generation if slot is not None else agent.generation_floor


def _members(state: FabricState, touched: Touched) -> int:
    """How many instances the touched agents and jobs have."""
    agents = [state.agents[identifier] for identifier in touched.agents if identifier in state.agents]
    jobs = [state.jobs[identifier] for identifier in touched.jobs if identifier in state.jobs]
    return sum(len(agent.slots) + len(agent.strays) for agent in agents) + sum(1 + len(job.strays) for job in jobs)


def _sizes(before: FabricState, after: FabricState, touched: Touched) -> Iterator[str]:
    """Whole maps, by the difference that the touched objects make."""
    grown = len(after.instances) - len(before.instances)
    expected = _members(after, touched) - _members(before, touched)
    if grown != expected:
        yield f"fabric: {grown} more instances, {expected} more in slots and strays"
    for what, names, objects in (
        ("node", after.node_names, after.nodes),
        ("agent", after.agent_names, after.agents),
        ("job", after.job_names, after.jobs),
    ):
        if len(names) != len(objects):
            yield f"fabric: {len(objects)} {what}s have {len(names)} names"
    counted: dict[str, list[int]] = {}
    for state, sign in ((after, 1), (before, -1)):
        for identifier in touched.agents:
            if identifier in state.agents:
                counted.setdefault(state.agents[identifier].namespace, [0, 0])[0] += sign
        for identifier in touched.jobs:
            if identifier in state.jobs:
                counted.setdefault(state.jobs[identifier].namespace, [0, 0])[1] += sign
    for name in sorted(counted):
        old, new = before.namespaces.get(name), after.namespaces.get(name)
        agents = (new.agents if new else 0) - (old.agents if old else 0)
        jobs = (new.jobs if new else 0) - (old.jobs if old else 0)
        if [agents, jobs] != counted[name]:
            yield f"namespace {name}: counts {agents} more agents and {jobs} more jobs, has {counted[name]} more"
