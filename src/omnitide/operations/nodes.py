"""Operations on nodes."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.state import FabricState, Node, find_node
from omnitide.model import inventory as inv
from omnitide.model.names import LabelKey, LabelValue
from omnitide.operations.changing import change
from omnitide.operations.failures import failed
from omnitide.operations.inputs import PageRequest, Reference, Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.ordering import after_name, names_from
from omnitide.operations.paging import Key, page_of
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import show_node, shown_as


class ListNodesRequest(PageRequest, frozen=True, kw_only=True):
    status: Annotated[
        Literal["", inv.NodeShown],
        Meta(
            description="Only what is shown as this: stopped by its operator, or left, is that alone; what is away for "
            "a while is also what it counts as."
        ),
    ] = ""
    scheduling: Annotated[
        Literal["", "open", "cordoned", "draining", "drained"], Meta(description="Only those of this kind.")
    ] = ""


class GetNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference


class LabelNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference
    labels: Annotated[
        dict[LabelKey, LabelValue], Meta(max_length=64, description="Set, whatever they were; others stay.")
    ] = field(default_factory=dict)
    remove: Annotated[
        tuple[LabelKey, ...], Meta(max_length=64, description="Taken away, as far as they were given here.")
    ] = ()


class CordonNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference


class UncordonNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference


class DrainNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference


class RemoveNodeRequest(Request, frozen=True, kw_only=True):
    node: Reference
    force: Annotated[bool, Meta(description="Even if it is live: its instances are lost to the fabric at once.")] = (
        False
    )


async def _list(runtime: Runtime, _: Context, asked: ListNodesRequest) -> Answer[inv.NodeList]:
    def walk(state: FabricState, after: Key | None) -> Iterator[Node | None]:
        for name in names_from(state.node_names, after_name(after)):
            node = state.nodes[state.node_names[name]]
            yield node if _matches(runtime, node, asked) else None

    page = await page_of(
        runtime,
        list_name=f"nodes {asked.status} {asked.scheduling}",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(str,),
        walk=walk,
        key=lambda _, node: (node.name,),
    )
    items = tuple(show_node(node, runtime.node_live(node.id)) for node in page.items)
    revision = page.state.revision
    return Answer(inv.NodeList(items=items, revision=revision, next_cursor=page.next_cursor), revision)


def _matches(runtime: Runtime, node: Node, asked: ListNodesRequest) -> bool:
    if asked.scheduling not in ("", node.scheduling.value):
        return False
    return not asked.status or asked.status in shown_as(node, runtime.node_live(node.id))


def require_node(state: FabricState, reference: str) -> Node:
    node = find_node(state, reference)
    if node is None:
        raise failed("not-found", f"there is no node {reference!r}", hint="omnitide nodes", subject=f"node {reference}")
    return node


async def _get(runtime: Runtime, _: Context, asked: GetNodeRequest) -> Answer[inv.Node]:
    state = runtime.committed()
    node = require_node(state, asked.node)
    return Answer(show_node(node, runtime.node_live(node.id)), state.revision, etag=node.revision)


async def _change(
    runtime: Runtime, context: Context, command: cm.Command, name_of: Callable[[bool], str]
) -> Answer[inv.NodeChanged]:
    made = await change(runtime, context, command)
    node = made.state.nodes.get(str(made.result.get("node", "")))
    return Answer(
        inv.NodeChanged(
            node=show_node(node, runtime.node_live(node.id)) if node is not None else None,
            change=name_of(made.changed),
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        etag=node.revision if node is not None else None,
        replayed=made.replayed,
    )


def _or_unchanged(name: str) -> Callable[[bool], str]:
    return lambda changed: name if changed else "unchanged"


async def _label(runtime: Runtime, context: Context, asked: LabelNodeRequest) -> Answer[inv.NodeChanged]:
    command = cm.LabelNode(node=asked.node, labels=asked.labels, remove=asked.remove)
    return await _change(runtime, context, command, _or_unchanged("labelled"))


async def _cordon(runtime: Runtime, context: Context, asked: CordonNodeRequest) -> Answer[inv.NodeChanged]:
    return await _change(runtime, context, cm.CordonNode(node=asked.node), _or_unchanged("cordoned"))


async def _uncordon(runtime: Runtime, context: Context, asked: UncordonNodeRequest) -> Answer[inv.NodeChanged]:
    return await _change(runtime, context, cm.UncordonNode(node=asked.node), _or_unchanged("uncordoned"))


async def _drain(runtime: Runtime, context: Context, asked: DrainNodeRequest) -> Answer[inv.NodeChanged]:
    return await _change(runtime, context, cm.DrainNode(node=asked.node), _or_unchanged("draining"))


async def _remove(runtime: Runtime, context: Context, asked: RemoveNodeRequest) -> Answer[inv.NodeChanged]:
    command = cm.RemoveNode(node=asked.node, force=asked.force)
    return await _change(runtime, context, command, lambda _: "removed")


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="nodes.list",
        rpc="ListNodes",
        summary="List the nodes, in order of name.",
        method="GET",
        path="/v1/nodes",
        input=ListNodesRequest,
        output=inv.NodeList,
        permission=Permission("read", "node"),
        handler=_list,
    ),
    Operation(
        name="nodes.get",
        rpc="GetNode",
        summary="Show a node: what it is, what it has, how it is.",
        method="GET",
        path="/v1/nodes/{node}",
        input=GetNodeRequest,
        output=inv.Node,
        permission=Permission("read", "node"),
        failures=("not-found",),
        handler=_get,
    ),
    Operation(
        name="nodes.label",
        rpc="LabelNode",
        summary="Give a node labels, or take them away; what is placed from then on follows, what it runs stays.",
        method="POST",
        path="/v1/nodes/{node}/labels",
        input=LabelNodeRequest,
        output=inv.NodeChanged,
        permission=PERMISSIONS[cm.LabelNode],
        failures=("not-found", "invalid", "conflict", "limit"),
        handler=_label,
        writes=True,
        dry_run=True,
    ),
    Operation(
        name="nodes.cordon",
        rpc="CordonNode",
        summary="Place nothing more on a node; what it runs stays.",
        method="POST",
        path="/v1/nodes/{node}/cordon",
        input=CordonNodeRequest,
        output=inv.NodeChanged,
        permission=PERMISSIONS[cm.CordonNode],
        failures=("not-found",),
        handler=_cordon,
        writes=True,
        dry_run=True,
    ),
    Operation(
        name="nodes.uncordon",
        rpc="UncordonNode",
        summary="Open a cordoned or drained node again.",
        method="POST",
        path="/v1/nodes/{node}/uncordon",
        input=UncordonNodeRequest,
        output=inv.NodeChanged,
        permission=PERMISSIONS[cm.UncordonNode],
        failures=("not-found",),
        handler=_uncordon,
        writes=True,
        dry_run=True,
    ),
    Operation(
        name="nodes.drain",
        rpc="DrainNode",
        summary="Move agents off a node, within their update budgets; jobs run to their end there.",
        method="POST",
        path="/v1/nodes/{node}/drain",
        input=DrainNodeRequest,
        output=inv.NodeChanged,
        permission=PERMISSIONS[cm.DrainNode],
        failures=("not-found",),
        handler=_drain,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Operation(
        name="nodes.remove",
        rpc="RemoveNode",
        summary="Take a node out of the fabric: its identity ends, what it ran is replaced elsewhere.",
        method="DELETE",
        path="/v1/nodes/{node}",
        input=RemoveNodeRequest,
        output=inv.NodeChanged,
        permission=PERMISSIONS[cm.RemoveNode],
        failures=("not-found", "conflict"),
        handler=_remove,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
