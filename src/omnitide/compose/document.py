"""The YAML of Compose files: version 1.2 with anchors and merge keys, the tags !reset and !override, and lines.

Scalars are read as Compose reads them: `22:22`, `yes` and `off` are text, `0440` is octal. An alias is expanded a
bounded number of times, so that a small file cannot become a large one.
"""

import base64
import binascii
import codecs
import re
from typing import Any, Final, cast

from omnitide.compose.tree import Map, Place, Seq, refuse
from omnitide.model.yaml_nodes import NestedTooDeep, Node, nodes_of

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


def read_documents(data: bytes, file: str) -> list[Map]:
    """The documents of a file, empty ones left out. Raises ManifestError."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(data) > MAX_BYTES:
        raise refuse(Place(file, 1), "", f"has {len(data)} bytes, {MAX_BYTES} are the most a Compose file may have")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not {'UTF-16' if wide else 'UTF-8'} text"
        raise refuse(Place(file, data.count(b"\n", 0, error.start) + 1), "", message) from None
    documents: list[Map] = []
    reader = _Reader(file)
    try:
        for node in nodes_of(text, MAX_DEPTH):
            if node is None:
                continue
            place = Place(file, node.start_mark.line + 1)
            if len(documents) >= MAX_DOCUMENTS:
                raise refuse(place, "", f"more than {MAX_DOCUMENTS} documents in one file")
            reader.measure(node)
            value = reader.value(node)
            if value is None:
                continue
            if not isinstance(value, Map):
                raise refuse(place, "", "is no Compose file: at its top are keys such as `services`")
            documents.append(value)
    except NestedTooDeep as deep:
        raise refuse(Place(file, deep.line), "", str(deep)) from None
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
    """Turns nodes into values, once it is sure that there are not too many."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._values = 0
        self._sizes: dict[int, tuple[int, int]] = {}
        """Values and levels of the nodes that have been measured; none: of one that is being measured."""

    def measure(self, node: Node) -> None:
        """Raises ManifestError for a document whose aliases, once expanded, would be too many values, or endless."""
        self._values += self._measured(node, 0)[0]
        if self._values > MAX_VALUES:
            place = Place(self._file, node.start_mark.line + 1)
            raise refuse(place, "", f"holds more than {MAX_VALUES} values", "aliases count each time they are used")

    def _measured(self, node: Node, depth: int) -> tuple[int, int]:
        place = Place(self._file, node.start_mark.line + 1)
        known = self._sizes.get(id(node), (1, 1))
        if known == (0, 0):
            raise refuse(place, "", "an alias stands within what it names")
        if depth + known[1] > MAX_DEPTH:
            raise refuse(place, "", f"is nested more than {MAX_DEPTH} deep")
        if id(node) in self._sizes or node.id == "scalar":
            return known
        self._sizes[id(node)] = 0, 0
        if node.id == "mapping":
            below = [value for _, value in cast("list[tuple[Node, Node]]", node.value)]
        else:
            below = cast("list[Node]", node.value)
        values, levels = 1, 0
        for one in below:
            more, deep = self._measured(one, depth + 1)
            values, levels = values + more, max(levels, deep)
        self._sizes[id(node)] = values, levels + 1
        return values, levels + 1

    def value(self, node: Node) -> object:
        place = Place(self._file, node.start_mark.line + 1)
        if node.id == "mapping":
            return self._mapping(node, place)
        if node.id == "sequence":
            return self._sequence(node, place)
        return _scalar(node, place)

    def _mapping(self, node: Node, place: Place) -> Map:
        made = Map(place)
        merged: list[Map] = []
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
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

    def _merged(self, node: Node, place: Place) -> list[Map]:
        """What `<<` names, the one that wins first."""
        value = self.value(node)
        found = list(value) if isinstance(value, Seq) else [value]
        maps = [one for one in found if isinstance(one, Map)]
        if len(maps) != len(found):
            raise refuse(place, "", "`<<` takes a mapping, or a list of mappings")
        return maps

    def _sequence(self, node: Node, place: Place) -> Seq:
        made = Seq(place)
        for child in cast("list[Node]", node.value):
            if str(child.tag) != "!reset":
                made.add(self.value(child), Place(self._file, child.start_mark.line + 1))
        return made


def _scalar(node: Node, place: Place) -> object:
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
    if kind == "binary":
        try:
            return base64.b64decode(text, validate=False).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise refuse(place, "", "what is tagged !!binary is no text in base64") from None
    return text  # other tags mean nothing, to Compose either


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
