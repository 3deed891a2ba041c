"""Operations on the fabric as a whole."""

import asyncio
import platform
from collections.abc import Iterator
from typing import Any, Final

from omnitide import __version__
from omnitide.fabric.authorize import Permission
from omnitide.fabric.state import FabricState, InstanceStatus, JobStatus, NodeStatus, Scheduling, scoped
from omnitide.model import inventory as inv
from omnitide.model.objects import InstanceCounts
from omnitide.model.quantity import format_duration
from omnitide.operations.inputs import Request
from omnitide.operations.operation import OPEN, Answer, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import node_status
from omnitide.operations.views.silence import SILENT, Hidden
from omnitide.operations.views.workloads import LONG_PENDING_MS

MAX_CONCERNS: Final = 20
_AT_ONCE: Final = 2000


class GetFabricRequest(Request, frozen=True, kw_only=True):
    pass


class GetVersionRequest(Request, frozen=True, kw_only=True):
    pass


class CheckLiveRequest(Request, frozen=True, kw_only=True):
    pass


class CheckReadyRequest(Request, frozen=True, kw_only=True):
    pass


async def _status(runtime: Runtime, _: Context, __: GetFabricRequest) -> Answer[inv.FabricStatus]:
    state = runtime.committed()
    now_ms = runtime.now_ms()
    nodes, capacity = _nodes(runtime, state)
    counts = await _instances(state)
    status = inv.FabricStatus(
        fabric_id=state.fabric_id,
        log_id=runtime.log_id(),
        revision=state.revision,
        time_ms=now_ms,
        version=__version__,
        started_ms=runtime.started_ms(),
        endpoints=runtime.endpoints(),
        nodes=nodes,
        namespaces=len(state.namespaces),
        agents=len(state.agents),
        jobs=len(state.jobs),
        jobs_active=sum(1 for job in state.jobs.values() if job.status is JobStatus.ACTIVE),
        instances=counts,
        cpu_milli=capacity[0],
        memory_bytes=capacity[1],
        reserved_cpu_milli=capacity[2],
        reserved_memory_bytes=capacity[3],
        concerns=tuple(_concerns(runtime, state, now_ms)),
    )
    return Answer(status, state.revision)


def _nodes(runtime: Runtime, state: FabricState) -> tuple[inv.NodeCounts, tuple[int, int, int, int]]:
    counts = {"joined": 0, "live": 0, "stalled": 0, "unreachable": 0, "lost": 0}
    closed = cpu = memory = reserved_cpu = reserved_memory = 0
    for node in state.nodes.values():
        counts[node_status(node, runtime.node_live(node.id))] += 1
        closed += node.scheduling is not Scheduling.OPEN
        if node.status is NodeStatus.LIVE:
            cpu += node.facts.cpu_milli
            memory += node.facts.memory_bytes
            reserved_cpu += node.used_cpu_milli
            reserved_memory += node.used_memory_bytes
    return inv.NodeCounts(**counts, closed=closed), (cpu, memory, reserved_cpu, reserved_memory)


async def _instances(state: FabricState) -> InstanceCounts:
    """From the counters of agents, which do not grow with their instances, and from the tasks of jobs."""
    statuses = [status.value for status in InstanceStatus]
    counts = dict.fromkeys(statuses, 0)
    for number, agent in enumerate(state.agents.values(), start=1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        for status in statuses:
            counts[status] += getattr(agent.counts, status)
    for number, job in enumerate(state.jobs.values(), start=1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        for identifier in (job.slot.current, *job.strays):
            instance = state.instances.get(identifier)
            if instance is not None:
                counts[instance.status.value] += 1
    hidden = Hidden(state).total()
    for status, number in hidden.items():
        counts[status] -= number
    return InstanceCounts(**counts, unknown=sum(hidden.values()))


def _concerns(runtime: Runtime, state: FabricState, now_ms: int) -> list[inv.Concern]:
    """Silent and stalled nodes, drivers that do not work, then what has waited longest for a node."""
    found = [*_node_concerns(runtime, state, now_ms), *_pending_concerns(state, now_ms)]
    return found[:MAX_CONCERNS]


def _node_concerns(runtime: Runtime, state: FabricState, now_ms: int) -> Iterator[inv.Concern]:
    for name in sorted(state.node_names):
        node = state.nodes[state.node_names[name]]
        live = runtime.node_live(node.id)
        if node.status in SILENT:
            text = f"not heard from for {format_duration(max(0, now_ms - node.since_ms))}"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=node.since_ms, hint=f"omnitide nodes {name}")
        elif live is not None and live.stalled_since_ms:
            text = "connected, but its beats are not answered"
            yield inv.Concern(subject=f"node {name}", text=text, since_ms=live.stalled_since_ms)
        for driver in node.facts.drivers:
            if not driver.healthy:
                text = f"the driver {driver.name} does not work: {driver.detail or 'no detail given'}"
                yield inv.Concern(subject=f"node {name}", text=text)


def _pending_concerns(state: FabricState, now_ms: int) -> Iterator[inv.Concern]:
    waiting: dict[str, tuple[int, int]] = {}
    for identifier in state.pending:
        instance = state.instances[identifier]
        if now_ms - instance.since_ms > LONG_PENDING_MS:
            number, since = waiting.get(instance.workload, (0, instance.since_ms))
            waiting[instance.workload] = (number + 1, min(since, instance.since_ms))
    for since, workload, number in sorted((since, workload, number) for workload, (number, since) in waiting.items()):
        agent = state.agents.get(workload)
        owner = agent or state.jobs[workload]
        kind = "agent" if agent is not None else "job"
        yield inv.Concern(
            subject=f"{kind} {scoped(owner.namespace, owner.name)}",
            text=f"{number} pending for {format_duration(max(0, now_ms - since))}",
            hint=f"omnitide explain {owner.name}",
            since_ms=since,
        )


async def _version(runtime: Runtime, _: Context, __: GetVersionRequest) -> Answer[inv.VersionInfo]:
    state = runtime.committed()
    version = inv.VersionInfo(
        version=__version__, api="v1", feature_level=state.feature_level, python=platform.python_version()
    )
    return Answer(version, state.revision)


async def _live(runtime: Runtime, _: Context, __: CheckLiveRequest) -> Answer[inv.Health]:
    return Answer(inv.Health(ok=True), runtime.committed().revision)


async def _ready(runtime: Runtime, _: Context, __: CheckReadyRequest) -> Answer[inv.Health]:
    checks = tuple(inv.HealthCheck(name=check.name, ok=check.ok, detail=check.detail) for check in runtime.readiness())
    health = inv.Health(ok=all(check.ok for check in checks), checks=checks)
    return Answer(health, runtime.committed().revision, unavailable=not health.ok)


_READ: Final = Permission("read", "fabric")

OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="fabric.status",
        rpc="GetFabric",
        summary="Show the whole fabric at a glance.",
        method="GET",
        path="/v1/fabric",
        input=GetFabricRequest,
        output=inv.FabricStatus,
        permission=_READ,
        handler=_status,
    ),
    Operation(
        name="fabric.version",
        rpc="GetVersion",
        summary="Show which software answers.",
        method="GET",
        path="/v1/version",
        input=GetVersionRequest,
        output=inv.VersionInfo,
        permission=_READ,
        handler=_version,
    ),
    Operation(
        name="health.live",
        summary="Whether the process answers at all.",
        method="GET",
        path="/health/live",
        input=CheckLiveRequest,
        output=inv.Health,
        permission=OPEN,
        handler=_live,
    ),
    Operation(
        name="health.ready",
        summary="Whether it can do its work, with each thing that it depends on; 503 if not.",
        method="GET",
        path="/health/ready",
        input=CheckReadyRequest,
        output=inv.Health,
        permission=_READ,
        handler=_ready,
    ),
)
