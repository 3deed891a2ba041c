"""Which events someone wants to see."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from omnitide.fabric.events import EVENT_TYPES
from omnitide.model.faults import Fault
from omnitide.operations.happenings.translate import TYPE_PREFIX, Happening


class EventFilter(NamedTuple):
    """All of it must hold. An empty part holds of every event."""

    kinds: tuple[str, ...] = ()
    """`instance`, `agent.created`, `omnitide.node.joined.v1`: whole words from the left."""
    namespace: str = ""
    """Events of objects in this namespace. Nodes, tokens and the fabric are in none."""
    subject: str = ""
    """`agent/default/hello`: also events of its instances. `node/alpha`: also of what is placed there."""

    def admits(self, happening: Happening) -> bool:
        if self.namespace and happening.namespace != self.namespace:
            return False
        if self.subject and self.subject not in happening.concerns:
            return False
        return not self.kinds or any(_is_kind(happening.kind, kind) for kind in self.kinds)


def make_filter(kinds: Iterable[str], namespace: str, subject: str) -> EventFilter:
    """One filter for one meaning, so that watchers who want the same share it."""
    return EventFilter(tuple(sorted({kind.removeprefix(TYPE_PREFIX) for kind in kinds if kind})), namespace, subject)


def _all_kinds() -> frozenset[str]:
    """Every text that is the kind of some event, by one word, by several or whole."""
    words = [str(event.__struct_config__.tag).split(".") for event in EVENT_TYPES]
    return frozenset(".".join(one[:length]) for one in words for length in range(1, len(one) + 1))


KINDS: Final = _all_kinds()


def unknown_kinds(kinds: Sequence[str]) -> list[Fault]:
    """A fault for each that no event is of: a filter for it would be silent for ever."""
    faults: list[Fault] = []
    for number, given in enumerate(kinds):
        kind = given.removeprefix(TYPE_PREFIX)
        if kind and kind not in KINDS:
            faults.append(Fault(("kinds", number), f"there is no kind of event {given!r}", _instead_of(kind)))
    return faults


def _instead_of(kind: str) -> str:
    """The nearest, and the known ones: of the same first word if that is one, else the first words."""
    first = kind.partition(".")[0]
    if first in KINDS:
        known = sorted({one for one in KINDS if one.startswith(f"{first}.") and one.count(".") == 1})
    else:
        known = sorted(one for one in KINDS if "." not in one)
    near = difflib.get_close_matches(kind, [one for one in KINDS if one.count(".") < 2 or kind.count(".") > 1], n=1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"there are {', '.join(known)}"


def _is_kind(kind: str, wanted: str) -> bool:
    return kind == wanted or kind.startswith(wanted + ".")


class Selection:
    """Happenings, indexed by what they concern: a filter for one subject looks at those and at no others."""

    def __init__(self, happenings: Sequence[Happening]) -> None:
        self._all = happenings
        self._by_concern: Mapping[str, list[Happening]] | None = None

    def of(self, wanted: EventFilter) -> Iterator[Happening]:
        candidates: Sequence[Happening] = self._all
        if wanted.subject:
            if self._by_concern is None:
                self._by_concern = self._index()
            candidates = self._by_concern.get(wanted.subject, ())
        return (happening for happening in candidates if wanted.admits(happening))

    def concerns(self) -> Iterable[str]:
        """Every subject that a filter could ask for with success."""
        if self._by_concern is None:
            self._by_concern = self._index()
        return self._by_concern.keys()

    def _index(self) -> dict[str, list[Happening]]:
        index: dict[str, list[Happening]] = {}
        for happening in self._all:
            for concern in happening.concerns:
                index.setdefault(concern, []).append(happening)
        return index
