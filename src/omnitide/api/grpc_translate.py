"""Between structs and protobuf messages, by the names of their fields: one rule for every operation.

A quantity carries its unit in its name on the wire (`cpu` is `cpu_milli`), `dict[str, object]` is a protobuf Struct, a
field that may be left out has presence. What is a number or a struct is the struct's message, with one field more,
`value`, for the number. `mismatches` compares types with messages: no field can be on one side only.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from msgspec import inspect as mi

from omnitide.model.faults import bare, numbered, quantity_kind
from omnitide.model.normalise import info_of, read

_UNITS: Final = {"cpu": "_milli", "bytes": "_bytes", "duration": "_ms"}
_NUMBER: Final = "value"
_UNKNOWN: Final = float("nan")
_STRUCT: Final = struct_pb2.Struct.DESCRIPTOR.full_name

S = TypeVar("S", bound=msgspec.Struct)


def wire_name(field: mi.Field) -> str:
    return field.name + _UNITS.get(quantity_kind(field.type), "")


def _fields(type_: type) -> tuple[mi.Field, ...]:
    info = info_of(type_)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{type_.__name__} is no struct")
    return info.fields


# -- struct to message -----------------------------------------------------------------------------------------------


def fill(message: Message, value: msgspec.Struct) -> None:
    """Set a message's fields from a struct's. What is None is left out."""
    for field in _fields(type(value)):
        _set(message, wire_name(field), getattr(value, field.name))


def _set(message: Message, name: str, value: Any) -> None:
    """`Any`: the parity test has compared the struct's types with the message's."""
    if value is None:
        return
    if isinstance(value, msgspec.Struct):
        part = getattr(message, name)
        part.SetInParent()
        fill(part, value)
    elif isinstance(value, Mapping):
        _set_map(getattr(message, name), cast("Mapping[str, Any]", value))
    elif isinstance(value, tuple | list):
        repeated = getattr(message, name)
        for item in cast("tuple[Any, ...]", value):
            if isinstance(item, msgspec.Struct):
                fill(repeated.add(), item)
            else:
                # A number that is not known has no other form in a list.
                repeated.append(_UNKNOWN if item is None else item)
    else:
        setattr(message, name, value)


def _set_map(target: Any, value: Mapping[str, Any]) -> None:
    if isinstance(target, struct_pb2.Struct):
        json_format.ParseDict(msgspec.to_builtins(value), target)
        return
    for key, item in value.items():
        if isinstance(item, msgspec.Struct):
            fill(target[key], item)
        elif isinstance(target[key], Message):
            setattr(target[key], _NUMBER, item)
        else:
            target[key] = item


# -- message to struct -----------------------------------------------------------------------------------------------


def parse(message: Message, type_: type[S]) -> S:
    """A struct of what a message says. Raises model.normalise.Invalid."""
    return read(_data(message, type_), type_)


def _data(message: Message, type_: type) -> dict[str, object]:
    """A message as the data that a writer of JSON would have sent: what is absent is left out, cpu is in cores."""
    data: dict[str, object] = {}
    for field in _fields(type_):
        name = wire_name(field)
        descriptor = message.DESCRIPTOR.fields_by_name[name]
        if descriptor.has_presence and not message.HasField(name):
            continue
        value = _value(getattr(message, name), field.type)
        empty = not descriptor.has_presence and not value and not field.required
        if not empty:
            data[field.encode_name] = value
    return data


def _value(value: Any, type_: mi.Type) -> object:
    if quantity_kind(type_) == "cpu":
        return value // 1000 if value % 1000 == 0 else value / 1000
    struct = numbered(type_)
    if struct is not None:
        return value.value if value.HasField(_NUMBER) else _data(value, struct.cls)
    plain = bare(type_)
    if isinstance(plain, mi.StructType):
        return _data(value, plain.cls)
    if isinstance(plain, mi.DictType):
        if isinstance(value, struct_pb2.Struct):
            return json_format.MessageToDict(value)
        return {key: _value(item, plain.value_type) for key, item in value.items()}
    if isinstance(plain, mi.VarTupleType):
        return [_value(item, plain.item_type) for item in value]
    return value


# -- parity ----------------------------------------------------------------------------------------------------------


def mismatches(type_: type, descriptor: Descriptor, *, given: bool, besides: frozenset[str] = frozenset()) -> list[str]:
    """Where a struct and a message differ: names, kinds and presence. `given`: callers fill it in, so that what they
    leave out must be told from what they set to zero. `besides`: fields that only the message has."""
    return list(_mismatches(type_, descriptor, given, besides, {}))


def _mismatches(
    type_: type, descriptor: Descriptor, given: bool, besides: frozenset[str], seen: dict[type, str]
) -> Iterator[str]:
    if type_ in seen:
        return
    seen[type_] = descriptor.name
    if descriptor.name != type_.__name__:
        yield f"{type_.__name__} is called {descriptor.name} on the wire"
    fields = {wire_name(field): field for field in _fields(type_)}
    there = descriptor.fields_by_name
    for name in set(fields) ^ (set(there) - besides):
        yield f"{descriptor.name}.{name} is {'not on the wire' if name in fields else 'on the wire only'}"
    for name in set(fields) & set(there):
        yield from _field_mismatches(fields[name], there[name], given, seen)


def _field_mismatches(
    field: mi.Field, descriptor: FieldDescriptor, given: bool, seen: dict[type, str]
) -> Iterator[str]:
    where = descriptor.full_name
    wanted = _kind(field.type)
    found = _wire_kind(descriptor)
    if wanted != found:
        yield f"{where} is {found} on the wire and {wanted} in the struct"
        return
    struct = _struct_in(field.type)
    message = descriptor.message_type
    if message is not None and message.GetOptions().map_entry:
        message = message.fields_by_name["value"].message_type
    if struct is not None and message is not None:
        besides = frozenset({_NUMBER}) if _has_number(field.type) else frozenset[str]()
        yield from _mismatches(struct.cls, message, given, besides, seen)
    if _needs_presence(field, given) and not descriptor.has_presence:
        yield f"{where} needs presence: zero and left out are not the same"


def _needs_presence(field: mi.Field, given: bool) -> bool:
    if _kind(field.type).startswith(("repeated ", "map ", "message", "any")):
        return False
    if field.default is None:
        return True
    if not given:
        return False
    if field.required:
        return _kind(field.type) != "string"
    return field.default not in (0, "", False, msgspec.NODEFAULT)


def _kind(type_: mi.Type) -> str:
    if numbered(type_) is not None:
        return "message"
    plain = bare(type_)
    if isinstance(plain, mi.StructType):
        return "message"
    if isinstance(plain, mi.DictType):
        inner = bare(plain.value_type)
        return "any" if isinstance(inner, mi.CustomType | mi.AnyType) else f"map {_kind(inner)}"
    if isinstance(plain, mi.VarTupleType):
        return f"repeated {_kind(plain.item_type)}"
    if isinstance(plain, mi.IntType):
        return "integer"
    if isinstance(plain, mi.FloatType):
        return "number"
    return "boolean" if isinstance(plain, mi.BoolType) else "string"


def _wire_kind(descriptor: FieldDescriptor) -> str:
    message = descriptor.message_type
    if message is not None and message.GetOptions().map_entry:
        return f"map {_wire_kind(message.fields_by_name['value'])}"
    kind = {
        FieldDescriptor.TYPE_INT64: "integer",
        FieldDescriptor.TYPE_DOUBLE: "number",
        FieldDescriptor.TYPE_BOOL: "boolean",
        FieldDescriptor.TYPE_STRING: "string",
        FieldDescriptor.TYPE_MESSAGE: "any" if message is not None and message.full_name == _STRUCT else "message",
    }.get(descriptor.type, f"type {descriptor.type}")
    return f"repeated {kind}" if descriptor.is_repeated else kind


def _struct_in(type_: mi.Type) -> mi.StructType | None:
    plain = numbered(type_) or bare(type_)
    if isinstance(plain, mi.StructType):
        return plain
    if isinstance(plain, mi.DictType):
        return _struct_in(plain.value_type)
    return _struct_in(plain.item_type) if isinstance(plain, mi.VarTupleType) else None


def _has_number(type_: mi.Type) -> bool:
    """Whether the values of a map may be numbers as well as structs."""
    plain = bare(type_)
    return isinstance(plain, mi.DictType) and numbered(plain.value_type) is not None
