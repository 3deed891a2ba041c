"""What containers and networks of a node are called, and the labels by which a node knows its own again."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

from omnitide.drivers.protocol import Launch, RunKey

NODE: Final = "omnitide.node"
INSTANCE: Final = "omnitide.instance"
ATTEMPT: Final = "omnitide.attempt"
NAMESPACE: Final = "omnitide.namespace"
WORKLOAD: Final = "omnitide.workload"
NAME: Final = "omnitide.name"
UNENFORCED: Final = "omnitide.unenforced"
STOP_SIGNAL: Final = "omnitide.stop-signal"
STOP_GRACE: Final = "omnitide.stop-grace-ms"
PRE_STOP: Final = "omnitide.pre-stop"
NETWORK: Final = "omnitide.network"
OPAQUE: Final = "omnitide.label."
"""Before the labels that belong to the proxy."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")


def container_name(node_id: str, key: RunKey) -> str:
    """The same for the same attempt, always: the engine refuses to make it twice."""
    return f"omnitide-{word(node_id)[:16]}-{word(key.instance)}-{key.attempt}"


def users_name(node_id: str) -> str:
    """Of the container in which users are looked up."""
    return f"omnitide-{word(node_id)[:16]}-users"


def contents_name(node_id: str) -> str:
    """Of the container, and of the engine's volume, by which a volume of the node gets its first files."""
    return f"omnitide-{word(node_id)[:16]}-contents"


def network_name(node_id: str, namespace: str, network: str) -> str:
    return f"omnitide-{word(node_id)[:16]}-{word(namespace or 'default')}-{network}"


def word(text: str) -> str:
    """The text itself, or if it could be no part of a name or path, a digest of it."""
    return text if _PLAIN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()[:32]


def labels(launch: Launch, node_id: str, unenforced: tuple[str, ...], network: str) -> dict[str, str]:
    return {
        NODE: node_id,
        INSTANCE: launch.key.instance,
        ATTEMPT: str(launch.key.attempt),
        NAMESPACE: launch.namespace,
        WORKLOAD: launch.workload,
        NAME: launch.name,
        UNENFORCED: ",".join(unenforced),
        STOP_SIGNAL: launch.stop_signal,
        STOP_GRACE: str(launch.stop_grace_ms),
        PRE_STOP: json.dumps(list(launch.pre_stop)),
        NETWORK: network,
        **{f"{OPAQUE}{key}": value for key, value in launch.labels.items()},
    }


def key_of(found: Mapping[str, str]) -> RunKey | None:
    """Of a container's labels; None for one that is not ours."""
    instance, attempt = found.get(INSTANCE, ""), found.get(ATTEMPT, "")
    if not instance or not (attempt.isascii() and attempt.isdecimal()):
        return None
    return RunKey(instance, int(attempt))


def opaque(found: Mapping[str, str]) -> dict[str, str]:
    return {key.removeprefix(OPAQUE): value for key, value in found.items() if key.startswith(OPAQUE)}
