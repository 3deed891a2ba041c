"""Whole files of agents, as people write them: TOML, YAML or JSON. Every fault at once, with file, line and field.

Pure: it is given texts and the names to call them by. Reading files is for who may (`omnitide.sdk.manifests`).
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple, cast

from omnitide.model.checks import spec_faults
from omnitide.model.faults import Fault, Path, field_of, unwritable
from omnitide.model.normalise import Invalid, read
from omnitide.model.runtime_checks import lacking
from omnitide.model.spec import AgentManifest, spec_of
from omnitide.model.toml_lines import toml_lines
from omnitide.model.yaml_documents import MAX_DEPTH, Document, DocumentError, read_json, read_yaml

MAX_MANIFEST_BYTES: Final = 256 << 10
"""Of one file."""
MAX_FAULTS: Final = 200
"""Faults that are told of a whole set of files."""

Format = Literal["toml", "yaml", "json"]
FORMATS: Final[dict[str, Format]] = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}

_TOML_PLACE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_DEFAULT_NAMESPACE: Final = "default"


class Source(NamedTuple):
    """A text and what to call it."""

    name: str
    """`agents/hello.toml`."""
    data: bytes
    format: Format


class ManifestFault(NamedTuple):
    """One thing that is wrong with a file."""

    file: str
    line: int
    """From 1; 0: not known."""
    field: str
    """`resources.memory`; empty for the whole."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class ManifestError(Exception):
    """Nothing of the files is used."""

    def __init__(self, faults: Sequence[ManifestFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Found(NamedTuple):
    """An agent and where it is written."""

    manifest: AgentManifest
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def read_manifests(sources: Iterable[Source], default_namespace: str = _DEFAULT_NAMESPACE) -> list[Found]:
    """The agents of all files, in order. Raises ManifestError with the faults of all of them.

    `default_namespace`: where an agent without a namespace of its own goes; two agents of one name are refused.
    """
    found: list[Found] = []
    faults: list[ManifestFault] = []
    for source in sources:
        try:
            found += read_manifest(source)
        except ManifestError as error:
            faults += error.faults
    faults += _repeated(found, default_namespace)
    if faults:
        raise ManifestError(faults[:MAX_FAULTS])
    return found


def read_manifest(source: Source) -> list[Found]:
    """The agents of one file: one in TOML and JSON, one a document in YAML. Raises ManifestError."""
    documents = _documents(source)
    found: list[Found] = []
    faults: list[ManifestFault] = []
    for document in documents:
        made = _manifest(source.name, document)
        if isinstance(made, Found):
            found.append(made)
        else:
            faults += made
    if faults:
        raise ManifestError(faults)
    return found


def _documents(source: Source) -> list[Document]:
    def refuse(message: str, line: int = 0, hint: str = "") -> ManifestError:
        return ManifestError([ManifestFault(source.name, line, "", message, hint)])

    if len(source.data) > MAX_MANIFEST_BYTES:
        raise refuse(f"has {len(source.data)} bytes, {MAX_MANIFEST_BYTES} are the most a manifest may have")
    try:
        text = source.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", source.data.count(b"\n", 0, error.start) + 1) from None
    try:
        if source.format == "toml":
            documents = [_toml(text)]
        else:
            documents = read_yaml(text) if source.format == "yaml" else read_json(text)
    except DocumentError as error:
        raise refuse(error.message, error.line, error.hint) from None
    if not documents:
        raise refuse("is empty", 0, 'an agent needs a name and a command: name = "hello", command = ["..."]')
    return documents


class _TomlLines(dict[Path, int]):
    """Lines of a TOML text, found when the first is asked for: only where something is wrong does anyone ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def get(self, key: Path, default: int = 0, /) -> int:  # type: ignore[override]
        if not self:
            self.update(toml_lines(self._text))
            self[()] = 1
        return super().get(key, default)


_TOML_PIECES: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""|\'{3}.*?\'{3}'''
    r"""|(?P<key>[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')|(?P<dot>\.)|#[^\n]*+|(?P<space>[ \t]++)|[\s\S]""",
    re.DOTALL,
)


def _bound_levels(text: str) -> None:
    """Raises DocumentError for very many levels within one value, for which Python's reader has no room, and for a
    key of very many dotted parts, which it takes quadratic time for."""
    dots = brackets = 0
    for found in _TOML_PIECES.finditer(text):
        kind = found.lastgroup
        if kind == "dot":
            dots += 1
        elif kind is None:
            dots = 0
            brackets += 1 if found[0] in ("[", "{") else -1 if found[0] in ("]", "}") else 0
        if max(dots, brackets) > MAX_DEPTH:
            raise DocumentError(f"is nested more than {MAX_DEPTH} deep", text.count("\n", 0, found.start()) + 1)


def _toml(text: str) -> Document:
    _bound_levels(text)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = int(place[1]) if place else text.count("\n") + 1
        raise DocumentError(f"is not TOML: {message[:1].lower()}{message[1:]}", line) from None
    document = Document(data, _TomlLines(text))
    deep = _deep(data)
    if deep:
        raise DocumentError(f"is nested more than {MAX_DEPTH} deep", _line(document, deep))
    return document


def _deep(data: object) -> Path:
    """Where a value is too deep; empty if none is. Arrays, tables and dotted keys make levels together. Walked level by
    level: they may be many."""
    level: list[tuple[Path, object]] = [((), data)]
    for _ in range(MAX_DEPTH + 1):
        level = [((*path, step), below) for path, one in level for step, below in _values(one)]
    return level[0][0] if level else ()


def _values(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).items()
    return enumerate(cast("list[object]", value)) if isinstance(value, list) else ()


def _manifest(file: str, document: Document) -> Found | list[ManifestFault]:
    faults: Sequence[Fault] = tuple(unwritable(document.data))
    try:
        manifest = read(document.data, AgentManifest)
        faults = faults or spec_faults(spec_of(manifest))
    except Invalid as error:
        faults = (*error.faults, *lacking(document.data))
    else:
        if not faults:
            return Found(manifest, file, document.lines.get(("name",), 1))
    return [
        ManifestFault(file, _line(document, fault.path), field_of(fault.path), fault.message, fault.hint)
        for fault in faults
    ]


def _line(document: Document, path: Path) -> int:
    """Of a value, or of the nearest that stands around it."""
    for length in range(len(path), -1, -1):
        line = document.lines.get(path[:length], 0)
        if line:
            return line
    return 0


def _repeated(found: Sequence[Found], default_namespace: str) -> list[ManifestFault]:
    first: dict[tuple[str, str], Found] = {}
    faults: list[ManifestFault] = []
    for one in found:
        manifest = one.manifest
        namespace = manifest.namespace or default_namespace
        known = first.setdefault((namespace, manifest.name), one)
        if known is not one:
            message = f"the agent {namespace}/{manifest.name} is already in {known.place}"
            faults.append(ManifestFault(one.file, one.line, "name", message, "give one of them another name"))
    return faults
