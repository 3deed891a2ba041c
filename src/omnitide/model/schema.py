"""JSON Schema (2020-12) of what is written and read. Defaults are in the units in which they are written."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

import msgspec
from msgspec import inspect as mi

from omnitide.model.faults import bare, quantity_kind
from omnitide.model.normalise import info_of, present_as
from omnitide.model.runtime_checks import DEFAULT_DRIVER, NEEDED_PARTS
from omnitide.model.spec import AgentManifest

Schema = dict[str, Any]
"""`Any`: a JSON Schema is JSON of any shape."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NUMBER: Final = r"^\s*\d{1,18}(\.\d{1,9})?\s*"
_WRITTEN: Final = {
    "cpu": _NUMBER + r"[mM]?\s*$",
    "bytes": _NUMBER + r"([kKmMgGtT]([iI]|[iI]?[bB])?|[bB])?\s*$",
    "duration": _NUMBER + r"([mM][sS]|[sSmMhHdD])?\s*$",
}
"""What `model.quantity` reads, as patterns."""

AGENT_SCHEMA_ID: Final = "urn:omnitide:schema:agent:v1"


def components(types: Iterable[Any], ref_template: str) -> tuple[list[Schema], dict[str, Schema]]:
    """A schema for each type, and the schemas that they refer to by name. Raises ValueError if two share a name."""
    wanted = list(types)
    schemas, parts = msgspec.json.schema_components(wanted, schema_hook=_anything, ref_template=ref_template)
    structs: dict[str, mi.StructType] = {}
    for type_ in wanted:
        for struct in _structs(info_of(type_)):
            name = struct.cls.__name__
            if structs.setdefault(name, struct).cls is not struct.cls:
                raise ValueError(f"two types are called {name}")
    for name, struct in structs.items():
        if name in parts:
            _correct(parts[name], struct)
    return list(schemas), parts


def _anything(type_: type) -> Schema:
    """`object` is any JSON value."""
    if type_ is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError


def agent_manifest_schema() -> Schema:
    """Of an agent as written in a file."""
    schemas, parts = components([AgentManifest], "#/$defs/{name}")
    parts["AgentManifest"]["allOf"] = [
        {
            "if": {
                "properties": {"driver": {"const": driver}},
                **({} if driver == DEFAULT_DRIVER else {"required": ["driver"]}),
            },
            "then": {
                "required": [part],
                "properties": {part: {"minItems": 1} if part == "command" else {"type": "object"}},
            },
        }
        for driver, part in NEEDED_PARTS.items()
    ]
    return {
        "$schema": DIALECT,
        "$id": AGENT_SCHEMA_ID,
        "title": "An Omnitide agent",
        **schemas[0],
        "$defs": parts,
    }


def _structs(type_: mi.Type, seen: set[type] | None = None) -> Iterator[mi.StructType]:
    seen = set() if seen is None else seen
    type_ = bare(type_)
    if isinstance(type_, mi.StructType):
        if type_.cls in seen:
            return
        seen.add(type_.cls)
        yield type_
        for field in type_.fields:
            yield from _structs(field.type, seen)
    elif isinstance(type_, mi.DictType):
        yield from _structs(type_.value_type, seen)
    elif isinstance(type_, mi.VarTupleType | mi.ListType):
        yield from _structs(type_.item_type, seen)
    elif isinstance(type_, mi.UnionType):
        for member in type_.types:
            yield from _structs(member, seen)


def _correct(schema: Schema, struct: mi.StructType) -> None:
    """msgspec describes a field as it is kept; what is written of a quantity may be text, and of cpu it is cores."""
    properties: dict[str, Schema] = schema.get("properties", {})
    for field in struct.fields:
        shown = properties.get(field.encode_name)
        if shown is None:
            continue
        if "default" in shown:
            shown["default"] = present_as(_default_of(field), field.type)
        kind = quantity_kind(field.type)
        if kind:
            for choice in [shown, *shown.get("anyOf", [])]:
                if choice.get("type") == "integer":
                    _correct_quantity(choice, kind)


def _correct_quantity(schema: Schema, kind: str) -> None:
    schema["type"] = ["number" if kind == "cpu" else "integer", "string"]
    schema["pattern"] = _WRITTEN[kind]
    if kind == "cpu":
        for bound in ("minimum", "maximum"):
            if bound in schema:
                schema[bound] = schema[bound] // 1000


def _default_of(field: mi.Field) -> object:
    if field.default is not msgspec.NODEFAULT:
        return cast("object", field.default)
    return cast("object", field.default_factory())
