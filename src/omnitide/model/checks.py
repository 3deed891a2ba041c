"""What is wrong with a spec beyond the types of its fields, and is so wherever it runs."""

from collections.abc import Iterator

from omnitide.model.faults import Fault, Path
from omnitide.model.spec import Constraint, WorkloadSpec

_NO_NUL = "cannot contain the character NUL: no program can be given it"


def spec_faults(spec: WorkloadSpec) -> list[Fault]:
    """Faults with paths relative to the spec."""
    faults = [Fault(path, _NO_NUL) for path, text in _texts(spec) if "\0" in text]
    for index, constraint in enumerate(spec.constraints):
        message = _arity(constraint)
        if message:
            faults.append(Fault(("constraints", index, "values"), message))
    return faults


def _texts(spec: WorkloadSpec) -> Iterator[tuple[Path, str]]:
    for index, argument in enumerate(spec.command):
        yield ("command", index), argument
    for key, value in spec.environment.items():
        yield ("environment", key), value
    yield ("working_directory",), spec.working_directory
    yield ("user",), spec.user


def _arity(constraint: Constraint) -> str:
    count = len(constraint.values)
    if constraint.operator in ("=", "!=") and count != 1:
        return f"the operator {constraint.operator!r} takes one value, not {count}"
    if constraint.operator in ("in", "not-in") and count == 0:
        return f"the operator {constraint.operator!r} needs values"
    if constraint.operator in ("exists", "absent") and count:
        return f"the operator {constraint.operator!r} takes no values"
    return ""
