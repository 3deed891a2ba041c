"""What Compose takes for said though it is not: whom a service waits for because it is linked to it, or shares a part
of it. After compose-go's normalization."""

from collections.abc import Iterator
from typing import Final

from omnitide.compose.quantities import text
from omnitide.compose.tree import Map, Place, Seq

SHARING: Final = ("network_mode", "ipc", "pid", "uts", "cgroup")
"""Keys that may say `service:NAME`."""
_SERVICE: Final = "service:"


def imply(services: Map) -> None:
    """Add to `depends_on`, in place, what other keys imply; what it says itself stands."""
    for service in services.values():
        if not isinstance(service, Map):
            continue
        for other, place in _implied(service):
            if not isinstance(service.get("depends_on"), Map):
                service.put("depends_on", Map(place), place)
            waits = service.map("depends_on")
            if other not in waits:
                how = Map(place)
                how.put("condition", "service_started", place)
                waits.put(other, how, place)


def _implied(service: Map) -> Iterator[tuple[str, Place]]:
    links = service.get("links")
    for entry, place in links.pairs() if isinstance(links, Seq) else ():
        yield text(entry).partition(":")[0], place
    for key in SHARING:
        shared = text(service.get(key))
        if shared.startswith(_SERVICE):
            yield shared.removeprefix(_SERVICE), service.at(key)
    mounts = service.get("volumes_from")
    for entry, place in mounts.pairs() if isinstance(mounts, Seq) else ():
        if not text(entry).startswith("container:"):
            yield text(entry).partition(":")[0], place
