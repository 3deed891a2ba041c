"""Secrets and configs that an instance waits for: which there are none of now, and the command that makes one."""

from collections.abc import Iterator
from typing import Final

from omnitide.fabric.state import (
    DEFAULT_NAMESPACE,
    FabricState,
    Instance,
    ProvisionKind,
    find_provision,
    scoped,
    spec_of_instance,
)
from omnitide.model.spec import WorkloadSpec

MISSING: Final = "secret-missing"
"""Cause of an attempt that could not begin without one."""


def missing_values(state: FabricState, instance: Instance) -> list[str]:
    """`secret default/x, which does not exist (to make it: ...)`: each that its spec names and nobody has set."""
    found: list[str] = []
    for kind, name in _named(spec_of_instance(state, instance)):
        if find_provision(state, kind, instance.namespace, name) is None:
            which = f"{kind} {scoped(instance.namespace, name)}"
            found.append(f"{which}, which does not exist (to make it: {_command(kind, instance, name)})")
    return found


def _named(spec: WorkloadSpec) -> Iterator[tuple[ProvisionKind, str]]:
    credentials = spec.container.credentials if spec.container is not None else ""
    for name in sorted({*spec.secrets, *([credentials] if credentials else ())}):
        yield "secret", name
    for name in sorted(spec.configs):
        yield "config", name


def _command(kind: str, instance: Instance, name: str) -> str:
    namespace = "" if instance.namespace == DEFAULT_NAMESPACE else f"{instance.namespace}/"
    return f"omnitide {kind} set {namespace}{name}"
