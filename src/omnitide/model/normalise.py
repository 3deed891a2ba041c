"""Between what people and programs write (JSON, TOML, YAML: "64MiB", 0.5, "3s") and the structs that the fabric keeps.

`read` makes a struct or raises Invalid with every fault and its path, not only the first. `present` goes the other way:
sizes are bytes, durations milliseconds and cpu cores, so that what is read can be written back and means the same.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import msgspec
from msgspec import inspect as mi

from omnitide.model.faults import Fault, bare, collect, field_of, quantity_kind
from omnitide.model.quantity import PARSERS, QuantityError

T = TypeVar("T")
Leaf = Callable[[str, object], object]
"""What to make of a quantity, by its kind and its value."""
Plan = Callable[[object, Leaf], object]


class Invalid(ValueError):
    """What was written cannot be read as the type that was asked for."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{field_of(fault.path) or 'it'}: {fault.message}" for fault in faults[:5]))
        self.faults = faults


def read(data: object, type_: type[T]) -> T:
    """A value of `type_` from JSON-like data with quantities as people write them. Raises Invalid."""
    normalised = normalise(data, type_)
    try:
        return msgspec.convert(normalised, type=type_, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Invalid(tuple(collect(data, info_of(type_))) or (_fault_of(error),)) from error


def normalise(data: object, type_: type) -> object:
    """The same data with every quantity as the integer that the fabric keeps.

    Raises Invalid if one is none, with every other fault of the document too. Else what does not fit the type is left
    as it is: telling of that is for `read`.
    """
    wrong = False

    def parse(kind: str, value: object) -> object:
        nonlocal wrong
        if value is None:
            return None
        try:
            return PARSERS[kind](cast("str", value))
        except QuantityError:
            wrong = True
            return value

    made = _map_quantities(data, info_of(type_), parse)
    if wrong:
        raise Invalid(tuple(collect(data, info_of(type_))))
    return made


def present(value: msgspec.Struct) -> object:
    """A struct as JSON-like data that `read` understands: quantities are numbers in people's units."""
    return _map_quantities(msgspec.to_builtins(value), info_of(type(value)), _shown)


def quantities_as(data: object, type_: mi.Type, leaf: Leaf) -> object:
    """JSON-like data of a type, with each quantity as `leaf` would write it."""
    return _map_quantities(data, type_, leaf)


def present_as(value: object, type_: mi.Type) -> object:
    """A value of a field, as `present` would write it."""
    return _map_quantities(msgspec.to_builtins(value), type_, _shown)


def has_quantities(type_: type) -> bool:
    """Whether `present` differs from plain encoding for this type."""
    return _plan(info_of(type_)) is not None


def _shown(kind: str, value: object) -> object:
    if kind != "cpu" or not isinstance(value, int):
        return value
    return value // 1000 if value % 1000 == 0 else value / 1000


def _map_quantities(data: object, type_: mi.Type, leaf: Leaf) -> object:
    """`data` with each quantity in it replaced by what `leaf` makes of its kind and value."""
    plan = _plan(type_)
    return data if plan is None else plan(data, leaf)


def _plan(type_: mi.Type) -> Plan | None:
    """How to find the quantities in data of a type; None if it has none. Made once for each struct."""
    kind = quantity_kind(type_)
    if kind:
        return lambda data, leaf: leaf(kind, data)
    type_ = bare(type_)
    if isinstance(type_, mi.StructType):
        return _struct_plan(type_.cls)
    if isinstance(type_, mi.DictType):
        return _dict_plan(_plan(type_.value_type))
    if isinstance(type_, mi.VarTupleType | mi.ListType):
        return _list_plan(_plan(type_.item_type))
    return None


def _dict_plan(inner: Plan | None) -> Plan | None:
    def apply(data: object, leaf: Leaf) -> object:
        if inner is None or not isinstance(data, Mapping):
            return data
        return {key: inner(value, leaf) for key, value in cast("Mapping[str, object]", data).items()}

    return None if inner is None else apply


def _list_plan(inner: Plan | None) -> Plan | None:
    def apply(data: object, leaf: Leaf) -> object:
        if inner is None or not isinstance(data, list | tuple):
            return data
        return [inner(value, leaf) for value in cast("list[object]", data)]

    return None if inner is None else apply


@functools.lru_cache(maxsize=1024)
def info_of(type_: type) -> mi.Type:
    """What msgspec knows of a type; asking it anew takes as long as reading a spec."""
    return mi.type_info(type_)


@functools.lru_cache(maxsize=1024)
def _struct_plan(cls: type) -> Plan | None:
    info = info_of(cls)
    if not isinstance(info, mi.StructType):
        return None
    plans = {field.encode_name: plan for field in info.fields if (plan := _plan(field.type)) is not None}

    def apply(data: object, leaf: Leaf) -> object:
        if not isinstance(data, Mapping):
            return data
        made = dict(cast("Mapping[str, object]", data))
        for name, plan in plans.items():
            if name in made:
                made[name] = plan(made[name], leaf)
        return made

    return apply if plans else None


def _fault_of(error: Exception) -> Fault:
    """What msgspec says, where the collector finds nothing wrong."""
    message, _, place = str(error).partition(" - at ")
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)
    return Fault(tuple(name or int(index) for name, index in steps), message)
