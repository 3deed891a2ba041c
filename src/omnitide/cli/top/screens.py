"""Screens over the pages: one object, and the output of one instance."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from omnitide.cli.top import actions as ac
from omnitide.cli.top.details import charts_of, detail_lines, title_of
from omnitide.cli.top.drawing import Bar, Field, Text
from omnitide.cli.top.following import Following
from omnitide.cli.top.lines import Cell, Line, line, mark, wrap
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.words import output, visible
from omnitide.model.metrics import MetricAnswer
from omnitide.model.objects import Instance
from omnitide.sdk.errors import FabricError, Unavailable

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

CHARTS_S: Final = 3.0
FIRST_LINES: Final = 500
KEPT_LINES: Final = 5_000
AGAIN_S: Final = 1.0
DRAW_S: Final = 0.25
OPENED: Final = (("l", "app.output", "Output"), ("e", "app.terminal", "Terminal"))


def action_bindings(kind: ac.Kind) -> list[BindingType]:
    return [
        Binding(one.key, f"app.act('{one.id}')", one.title, priority=True) for one in ac.ACTIONS if one.kind == kind
    ]


class Detail(Screen[None]):
    """One object, as long as it is there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", priority=True),
    ]

    def __init__(self, target: ac.Target, scene: Scene, following: Following) -> None:
        super().__init__()
        self.target = target
        self.gone = False
        self.head = Bar(id="head")
        self.shown = Text(id="object")
        self._scene = scene
        self._following = following
        self._charts: dict[str, MetricAnswer] = {}
        self._failed = ""
        kind = ac.kind_of_target(target)
        opened = OPENED if kind == "instance" else (("i", "app.instances_of", "Instances"),)
        done = [(one.key, f"app.act('{one.id}')", one.title) for one in ac.ACTIONS if one.kind == kind]
        for key, action, title in (*opened, *done):
            self._bindings.bind(key, action, title, priority=True)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.shown
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.shown.focus()
        self.redraw()
        self.run_worker(self._ask(), group="charts")

    def on_resize(self) -> None:
        self.redraw()

    async def _ask(self) -> None:
        while not self.gone:
            try:
                self._charts = await self._following.ask(charts_of(self.target))
                self._failed = ""
            except FabricError as error:
                self._charts, self._failed = {}, error.detail
            self.redraw()
            await asyncio.sleep(CHARTS_S)

    def redraw(self) -> None:
        view, target = self._scene.view, self.target
        tables = {"node": view.nodes, "agent": view.agents, "instance": view.instances}
        found = tables[ac.kind_of_target(target)].get(target.id)
        self.gone = found is None
        if found is not None:
            self.target = found
        width = self.size.width - 2
        lines = detail_lines(self.target, self._scene, self._charts, width)
        if self._failed:
            lines.append(line(mark("unknown"), f" no charts: {visible(self._failed)}"))
        if self.gone:
            lines.insert(0, line(mark("off"), " It is gone. This is how it was last."))
        self.shown.show(lines)

    @property
    def title_cells(self) -> Line:
        return line(Cell(f" {title_of(self.target)}", "strong"))

    def action_back(self) -> None:
        self.dismiss()


class Output(Screen[None]):
    """What an instance writes, as it is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", priority=True),
        Binding("f", "follow", "Follow"),
        Binding("w", "wrap", "Wrap"),
    ]

    def __init__(self, instance: Instance, client: "AsyncClient") -> None:
        super().__init__()
        self.instance = instance
        self.head = Bar(id="head")
        self.shown = Text(id="output")
        self.follows = True
        self.wraps = False
        self.said = "asking its node"
        self.typed = Field(hint="only lines with", id="find")
        self.typed.display = False
        self._said = Bar(id="said")
        self._client = client
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._rest: dict[str, str] = {}
        """By stream: a line that has not come to its end."""
        self._waiting = False

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.shown
        yield self.typed
        yield self._said
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.shown.focus()
        self.run_worker(self._read(), group="output")

    @property
    def title_cells(self) -> Line:
        return line(Cell(f" output of {title_of(self.instance)}", "strong"))

    async def _read(self) -> None:
        """Until it has ended. A connection that broke goes on where it was."""
        after = ""
        while True:
            tail = None if after else FIRST_LINES
            try:
                chunks = self._client.read_logs(self.instance.id, follow=True, tail=tail, after=after)
                async for chunk in chunks:
                    after = chunk.position or after
                    self.said = "as it is written"
                    if chunk.gap:
                        self._lines.append(line(mark("wait"), Cell(" output that its node does not keep", "soft")))
                    self._take(chunk.stream, chunk.text)
                    self._draw_soon()
                self.said = "it has ended: this is all"
                break
            except Unavailable as error:
                self.said = f"no connection: {error.detail}"
                self._draw_soon()
                await asyncio.sleep(AGAIN_S)
            except FabricError as error:
                self.said = error.detail
                break
        self._draw_soon()

    def _take(self, stream: str, text: str) -> None:
        *whole, rest = (self._rest.pop(stream, "") + text).split("\n")
        for one in whole:
            self._lines.append(self._line(stream, one))
        if rest:
            # What has not come to its end is shown once it has, or there is very much of it.
            if len(rest) > 8192:
                self._lines.append(self._line(stream, rest))
            else:
                self._rest[stream] = rest

    @staticmethod
    def _line(stream: str, text: str) -> Line:
        # Not by colour alone: what went to stderr has a sign.
        return line(Cell("! " if stream == "stderr" else "  ", "wait" if stream == "stderr" else ""), output(text))

    def _draw_soon(self) -> None:
        if not self._waiting:
            self._waiting = True
            self.set_timer(DRAW_S, self.redraw)

    def redraw(self) -> None:
        self._waiting = False
        wanted = self.typed.value.lower()
        shown = [one for one in self._lines if not wanted or wanted in one[1].text.lower()]
        if self.wraps:
            width = max(20, self.size.width - 4)
            shown = [line(one[0], Cell(text)) for one in shown for text in wrap(one[1].text, width)]
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
