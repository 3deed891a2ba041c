"""Lines of styled text, as wide as a terminal counts them. What is drawn and what is printed are both made of them."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, get_args

from rich.cells import cell_len, set_cell_size

from omnitide.cli.top.words import SIGNS, State, Tone, visible

Style = Literal["", "strong", "soft", "good", "busy", "wait", "bad", "unknown", "off"]
STYLES: Final[tuple[Style, ...]] = get_args(Style)


class Cell(NamedTuple):
    text: str
    """Safe to be written to a terminal as it is."""
    style: Style = ""


Line = tuple[Cell, ...]
EMPTY: Final[Line] = ()


def line(*cells: Cell | str) -> Line:
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)


def mark(tone: Tone) -> Cell:
    return Cell(SIGNS[tone], tone)


def told(state: State) -> Cell:
    """Its sign and its words: without colour nothing is lost."""
    return Cell(f"{SIGNS[state.tone]} {visible(state.told)}", state.tone)


def width_of(cells: Sequence[Cell]) -> int:
    return sum(cell_len(cell.text) for cell in cells)


_NUMBER: Final = re.compile(r"[0-9][0-9.,]*$")


def cut(text: str, width: int) -> str:
    """At most so wide; what is left out is shown as such. A part of a number would be another number: it goes whole."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    kept = set_cell_size(text, width - 1)
    if text.startswith(kept) and text[len(kept)] in "0123456789.,":
        kept = _NUMBER.sub("", kept)
    return kept + "…"


def cut_name(text: str, width: int) -> str:
    """As `cut`, in the middle: names differ at both ends."""
    if cell_len(text) <= width or width < 5:
        return cut(text, width)
    head = (width - 1) // 2
    tail = width - 1 - head
    ending = text[-tail:]
    while cell_len(ending) > tail:
        ending = ending[1:]
    return set_cell_size(text, head) + "…" + ending


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly so wide."""
    short = cut(text, width)
    padding = " " * max(0, width - cell_len(short))
    return padding + short if right else short + padding


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """A text in lines of at most `width`; words that are longer are broken."""
    found: list[str] = []
    room = max(8, width - cell_len(indent))
    now = ""
    for word in text.split(" "):
        while cell_len(word) > room:
            if now:
                found.append(indent + now)
                now = ""
            head = set_cell_size(word, room).rstrip()
            found.append(indent + head)
            word = word[len(head) :]
        if now and cell_len(now) + 1 + cell_len(word) > room:
            found.append(indent + now)
            now = word
        else:
            now = f"{now} {word}" if now else word
    return [*found, indent + now] if now or not found else found


_HEAD: Final = re.compile(f" *(?:[{''.join(SIGNS.values())}] )?")


def wrapped(cells: Line, width: int, hang: int = -1) -> list[Line]:
    """A line in as many of at most `width` as it needs. They go on `hang` columns from the left; -1: where its words
    begin, behind blanks and a sign."""
    if width_of(cells) <= width:
        return [cells]
    text = "".join(cell.text for cell in cells)
    head = _HEAD.match(text)
    first = head[0] if head and hang < 0 else text[: max(0, hang)]
    rows = wrap(text[len(first) :], width - cell_len(first))
    letters: list[tuple[str, Style]] = [(letter, cell.style) for cell in cells for letter in cell.text]
    styles = iter(letters)
    found = [_styled(first + rows[0], styles)]
    return [*found, *((Cell(" " * cell_len(first)), *_styled(row, styles)) for row in rows[1:])]


def _styled(text: str, styles: Iterator[tuple[str, Style]]) -> Line:
    """With the styles that its letters had; blanks at which it was parted are left out."""
    found: list[Cell] = []
    for letter in text:
        style: Style = next(had for one, had in styles if one == letter)
        if found and found[-1].style == style:
            found[-1] = Cell(found[-1].text + letter, style)
        else:
            found.append(Cell(letter, style))
    return tuple(found)


_CODES: Final[dict[Style, str]] = {
    "strong": "1",
    "soft": "2",
    "good": "32",
    "busy": "36",
    "wait": "33",
    "bad": "31",
    "unknown": "35",
    "off": "2",
}


def printed(lines: Sequence[Line], *, color: bool) -> str:
    """As text for a terminal or a file."""
    return "".join(_printed(one, color) + "\n" for one in lines)


def _printed(cells: Line, color: bool) -> str:
    if not color:
        return "".join(cell.text for cell in cells).rstrip()
    return "".join(
        f"\x1b[{_CODES[cell.style]}m{cell.text}\x1b[0m" if cell.style and cell.text.strip() else cell.text
        for cell in cells
    )
