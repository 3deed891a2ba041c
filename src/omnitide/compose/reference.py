"""docs/reference/compose.md, made of the table of keys: `python -m omnitide.compose.reference`."""

import sys
from typing import Final

from omnitide.compose.keys import fate_of_pattern
from omnitide.compose.schema import every_key, specification

_TITLES: Final = {
    "carried": "carried over",
    "noted": "with a note",
    "lost": "**not carried over**",
}
_HEAD: Final = """\
# Compose: every key, and what becomes of it

Made by `python -m omnitide.compose.reference` from the table that the importer itself uses, over every key of the
Compose Specification's schema (as of compose-go 2.16.2); a test keeps it current. How to use the importer is in
[Import a Compose file](../how-to/import-compose.md).

- *carried over*: it becomes what the last column says.
- *with a note*: nothing has to be done about it, or it works in another way; the report says so.
- **not carried over**: the report lists it as a loss, with file and line, and this is why.

Keys beginning with `x-` mean nothing, to Compose either. A `*` stands for a name that you choose, `[]` for an element
of a list. Short forms are the same keys as their long ones.
"""


def reference() -> str:
    """The page."""
    lines = [_HEAD]
    for section in specification()["properties"]:
        own = [key for key in every_key() if key == section or key.startswith((f"{section}.", f"{section}["))]
        lines += [f"## {section}", "", "| key | | what it becomes, or why not |", "| --- | --- | --- |"]
        lines += [*map(_row, own), ""]
    return "\n".join(lines)


def _row(key: str) -> str:
    fate = fate_of_pattern(key)
    assert fate is not None, f"{key} has no fate"
    text = fate.text.replace("|", "\\|")
    above = key.removesuffix("[]").rpartition(".")[0]
    while above:
        found = fate_of_pattern(above)
        if found is not None and found.kind == fate.kind == "lost":
            text = f"as `{above}`"
        above = above.removesuffix("[]").rpartition(".")[0]
    return f"| `{key}` | {_TITLES[fate.kind]} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
