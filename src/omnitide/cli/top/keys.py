"""All keys in one list, for `?`."""

from typing import Final

from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.lines import EMPTY, Cell, Line, line

_EVERYWHERE: Final = (
    ("1 2 3 4 5 6", "pages; Tab goes on to the next"),
    ("Ctrl-K", "palette: pages, objects, actions"),
    ("/", "filter: words, and state:failed -node:alpha"),
    ("Escape", "back; without a filter; without marks"),
    ("Shift+T", "colours: of the terminal, dark, light"),
    ("?", "these keys"),
    ("q Ctrl-C", "quit"),
)
_ROWS: Final = (
    ("Up Down j k", "row, or what needs you; PageUp, PageDown, Home g, End Shift+G"),
    ("Enter", "open it"),
    ("Space", "mark it: then all that are marked are meant"),
    ("< > !", "sort by another column; the other way round"),
)
_OPENED: Final = (
    ("i", "node, agent: its instances"),
    ("l", "its output as it is written; of several in order"),
    ("e", "instance: a terminal in it"),
)


def key_lines() -> list[Line]:
    lines: list[Line] = []
    for title, rows in (("EVERYWHERE", _EVERYWHERE), ("ROWS", _ROWS), ("OPEN", _OPENED)):
        lines += [line(Cell(title, "soft")), *(_row(key, text) for key, text in rows), EMPTY]
    for kind in ("node", "agent", "instance"):
        lines.append(line(Cell(f"ON {kind.upper()}S, ASKED FIRST", "soft")))
        lines += [_row(shown_key(one.key), one.title.lower()) for one in ACTIONS if one.kind == kind]
        lines.append(EMPTY)
    return lines[:-1]


def shown_key(key: str) -> str:
    """A capital letter as keyboards have it: `T` alone would be read as the key without Shift."""
    return f"Shift+{key}" if key.isalpha() and key.isupper() else key


def _row(key: str, text: str) -> Line:
    return line(Cell(f"  {key:<13}", "strong"), text)
