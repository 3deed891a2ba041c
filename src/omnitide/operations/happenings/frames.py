"""Frames: what watchers of the same filter are sent, made and encoded once for all of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from omnitide.model.happenings import EventBatch
from omnitide.operations.happenings.translate import Happening

MAX_FRAME_EVENTS: Final = 256
MAX_FRAME_BYTES: Final = 256 << 10
"""Clients bound the messages that they take, often at 1 MiB; one event may be larger than this and then goes alone."""

T = TypeVar("T")


class Frame:
    """Some events in order, or none: then it only says how far the stream has come."""

    __slots__ = ("_encodings", "happenings", "resume")

    def __init__(self, happenings: tuple[Happening, ...], resume: int) -> None:
        self.happenings = happenings
        self.resume = resume
        """Everything up to this revision has been sent when this frame has."""
        self._encodings: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self.happenings)

    @property
    def batch(self) -> EventBatch:
        return EventBatch(items=tuple(happening.event for happening in self.happenings), resume=self.resume)

    def encoded(self, form: str, encode: "Callable[[Frame], T]") -> T:
        """This frame in one form, encoded for the first who asks."""
        if form not in self._encodings:
            self._encodings[form] = encode(self)
        return self._encodings[form]  # type: ignore[return-value]


def frames_of(happenings: Iterable[Happening], resume: int) -> Iterator[Frame]:
    """Frames within the bounds. `resume`: the revision up to which these are all events that there are."""
    part: list[Happening] = []
    size = 0
    for happening in happenings:
        length = len(happening.json)
        if part and (len(part) == MAX_FRAME_EVENTS or size + length > MAX_FRAME_BYTES):
            # The rest of this revision may be in the next frame: who breaks off here sees it again.
            yield Frame(tuple(part), happening.event.revision - 1)
            part, size = [], 0
        part.append(happening)
        size += length
    if part:
        yield Frame(tuple(part), resume)
