"""Rules of secrets and configs: names, versions and bounds. The values themselves never come here."""

from typing import Final

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.draft import Draft
from omnitide.fabric.rejection import Refuse
from omnitide.fabric.rules.access import require_name, require_namespace
from omnitide.fabric.state import Agent, FabricState, Provision, ProvisionKind, find_provision, provision_key
from omnitide.model.spec import WorkloadSpec

MAX_PROVISIONS: Final = 20_000
"""Secrets and configs of a fabric, together."""
MAX_VALUE_BYTES: Final = 512 << 10
"""Of one value. It travels in one message, and is held in memory by the nodes that use it."""

_NAMED: Final = 3
"""Of those who would miss what is to be removed, in a message; all are in the field beside it."""

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
    known = _removable(draft, command, "secret")
    draft.emit(ev.SecretRemoved(id=known.id, namespace=known.namespace, name=known.name))


def remove_config(draft: Draft, command: cm.RemoveConfig) -> None:
    known = _removable(draft, command, "config")
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


def _removable(draft: Draft, command: _Removal, kind: ProvisionKind) -> Provision:
    """Refuses what something would miss, as Docker Swarm does: what runs goes on without it, and could not be started
    again, on another day and by another hand. Unlike there it can be forced."""
    known = find_provision(draft.state, kind, command.namespace, command.name)
    subject = f"{kind} {command.namespace}/{command.name}"
    if known is None:
        raise Refuse("not-found", f"there is no {subject}", hint=f"omnitide {kind} ls", subject=subject)
    users = () if command.force else users_of(draft.state, kind, command.namespace, command.name)
    if users:
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        raise Refuse(
            "conflict",
            f"{', '.join(users[:_NAMED])}{more} could not be started again without the {subject}",
            hint="remove them, or deploy them without it, first; or --force",
            subject=subject,
            used_by=users,
        )
    return known


def users_of(state: FabricState, kind: ProvisionKind, namespace: str, name: str) -> tuple[str, ...]:
    """Agents and jobs that would miss it, in order: whose present specs name it, or versions of them that run. What is
    being removed misses nothing."""
    agents = (one for one in state.agents.values() if one.namespace == namespace and _misses(state, one, kind, name))
    jobs = (one for one in state.jobs.values() if one.namespace == namespace and _names(one.spec, kind, name))
    return (
        *sorted(f"agent {namespace}/{agent.name}" for agent in agents),
        *sorted(f"job {namespace}/{job.name}" for job in jobs if not job.finished_ms),
    )


def _misses(state: FabricState, agent: Agent, kind: ProvisionKind, name: str) -> bool:
    if agent.deleting:
        return False
    if _names(agent.spec, kind, name):
        return True
    before = {number for number, version in agent.versions.items() if _names(version.spec, kind, name)}
    if not before:
        return False
    current = (state.instances.get(slot.current) for slot in agent.slots.values())
    return any(one is not None and one.version in before for one in current)


def _names(spec: WorkloadSpec, kind: ProvisionKind, name: str) -> bool:
    if kind == "config":
        return name in spec.configs
    return name in spec.secrets or (spec.container is not None and spec.container.credentials == name)
