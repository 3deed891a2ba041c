"""What may have been meant by a name that is not there."""

import difflib
from collections.abc import Collection
from typing import Final

import msgspec

from omnitide.fabric.state import FabricState
from omnitide.operations.failures import Failed

MOST: Final = 2000
"""Names that are compared with: it is done between other requests, and takes some microseconds each."""


def with_nearest(failure: Failed, state: FabricState) -> Failed:
    """The failure with the nearest name in its hint, if it is of an object that is not there and one is near."""
    cause = failure.problem
    if cause.code != "not-found":
        return failure
    kind, _, name = cause.subject.partition(" ")
    near = _nearest(kind, name, state)
    if not near:
        return failure
    hint = f"did you mean {near}?" + (f" else: {cause.hint}" if cause.hint else "")
    return Failed(msgspec.structs.replace(cause, hint=hint))


def _nearest(kind: str, name: str, state: FabricState) -> str:
    if kind in ("agent", "job"):
        namespace, _, own = name.partition("/")
        if namespace not in state.namespaces:
            found = _closest(namespace, state.namespaces)
            return f"the namespace {found!r}" if found else ""
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
