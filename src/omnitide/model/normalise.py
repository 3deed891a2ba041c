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


def present_as(value: object, type_: mi.Type) -> object:
    """A value of a field, as `present` would write it."""
    return _map_quantities(msgspec.to_builtins(value), type_, _shown)


def has_quantities(type_: type) -> bool:
    """Whether `present` differs from plain encoding for this type."""
    return _has_quantity(info_of(type_))


def _shown(kind: str, value: object) -> object:
    if kind != "cpu" or not isinstance(value, int):
        return value
    return value // 1000 if value % 1000 == 0 else value / 1000


def _map_quantities(data: object, type_: mi.Type, leaf: Callable[[str, object], object]) -> object:
    """`data` with each quantity in it replaced by what `leaf` makes of (kind, value)."""
    if not _has_quantity(type_):
        return data
    kind = quantity_kind(type_)
    if kind:
        return leaf(kind, data)
    type_ = bare(type_)
    if isinstance(type_, mi.StructType) and isinstance(data, Mapping):
        fields = {field.encode_name: field.type for field in type_.fields}
        items = cast("Mapping[str, object]", data).items()
        return {key: _map_quantities(value, fields[key], leaf) if key in fields else value for key, value in items}
    if isinstance(type_, mi.DictType) and isinstance(data, Mapping):
        items = cast("Mapping[str, object]", data).items()
        return {key: _map_quantities(value, type_.value_type, leaf) for key, value in items}
    if isinstance(type_, mi.VarTupleType | mi.ListType) and isinstance(data, list | tuple):
        values = cast("list[object]", data)
        return [_map_quantities(value, type_.item_type, leaf) for value in values]
    return data


def _has_quantity(type_: mi.Type) -> bool:
    if quantity_kind(type_):
        return True
    type_ = bare(type_)
    if isinstance(type_, mi.StructType):
        return _struct_has_quantity(type_.cls)
    if isinstance(type_, mi.DictType):
        return _has_quantity(type_.value_type)
    return isinstance(type_, mi.VarTupleType | mi.ListType) and _has_quantity(type_.item_type)


@functools.lru_cache(maxsize=1024)
def info_of(type_: type) -> mi.Type:
    """What msgspec knows of a type; asking it anew takes as long as reading a spec."""
    return mi.type_info(type_)


@functools.lru_cache(maxsize=1024)
def _struct_has_quantity(cls: type) -> bool:
    info = info_of(cls)
    return isinstance(info, mi.StructType) and any(_has_quantity(field.type) for field in info.fields)


def _fault_of(error: Exception) -> Fault:
    """What msgspec says, where the collector finds nothing wrong."""
    message, _, place = str(error).partition(" - at ")
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", place)
    return Fault(tuple(name or int(index) for name, index in steps), message)
