"""Operations on the fabric as a whole."""

import asyncio
import platform
from typing import Annotated, Any, Final, NamedTuple

from msgspec import Meta

from omnitide import __version__
from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission, authorize
from omnitide.fabric.state import FabricState, InstanceStatus, JobStatus, NodeStatus, Scheduling
from omnitide.model import inventory as inv
from omnitide.model.objects import InstanceCounts
from omnitide.operations.changing import change
from omnitide.operations.concerns import concerns
from omnitide.operations.inputs import Request
from omnitide.operations.operation import NOBODY, OPEN, Answer, Context, Operation
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.failing import EXAMINED_SLOTS, failing_of, is_part
from omnitide.operations.views.inventory import COUNTED, counted_as
from omnitide.operations.views.silence import SILENT, Hidden, is_away, why_unknown

_AT_ONCE: Final = 2000


class GetFabricRequest(Request, frozen=True, kw_only=True):
    pass


class GetVersionRequest(Request, frozen=True, kw_only=True):
    pass


class RaiseFeatureLevelRequest(Request, frozen=True, kw_only=True):
    level: Annotated[int, Meta(ge=1, le=1_000_000, description="Of the log: which events may be in it.")]


class CheckLiveRequest(Request, frozen=True, kw_only=True):
    pass


class CheckReadyRequest(Request, frozen=True, kw_only=True):
    pass


async def _status(runtime: Runtime, _: Context, __: GetFabricRequest) -> Answer[inv.FabricStatus]:
    state = runtime.committed()
    now_ms = runtime.now_ms()
    nodes, capacity = _nodes(runtime, state)
    counts = await _instances(state)
    failing, part = await _failing(state, now_ms)
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
        jobs_failed=sum(1 for job in state.jobs.values() if job.status is JobStatus.FAILED),
        instances=counts,
        failing=failing,
        failing_at_least=part,
        away=await _away(state),
        concerns=await concerns(runtime, state, now_ms),
        demo=runtime.limits().demo,
        **capacity._asdict(),
    )
    return Answer(status, state.revision)


class _Capacity(NamedTuple):
    """Of nodes that are live and not stopped, or of one."""

    cpu_milli: int = 0
    memory_bytes: int = 0
    reserved_cpu_milli: int = 0
    reserved_memory_bytes: int = 0
    closed_cpu_milli: int = 0
    closed_memory_bytes: int = 0


def _nodes(runtime: Runtime, state: FabricState) -> tuple[inv.NodeCounts, _Capacity]:
    counts = dict.fromkeys(COUNTED, 0)
    closed = 0
    each = [_Capacity()]
    for node in state.nodes.values():
        counts[counted_as(node, runtime.node_live(node.id))] += 1
        takes_new = node.scheduling is Scheduling.OPEN
        closed += not takes_new
        if node.status is NodeStatus.LIVE and not node.stopped_ms:
            has = (node.facts.cpu_milli, node.facts.memory_bytes)
            each.append(_Capacity(*has, node.used_cpu_milli, node.used_memory_bytes, *((0, 0) if takes_new else has)))
    return inv.NodeCounts(**counts, closed=closed), _Capacity(*map(sum, zip(*each, strict=True)))


async def _instances(state: FabricState) -> InstanceCounts:
    """From the counters of agents, which do not grow with their instances, and from the tasks of jobs that are active:
    what old ones came to is no state of the fabric."""
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
        if job.status is not JobStatus.ACTIVE:
            continue
        for identifier in (job.slot.current, *job.strays):
            instance = state.instances.get(identifier)
            if instance is not None:
                counts[instance.status.value] += 1
    hidden = Hidden(state).total()
    for status, number in hidden.items():
        counts[status] -= number
    return InstanceCounts(**counts, unknown=sum(hidden.values()))


async def _failing(state: FabricState, now_ms: int) -> tuple[InstanceCounts, bool]:
    """Of those that something is known of, by what they do at this moment; and whether there may be more."""
    part = False
    counts = dict.fromkeys((status.value for status in InstanceStatus), 0)
    seen = 0
    for agent in state.agents.values():
        seen += 1 + min(len(agent.slots), EXAMINED_SLOTS)
        if seen >= _AT_ONCE:
            seen = 0
            await asyncio.sleep(0)
        for instance in failing_of(state, agent, now_ms):
            if not why_unknown(state, instance):
                part |= is_part(agent)
                counts[instance.status.value] += 1
    return InstanceCounts(**counts), part


async def _away(state: FabricState) -> InstanceCounts:
    counts = dict.fromkeys((status.value for status in InstanceStatus), 0)
    seen = 0
    for node in state.nodes.values():
        if not node.departing or node.status in SILENT:
            continue
        seen += 1 + len(node.instances)
        if seen >= _AT_ONCE:
            seen = 0
            await asyncio.sleep(0)
        for identifier in node.instances:
            instance = state.instances[identifier]
            counts[instance.status.value] += is_away(state, instance)
    return InstanceCounts(**counts)


async def _version(runtime: Runtime, _: Context, __: GetVersionRequest) -> Answer[inv.VersionInfo]:
    state = runtime.committed()
    version = inv.VersionInfo(
        version=__version__, api="v1", feature_level=state.feature_level, python=platform.python_version()
    )
    return Answer(version, state.revision)


async def _raise(
    runtime: Runtime, context: Context, asked: RaiseFeatureLevelRequest
) -> Answer[inv.FeatureLevelChanged]:
    made = await change(runtime, context, cm.RaiseFeatureLevel(level=asked.level))
    changed = inv.FeatureLevelChanged(
        feature_level=made.state.feature_level,
        change="raised" if made.changed else "unchanged",
        revision=made.revision,
        dry_run=made.dry_run,
        replayed=made.replayed,
    )
    return Answer(changed, made.revision, replayed=made.replayed)


async def _live(runtime: Runtime, _: Context, __: CheckLiveRequest) -> Answer[inv.Health]:
    return Answer(inv.Health(ok=True), runtime.committed().revision)


async def _ready(runtime: Runtime, context: Context, _: CheckReadyRequest) -> Answer[inv.Health]:
    """The verdict for load balancers and supervisors, which have no token; what lies behind it for who may read it."""
    found = runtime.readiness()
    state = runtime.committed()
    told = context.principal != NOBODY and not authorize(state, context.principal, _READ, runtime.now_ms())
    checks = tuple(inv.HealthCheck(name=check.name, ok=check.ok, detail=check.detail) for check in found if told)
    health = inv.Health(ok=all(check.ok for check in found), checks=checks)
    return Answer(health, state.revision, unavailable=not health.ok)


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
        name="fabric.raise",
        rpc="RaiseFeatureLevel",
        summary="Allow the events of a newer release in the log.",
        description=(
            "A release that adds to the events of the log goes on writing what there was before until this is done. "
            "For who knows that every replica of the control plane runs a release that knows the level: there is no "
            "way back, and an older release does not open the log any more. `fabric.version` shows the level."
        ),
        method="POST",
        path="/v1/fabric/feature-level",
        input=RaiseFeatureLevelRequest,
        output=inv.FeatureLevelChanged,
        permission=PERMISSIONS[cm.RaiseFeatureLevel],
        failures=("conflict", "impossible"),
        handler=_raise,
        writes=True,
        dry_run=True,
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
        summary="Whether it can do its work; 503 if not.",
        description=(
            "Anybody is told whether. Whoever shows a token, which must then be a valid one, is also told of each "
            "thing that it depends on."
        ),
        method="GET",
        path="/health/ready",
        input=CheckReadyRequest,
        output=inv.Health,
        permission=OPEN,
        more_with_token=True,
        handler=_ready,
    ),
)
