"""Secrets and configs that an instance waits for: which there are none of now, and the command that makes one."""

from typing import Final

from omnitide.fabric.rules.conditions import unset_values
from omnitide.fabric.state import DEFAULT_NAMESPACE, FabricState, Instance, scoped, spec_of_instance

MISSING: Final = "secret-missing"
"""Cause of an attempt that could not begin without one."""


def missing_values(state: FabricState, instance: Instance) -> list[str]:
    """`secret default/x, which does not exist (to make it: ...)`: each that its spec names and nobody has set."""
    found: list[str] = []
    for kind, name in unset_values(state, instance.namespace, spec_of_instance(state, instance)):
        which = f"{kind} {scoped(instance.namespace, name)}"
        found.append(f"{which}, which does not exist (to make it: {_command(kind, instance, name)})")
    return found


def _command(kind: str, instance: Instance, name: str) -> str:
    namespace = "" if instance.namespace == DEFAULT_NAMESPACE else f"{instance.namespace}/"
    return f"omnitide {kind} set {namespace}{name}"
