"""What is wrong with a spec for the runtime that it names: parts that belong to another, probes and paths that cannot
be."""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final, cast

from omnitide.model.container import Container, Sandbox, Ulimit
from omnitide.model.faults import Fault, Path
from omnitide.model.probes import MAX_TIMEOUT_MS, Probe
from omnitide.model.provisions import INSIDE
from omnitide.model.scrape import MAX_INTERVAL_MS
from omnitide.model.spec import WorkloadSpec

DEFAULT_DRIVER: Final = "process"
NEEDED_PARTS: Final = {"process": "command", "docker": "container", "wasm": "wasm"}
"""What a spec has to have for each driver."""

_OF_THE_SYSTEM: Final = frozenset(
    {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/sys", "/dev"}
)
_OF_TYPE: Final = {
    "path": ("http",),
    "headers": ("http",),
    "command": ("exec",),
    "service": ("grpc",),
    "port": ("http", "tcp", "grpc"),
}
"""Fields of a probe and the types that read them."""


def runtime_faults(spec: WorkloadSpec) -> Iterator[Fault]:
    """Parts that the driver does not read, or lacks."""
    for driver, part in NEEDED_PARTS.items():
        if spec.driver == driver and not getattr(spec, part):
            yield _lacks(driver, part)
        elif spec.driver != driver and part != "command" and getattr(spec, part) is not None:
            yield Fault(
                (part,), f"is for the driver {driver!r}, and this one is {spec.driver!r}", f'driver = "{driver}"'
            )
    if spec.driver == "wasm" and spec.stop.pre_stop:
        yield Fault(("stop", "pre_stop"), "is not for the driver 'wasm': nothing is executed beside a module")
    if spec.isolation == "sandbox" and spec.driver != "process":
        yield Fault(("isolation",), f"is for the driver 'process'; {spec.driver!r} has its own")
    for index, path in enumerate(spec.sandbox.writable + spec.sandbox.hidden):
        if not path.startswith("/"):
            yield Fault(("sandbox",), f"{path!r} is no absolute path", f"entry {index + 1} of writable and hidden")
    if spec.options and spec.driver in NEEDED_PARTS:
        yield Fault(("options",), f"is for drivers that others ship; {spec.driver!r} reads none")
    if spec.isolation == "none" and spec.sandbox != Sandbox():
        yield Fault(("sandbox",), "is for isolation 'sandbox', and this is 'none'", 'isolation = "sandbox"')
    if spec.isolation == "sandbox":
        yield from _sandbox(spec)
    for name, port in spec.ports.items():
        for field in ("target", "host_ip"):
            if getattr(port, field) and spec.driver != "docker":
                yield Fault(("ports", name, field), "is for containers: elsewhere a port is the node's own")
    for name, volume in spec.volumes.items():
        if volume.nocopy and (spec.driver != "docker" or volume.source):
            yield Fault(("volumes", name, "nocopy"), "is for a container's volumes that the node keeps")
        if volume.read_only and spec.driver == "process" and spec.isolation == "none":
            message = "cannot be kept: a plain process finds a volume as a link, and writes as its user may"
            yield Fault(("volumes", name, "read_only"), message, 'isolation = "sandbox"')
    if spec.driver == "docker" and spec.container is not None:
        yield from _container(spec, spec.container)


def _container(spec: WorkloadSpec, part: Container) -> Iterator[Fault]:
    """What the engine would leave aside in silence, or refuse."""
    own = part.network not in ("host", "none")
    if spec.logs.max_age:
        yield Fault(("logs", "max_age"), "is not for containers: their engine keeps output by size alone")
    for name, port in spec.ports.items():
        if part.network == "none":
            yield Fault(("ports", name), "cannot be reached: container.network is 'none'")
        elif part.network == "host" and port.target not in (0, port.port):
            yield Fault(("ports", name, "target"), "means nothing: with container.network 'host' it is the node's own")
        elif part.network == "host" and port.host_ip:
            yield Fault(("ports", name, "host_ip"), "means nothing: with container.network 'host' the program binds it")
        elif port.host_ip and not _address(port.host_ip):
            yield Fault(("ports", name, "host_ip"), f"{port.host_ip!r} is no IP address", "127.0.0.1, or ::1")
    if part.aliases and (not own or part.network == "bridge"):
        message = f"are names in a network of the namespace's, and container.network is {part.network!r}"
        yield Fault(("container", "aliases"), message, 'network = "backend", say')
    for name, most in part.ulimits.items():
        if isinstance(most, Ulimit) and most.hard != -1 and (most.soft > most.hard or most.soft == -1):
            yield Fault(("container", "ulimits", name, "soft"), "is above the hard limit", "-1 is above all others")


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _sandbox(spec: WorkloadSpec) -> Iterator[Fault]:
    """What gives the inside a say over the tools by which programs come into it, or asks one without a network."""
    for path, text in (
        *((("volumes", name, "target"), volume.target) for name, volume in spec.volumes.items()),
        *((("sandbox", "writable", index), text) for index, text in enumerate(spec.sandbox.writable)),
        (("working_directory",), spec.working_directory),
    ):
        top = "/".join(text.rstrip("/").split("/")[:2])
        if text and (top in _OF_THE_SYSTEM or not text.strip("/")):
            yield Fault(path, f"{text} is the system's, which a sandbox has for reading only")
    if not spec.sandbox.network:
        for name in spec.ports:
            yield Fault(("ports", name), "cannot be reached: sandbox.network is false")


def lacking(document: object) -> Iterator[Fault]:
    """What a document that cannot be read as a spec lacks besides."""
    if not isinstance(document, Mapping):
        return
    fields = cast("Mapping[object, object]", document)
    driver = fields.get("driver", DEFAULT_DRIVER)
    part = NEEDED_PARTS.get(driver) if isinstance(driver, str) else None
    if part is not None and part not in fields:
        yield _lacks(str(driver), part)


def _lacks(driver: str, part: str) -> Fault:
    return Fault((part,), "is missing" if driver == DEFAULT_DRIVER else f"is missing: the driver {driver!r} needs it")


def probe_faults(spec: WorkloadSpec) -> Iterator[Fault]:
    for name in ("startup", "readiness", "liveness"):
        probe: Probe | None = getattr(spec.health, name)
        if probe is not None:
            yield from _probe(spec, probe, ("health", name))
    startup, liveness = spec.health.startup, spec.health.liveness
    for name, probe in (("startup", startup), ("liveness", liveness)):
        if probe is not None and probe.success_threshold != 1:
            message = "is 1 here: what is restarted when it fails has no second success to wait for"
            yield Fault(("health", name, "success_threshold"), message)


def _probe(spec: WorkloadSpec, probe: Probe, path: Path) -> Iterator[Fault]:
    plain = Probe(type=probe.type)
    for field, types in _OF_TYPE.items():
        if probe.type not in types and getattr(probe, field) != getattr(plain, field):
            yield Fault((*path, field), f"is not for probes of type {probe.type!r}")
    if probe.type == "exec":
        if spec.driver == "wasm":
            yield Fault((*path, "type"), "'exec' is for programs: a module has none beside it")
        if not probe.command or not probe.command[0].strip():
            yield Fault((*path, "command"), "is missing: a probe of type 'exec' runs it")
    elif probe.port is None:
        if len(spec.ports) != 1:
            known = ", ".join(spec.ports) or "there is none"
            yield Fault((*path, "port"), "is missing", f"the name of one of `ports`: {known}")
    elif probe.port not in spec.ports:
        known = ", ".join(spec.ports) or "there is none"
        yield Fault((*path, "port"), f"{probe.port!r} is not one of `ports`", f"known: {known}")
    if probe.timeout > MAX_TIMEOUT_MS:
        yield Fault((*path, "timeout"), "is longer than ten minutes", "an answer is waited for no longer than that")


def metrics_faults(spec: WorkloadSpec) -> Iterator[Fault]:
    metrics = spec.metrics
    if metrics is None:
        return
    known = ", ".join(spec.ports) or "there is none"
    if metrics.port is None and len(spec.ports) != 1:
        yield Fault(("metrics", "port"), "is missing", f"the name of one of `ports`: {known}")
    elif metrics.port is not None and metrics.port not in spec.ports:
        yield Fault(("metrics", "port"), f"{metrics.port!r} is not one of `ports`", f"known: {known}")
    if metrics.interval > MAX_INTERVAL_MS:
        yield Fault(("metrics", "interval"), "is longer than five minutes")


def provision_faults(spec: WorkloadSpec) -> Iterator[Fault]:
    """Paths that lead out of where they have to stay, and two things in one place."""
    for index, artifact in enumerate(spec.artifacts):
        message = _below(artifact.path) if artifact.path else ""
        if message:
            yield Fault(("artifacts", index, "path"), message)
        if artifact.unpack and artifact.executable:
            hint = "an archive says itself which of its files can be executed"
            yield Fault(("artifacts", index, "executable"), "is for a file, and this is unpacked", hint)
        if artifact.source.startswith("sha256:") and artifact.checksum not in (None, artifact.source):
            message = "is not the blob's: its source says what it holds"
            yield Fault(("artifacts", index, "checksum"), message, "leave it out")
    within = spec.driver != "process" or spec.isolation == "sandbox"
    for name, volume in spec.volumes.items():
        message = _absolute(volume.target) if within else _below(volume.target)
        if message:
            yield Fault(("volumes", name, "target"), message)
        if volume.source and (not volume.source.startswith("/") or ".." in volume.source.split("/")):
            yield Fault(("volumes", name, "source"), "is an absolute path of the node, without `..`")
        if volume.source and volume.name is not None:
            yield Fault(("volumes", name, "name"), "is for volumes that the node keeps; this one is a path")
    for part, uses in (("secrets", spec.secrets), ("configs", spec.configs)):
        for name, use in uses.items():
            if use.environment is not None and not use.file and use.on_change not in ("keep", "restart"):
                message = f"{use.on_change!r} is for files: what runs keeps the variables that it was started with"
                yield Fault((part, name, "on_change"), message, "keep, restart, or a file beside the variable")
            if not use.file:
                continue
            message = _absolute(use.file) if use.file.startswith("/") else _below(use.file)
            if use.file.startswith("/") and spec.driver != "docker":
                message = "is below the directory that the instance is given, except in a container"
            if message:
                yield Fault((part, name, "file"), message)
    yield from _same_place(spec)


def _same_place(spec: WorkloadSpec) -> Iterator[Fault]:
    targets: dict[str, str] = {}
    for name, volume in spec.volumes.items():
        first = targets.setdefault(volume.target.rstrip("/"), name)
        if first != name:
            yield Fault(("volumes", name, "target"), f"is the target of the volume {first!r} already")
    yield from _same_file(spec)
    variables: dict[str, str] = dict.fromkeys(spec.environment, "environment")
    for part, uses in (("secrets", spec.secrets), ("configs", spec.configs)):
        for name, use in uses.items():
            if use.environment is None:
                continue
            first = variables.setdefault(use.environment, f"{part}.{name}")
            if first != f"{part}.{name}":
                yield Fault((part, name, "environment"), f"{use.environment} is set by {first} already")


def _same_file(spec: WorkloadSpec) -> Iterator[Fault]:
    """Each file of a secret or config has a place of its own: none is where another is, nor below it."""
    mounted = spec.driver != "process"
    volumes = {_parts(one.target): name for name, one in spec.volumes.items() if mounted}
    files: dict[tuple[str, ...], str] = {}
    for part, uses in (("secrets", spec.secrets), ("configs", spec.configs)):
        for name, use in uses.items():
            file = use.file or ("" if use.environment is not None else name)
            if not file:
                continue
            at = _parts(file if file.startswith("/") else f"{INSIDE[part]}/{file}")
            other = next((one for one in files if one[: len(at)] == at[: len(one)]), None)
            if at in volumes:
                yield Fault((part, name, "file"), f"is the target of the volume {volumes[at]!r} already")
            elif other is None:
                files[at] = f"{part}.{name}"
            else:
                how = "is the file of" if other == at else "is in the way of the file of"
                yield Fault((part, name, "file"), f"{how} {files[other]}")


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _below(path: str) -> str:
    """What is wrong with a path that has to stay below a directory."""
    if path.startswith("/") or ".." in path.split("/"):
        return "is below the instance's directory: no absolute path, and no `..`"
    if "\0" in path or not path.strip("/."):
        return "names nothing below the instance's directory"
    return ""


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path or not path.strip("/"):
        return "is an absolute path, without `..`, and not / itself"
    return ""
