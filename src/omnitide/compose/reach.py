"""How services reach each other and are reached: networks, names, ports, and who waits for whom."""

import re
from typing import Final

from omnitide.compose.context import Context, Made, named
from omnitide.compose.ports import ports
from omnitide.compose.quantities import text
from omnitide.compose.running import probes
from omnitide.compose.tree import Map, Path, Place
from omnitide.compose.view import View

MAX_NEEDS: Final = 32
MAX_ALIASES: Final = 32
_ALIAS: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?")
_CONDITIONS: Final = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "completed",
}


def networks_of(service: Map) -> set[str]:
    """The networks that a service is on, by their keys."""
    if service.get("network_mode"):
        return set()
    return set(service.map("networks")) or {"default"}


def join_networks(services: dict[str, Map], project: str) -> dict[str, str]:
    """The network of each service that shares one with another: all that are joined by shared networks are on one."""
    groups: list[tuple[set[str], set[str]]] = []
    for name, service in services.items():
        own, members = networks_of(service), {name}
        if not own:
            continue
        apart: list[tuple[set[str], set[str]]] = []
        for group in groups:
            if group[0] & own:
                own, members = own | group[0], members | group[1]
            else:
                apart.append(group)
        groups = [*apart, (own, members)]
    several = [group for group in groups if len(group[1]) > 1]
    made: dict[str, str] = {}
    for own, members in several:
        name = project if len(several) == 1 else f"{project}-{min(own)}"
        network = named(name)
        if network in ("bridge", "host", "none"):
            network = f"{network}-net"
        for member in members:
            made[member] = network
    return made


def reach(view: View, context: Context, made: Made, own: Made) -> None:
    """`own` becomes the manifest's `container`."""
    name = str(view.path[-1])
    _network(view, context, name, made, own)
    ports(view, context, made)
    _needs(view, context, made)


def _network(view: View, context: Context, name: str, made: Made, own: Made) -> None:
    mode = view.text("network_mode")
    if mode in ("host", "none"):
        own["network"] = mode
    elif mode not in ("", "bridge", "default"):
        view.lose("network_mode", f"{mode!r}: an instance has a network of its own, the node's (host), or none")
    elif mode:
        # Said and the same as here.
        own["network"] = "bridge"
    for network in view.each("networks"):
        network.use("aliases")
        network.rest()
    shared = context.networks.get(name)
    if shared is None:
        for network in view.data.map("networks"):
            message = "no other service that is carried over is on it: it has the engine's own"
            place = view.data.map("networks").at(network)
            view.report.remark("note", (*view.path, "networks", network), place, message)
        return
    own["network"] = shared
    made["together"] = shared
    aliases = _aliases(view, context, name)
    if aliases:
        own["aliases"] = aliases
    _isolation(view, context, name)


def _aliases(view: View, context: Context, name: str) -> list[str]:
    """The names, besides the agent's, by which others in the file may call a service."""
    services = context.project.document.map("services")
    wanted: list[tuple[str, Place, Path]] = [(name, services.at(name), view.path)]
    if "container_name" in view:
        wanted.append((text(view.data["container_name"]), view.place("container_name"), (*view.path, "container_name")))
    for network in view.each("networks"):
        wanted += network.entries("aliases")
    for other, service in context.services.items():
        links = View(context.report, service, ("services", other)).entries("links")
        if context.networks.get(other) == context.networks[name]:
            found = ((*written.partition(":"), place, path) for written, place, path in links)
            wanted += [(alias, place, path) for linked, _, alias, place, path in found if linked == name and alias]
    made: list[str] = []
    for alias, place, path in wanted:
        if alias == context.agents[name] or alias in made:
            continue
        if _ALIAS.fullmatch(alias) is None or len(made) >= MAX_ALIASES:
            message = f"{alias!r} is no name in a network, or there are {MAX_ALIASES} already: it is not called so"
            view.report.remark("loss", path, place, message)
        else:
            made.append(alias)
    return made


def _isolation(view: View, context: Context, name: str) -> None:
    """Services that shared no network, and now do."""
    mine = networks_of(view.data)
    reached = [
        other
        for other, service in context.services.items()
        if other > name and context.networks.get(other) == context.networks[name] and not networks_of(service) & mine
    ]
    if reached:
        message = f"shares no network with {', '.join(reached)} in the file, and can reach them here"
        place = view.place("networks") if "networks" in view else view.place()
        view.report.remark("loss", (*view.path, "networks"), place, message)


def _needs(view: View, context: Context, made: Made) -> None:
    needs: dict[str, str] = {}
    for wait in view.each("depends_on"):
        other = str(wait.path[-1])
        condition = wait.text("condition") or "service_started"
        required = wait.use("required")
        service = context.services.get(other)
        if service is None:
            wait.report.used(wait.path)
            wait.report.remark("note", wait.path, wait.place(), f"{other} is left out, and not waited for")
            continue
        if required is False:
            wait.note("required", f"{other} is there: it is waited for")
        need = _CONDITIONS.get(condition, "started")
        if need == "ready" and not probes(service):
            message = (
                f"{other} has no test in the file, and what its image says of its health is not asked here: it counts"
                " as ready once it runs"
            )
            wait.lose("condition", message)
        if len(needs) >= MAX_NEEDS:
            wait.report.remark("loss", wait.path, wait.place(), f"an agent waits for {MAX_NEEDS} others at most")
        else:
            needs[context.agents[other]] = need
        if wait.data.get("restart") is False:
            wait.use("restart")
        wait.rest()
    for written, place, path in view.entries("links"):
        other, _, alias = written.partition(":")
        mine = context.networks.get(str(view.path[-1]))
        if other in context.services and (mine is None or context.networks.get(other) != mine):
            view.report.remark("loss", path, place, f"{other} shares no network with it, and links make none")
        elif alias and alias != other:
            message = f"{other} is waited for, and called {alias} by all on its network"
            view.report.remark("note", path, place, message)
        else:
            view.report.remark("note", path, place, f"{other} is waited for, and reached by its name")
    if needs:
        made["needs"] = needs
