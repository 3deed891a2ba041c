"""Rules of the fabric itself, namespaces and tokens."""

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric import feature_levels
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.settle import jobs_removed
from omnitide.fabric.state import DEFAULT_NAMESPACE, SYSTEM_NAMESPACES, Token, TokenPurpose
from omnitide.model.names import is_name, suggest_name
from omnitide.model.quantity import MAX_QUANTITY

MAX_NAMESPACES = 10_000
MAX_TOKENS = 10_000
MAX_NOTE = 500
MAX_LABELS = 64
_CALLERS = (TokenPurpose.API, TokenPurpose.SESSION, TokenPurpose.JOIN)
"""Whose tokens ask for what events and versions then say was done by them."""


def require_name(name: str, what: str) -> None:
    if not is_name(name):
        suggestion = suggest_name(name)
        raise Refuse(
            "invalid",
            f"{name!r} cannot name {what}: lower-case letters, digits and inner hyphens, a letter first, 1 to 40",
            hint=f"try {suggestion!r}" if suggestion else "",
        )


def require_namespace(draft: Draft, name: str) -> None:
    if name not in draft.state.namespaces:
        raise Refuse(
            "not-found",
            f"there is no namespace {name!r}",
            hint=f"omnitide namespace create {name}",
            subject=f"namespace {name}",
        )


def create_fabric(draft: Draft, command: cm.CreateFabric) -> None:
    if draft.state.fabric_id:
        raise Refuse("already-exists", f"this log belongs to fabric {draft.state.fabric_id} already")
    if not command.fabric_id:
        raise Refuse("invalid", "a fabric has an id")
    draft.emit(ev.FabricCreated(fabric_id=command.fabric_id))
    if DEFAULT_NAMESPACE not in draft.state.namespaces:
        draft.emit(ev.NamespaceCreated(name=DEFAULT_NAMESPACE))


def raise_feature_level(draft: Draft, command: cm.RaiseFeatureLevel) -> None:
    now = draft.state.feature_level
    if command.level < now:
        raise Refuse("conflict", f"the log is at feature level {now}: replicas that do not know it are gone for good")
    if command.level > feature_levels.NEWEST:
        raise Refuse(
            "impossible",
            f"this release knows feature levels up to {feature_levels.NEWEST}, not {command.level}",
            hint="upgrade every replica of the control plane first",
        )
    draft.result = {"level": command.level}
    if command.level > now:
        draft.emit(ev.FeatureLevelRaised(level=command.level))


def create_namespace(draft: Draft, command: cm.CreateNamespace) -> None:
    require_name(command.name, "a namespace")
    if command.name in draft.state.namespaces:
        raise Refuse("already-exists", f"namespace {command.name!r} exists", subject=f"namespace {command.name}")
    if len(draft.state.namespaces) >= MAX_NAMESPACES:
        raise Refuse("limit", f"the fabric holds {MAX_NAMESPACES} namespaces, the most it can")
    draft.emit(ev.NamespaceCreated(name=command.name))


def delete_namespace(draft: Draft, command: cm.DeleteNamespace) -> None:
    if command.name not in draft.state.namespaces:
        raise Refuse(
            "not-found",
            f"there is no namespace {command.name!r}",
            hint="omnitide namespace list",
            subject=f"namespace {command.name}",
        )
    namespace = draft.state.namespaces[command.name]
    if command.name in SYSTEM_NAMESPACES:
        raise Refuse("conflict", f"namespace {command.name!r} belongs to the fabric and stays")
    if namespace.agents or namespace.jobs:
        raise Refuse(
            "conflict",
            f"namespace {command.name!r} still holds {namespace.agents} agent{'' if namespace.agents == 1 else 's'} "
            f"and {namespace.jobs} job{'' if namespace.jobs == 1 else 's'}",
            hint="remove them first",
            subject=f"namespace {command.name}",
        )
    kept = sum(one.namespace == command.name for one in draft.state.provisions.values())
    if kept:
        raise Refuse(
            "conflict",
            f"namespace {command.name!r} still holds {kept} secret{'' if kept == 1 else 's'} or configs",
            hint="remove them first",
            subject=f"namespace {command.name}",
        )
    draft.emit(ev.NamespaceDeleted(name=command.name))


def issue_token(draft: Draft, command: cm.IssueToken) -> None:
    if not command.id or command.id in draft.state.tokens:
        raise Refuse("already-exists", f"token {command.id!r} exists")
    if command.expires_ms and not draft.header.time_ms < command.expires_ms <= MAX_QUANTITY:
        raise Refuse("invalid", "the token would have expired before it was made, or never within the reach of a clock")
    if len(command.note) > MAX_NOTE or len(command.labels) > MAX_LABELS:
        raise Refuse("limit", f"a token has a note of {MAX_NOTE} characters and {MAX_LABELS} labels at most")
    if command.purpose is TokenPurpose.JOIN:
        if not 1 <= command.uses <= 10_000:
            raise Refuse("invalid", f"a join token is for 1 to 10000 nodes, not {command.uses}")
        if not command.expires_ms:
            raise Refuse("invalid", "a join token must expire", hint="give it a time to live, e.g. --ttl 1h")
    if command.purpose is TokenPurpose.LOGIN and not command.expires_ms:
        raise Refuse("invalid", "a login must expire", hint="give it a time to live, e.g. 10m")
    if command.purpose is TokenPurpose.SESSION:
        raise Refuse("invalid", "a session is opened by a login or an API token")
    require_room_for_token(draft)
    draft.emit(
        ev.TokenIssued(
            id=command.id,
            purpose=command.purpose,
            digest=command.digest,
            expires_ms=command.expires_ms,
            uses={TokenPurpose.JOIN: command.uses, TokenPurpose.LOGIN: 1}.get(command.purpose, 0),
            note=command.note,
            labels=command.labels,
        )
    )


def require_room_for_token(draft: Draft) -> None:
    if len(draft.state.tokens) >= MAX_TOKENS:
        raise Refuse("limit", f"the fabric holds {MAX_TOKENS} tokens, the most it can", hint="revoke some")


def revoke_token(draft: Draft, command: cm.RevokeToken) -> None:
    token = draft.state.tokens.get(command.id)
    if token is None:
        raise Refuse("not-found", f"there is no token {command.id}", hint="omnitide token list")
    if token.revoked:
        return
    if not command.force and _is_last_way_in(draft, token):
        raise Refuse(
            "conflict",
            f"token {token.id} is the last API token that is valid: without it nobody can ask the fabric for anything",
            hint="another first: omnitide token create --api; or --force, and after it `omnitide up` where Nexus runs",
            subject=f"token {token.id}",
        )
    draft.emit(ev.TokenRevoked(id=command.id))


def _is_last_way_in(draft: Draft, token: Token) -> bool:
    def opens(one: Token) -> bool:
        ended = one.revoked or 0 < one.expires_ms <= draft.header.time_ms
        return one.purpose is TokenPurpose.API and not ended

    return opens(token) and not any(opens(one) for one in draft.state.tokens.values() if one.id != token.id)


def forget(draft: Draft, command: cm.Forget) -> None:
    """Finished jobs beyond the newest `keep_jobs` or older than the limit, and tokens long dead but for the newest
    `keep_tokens` of those that events and versions may name."""
    state = draft.state
    finished = sorted((job.finished_ms, job.id) for job in state.jobs.values() if job.finished_ms and not job.strays)
    excess = len(finished) - command.keep_jobs
    gone = [
        job
        for index, (finished_ms, job) in enumerate(finished)
        if finished_ms < command.finished_before_ms or index < excess
    ]
    for start in range(0, min(len(gone), 5000), 500):
        draft.emit(jobs_removed(draft, tuple(gone[start : start + 500])))
    dead = [token for token in state.tokens.values() if is_long_dead(token, command.finished_before_ms)]
    kept: set[str] = set()
    for purpose in _CALLERS if command.keep_tokens else ():
        newest = sorted(((one.revision, one.id) for one in dead if one.purpose is purpose), reverse=True)
        kept.update(identifier for _, identifier in newest[: command.keep_tokens])
    forgotten = sorted(token.id for token in dead if token.id not in kept)
    if forgotten:
        draft.emit(ev.TokensForgotten(ids=tuple(forgotten[:5000])))


def is_long_dead(token: Token, before_ms: int) -> bool:
    """Whether it expired before a log time, or is revoked and was made before it."""
    expired = 0 < token.expires_ms < before_ms
    return expired or (token.revoked and token.created_ms < before_ms)
