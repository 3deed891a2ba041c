"""The overview as it is read and gone through: what needs a person is opened from there."""

from typing import ClassVar

from rich.style import Style as RichStyle
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from omnitide.cli.top.drawing import Text
from omnitide.cli.top.overview import HEADED, concern_lines, overview_lines
from omnitide.cli.top.rows import CURSOR
from omnitide.cli.top.scene import Scene
from omnitide.model.inventory import Concern


class Summary(Text):
    """Lines, of which the cursor is on a concern if there is one. It stays on it wherever that goes."""

    # Priority: as of `Rows`.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", priority=True),
        Binding("down,j", "move(1)", show=False, priority=True),
        Binding("up,k", "move(-1)", show=False, priority=True),
    ]

    class Opened(Message):
        def __init__(self, concern: Concern) -> None:
            super().__init__()
            self.concern = concern

    def __init__(self, scene: Scene, *, id: str | None = None) -> None:  # noqa: A002 - as of `Text`
        super().__init__(id=id)
        self.scene = scene
        self._at: int = 0
        self._cursor = ("", 0)
        """What the concern is about, and which of those about it: what it says may change by the second."""
        self._first: list[int] = []
        """The line on which each concern begins, and where the last one ends."""

    def rebuild(self) -> None:
        """Draw what is another."""
        width = self.room - 1
        begins: list[int] = []
        row = HEADED
        for lines in concern_lines(self.scene, width):
            begins.append(row)
            row += len(lines)
        before, self._first = self._first, [*begins, row]
        keys = _keys(self.scene)
        last = max(0, len(keys) - 1)
        at: int = keys.index(self._cursor) if self._cursor in keys else min(self._at, last)
        moved = at != self._at
        self._at, self._cursor = at, keys[at] if keys else ("", 0)
        if moved or before != self._first:
            self.refresh()
        self.show(overview_lines(self.scene, width, self.size.height))

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        more: RichStyle | None = CURSOR if len(self._first) > 1 and row == self._first[self._at] else None
        return self.strip_of(self.lines[row], more) if row < len(self.lines) else self.strip_of(())

    def action_move(self, rows: int) -> None:
        """To the next concern; past the last and the first one, by a line."""
        at, keys = self._at + rows, _keys(self.scene)
        if not 0 <= at < min(len(keys), len(self._first) - 1):
            self.scroll_relative(y=rows, animate=False, immediate=True)
            return
        self._at, self._cursor = at, keys[at]
        begin, end, top = self._first[at], self._first[at + 1], self.scroll_offset.y
        if begin < top or end > top + self.size.height:
            # The whole of it, and of the first one what stands before it.
            self.scroll_to(y=max(0, end - self.size.height) if at else 0, animate=False, immediate=True)
        self.refresh()

    def action_open(self) -> None:
        concerns = self.scene.concerns
        if self._cursor in (keys := _keys(self.scene)):
            self.post_message(self.Opened(concerns[keys.index(self._cursor)]))


def _keys(scene: Scene) -> list[tuple[str, int]]:
    seen: dict[str, int] = {}
    keys: list[tuple[str, int]] = []
    for concern in scene.concerns:
        number = seen[concern.subject] = seen.get(concern.subject, 0) + 1
        keys.append((concern.subject, number))
    return keys
