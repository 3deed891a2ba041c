"""The YAML of Compose files: version 1.2 with anchors and merge keys, the tags !reset and !override, and lines.

Scalars are read as Compose reads them: `22:22`, `yes` and `off` are text, `0440` is octal. An alias is expanded a
bounded number of times, so that a small file cannot become a large one.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, Protocol, cast

from omnitide.compose.tree import Map, Place, Seq, refuse

MAX_BYTES: Final = 4 << 20
"""Of one file."""
MAX_VALUES: Final = 200_000
"""Values of one file after aliases and merge keys are expanded."""
MAX_DEPTH: Final = 64
MAX_DOCUMENTS: Final = 100

_TAG: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_BASES: Final = (
    (re.compile(r"[-+]?0o?([0-7_]+)"), 8),
    (re.compile(r"[-+]?0x([0-9a-fA-F_]+)"), 16),
    (re.compile(r"[-+]?0b([01_]+)"), 2),
)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")


class _Mark(Protocol):
    line: int
    """From 0."""


class _Node(Protocol):
    """A node of ruamel.yaml, which declares no types for them."""

    id: str
    """mapping, sequence or scalar."""
    tag: object
    value: object
    start_mark: _Mark


def read_documents(data: bytes, file: str) -> list[Map]:
    """The documents of a file, empty ones left out. Raises ManifestError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(data) > MAX_BYTES:
        raise refuse(Place(file, 1), "", f"has {len(data)} bytes, {MAX_BYTES} are the most a Compose file may have")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(Place(file, data.count(b"\n", 0, error.start) + 1), "", "is not UTF-8 text") from None
    yaml: Any = YAML(typ="safe", pure=True)  # ruamel.yaml declares hardly any types
    documents: list[Map] = []
    reader = _Reader(file)
    try:
        for node in cast("Iterator[_Node | None]", yaml.compose_all(text)):
            if node is None:
                continue
            place = Place(file, node.start_mark.line + 1)
            if len(documents) >= MAX_DOCUMENTS:
                raise refuse(place, "", f"more than {MAX_DOCUMENTS} documents in one file")
            value = reader.value(node)
            if value is None:
                continue
            if not isinstance(value, Map):
                raise refuse(place, "", "is no Compose file: at its top are keys such as `services`")
            documents.append(value)
    except MarkedYAMLError as marked:
        error: Any = marked
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise refuse(Place(file, mark.line + 1 if mark is not None else 1), "", f"is not YAML: {said}") from None
    except YAMLError as error:
        raise refuse(Place(file, 1), "", f"is not YAML: {(str(error).splitlines() or [''])[0]}") from None
    except RecursionError:
        raise refuse(Place(file, 1), "", "is nested too deeply") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError) as error:
        # The reader is a library's, and its ways of failing over malformed text are not all its own errors.
        raise refuse(Place(file, 1), "", f"is not YAML: {type(error).__name__}") from None
    return documents


class _Reader:
    """Turns nodes into values, and counts them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0
        self._open: set[int] = set()

    def value(self, node: _Node) -> object:
        place = Place(self._file, node.start_mark.line + 1)
        self._values += 1
        if self._values > MAX_VALUES:
            raise refuse(place, "", f"holds more than {MAX_VALUES} values", "aliases count each time they are used")
        if id(node) in self._open:
            raise refuse(place, "", "an alias stands within what it names")
        if len(self._open) >= MAX_DEPTH:
            raise refuse(place, "", f"is nested more than {MAX_DEPTH} deep")
        self._open.add(id(node))
        try:
            if node.id == "mapping":
                return self._mapping(node, place)
            if node.id == "sequence":
                return self._sequence(node, place)
            return _scalar(node, place)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: _Node, place: Place) -> Map:
        made = Map(place)
        merged: list[Map] = []
        for key_node, value_node in cast("list[tuple[_Node, _Node]]", node.value):
            at = Place(self._file, key_node.start_mark.line + 1)
            if str(key_node.tag) == _TAG + "merge":
                merged += self._merged(value_node, at)
                continue
            if key_node.id != "scalar":
                raise refuse(at, "", "a key must be a text")
            key = str(key_node.value)
            if not isinstance(_scalar(key_node, at), str):
                raise refuse(at, "", f"the key {key} is a number or the like", f'write it in quotes: "{key}"')
            if key in made or key in made.replaces:
                raise refuse(at, "", f"the key {key!r} is there twice")
            tag = str(value_node.tag)
            if tag in ("!reset", "!override"):
                made.replaces.add(key)
            if tag != "!reset":
                made.put(key, self.value(value_node), at)
        for source in merged:
            for key, value in source.items():
                if key not in made and key not in made.replaces:
                    made.put(key, value, source.at(key))
        return made

    def _merged(self, node: _Node, place: Place) -> list[Map]:
        """What `<<` names, the one that wins first."""
        value = self.value(node)
        found = list(value) if isinstance(value, Seq) else [value]
        maps = [one for one in found if isinstance(one, Map)]
        if len(maps) != len(found):
            raise refuse(place, "", "`<<` takes a mapping, or a list of mappings")
        return maps

    def _sequence(self, node: _Node, place: Place) -> Seq:
        made = Seq(place)
        for child in cast("list[_Node]", node.value):
            if str(child.tag) != "!reset":
                made.add(self.value(child), Place(self._file, child.start_mark.line + 1))
        return made


def _scalar(node: _Node, place: Place) -> object:
    text, tag = cast("str", node.value), str(node.tag)
    kind = tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        # What YAML 1.1 alone calls a boolean is text.
        return text.lower() == "true" if text.lower() in ("true", "false") else text
    if kind in ("int", "float"):
        number = _number(text)
        return text if number is None else number
    if kind in ("str", "timestamp", "value", "merge") or tag in ("!override", "!"):
        return text
    raise refuse(place, "", f"the tag {tag.replace(_TAG, '!!')} cannot be used in a Compose file")


def _number(text: str) -> int | float | None:
    if len(text) > 40:
        return None
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        return int(plain)
    for pattern, base in _BASES:
        match = pattern.fullmatch(text)
        if match is not None and match[1].strip("_"):
            number = int(match[1].replace("_", ""), base)
            return -number if text.startswith("-") else number
    if _FLOAT.fullmatch(text):
        number = float(plain)
        return number if abs(number) < 1e300 else None
    return None
