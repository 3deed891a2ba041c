"""Everything that is wrong with a document, told in words: a walk over it beside the type that it should have."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from msgspec import inspect as mi

from omnitide.model.names import NAME_PATTERN, RULES, suggest_name
from omnitide.model.quantity import PARSERS, QuantityError

Path = tuple[str | int, ...]

MAX_FAULTS: Final = 50
"""Faults that are collected of one document; what follows is not looked at."""
MOST_TOLD: Final = 12
"""Fields that are named where none are given; more would be a page of the reference."""
MOST_PLACES: Final = 3
"""Places that are told of a field that stands where there is none of its name."""
_DEEPEST: Final = 8
"""Levels of a type that are looked through for these places."""
_UNKNOWN: Final = "unknown field"
_NEAR: Final = "did you mean"


class Fault(NamedTuple):
    """One thing that is wrong, and where: keys and indexes from the top of the document."""

    path: Path
    message: str
    hint: str = ""


def field_of(path: Path) -> str:
    """`resources.memory`, `command[2]`; empty for the whole."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def pointer_of(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def collect(data: object, type_: mi.Type) -> list[Fault]:
    """The faults of a document, MAX_FAULTS at most, in the order in which they stand in it."""
    found = list(itertools.islice(_walk(data, type_, ()), MAX_FAULTS))
    if any(fault.message == _UNKNOWN for fault in found):
        places = _places(type_)
        found = [_with_its_place(fault, places) for fault in found]
    return found


def _with_its_place(fault: Fault, places: Mapping[str, list[str]]) -> Fault:
    """An unknown field with the places where there is one of its name, if it is near no name where it stands."""
    if fault.message != _UNKNOWN or fault.hint.startswith(_NEAR):
        return fault
    found = places.get(str(fault.path[-1]), [])[:MOST_PLACES]
    if not found:
        return fault
    *some, last = found
    return fault._replace(hint=f"{_NEAR} {', '.join(some)} or {last}?" if some else f"{_NEAR} {last}?")


def _places(type_: mi.Type) -> dict[str, list[str]]:
    """Where fields of each name may stand, the outermost first; `*` is for a key of one's own, `[]` for an item."""
    found: dict[str, list[str]] = {}
    level: list[tuple[str, mi.Type]] = [("", type_)]
    for _ in range(_DEEPEST):
        below: list[tuple[str, mi.Type]] = []
        for path, kind in level:
            plain = numbered(kind) or bare(kind)
            if isinstance(plain, mi.StructType):
                for field in plain.fields:
                    place = f"{path}.{field.encode_name}" if path else field.encode_name
                    found.setdefault(field.encode_name, []).append(place)
                    below.append((place, field.type))
            elif isinstance(plain, mi.DictType):
                below.append((f"{path}.*", plain.value_type))
            elif isinstance(plain, mi.VarTupleType | mi.ListType):
                below.append((f"{path}[]", plain.item_type))
        level = below
    return found


def unwritable(data: object, path: Path = ()) -> Iterator[Fault]:
    """Texts that no message can hold: with half of a surrogate pair, which JSON and YAML can write as an escape."""
    if len(path) > 100:
        return
    if isinstance(data, str):
        if any("\ud800" <= letter <= "\udfff" for letter in data):
            yield Fault(path, "holds half of a surrogate pair, which is no Unicode text", "a wrong \\u escape?")
    elif isinstance(data, Mapping):
        for key, value in cast("Mapping[object, object]", data).items():
            shown = str(key).encode(errors="backslashreplace").decode()
            yield from unwritable(str(key), (*path, shown))
            yield from unwritable(value, (*path, shown))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(cast("list[object]", data)):
            yield from unwritable(value, (*path, index))


def quantity_kind(type_: mi.Type) -> str:
    """`cpu`, `bytes` or `duration` for the type of a quantity, or of one that may be None; else empty."""
    if isinstance(type_, mi.Metadata):
        return str(_meta(cast("object", type_.extra)).get("quantity", "")) or quantity_kind(type_.type)
    if isinstance(type_, mi.UnionType):
        return next((kind for kind in map(quantity_kind, type_.types) if kind), "")
    return ""


def bare(type_: mi.Type) -> mi.Type:
    """Without metadata; of a union with None, the other member."""
    if isinstance(type_, mi.Metadata):
        return bare(type_.type)
    if isinstance(type_, mi.UnionType):
        others = [member for member in type_.types if not isinstance(member, mi.NoneType)]
        return bare(others[0]) if len(others) == 1 else type_
    return type_


def numbered(type_: mi.Type) -> mi.StructType | None:
    """Of a union of a whole number and a struct, the struct."""
    plain = bare(type_)
    if not isinstance(plain, mi.UnionType) or not any(isinstance(bare(one), mi.IntType) for one in plain.types):
        return None
    return next((one for one in map(bare, plain.types) if isinstance(one, mi.StructType)), None)


def _member(type_: mi.UnionType, *, fields: bool) -> mi.Type:
    """What data is meant to be that may be a whole number or a struct."""
    struct = numbered(type_)
    if struct is None:
        return type_
    return struct if fields else next(one for one in map(bare, type_.types) if isinstance(one, mi.IntType))


def _walk(data: object, type_: mi.Type, path: Path) -> Iterator[Fault]:
    if data is None and _allows_none(type_):
        return
    if len(path) > 100:
        yield Fault(path, "nested too deeply")
        return
    kind = quantity_kind(type_)
    if kind:
        yield from _quantity(data, kind, type_, path)
        return
    description = _description(type_)
    type_ = bare(type_)
    if isinstance(type_, mi.UnionType):
        type_ = _member(type_, fields=isinstance(data, dict))
    if isinstance(type_, mi.StructType):
        yield from _struct(data, type_, path)
    elif isinstance(type_, mi.DictType):
        yield from _dict(data, type_, path)
    elif isinstance(type_, mi.VarTupleType | mi.ListType):
        yield from _list(data, type_, path)
    else:
        message, hint = _leaf(data, type_, description)
        if message:
            yield Fault(path, message, hint)


def _quantity(data: object, kind: str, type_: mi.Type, path: Path) -> Iterator[Fault]:
    try:
        value = PARSERS[kind](cast("str", data))
    except QuantityError as error:
        yield Fault(path, str(error))
        return
    message, hint = _leaf(value, bare(type_), "")
    if message:
        yield Fault(path, message, hint)


def _struct(data: object, type_: mi.StructType, path: Path) -> Iterator[Fault]:
    if not isinstance(data, Mapping):
        yield Fault(path, f"expected fields, got {_named(data)}", _fields(type_))
        return
    fields = {field.encode_name: field for field in type_.fields}
    values = cast("Mapping[object, object]", data)
    for key, value in values.items():
        if key in fields:
            yield from _walk(value, fields[cast("str", key)].type, (*path, cast("str", key)))
        elif type_.forbid_unknown_fields and key != type_.tag_field:
            near = difflib.get_close_matches(str(key), fields, n=1, cutoff=0.7)
            hint = f"{_NEAR} {near[0]!r}?" if near else f"known here: {', '.join(fields)}"
            yield Fault((*path, str(key)), _UNKNOWN, hint)
    for name, field in fields.items():
        if field.required and name not in values:
            yield Fault((*path, name), "is missing")


def _fields(type_: mi.StructType) -> str:
    """Which may stand there, with what is not to be guessed of them; empty if they are too many to be told."""
    if len(type_.fields) > MOST_TOLD:
        return ""
    told: list[str] = []
    for field in type_.fields:
        kind = bare(field.type)
        more = ["must be there"] if field.required else []
        if isinstance(kind, mi.LiteralType):
            *some, last = sorted(str(value) for value in kind.values if value)
            more.append(f"{', '.join(some)} or {last}" if some else last)
        elif isinstance(kind, mi.VarTupleType | mi.ListType):
            more.append("a list")
        told.append(f"{field.encode_name} ({', '.join(more)})" if more else field.encode_name)
    return f"its fields: {', '.join(told)}"


def _dict(data: object, type_: mi.DictType, path: Path) -> Iterator[Fault]:
    if not isinstance(data, Mapping):
        yield Fault(path, f"expected keys and values, got {_named(data)}")
        return
    values = cast("Mapping[object, object]", data)
    yield from _length(len(values), type_, path, "entry", "entries")
    for key, value in values.items():
        message, hint = _leaf(key, bare(type_.key_type), _description(type_.key_type))
        if message:
            yield Fault((*path, str(key)), f"the key {message}", hint)
        yield from _walk(value, type_.value_type, (*path, str(key)))


def _list(data: object, type_: mi.VarTupleType | mi.ListType, path: Path) -> Iterator[Fault]:
    if not isinstance(data, list | tuple):
        yield Fault(path, f"expected a list, got {_named(data)}")
        return
    values = cast("list[object]", data)
    yield from _length(len(values), type_, path, "item", "items")
    for index, value in enumerate(values):
        yield from _walk(value, type_.item_type, (*path, index))


def _allows_none(type_: mi.Type) -> bool:
    if isinstance(type_, mi.Metadata):
        return _allows_none(type_.type)
    if isinstance(type_, mi.UnionType):
        return any(_allows_none(member) for member in type_.types)
    return isinstance(type_, mi.NoneType | mi.AnyType)


def _meta(extra: object) -> Mapping[str, object]:
    """msgspec's untyped extras of an annotation."""
    return cast("Mapping[str, object]", extra or {})


def _description(type_: mi.Type) -> str:
    if isinstance(type_, mi.Metadata):
        return str(_meta(cast("object", type_.extra_json_schema)).get("description", "")) or _description(type_.type)
    if isinstance(type_, mi.UnionType):
        return next((text for text in map(_description, type_.types) if text), "")
    return ""


def _length(
    count: int, type_: mi.DictType | mi.VarTupleType | mi.ListType, path: Path, one: str, many: str
) -> Iterator[Fault]:
    low, high = type_.min_length, type_.max_length
    if low is not None and count < low:
        yield Fault(path, f"needs at least {low} {one if low == 1 else many}, has {count}")
    if high is not None and count > high:
        yield Fault(path, f"takes {high} {one if high == 1 else many} at most, has {count}")


def _named(data: object) -> str:
    """What a value is, in the words of its writer."""
    names = ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "text"), (Mapping, "fields"))
    if data is None:
        return "nothing"
    return next((name for type_, name in names if isinstance(data, type_)), "a list")


def _leaf(data: object, type_: mi.Type, description: str) -> tuple[str, str]:
    """Message and hint if a scalar does not fit; empty if it does."""
    if isinstance(type_, mi.LiteralType):
        return _choice(data, [str(value) for value in type_.values])
    if isinstance(type_, mi.EnumType):
        return _choice(data, [str(member.value) for member in cast("Any", type_.cls)])
    if isinstance(type_, mi.BoolType):
        return ("" if isinstance(data, bool) else f"expected true or false, got {_named(data)}"), ""
    if isinstance(type_, mi.IntType):
        if isinstance(data, bool) or not isinstance(data, int):
            return f"expected a whole number, got {_named(data)}", ""
        return _bounds(data, type_), ""
    if isinstance(type_, mi.StrType):
        if not isinstance(data, str):
            return f"expected text, got {_named(data)}", "put it in quotes" if isinstance(data, int | float) else ""
        return _text(data, type_, description)
    return "", ""


def _choice(data: object, values: list[str]) -> tuple[str, str]:
    if isinstance(data, str) and data in values:
        return "", ""
    near = difflib.get_close_matches(data, values, n=1) if isinstance(data, str) else []
    hint = f"did you mean {near[0]!r}?" if near else ""
    return f"must be one of {', '.join(sorted(filter(None, values)))}, not {_quoted(data)}", hint


def _bounds(data: int, type_: mi.IntType) -> str:
    low = type_.ge if type_.ge is not None else type_.gt
    high = type_.le if type_.le is not None else type_.lt
    if (type_.ge is not None and data < type_.ge) or (type_.gt is not None and data <= type_.gt):
        return f"must be at least {low}, is {data}" if type_.ge is not None else f"must be above {low}, is {data}"
    if (type_.le is not None and data > type_.le) or (type_.lt is not None and data >= type_.lt):
        return f"must be at most {high}, is {data}" if type_.le is not None else f"must be below {high}, is {data}"
    return ""


def _text(data: str, type_: mi.StrType, description: str) -> tuple[str, str]:
    if type_.min_length is not None and len(data) < type_.min_length:
        return f"needs at least {type_.min_length} characters, has {len(data)}", ""
    if type_.max_length is not None and len(data) > type_.max_length:
        return f"takes {type_.max_length} characters at most, has {len(data)}", ""
    if type_.pattern is not None and re.search(type_.pattern, data) is None:
        near = suggest_name(data) if type_.pattern == NAME_PATTERN else ""
        wanted = RULES.get(type_.pattern) or description or f"it must match {type_.pattern}"
        return f"{_quoted(data)} cannot be used here: {wanted}", f"try {near!r}" if near else ""
    return "", ""


def _quoted(data: object) -> str:
    """A value in a message, cut to a readable length."""
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
