"""What people and tools are shown of the configuration: values with their source, and the schema of the file."""

from pathlib import Path
from typing import Any, Final, cast

import msgspec

from omnitide.config.fields import catalogue
from omnitide.config.settings import Settings
from omnitide.config.sources import Loaded, Origin
from omnitide.model.quantity import format_bytes, format_cpu, format_duration

HIDDEN: Final = "***"


class Row(msgspec.Struct, frozen=True):
    """One setting as `config show` prints it. A secret's value is `***` when set and empty when not."""

    key: str
    value: Any
    text: str
    """The value as people read it: `64 MiB`, `1.5 s`."""
    source: str
    """`default`, `flag`, `flag --api-port, kept by up`, `environment OMNITIDE_LOG_LEVEL` or
    `/etc/omnitide/omnitide.toml:12`."""
    reloadable: bool
    variable: str
    description: str


def rows(loaded: Loaded) -> list[Row]:
    """Every setting, in the order of the model."""
    lines = _Lines()
    shown: list[Row] = []
    for key, field in catalogue().items():
        value: Any = getattr(getattr(loaded.settings, field.section), field.name)
        if field.secret:
            value = HIDDEN if value else ""
        source = lines.source(key, loaded.origins[key])
        text = _text(value, field.unit)
        shown.append(Row(key, msgspec.to_builtins(value), text, source, field.live, field.variable, field.description))
    return shown


_WRITTEN: Final[dict[str, dict[str, Any]]] = {
    "duration": {"type": ["integer", "string"], "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"},
    "bytes": {"type": ["integer", "string"], "pattern": r"^\s*\d+(\.\d+)?\s*([KMGTkmgt][Ii]?)?[Bb]?\s*$"},
    "cpu": {"type": ["number", "string"], "pattern": r"^\s*\d+(\.\d+)?\s*m?\s*$"},
    "ports": {"type": "string", "pattern": r"^\s*\d{1,5}\s*-\s*\d{1,5}\s*$"},
}
"""How people write a value, where that is not how it is kept. An annotation of the field cannot say it: msgspec lets
none change `type`."""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    top = components.pop("Settings")
    for field in catalogue().values():
        reference = cast("str", top["properties"][field.section]["$ref"])
        written = components[reference.rpartition("/")[2]]["properties"][field.name]
        if field.unit in _WRITTEN:
            for keyword in ("type", "prefixItems", "minItems", "maxItems", "items"):
                written.pop(keyword, None)
            written |= _WRITTEN[field.unit]
        if "default" in written:
            written["default"] = _as_written(written["default"], field.unit)
    for section in top["properties"].values():
        # Repeats the defaults of the section's own keys, in the form in which they are kept.
        section.pop("default", None)
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **top, "title": "Configuration of Omnitide", "$defs": components}


class _Lines:
    """Lines of values in files, each file parsed once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[tuple[str | int, ...], int]] = {}

    def source(self, key: str, origin: Origin) -> str:
        if origin.kind == "file":
            if origin.where not in self._known:
                self._known[origin.where] = _lines_of(Path(origin.where))
            line = self._known[origin.where].get(tuple(key.split(".")), 0)
            return f"{origin.where}:{line}" if line else origin.where
        return f"{origin.kind} {origin.where}".strip()


def _lines_of(path: Path) -> dict[tuple[str | int, ...], int]:
    from omnitide.config.positions import toml_lines

    try:
        return toml_lines(path.read_text())
    except (OSError, UnicodeDecodeError):  # gone or changed since it was read: the source is shown without a line
        return {}


def _text(value: Any, unit: str) -> str:
    match value:
        case int() if unit == "duration":
            return format_duration(value)
        case int() if unit == "bytes":
            return format_bytes(value)
        case int() if unit == "cpu":
            return format_cpu(value) or "0"
        case tuple():
            return ("-" if unit == "ports" else ",").join(str(part) for part in cast("tuple[object, ...]", value))
        case dict():
            return ",".join(f"{name}={part}" for name, part in cast("dict[str, object]", value).items())
        case _:
            return str(value)


def _as_written(default: Any, unit: str) -> Any:
    if unit == "cpu":
        return default / 1000
    if unit == "ports":
        return "-".join(map(str, default))
    return list(cast("tuple[object, ...]", default)) if isinstance(default, tuple) else default
