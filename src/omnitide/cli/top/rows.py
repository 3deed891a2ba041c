"""A table of any number of rows, of which only those that are seen are made, and only those that differ drawn again."""

import time
from typing import ClassVar, Final, Generic, TypeVar

from rich.style import Style as RichStyle
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from omnitide.cli.top.drawing import Drawing
from omnitide.cli.top.lines import Cell, Line
from omnitide.cli.top.listing import GAP, Column, Table, chosen, head_cells, layout, measured, parse_filter, row_cells
from omnitide.cli.top.scene import Scene

T = TypeVar("T")

REST: Final = 10
"""Sorting takes its time with many rows: there is so much more time between two as one took."""
CURSOR: Final = RichStyle(reverse=True)


class Rows(Drawing, Generic[T], can_focus=True):
    """Rows of one kind. The cursor stays on its row wherever that goes."""

    # Priority: the application itself takes them, in the order in which they were typed. Otherwise a key that acts
    # could overtake one that moves, and act on another row.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", priority=True),
        Binding("down,j", "move(1)", show=False, priority=True),
        Binding("up,k", "move(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("home,g", "jump(0)", show=False, priority=True),
        Binding("end,G", "jump(-1)", show=False, priority=True),
        Binding("space", "mark", show=False, priority=True),
        Binding("less_than_sign", "sort(-1)", show=False, priority=True),
        Binding("greater_than_sign", "sort(1)", show=False, priority=True),
        Binding("exclamation_mark", "turn", show=False, priority=True),
    ]
    DEFAULT_CSS = "Rows { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }"

    class Opened(Message):
        def __init__(self, kind: str, identifier: str) -> None:
            super().__init__()
            self.kind = kind
            self.identifier = identifier

    class Moved(Message):
        """The cursor, what is marked, the order or the number of rows is another."""

    def __init__(self, table: Table[T], scene: Scene, *, id: str | None = None) -> None:  # noqa: A002 - as of `Text`
        super().__init__(id=id)
        self.table = table
        self.scene = scene
        self.sort = table.first
        self.turned = False
        self.filter_text = ""
        self.ids: list[str] = []
        self.marked: set[str] = set()
        self.cursor = ""
        """Id of the row; empty if there is none."""
        self._row = 0
        self._anchor = ""
        """Of the row of the cursor, see `Table.anchor`."""
        self._drawn: dict[int, Line] = {}
        """What was drawn last, by row."""
        self._next_s = 0.0
        """Not sorted anew before."""
        self._needs: dict[str, int] = {}
        """How wide what was seen in each column is. It only grows while rows are moved through: nothing jumps."""

    # -- rows --------------------------------------------------------------------------------------------------------

    @property
    def one(self) -> T | None:
        """Of the cursor."""
        return self.table.objects(self.scene).get(self.cursor)

    @property
    def targets(self) -> list[T]:
        """Those that are marked, else that of the cursor."""
        objects = self.table.objects(self.scene)
        keys = [key for key in self.ids if key in self.marked] if self.marked else [self.cursor]
        return [objects[key] for key in keys if key in objects]

    def rebuild(self, *, now: bool = True) -> bool:
        """Choose and sort anew. `now`: even if that was done a moment ago. False: not yet."""
        if not now and time.monotonic() < self._next_s:
            return False
        began = time.monotonic()
        if now:
            self._needs.clear()
        wanted = parse_filter(self.filter_text, self.table.fields)
        self.ids = chosen(self.table, self.scene, wanted, self.sort, turned=self.turned)
        self._next_s = time.monotonic() + REST * (time.monotonic() - began)
        if self.marked:
            self.marked &= set(self.table.objects(self.scene))
        size = Size(self.size.width, len(self.ids) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh()
        self._keep_cursor()
        self.redraw()
        self.post_message(self.Moved())
        return True

    def _keep_cursor(self) -> None:
        if self.table.row_of is not None and self._anchor:
            self.cursor = self.table.row_of(self._anchor, self.scene)
        self._find_cursor()
        self._hold()

    def _hold(self) -> None:
        one = self.one
        self._anchor = self.table.anchor(one) if self.table.anchor is not None and one is not None else ""

    def _find_cursor(self) -> None:
        if not self.ids:
            self.cursor, self._row = "", 0
            return
        if self._row < len(self.ids) and self.ids[self._row] == self.cursor:
            return
        try:
            row = self.ids.index(self.cursor)
        except ValueError:
            row = min(self._row, len(self.ids) - 1)
        seen = 0 <= self._row - self.scroll_offset.y < self.size.height - 1
        self._row, self.cursor = row, self.ids[row]
        if seen:
            self._follow()

    def _follow(self) -> None:
        room = max(1, self.size.height - 1)
        top = self.scroll_offset.y
        if self._row < top:
            self.scroll_to(y=self._row, animate=False, immediate=True)
        elif self._row >= top + room:
            self.scroll_to(y=self._row - room + 1, animate=False, immediate=True)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def _plan(self) -> list[tuple[Column[T], int]]:
        return layout(self.table.columns, self.room - 2, self._needs, self.sort)

    def _measure(self) -> None:
        """Give columns the room that what is seen in them takes."""
        top = self.scroll_offset.y
        objects = self.table.objects(self.scene)
        shown = [objects[key] for key in self.ids[top : top + self.size.height - 1] if key in objects]
        found = measured(self.table.columns, shown, self.scene)
        if any(width > self._needs.get(key, 0) for key, width in found.items()):
            before = self._plan()
            self._needs = {key: max(width, self._needs.get(key, 0)) for key, width in found.items()}
            if self._plan() != before:
                self._drawn.clear()
                self.refresh()

    def cells_of(self, row: int) -> Line:
        identifier = self.ids[row]
        one = self.table.objects(self.scene).get(identifier)
        if one is None:
            return (Cell("  gone", "soft"),)
        sign = Cell("* " if identifier in self.marked else "  ", "strong")
        return (sign, *row_cells(self._plan(), one, self.scene))

    def redraw(self) -> None:
        """Draw rows that look different now."""
        self._measure()
        top = self.scroll_offset.y
        for row in range(top, min(len(self.ids), top + self.size.height - 1)):
            if self._drawn.get(row) != self.cells_of(row):
                self.refresh_line(row + 1)

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self.strip_of((Cell("  "), *head_cells(self._plan(), self.sort, turned=self.turned)))
        row = self.scroll_offset.y + y - 1
        if row >= len(self.ids):
            return self.strip_of((Cell(f"  {self.nothing()}", "soft"),) if row == 0 else ())
        cells = self.cells_of(row)
        if len(self._drawn) > 4 * max(24, self.size.height):
            self._drawn.clear()
        self._drawn[row] = cells
        return self.strip_of(cells, CURSOR if row == self._row else None)

    def nothing(self) -> str:
        """Said where rows would be."""
        if self.filter_text:
            return f"no {self.table.noun} is so: Escape shows all"
        none = self.scene.view.filled and not self.table.objects(self.scene)
        return f"no {self.table.noun} yet" if none else "asking Nexus"

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.ids) + 1)
        self._follow()
        self._measure()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._measure()

    # -- keys and mouse ----------------------------------------------------------------------------------------------

    def go_to(self, row: int) -> None:
        if not self.ids:
            return
        before = self._row
        self._row = max(0, min(len(self.ids) - 1, row))
        self.cursor = self.ids[self._row]
        self._hold()
        self.refresh_line(before + 1)
        self.refresh_line(self._row + 1)
        self._follow()
        self.post_message(self.Moved())

    def action_move(self, rows: int) -> None:
        self.go_to(self._row + rows)

    def action_page(self, pages: int) -> None:
        self.go_to(self._row + pages * max(1, self.size.height - 2))

    def action_jump(self, row: int) -> None:
        self.go_to(row if row >= 0 else len(self.ids) + row)

    def action_mark(self) -> None:
        if self.cursor:
            self.marked ^= {self.cursor}
            self.go_to(self._row + 1)
            self.redraw()

    def action_open(self) -> None:
        if self.cursor:
            self.post_message(self.Opened(self.table.kind, self.cursor))

    def action_sort(self, columns: int) -> None:
        keys = [one.key for one, _ in self._plan()]
        place = keys.index(self.sort) if self.sort in keys else 0
        self.order_by(keys[(place + columns) % len(keys)])

    def action_turn(self) -> None:
        self.order_by(self.sort)

    def order_by(self, key: str) -> None:
        """By another column, or by the same the other way round."""
        self.turned = not self.turned if key == self.sort else False
        self.sort = key
        self._drawn.clear()
        self.refresh()
        self.rebuild()

    def on_click(self, event: events.Click) -> None:
        if event.y > 0:
            self.go_to(self.scroll_offset.y + event.y - 1)
            if event.chain == 2:
                self.action_open()
            return
        left = 2
        for column, width in self._plan():
            left += width + GAP
            if event.x < left:
                self.order_by(column.key)
                return
