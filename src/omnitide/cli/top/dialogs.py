"""What is asked before something is done: what happens, what is lost, what Nexus foresees, the same as a command."""

import asyncio
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button

from omnitide.cli.top.action import Action, Input, hindered, read_input
from omnitide.cli.top.drawing import Bar, Field, Text
from omnitide.cli.top.figures import plural
from omnitide.cli.top.lines import EMPTY, Cell, Line, line, mark, wrap, wrapped
from omnitide.cli.top.outlook import outlook_lines, wanted_changes
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import full_name
from omnitide.cli.top.targets import Target, name_of, shell_name
from omnitide.cli.top.words import visible
from omnitide.model.objects import Instance
from omnitide.sdk.errors import FabricError

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

NAMED: Final = 4
AROUND: Final = 8
"""Lines of a dialog that are not of its text: its border, what is scrolled to, a field, buttons."""
TYPING_S: Final = 0.3
"""Nexus is asked what would come of it once nothing was typed for so long."""

SCROLLS: Final = {
    "pagedown": "page_down",
    "pageup": "page_up",
    "down": "down",
    "up": "up",
}

DIALOG_CSS = """
    align: center middle;
    & > Vertical {
        width: 90%; max-width: 100; height: auto; max-height: 100%;
        border: round $foreground; padding: 0 1; background: $background;
    }
    & Text { height: auto; }
    & Horizontal { height: auto; align-horizontal: right; }
    & Button { margin-left: 2; min-width: 12; }
    & Field { margin: 1 0; height: 1; text-style: underline; }
"""


def text_width(columns: int) -> int:
    """Of what is said in a dialog, on a screen of so many columns."""
    return max(30, min(100, columns * 9 // 10) - 6)


class Dialog(ModalScreen[str]):
    """A question. Its answer is what was typed; None: no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "no", "No"),
        Binding("y", "yes", "Yes"),
        Binding("left,right", "other", show=False),
        # Also while the field has the keys, which has no use for these.
        *(Binding(key, f"scroll('{how}')", show=False) for key, how in SCROLLS.items()),
    ]
    DEFAULT_CSS = "Dialog {" + DIALOG_CSS + "}"

    def __init__(
        self, title: str, confirm: str, *, typed: str | None = None, hint: str = "", grave: bool = False
    ) -> None:
        """`typed`: what stands in the field at first; None: there is no field."""
        super().__init__()
        self.question = title
        self._confirm = confirm
        self._typed = typed
        self._hint = hint
        self._grave = grave

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = None
            yield Text(id="told")
            yield Bar(id="more")
            if self._typed is not None:
                yield Field(self._typed, hint=self._hint, id="typed")
            with Horizontal():
                yield Button("No (Esc)", id="no", compact=True)
                yield Button(
                    f"{self._confirm} (y)", id="yes", compact=True, variant="error" if self._grave else "primary"
                )

    def on_mount(self) -> None:
        self.query_one("#typed" if self._typed is not None else "#no").focus()
        self.watch(self.query_one("#told"), "scroll_y", self._more, init=False)
        self.told()

    @property
    def text(self) -> str:
        return self.query_one("#typed", Field).value if self._typed is not None else ""

    def told(self) -> None:
        """Say what is asked anew; nothing where the dialog is being taken away, which an answer may find it at."""
        width = text_width(self.size.width)
        for told, more in self._there():
            lines = [row for one in self.lines(width) for row in wrapped(one, width)]
            told.styles.max_height = max(3, self.size.height - AROUND)
            told.show(lines)
            more.display = len(lines) > self.size.height - AROUND
            self.call_after_refresh(self._more)

    def _there(self) -> Iterator[tuple[Text, Bar]]:
        """What is asked, and what says that there is more of it; none once one of them has been taken away."""
        yield from zip(self.query("#told").results(Text), self.query("#more").results(Bar), strict=False)

    def _more(self) -> None:
        """Say what there is above and below of what is seen."""
        for told, more in self._there():
            above = told.scroll_offset.y
            below = max(0, len(told.lines) - above - told.size.height)
            parts = (f"{below} more below: PgDn" if below else "", f"{above} above: PgUp" if above else "")
            more.show(line(Cell("   ".join(filter(None, parts)), "wait")))

    def action_scroll(self, how: str) -> None:
        told = self.query_one("#told", Text)
        moves = {
            "page_down": told.scroll_page_down,
            "page_up": told.scroll_page_up,
            "down": told.scroll_down,
            "up": told.scroll_up,
        }
        moves[how](animate=False)

    def lines(self, width: int) -> list[Line]:
        return [line(Cell(text, "strong")) for text in wrap(self.question, width)]

    def wrong(self) -> str:
        """Why what was typed is no answer."""
        return ""

    def on_resize(self) -> None:
        self.told()

    def on_key(self, event: events.Key) -> None:
        # What was typed before the field was there belongs into it.
        if self._typed is not None and event.is_printable and event.character and not isinstance(self.focused, Button):
            self.query_one("#typed", Field).take(event.character)
            event.stop()

    def on_input_changed(self) -> None:
        self.told()

    def entered(self) -> None:
        """Enter in the field: one more key is needed, as nothing is done by a single Enter before one has read."""
        self.set_focus(self.query_one("#yes"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_yes()
        else:
            self.action_no()

    def action_yes(self) -> None:
        wrong = self.wrong()
        if wrong:
            self.notify(wrong, severity="warning", markup=False)
            return
        self.dismiss(self.text)

    def action_no(self) -> None:
        self.dismiss(None)

    def action_other(self) -> None:
        self.focus_next("Button")


class Confirm(Dialog):
    """Before an action."""

    def __init__(
        self,
        action: Action,
        targets: Sequence[Target],
        scene: Scene,
        client: "AsyncClient",
        flags: str,
    ) -> None:
        """`flags`: of the command line, for the command that is shown."""
        names = [visible(name_of(one)) for one in targets[:NAMED]]
        more = f" and {len(targets) - NAMED} more" if len(targets) > NAMED else ""
        of = plural(len(targets), action.kind) if len(targets) > 1 else action.kind
        typed = None
        if action.ask == "replicas":
            typed = str(getattr(targets[0], "replicas", 0)) if len(targets) == 1 else ""
        elif action.ask:
            typed = ""
        hints = {
            "replicas": "how many replicas",
            "version": "version; empty: the newest earlier one that works",
            "node": "to which node; empty: any that can take it",
        }
        super().__init__(
            action.named(f"{of} {', '.join(names)}{more}?"),
            action.title,
            typed=typed,
            hint=hints.get(action.ask, ""),
            grave=action.grave,
        )
        self.action = action
        self.targets = targets
        self._scene = scene
        self._client = client
        self._flags = flags
        self._outlook: list[Line] = []
        self._asked: Input | str | None = None
        self._foreseen: Input | None = None
        """Of which it stands there what would come of it."""

    def on_mount(self) -> None:
        super().on_mount()
        self.foresee()

    def said(self) -> Input | str:
        return read_input(self.action, self.text)

    def wrong(self) -> str:
        said = self.said()
        return said if isinstance(said, str) else ""

    def lines(self, width: int) -> list[Line]:
        found = super().lines(width)
        said = self.said()
        if isinstance(said, str):
            return [*found, line(mark("wait"), f" {said}")]
        hindrance = hindered(self.action, self.targets)
        if hindrance:
            found.append(line(mark("wait"), f" {hindrance}"))
        effects = dict.fromkeys(visible(self.action.effect(one, said, self._scene)) for one in self.targets)
        for effect in list(effects)[:NAMED]:
            found += [line(text) for text in wrap(effect, width)]
        losses = dict.fromkeys(
            visible(loss) for one in self.targets for loss in self.action.losses(one, said, self._scene)
        )
        if losses:
            found += [EMPTY, line(Cell("WHAT IS LOST", "soft"))]
            for loss in list(losses)[:NAMED]:
                found += [line(Cell(text, "wait")) for text in wrap(loss, width, "  ")]
            if len(losses) > NAMED:
                found.append(line(Cell(f"  and the like of {len(losses) - NAMED} more", "wait")))
        if self._outlook:
            found += [EMPTY, line(Cell("WHAT NEXUS FORESEES", "soft")), *(line("  ", *one) for one in self._outlook)]
        found += [EMPTY, line(Cell("THE SAME AS A COMMAND", "soft"))]
        for one in self.targets[:NAMED]:
            command = self.action.command(shell_name(one), said)
            found += [line(text) for text in wrap(visible(" ".join(("omnitide", command)) + self._flags), width, "  ")]
        if len(self.targets) > NAMED:
            found.append(line(Cell(f"  and the same for {len(self.targets) - NAMED} more", "soft")))
        return found

    def on_input_changed(self) -> None:
        super().on_input_changed()
        self.foresee()

    def entered(self) -> None:
        """Enter in the field does it once it has been said what would come of just that, if that is not grave."""
        if self._foreseen is not None and self._foreseen == self.said() and not self._grave:
            self.action_yes()
        else:
            super().entered()

    def foresee(self) -> None:
        said = self.said()
        if said != self._asked:
            self._asked = said
            self._outlook = []
            self._foreseen = None
            self.run_worker(self._foresee(said), exclusive=True, group="foresee")

    async def _foresee(self, said: Input | str) -> None:
        if isinstance(said, str):
            return
        changes = wanted_changes(self.action, self.targets, said)
        if not changes:
            return
        if self._typed is not None:
            await asyncio.sleep(TYPING_S)
        try:
            self._outlook = outlook_lines(await self._client.foresee_changes(changes))
            self._foreseen = said
        except FabricError as error:
            self._outlook = [line(mark("unknown"), f" {visible(error.detail)}")]
        self.told()


class Reach(Dialog):
    """Before a terminal in an instance."""

    def __init__(self, one: Instance, flags: str) -> None:
        super().__init__(f"A terminal in instance {visible(full_name(one))}?", "Open", typed="/bin/sh", hint="program")
        self._one = one
        self._flags = flags

    def wrong(self) -> str:
        try:
            return "" if shlex.split(self.text) else "which program?"
        except ValueError as error:
            return f"that is no command line: {error}"

    def lines(self, width: int) -> list[Line]:
        name = shlex.quote(full_name(self._one))
        return [
            *super().lines(width),
            line("The program runs as the instance does, with its files and limits."),
            line("Nothing is lost by it but what the program itself does."),
            line(Cell("THE SAME AS A COMMAND", "soft")),
            *map(line, wrap(visible(f"omnitide exec -it {name}{self._flags} -- {self.text}"), width, "  ")),
        ]


class Keys(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]
    DEFAULT_CSS = "Keys {" + DIALOG_CSS + "}"

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Text(id="keys")

    def on_mount(self) -> None:
        keys = self.query_one("#keys", Text)
        keys.show(self._lines)
        keys.focus()

    def on_resize(self) -> None:
        self.query_one("#keys", Text).styles.max_height = max(3, self.size.height - 2)
