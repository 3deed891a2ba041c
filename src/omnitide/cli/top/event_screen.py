"""One event, whole: in its row a long text is cut, and what it is about may be gone."""

import datetime as dt
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from omnitide.cli.happenings.wording import kind_of, subject_of, text_of
from omnitide.cli.top.dialogs import DIALOG_CSS, text_width
from omnitide.cli.top.drawing import Text
from omnitide.cli.top.event_fold import Fold
from omnitide.cli.top.event_table import at_ms, event_tone
from omnitide.cli.top.lines import EMPTY, Cell, Line, line, mark, wrapped
from omnitide.cli.top.words import span, visible
from omnitide.model.happenings import CloudEvent

_ROOM: Final = 4
"""Lines of the screen around the text, at least."""


def whole_event_lines(event: CloudEvent, opens: str, now_ms: int, width: int, repeat: Fold | None = None) -> list[Line]:
    """All of it in lines of `width`. `opens`: what Enter opens; empty: what it is about is not there any more.
    `repeat`: of the newest of several."""
    at = dt.datetime.fromtimestamp(at_ms(event.time) / 1000).astimezone()
    age = span(now_ms - at_ms(event.time))
    happened = visible(text_of(event).removeprefix(subject_of(event)).strip())
    facts = (
        ("node", str(event.data.get("node_name") or "")),
        ("by", event.by),
        ("when", f"{at:%Y-%m-%d %H:%M:%S}, {age} ago"),
        ("times", _times(repeat, at_ms(event.time))),
        ("revision", f"r{event.revision}"),
        ("kind", kind_of(event)),
        ("correlation", event.correlation),
    )
    lines = [
        line(Cell(visible(subject_of(event)), "strong")),
        line(mark(event_tone(event)), f" {happened}"),
        EMPTY,
        *(line(Cell(f"{name:<13}", "soft"), visible(value)) for name, value in facts if value),
        EMPTY,
        line(
            Cell(f"Enter opens {opens}; Esc goes back" if opens else "What it is about is gone. Esc goes back", "soft")
        ),
    ]
    return [row for one in lines for row in wrapped(one, width, 13 if one[:1] and one[0].style == "soft" else -1)]


def _times(repeat: Fold | None, last_ms: int) -> str:
    if repeat is None:
        return ""
    return f"{repeat.times} in {span(last_ms - repeat.first_ms)}, this the newest; each alone: omnitide events"


class EventScreen(ModalScreen[bool]):
    """Whether what it is about is to be opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(False)", "Back"),
        Binding("enter", "open", "Open"),
    ]
    DEFAULT_CSS = "EventScreen {" + DIALOG_CSS + "}"

    def __init__(self, event: CloudEvent, opens: str, now_ms: int, repeat: Fold | None = None) -> None:
        super().__init__()
        self._event = event
        self._opens = opens
        self._now_ms = now_ms
        self._repeat = repeat

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Text(id="event")

    def on_mount(self) -> None:
        self.query_one(Text).focus()

    def on_resize(self) -> None:
        text = self.query_one(Text)
        text.styles.max_height = max(3, self.size.height - _ROOM)
        width = text_width(self.size.width)
        text.show(whole_event_lines(self._event, self._opens, self._now_ms, width, self._repeat))

    def action_open(self) -> None:
        self.dismiss(bool(self._opens))
