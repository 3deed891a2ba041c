"""YAML 1.2 and JSON as plain data with the line of every value. Only the core schema: no tag makes an object.

The reader is ruamel.yaml's own composer; what its nodes mean is decided here, in a few lines that can be read. An alias
is expanded a bounded number of times, so that a small file cannot become a large one.
"""

import json
import re
from typing import Any, Final, NamedTuple, cast

from omnitide.model.toml_lines import KeyPath
from omnitide.model.yaml_nodes import NestedTooDeep, Node, nodes_of

MAX_VALUES: Final = 50_000
"""Values of one file after aliases are expanded."""
MAX_DEPTH: Final = 64
MAX_DOCUMENTS: Final = 1000

_TAG: Final = "tag:yaml.org,2002:"
_NESTING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASES: Final = ((re.compile(r"0o[0-7]+"), 8), (re.compile(r"0x[0-9a-fA-F]+"), 16))
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class DocumentError(ValueError):
    """Text that is not what it should be. `line` counts from 1, 0: not known."""

    def __init__(self, message: str, line: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.hint = hint


class Document(NamedTuple):
    data: object
    lines: dict[KeyPath, int]
    """Of every key and list element, by its path; the document itself is ()."""


def read_yaml(text: str) -> list[Document]:
    """Every document of a YAML stream, empty ones left out. Raises DocumentError."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    documents: list[Document] = []
    reader = _Reader()
    try:
        for node in nodes_of(text, MAX_DEPTH):
            if node is None:
                continue
            if len(documents) >= MAX_DOCUMENTS:
                raise DocumentError(f"more than {MAX_DOCUMENTS} documents in one file", _line(node))
            lines: dict[KeyPath, int] = {(): _line(node)}
            data = reader.value(node, (), lines)
            if data is not None:
                documents.append(Document(data, lines))
    except NestedTooDeep as deep:
        raise DocumentError(str(deep), deep.line) from None
    except MarkedYAMLError as marked:
        error: Any = marked
        mark = error.problem_mark or error.context_mark
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise DocumentError(f"is not YAML: {said}", mark.line + 1 if mark is not None else 0) from None
    except YAMLError as error:
        raise DocumentError(f"is not YAML: {str(error).splitlines()[0]}", 0) from None
    except RecursionError:
        raise DocumentError("is nested too deeply", 0) from None
    return documents


def read_json(text: str) -> list[Document]:
    """The one value of a JSON text. Raises DocumentError."""
    _bound_depth(text)
    try:
        data = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise DocumentError(f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno) from None
    except RecursionError:
        raise DocumentError("is nested too deeply", 0) from None
    try:
        lines = read_yaml(text)[0].lines  # nearly every JSON text is YAML, whose reader knows lines
    except (DocumentError, IndexError):
        lines = {}
    return [Document(data, lines)]


def _bound_depth(text: str) -> None:
    """Raises DocumentError for JSON that is nested too deeply: what is opened and not in a text counts."""
    depth = 0
    for found in _NESTING.finditer(text):
        first = found[0][0]
        depth += 1 if first in "[{" else -1 if first in "]}" else 0
        if depth > MAX_DEPTH + 1:
            line, begins = text.count("\n", 0, found.start()) + 1, text.rfind("\n", 0, found.start()) + 1
            raise DocumentError(str(NestedTooDeep(MAX_DEPTH, line, found.start() - begins + 1)), line)


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise DocumentError(f"the key {key!r} is there twice", 0)
        made[key] = value
    return made


def _no_constant(text: str) -> object:
    raise DocumentError(f"{text} is not JSON", 0)


class _Reader:
    """Makes values of nodes and counts them over the whole file."""

    def __init__(self) -> None:
        self._values = 0
        self._open: set[int] = set()

    def value(self, node: Node, path: KeyPath, lines: dict[KeyPath, int]) -> object:
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentError(f"more than {MAX_VALUES} values, aliases counted as often as used", _line(node))
        if len(path) > MAX_DEPTH:
            raise DocumentError(f"is nested more than {MAX_DEPTH} deep", _line(node))
        if id(node) in self._open:
            raise DocumentError("an alias contains itself", _line(node))
        self._open.add(id(node))
        try:
            tag = str(node.tag)
            if node.id == "mapping" and tag == _TAG + "map":
                return self._mapping(node, path, lines)
            if node.id == "sequence" and tag == _TAG + "seq":
                return self._sequence(node, path, lines)
            if node.id == "scalar":
                return _scalar(node, tag)
            raise DocumentError(f"the tag {_shown(tag)} cannot be used here", _line(node), "leave the tag out")
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Node, path: KeyPath, lines: dict[KeyPath, int]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
            tag = str(key_node.tag)
            if tag == _TAG + "merge":
                hint = "write the fields themselves, or an alias as the value of a key"
                raise DocumentError("merge keys (<<) are not part of YAML 1.2", _line(key_node), hint)
            if key_node.id != "scalar":
                raise DocumentError("a key must be a text", _line(key_node))
            key = str(key_node.value)
            if key in made:
                raise DocumentError(f"the key {key!r} is there twice", _line(key_node))
            lines[(*path, key)] = _line(key_node)
            made[key] = self.value(value_node, (*path, key), lines)
        return made

    def _sequence(self, node: Node, path: KeyPath, lines: dict[KeyPath, int]) -> list[object]:
        made: list[object] = []
        for index, child in enumerate(cast("list[Node]", node.value)):
            lines[(*path, index)] = _line(child)
            made.append(self.value(child, (*path, index), lines))
        return made


def _scalar(node: Node, tag: str) -> object:
    text = cast("str", node.value)
    kind = tag.removeprefix(_TAG)
    if kind == "str":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float"):
        number = _number(text)
        # What only YAML 1.1 calls a number (1_000, 190:20:30, 08) is text in 1.2.
        return text if number is None else number
    if kind == "timestamp":
        return text
    raise DocumentError(f"the tag {_shown(tag)} cannot be used here", _line(node), "leave the tag out")


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= 30 else float(text)
    for pattern, base in _BASES:
        if pattern.fullmatch(text):
            return int(text, base) if len(text) <= 40 else None
    return float(text) if _FLOAT.fullmatch(text) else None


def _line(node: Node) -> int:
    return node.start_mark.line + 1


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
