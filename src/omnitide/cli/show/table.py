"""Tables that fit the terminal. Names are never cut: what gives way are columns marked as less important, then the
last one, which holds free text. What is not shown to a terminal is not fitted to anything."""

import shutil
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from omnitide.cli.show.visible import visible

_GAP: Final = "  "
_CODES: Final = {
    "green": "32",
    "yellow": "33",
    "red": "31",
    "cyan": "36",
    "magenta": "35",
    "blue": "34",
    "dim": "2",
    "bold": "1",
}
_MIN_TEXT: Final = 20


class Cell(NamedTuple):
    text: str
    style: str = ""


class Column(NamedTuple):
    title: str
    right: bool = False
    rank: int = 0
    """0: always shown. Otherwise the higher, the sooner it gives way to a narrow terminal."""
    free: bool = False
    """Free text in the last column, which may be cut."""


Row = Sequence[Cell | str]


def paint(text: str, style: str, color: bool) -> str:
    """A text as `visible` shows it, in a style where `color` is wanted."""
    text = visible(text)
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if color and style and text else text


def terminal_width() -> int | None:
    """None if no terminal reads this."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(columns: Sequence[Column], rows: Sequence[Row], *, color: bool, width: int | None) -> list[str]:
    """The lines of a table, with its titles."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    shown = _fitting(columns, cells, width)
    widths = {
        index: max([len(columns[index].title), *(len(row[index].text) for row in cells)], default=0) for index in shown
    }
    lines = [_line([Cell(column.title, "dim") for column in columns], columns, shown, widths, color, width)]
    lines += [_line(row, columns, shown, widths, color, width) for row in cells]
    return lines


def _cell(given: Cell | str) -> Cell:
    """As it may be shown: much of what tables hold was written by others."""
    return Cell(visible(given.text), given.style) if isinstance(given, Cell) else Cell(visible(given))


def _fitting(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> list[int]:
    """Which columns are shown: empty ones are not, and less important ones only if there is room."""
    shown = [
        index
        for index, column in enumerate(columns)
        if not column.rank or any(row[index].text not in ("", "-") for row in rows)
    ]
    if width is None:
        return shown

    def needed() -> int:
        total = 0
        for index in shown:
            most = max([len(columns[index].title), *(len(row[index].text) for row in rows)])
            total += (min(most, _MIN_TEXT) if columns[index].free else most) + len(_GAP)
        return total - len(_GAP)

    while needed() > width:
        droppable = [index for index in shown if columns[index].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda index: (columns[index].rank, index)))
    return shown


def _line(
    row: Sequence[Cell],
    columns: Sequence[Column],
    shown: Sequence[int],
    widths: dict[int, int],
    color: bool,
    width: int | None,
) -> str:
    parts: list[str] = []
    used = 0
    for place, index in enumerate(shown):
        cell = row[index]
        text = cell.text
        last = place == len(shown) - 1
        if columns[index].free and width is not None and used + len(text) > width:
            text = text[: max(_MIN_TEXT, width - used) - 3] + "..."
        room = widths[index] if not last or columns[index].right else 0
        padding = " " * max(0, room - len(text))
        painted = paint(text, cell.style, color)
        parts.append(padding + painted if columns[index].right else painted + padding)
        used += max(room, len(text)) + len(_GAP)
    return _GAP.join(parts).rstrip()
