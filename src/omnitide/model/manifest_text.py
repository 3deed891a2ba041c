"""An agent as the file that would make it: YAML or TOML as a person writes it, with nothing that is so by default but
`resources`: what is reserved on a node is to be seen, and whoever asked for just that finds it again.

What `manifest.read_manifest` makes of the text is the manifest again.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast

from omnitide.model.normalise import info_of, present, quantities_as
from omnitide.model.spec import AgentManifest

Text = Literal["yaml", "toml"]

_FIRST: Final = ("kind", "name", "namespace", "replicas", "driver", "command", "container", "wasm")
_PLACES: Final = {name: place for place, name in enumerate(AgentManifest.__struct_fields__)}
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WORD: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*|[0-9]+(\.[0-9]+)?(m|ms|s|h|d|[KMGT]i?B)")
"""Texts that YAML takes for nothing else without quotes."""
_NO_WORDS: Final = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_LITERAL: Final = re.compile(r"[^\s].*\n.*", re.DOTALL)
"""Several lines, the first of which is not indented."""
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff0-\uffff]")
_WIDTH: Final = 100
_UNITS: Final = {
    "bytes": (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)),
    "duration": (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)),
}


def manifest_text(manifests: Iterable[AgentManifest], form: Text) -> str:
    """Several are documents of one YAML text; TOML has room for one. Raises ValueError for more."""
    documents = [_fields(one) for one in manifests]
    if form == "yaml":
        return "---\n".join("\n".join((*_yaml(one), "")) for one in documents)
    if len(documents) != 1:
        raise ValueError(f"a TOML file holds one agent, not {len(documents)}")
    return _toml(documents[0])


def _fields(manifest: AgentManifest) -> dict[str, Any]:
    """`Any`: JSON of any shape."""
    whole = cast("dict[str, Any]", present(manifest))
    cpu, memory = manifest.resources.cpu, manifest.resources.memory
    whole["resources"] = {"cpu": cpu // 1000 if cpu % 1000 == 0 else cpu / 1000, "memory": memory}
    ordered = {name: whole[name] for name in sorted(whole, key=_PLACES.__getitem__)}
    shown = cast("dict[str, Any]", quantities_as(ordered, info_of(AgentManifest), _written))
    first = {name: shown[name] for name in _FIRST if name in shown}
    return {**first, **{name: value for name, value in shown.items() if name not in first}}


def _written(kind: str, value: object) -> object:
    """In the largest unit of which it is a whole number."""
    if kind not in _UNITS or not isinstance(value, int) or not value:
        return value
    return next((f"{value // size}{unit}" for unit, size in _UNITS[kind] if value % size == 0), value)


# -- YAML --------------------------------------------------------------------------------------------------------------


def _yaml(value: object, indent: str = "") -> Iterator[str]:
    """Lines of a mapping or list that stands at this depth. Written here, since it has to be read back as it was: what
    is not plainly a word is quoted as JSON does."""
    if isinstance(value, Mapping):
        for key, below in cast("Mapping[str, object]", value).items():
            yield from _yaml_entry(f"{indent}{_yaml_scalar(key)}:", below, indent)
    else:
        for below in cast("list[object]", value):
            if isinstance(below, Mapping) and below:
                first, *rest = _yaml(cast("Mapping[str, object]", below), f"{indent}  ")
                yield f"{indent}- {first[len(indent) + 2 :]}"
                yield from rest
            else:
                yield from _yaml_entry(f"{indent}-", cast("object", below), indent)


def _yaml_entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple):
        if value:
            yield head
            yield from _yaml(cast("object", value), f"{indent}  ")
        else:
            yield f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"
    elif isinstance(value, str) and _LITERAL.fullmatch(value) and _plain(value) and not value.endswith("\n\n"):
        yield f"{head} {'|' if value.endswith(chr(10)) else '|-'}"
        yield from (f"{indent}  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_yaml_scalar(value)}"


def _yaml_scalar(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _WORD.fullmatch(value) and value.lower() not in _NO_WORDS else _quoted(value)


def _plain(text: str) -> bool:
    return _UNSEEN.search(text.replace("\n", "").replace("\t", "")) is None


def _quoted(text: str) -> str:
    """As JSON, which is YAML and TOML too, but for what is not to be seen: that is escaped."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


# -- TOML --------------------------------------------------------------------------------------------------------------


def _toml(fields: dict[str, Any]) -> str:
    lines: list[str] = []
    _table(fields, (), lines)
    return "\n".join(lines).strip("\n") + "\n"


def _table(fields: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    """Keys first: below a header everything is that table's."""
    later: list[tuple[str, object]] = []
    for key, value in fields.items():
        line = f"{_key(key)} = {_value(value)}"
        if _is_tables(value) or (isinstance(value, Mapping) and (len(line) > _WIDTH or "\n" in line)):
            later.append((key, cast("object", value)))
        else:
            lines.append(line)
    for key, value in later:
        below = (*path, key)
        header = ".".join(map(_key, below))
        if isinstance(value, Mapping):
            own = cast("Mapping[str, Any]", value)
            lines += ["", f"[{header}]"]
            _table(own, below, lines)
            continue
        for element in cast("list[Mapping[str, Any]]", value):
            lines += ["", f"[[{header}]]"]
            _table(element, below, lines)


def _is_tables(value: object) -> bool:
    elements = cast("list[object]", value) if isinstance(value, list | tuple) else []
    return bool(elements) and all(isinstance(one, Mapping) for one in elements)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _quoted(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        own = cast("Mapping[str, Any]", value)
        inside = ", ".join(f"{_key(key)} = {_value(below)}" for key, below in own.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, cast('list[Any]', value)))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return str(value)
    return _string(str(value))


def _string(text: str) -> str:
    literal = "\n" in text and "'''" not in text and not text.endswith("'") and _plain(text)
    return f"'''\n{text}'''" if literal else _quoted(text)
