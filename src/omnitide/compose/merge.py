"""How a later file, or the one that extends, changes an earlier one: the specification's rules of merging.

Mappings are merged key by key, lists are joined, anything else is replaced; what differs from that stands in the
tables. Works on documents that have been brought into shape.
"""

from collections.abc import Callable
from typing import Final

from omnitide.compose.quantities import text
from omnitide.compose.tree import Map, Path, Seq, copied, dotted, refuse

_REPLACED: Final = {("command",), ("entrypoint",), ("healthcheck", "test")}
"""Of a service: the later one stands alone."""
_KEYED: Final = {"environment", "labels", "annotations", "sysctls", "args"}
"""A key without a value is a value too."""

Identity = Callable[[object], object]


def _target(entry: object) -> object:
    return entry.get("target") or entry.get("source") if isinstance(entry, Map) else text(entry)


def _port(entry: object) -> object:
    if not isinstance(entry, Map):
        return text(entry)
    address = text(entry.get("host_ip")) or "0.0.0.0"  # what Compose takes for none
    return address, text(entry.get("published")), text(entry.get("target")), text(entry.get("protocol") or "tcp")


def _path(entry: object) -> object:
    return entry.get("path") if isinstance(entry, Map) else text(entry)


def _key(entry: object) -> object:
    return text(entry).partition("=")[0]


_IDENTITY: Final[dict[str, Identity]] = {
    "ports": _port, "volumes": _target, "devices": _target, "secrets": _target, "configs": _target, "env_file": _path,
    "expose": text, "cap_add": text, "cap_drop": text, "dns": text, "dns_opt": text, "dns_search": text, "tmpfs": _key,
    "profiles": text, "links": text,
}  # fmt: skip
"""Lists of a service in which the later of two with one identity takes the place of the earlier."""


def merge(base: Map, over: Map, path: Path = ()) -> Map:
    """`base`, changed in place by `over`. Raises ManifestError."""
    for key in over.replaces:
        base.drop(key)
    for key, value in over.items():
        place = over.at(key)
        if key not in base:
            base.put(key, copied(value), place)
            continue
        base.put(key, _merged(base[key], value, (*path, key), over), place)
    return base


def unify(document: Map) -> None:
    """Leave one entry of each identity in the lists of a document, as it is once it is written."""
    for kind in ("services", "jobs"):
        for service in document.map(kind).values():
            if isinstance(service, Map):
                for key, identity in _IDENTITY.items():
                    listed = service.get(key)
                    if isinstance(listed, Seq):
                        service[key] = _unique(listed, identity)


def _merged(old: object, new: object, path: Path, holder: Map) -> object:
    within = path[2:] if path[:1] in (("services",), ("jobs",)) else ()
    key = str(path[-1])
    place = holder.at(key)
    if within in _REPLACED:
        return copied(new)
    if new is None:
        return None if len(path) > 1 and str(path[-2]) in _KEYED else old
    if within[:1] == ("ulimits",) and len(within) == 2 and not (isinstance(old, Map) and isinstance(new, Map)):
        return copied(new)
    if within == ("logging",) and isinstance(old, Map) and isinstance(new, Map):
        drivers = old.get("driver"), new.get("driver")
        if None not in drivers and drivers[0] != drivers[1]:
            return copied(new)
    if old is None:
        return copied(new)
    if isinstance(old, Map):
        if not isinstance(new, Map):
            raise refuse(place, dotted(path), "has fields in an earlier file and none here")
        return merge(old, new, path)
    if isinstance(old, Seq):
        if not isinstance(new, Seq):
            raise refuse(place, dotted(path), "is a list in an earlier file and none here")
        joined = Seq(old.place)
        for value, at in [*old.pairs(), *new.pairs()]:
            if value not in joined:
                joined.add(copied(value), at)
        identity = _IDENTITY.get(str(within[0])) if len(within) == 1 else None
        return joined if identity is None else _unique(joined, identity)
    return copied(new)


def _unique(listed: Seq, identity: Identity) -> Seq:
    """The last entry of each identity, where the first of it stood."""
    made = Seq(listed.place)
    where: dict[object, int] = {}
    for value, place in listed.pairs():
        name = identity(value)
        if name in where:
            made[where[name]], made.places[where[name]] = value, place
        else:
            where[name] = len(made)
            made.add(value, place)
    return made
