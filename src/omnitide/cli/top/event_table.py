"""The page of events, and an event in words and tone."""

import datetime as dt
from functools import lru_cache
from typing import Final

from omnitide.cli.happenings.wording import BOOKKEEPING, by_of, kind_of, subject_of, text_of
from omnitide.cli.top.event_fold import folded
from omnitide.cli.top.lines import Cell, cut, cut_name, told
from omnitide.cli.top.listing import Column, Table
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.words import RANK, State, Tone, visible
from omnitide.model.happenings import CloudEvent

SUBJECT: Final = 38
"""So long a name of what an event is about is shown whole, be it that its node has no room then."""
_BAD: Final = ("exited", "lost", "unreachable", "rollout-stumbled", "rollout-late", "driver-silent", "port-refused")
_HEALTH: Final[dict[str, Tone]] = {"healthy": "good", "unhealthy": "bad"}
_GOOD: Final = ("running", "connected", "joined", "recovered", "version-proven")


def event_tone(event: CloudEvent) -> Tone:
    kind = kind_of(event)
    verb = kind.partition(".")[2]
    if verb in _BAD or (verb == "ended" and event.data.get("status") == "failed"):
        return "bad"
    if kind == "instance.health-changed":
        return _HEALTH.get(str(event.data.get("health")), "off")
    return "good" if verb in _GOOD else "off"


@lru_cache(maxsize=4096)
def at_ms(time: str) -> int:
    """Of an event; 0 if it cannot be read."""
    try:
        return int(dt.datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        return 0


def clock(milliseconds: int) -> str:
    """`14:03:22`, by this machine's zone."""
    return dt.datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%H:%M:%S")


def place_of(event: CloudEvent) -> tuple[int, int]:
    """In the log: its revision, and which it is of that revision's."""
    number = event.id.rpartition(".")[2]
    return event.revision, int(number) if number.isdecimal() else 0


def event_words(event: CloudEvent) -> str:
    """Without its subject, which stands in a column of its own."""
    text, by = text_of(event).removeprefix(subject_of(event)).strip(), by_of(event)
    return visible(f"{text}, {by}" if by else text)


def times_and_words(event: CloudEvent, scene: Scene) -> str:
    """`12× exited: exit code 1`, of a row that stands for several."""
    repeat = scene.repeats.get(event.id)
    return f"{repeat.times}× {event_words(event)}" if repeat else event_words(event)


def of_interest(event: CloudEvent) -> bool:
    return kind_of(event) not in BOOKKEEPING


def _events(scene: Scene) -> dict[str, CloudEvent]:
    """By the id of the oldest that is folded in a row, the newest."""
    events = scene.events
    stand = (len(events), events[0].id, events[-1].id) if events else ()
    if scene.shown_events[0] != stand:
        rows = folded([(one, at_ms(one.time)) for one in events if of_interest(one) and _in_namespace(one, scene)])
        scene.shown_events = (stand, {row.key: row.event for row in rows})
        scene.repeats = {row.event.id: row for row in rows if row.times > 1}
        scene.event_rows = {one: row.key for row in rows for one in row.ids or (row.event.id,)}
    return scene.shown_events[1]


def _row_of(identifier: str, scene: Scene) -> str:
    _events(scene)
    return scene.event_rows.get(identifier, "")


def _in_namespace(event: CloudEvent, scene: Scene) -> bool:
    kind, _, rest = event.subject.partition("/")
    return not scene.namespace or kind == "node" or rest.startswith(f"{scene.namespace}/")


EVENTS: Final = Table[CloudEvent](
    kind="event",
    noun="event",
    columns=(
        Column[CloudEvent](
            "time",
            "TIME",
            8,
            lambda one, _: Cell(clock(at_ms(one.time)), "soft"),
            lambda one, _: (at_ms(one.time), *place_of(one)),
            falls=True,
        ),
        Column[CloudEvent](
            "revision",
            "REV",
            7,
            lambda one, _: Cell(f"r{one.revision}", "soft"),
            lambda one, _: place_of(one),
            right=True,
            falls=True,
            rank=3,
        ),
        Column[CloudEvent](
            "subject",
            "WHAT",
            22,
            lambda one, _: Cell(visible(subject_of(one)), "strong"),
            lambda one, _: one.subject,
            cutting=cut_name,
            whole=SUBJECT,
        ),
        Column[CloudEvent](
            "text",
            "HAPPENED",
            24,
            lambda one, scene: told(State(event_tone(one), times_and_words(one, scene))),
            lambda one, _: RANK[event_tone(one)],
            cutting=cut,
        ),
        Column[CloudEvent](
            "node",
            "NODE",
            12,
            lambda one, _: Cell(visible(str(one.data.get("node_name") or ""))),
            lambda one, _: str(one.data.get("node_name") or ""),
            rank=2,
            cutting=cut_name,
        ),
    ),
    first="revision",
    objects=_events,
    ids=_events,
    name=lambda one: one.id,
    text=lambda one: f"{one.subject} {kind_of(one)} {text_of(one)} {one.data.get('node_name') or ''} {one.by}",
    fields={
        "kind": kind_of,
        "node": lambda one: str(one.data.get("node_name") or ""),
        "subject": lambda one: one.subject.replace("/", " "),
    },
    anchor=lambda one: one.id,
    row_of=_row_of,
)
