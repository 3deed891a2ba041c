"""What a deployment changes, field by field, in the words of its writer."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import cast

import msgspec
from msgspec import inspect as mi

from omnitide.fabric.state import Agent, FabricState
from omnitide.model import objects as ob
from omnitide.model.faults import Path, bare, field_of, quantity_kind
from omnitide.model.normalise import info_of
from omnitide.model.quantity import format_bytes, format_cpu, format_duration
from omnitide.model.spec import AgentSpec
from omnitide.operations.plan_notes import notes

_FORMATS = {"cpu": format_cpu, "bytes": format_bytes, "duration": format_duration}
_MAX_DIFFERENCES = 200
_MAX_SHOWN = 200
"""Characters of a value; environment values may be long."""

_ENDING = ("stopping", "stopped", "lost")


def plan_of(
    state: FabricState, now_ms: int, before: Agent | None, after: Agent, change: str, asked_replicas: int | None
) -> ob.Plan:
    """`before` and `after` are the agent on either side of the decision; `state`, at log time `now_ms`: before it."""
    counts_before = before.counts if before is not None else None
    stopping = sum(getattr(after.counts, status) for status in _ENDING)
    stopping_before = sum(getattr(counts_before, status) for status in _ENDING) if counts_before is not None else 0
    return ob.Plan(
        change=cast("ob.PlanChange", change),
        version_before=before.version if before is not None else 0,
        version_after=after.version,
        replicas_before=before.replicas if before is not None else 0,
        replicas_after=after.replicas,
        differences=tuple(differences(before.spec if before is not None else None, after.spec)),
        instances_created=_made(before, after),
        instances_stopped=max(0, stopping - stopping_before),
        note="\n".join(notes(state, now_ms, before, after, asked_replicas)),
    )


def _made(before: Agent | None, after: Agent) -> int:
    """Generations made on the way from one to the other. A slot that is new, or was retired, begins above the floor."""
    made, floor = 0, before.generation_floor if before is not None else 0
    for number, slot in after.slots.items():
        old = before.slots.get(number) if before is not None else None
        made += slot.generation - (old.generation if old is not None else floor)
    return made


def differences(before: AgentSpec | None, after: AgentSpec) -> list[ob.Difference]:
    """The first 200 fields that differ. Of a new agent, the fields that are not as they are by default."""
    walk = _walk(before or AgentSpec(command=()), after, info_of(AgentSpec), ())
    return [
        ob.Difference(path=field_of(path), before=old if before is not None else "", after=new)
        for path, old, new in islice(walk, _MAX_DIFFERENCES)
    ]


def _walk(old: object, new: object, type_: mi.Type, path: Path) -> Iterator[tuple[Path, str, str]]:
    if old == new:
        return
    plain = bare(type_)
    if isinstance(plain, mi.StructType) and isinstance(old, msgspec.Struct) and isinstance(new, msgspec.Struct):
        for field in plain.fields:
            yield from _walk(getattr(old, field.name), getattr(new, field.name), field.type, (*path, field.name))
    elif isinstance(plain, mi.DictType):
        was, will = cast("Mapping[str, object]", old), cast("Mapping[str, object]", new)
        for key in sorted({*was, *will}):
            yield from _walk(was.get(key), will.get(key), plain.value_type, (*path, key))
    else:
        yield path, _text(old, type_), _text(new, type_)


def _text(value: object, type_: mi.Type) -> str:
    if value is None:
        return ""
    kind = quantity_kind(type_)
    if kind and isinstance(value, int):
        return _FORMATS[kind](value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
