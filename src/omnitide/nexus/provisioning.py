"""What a node may be given for an instance: blobs and values that its spec names, while it is to run there. Pure."""

from collections.abc import Iterable

from omnitide.fabric.state import (
    FabricState,
    Instance,
    InstanceStatus,
    Provision,
    ProvisionKind,
    find_provision,
    spec_of_instance,
)
from omnitide.model.spec import WorkloadSpec

_ORDER: tuple[ProvisionKind, ...] = ("secret", "config")
_GIVEN = (InstanceStatus.PLACED, InstanceStatus.STARTING, InstanceStatus.RUNNING)


def secret_names(spec: WorkloadSpec) -> tuple[str, ...]:
    """Secrets that an instance of it is started with, in order."""
    credentials = spec.container.credentials if spec.container is not None else None
    return tuple(sorted({*spec.secrets, *((credentials,) if credentials else ())}))


def versions(state: FabricState, instance: Instance) -> tuple[dict[str, int], dict[str, int]]:
    """Present versions of the secrets and configs that an instance uses; those that there are not are absent."""
    spec = spec_of_instance(state, instance)
    if not spec.secrets and not spec.configs and spec.container is None:
        return {}, {}
    return (
        {one.name: one.version for one in _present(state, instance, "secret", secret_names(spec))},
        {one.name: one.version for one in _present(state, instance, "config", sorted(spec.configs))},
    )


def on_node(state: FabricState, identifier: str, node: str) -> Instance | None:
    """An instance that is to run on this node now; None: whoever asks for it there is not told a thing."""
    instance = state.instances.get(identifier)
    if instance is None or instance.node != node or instance.status not in _GIVEN:
        return None
    return instance


def needs_blob(state: FabricState, instance: Instance, digest: str) -> bool:
    return any(artifact.source == digest for artifact in spec_of_instance(state, instance).artifacts)


def needed(state: FabricState, instance: Instance) -> list[Provision]:
    """The secrets and configs that an instance is started with, as far as there are any."""
    spec = spec_of_instance(state, instance)
    return [
        *_present(state, instance, "secret", secret_names(spec)),
        *_present(state, instance, "config", sorted(spec.configs)),
    ]


def position(provision: Provision) -> str:
    """Where one is among those that `needed` gives, whatever has come or gone meanwhile."""
    return f"{_ORDER.index(provision.kind)}/{provision.name}"


def behind(provisions: Iterable[Provision], after: str) -> list[Provision]:
    """Those of `needed` behind a position; all where it is empty."""
    return [one for one in provisions if position(one) > after]


def nodes_using(state: FabricState, kind: ProvisionKind, namespace: str, name: str) -> tuple[str, ...]:
    """Nodes on which instances are that use it, in order."""
    found: set[str] = set()
    uses: dict[tuple[str, int], bool] = {}
    for instance in state.instances.values():
        if instance.namespace != namespace or not instance.node or instance.node in found:
            continue
        key = (instance.workload, instance.version)
        if key not in uses:
            spec = spec_of_instance(state, instance)
            uses[key] = name in (secret_names(spec) if kind == "secret" else spec.configs)
        if uses[key]:
            found.add(instance.node)
    return tuple(sorted(found))


def _present(state: FabricState, instance: Instance, kind: ProvisionKind, names: Iterable[str]) -> list[Provision]:
    found = (find_provision(state, kind, instance.namespace, name) for name in names)
    return [one for one in found if one is not None]
