"""From Compose files to agents: the one entrance of this package."""

from collections.abc import Mapping, Sequence

from omnitide.compose.consistency import active, faults_of
from omnitide.compose.containers import container
from omnitide.compose.context import Context, Made, named
from omnitide.compose.handed import environment, labels, uses
from omnitide.compose.keys import fate_of
from omnitide.compose.loading import SECTIONS, load_project
from omnitide.compose.mounts import mounts
from omnitide.compose.ports import fixed_numbers
from omnitide.compose.reach import join_networks, networks_of, reach
from omnitide.compose.report import Imported, Report
from omnitide.compose.reserving import note_unreserved
from omnitide.compose.running import running
from omnitide.compose.tree import Map, Place, dotted, paths_of
from omnitide.compose.view import View
from omnitide.model.checks import spec_faults
from omnitide.model.faults import field_of
from omnitide.model.manifest import ManifestError, ManifestFault
from omnitide.model.normalise import Invalid, read
from omnitide.model.spec import AgentManifest, spec_of


def import_compose(
    files: Sequence[str],
    environment: Mapping[str, str],
    *,
    name: str = "",
    profiles: Sequence[str] = (),
    env_files: Sequence[str] = (),
) -> Imported:
    """The agents that Compose files make. `environment`: the caller's variables.

    Raises ManifestError with all that is wrong, if Compose would not take the files either or an agent cannot be made.
    """
    project = load_project(files, environment, name=name, profiles=profiles, env_files=env_files)
    faults = list(faults_of(project))
    if faults:
        raise ManifestError(faults)
    services = active(project)
    report = Report()
    carried = _carried(services, report)
    context = Context(project, report, carried, _agents(carried), {}, {}, fixed_numbers(carried.values()))
    context.networks = join_networks(carried, project.name)
    agents: list[AgentManifest] = []
    made: dict[str, Made] = {}
    for service in carried:
        try:
            agents.append(_agent(context, service, made.setdefault(service, {})))
        except ManifestError as error:
            faults += error.faults
    if faults:
        raise ManifestError(faults)
    note_unreserved(context, made)
    _rest(context, set(services))
    remarks = sorted(report.remarks, key=lambda one: (one.file, one.line, one.key))
    everything = project.document.map("services")
    return Imported(
        project=project.name,
        agents=tuple(agents),
        notes=tuple(one for one in remarks if one.kind == "note"),
        losses=tuple(one for one in remarks if one.kind == "loss"),
        create=tuple(report.create),
        left_out=tuple(service for service in everything if service not in services),
        held=tuple(report.held),
    )


def _carried(services: dict[str, Map], report: Report) -> dict[str, Map]:
    """Those that are containers."""
    made: dict[str, Map] = {}
    for name, service in services.items():
        if service.get("provider") and not service.get("image") and not service.get("build"):
            path = ("services", name)
            report.used(path)
            place = service.at("provider")
            message = f"{fate_of((*path, 'provider')).text}: the service is left out"
            report.remark("loss", (*path, "provider"), place, message)
        else:
            made[name] = service
    return made


def _agents(services: dict[str, Map]) -> dict[str, str]:
    """The agents' names: the services' own, or the nearest that is a name."""
    made: dict[str, str] = {name: name for name in services if named(name) == name}
    taken = set(made.values())
    for name in services:
        if name in made:
            continue
        wanted, count = named(name), 2
        chosen = wanted
        while chosen in taken:
            chosen = f"{wanted[:36]}-{count}"
            count += 1
        made[name] = chosen
        taken.add(chosen)
    return made


def _agent(context: Context, service: str, made: Made) -> AgentManifest:
    """`made`: empty, and filled with what it says."""
    services = context.project.document.map("services")
    view = View(context.report, services.map(service), ("services", service))
    made |= {"name": context.agents[service], "driver": "docker"}
    own: Made = {}
    container(view, context, made, own)
    environment(view, context, made)
    labels(view, context, made)
    mounts(view, context, made, own)
    for kind in ("secrets", "configs"):
        uses(view, context, made, kind)
    reach(view, context, made, own)
    running(view, made)
    view.use("profiles")
    view.rest()
    made["container"] = own
    place = services.at(service)
    try:
        manifest = read(made, AgentManifest)
    except Invalid as error:
        raise ManifestError([_fault(place, service, field_of(one.path), one.message) for one in error.faults]) from None
    faults = spec_faults(spec_of(manifest))
    if faults:
        raise ManifestError([_fault(place, service, field_of(one.path), one.message) for one in faults])
    return manifest


def _fault(place: Place, service: str, field: str, message: str) -> ManifestFault:
    # Whatever Compose refuses too is found before.
    said = f"no agent can be made of it, by a bound of Omnitide's: its {field}: {message}"
    return ManifestFault(place.file, place.line, f"services.{service}", said)


def _rest(context: Context, services: set[str]) -> None:
    """Report what is left of the document: nothing is passed over in silence."""
    report, document = context.report, context.project.document
    for variable, places in context.project.unset.items():
        place = min(places)
        report.remark("note", (f"${{{variable}}}",), place, "is not set: blank, as Compose makes it")
    for name in document.map("services"):
        if name not in services:
            report.used(("services", name))
            place = document.map("services").at(name)
            report.remark(
                "note", ("services", name), place, "is left out: none of its profiles is asked for (--profile)"
            )
    top = View(report, document, ())
    for section in SECTIONS:
        if section in document and section != "jobs" and section != "models":
            report.seen((section,))
    for network in top.each("networks"):
        _network(context, network)
    for kind in ("volumes", "secrets", "configs"):
        for name in document.map(kind):
            path = (kind, name)
            if not report.knows(path):
                report.used(path)
                report.remark("note", path, document.map(kind).at(name), "is used by no service that is carried over")
    top.use("name")
    top.rest()
    for path, place in paths_of(document):
        if not report.knows(path) and not any(str(step).startswith("x-") for step in path):
            report.used(path)
            report.remark("loss", path, place, f"{dotted(path)} is not understood here")


def _network(context: Context, network: View) -> None:
    """What the top of the file says of a network."""
    used = any(str(network.path[-1]) in networks_of(service) for service in context.services.values())
    if not used:
        network.report.used(network.path)
        network.report.remark("note", network.path, network.place(), "is used by no service that is carried over")
        return
    driver = network.text("driver")
    if driver in ("host", "none"):
        network.lose("driver", f"{driver!r}: services get a network of their own; network_mode says it of one service")
    elif driver not in ("", "bridge", "default"):
        network.lose("driver", f"{driver!r}: a network is one node's, and its services are kept together on one")
    for key in ("internal", "external", "enable_ipv6"):
        if network.is_off(key):
            network.note(key, "is so here anyway")
    network.rest()
