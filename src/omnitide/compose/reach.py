"""How services reach each other and are reached: networks, names, ports, and who waits for whom."""

from typing import Final

from omnitide.compose.context import Context, Made, named
from omnitide.compose.quantities import text
from omnitide.compose.running import probes
from omnitide.compose.tree import Map
from omnitide.compose.view import View
from omnitide.model.names import is_name

MAX_PORTS: Final = 32
MAX_NEEDS: Final = 32
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
    _ports(view, made)
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
        aliases = network.data.get("aliases")
        others = [alias for alias, _, _ in network.entries("aliases") if alias != context.agents[name]]
        if aliases is not None and others:
            network.lose(
                "aliases", f"{', '.join(others)}: an agent has one name on its network, {context.agents[name]}"
            )
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
    agent = context.agents[name]
    services = context.project.document.map("services")
    if agent != name:
        message = f"the agent is called {agent}, and others on its network reach it by that name only"
        view.report.remark("loss", view.path, services.at(name), message)
    _isolation(view, context, name)


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


def _ports(view: View, made: Made) -> None:
    found: dict[str, dict[str, object]] = {}
    numbers: set[int] = set()
    host = text(view.data.get("network_mode")) == "host"
    for port in view.each("ports"):
        target, protocol = port.whole("target"), port.text("protocol") or "tcp"
        published, given = port.text("published"), port.text("name")
        wrong = _wrong(target, protocol, len(found), host)
        if wrong or target is None:
            port.report.used(port.path)
            port.report.remark("note" if host else "loss", port.path, port.place(), wrong)
            continue
        number = int(published) if published.isdecimal() and int(published) <= 65535 else 0
        one: dict[str, object] = {"target": target}
        if published and not number and published != "0":
            port.lose("published", f"{published}: a port has one number, or any that is free: it is given a free one")
        if number in numbers:
            said = f"{number} is open for another protocol already: a number serves one, and this gets a free one"
            port.report.remark("loss", (*port.path, "published"), port.place("published"), said)
            number = 0
        if number:
            one["port"] = number
            numbers.add(number)
        if protocol == "udp":
            one["protocol"] = protocol
        name = given if is_name(given) and given not in found else ""
        if given and not name:
            port.note("name", f"{given!r} is no name here, or is taken")
        for wanted in (name, f"{protocol}-{target}", f"{protocol}-{target}-{published}", f"{protocol}-{len(found)}-x"):
            if is_name(wanted) and wanted not in found:
                found[wanted] = one
                break
        if port.text("host_ip") not in ("", "0.0.0.0", "::"):
            port.lose("host_ip")
        port.rest()
    if found:
        made["ports"] = found


def _wrong(target: int | None, protocol: str, count: int, host: bool) -> str:
    if host:
        return "means nothing with network_mode host: what it listens on is open on the node"
    if target is None or not 0 < target <= 65535:
        return "names no port of the container"
    if protocol not in ("tcp", "udp"):
        return f"{protocol!r}: a port is tcp or udp"
    return f"an agent takes {MAX_PORTS} ports" if count >= MAX_PORTS else ""


def _needs(view: View, context: Context, made: Made) -> None:
    needs: dict[str, str] = {}
    for wait in view.each("depends_on"):
        other = str(wait.path[-1])
        condition = wait.text("condition") or "service_started"
        required = wait.use("required")
        service = context.services.get(other)
        if service is None:
            wait.note("required", f"{other} is left out, and not waited for")
            wait.report.used(wait.path)
            continue
        if required is False:
            wait.note("required", f"{other} is there: it is waited for")
        need = _CONDITIONS.get(condition, "started")
        if need == "ready" and not probes(service):
            message = f"{other} says nothing of its health here, so that it counts as ready once it runs"
            wait.note("condition", message)
        if len(needs) >= MAX_NEEDS:
            wait.report.remark("loss", wait.path, wait.place(), f"an agent waits for {MAX_NEEDS} others at most")
        else:
            needs[context.agents[other]] = need
        if wait.data.get("restart") is False:
            wait.use("restart")
        wait.rest()
    for written, place, path in view.entries("links"):
        other, _, alias = written.partition(":")
        if other in context.services:
            needs.setdefault(context.agents[other], "started")
        if alias and alias != other:
            message = f"{alias}: services reach each other by their own names: {context.agents.get(other, other)}"
            view.report.remark("loss", path, place, message)
        else:
            view.report.remark("note", path, place, f"{other} is waited for, and reached by its name")
    if needs:
        made["needs"] = needs
