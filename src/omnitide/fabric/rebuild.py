"""From the records of a snapshot back to a state. Maps are built in one go, so that a start costs no path copies."""

from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric.folds.availability import runs_on
from omnitide.fabric.folds.companies import words_of
from omnitide.fabric.folds.membership import instance_id
from omnitide.fabric.folds.nodes import FOREIGN_PORT
from omnitide.fabric.records import (
    FORMAT,
    AgentRecord,
    AnswersRecord,
    EndRecord,
    HeaderRecord,
    HomesRecord,
    InstanceItem,
    InstancesRecord,
    JobRecord,
    NamespaceRecord,
    NodeRecord,
    ProvisionRecord,
    Record,
    SlotItem,
    SlotsRecord,
    TokenRecord,
    VersionRecord,
)
from omnitide.fabric.state import (
    Agent,
    FabricState,
    Health,
    Idempotency,
    Instance,
    InstanceStatus,
    Job,
    JobStatus,
    Namespace,
    Node,
    Provision,
    Remembered,
    Scheduling,
    Slot,
    Token,
    Version,
    WorkloadKind,
    provision_key,
    scoped,
)
from omnitide.model.names import instance_name


class SnapshotDamaged(Exception):
    """The chunks are not a whole snapshot that this release can read. `chunk`: which one, from 0; -1: the end."""

    def __init__(self, message: str, *, chunk: int = -1) -> None:
        super().__init__(f"damaged snapshot: {message}")
        self.chunk = chunk


class _Workload:
    """The agent or job whose records are being read."""

    def __init__(self, record: AgentRecord | JobRecord) -> None:
        self.record = record
        self.kind: WorkloadKind = "agent" if isinstance(record, AgentRecord) else "job"
        self.versions: dict[int, Version] = {}
        self.waiting: dict[int, SlotItem] = {}
        """Slots whose current instance has not come yet."""
        self.slots: dict[int, Slot] = {}
        self.strays: dict[str, None] = {}
        self.homes: dict[int, str] = {}
        self.superseded: dict[str, None] = {}
        self.watched: dict[str, None] = {}
        self.failed: dict[str, None] = {}


class Builder:
    """Takes records in the order of `dump`; `finish` gives the state."""

    def __init__(self) -> None:
        self._chunk = -1
        self._header: HeaderRecord | None = None
        self._end: EndRecord | None = None
        self._records = 0
        self._open: _Workload | None = None
        self._namespaces: dict[str, Namespace] = {}
        self._tokens: dict[str, Token] = {}
        self._provisions: dict[str, Provision] = {}
        self._nodes: dict[str, NodeRecord] = {}
        self._agents: dict[str, Agent] = {}
        self._jobs: dict[str, Job] = {}
        self._instances: dict[str, Instance] = {}
        self._pending: dict[str, None] = {}
        self._attached: dict[str, dict[str, None]] = {}
        self._ports: dict[str, dict[int, str]] = {}
        self._recent: dict[str, Remembered] = {}
        self._older: dict[str, Remembered] = {}

    def _damaged(self, message: str) -> NoReturn:
        raise SnapshotDamaged(message, chunk=self._chunk)

    def add(self, chunk: int, records: Sequence[Record]) -> None:
        """The records of one chunk. Raises SnapshotDamaged."""
        self._chunk = chunk
        for record in records:
            if self._end is not None:
                self._damaged("something follows the end")
            if isinstance(record, HeaderRecord):
                self._head(record)
            elif self._header is None:
                self._damaged("it does not begin with its header")
            elif isinstance(record, EndRecord):
                if record.records != self._records:
                    self._damaged(f"{self._records} records of {record.records}")
                self._end = record
            else:
                self._take(record)
            self._records += 1

    def _head(self, record: HeaderRecord) -> None:
        if self._header is not None:
            self._damaged("a second header")
        if record.format != FORMAT:
            self._damaged(f"it has format {record.format}, this release reads {FORMAT}")
        self._header = record

    def _take(self, record: Record) -> None:
        match record:
            case InstancesRecord():
                self._instances_of(record)
            case SlotsRecord():
                workload = self._of(record.agent, "agent")
                workload.waiting.update((item.number, item) for item in record.slots)
            case HomesRecord():
                self._of(record.agent, "agent").homes.update(record.homes)
            case VersionRecord():
                self._version(record)
            case AgentRecord() | JobRecord():
                self._close()
                self._open = _Workload(record)
                if isinstance(record, JobRecord):
                    self._open.waiting[1] = record.slot
            case NamespaceRecord():
                self._namespaces[record.namespace.name] = record.namespace
            case TokenRecord():
                self._tokens[record.token.id] = record.token
            case ProvisionRecord():
                self._provisions[record.provision.id] = record.provision
            case NodeRecord():
                self._nodes[record.id] = record
                self._attached[record.id] = {}
                self._ports[record.id] = dict.fromkeys(record.foreign_ports, FOREIGN_PORT)
            case AnswersRecord():
                turn = self._recent if record.turn == "recent" else self._older
                turn.update((item.key, item.answer) for item in record.answers)
            case HeaderRecord() | EndRecord():
                raise AssertionError("taken by the caller")

    def _of(self, workload: str, *kinds: str) -> _Workload:
        if self._open is None or self._open.record.id != workload or self._open.kind not in kinds:
            self._damaged(f"a part of {workload} is not behind it")
        return self._open

    def _version(self, record: VersionRecord) -> None:
        versions = self._of(record.agent, "agent").versions
        version, before = record.version, versions.get(record.version.number - 1)
        if before is not None and before.spec == version.spec:
            # As after a restart, which is a version with the spec of the one before.
            version = replace(version, spec=before.spec)
        versions[version.number] = version

    def _instances_of(self, record: InstancesRecord) -> None:
        workload = self._of(record.workload, "agent", "job")
        for item in record.instances:
            instance = self._instance(workload, item)
            if instance.id in self._instances:
                self._damaged(f"{instance.id} is there twice")
            self._instances[instance.id] = instance
            if item.status is InstanceStatus.PENDING:
                self._pending[instance.id] = None
            if item.attached:
                self._attach(instance)
            if item.superseded and runs_on(instance):
                workload.superseded[instance.id] = None
            if item.watched:
                workload.watched[instance.id] = None
            if instance.status is InstanceStatus.FAILED:
                workload.failed[instance.id] = None
            slot = workload.waiting.get(item.slot)
            if slot is not None and (slot.current or slot.generation) == item.generation:
                del workload.waiting[item.slot]
                workload.slots[item.slot] = Slot(
                    generation=slot.generation,
                    first=slot.first,
                    current=instance.id,
                    failures=slot.failures,
                    permanent_failures=slot.permanent_failures,
                    last_exit=slot.last_exit,
                    last_node=slot.last_node,
                    spent=slot.spent,
                )
            else:
                workload.strays[instance.id] = None

    def _instance(self, workload: _Workload, item: InstanceItem) -> Instance:
        record = workload.record
        node = self._nodes.get(item.node)
        # By position, which takes a third of the time; a test looks at each field.
        return Instance(
            instance_id(record.id, item.slot, item.generation),
            record.namespace,
            workload.kind,
            record.id,
            instance_name(record.name, item.slot, item.generation),
            item.version,
            item.slot,
            item.generation,
            item.status,
            item.created_ms,
            item.since_ms,
            item.revision,
            # One text for all instances of a node.
            item.node if node is None else node.id,
            item.cpu_milli,
            item.memory_bytes,
            item.ports,
            item.attempt,
            item.phase,
            item.health,
            item.started_ms,
            item.next_attempt_ms,
            item.not_before_ms,
            item.avoid,
            item.exit,
            item.stop_reason,
            item.handle,
            item.unenforced,
            item.correlation,
            item.avoid_also,
            item.health_message,
            item.ready_ms or (item.started_ms if item.health is Health.HEALTHY else 0),
            item.superseded,
            item.pinned,
            item.asked_ends,
            item.ends_before,
            item.kept_ms,
            item.unready_ms,
        )

    def _attach(self, instance: Instance) -> None:
        attached = self._attached.get(instance.node)
        if attached is None:
            self._damaged(f"{instance.id} is attached to node {instance.node}, which is not there")
        attached[instance.id] = None
        for _, port in instance.ports:
            self._ports[instance.node][port] = instance.id

    def _close(self) -> None:
        """The records of a workload are complete."""
        workload, self._open = self._open, None
        if workload is None:
            return
        record = workload.record
        if isinstance(record, AgentRecord):
            if workload.waiting or record.version not in workload.versions:
                self._damaged(f"agent {record.id} is not whole")
            self._agents[record.id] = _agent(record, workload)
        else:
            if 1 in workload.waiting and record.slot.generation:
                self._damaged(f"job {record.id} is not whole")
            self._jobs[record.id] = _job(record, workload)

    def finish(self) -> FabricState:
        """The state. Raises SnapshotDamaged if the end is missing, or numbers do not agree."""
        self._chunk = -1
        header, end = self._header, self._end
        if header is None or end is None:
            self._damaged("its end is missing" if header is not None else "it is empty")
        self._close()
        for what, objects, expected in (
            ("namespaces", self._namespaces, header.namespaces),
            ("tokens", self._tokens, header.tokens),
            ("secrets and configs", self._provisions, header.provisions),
            ("nodes", self._nodes, header.nodes),
            ("agents", self._agents, header.agents),
            ("jobs", self._jobs, header.jobs),
            ("instances", self._instances, header.instances),
            ("instances", self._instances, end.instances),
        ):
            if len(objects) != expected:
                self._damaged(f"{len(objects)} {what} of {expected}")
        agents, jobs = self._agents.values(), self._jobs.values()
        nodes = {
            identifier: _node(record, self._attached[identifier], self._ports[identifier])
            for identifier, record in self._nodes.items()
        }
        return FabricState(
            fabric_id=header.fabric_id,
            revision=header.revision,
            time_ms=header.time_ms,
            namespaces=Map(self._namespaces),
            nodes=Map(nodes),
            node_names=Map({node.name: node.id for node in nodes.values()}),
            tokens=Map(self._tokens),
            agents=Map(self._agents),
            agent_names=Map({scoped(agent.namespace, agent.name): agent.id for agent in agents}),
            jobs=Map(self._jobs),
            job_names=Map({scoped(job.namespace, job.name): job.id for job in jobs}),
            instances=Map(self._instances),
            pending=Map(self._pending),
            draining=Map({node.id: None for node in nodes.values() if node.scheduling is Scheduling.DRAINING}),
            idempotency=Idempotency(recent=Map(self._recent), older=Map(self._older), turned_ms=header.turned_ms),
            feature_level=header.feature_level,
            companies=Map({key: Map(dict.fromkeys(members)) for key, members in _companies(agents, jobs).items()}),
            rolling=Map({agent.id: None for agent in agents if agent.rollout_cursor or agent.superseded}),
            provisions=Map(self._provisions),
            provision_names=Map(
                {provision_key(one.kind, one.namespace, one.name): one.id for one in self._provisions.values()}
            ),
        )


_NO_SLOT: Final = Slot()


def _companies(agents: Iterable[Agent], jobs: Iterable[Job]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for agent in agents:
        for key in words_of(agent):
            found.setdefault(key, []).append(agent.id)
    for job in jobs:
        if job.spec.together is not None and job.status is JobStatus.ACTIVE:
            found.setdefault(scoped(job.namespace, job.spec.together), []).append(job.id)
    return found


def _node(record: NodeRecord, attached: dict[str, None], ports: dict[int, str]) -> Node:
    return Node(
        id=record.id,
        name=record.name,
        key_digest=record.key_digest,
        facts=record.facts,
        instances=Map(attached),
        ports=Map(ports),
        joined_ms=record.joined_ms,
        since_ms=record.since_ms,
        revision=record.revision,
        status=record.status,
        scheduling=record.scheduling,
        session=record.session,
        outbox=record.outbox,
        sequence=record.sequence,
        used_cpu_milli=record.used_cpu_milli,
        used_memory_bytes=record.used_memory_bytes,
        join_labels=record.join_labels,
        next_key_digest=record.next_key_digest,
        departing=record.departing,
        back_within_ms=record.back_within_ms,
        silent_drivers=record.silent_drivers,
        stopped_ms=record.stopped_ms,
        draining_since_ms=record.draining_since_ms,
    )


def _agent(record: AgentRecord, parts: _Workload) -> Agent:
    return Agent(
        id=record.id,
        namespace=record.namespace,
        name=record.name,
        version=record.version,
        replicas=record.replicas,
        versions=Map(parts.versions),
        slots=Map(parts.slots),
        counts=record.counts,
        created_ms=record.created_ms,
        revision=record.revision,
        replicas_owner=record.replicas_owner,
        active=record.active,
        deleting=record.deleting,
        rollout_cursor=record.rollout_cursor,
        strays=Map(parts.strays),
        generation_floor=record.generation_floor,
        paused=record.paused,
        superseded=Map(parts.superseded),
        watched=Map(parts.watched),
        failed=Map(parts.failed),
        homes=Map(parts.homes),
    )


def _job(record: JobRecord, parts: _Workload) -> Job:
    return Job(
        id=record.id,
        namespace=record.namespace,
        name=record.name,
        spec=record.spec,
        slot=parts.slots.get(1, _NO_SLOT),
        created_ms=record.created_ms,
        revision=record.revision,
        status=record.status,
        cancelling=record.cancelling,
        deleting=record.deleting,
        finished_ms=record.finished_ms,
        exit=record.exit,
        strays=Map(parts.strays),
    )
