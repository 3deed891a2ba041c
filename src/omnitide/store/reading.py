"""Reading records out of the batches of the RocksDB log, in a thread of its own."""

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from functools import partial
from itertools import accumulate
from typing import cast

import msgspec

from omnitide.store import framing
from omnitide.store.protocol import LogCorrupt, LogUnavailable, Record
from omnitide.store.recovery import as_log_error, decode_at
from omnitide.store.rocks_handle import Slot, StorageError

STEP_BYTES = 4 << 20
"""How much of the log one step of a walk reads, so that the store is never held for long."""


class Walked(msgspec.Struct, frozen=True):
    """How far a walk over the log has proved it."""

    position: int
    """Last record proved."""
    link: bytes | None
    """Link of its batch; None before the first."""
    batches: int


class Reader:
    """Used by one thread at a time."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._open_frame: framing.Frame | None = None
        """The batch in whose middle the last read ended, so that small reads of a large batch prove it only once."""

    def read(self, after: int, upto: int, limit: int, limit_bytes: int) -> list[Record]:
        """As `EventLog.read`, for positions `after` + 1 to `upto`, which must be kept."""
        records: list[Record] = []
        size = 0
        kept, self._open_frame = self._open_frame, None
        with closing(self._frames(after + 1, upto, kept=kept)) as frames:
            for frame in frames:
                start = after + 1 + len(records)
                payloads = frame.payloads[start - frame.first : upto - frame.first + 1]
                fitting = _fitting(payloads, limit - len(records), limit_bytes - size, at_least=0 if records else 1)
                records.extend(_records(start, payloads[:fitting]))
                if fitting < len(payloads):
                    self._open_frame = frame
                    break
                size += sum(map(len, payloads))
                if len(records) >= limit or size >= limit_bytes:
                    break
        return records

    def walk(self, done: Walked, upto: int) -> Walked:
        """One step of proving all up to `upto`. Raises LogCorrupt, LogUnavailable."""
        size = 0
        with closing(self._frames(done.position + 1, upto, link=done.link)) as frames:
            for frame in frames:
                done = Walked(position=frame.last, link=frame.link, batches=done.batches + 1)
                size += sum(map(len, frame.payloads))
                if size >= STEP_BYTES:
                    break
        return done

    def _frames(
        self, position: int, upto: int, *, kept: framing.Frame | None = None, link: bytes | None = None
    ) -> Generator[framing.Frame]:
        """The batches that hold `position` to `upto`, each proved.

        `kept` need not be read again; the first that is read must follow from the batch with `link`, if that is known.
        """
        if kept is not None and kept.first <= position <= kept.last:
            yield kept
            position, link = kept.last + 1, kept.link
        if position > upto:
            return
        with self._slot.borrowed() as handle:
            if handle is None:
                raise LogUnavailable("the log is not open")
            try:
                with closing(handle.entries(position)) as entries:
                    for key, value in entries:
                        frame = decode_at(key, value, suspect=position)
                        if frame.first > position or (link is not None and frame.first != position):
                            raise LogCorrupt(position, f"the next batch that is there starts at {frame.first}")
                        if link is not None and frame.previous_link != link:
                            raise LogCorrupt(position, "the batch does not follow from the one before it")
                        yield frame
                        position, link = frame.last + 1, frame.link
                        if position > upto:
                            return
            except StorageError as error:
                raise as_log_error(error, position) from error
        raise LogCorrupt(position, f"records {position} to {upto} are missing")


def _fitting(payloads: list[bytes], limit: int, limit_bytes: int, *, at_least: int) -> int:
    """How many of the payloads are within both limits."""
    within = bisect_right(list(accumulate(map(len, payloads))), limit_bytes)
    return max(at_least, min(len(payloads), limit, within))


# The type stub of tuple.__new__ leaves the type of the elements unknown; the cast says it.
_make = partial(tuple.__new__, Record)  # pyright: ignore[reportUnknownMemberType]
_record = cast("Callable[[tuple[int, bytes]], Record]", _make)
"""`Record(*pair)` without a Python frame for each: a million records are read at every start."""


def _records(first: int, payloads: list[bytes]) -> Iterable[Record]:
    return map(_record, enumerate(payloads, first))
