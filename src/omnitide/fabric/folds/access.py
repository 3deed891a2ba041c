"""Folds of the fabric itself, namespaces and tokens."""

from typing import Final

from msgspec.structs import replace

from omnitide.fabric import events as ev
from omnitide.fabric.folds.moment import Fold, Moment
from omnitide.fabric.state import FabricState, Namespace, Token


def fabric_created(state: FabricState, event: ev.FabricCreated, at: Moment) -> FabricState:
    return replace(state, fabric_id=event.fabric_id)


def feature_level_raised(state: FabricState, event: ev.FeatureLevelRaised, at: Moment) -> FabricState:
    return replace(state, feature_level=event.level)


def namespace_created(state: FabricState, event: ev.NamespaceCreated, at: Moment) -> FabricState:
    namespace = Namespace(name=event.name, created_ms=at.time_ms, revision=at.revision)
    return replace(state, namespaces=state.namespaces.set(event.name, namespace))


def namespace_deleted(state: FabricState, event: ev.NamespaceDeleted, at: Moment) -> FabricState:
    return replace(state, namespaces=state.namespaces.delete(event.name))


def count_workloads(state: FabricState, name: str, *, agents: int = 0, jobs: int = 0) -> FabricState:
    """Move a namespace's usage counters."""
    namespace = state.namespaces[name]
    changed = replace(namespace, agents=namespace.agents + agents, jobs=namespace.jobs + jobs)
    return replace(state, namespaces=state.namespaces.set(name, changed))


def token_issued(state: FabricState, event: ev.TokenIssued, at: Moment) -> FabricState:
    token = Token(
        id=event.id,
        purpose=event.purpose,
        digest=event.digest,
        created_ms=at.time_ms,
        principal=at.principal,
        revision=at.revision,
        expires_ms=event.expires_ms,
        uses_left=event.uses,
        note=event.note,
        labels=event.labels,
    )
    return replace(state, tokens=state.tokens.set(event.id, token))


def token_used(state: FabricState, event: ev.TokenUsed, at: Moment) -> FabricState:
    token = state.tokens[event.id]
    changed = replace(token, uses_left=token.uses_left - 1, revision=at.revision)
    return replace(state, tokens=state.tokens.set(event.id, changed))


def token_revoked(state: FabricState, event: ev.TokenRevoked, at: Moment) -> FabricState:
    changed = replace(state.tokens[event.id], revoked=True, revision=at.revision)
    return replace(state, tokens=state.tokens.set(event.id, changed))


def tokens_forgotten(state: FabricState, event: ev.TokensForgotten, at: Moment) -> FabricState:
    tokens = state.tokens
    for identifier in event.ids:
        tokens = tokens.delete(identifier)
    return replace(state, tokens=tokens)


FOLDS: Final[dict[type, Fold]] = {
    ev.FabricCreated: fabric_created,
    ev.FeatureLevelRaised: feature_level_raised,
    ev.NamespaceCreated: namespace_created,
    ev.NamespaceDeleted: namespace_deleted,
    ev.TokenIssued: token_issued,
    ev.TokenUsed: token_used,
    ev.TokenRevoked: token_revoked,
    ev.TokensForgotten: tokens_forgotten,
}
