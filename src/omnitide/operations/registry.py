"""Every operation that there is. A surface is made from this list and from nothing else."""

from collections.abc import Iterable, Iterator
from typing import Final

from omnitide.fabric.authorize import BESIDE_THE_LOG, PERMISSIONS
from omnitide.operations import (
    agents,
    blobs,
    events,
    fabric,
    foreseeing,
    instances,
    jobs,
    joining,
    logins,
    logs,
    manifests,
    metrics,
    namespaces,
    nodes,
    secrets,
    services,
    tokens,
    view,
    volumes,
)
from omnitide.operations.operation import OPEN, AnyDeclaration, AnyOperation, Bulk, Operation, Stream


class Registry:
    """Operations by name. Raises ValueError for a list that contradicts itself."""

    def __init__(self, declarations: Iterable[AnyDeclaration]) -> None:
        self._by_name: dict[str, AnyDeclaration] = {}
        routes: set[tuple[str, str]] = set()
        rpcs: set[str] = set()
        for declaration in declarations:
            if declaration.name in self._by_name:
                raise ValueError(f"two operations are called {declaration.name}")
            route = (declaration.method, declaration.path)
            if route in routes:
                raise ValueError(f"two operations answer {declaration.method} {declaration.path}")
            if declaration.rpc and declaration.rpc in rpcs:
                raise ValueError(f"two operations are the gRPC method {declaration.rpc}")
            _check_permission(declaration)
            routes.add(route)
            rpcs.add(declaration.rpc)
            self._by_name[declaration.name] = declaration

    def __iter__(self) -> Iterator[AnyDeclaration]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> AnyDeclaration:
        return self._by_name[name]

    def with_more(self, declarations: Iterable[AnyDeclaration]) -> "Registry":
        return Registry([*self, *declarations])

    def unary(self) -> Iterator[AnyOperation]:
        return (one for one in self if isinstance(one, Operation))

    def by_rpc(self) -> dict[str, AnyDeclaration]:
        return {one.rpc: one for one in self if one.rpc}


def _check_permission(declaration: AnyDeclaration) -> None:
    """What changes the fabric needs the permission of a command; what reads, that of reading."""
    if declaration.permission == OPEN:
        return
    writes = isinstance(declaration, Operation) and declaration.writes
    writes = writes or (isinstance(declaration, Bulk) and declaration.incoming)
    if writes and declaration.permission not in {*PERMISSIONS.values(), *BESIDE_THE_LOG}:
        raise ValueError(f"{declaration.name} changes the fabric and declares the permission of no command")
    if not writes and declaration.permission.verb != "read":
        raise ValueError(f"{declaration.name} reads and declares the verb {declaration.permission.verb!r}")
    if isinstance(declaration, Stream) and writes:
        raise ValueError(f"{declaration.name}: a stream changes nothing")


REGISTRY: Final = Registry(
    [
        *fabric.OPERATIONS,
        *namespaces.OPERATIONS,
        *tokens.OPERATIONS,
        *logins.OPERATIONS,
        *secrets.OPERATIONS,
        *blobs.OPERATIONS,
        *nodes.OPERATIONS,
        *agents.OPERATIONS,
        *manifests.OPERATIONS,
        *foreseeing.OPERATIONS,
        *jobs.OPERATIONS,
        *instances.OPERATIONS,
        *logs.OPERATIONS,
        *services.OPERATIONS,
        *volumes.OPERATIONS,
        *metrics.OPERATIONS,
        *events.OPERATIONS,
        *view.OPERATIONS,
        *joining.OPERATIONS,
    ]
)
