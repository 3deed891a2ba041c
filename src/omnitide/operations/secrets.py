"""Operations on secrets and configs. A secret's value comes in and is in no answer; a config's may be read back."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Final

from msgspec import Meta

from omnitide.fabric import commands as cm
from omnitide.fabric.authorize import PERMISSIONS, Permission
from omnitide.fabric.rules.secrets import users_of
from omnitide.fabric.state import FabricState, Provision, ProvisionKind, find_provision
from omnitide.model import secrets as ms
from omnitide.operations.changing import Made, change
from omnitide.operations.failures import Failed, failed
from omnitide.operations.inputs import NamespaceFilter, NamespaceName, PageRequest, Request
from omnitide.operations.operation import Answer, Context, Operation
from omnitide.operations.ordering import after_name, names_from
from omnitide.operations.paging import Key, Page, page_of
from omnitide.operations.runtime import Runtime
from omnitide.security.clear_text import ClearText

_TRIES: Final = 3
"""For a value that was closed under an id which was given up at the same time."""
_NOT_PUT_AWAY: Final = "dry-run"
MAX_DATA_CHARACTERS: Final = 720_000

ProvisionName = Annotated[str, Meta(max_length=80, description="Its name within the namespace.")]
Force = Annotated[bool, Meta(description="Even if an agent or job could not be started again without it.")]
Data = Annotated[str, Meta(max_length=MAX_DATA_CHARACTERS, description="The value, in base64.")]


class ListSecretsRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""


class GetSecretRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName


class SetSecretRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName
    data: Data

    def __repr__(self) -> str:
        return f"SetSecretRequest({self.namespace}/{self.name})"


class RemoveSecretRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName
    force: Force = False


class ListConfigsRequest(PageRequest, frozen=True, kw_only=True):
    namespace: NamespaceFilter = ""


class GetConfigRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName


class SetConfigRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName
    data: Data

    def __repr__(self) -> str:
        return f"SetConfigRequest({self.namespace}/{self.name})"


class RemoveConfigRequest(Request, frozen=True, kw_only=True):
    namespace: NamespaceName
    name: ProvisionName
    force: Force = False


# -- what both do ----------------------------------------------------------------------------------------------------


async def _page(runtime: Runtime, kind: ProvisionKind, namespace: str, cursor: str, limit: int) -> Page[Provision]:
    prefix = f"{kind}/{namespace}/" if namespace else f"{kind}/"

    def walk(state: FabricState, after: Key | None) -> Iterator[Provision | None]:
        for key in names_from(state.provision_names, after_name(after), prefix):
            yield state.provisions[state.provision_names[key]]

    return await page_of(
        runtime,
        list_name=f"{kind}s {namespace}",
        cursor=cursor,
        limit=limit,
        shape=(str,),
        walk=walk,
        key=lambda _, one: (f"{kind}/{one.namespace}/{one.name}",),
    )


def _find(state: FabricState, kind: ProvisionKind, namespace: str, name: str) -> Provision:
    found = find_provision(state, kind, namespace, name)
    if found is None:
        raise failed(
            "not-found",
            f"there is no {kind} {namespace}/{name}",
            hint=f"omnitide {kind} ls",
            subject=f"{kind} {namespace}/{name}",
        )
    return found


def _decoded(data: str) -> ClearText:
    try:
        return ClearText(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise failed("invalid", "data: is no base64") from None


async def _set(
    runtime: Runtime, context: Context, kind: ProvisionKind, namespace: str, name: str, data: str
) -> tuple[Made, str]:
    """Close a value, put it away, and tell the log. Returns what was made, and which change it was."""
    value = _decoded(data)
    values = runtime.values()
    # What tells a repetition from another request stands in the log: it must not be a digest that can be guessed from.
    context = (
        replace(context, fingerprint=values.digest(f"{kind}/{namespace}/{name}", value))
        if context.fingerprint
        else context
    )
    command_of = cm.SetSecret if kind == "secret" else cm.SetConfig
    for number in range(_TRIES):
        known = find_provision(runtime.committed(), kind, namespace, name)
        identifier = known.id if known is not None else runtime.new_id("s" if kind == "secret" else "c")
        digest = values.digest(identifier, value)
        same = known is not None and known.digest == digest
        blob = "" if same or context.dry_run else await values.put(identifier, value)
        command = command_of(
            id=identifier,
            namespace=namespace,
            name=name,
            digest=digest,
            # A dry run puts nothing away, and is decided as if it had.
            blob=_NOT_PUT_AWAY if context.dry_run and not same else blob,
            size=len(value),
        )
        try:
            made = await change(runtime, context, command, namespace=namespace)
        except Failed as failure:
            # Also a key that was made for nothing is given up, lest each refused name leave one behind.
            if blob:
                await values.drop(blob, identifier if known is None else "")
            if failure.problem.code != "stale" or number == _TRIES - 1:
                raise
            continue
        now = find_provision(made.state, kind, namespace, name)
        if blob and (now is None or now.blob != blob):
            await values.drop(blob, identifier if known is None else "")
        elif known is not None and made.changed and not made.dry_run and known.blob != (now.blob if now else ""):
            await values.drop(known.blob)
        return made, ("unchanged" if not made.changed else "created" if known is None else "updated")
    raise AssertionError("the last try returns or raises")


async def _remove(
    runtime: Runtime, context: Context, kind: ProvisionKind, namespace: str, name: str, *, force: bool
) -> Made:
    known = find_provision(runtime.committed(), kind, namespace, name)
    command_of = cm.RemoveSecret if kind == "secret" else cm.RemoveConfig
    command = command_of(namespace=namespace, name=name, force=force)
    made = await change(runtime, context, command, namespace=namespace)
    if known is not None and made.changed and not made.dry_run:
        await runtime.values().drop(known.blob, known.id)
    return made


# -- secrets ---------------------------------------------------------------------------------------------------------


def _secret(state: FabricState, one: Provision, *, users: bool = False) -> ms.Secret:
    return ms.Secret(
        namespace=one.namespace,
        name=one.name,
        version=one.version,
        size_bytes=one.size,
        created_ms=one.created_ms,
        changed_ms=one.changed_ms,
        revision=one.revision,
        used_by=users_of(state, "secret", one.namespace, one.name) if users else (),
    )


async def _list_secrets(runtime: Runtime, _: Context, asked: ListSecretsRequest) -> Answer[ms.SecretList]:
    page = await _page(runtime, "secret", asked.namespace, asked.cursor, asked.limit)
    state = page.state
    items = tuple(_secret(state, one) for one in page.items)
    return Answer(ms.SecretList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


async def _get_secret(runtime: Runtime, _: Context, asked: GetSecretRequest) -> Answer[ms.Secret]:
    state = runtime.committed()
    found = _find(state, "secret", asked.namespace, asked.name)
    return Answer(_secret(state, found, users=True), state.revision, etag=found.revision)


async def _set_secret(runtime: Runtime, context: Context, asked: SetSecretRequest) -> Answer[ms.SecretChanged]:
    made, what = await _set(runtime, context, "secret", asked.namespace, asked.name, asked.data)
    now = find_provision(made.state, "secret", asked.namespace, asked.name)
    shown = _secret(made.state, now, users=True) if now is not None else None
    return Answer(
        ms.SecretChanged(
            secret=shown, change=what, revision=made.revision, dry_run=made.dry_run, replayed=made.replayed
        ),
        made.revision,
        created=what == "created" and not made.dry_run,
        replayed=made.replayed,
    )


async def _remove_secret(runtime: Runtime, context: Context, asked: RemoveSecretRequest) -> Answer[ms.SecretChanged]:
    made = await _remove(runtime, context, "secret", asked.namespace, asked.name, force=asked.force)
    return Answer(
        ms.SecretChanged(
            secret=None, change="deleted", revision=made.revision, dry_run=made.dry_run, replayed=made.replayed
        ),
        made.revision,
        replayed=made.replayed,
    )


# -- configs ---------------------------------------------------------------------------------------------------------


def _config(state: FabricState, one: Provision, *, data: str = "", users: bool = False) -> ms.Config:
    return ms.Config(
        namespace=one.namespace,
        name=one.name,
        version=one.version,
        size_bytes=one.size,
        created_ms=one.created_ms,
        changed_ms=one.changed_ms,
        revision=one.revision,
        used_by=users_of(state, "config", one.namespace, one.name) if users else (),
        data=data,
    )


async def _list_configs(runtime: Runtime, _: Context, asked: ListConfigsRequest) -> Answer[ms.ConfigList]:
    page = await _page(runtime, "config", asked.namespace, asked.cursor, asked.limit)
    state = page.state
    items = tuple(_config(state, one) for one in page.items)
    return Answer(ms.ConfigList(items=items, revision=state.revision, next_cursor=page.next_cursor), state.revision)


async def _get_config(runtime: Runtime, _: Context, asked: GetConfigRequest) -> Answer[ms.Config]:
    state = runtime.committed()
    found = _find(state, "config", asked.namespace, asked.name)
    value = await runtime.values().open(found)
    data = base64.b64encode(value.reveal()).decode()
    return Answer(_config(state, found, data=data, users=True), state.revision, etag=found.revision)


async def _set_config(runtime: Runtime, context: Context, asked: SetConfigRequest) -> Answer[ms.ConfigChanged]:
    made, what = await _set(runtime, context, "config", asked.namespace, asked.name, asked.data)
    now = find_provision(made.state, "config", asked.namespace, asked.name)
    shown = _config(made.state, now, users=True) if now is not None else None
    return Answer(
        ms.ConfigChanged(
            config=shown, change=what, revision=made.revision, dry_run=made.dry_run, replayed=made.replayed
        ),
        made.revision,
        created=what == "created" and not made.dry_run,
        replayed=made.replayed,
    )


async def _remove_config(runtime: Runtime, context: Context, asked: RemoveConfigRequest) -> Answer[ms.ConfigChanged]:
    made = await _remove(runtime, context, "config", asked.namespace, asked.name, force=asked.force)
    return Answer(
        ms.ConfigChanged(
            config=None, change="deleted", revision=made.revision, dry_run=made.dry_run, replayed=made.replayed
        ),
        made.revision,
        replayed=made.replayed,
    )


_CHANGE_FAILURES: Final = ("not-found", "limit", "stale", "conflict")

OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = (
    Operation(
        name="secrets.list",
        rpc="ListSecrets",
        summary="List the secrets, without their values.",
        method="GET",
        path="/v1/secrets",
        input=ListSecretsRequest,
        output=ms.SecretList,
        permission=Permission("read", "secret", namespaced=True),
        handler=_list_secrets,
    ),
    Operation(
        name="secrets.get",
        rpc="GetSecret",
        summary="A secret: its version, and who uses it. Its value is in no answer.",
        method="GET",
        path="/v1/namespaces/{namespace}/secrets/{name}",
        input=GetSecretRequest,
        output=ms.Secret,
        permission=Permission("read", "secret", namespaced=True),
        failures=("not-found",),
        handler=_get_secret,
    ),
    Operation(
        name="secrets.set",
        rpc="SetSecret",
        summary="Give a secret a value: a new secret, or the next version.",
        description="The same value again changes nothing. What uses it is told, by the `on_change` of its spec.",
        method="PUT",
        path="/v1/namespaces/{namespace}/secrets/{name}",
        input=SetSecretRequest,
        output=ms.SecretChanged,
        permission=PERMISSIONS[cm.SetSecret],
        failures=_CHANGE_FAILURES,
        handler=_set_secret,
        writes=True,
        dry_run=True,
    ),
    Operation(
        name="secrets.remove",
        rpc="RemoveSecret",
        summary="Erase a secret that nothing uses: its key is destroyed.",
        description="409 where agents or jobs would miss it, named in `used_by`, unless `force` is given: then what "
        "runs goes on, and what uses it does not start any more.",
        method="DELETE",
        path="/v1/namespaces/{namespace}/secrets/{name}",
        input=RemoveSecretRequest,
        output=ms.SecretChanged,
        permission=PERMISSIONS[cm.RemoveSecret],
        failures=("not-found", "conflict"),
        handler=_remove_secret,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
    Operation(
        name="configs.list",
        rpc="ListConfigs",
        summary="List the configs, without their values.",
        method="GET",
        path="/v1/configs",
        input=ListConfigsRequest,
        output=ms.ConfigList,
        permission=Permission("read", "config", namespaced=True),
        handler=_list_configs,
    ),
    Operation(
        name="configs.get",
        rpc="GetConfig",
        summary="A config and its value.",
        method="GET",
        path="/v1/namespaces/{namespace}/configs/{name}",
        input=GetConfigRequest,
        output=ms.Config,
        permission=Permission("read", "config", namespaced=True),
        failures=("not-found",),
        handler=_get_config,
    ),
    Operation(
        name="configs.set",
        rpc="SetConfig",
        summary="Give a config a value: a new config, or the next version.",
        method="PUT",
        path="/v1/namespaces/{namespace}/configs/{name}",
        input=SetConfigRequest,
        output=ms.ConfigChanged,
        permission=PERMISSIONS[cm.SetConfig],
        failures=_CHANGE_FAILURES,
        handler=_set_config,
        writes=True,
        dry_run=True,
    ),
    Operation(
        name="configs.remove",
        rpc="RemoveConfig",
        summary="Remove a config that nothing uses.",
        description="409 where agents or jobs would miss it, named in `used_by`, unless `force` is given: then what "
        "runs goes on, and what uses it does not start any more.",
        method="DELETE",
        path="/v1/namespaces/{namespace}/configs/{name}",
        input=RemoveConfigRequest,
        output=ms.ConfigChanged,
        permission=PERMISSIONS[cm.RemoveConfig],
        failures=("not-found", "conflict"),
        handler=_remove_config,
        writes=True,
        destructive=True,
        dry_run=True,
    ),
)
