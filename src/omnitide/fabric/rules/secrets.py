"""Rules of secrets and configs: names, versions and bounds. The values themselves never come here."""

from typing import Final

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import require_name, require_namespace
from omnitide.fabric.state import Provision, ProvisionKind, find_provision, provision_key

MAX_PROVISIONS: Final = 20_000
"""Secrets and configs of a fabric, together."""
MAX_VALUE_BYTES: Final = 512 << 10
"""Of one value. It travels in one message, and is held in memory by the nodes that use it."""

_Change = cm.SetSecret | cm.SetConfig
_Removal = cm.RemoveSecret | cm.RemoveConfig


def set_secret(draft: Draft, command: cm.SetSecret) -> None:
    version = _next_version(draft, command, "secret")
    if version:
        draft.emit(
            ev.SecretChanged(
                id=command.id,
                namespace=command.namespace,
                name=command.name,
                version=version,
                digest=command.digest,
                blob=command.blob,
                size=command.size,
            )
        )


def set_config(draft: Draft, command: cm.SetConfig) -> None:
    version = _next_version(draft, command, "config")
    if version:
        draft.emit(
            ev.ConfigChanged(
                id=command.id,
                namespace=command.namespace,
                name=command.name,
                version=version,
                digest=command.digest,
                blob=command.blob,
                size=command.size,
            )
        )


def remove_secret(draft: Draft, command: cm.RemoveSecret) -> None:
    known = _known(draft, command, "secret")
    draft.emit(ev.SecretRemoved(id=known.id, namespace=known.namespace, name=known.name))


def remove_config(draft: Draft, command: cm.RemoveConfig) -> None:
    known = _known(draft, command, "config")
    draft.emit(ev.ConfigRemoved(id=known.id, namespace=known.namespace, name=known.name))


def _next_version(draft: Draft, command: _Change, kind: ProvisionKind) -> int:
    """The version that the value will be; 0: it is the value that is there."""
    require_name(command.name, f"a {kind}")
    require_namespace(draft, command.namespace)
    if command.size > MAX_VALUE_BYTES:
        raise Refuse(
            "limit",
            f"the value has {command.size} bytes; a {kind} holds {MAX_VALUE_BYTES} at most",
            hint="put what is larger into the blob store (omnitide blob put), as an artifact",
        )
    known = find_provision(draft.state, kind, command.namespace, command.name)
    if known is None:
        if not command.id or command.id in draft.state.provisions:
            raise Refuse("already-exists", f"the id {command.id!r} is taken")
        if len(draft.state.provisions) >= MAX_PROVISIONS:
            raise Refuse("limit", f"the fabric holds {MAX_PROVISIONS} secrets and configs, the most it can")
        _require_value(command, kind)
        draft.result = {"version": 1}
        return 1
    if known.id != command.id:
        # The value is closed under the key of the id: it was made for one that has been removed or made meanwhile.
        raise Refuse(
            "stale",
            f"{kind} {known.namespace}/{known.name} was made or removed at the same time",
            hint="try again",
            subject=provision_key(kind, known.namespace, known.name),
        )
    if known.digest == command.digest:
        draft.result = {"version": known.version}
        return 0
    _require_value(command, kind)
    draft.result = {"version": known.version + 1}
    return known.version + 1


def _require_value(command: _Change, kind: ProvisionKind) -> None:
    """One that was taken to be there already is not there any more: nothing was put away for it."""
    if not command.blob:
        message = f"{kind} {command.namespace}/{command.name} was changed at the same time"
        raise Refuse("stale", message, hint="try again", subject=provision_key(kind, command.namespace, command.name))


def _known(draft: Draft, command: _Removal, kind: ProvisionKind) -> Provision:
    known = find_provision(draft.state, kind, command.namespace, command.name)
    if known is None:
        raise Refuse(
            "not-found",
            f"there is no {kind} {command.namespace}/{command.name}",
            hint=f"omnitide {kind} ls",
            subject=f"{kind} {command.namespace}/{command.name}",
        )
    return known
