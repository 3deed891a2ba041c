"""What of a project contradicts itself, beyond what a schema can say: the checks that Compose makes before it does
anything."""

from collections.abc import Iterator, Sequence

from omnitide.compose.loading import Project
from omnitide.compose.quantities import NotThat, cpus, size, text, truth, whole
from omnitide.compose.tree import Map, Place, Seq, refuse
from omnitide.model.manifest import ManifestFault


def enabled(service: Map, profiles: Sequence[str]) -> bool:
    """Whether one of its profiles is asked for, or it has none."""
    own = service.get("profiles")
    if not isinstance(own, Seq) or not own:
        return True
    return "*" in profiles or any(text(one) in profiles for one in own)


def active(project: Project) -> dict[str, Map]:
    """The services that the profiles leave."""
    return {
        name: service
        for name, service in project.document.map("services").items()
        if isinstance(service, Map) and enabled(service, project.profiles)
    }


def dependencies(service: Map) -> dict[str, Map]:
    """What a service waits for, by name."""
    found = service.map("depends_on")
    return {name: found.map(name) for name in found}


def faults_of(project: Project) -> Iterator[ManifestFault]:
    services = active(project)
    for name, service in services.items():
        yield from _service(project, name, service, services)
    for kind in ("secrets", "configs"):
        for name, thing in project.document.map(kind).items():
            yield from _source(kind, name, thing, project.document.map(kind).at(name))
    for kind in ("volumes", "networks"):
        for name, thing in project.document.map(kind).items():
            if isinstance(thing, Map) and is_external(thing):
                more = [key for key in thing if key not in ("external", "name") and not key.startswith("x-")]
                if more:
                    message = f"is external, and says {', '.join(more)} too: what it is, is said elsewhere"
                    yield _fault(thing.at(more[0]), f"{kind}.{name}", message)
    yield from _circles(services)


def is_external(thing: Map) -> bool:
    """Raises ManifestError if it says neither yes nor no."""
    external = thing.get("external")
    if external is None or isinstance(external, Map):
        return external is not None
    try:
        return truth(external)
    except NotThat as error:
        raise refuse(thing.at("external"), "external", str(error)) from None


def _fault(place: Place, field: str, message: str, hint: str = "") -> ManifestFault:
    return ManifestFault(place.file, place.line, field, message, hint)


def _service(project: Project, name: str, service: Map, services: dict[str, Map]) -> Iterator[ManifestFault]:
    own = f"services.{name}"
    if not any(service.get(key) for key in ("image", "build", "provider")):
        yield _fault(project.document.map("services").at(name), own, "has neither an image nor a build")
    if service.get("network_mode") and service.map("networks"):
        yield _fault(service.at("network_mode"), f"{own}.network_mode", "cannot stand beside `networks`")
    for other, how in dependencies(service).items():
        if other in services:
            continue
        place = service.map("depends_on").at(other)
        left_out = other in project.document.map("services")
        if how.get("required") is False:
            continue
        hint = "--profile takes it in" if left_out else ""
        message = f"{other!r} is left out by its profiles" if left_out else f"there is no service {other!r}"
        yield _fault(place, f"{own}.depends_on", message, hint)
    test = service.map("healthcheck").get("test")
    if isinstance(test, Seq) and test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        yield _fault(
            service.map("healthcheck").at("test"), f"{own}.healthcheck.test", "begins with CMD, CMD-SHELL or NONE"
        )
    yield from _named(project, own, service)
    yield from _mounted(own, service)
    yield from _twice(own, service)
    replicas = service.map("deploy").get("replicas")
    if replicas is not None and service.get("scale") is not None and text(replicas) != text(service["scale"]):
        yield _fault(service.at("scale"), f"{own}.scale", "is another number than deploy.replicas")


def _twice(own: str, service: Map) -> Iterator[ManifestFault]:
    """A number that is said in two places, and is another in each."""
    resources = service.map("deploy").map("resources")
    for key, part, below, how in (
        ("cpus", "limits", "cpus", cpus),
        ("mem_limit", "limits", "memory", size),
        ("mem_reservation", "reservations", "memory", size),
        ("pids_limit", "limits", "pids", whole),
    ):
        here, there = service.get(key), resources.map(part).get(below)
        try:
            differ = bool(here and there) and how(here) != how(there)
        except NotThat:
            continue  # for which it will be refused
        if differ:
            message = f"is another number than deploy.resources.{part}.{below}"
            yield _fault(service.at(key), f"{own}.{key}", message)


def _named(project: Project, own: str, service: Map) -> Iterator[ManifestFault]:
    """Things that a service names, and nothing declares."""
    for network in service.map("networks"):
        if network != "default" and network not in project.document.map("networks"):
            place = service.map("networks").at(network)
            yield _fault(place, f"{own}.networks", f"there is no network {network!r} at the top of the file")
    for key in ("volumes", "secrets", "configs"):
        listed = service.get(key)
        for entry, place in listed.pairs() if isinstance(listed, Seq) else ():
            if not isinstance(entry, Map) or (key == "volumes" and entry.get("type") != "volume"):
                continue
            source = text(entry.get("source"))
            if (source or key != "volumes") and source not in project.document.map(key):
                what = key.removesuffix("s")
                yield _fault(place, f"{own}.{key}", f"there is no {what} {source!r} at the top of the file")


def _mounted(own: str, service: Map) -> Iterator[ManifestFault]:
    """Two things in one place of a container."""
    seen: dict[str, str] = {}
    for key in ("tmpfs", "volumes"):
        listed = service.get(key)
        for entry, place in listed.pairs() if isinstance(listed, Seq) else ():
            target = text(entry.get("target")) if isinstance(entry, Map) else text(entry).partition(":")[0]
            if target in seen:
                yield _fault(place, f"{own}.{key}", f"something is mounted at {target} already")
            seen[target] = key


def _source(kind: str, name: str, thing: object, place: Place) -> Iterator[ManifestFault]:
    own = f"{kind}.{name}"
    if not isinstance(thing, Map):
        yield _fault(place, own, "says nothing of where it comes from")
        return
    ways = [key for key in ("file", "environment", "content") if thing.get(key) is not None]
    if is_external(thing):
        if ways:
            yield _fault(thing.at(ways[0]), own, f"is external, and says {ways[0]} too")
    elif not ways and not thing.get("driver"):
        yield _fault(place, own, "needs `file` or `environment`" + (" or `content`" if kind == "configs" else ""))
    elif len(ways) > 1:
        yield _fault(thing.at(ways[1]), own, f"has both {ways[0]} and {ways[1]}")


def _circles(services: dict[str, Map]) -> Iterator[ManifestFault]:
    """Services that wait for each other: each circle once."""
    done: set[str] = set()
    for start, first in services.items():
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in done:
            stack.append((start, iter(dependencies(first))))
            trail.append(start)
        while stack:
            name, rest = stack[-1]
            following = next((one for one in rest if one in services and one not in done), None)
            if following is None:
                done.add(name)
                stack.pop()
                trail.pop()
            elif following in trail:
                circle = [*trail[trail.index(following) :], following]
                place = services[name].map("depends_on").at(following)
                yield _fault(place, f"services.{name}.depends_on", "goes round in a circle: " + " -> ".join(circle))
            else:
                stack.append((following, iter(dependencies(services[following]))))
                trail.append(following)
