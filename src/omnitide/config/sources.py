"""Reads and merges the sources of the settings. The stronger wins: flags, environment, files, defaults."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec

from omnitide.config.errors import ConfigError, FieldError, Problem
from omnitide.config.fields import CONFIG_VARIABLE, ENVIRONMENT_PREFIX, Field, catalogue, read_value
from omnitide.config.folders import DATA_FLAG, DATA_VARIABLE, parts_below
from omnitide.config.neighbours import REGISTER_VARIABLE
from omnitide.config.settings import Settings

MAX_FILE_BYTES: Final = 1 << 20
MAX_PROBLEMS: Final = 100
_NO_SETTINGS: Final = (CONFIG_VARIABLE, DATA_VARIABLE, REGISTER_VARIABLE)
"""Variables that are ours and name a place."""

Kind = Literal["default", "file", "environment", "flag"]


class Origin(NamedTuple):
    """Where a value came from; `where` is the file or the variable, or the flag where one means several settings."""

    kind: Kind
    where: str = ""


class Request(NamedTuple):
    """What `load` was asked; a reload asks the same again."""

    flags: Mapping[str, object]
    environ: Mapping[str, str]
    files: tuple[str, ...]
    required: bool
    here: Path
    """Folder against which relative paths of flags and variables are read."""
    data: str = ""
    """What `--data` says: the root of the folders of Nexus and node."""


Signature = tuple[int, ...]
"""What `stat` tells of one file; empty when there is none."""


class Loaded(msgspec.Struct, frozen=True):
    """Settings in force and how they came about."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By key, for every key."""
    request: Request
    signatures: tuple[Signature, ...]
    """Of each of `files`, as they were just before they were read."""

    @property
    def files(self) -> tuple[str, ...]:
        """All places that were looked at, whether a file is there or not; one that appears counts at a reload."""
        return self.request.files

    def again(self) -> "Loaded":
        """Read everything anew, with the same flags and environment. Raises ConfigError."""
        return _load(self.request)


def load(
    flags: Mapping[str, object] | None = None,
    *,
    config: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    data: str = "",
) -> Loaded:
    """Read the settings. `flags`: values by key (`lease.keepalive_ms`); None means not given. `config`: the one file to
    read, which must exist; otherwise OMNITIDE_CONFIG names it, or the files of `default_files` are read if present.
    `data`: the root of the data folders (`config.folders`), as a flag.

    Raises ConfigError with every problem found.
    """
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    variables = dict(os.environ if environ is None else environ)
    named = bool(variables.get(CONFIG_VARIABLE) if config is None else str(config))
    return _load(Request(given, variables, files_of(config, variables), named, Path.cwd(), data))


def files_of(config: str | Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are read where this one is named, or none; they need not be there."""
    named = str(config) if config is not None else environ.get(CONFIG_VARIABLE, "")
    return (str(Path(named).expanduser().absolute()),) if named else default_files(environ)


def default_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The machine's file, then the user's, which is the stronger."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".config")
    return ("/etc/omnitide/omnitide.toml", str(Path(base) / "omnitide" / "config.toml"))


class _Merge:
    """Values and their origins as the sources are read, weakest first, and what was wrong with them."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.origins: dict[str, Origin] = dict.fromkeys(catalogue(), Origin("default"))
        self.problems: list[Problem] = []

    def take(self, field: Field, value: object, origin: Origin, base: Path, line: Callable[[], int]) -> None:
        try:
            read = read_value(field, value, base, from_text=origin.kind in ("environment", "flag"))
        except ValueError as error:
            self.problem(origin, line(), field.key, str(error))
            return
        self.values[field.key] = read
        self.origins[field.key] = origin

    def problem(self, origin: Origin, line: int, field: str, message: str) -> None:
        self.problems.append(Problem(origin.where or origin.kind, line, field, message))


def signatures(files: tuple[str, ...]) -> tuple[Signature, ...]:
    """Differs whenever a file was written, replaced, removed or came to be."""
    return tuple(_signature(file) for file in files)


def _signature(file: str) -> Signature:
    try:
        status = os.stat(file)
    except OSError:
        return ()
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def _load(request: Request) -> Loaded:
    seen = signatures(request.files)
    merge = _Merge()
    for file in request.files:
        _take_file(merge, Path(file), required=request.required)
    _take_environment(merge, request.environ, request.here)
    _take_root(merge, request.data, Origin("flag", DATA_FLAG), request.here)
    _take_flags(merge, request.flags, request.here)
    settings = None if merge.problems else _build(merge)
    if settings is None:
        raise ConfigError(tuple(merge.problems[:MAX_PROBLEMS]))
    return Loaded(settings, merge.origins, request, seen)


def _take_file(merge: _Merge, path: Path, *, required: bool) -> None:
    origin = Origin("file", str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if required:
            merge.problem(origin, 0, "", "there is no such file")
        return
    except OSError as error:
        merge.problem(origin, 0, "", f"cannot be read: {error.strerror}")
        return
    if len(data) > MAX_FILE_BYTES:
        merge.problem(origin, 0, "", f"is larger than {MAX_FILE_BYTES} bytes")
        return
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        merge.problem(origin, data[: error.start].count(b"\n") + 1, "", "is not UTF-8 text")
        return
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r"\(at line (\d+), column \d+\)", message)
        line = int(place[1]) if place else text.count("\n") + 1
        merge.problem(origin, line, "", f"is not TOML: {message[:1].lower()}{message[1:]}")
        return
    _take_document(merge, document, origin, text)


def _take_document(merge: _Merge, document: dict[str, object], origin: Origin, text: str) -> None:
    known = catalogue()
    sections = {field.section for field in known.values()}
    base = Path(origin.where).parent

    @cache
    def lines() -> dict[tuple[str | int, ...], int]:
        # Loaded only where there is a problem: most files have none.
        from omnitide.config.positions import toml_lines

        return toml_lines(text)

    for section, table in document.items():
        if section not in sections:
            merge.problem(origin, lines().get((section,), 0), section, _unknown("section", section, sections))
            continue
        if not isinstance(table, dict):
            message = f"is a table; write [{section}] and its keys below"
            merge.problem(origin, lines().get((section,), 0), section, message)
            continue
        names = {field.name for field in known.values() if field.section == section}
        for name, value in cast("dict[str, object]", table).items():
            if len(merge.problems) >= MAX_PROBLEMS:
                return
            key = f"{section}.{name}"
            if name in names:
                merge.take(known[key], value, origin, base, lambda path=(section, name): lines().get(path, 0))
            else:
                merge.problem(origin, lines().get((section, name), 0), key, _unknown("key", name, names))


def _take_environment(merge: _Merge, environ: Mapping[str, str], here: Path) -> None:
    known = {field.variable: field for field in catalogue().values()}
    _take_root(merge, environ.get(DATA_VARIABLE, ""), Origin("environment", DATA_VARIABLE), here)
    sections = tuple(f"{ENVIRONMENT_PREFIX}{field.section.upper()}_" for field in known.values())
    for variable in sorted(environ):
        # An empty variable is how a shell or a unit file says "not set".
        ours = variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NO_SETTINGS
        if not ours or not environ[variable]:
            continue
        origin = Origin("environment", variable)
        if variable in known:
            merge.take(known[variable], environ[variable], origin, here, lambda: 0)
        elif variable.startswith(sections) or _nearest(variable, known, 0.9):
            # A variable that is not even near a setting belongs to someone else, such as an agent's own.
            merge.problem(origin, 0, "", _unknown("variable", variable, known))


def _take_root(merge: _Merge, root: str, origin: Origin, here: Path) -> None:
    for key, folder in parts_below(root).items() if root else ():
        merge.take(catalogue()[key], folder, origin, here, lambda: 0)


def _take_flags(merge: _Merge, flags: Mapping[str, object], here: Path) -> None:
    known = catalogue()
    for key, value in flags.items():
        if key in known:
            merge.take(known[key], value, Origin("flag"), here, lambda: 0)
        else:
            merge.problem(Origin("flag"), 0, key, _unknown("key", key, known))


def _build(merge: _Merge) -> Settings | None:
    """The settings, or None and the problems of sections whose values do not fit together."""
    sections: dict[str, Any] = {}
    for section in msgspec.structs.fields(Settings):
        values = {
            field.name: merge.values[field.key]
            for field in catalogue().values()
            if field.section == section.name and field.key in merge.values
        }
        try:
            sections[section.name] = section.type(**values)
        except FieldError as error:
            key = f"{section.name}.{error.field}"
            merge.problem(merge.origins[key], 0, key, error.message)
    return None if merge.problems else Settings(**sections)


def _nearest(word: str, known: Mapping[str, object] | set[str], cutoff: float = 0.6) -> str:
    import difflib

    matches = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return matches[0] if matches else ""


def _unknown(what: str, word: str, known: Mapping[str, object] | set[str]) -> str:
    near = _nearest(word, known)
    if near:
        return f"unknown {what}; did you mean {near}?"
    if len(known) <= 12:
        return f"unknown {what}; there are {', '.join(sorted(known))}"
    return f"unknown {what}; `omnitide config show` lists all"
