"""Operations on namespaces."""

from typing import Any, Final

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.model import inventory as inv
from omnitide.operations.changing import change
from omnitide.operations.inputs import NamespaceName, PageRequest, Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.ordering import after_name, names_from
from omnitide.operations.paging import page_of
from omnitide.operations.runtime import Runtime
from omnitide.operations.views.inventory import show_namespace


class ListNamespacesRequest(PageRequest, frozen=True, kw_only=True):
    pass


class CreateNamespaceRequest(Request, frozen=True, kw_only=True):
    name: NamespaceName


class DeleteNamespaceRequest(Request, frozen=True, kw_only=True):
    name: NamespaceName


async def _list(runtime: Runtime, _: Context, asked: ListNamespacesRequest) -> Answer[inv.NamespaceList]:
    page = await page_of(
        runtime,
        list_name="namespaces",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(str,),
        walk=lambda state, after: names_from(state.namespaces, after_name(after)),
        key=lambda _, name: (name,),
    )
    state = page.state
    items = tuple(show_namespace(state.namespaces[name]) for name in page.items)
    return Answer(inv.NamespaceList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


async def _create(runtime: Runtime, context: Context, asked: CreateNamespaceRequest) -> Answer[inv.NamespaceChanged]:
    made = await change(runtime, context, cm.CreateNamespace(name=asked.name), namespace=asked.name)
    namespace = made.state.namespaces.get(asked.name)
    return Answer(
        inv.NamespaceChanged(
            namespace=show_namespace(namespace) if namespace is not None else None,
            change="created",
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        created=not made.dry_run,
        replayed=made.replayed,
    )


async def _delete(runtime: Runtime, context: Context, asked: DeleteNamespaceRequest) -> Answer[inv.NamespaceChanged]:
    made = await change(runtime, context, cm.DeleteNamespace(name=asked.name), namespace=asked.name)
    return Answer(
        inv.NamespaceChanged(
            namespace=None,
            change="deleted",
            revision=made.revision,
            dry_run=made.dry_run,
            replayed=made.replayed,
        ),
        made.revision,
        replayed=made.replayed,
    )


OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="namespaces.list",
        rpc="ListNamespaces",
        summary="List the namespaces.",
        method="GET",
        path="/v1/namespaces",
        input=ListNamespacesRequest,
        output=inv.NamespaceList,
        permission=Permission("read", "namespace"),
        handler=_list,
    ),
    Operation(
        name="namespaces.create",
        rpc="CreateNamespace",
        summary="Create a namespace.",
        method="POST",
        path="/v1/namespaces",
        input=CreateNamespaceRequest,
        output=inv.NamespaceChanged,
        permission=PERMISSIONS[cm.CreateNamespace],
        failures=("already-exists", "limit"),
        handler=_create,
        writes=True,
        idempotent=False,
        dry_run=True,
    ),
    Operation(
        name="namespaces.delete",
        rpc="DeleteNamespace",
        summary="Delete an empty namespace.",
        method="DELETE",
        path="/v1/namespaces/{name}",
        input=DeleteNamespaceRequest,
        output=inv.NamespaceChanged,
        permission=PERMISSIONS[cm.DeleteNamespace],
        failures=("not-found", "conflict"),
        handler=_delete,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
