"""The application: what keys do on its pages, and what is done to what is chosen there."""

import shlex
import sys
from collections.abc import Sequence
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.driver import Driver

from omnitide.cli.top.acting import perform
from omnitide.cli.top.action import Action, Input, hindered, read_input
from omnitide.cli.top.actions import BY_ID
from omnitide.cli.top.bars import PAGES
from omnitide.cli.top.details import title_of
from omnitide.cli.top.dialogs import Confirm, Keys, Reach
from omnitide.cli.top.drawing import Field
from omnitide.cli.top.event_screen import EventScreen
from omnitide.cli.top.event_table import EVENTS
from omnitide.cli.top.figures import plural
from omnitide.cli.top.keys import key_lines
from omnitide.cli.top.opening import opened, subject_of_concern, subject_of_event
from omnitide.cli.top.pages import Pages
from omnitide.cli.top.palette import Everything, targets_of
from omnitide.cli.top.reaching import give_terminal, output_of, unreachable
from omnitide.cli.top.rows import Rows
from omnitide.cli.top.screens import Detail
from omnitide.cli.top.summary import Summary
from omnitide.cli.top.targets import Target, kind_of_target
from omnitide.cli.top.verbs import Verb
from omnitide.cli.top.words import visible
from omnitide.model.happenings import CloudEvent
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance, JobSummary
from omnitide.sdk.async_client import AsyncClient

THEMES: Final = {"terminal": "ansi-dark", "dark": "textual-dark", "light": "textual-light"}
BESIDE: Final = frozenset(
    {"act", "page", "next", "find", "output", "terminal", "instances_of", "keys", "end", "leave", "colours"}
)


class Top(Pages):
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
        # Before the screen, which would go on to its next widget.
        Binding("tab", "next(1)", show=False, priority=True),
        Binding("shift+tab", "next(-1)", show=False, priority=True),
        Binding("T", "colours", show=False, priority=True),
        *(Binding(str(number), f"page('{page}')", show=False, priority=True) for number, page in enumerate(PAGES, 1)),
    ]

    def __init__(
        self, client: AsyncClient, *, namespace: str = "", flags: Sequence[str] = (), colours: str = ""
    ) -> None:
        """`flags`: options of this call that name the fabric; commands that are shown or run have them too."""
        super().__init__(client, namespace)
        self._flags = tuple(flags)
        self._shown_flags = "".join(f" {shlex.quote(flag)}" for flag in flags)
        self.colours = colours or "terminal"
        self.theme = THEMES[self.colours]

    def get_driver_class(self) -> type[Driver]:
        found = super().get_driver_class()
        if sys.platform == "win32" or found.__name__ != "LinuxDriver":
            return found
        from omnitide.cli.top.terminal_driver import OutputDriver

        return OutputDriver

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

    # -- opening -----------------------------------------------------------------------------------------------------

    def on_summary_opened(self, message: Summary.Opened) -> None:
        found = subject_of_concern(message.concern, self._scene)
        if isinstance(found, str):
            self.tell(found, "warning")
        else:
            self.open_object(*found)

    def on_rows_opened(self, message: Rows.Opened) -> None:
        self.open_object(message.kind, message.identifier)

    def open_object(self, kind: str, identifier: str) -> None:
        event = EVENTS.objects(self._scene).get(identifier) if kind == "event" else None
        if event is not None:
            self._open_event(event)
            return
        found = opened(kind, identifier, self._scene)
        if isinstance(found, str):
            self.tell(found, "warning")
        else:
            self.push_screen(Detail(found, self._scene, self.following))

    def _open_event(self, event: CloudEvent) -> None:
        about = subject_of_event(event, self._scene)

        def answered(wanted: bool | None) -> None:
            if wanted and about is not None:
                self.open_object(kind_of_target(about), about.id)

        scene, title = self._scene, title_of(about) if about else ""
        self.push_screen(EventScreen(event, title, scene.now_ms, scene.repeats.get(event.id)), answered)

    # -- doing -------------------------------------------------------------------------------------------------------

    def chosen(self) -> list[Target]:
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
        action = BY_ID[identifier]
        self.act(action, [one for one in self.chosen() if kind_of_target(one) == action.kind])

    def act(self, action: Action, targets: Sequence[Target]) -> None:
        """Ask whether it is to be done to these, and do it."""
        hindrance = hindered(action, targets)
        if hindrance:
            self.tell(f"{action.title}: {hindrance}", "warning")
            return
        able = [one for one in targets if not action.hindrance(one)]
        dialog = Confirm(action, able, self._scene, self.client, self._shown_flags)

        def answered(text: str | None) -> None:
            said = read_input(action, text) if text is not None else ""
            if not isinstance(said, str):
                self.run_worker(self._perform(action, able, said), group="acting")

        self.push_screen(dialog, answered)

    async def _perform(self, action: Action, targets: Sequence[Target], said: Input) -> None:
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

    def show_output(self, targets: Sequence[Target | JobSummary]) -> None:
        found = output_of(targets, self.client)
        if isinstance(found, str):
            self.tell(found, "warning")
        else:
            self.push_screen(found)

    def _jobs(self) -> list[JobSummary]:
        return [one for one in self.rows("job").targets if isinstance(one, JobSummary)]

    def action_terminal(self) -> None:
        self.reach(next(iter(self.chosen()), None))

    def reach(self, one: Target | None) -> None:
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
