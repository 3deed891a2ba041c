"""Operations on instances."""

import heapq
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Final, Literal

from msgspec import Meta
from msgspec.structs import replace

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.state import ENDED, FabricState, Instance, InstanceStatus, JobStatus, find_node, scoped
from omnitide.model import objects as ob
from omnitide.model.explanations import InstanceExplanation
from omnitide.model.faults import Fault
from omnitide.model.happenings import LogChunk
from omnitide.model.quantity import DurationMs
from omnitide.operations.changing import change
from omnitide.operations.closing import closing
from omnitide.operations.explaining import explain_instance
from omnitide.operations.failures import failed, invalid
from omnitide.operations.forgotten import IDENTIFIER, forgotten_output
from omnitide.operations.inputs import NamespaceFilter, NodeRows, PageRequest, Request
from omnitide.operations.operation import Answer, AnyDeclaration, Context, Operation, Stream
from omnitide.operations.ordering import in_order, workloads_from
from omnitide.operations.output import OutputText
from omnitide.operations.paging import Key, page_of
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.instances import show_instance
from omnitide.operations.views.silence import silent_since

InstanceId = Annotated[str, Meta(min_length=1, max_length=80, description="Id of the instance.")]
Filter = Annotated[str, Meta(max_length=80)]


class ListInstancesRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""
    agent: Annotated[Filter, Meta(description="Only of the agent of this name.")] = ""
    job: Annotated[Filter, Meta(description="Only of the job of this name.")] = ""
    node: Annotated[Filter, Meta(description="Only on this node (name or id).")] = ""
    name: Annotated[Filter, Meta(description="Only of this name, such as hello-2.1.")] = ""
    status: Annotated[
        Literal["", ob.InstanceStatus],
        Meta(description="Only of this status."),
    ] = ""
    all: Annotated[bool, Meta(description="Finished ones too: what stopped or succeeded, and ended jobs.")] = False


class GetInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId


class RestartInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId


class MigrateInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    node: Annotated[Filter, Meta(description="Name or id; empty: any other that can take it.")] = ""
    leave_volumes: Annotated[bool, Meta(description="Even if it leaves volumes behind that are to stay with it.")] = (
        False
    )


class ExplainInstanceRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    nodes: NodeRows = 0


class ReadLogsRequest(Request, frozen=True, kw_only=True):
    instance: InstanceId
    follow: Annotated[bool, Meta(description="Go on with what it writes from now on.")] = False
    tail: Annotated[
        Annotated[int, Meta(ge=0, le=1_000_000)] | None, Meta(description="Only the last so many lines.")
    ] = None
    since: Annotated[DurationMs, Meta(description="Only what is not older than this; 0: everything.")] = 0
    after: Annotated[
        str,
        Meta(max_length=80, description="Go on behind a chunk, by its `position`: every byte exactly once."),
    ] = ""


InstanceKey = tuple[str, int, int, str]
"""`namespace/workload`, slot, generation, id."""


def _key(state: FabricState, instance: Instance) -> InstanceKey:
    workloads = state.agents if instance.kind == "agent" else state.jobs
    workload = workloads[instance.workload]
    return scoped(workload.namespace, workload.name), instance.slot, instance.generation, instance.id


async def _list(runtime: Runtime, _: Context, asked: ListInstancesRequest) -> Answer[ob.InstanceList]:
    def walk(state: FabricState, after: Key | None) -> Iterator[Instance | None]:
        place = None if after is None else (str(after[0]), int(after[1]), int(after[2]), str(after[3]))
        if asked.node:
            candidates = _on_node(state, asked.node, place)
        else:
            candidates = _of_workloads(state, asked, place)
        return (one if one is not None and _matches(state, one, asked) else None for one in candidates)

    filters = (asked.namespace, asked.agent, asked.job, asked.node, asked.name, asked.status, asked.all)
    page = await page_of(
        runtime,
        list_name=f"instances {filters}",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(str, int, int, str),
        walk=walk,
        key=_key,
    )
    state = page.state
    now_ms = runtime.now_ms()
    items = tuple(show_instance(state, instance, now_ms) for instance in page.items)
    return Answer(ob.InstanceList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


def _on_node(state: FabricState, reference: str, after: InstanceKey | None) -> Iterator[Instance]:
    node = find_node(state, reference)
    if node is None:
        return
    found = [state.instances[identifier] for identifier in node.instances]
    for instance in sorted(found, key=lambda one: _key(state, one)):
        if after is None or _key(state, instance) > after:
            yield instance


def _of_workloads(
    state: FabricState, asked: ListInstancesRequest, after: InstanceKey | None
) -> Iterator[Instance | None]:
    for key in _workload_names(state, asked, after[0] if after is not None else ""):
        agent = state.agents.get(state.agent_names.get(key, ""))
        job = state.jobs.get(state.job_names.get(key, ""))
        if agent is not None and not asked.job:
            yield from _of_agent(state, agent.id, after if after is not None and after[0] == key else None)
        elif job is not None and not asked.agent:
            known = (state.instances.get(identifier) for identifier in {job.slot.current, *job.strays})
            for instance in sorted((one for one in known if one is not None), key=_order):
                if after is None or _key(state, instance) > after:
                    yield instance
        yield None


def _workload_names(state: FabricState, asked: ListInstancesRequest, start: str) -> Iterator[str]:
    """`namespace/name` of the workloads that can have what is asked for, in order, from a name on."""
    wanted = asked.agent or asked.job or asked.name.rpartition("-")[0]
    if not wanted:
        return workloads_from(state, start, f"{asked.namespace}/" if asked.namespace else "")
    namespaces = [asked.namespace] if asked.namespace else in_order(state.namespaces)
    keys = sorted(scoped(namespace, wanted) for namespace in namespaces)
    return (key for key in keys if key >= start)


def _of_agent(state: FabricState, identifier: str, after: InstanceKey | None) -> Iterator[Instance]:
    """In order, beginning at a place: of an agent of 100,000 replicas a page costs one look at its slots."""
    agent = state.agents[identifier]
    start = (after[1], after[2], after[3]) if after is not None else (0, 0, "")
    numbers = [number for number in agent.slots if number >= start[0]]
    numbers.sort()
    current = (state.instances.get(agent.slots[number].current) for number in numbers)
    strays = sorted((state.instances[stray] for stray in agent.strays), key=_order)
    for instance in heapq.merge((one for one in current if one is not None), strays, key=_order):
        if _order(instance) > start:
            yield instance


def _order(instance: Instance) -> tuple[int, int, str]:
    return instance.slot, instance.generation, instance.id


def _matches(state: FabricState, instance: Instance, asked: ListInstancesRequest) -> bool:
    if asked.namespace not in ("", instance.namespace) or asked.name not in ("", instance.name):
        return False
    if asked.node and ((asked.agent and instance.kind != "agent") or (asked.job and instance.kind != "job")):
        return False
    if asked.node and (asked.agent or asked.job):
        key = _key(state, instance)[0]
        if key.partition("/")[2] != (asked.agent or asked.job):
            return False
    if asked.status:
        return asked.status == ("unknown" if silent_since(state, instance) else instance.status.value)
    return asked.all or _of_interest(state, instance)


def _of_interest(state: FabricState, instance: Instance) -> bool:
    """Whether a list that was not asked for everything shows it: what runs or should, and what failed at it."""
    if instance.status in (InstanceStatus.STOPPED, InstanceStatus.SUCCEEDED):
        return False
    return instance.kind == "agent" or state.jobs[instance.workload].status is JobStatus.ACTIVE


def _require(state: FabricState, identifier: str) -> Instance:
    instance = state.instances.get(identifier)
    if instance is None:
        raise failed(
            "not-found",
            f"there is no instance {identifier!r}",
            hint="omnitide ps; an instance is forgotten when its replacement has taken its place",
            subject=f"instance {identifier}",
        )
    return instance


async def _get(runtime: Runtime, _: Context, asked: GetInstanceRequest) -> Answer[ob.Instance]:
    state = runtime.committed()
    instance = _require(state, asked.instance)
    trouble = runtime.metrics().endpoint_trouble(instance.id, instance.node)
    shown = show_instance(state, instance, runtime.now_ms())
    shown = replace(shown, dropped_series=trouble.left_out, metrics_fault=trouble.fault)
    return Answer(shown, state.revision, etag=instance.revision)


async def _restart(runtime: Runtime, context: Context, asked: RestartInstanceRequest) -> Answer[ob.InstanceChanged]:
    namespace = _require(runtime.committed(), asked.instance).namespace
    made = await change(runtime, context, cm.RestartInstance(instance=asked.instance), namespace=namespace)
    instance = made.state.instances.get(asked.instance)
    return Answer(
        ob.InstanceChanged(
            instance=show_instance(made.state, instance) if instance is not None else None,
            change="restarted" if made.changed else "unchanged",
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        replayed=made.replayed,
    )


async def _migrate(runtime: Runtime, context: Context, asked: MigrateInstanceRequest) -> Answer[ob.InstanceMigrated]:
    namespace = _require(runtime.committed(), asked.instance).namespace
    command = cm.MigrateInstance(instance=asked.instance, node=asked.node, leave_volumes=asked.leave_volumes)
    made = await change(runtime, context, command, namespace=namespace)
    old = made.state.instances.get(asked.instance)
    new = made.state.instances.get(str(made.result.get("following", "")))
    node = made.state.nodes.get(str(made.result.get("node", "")))
    return Answer(
        ob.InstanceMigrated(
            instance=show_instance(made.state, old) if old is not None else None,
            following=show_instance(made.state, new) if new is not None else None,
            node=node.name if node is not None else "",
            change="migrating" if made.changed else "unchanged",
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        replayed=made.replayed,
    )


async def _explain(runtime: Runtime, _: Context, asked: ExplainInstanceRequest) -> Answer[InstanceExplanation]:
    state = runtime.committed()
    instance = _require(state, asked.instance)
    return Answer(await explain_instance(runtime, state, instance, asked.nodes), state.revision)


async def _logs(runtime: Runtime, _: Context, asked: ReadLogsRequest) -> AsyncIterator[LogChunk]:
    known = asked.instance in runtime.committed().instances
    if not known and not IDENTIFIER.fullmatch(asked.instance):
        _require(runtime.committed(), asked.instance)
    if asked.after and (asked.tail is not None or asked.since):
        raise invalid([Fault(("after",), "says where to begin, and so do `tail` and `since`", "leave those out")])
    try:
        text = OutputText(asked.after)
    except ValueError as error:
        raise invalid([Fault(("after",), str(error), "take it from a chunk as it is")]) from None
    since_ms = runtime.now_ms() - asked.since if asked.since else 0
    read = runtime.logs if known else partial(forgotten_output, runtime)
    source = read(
        asked.instance, follow=asked.follow, tail_lines=asked.tail, since_ms=since_ms, after=text.node_position
    )
    async with closing(source) as pieces:
        async for piece in pieces:
            for chunk in text.take(piece):
                yield chunk
    instance = runtime.committed().instances.get(asked.instance)
    if asked.follow or instance is None or instance.status in ENDED:
        for chunk in text.end():
            yield chunk


_READ: Final = Permission("read", "instance", namespaced=True)

OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation(
        name="instances.list",
        rpc="ListInstances",
        summary="List instances, in order of workload, slot and generation.",
        description="Unless `all` or `status` says otherwise: what runs or should run, and what failed at it.",
        method="GET",
        path="/v1/instances",
        input=ListInstancesRequest,
        output=ob.InstanceList,
        permission=_READ,
        handler=_list,
    ),
    Operation(
        name="instances.get",
        rpc="GetInstance",
        summary="Show an instance.",
        method="GET",
        path="/v1/instances/{instance}",
        input=GetInstanceRequest,
        output=ob.Instance,
        permission=_READ,
        failures=("not-found",),
        handler=_get,
    ),
    Operation(
        name="instances.restart",
        rpc="RestartInstance",
        summary="Replace one replica of an agent by its next generation.",
        method="POST",
        path="/v1/instances/{instance}/restart",
        input=RestartInstanceRequest,
        output=ob.InstanceChanged,
        permission=PERMISSIONS[cm.RestartInstance],
        failures=("not-found", "conflict"),
        handler=_restart,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Operation(
        name="instances.migrate",
        rpc="MigrateInstance",
        summary="Start the next generation of a replica on another node, and stop it once that is available.",
        method="POST",
        path="/v1/instances/{instance}/migrate",
        input=MigrateInstanceRequest,
        output=ob.InstanceMigrated,
        permission=PERMISSIONS[cm.MigrateInstance],
        failures=("not-found", "conflict", "impossible"),
        handler=_migrate,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Operation(
        name="instances.explain",
        rpc="ExplainInstance",
        summary="Say why an instance is as it is.",
        method="GET",
        path="/v1/instances/{instance}/explain",
        input=ExplainInstanceRequest,
        output=InstanceExplanation,
        permission=_READ,
        failures=("not-found",),
        handler=_explain,
    ),
    Stream(
        name="instances.logs",
        rpc="ReadLogs",
        summary="Read what an instance writes.",
        description=(
            "One JSON object a line, or the bare text with `Accept: text/plain`. If its node is away, that is said at "
            "once, with since when. Each chunk names the position where it ends; after a break, `after` goes on there. "
            "Also of an instance that has been replaced or removed, for as long as its node keeps what it wrote."
        ),
        method="GET",
        path="/v1/instances/{instance}/logs",
        input=ReadLogsRequest,
        output=LogChunk,
        permission=_READ,
        failures=("not-found", "node-away", "runtime-away", "logs-unavailable", "busy"),
        handler=_logs,
    ),
)
