"""Folds of secrets and configs. The log knows of a value its version and digests, never the value."""

from collections.abc import Callable
from typing import Final

from immutables import Map
from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import FabricState, Provision, ProvisionKind, provision_key


def _changed(kind: ProvisionKind) -> Callable[[FabricState, ev.SecretChanged | ev.ConfigChanged, Moment], FabricState]:
    def fold(state: FabricState, event: ev.SecretChanged | ev.ConfigChanged, at: Moment) -> FabricState:
        known = state.provisions.get(event.id)
        provision = Provision(
            id=event.id,
            namespace=event.namespace,
            name=event.name,
            kind=kind,
            version=event.version,
            digest=event.digest,
            blob=event.blob,
            size=event.size,
            created_ms=at.time_ms if known is None else known.created_ms,
            changed_ms=at.time_ms,
            revision=at.revision,
        )
        names = state.provision_names
        if known is None:
            names = names.set(provision_key(kind, event.namespace, event.name), event.id)
        return replace(state, provisions=state.provisions.set(event.id, provision), provision_names=names)

    return fold


def _removed(state: FabricState, event: ev.SecretRemoved | ev.ConfigRemoved, at: Moment) -> FabricState:
    known = state.provisions.get(event.id)
    if known is None:
        return state
    names: Map[str, str] = state.provision_names.delete(provision_key(known.kind, known.namespace, known.name))
    return replace(state, provisions=state.provisions.delete(event.id), provision_names=names)


FOLDS: Final[dict[type, Fold]] = {
    ev.SecretChanged: _changed("secret"),
    ev.SecretRemoved: _removed,
    ev.ConfigChanged: _changed("config"),
    ev.ConfigRemoved: _removed,
}
