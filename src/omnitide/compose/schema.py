"""The specification's own JSON Schema: what a document may say, and every key that there is."""

import difflib
import functools
import itertools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final, cast

import msgspec

from omnitide.compose.tree import Map, Path, Place, dotted, place_of
from omnitide.model.manifest import ManifestFault

MAX_FAULTS: Final = 50
_TYPES: Final = {"object": "a mapping", "array": "a list", "string": "a text", "null": "nothing"}
_FILE: Final = "compose-spec.json"

Schema = dict[str, Any]
"""A JSON Schema. `Any`: JSON of any shape."""


@functools.cache
def specification() -> Schema:
    text = resources.files("omnitide.compose").joinpath(_FILE).read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])


@functools.cache
def _validator() -> Any:
    """`Any`: jsonschema declares no types."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(specification())


def schema_faults(document: Map) -> list[ManifestFault]:
    """What of a document is not as the specification has it."""
    faults: list[ManifestFault] = []
    for error in itertools.islice(_validator().iter_errors(document), MAX_FAULTS):
        found = _deepest(error)
        if found.validator == "unevaluatedProperties" and not _unknown(found):
            continue  # the echo of another: a part of a schema that fails counts none of its keys as known
        path: Path = tuple(cast("list[str | int]", list(found.absolute_path)))
        place = place_of(document, path, document.place)
        faults.append(ManifestFault(place.file, place.line, dotted(path), _words(found, document, path)))
    return sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.field))


def _deepest(error: Any) -> Any:
    """Of the ways in which a value fits none of several forms, the one that came furthest."""
    while error.context:
        # A form whose type does not fit at all says less than one that fails within.
        within = [one for one in error.context if len(one.path) > 0 or one.validator != "type"]
        if not within:
            return error
        error = max(within, key=lambda one: (len(one.path), one.validator == "additionalProperties"))
    return error


def _words(error: Any, document: Map, path: Path) -> str:
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        known = set(_known(error.schema, "properties"))
        said: list[str] = []
        for key in _unknown(error):
            near = difflib.get_close_matches(key, known, n=1)
            at = place_of(document, (*path, key), Place("", 0))
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            said.append(f"there is no key {key!r} here{hint}, line {at.line}")
        return "; ".join(said[:5]) or str(error.message)[:200]
    if error.validator in ("oneOf", "anyOf", "type"):
        types = _types(error.schema)
        return (
            f"is {_named(error.instance)}, and here stands {' or '.join(types)}" if types else "has no form it may have"
        )
    if error.validator == "required":
        return str(error.message).replace("is a required property", "is missing")[:200]
    return str(error.message)[:200]


def _unknown(error: Any) -> list[str]:
    """The keys of a mapping that its schema does not know."""
    known = set(_known(error.schema, "properties"))
    patterns = list(_known(error.schema, "patternProperties"))
    instance = cast("dict[str, object]", error.instance)
    return [key for key in instance if key not in known and not any(re.search(one, key) for one in patterns)]


def _known(schema: Schema, word: str) -> Iterator[str]:
    """The keys, or patterns of keys, of a schema and of those that it is made of."""
    yield from cast("Schema", schema.get(word, {}))
    if "$ref" in schema:
        yield from _known(cast("Schema", specification()["$defs"][str(schema["$ref"]).rsplit("/", 1)[-1]]), word)
    for one in cast("list[Schema]", schema.get("allOf", [])):
        yield from _known(one, word)


def _types(schema: Schema) -> list[str]:
    found: list[str] = []
    for one in [schema, *cast("list[Schema]", schema.get("oneOf", []))]:
        if "$ref" in one:
            one = cast("Schema", specification()["$defs"][str(one["$ref"]).rsplit("/", 1)[-1]])
        types = one.get("type", [])
        for name in [types] if isinstance(types, str) else cast("list[str]", types):
            word = {"object": "a mapping", "array": "a list", "string": "a text", "null": "nothing"}.get(
                name, f"a {name}"
            )
            if word not in found:
                found.append(word)
    return found


def _named(value: object) -> str:
    if value is None:
        return "empty"
    for kind, name in ((bool, "true or false"), (int | float, "a number"), (str, "a text"), (dict, "a mapping")):
        if isinstance(value, kind):
            return name
    return "a list"


def every_key() -> list[str]:
    """Each key that the specification knows, as a pattern: `services.*.ports[].target`. Chosen names are *."""
    return sorted(set(_keys(specification(), "", ())))


def _keys(schema: Schema, path: str, inside: tuple[str, ...]) -> Iterator[str]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rsplit("/", 1)[-1]
        if name not in inside:
            yield from _keys(cast("Schema", specification()["$defs"][name]), path, (*inside, name))
    for word in ("oneOf", "anyOf", "allOf"):
        for one in cast("list[Schema]", schema.get(word, [])):
            yield from _keys(one, path, inside)
    for key, below in cast("dict[str, Schema]", schema.get("properties", {})).items():
        own = f"{path}.{key}" if path else key
        yield own
        yield from _keys(below, own, inside)
    for pattern, below in cast("dict[str, Schema]", schema.get("patternProperties", {})).items():
        if pattern != "^x-":
            yield from _keys(below, f"{path}.*", inside)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _keys(cast("Schema", items), f"{path}[]", inside)
