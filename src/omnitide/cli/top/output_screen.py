"""What instances write, as it is written: of one, or of all of an agent, a job or a node in order of time."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from omnitide.cli.top.drawing import Bar, Field, Text
from omnitide.cli.top.footing import Footing
from omnitide.cli.top.lines import Cell, Line, line, mark, wrap
from omnitide.cli.top.words import output, visible
from omnitide.model.happenings import OutputLine
from omnitide.model.seen_lines import OVERLAP_MS, Seen
from omnitide.sdk.errors import FabricError, Unavailable

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

FIRST_LINES: Final = 500
KEPT_LINES: Final = 5_000
AGAIN_S: Final = 1.0
DRAW_S: Final = 0.25
NAME: Final = 20
"""Columns of who wrote a line, at most."""


class Output(Screen[None]):
    """Of `of`, as `agent:shop/web` names it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", priority=True),
        Binding("f", "follow", "Follow"),
        Binding("w", "wrap", "Wrap"),
    ]

    def __init__(self, of: Sequence[str], title: str, client: "AsyncClient", *, many: bool) -> None:
        """`many`: each line behind the name of who wrote it."""
        super().__init__()
        self.head = Bar(id="head")
        self.shown = Text(id="output")
        self.follows = True
        self.wraps = False
        self.said = "asking the nodes"
        self.typed = Field(hint="only lines with", id="find")
        self.typed.display = False
        self._of = tuple(of)
        self._title = title
        self._many = many
        self._width = 0
        self._said = Bar(id="said")
        self._client = client
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._waiting = False

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.shown
        yield self.typed
        yield self._said
        yield Footing()

    def on_mount(self) -> None:
        self.shown.focus()
        self.run_worker(self._read(), group="output")

    @property
    def title_cells(self) -> Line:
        return line(Cell(f" output of {self._title}", "strong"))

    async def _read(self) -> None:
        """Until it has ended. A connection that broke goes on where it was."""
        seen = Seen()
        since = ""
        while True:
            try:
                last = 0 if since else FIRST_LINES
                async for one in self._client.search_logs(*self._of, since=since, last=last, follow=True):
                    self.said = "as it is written"
                    if one.stream == "note" or seen.new(one):
                        self._lines.append(self._line(one))
                        self._draw_soon()
                self.said = "it has ended: this is all"
                break
            except Unavailable as error:
                self.said = f"no connection: {error.detail}"
                self._draw_soon()
                seen.repeat()
                if seen.newest_ms:
                    since = datetime.fromtimestamp((seen.newest_ms - OVERLAP_MS) / 1000, UTC).isoformat()
                await asyncio.sleep(AGAIN_S)
            except FabricError as error:
                self.said = error.detail
                break
        self._draw_soon()

    def _line(self, one: OutputLine) -> Line:
        if one.stream == "note":
            return line(mark("wait"), Cell(f" {visible(one.text)}", "soft"))
        who = ""
        if self._many:
            self._width = min(NAME, max(self._width, len(visible(one.name))))
            who = f"{visible(one.name)[-NAME:]:<{self._width}} "
        # Not by colour alone: what went to stderr has a sign.
        error = one.stream == "stderr"
        return line(Cell(f"{'! ' if error else '  '}{who}", "wait" if error else "soft"), output(one.text))

    def _draw_soon(self) -> None:
        if not self._waiting:
            self._waiting = True
            self.set_timer(DRAW_S, self.redraw)

    def redraw(self) -> None:
        self._waiting = False
        wanted = self.typed.value.lower()
        shown = [one for one in self._lines if not wanted or wanted in (one[0].text + one[1].text).lower()]
        if self.wraps:
            room = max(20, self.size.width - 4 - (self._width + 1 if self._many else 0))
            shown = [line(one[0], Cell(text)) for one in shown for text in wrap(one[1].text, room)]
        self.shown.show(shown)
        if self.follows:
            self.shown.scroll_end(animate=False, immediate=True)
        self._said.show(
            line(
                Cell(f" {len(shown)} lines", "soft"),
                Cell(f"  {visible(self.said)}", "soft"),
                Cell("" if self.follows else "  held: f follows again", "wait"),
            )
        )

    def action_follow(self) -> None:
        self.follows = not self.follows
        self.redraw()

    def action_wrap(self) -> None:
        self.wraps = not self.wraps
        self.redraw()

    def find(self) -> None:
        self.typed.display = True
        self.set_focus(self.typed)

    def on_input_changed(self) -> None:
        self.redraw()

    def entered(self) -> None:
        self.set_focus(self.shown)

    def action_back(self) -> None:
        if self.typed.display:
            self.typed.value = ""
            self.typed.display = False
            self.set_focus(self.shown)
            return
        self.dismiss()
