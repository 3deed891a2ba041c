"""Which events may be in the log: each kind, and each field that was added later, has the level that allows it.

A log begins at level 1. A release that adds to the events gives what it adds the next level and goes on emitting what
there was before, until someone who knows that every replica runs that release raises the log's level. Nothing has been
released yet: everything has level 1.
"""

from typing import Final, cast

import msgspec

from omnitide.fabric import events as ev

LEVELS: Final[dict[type, int]] = dict.fromkeys(ev.EVENT_TYPES, 1)
"""Of each kind and version. A new one is put above its level here."""

FIELD_LEVELS: Final[dict[type, dict[str, int]]] = {}
"""Of fields that were added to a kind after its release; they count where they do not stand at their default."""

NEWEST: Final = 1
"""The level that this release knows all events of."""


def level_of(event: ev.Event) -> int:
    """The level that the log must have for this event to be in it."""
    kind = type(event)
    level = LEVELS[kind]
    added = FIELD_LEVELS.get(kind)
    if added is None:
        return level
    written = cast("dict[str, object]", msgspec.to_builtins(event))
    return max([level, *(of for field, of in added.items() if field in written)])
