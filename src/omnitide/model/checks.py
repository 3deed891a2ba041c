"""What is wrong with a spec beyond the types of its fields, and is so wherever it runs."""

from collections.abc import Iterator

from omnitide.model.faults import Fault, Path
from omnitide.model.provisions import stays
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.model.runtime_checks import metrics_faults, probe_faults, provision_faults, runtime_faults
from omnitide.model.spec import MAX_GRACE_MS, AgentSpec, Constraint, Resources, WorkloadSpec

_NO_NUL = "cannot contain the character NUL: no program can be given it"


def spec_faults(spec: WorkloadSpec) -> list[Fault]:
    """Faults with paths relative to the spec."""
    faults = [Fault(path, _NO_NUL) for path, text in _texts(spec) if "\0" in text]
    for index, constraint in enumerate(spec.constraints):
        message = _arity(constraint)
        if message:
            faults.append(Fault(("constraints", index, "values"), message))
    faults += _ports(spec)
    faults += _ceilings(spec)
    faults += runtime_faults(spec)
    faults += probe_faults(spec)
    faults += metrics_faults(spec)
    faults += provision_faults(spec)
    if isinstance(spec, AgentSpec) and not spec.update.max_unavailable and not spec.update.max_surge:
        message = "with max_unavailable 0 and max_surge 0 no replica could ever be replaced"
        faults.append(Fault(("update",), message, "let one of them be 1"))
    elif isinstance(spec, AgentSpec) and not spec.update.max_unavailable and any(map(stays, spec.volumes.values())):
        message = "is 1 at least with a volume that stays on its node: the old instance has to leave it to the new one"
        faults.append(Fault(("update", "max_unavailable"), message, 'or on_move = "empty" for the volume'))
    if spec.on_disconnect == "keep" and spec.lost_after is not None:
        message = 'comes to nothing with on_disconnect = "keep": such an instance is never lost'
        faults.append(Fault(("lost_after",), message, 'leave it out, or on_disconnect = "replace"'))
    if spec.stop.grace > MAX_GRACE_MS:
        faults.append(Fault(("stop", "grace"), "is longer than a day"))
    if spec.command and not spec.command[0].strip():
        faults.append(Fault(("command", 0), "names no program", "command[0] is the program"))
    return faults


def _ports(spec: WorkloadSpec) -> Iterator[Fault]:
    """Two ports of one instance with one number: one for tcp and one for udp are no two."""
    names: dict[tuple[int, str], str] = {}
    for name, port in spec.ports.items():
        first = names.setdefault((port.port, port.protocol), name) if port.port else name
        if first != name:
            message = f"{port.port} is the number of the port {first!r} already"
            yield Fault(("ports", name, "port"), message, "0, or none, takes any free port")


def _ceilings(spec: WorkloadSpec) -> Iterator[Fault]:
    """A limit below what is set aside."""
    limits, wanted = spec.limits, spec.resources
    plain = Resources()
    for name, show in (("cpu", format_cpu), ("memory", format_bytes)):
        limit, aside = getattr(limits, name), getattr(wanted, name)
        if 0 < limit < aside:
            hint = "a limit is at least what is set aside"
            if aside == getattr(plain, name):
                hint = f"{show(aside)} is set aside where nothing is said: write resources.{name} too"
            yield Fault(("limits", name), f"{show(limit)} is below resources.{name}, {show(aside)}", hint)


def _texts(spec: WorkloadSpec) -> Iterator[tuple[Path, str]]:
    for index, argument in enumerate(spec.command):
        yield ("command", index), argument
    for key, value in spec.environment.items():
        yield ("environment", key), value
    yield ("working_directory",), spec.working_directory
    yield ("user",), spec.user
    for index, argument in enumerate(spec.stop.pre_stop):
        yield ("stop", "pre_stop", index), argument
    container = spec.container
    for index, argument in enumerate(container.entrypoint if container is not None else ()):
        yield ("container", "entrypoint", index), argument


def _arity(constraint: Constraint) -> str:
    count = len(constraint.values)
    if constraint.operator in ("=", "!=") and count != 1:
        return f"the operator {constraint.operator!r} takes one value, not {count}"
    if constraint.operator in ("in", "not-in") and count == 0:
        return f"the operator {constraint.operator!r} needs values"
    if constraint.operator in ("exists", "absent") and count:
        return f"the operator {constraint.operator!r} takes no values"
    return ""
