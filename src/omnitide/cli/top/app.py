"""The application: six pages over one scene, drawn at most four times a second and only where something differs."""

import shlex
import sys
import time
from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.driver import Driver
from textual.widgets import ContentSwitcher, Input

from omnitide.cli.top import actions as ac
from omnitide.cli.top import tables as tb
from omnitide.cli.top.acting import perform
from omnitide.cli.top.bars import PAGES, Listed, head, said, tabs
from omnitide.cli.top.dialogs import Confirm, Dialog, Keys, Reach
from omnitide.cli.top.drawing import Bar, Field, Text
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.figures import plural
from omnitide.cli.top.following import Following
from omnitide.cli.top.footing import Footing
from omnitide.cli.top.job_table import JOBS, job_name
from omnitide.cli.top.keys import key_lines
from omnitide.cli.top.lines import Line, width_of
from omnitide.cli.top.opening import opened
from omnitide.cli.top.output_screen import Output
from omnitide.cli.top.overview import overview_lines
from omnitide.cli.top.palette import Everything, targets_of
from omnitide.cli.top.reaching import give_terminal, output_of, unreachable
from omnitide.cli.top.row_kinds import AgentRows, AnyRows, EventRows, InstanceRows, JobRows, NodeRows
from omnitide.cli.top.rows import REST, Rows
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.screens import Detail
from omnitide.cli.top.verbs import Verb
from omnitide.cli.top.words import ENDED, visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance, JobSummary
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.view import View

DRAW_S: Final = 0.25
TICK_S: Final = 1.0
"""Ages and clocks go on by themselves."""
THEMES: Final = {"terminal": "ansi-dark", "dark": "textual-dark", "light": "textual-light"}
BESIDE: Final = frozenset(
    {"act", "page", "next", "find", "output", "terminal", "instances_of", "keys", "end", "leave", "colours"}
)


class Top(App[None]):
    """`omnitide top`."""

    TITLE = "omnitide top"
    AUTO_FOCUS = None
    COMMANDS: ClassVar = {Everything}
    COMMAND_PALETTE_BINDING = "ctrl+k"
    BINDINGS: ClassVar[list[BindingType]] = [
        # Priority, as of rows: what is typed at one go is taken in its order.
        Binding("q", "end", "Quit", priority=True),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
        Binding("question_mark", "keys", "Keys", key_display="?", priority=True),
        Binding("slash", "find", "Filter", key_display="/", priority=True),
        Binding("escape", "leave", show=False),
        Binding("tab", "next(1)", show=False),
        Binding("shift+tab", "next(-1)", show=False),
        Binding("T", "colours", show=False, priority=True),
        *(Binding(str(number), f"page('{page}')", show=False, priority=True) for number, page in enumerate(PAGES, 1)),
    ]
    CSS = """
    Screen { background: $background; color: $foreground; overflow: hidden; }
    #pages { height: 1fr; }
    #find { height: 1; border: none; padding: 0 1; }
    """

    def __init__(
        self, client: AsyncClient, *, namespace: str = "", flags: Sequence[str] = (), colours: str = ""
    ) -> None:
        """`flags`: options of this call that name the fabric; commands that are shown or run have them too."""
        super().__init__(ansi_color=None)
        self.client = client
        self._scene = Scene(View(), namespace)
        self._flags = tuple(flags)
        self._shown_flags = "".join(f" {shlex.quote(flag)}" for flag in flags)
        self.following = Following(client, self._scene, self.take)
        self._rows: dict[str, AnyRows] = {
            "node": NodeRows(tb.NODES, self._scene, id="node"),
            "agent": AgentRows(tb.AGENTS, self._scene, id="agent"),
            "instance": InstanceRows(tb.INSTANCES, self._scene, id="instance"),
            "event": EventRows(EVENTS, self._scene, id="event"),
            "job": JobRows(JOBS, self._scene, id="job"),
        }
        self._head, self._tabs, self._said = Bar(id="head"), Bar(id="tabs"), Bar(id="said")
        self._overview = Text(id="overview")
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
        self.colours = colours or "terminal"
        self.theme = THEMES[self.colours]
        self.animation_level = "none"

    @property
    def scene(self) -> Scene:
        return self._scene

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        if sys.platform == "win32" or found.__name__ != "LinuxDriver":
            return found
        from omnitide.cli.top.terminal_driver import OutputDriver

        return OutputDriver

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Beside an open question no key does anything else."""
        del parameters
        return not (action in BESIDE and self.screen_stack and self.screen.is_modal)

    async def on_event(self, event: events.Event) -> None:
        """Keys do what they do here and at once, one after the other. Textual hands them on to widgets that take them
        when they come to it: a key that was typed later may then overtake one before it, and act on another row."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            focused = self.focused
            if isinstance(focused, Field) and event.is_printable and event.character:
                focused.take(event.character)
                return
            if isinstance(focused, Field) and event.key == "enter":
                self._entered()
                return
            if await self._check_bindings(event.key, priority=True) or await self._check_bindings(event.key):
                return
        await super().on_event(event)

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
        self._overview.show(overview_lines(self._scene, self._overview.room - 1, self._overview.size.height))

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
                ended=self._scene.instance_states()[ENDED.tone, ENDED.text] if self.page == "instance" else 0,
            )
        self._said.show(said(listed, self._scene.namespace))

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

    def on_rows_opened(self, message: Rows.Opened) -> None:
        self.open_object(message.kind, message.identifier)

    def on_rows_moved(self) -> None:
        if self.page != "overview":
            self._draw_said()

    def open_object(self, kind: str, identifier: str) -> None:
        found = opened(kind, identifier, self._scene)
        if isinstance(found, str):
            self.tell(found, "warning")
        else:
            self.push_screen(Detail(found, self._scene, self.following))

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

    # -- doing -------------------------------------------------------------------------------------------------------

    def chosen(self) -> list[ac.Target]:
        """What an action is done to now."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, Detail):
                return [] if screen.gone else [screen.target]
        if self.page in ("overview", "event"):
            return []
        return [one for one in self.rows(self.page).targets if not isinstance(one, CloudEvent | JobSummary)]

    def tell(self, text: str, severity: str = "information") -> None:
        level = "error" if severity == "error" else "warning" if severity == "warning" else "information"
        self.notify(visible(text), severity=level, timeout=10 if severity == "error" else 5, markup=False)

    async def action_act(self, identifier: str) -> None:
        action = ac.BY_ID[identifier]
        self.act(action, [one for one in self.chosen() if ac.kind_of_target(one) == action.kind])

    def act(self, action: ac.Action, targets: Sequence[ac.Target]) -> None:
        """Ask whether it is to be done to these, and do it."""
        hindrance = ac.hindered(action, targets)
        if hindrance:
            self.tell(f"{action.title}: {hindrance}", "warning")
            return
        able = [one for one in targets if not action.hindrance(one)]
        dialog = Confirm(action, able, self._scene, self.client, self._shown_flags)

        def answered(text: str | None) -> None:
            said = ac.read_input(action, text) if text is not None else ""
            if not isinstance(said, str):
                self.run_worker(self._perform(action, able, said), group="acting")

        self.push_screen(dialog, answered)

    async def _perform(self, action: ac.Action, targets: Sequence[ac.Target], said: ac.Input) -> None:
        done, refused = await perform(self.client, action, targets, said)
        if len(done) == 1:
            self.tell(f"{done[0]} {action.done(said)}")
        elif done:
            self.tell(f"{action.title} asked for {plural(len(done), action.kind)}")
        for reason, names in refused.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            self.tell(f"{action.title} of {', '.join(names[:3])}{more} was refused: {reason}", "error")
        if done and len(self.screen_stack) == 1 and self.page != "overview":
            self.rows(self.page).marked.clear()
            self.rows(self.page).redraw()

    def choose_target(self, verb: Verb) -> None:
        """Ask what it is for, which was chosen by its name alone."""
        self.push_screen(CommandPalette([targets_of(verb)], placeholder=verb.named(f"which {verb.kind}?")))

    # -- instances ---------------------------------------------------------------------------------------------------

    def action_instances_of(self) -> None:
        target = next(iter(self.chosen()), None)
        if isinstance(target, Node):
            wanted = f"node:={target.name}"
        elif isinstance(target, AgentSummary):
            wanted = f"agent:={target.name} namespace:={target.namespace}"
        else:
            self.tell("that is of nodes and agents", "warning")
            return
        self.show_page("instance")
        self.filter(wanted)

    def action_output(self) -> None:
        """Of what is chosen, in one stream."""
        jobs = self.page == "job" and not isinstance(self.screen, Detail)
        self.show_output(self._jobs() if jobs else self.chosen())

    def show_output(self, targets: Sequence[ac.Target | JobSummary]) -> None:
        found = output_of(targets, self.client)
        if isinstance(found, str):
            self.tell(found, "warning")
        else:
            self.push_screen(found)

    def _jobs(self) -> list[JobSummary]:
        return [one for one in self.rows("job").targets if isinstance(one, JobSummary)]

    def action_terminal(self) -> None:
        self.reach(next(iter(self.chosen()), None))

    def reach(self, one: ac.Target | None) -> None:
        """Ask what is to be run in it, and give it the terminal."""
        hindrance = unreachable(one) if isinstance(one, Instance) else "no instance is chosen"
        if not isinstance(one, Instance) or hindrance:
            self.tell(hindrance, "warning")
            return

        def answered(text: str | None) -> None:
            if text is not None:
                self.run_worker(self._terminal(one, text), group="terminal", exclusive=True)

        self.push_screen(Reach(one, self._shown_flags), answered)

    async def _terminal(self, one: Instance, program: str) -> None:
        self._away = True
        try:
            await give_terminal(self, one, program, self._flags)
        finally:
            self._away = False
        self.refresh(layout=True)
        self.redraw()

    def _fatal_error(self) -> None:
        """As Textual has it, but for the values of variables: a token may be among them."""
        from rich.segment import Segments
        from rich.traceback import Traceback

        told = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(told, self.console.options)))
        self._close_messages_no_wait()

    # -- the rest ----------------------------------------------------------------------------------------------------

    def action_end(self) -> None:
        self.exit()

    def action_keys(self) -> None:
        if not isinstance(self.screen, Keys):
            self.push_screen(Keys(key_lines()))

    def action_colours(self) -> None:
        if self.no_color:
            self.tell("NO_COLOR is set: there are none", "warning")
            return
        names = list(THEMES)
        self.colours = names[(names.index(self.colours) + 1) % len(names)]
        self.theme = THEMES[self.colours]
        self.tell(f"colours: {self.colours}")


def _name_of(one: ac.Target | CloudEvent | JobSummary | None) -> str:
    if one is None or isinstance(one, CloudEvent):
        return ""
    return job_name(one) if isinstance(one, JobSummary) else ac.name_of(one)
