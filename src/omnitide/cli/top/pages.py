"""Six pages over one scene: which of them is shown, what of its rows, and how it is drawn, at most four times a second
and only where something differs."""

import time
from typing import Final

from textual import events
from textual.app import App, ComposeResult
from textual.widgets import ContentSwitcher, Input

from omnitide.cli.top import tables as tb
from omnitide.cli.top.bars import PAGES, Listed, head, said, tabs
from omnitide.cli.top.dialogs import Dialog
from omnitide.cli.top.drawing import Bar, Field
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.following import Following
from omnitide.cli.top.footing import Footing
from omnitide.cli.top.job_table import JOBS, job_name
from omnitide.cli.top.lines import Line, width_of
from omnitide.cli.top.output_screen import Output
from omnitide.cli.top.row_kinds import AgentRows, AnyRows, EventRows, InstanceRows, JobRows, NodeRows
from omnitide.cli.top.rows import REST
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.screens import Detail
from omnitide.cli.top.summary import Summary
from omnitide.cli.top.targets import Target, name_of
from omnitide.cli.top.words import ended
from omnitide.model.happenings import CloudEvent
from omnitide.model.objects import JobSummary
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.view import View

DRAW_S: Final = 0.25
TICK_S: Final = 1.0
"""Ages and clocks go on by themselves."""


class Pages(App[None]):
    """What is shown. What can be done from there is of `top.app`."""

    CSS = """
    Screen { background: $background; color: $foreground; overflow: hidden; }
    #pages { height: 1fr; }
    #find { height: 1; border: none; padding: 0 1; }
    """

    def __init__(self, client: AsyncClient, namespace: str) -> None:
        super().__init__(ansi_color=None)
        self.client = client
        self._scene = Scene(View(), namespace)
        self.following = Following(client, self._scene, self.take)
        self._rows: dict[str, AnyRows] = {
            "node": NodeRows(tb.NODES, self._scene, id="node"),
            "agent": AgentRows(tb.AGENTS, self._scene, id="agent"),
            "instance": InstanceRows(tb.INSTANCES, self._scene, id="instance"),
            "event": EventRows(EVENTS, self._scene, id="event"),
            "job": JobRows(JOBS, self._scene, id="job"),
        }
        self._head, self._tabs, self._said = Bar(id="head"), Bar(id="tabs"), Bar(id="said")
        self._overview = Summary(self._scene, id="overview")
        self._pages = ContentSwitcher(initial="overview", id="pages")
        self._find = Field(hint="words, state:failed node:alpha -driver:docker", id="find")
        self._find.display = False
        self._dirty: set[str] = set()
        self._due = False
        self._next_s = 0.0
        """The overview, which sums up everything, is not made anew before."""
        self._away = False
        """Another program has the terminal."""
        self.page = "overview"
        self.animation_level = "none"

    @property
    def scene(self) -> Scene:
        return self._scene

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._tabs
        with self._pages:
            yield self._overview
            yield from self._rows.values()
        yield self._find
        yield self._said
        yield Footing()

    def on_mount(self) -> None:
        self.screen.set_focus(self._overview)
        self.run_worker(self.following.run(), group="following")
        self.set_interval(TICK_S, self._tick)
        self.redraw()

    # -- drawing -----------------------------------------------------------------------------------------------------

    def take(self, kinds: frozenset[str]) -> None:
        """Something is another: it is drawn soon, with what else is until then."""
        self._dirty |= kinds
        if not self._due and not self._away:
            self._due = True
            self.set_timer(DRAW_S, self.redraw)

    def _tick(self) -> None:
        # Where something is about to be drawn anyway, ages and clocks are too.
        if not self._due:
            self.redraw()

    def redraw(self) -> None:
        self._due = False
        if self._away or not self.is_running:
            return
        self.following.refresh()
        kinds, self._dirty = frozenset(self._dirty), set[str]()
        self._draw_shown(kinds)

    def _draw_shown(self, kinds: frozenset[str]) -> None:
        screen = self.screen
        if isinstance(screen, Detail):
            self._draw_head(screen.head, screen.title_cells)
            if kinds - {"chart"}:
                screen.redraw()
        elif isinstance(screen, Output):
            self._draw_head(screen.head, screen.title_cells)
        base = self.screen_stack[0]
        if screen is not base:
            self._dirty |= kinds
            if screen.is_modal is False:
                return
        self._draw_head(self._head, None)
        self._tabs.show(tuple(cell for _, cells in self.tabs() for cell in cells))
        if self.page == "overview":
            if time.monotonic() >= self._next_s:
                began = time.monotonic()
                self.draw_overview()
                self._next_s = time.monotonic() + REST * (time.monotonic() - began)
        else:
            self._draw_rows(self.rows(self.page), kinds)
        self._draw_said()

    def _draw_head(self, bar: Bar, title: Line | None) -> None:
        cells, inverted = head(self._scene, self.size.width, title)
        bar.show(cells, inverted=inverted)

    def tabs(self) -> list[tuple[str, Line]]:
        return tabs(self._scene, self.page, self.size.width)

    def draw_overview(self) -> None:
        self._overview.rebuild()

    def _draw_rows(self, rows: AnyRows, kinds: frozenset[str]) -> None:
        of_this = rows.table.kind in kinds or (rows.table.column(rows.sort).moves and "use" in kinds)
        if of_this and not rows.rebuild(now=False):
            self._dirty |= kinds
        rows.redraw()

    def _draw_said(self) -> None:
        listed = None
        if self.page != "overview":
            rows = self.rows(self.page)
            one = rows.one
            listed = Listed(
                noun=rows.table.noun,
                shown=len(rows.ids),
                whole=len(rows.table.objects(self._scene)),
                order=rows.table.column(rows.sort).title,
                filter_text=rows.filter_text,
                marked=len(rows.marked),
                name=_name_of(one),
                ended=ended(self._scene.instance_states()) if self.page == "instance" else 0,
            )
        self._said.show(said(listed, self._scene.namespace, self.size.width))

    # -- pages -------------------------------------------------------------------------------------------------------

    def rows(self, page: str) -> AnyRows:
        return self._rows[page]

    def show_page(self, page: str) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.page = page
        self.following.wants_charts = page == "overview"
        shown = self._overview if page == "overview" else self.rows(page)
        # At once, as the next key may be for what is shown now; and before the old page is hidden, which takes away
        # the focus that it has.
        shown.display = True
        self.screen_stack[0].set_focus(shown)
        self._pages.current = page
        self._find.display = False
        if page != "overview":
            self.rows(page).rebuild()
        self.call_after_refresh(self._tick)

    def action_page(self, page: str) -> None:
        self.show_page(page)

    def action_next(self, pages: int) -> None:
        self.show_page(PAGES[(PAGES.index(self.page) + pages) % len(PAGES)])

    def on_click(self, event: events.Click) -> None:
        if event.widget is None or event.widget.id != "tabs":
            return
        left = 0
        for page, cells in self.tabs():
            left += width_of(cells)
            if event.x < left:
                self.show_page(page)
                return

    def on_rows_moved(self) -> None:
        if self.page != "overview":
            self._draw_said()

    # -- filter ------------------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        screen = self.screen
        if isinstance(screen, Output):
            screen.find()
        if len(self.screen_stack) > 1:
            return
        if self.page == "overview":
            self.show_page("instance")
        self._find.value = self.rows(self.page).filter_text
        self._find.display = True
        # At once: the next key is already text.
        screen.set_focus(self._find)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input is self._find and self._find.display:
            self.filter(self._find.value)

    def _entered(self) -> None:
        """Enter in a field."""
        screen = self.screen
        if isinstance(screen, Dialog | Output):
            screen.entered()
        else:
            # What was typed just before is not told yet.
            self.filter(self._find.value)
            self._find.display = False
            screen.set_focus(self.rows(self.page))

    def filter(self, text: str) -> None:
        rows = self.rows(self.page)
        if rows.filter_text != text:
            rows.filter_text = text
            rows.rebuild()

    def action_leave(self) -> None:
        self._find.display = False
        if self.page != "overview":
            rows = self.rows(self.page)
            self.screen_stack[0].set_focus(rows)
            if rows.filter_text:
                self.filter("")
            elif rows.marked:
                rows.marked.clear()
                rows.redraw()
                self._draw_said()


def _name_of(one: Target | CloudEvent | JobSummary | None) -> str:
    if one is None or isinstance(one, CloudEvent):
        return ""
    return job_name(one) if isinstance(one, JobSummary) else name_of(one)
