"""Widgets that draw lines: a scrolled text, a bar of one line. Only what differs is drawn again."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input
from textual.widgets.input import Selection

from omnitide.cli.top.lines import STYLES, Line

STYLE_CSS = """
    & > .line--strong { text-style: bold; }
    & > .line--soft { color: $foreground 60%; }
    & > .line--good { color: $text-success; }
    & > .line--busy { color: $text-secondary; }
    & > .line--wait { color: $text-warning; }
    & > .line--bad { color: $text-error; text-style: bold; }
    & > .line--unknown { color: $text-accent; }
    & > .line--off { color: $foreground 60%; }
    &:ansi > .line--good { color: ansi_green; }
    &:ansi > .line--busy { color: ansi_cyan; }
    &:ansi > .line--wait { color: ansi_yellow; }
    &:ansi > .line--bad { color: ansi_red; }
    &:ansi > .line--soft { color: ansi_default; text-style: dim; }
    &:ansi > .line--off { color: ansi_default; text-style: dim; }
    &:ansi > .line--unknown { color: ansi_magenta; }
"""


class Drawing(ScrollView):
    """Draws lines of cells. Nothing in them is interpreted."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{style}" for style in STYLES if style}
    DEFAULT_CSS = "Drawing {" + STYLE_CSS + "}"

    @property
    def room(self) -> int:
        """Columns that are drawn in: what a scroll bar takes is none of them."""
        return self.scrollable_content_region.width

    def strip_of(self, cells: Line, more: RichStyle | None = None) -> Strip:
        base = self.rich_style if more is None else self.rich_style + more
        segments = [
            Segment(
                cell.text,
                self.rich_style
                + self.get_component_rich_style(f"line--{cell.style}", partial=True)
                + (more or RichStyle())
                if cell.style
                else base,
            )
            for cell in cells
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)


class Text(Drawing, can_focus=True):
    """Lines that are scrolled through."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", show=False),
        Binding("k,up", "scroll_up", show=False),
        Binding("home,g", "scroll_home", show=False),
        Binding("end,G", "scroll_end", show=False),
    ]
    DEFAULT_CSS = "Text { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as all widgets name it
        super().__init__(id=id)
        self.lines: list[Line] = []

    def show(self, lines: Sequence[Line]) -> None:
        before, self.lines = self.lines, list(lines)
        if len(before) != len(self.lines):
            self.virtual_size = Size(self.size.width, len(self.lines))
            self.refresh()
            return
        top = self.scroll_offset.y
        for row in range(top, min(len(lines), top + self.size.height)):
            if before[row] != self.lines[row]:
                self.refresh_line(row)

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        return self.strip_of(self.lines[row] if row < len(self.lines) else ())


class Field(Input):
    """A line that is typed. Its letters are taken in the order of all keys: see `Top.on_event`."""

    def __init__(self, value: str = "", *, hint: str = "", id: str | None = None) -> None:  # noqa: A002 - as of `Text`
        super().__init__(value, placeholder=hint, id=id, compact=True, select_on_focus=False)
        self._first = value

    def on_mount(self) -> None:
        if self.value == self._first:
            # What stands there at first gives way to what is typed.
            self.selection = Selection(0, len(self.value))

    def take(self, letter: str) -> None:
        selection = self.selection
        if selection.is_empty:
            self.insert_text_at_cursor(letter)
        else:
            self.replace(letter, *sorted((selection.start, selection.end)))


class Bar(Drawing, can_focus=False):
    """One line."""

    DEFAULT_CSS = "Bar { height: 1; overflow: hidden; }"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as all widgets name it
        super().__init__(id=id)
        self.cells: Line = ()
        self.inverted = False

    def show(self, cells: Line, *, inverted: bool = False) -> None:
        if (cells, inverted) != (self.cells, self.inverted):
            self.cells, self.inverted = cells, inverted
            self.refresh(Region(0, 0, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        del y
        return self.strip_of(self.cells, RichStyle(reverse=True) if self.inverted else None)
