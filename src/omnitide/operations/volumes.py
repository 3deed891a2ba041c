"""Operations on the volumes that nodes keep. Which there are the nodes say; who uses them, the state."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, Final

from msgspec import Meta

from omnitide.fabric.authorize import VOLUME_REMOVE, Permission
from omnitide.fabric.state import ON_NODE, Agent, FabricState, Node
from omnitide.model import volumes as mv
from omnitide.model.names import NAME_PATTERN
from omnitide.model.spec import WorkloadSpec
from omnitide.operations.failures import Failed, failed
from omnitide.operations.inputs import NamespaceFilter, NamespaceName, Reference, Request
from omnitide.operations.nodes import require_node
from omnitide.operations.operation import Answer, AnyDeclaration, Context, Operation
from omnitide.operations.ordering import after_name, names_from
from omnitide.operations.paging import CursorText, Key, page_of
from omnitide.operations.reaching import problem_of
from omnitide.operations.runtime import NodeAway, NodeVolume, ReachFailed, Runtime
from omnitide.telemetry import logs

AT_ONCE: Final = 16
"""Nodes that are asked at a time."""

_log = logs.get(__name__)

VolumeName = Annotated[str, Meta(pattern=NAME_PATTERN, description="Name of the volume.")]
NodePage = Annotated[int, Meta(ge=1, le=200, description="Nodes that are asked for a page.")]


class ListVolumesRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""
    node: Annotated[str, Meta(max_length=80, description="Only of this node, by name or id; empty: of all.")] = ""
    cursor: CursorText = ""
    limit: NodePage = 50


class RemoveVolumeRequest(Request, frozen=True, kw_only=True):
    node: Reference
    namespace: NamespaceName
    name: VolumeName
    force: Annotated[
        bool, Meta(description="Even if agents or jobs that have nothing running there would miss it.")
    ] = False


class _Users:
    """Who has, or would find, a volume on a node: read from the state once."""

    def __init__(self, state: FabricState) -> None:
        self._workloads: dict[tuple[str, str, str], set[str]] = {}
        self._instances: dict[tuple[str, str, str], set[str]] = {}
        for agent in state.agents.values():
            if any(version.spec.volumes for version in agent.versions.values()):
                self._agent(state, agent)
        for job in state.jobs.values():
            if not job.spec.volumes or job.finished_ms:
                continue
            who = f"job {job.namespace}/{job.name}"
            if job.slot.last_node:
                self._bound(job.namespace, job.slot.last_node, job.spec, who)
            self._has(state, job.slot.current, job.spec, who)

    def _agent(self, state: FabricState, agent: Agent) -> None:
        who = f"agent {agent.namespace}/{agent.name}"
        for node in set(agent.homes.values()):
            self._bound(agent.namespace, node, agent.spec, who)
        for identifier in (*(slot.current for slot in agent.slots.values()), *agent.strays):
            instance = state.instances.get(identifier)
            if instance is not None and instance.version in agent.versions:
                self._has(state, identifier, agent.versions[instance.version].spec, who)

    def _has(self, state: FabricState, identifier: str, spec: WorkloadSpec, who: str) -> None:
        instance = state.instances.get(identifier)
        if instance is None or instance.status not in ON_NODE:
            return
        self._bound(instance.namespace, instance.node, spec, who)
        for name in _kept_by(spec):
            self._instances.setdefault((instance.node, instance.namespace, name), set()).add(instance.name)

    def _bound(self, namespace: str, node: str, spec: WorkloadSpec, who: str) -> None:
        for name in _kept_by(spec):
            self._workloads.setdefault((node, namespace, name), set()).add(who)

    def show(self, node: Node, volume: NodeVolume) -> mv.KeptVolume:
        place = (node.id, volume.namespace, volume.name)
        return mv.KeptVolume(
            namespace=volume.namespace,
            name=volume.name,
            node=node.name,
            size_bytes=volume.size_bytes,
            used_by=tuple(sorted(self._workloads.get(place, ()))),
            instances=tuple(sorted(self._instances.get(place, ()))),
        )


def _kept_by(spec: WorkloadSpec) -> set[str]:
    return {volume.name or key for key, volume in spec.volumes.items() if not volume.source}


async def _list(runtime: Runtime, _: Context, asked: ListVolumesRequest) -> Answer[mv.VolumeList]:
    only = require_node(runtime.committed(), asked.node).id if asked.node else ""

    def walk(state: FabricState, after: Key | None) -> Iterator[Node | None]:
        for name in names_from(state.node_names, after_name(after)):
            node = state.nodes[state.node_names[name]]
            yield node if only in ("", node.id) else None

    page = await page_of(
        runtime,
        list_name=f"volumes {asked.namespace} {only}",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(str,),
        walk=walk,
        key=lambda _, node: (node.name,),
    )
    room = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(_ask(runtime, node, room) for node in page.items))
    users = _Users(runtime.committed())
    items = [
        users.show(node, volume)
        for node, answer in zip(page.items, found, strict=True)
        if not isinstance(answer, mv.SilentNode)
        for volume in answer
        if asked.namespace in ("", volume.namespace)
    ]
    silent = tuple(answer for answer in found if isinstance(answer, mv.SilentNode))
    revision = page.state.revision
    return Answer(
        mv.VolumeList(items=tuple(items), silent=silent, revision=revision, next_cursor=page.next_cursor), revision
    )


async def _ask(runtime: Runtime, node: Node, room: asyncio.Semaphore) -> tuple[NodeVolume, ...] | mv.SilentNode:
    try:
        async with room:
            return tuple(await runtime.node_volumes(node.id))
    except NodeAway as away:
        return mv.SilentNode(node=node.name, reason="nothing is heard of it", since_ms=away.since_ms)
    except ReachFailed as broken:
        return mv.SilentNode(node=node.name, reason=str(broken))


async def _remove(runtime: Runtime, context: Context, asked: RemoveVolumeRequest) -> Answer[mv.VolumeRemoved]:
    state = runtime.committed()
    node = require_node(state, asked.node)
    what = f"volume {asked.namespace}/{asked.name}"
    volume = NodeVolume(asked.namespace, asked.name, None)
    shown = _Users(state).show(node, volume)
    if shown.instances:
        having = ", ".join(shown.instances[:3])
        raise failed(
            "conflict",
            f"{having} on node {node.name} has the {what}",
            hint="stop or remove what runs with it first",
            subject=what,
        )
    if shown.used_by and not asked.force:
        missing = ", ".join(shown.used_by[:3])
        raise failed(
            "conflict",
            f"{missing} is bound to node {node.name} by the {what}, and would start with an empty one",
            hint="remove it first, or --force",
            subject=what,
        )
    try:
        if context.dry_run:
            there = {(one.namespace, one.name) for one in await runtime.node_volumes(node.id)}
            if (asked.namespace, asked.name) not in there:
                raise ReachFailed(f"there is no {what} on node {node.name}", cause="no-such-volume")
        else:
            await runtime.remove_node_volume(node.id, asked.namespace, asked.name)
            _log.info(
                "volumes.remove",
                principal=context.principal,
                node=node.name,
                volume=f"{asked.namespace}/{asked.name}",
                correlation=context.correlation,
            )
    except ReachFailed as error:
        raise _problem(error, what, node) from error
    value = mv.VolumeRemoved(
        namespace=asked.namespace, name=asked.name, node=node.name, revision=state.revision, dry_run=context.dry_run
    )
    return Answer(value, state.revision)


def _problem(error: ReachFailed, what: str, node: Node) -> Failed:
    if error.cause == "no-such-volume":
        return failed("not-found", f"there is no {what} on node {node.name}", hint="omnitide volume ls", subject=what)
    if error.cause == "in-use":
        return failed("conflict", str(error), hint="stop or remove what runs with it first", subject=what)
    found = problem_of(error)
    assert found is not None, "it is one of those that it knows"
    return found


OPERATIONS: Final[tuple[AnyDeclaration, ...]] = (
    Operation[Any, Any](
        name="volumes.list",
        rpc="ListVolumes",
        summary="List the volumes that nodes keep, with who uses them.",
        description="Each node is asked. One that cannot be is named in `silent`.",
        method="GET",
        path="/v1/volumes",
        input=ListVolumesRequest,
        output=mv.VolumeList,
        permission=Permission("read", "volume"),
        failures=("not-found",),
        handler=_list,
    ),
    Operation[Any, Any](
        name="volumes.remove",
        rpc="RemoveVolume",
        summary="Remove a volume that nothing uses from its node, with all that is in it.",
        method="DELETE",
        path="/v1/nodes/{node}/volumes/{namespace}/{name}",
        input=RemoveVolumeRequest,
        output=mv.VolumeRemoved,
        permission=VOLUME_REMOVE,
        failures=("not-found", "conflict", "node-away", "reach-failed", "busy"),
        handler=_remove,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
