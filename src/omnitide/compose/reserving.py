"""What is set aside for services whose files do not say it: told once for all of them."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from omnitide.compose.context import Context, Made
from omnitide.model.quantity import format_bytes, format_cpu
from omnitide.model.spec import Resources

_NAMED: Final = 3
"""Services that a note names before it says how many more there are."""
_KEYS: Final = {"cpu": "cpus", "memory": "memory"}


def note_unreserved(context: Context, made: Mapping[str, Made]) -> None:
    """`made`: the agents of the services. A note at the first of those that lack the same."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for service, own in made.items():
        missing = tuple(name for name in _KEYS if name not in _part(own, "resources"))
        if missing:
            lacking.setdefault(missing, []).append(service)
    services = context.project.document.map("services")
    for missing, lack in lacking.items():
        path = ("services", lack[0], "deploy", "resources", "reservations")
        at = path if len(missing) == len(_KEYS) else (*path, _KEYS[missing[0]])
        limited = any(name in _part(made[service], "limits") for service in lack for name in missing)
        context.report.remark("note", at, services.at(lack[0]), _message(lack, missing, limited=limited))


def _part(made: Made, name: str) -> Mapping[str, object]:
    part = made.get(name)
    return cast("Mapping[str, object]", part) if isinstance(part, dict) else {}


def _message(lack: Sequence[str], missing: Sequence[str], *, limited: bool) -> str:
    default = Resources()
    amounts = {"cpu": f"{format_cpu(default.cpu)} cpu", "memory": f"{format_bytes(default.memory)} of memory"}
    what = " and ".join(amounts[name] for name in missing)
    verb = "are" if len(missing) > 1 else "is"
    said = "nothing is said" if len(lack) == 1 else f"nothing is said by {_listed(lack)}"
    each = " for each" if len(lack) > 1 else ""
    return f"{said}: {what} {verb} set aside{each}{'; a limit sets nothing aside' if limited else ''}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"
