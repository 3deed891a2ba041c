"""Which rows of a table are shown, and in which order: a filter as the panel's, and a sort by any column."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from rich.cells import cell_len

from omnitide.cli.top.lines import Cell, fit
from omnitide.cli.top.scene import Scene

T = TypeVar("T")
Key = int | float | str | tuple[int | str, ...]

GAP: Final = 2
AMPLE: Final = 44
"""So much room, if there is any, a text of a column that is always shown has before one that may give way is shown."""
_CONDITION: Final = re.compile(r"^(-?)([a-z]+):(.*)$")
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Column(Generic[T]):
    key: str
    title: str
    width: int
    """Of a text, the least that it may be cut to; of a figure, what most take. Figures are never cut."""
    cell: Callable[[T, Scene], Cell]
    order: Callable[[T, Scene], Key]
    right: bool = False
    rank: int = 0
    """0: always shown. Otherwise the higher, the sooner it gives way to a narrow terminal."""
    cutting: Callable[[str, int], str] | None = None
    """How a text is brought to a width; none: it is a figure or a word, and is shown whole or not at all."""
    whole: int = 0
    """A text that is no longer is whole before a column that may give way is shown."""
    sooner: bool = False
    """Where not all have that room, this one has it before the others: how something fares, before its name."""
    moves: bool = False
    """Its order changes though no object does: a use, an age."""
    falls: bool = False
    """Its largest is first unless it is turned around."""


@dataclass(frozen=True)
class Table(Generic[T]):
    """What there is to know of a page of rows."""

    kind: str
    noun: str
    columns: tuple[Column[T], ...]
    first: str
    """Key of the column that it is sorted by at first."""
    objects: Callable[[Scene], Mapping[str, T]]
    ids: Callable[[Scene], Iterable[str]]
    name: Callable[[T], str]
    text: Callable[[T], str]
    """Where words of a filter are looked for."""
    fields: Mapping[str, Callable[[T], str]]
    """What a condition may name: `node:alpha` begins so, `node:=alpha` is that."""
    anchor: Callable[[T], str] | None = None
    """Of what an id shows: what of it stays while rows come together or part. None: an id is always of one thing."""
    row_of: Callable[[str, Scene], str] | None = None
    """The id that shows an anchor now; empty: none does."""

    def column(self, key: str) -> Column[T]:
        return next(one for one in self.columns if one.key == key)


class Filter(NamedTuple):
    words: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, bool], ...] = ()
    """Field, value, and whether it must not be so."""


def parse_filter(text: str, fields: Iterable[str]) -> Filter:
    """Anything with a colon that names no field is a word: names have colons too."""
    known = frozenset(fields)
    words: list[str] = []
    conditions: list[tuple[str, str, bool]] = []
    for word in text.lower().split():
        found = _CONDITION.match(word)
        if found and found[2] in known:
            conditions.append((found[2], found[3], bool(found[1])))
        else:
            words.append(word)
    return Filter(tuple(words), tuple(conditions))


def matches(wanted: Filter, one: T, table: Table[T]) -> bool:
    for field, value, inverted in wanted.conditions:
        begun = value.removeprefix("=")
        # A condition whose value is not typed yet leaves everything.
        if begun and any(_meant(word, value) for word in table.fields[field](one).lower().split()) is inverted:
            return False
    if not wanted.words:
        return True
    text = table.text(one).lower()
    return all(word in text for word in wanted.words)


def _meant(word: str, value: str) -> bool:
    """`web` is of all that begins so, `=web` of that alone."""
    return word == value[1:] if value.startswith("=") else word.startswith(value)


@lru_cache(maxsize=1 << 16)
def natural(name: str) -> tuple[int | str, ...]:
    """`hello-2` before `hello-10`."""
    return tuple(int(part) if number % 2 else part for number, part in enumerate(_DIGITS.split(name[:200])))


def chosen(table: Table[T], scene: Scene, wanted: Filter, sort: str, *, turned: bool) -> list[str]:
    """Ids of the rows, in order; those that are equal by name."""
    objects = table.objects(scene)
    found = [(key, objects[key]) for key in table.ids(scene) if key in objects]
    if wanted != Filter():
        found = [(key, one) for key, one in found if matches(wanted, one, table)]
    column = table.column(sort)
    found.sort(key=lambda row: natural(table.name(row[1])))
    found.sort(key=lambda row: column.order(row[1], scene), reverse=column.falls is not turned)
    return [key for key, _ in found]


def measured(columns: Sequence[Column[T]], shown: Iterable[T], scene: Scene) -> dict[str, int]:
    """By column, how wide what is in it is."""
    found: dict[str, int] = {}
    for one in shown:
        for column in columns:
            found[column.key] = max(found.get(column.key, 0), cell_len(column.cell(one, scene).text))
    return found


def layout(
    columns: Sequence[Column[T]], width: int, needs: Mapping[str, int], sort: str
) -> list[tuple[Column[T], int]]:
    """Which columns there is room for, and how wide they are. `needs`: as `measured`.

    Those that are always shown come first, states before names, then the others by rank where they fit; what is left,
    and what figures do not need now, goes to texts that are still cut, in the order of the columns.
    """
    wished = {one.key: _wished(one, needs, sort) for one in columns}
    least = {
        one.key: min(wished[one.key], max(one.width, one.whole)) if one.cutting else wished[one.key] for one in columns
    }
    shown = {one.key for one in columns if not one.rank}
    if _taken(shown, least) > width:
        least = {one.key: min(least[one.key], one.width) if one.cutting else least[one.key] for one in columns}
    texts = [one for one in columns if one.cutting and one.key in shown]
    wholes = ((one, one.whole) for one in sorted(texts, key=lambda one: not one.sooner))
    for one, most in (*wholes, *((one, AMPLE) for one in texts)):
        room = max(0, width - _taken(shown, least))
        least[one.key] += max(0, min(room, min(wished[one.key], most) - least[one.key]))
    for one in sorted((one for one in columns if one.rank), key=lambda one: one.rank):
        if _taken({*shown, one.key}, least) <= width:
            shown.add(one.key)
    cut_off = sum(wished[one.key] - least[one.key] for one in columns if one.cutting and one.key in shown)
    spare = width - _taken(shown, least)
    for one in columns:
        # Room that figures are given for what they may become goes to texts that are cut now.
        if not one.cutting and one.key in shown and spare < cut_off:
            tight = max(cell_len(one.title) + (one.key == sort), needs.get(one.key, one.width))
            spare += least[one.key] - tight
            least[one.key] = wished[one.key] = tight
    left = width - _taken(shown, least)
    widths: list[tuple[Column[T], int]] = []
    for one in columns:
        if one.key in shown:
            more = max(0, min(left, wished[one.key] - least[one.key]))
            left -= more
            widths.append((one, least[one.key] + more))
    return widths


def _wished(column: Column[T], needs: Mapping[str, int], sort: str) -> int:
    title = cell_len(column.title) + (column.key == sort)
    return max(title, needs.get(column.key, column.width), 0 if column.cutting else column.width)


def _taken(shown: Collection[str], least: Mapping[str, int]) -> int:
    return sum(least[key] + GAP for key in shown) - GAP


def row_cells(plan: Sequence[tuple[Column[T], int]], one: T, scene: Scene) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for number, (column, width) in enumerate(plan):
        cell = column.cell(one, scene)
        text = fit(column.cutting(cell.text, width) if column.cutting else cell.text, width, right=column.right)
        cells.append(Cell(text if number == len(plan) - 1 else text + " " * GAP, cell.style))
    return tuple(cells)


def head_cells(plan: Sequence[tuple[Column[T], int]], sort: str, *, turned: bool) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for number, (column, width) in enumerate(plan):
        arrow = ("▼" if column.falls is not turned else "▲") if column.key == sort else ""
        title = f"{arrow}{column.title}" if column.right else f"{column.title}{arrow}"
        text = fit(title, width, right=column.right)
        cells.append(Cell(text if number == len(plan) - 1 else text + " " * GAP, "strong" if arrow else "soft"))
    return tuple(cells)
