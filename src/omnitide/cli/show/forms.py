"""Objects for programs: JSON and YAML, exactly as the API gives them."""

import sys
from typing import Any

import msgspec

from omnitide.model.normalise import has_quantities, present


def plain(value: object) -> Any:
    """JSON-like data of an object, or of anything made of objects. `Any`: JSON of any shape."""
    if isinstance(value, msgspec.Struct) and has_quantities(type(value)):
        return present(value)
    return msgspec.to_builtins(value)


def as_text(value: object, form: str) -> str:
    data = plain(value)
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
    from io import StringIO

    from ruamel.yaml import YAML

    stream = StringIO()
    yaml: Any = YAML(typ="safe", pure=True)  # ruamel.yaml declares hardly any types
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.dump(data, stream)
    return stream.getvalue()


def write(value: object, form: str) -> None:
    sys.stdout.write(as_text(value, form))
    sys.stdout.flush()
