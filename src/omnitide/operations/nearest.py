"""What may have been meant by a name that is not there: the same in another namespace, or one that is near."""

import difflib
import re
from collections.abc import Collection
from typing import Final

import msgspec

from omnitide.fabric.state import FabricState, ProvisionKind, find_provision, provision_key, scoped
from omnitide.operations.failures import Failed

MOST: Final = 2000
"""Names that are compared with: it is done between other requests, and takes some microseconds each."""
ELSEWHERE: Final = 3
"""Namespaces that a hint names; further ones are counted."""
_PROVISIONS: Final[dict[str, ProvisionKind]] = {"secret": "secret", "config": "config"}
"""By the kind that a failure names."""
_OF_WORKLOAD: Final = re.compile(r"(.+)-(\d{1,9})(?:\.(\d{1,9}))?")
"""`web-1.4`, or `web-1` for its slot."""


def with_nearest(failure: Failed, state: FabricState) -> Failed:
    """The failure with a hint that says what may have been meant, if it is of an object that is not there: one of the
    same name in other namespaces, else the nearest name."""
    cause = failure.problem
    if cause.code != "not-found":
        return failure
    kind, _, name = cause.subject.partition(" ")
    if kind == "agent" and name in state.agent_names:
        return failure  # something of it is not there, such as a version
    same = _elsewhere(kind, name, state)
    if same:
        where = "another namespace" if len(same) == 1 else "other namespaces"
        hint = f"it is in {where}: say {', '.join(same[:ELSEWHERE])}"
        more = len(same) - ELSEWHERE
        if more > 0:
            hint += f"; {more} more namespace{' has' if more == 1 else 's have'} it"
        return Failed(msgspec.structs.replace(cause, hint=hint))
    near = _nearest(kind, name, state)
    if not near:
        return failure
    hint = f"did you mean {near}?" + (f" else: {cause.hint}" if cause.hint else "")
    return Failed(msgspec.structs.replace(cause, hint=hint))


def _elsewhere(kind: str, name: str, state: FabricState) -> list[str]:
    """As commands take it, whatever their --namespace: what has this name in other namespaces, in their order."""
    if kind in ("agent", "job", *_PROVISIONS):
        asked, _, own = name.partition("/")
        if asked not in state.namespaces:
            return []
    elif kind == "instance":
        asked, own = "", name  # whoever asks has looked in one
    else:
        return []
    if not own or len(state.namespaces) > MOST:
        return []
    others = sorted(one for one in state.namespaces if one != asked)
    provision = _PROVISIONS.get(kind)
    if provision is not None:
        return [scoped(one, own) for one in others if find_provision(state, provision, one, own) is not None]
    return [scoped(one, own) for one in others if _has(state, one, own, workload=kind != "instance")]


def _has(state: FabricState, namespace: str, name: str, *, workload: bool) -> bool:
    """Whether a namespace has an instance or slot of this name, or, if `workload`, an agent or job."""
    key = scoped(namespace, name)
    if workload and (key in state.agent_names or key in state.job_names):
        return True
    match = _OF_WORKLOAD.fullmatch(name)
    if match is None:
        return False
    key = scoped(namespace, match[1])
    agent = state.agents.get(state.agent_names.get(key, ""))
    if match[3] is None:
        return agent is not None and int(match[2]) in agent.slots
    owner = agent or state.jobs.get(state.job_names.get(key, ""))
    return owner is not None and f"{owner.id}.{match[2]}.{match[3]}" in state.instances


def _nearest(kind: str, name: str, state: FabricState) -> str:
    if kind in ("agent", "job", *_PROVISIONS):
        namespace, _, own = name.partition("/")
        if namespace not in state.namespaces:
            found = _closest(namespace, state.namespaces)
            return f"the namespace {found!r}" if found else ""
        provision = _PROVISIONS.get(kind)
        if provision is not None:
            prefix = provision_key(provision, namespace, "")
            names = state.provision_names if len(state.provision_names) <= MOST else ()
            near = _closest(own, [key.removeprefix(prefix) for key in names if key.startswith(prefix)])
            return repr(near) if near else ""
        # No name is both, and people do not always know which it is.
        for other, names in (("agent", state.agent_names), ("job", state.job_names)):
            prefix = f"{namespace}/"
            if len(names) > MOST:
                continue
            near = _closest(own, [key.removeprefix(prefix) for key in names if key.startswith(prefix)])
            if near:
                return repr(near) if other == kind else f"the {other} {near!r}"
        return ""
    if kind == "node":
        near = _closest(name, state.node_names)
    elif kind == "namespace":
        near = _closest(name, state.namespaces)
    else:
        return ""
    return repr(near) if near else ""


def _closest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1) if len(known) <= MOST else []
    return found[0] if found else ""
