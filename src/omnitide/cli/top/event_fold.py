"""What happens to one thing again and again, in one row: an instance that ends in a loop would else fill the page, and
hide what happened between. Pure.

Only what comes by itself is folded, and only with what has the same cause. What somebody did to an agent, a job or a
node stands alone, and parts what was before from what came after. So does a rollout, of which each instance is another.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, cast

from omnitide.cli.happenings.wording import kind_of, text_of
from omnitide.model.happenings import CloudEvent

LEAST: Final = 3
"""Fewer are no repeats."""
APART_MS: Final = 15 * 60_000
"""What is farther apart is told apart: a restart waits for far less, unless its spec says otherwise."""
_KINDS: Final = frozenset({"connected", "unreachable", "departing", "driver-silent", "driver-answers", "port-refused"})
_CAUSES: Final = ("status", "reason", "cause", "driver", "port", "health", "message", "stopped")
"""Fields that tell one cause from another."""
_COUNTS: Final = re.compile(r"\bonce\b|\b\d+ times\b|\b\d+ (?=bytes\b|of its\b)")
"""Numbers of what came again and again, as messages have them: `once`, `3 times`, `512 bytes`, `2 of its processes`.
They are no cause. web/src/words/repeats.json holds this and the panel to one rule."""


class Fold(NamedTuple):
    """A row: the newest of some that are alike."""

    event: CloudEvent
    key: str
    """Stays the same while more of it comes, and while its oldest are forgotten."""
    times: int = 1
    first_ms: int = 0
    """When the oldest was."""
    ids: tuple[str, ...] = ()
    """Of all of them; empty: it is one alone."""


def folded(events: Sequence[tuple[CloudEvent, int]]) -> list[Fold]:
    """`events`: oldest first, each with its time. In the order of the newest of each row."""
    rows: list[list[tuple[CloudEvent, int]]] = []
    open_: dict[str, dict[object, list[tuple[CloudEvent, int]]]] = {}
    for event, at_ms in reversed(events):
        owner, alike = _owner(event), _alike(event)
        if alike is None:
            open_.pop(owner, None)
            rows.append([(event, at_ms)])
            continue
        mine = open_.setdefault(owner, {})
        row = mine.get(alike)
        if row is not None and row[-1][1] - at_ms <= APART_MS:
            row.append((event, at_ms))
        else:
            mine[alike] = [(event, at_ms)]
            rows.append(mine[alike])
    found: list[Fold] = []
    seen: Counter[str] = Counter()
    # From the oldest on: what is the first of its kind stays that, whatever comes.
    for row in reversed(rows):
        newest, _ = row[0]
        alike = _alike(newest)
        if alike is None:
            found.append(Fold(newest, newest.id, first_ms=row[0][1]))
            continue
        of = repr(alike)
        seen[of] += 1
        found += _rows_of(row, f"{of} {seen[of]}")
    order = {event.id: place for place, (event, _) in enumerate(events)}
    return sorted(found, key=lambda fold: order[fold.event.id])


def _rows_of(alike: Sequence[tuple[CloudEvent, int]], key: str) -> Iterable[Fold]:
    if len(alike) < LEAST:
        return [Fold(event, event.id, first_ms=at_ms) for event, at_ms in alike]
    (newest, _), (_, first_ms) = alike[0], alike[-1]
    return [Fold(newest, key, len(alike), first_ms, tuple(event.id for event, _ in alike))]


def _owner(event: CloudEvent) -> str:
    """The agent or job by id, of an instance too; else what it is about."""
    instance = event.data.get("instance")
    if instance:
        return str(instance).rsplit(".", 2)[0]
    return str(event.data.get("agent") or event.data.get("job") or event.subject)


def _alike(event: CloudEvent) -> object | None:
    """What two have to have in common to be told as one; None: it stands alone."""
    kind = kind_of(event)
    of, _, verb = kind.partition(".")
    if event.by or not (of == "instance" or (of == "node" and verb in _KINDS)):
        return None
    data = cast("dict[str, Any]", event.data)
    causes = tuple(_COUNTS.sub("", str(data.get(field) or "")) for field in _CAUSES)
    return event.subject, kind, causes, str(data.get("node_name") or ""), _ending(event)


def _ending(event: CloudEvent) -> object:
    """How it ended. Of one that came to no exit, the message may have times and sizes in it: its cause has not."""
    record = cast("dict[str, Any]", event.data.get("exit") or {})
    cause = str(record.get("reason") or ""), str(record.get("cause") or "")
    if record.get("signal") or record.get("code") is not None:
        return _COUNTS.sub("", text_of(event)), *cause
    return cause
