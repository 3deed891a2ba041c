"""The catalogue of settings, made from the model: every key, its type, how text is read, whether it changes live."""

import re
import typing
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from omnitide.config.settings import Settings
from omnitide.model.quantity import PARSERS

ENVIRONMENT_PREFIX: Final = "OMNITIDE_"
CONFIG_VARIABLE: Final = "OMNITIDE_CONFIG"
"""Names the configuration file; it is no setting itself."""

_PORTS = re.compile(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*")


class Field(msgspec.Struct, frozen=True):
    """One setting."""

    key: str
    """`lease.keepalive_ms`, as in the file and on the command line."""
    type: Any
    unit: str
    """How text is read: duration, bytes, cpu, ports, path, or as the type says."""
    live: bool
    """Whether a running process takes a new value over."""
    secret: bool
    description: str

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return self.key.partition(".")[2]

    @property
    def variable(self) -> str:
        """`OMNITIDE_LEASE_KEEPALIVE_MS`."""
        return ENVIRONMENT_PREFIX + self.key.replace(".", "_").upper()


@cache
def catalogue() -> dict[str, Field]:
    """Every setting by key, in the order of the model."""
    found: dict[str, Field] = {}
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            key = f"{section.name}.{field.name}"
            metas = [meta for meta in typing.get_args(field.type)[1:] if isinstance(meta, msgspec.Meta)]
            about = next(meta for meta in metas if meta.description)
            extra = cast("dict[str, Any]", about.extra)
            found[key] = Field(
                key=key,
                type=field.type,
                unit=extra["unit"],
                live=extra["live"],
                secret=extra["secret"],
                description=about.description or "",
            )
    return found


def read_value(field: Field, raw: object, base: Path, *, from_text: bool) -> object:
    """The value that `raw` means for this setting. Raises ValueError with what is accepted.

    `from_text`: `raw` comes from the environment or a flag, where numbers, lists and tables are text too. `base` is the
    folder against which a relative path is read.
    """
    value = raw
    if field.unit in PARSERS:
        # Anything but a number or a text is refused by the parser; a text is what has a unit.
        value = PARSERS[field.unit](cast("int | float | str", raw))
    elif field.unit == "ports":
        value = _ports(raw)
    elif field.unit == "path" and isinstance(raw, str):
        value = _path(raw, base)
    elif from_text and isinstance(raw, str):
        value = _untangle(field, raw)
    try:
        return msgspec.convert(value, field.type, strict=not from_text)
    except msgspec.ValidationError as error:
        choices = _choices(field.type)
        if choices and isinstance(value, str):
            import difflib  # only where there is something to say

            near = difflib.get_close_matches(value, choices, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}{guess}") from None
        raise ValueError(_plain(str(error))) from None


def _choices(type_: object) -> tuple[str, ...]:
    """Of a setting that has only a few values."""
    inner = typing.get_args(type_)[0]
    if typing.get_origin(inner) is not typing.Literal:
        return ()
    return tuple(str(choice) for choice in typing.get_args(inner))


def _path(raw: str, base: Path) -> str:
    """An absolute path; empty stays empty, which says "not set"."""
    if "\0" in raw:
        raise ValueError("a path cannot hold a zero character")
    try:
        return str(base / Path(raw).expanduser()) if raw else raw
    except RuntimeError:
        raise ValueError(f"the home folder that {raw!r} means is not known") from None


def _ports(raw: object) -> tuple[int, int]:
    match = _PORTS.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError(f"{raw!r} is not a range of ports; write it as 20000-20999")
    return int(match[1]), int(match[2])


def _untangle(field: Field, text: str) -> object:
    """Lists and tables as one line of text: `a,b` and `zone=a,disk=ssd`."""
    origin = typing.get_origin(typing.get_args(field.type)[0])
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if origin is tuple:
        return parts
    if origin is not dict:
        return text
    table: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not key=value; write it as zone=a,disk=ssd")
        table[key.strip()] = value.strip()
    return table


def _plain(message: str) -> str:
    """msgspec's words without its notation: `Expected `int`, got `str`` -> `expected an integer, not a text`."""
    names = {
        "int": "a whole number",
        "float": "a number",
        "str": "a text",
        "bool": "true or false",
        "array": "a list",
        "object": "a table",
        "null": "nothing",
    }
    message, _, place = message.partition(" - at ")
    message = message.replace(", got ", ", not ")
    message = re.sub(r"`(\w+)`", lambda match: names.get(match[1], match[0]), message)
    message = message[:1].lower() + message[1:]
    inside = place.strip("`$. ")
    return f"{message} (at {inside})" if inside else message
