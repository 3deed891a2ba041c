"""Files of secrets that are left in memory when what used them has been ended without its node proxy."""

from collections.abc import Iterable
from pathlib import Path


def remove_secret_files(nodes: Iterable[Path]) -> None:
    """Of all that the nodes ran, once it has ended. `nodes`: their folders."""
    from omnitide.security.errors import SecurityError
    from omnitide.security.identity import IdentityStore
    from omnitide.security.memory_folder import MemoryFolder, memory_root

    for folder in nodes:
        store = IdentityStore(folder / "identity")
        try:
            identity = store.load() if store.exists() else None
        except SecurityError:
            continue  # nothing can run, or have run, as this node; its next start sweeps what there is
        if identity is None:
            continue
        files = MemoryFolder(memory_root(identity.node_id))
        files.sweep(lambda _: False)
        files.leave()
