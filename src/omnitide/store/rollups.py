"""Where samples by the minute lie: a store of its own, apart from the event log. What is lost is a gap in a chart.

Minutes come as small values and are put together to hours, so that a week of a node is a few hundred reads. The values
are opaque here. What is too old goes as a range. Every call blocks: a thread of its own makes them.
"""

import shutil
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

from rocksdict import DBCompressionType, Options, Rdict, WriteBatch

from omnitide.store.protocol import LogUnavailable

HOUR: Final = 60
_MINUTES: Final = b"m"
_HOURS: Final = b"h"
_NUMBER: Final = struct.Struct(">I")
BUFFER_BYTES: Final = 8 << 20


class Slot(NamedTuple):
    """A minute or an hour since 1970, of one node."""

    number: int
    node: str


class RollupStore:
    """Raises LogUnavailable where the disk does not do what it should."""

    def __init__(self, path: Path) -> None:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(DBCompressionType.zstd())
        options.set_write_buffer_size(BUFFER_BYTES)
        options.set_max_open_files(64)
        options.set_keep_log_file_num(2)
        options.set_max_background_jobs(1)
        try:
            self._db = Rdict(str(path), options)
        except Exception as error:
            raise LogUnavailable(f"the store of samples cannot be opened: {error}") from error

    def put_minutes(self, minute: int, values: Mapping[str, bytes]) -> None:
        """Of nodes, by id. What there was of the minute is replaced."""
        self._write([(_key(_MINUTES, minute, node), value) for node, value in values.items()], ())

    def minute(self, minute: int, node: str) -> bytes | None:
        return self._get([_key(_MINUTES, minute, node)])[0]

    def minutes_of(self, hour: int, node: str) -> list[bytes]:
        """Those that were not put together yet, in order."""
        keys = [_key(_MINUTES, hour * HOUR + minute, node) for minute in range(HOUR)]
        return [value for value in self._get(keys) if value is not None]

    def put_hour(self, hour: int, node: str, value: bytes) -> None:
        """In place of its minutes, at once."""
        gone = [_key(_MINUTES, hour * HOUR + minute, node) for minute in range(HOUR)]
        self._write([(_key(_HOURS, hour, node), value)], gone)

    def hours(self, hours: Sequence[int], node: str) -> list[bytes]:
        """The hours of a node that were put together."""
        return [value for value in self._get([_key(_HOURS, hour, node) for hour in hours]) if value is not None]

    def open_hours(self, before: int) -> list[Slot]:
        """Hours before this one of which there are minutes that were not put together."""
        found: dict[Slot, None] = {}
        for slot in self._slots(_MINUTES, 0, before * HOUR):
            found[Slot(slot.number // HOUR, slot.node)] = None
        return list(found)

    def nodes(self, first_hour: int, end_hour: int, most: int) -> list[Slot] | None:
        """Which hours of which nodes there are; None for more than `most`."""
        found: dict[Slot, None] = {}
        for slot in self._slots(_HOURS, first_hour, end_hour):
            found[slot] = None
            if len(found) > most:
                return None
        for slot in self._slots(_MINUTES, first_hour * HOUR, end_hour * HOUR):
            found[Slot(slot.number // HOUR, slot.node)] = None
            if len(found) > most:
                return None
        return list(found)

    def drop_before(self, hour: int) -> None:
        """Forget what is older."""
        try:
            self._db.delete_range(_HOURS, _HOURS + _NUMBER.pack(hour))
            self._db.delete_range(_MINUTES, _MINUTES + _NUMBER.pack(hour * HOUR))
        except Exception as error:
            raise LogUnavailable(f"old samples cannot be dropped: {error}") from error

    def close(self) -> None:
        self._db.close()

    def _slots(self, kind: bytes, first: int, end: int) -> Iterable[Slot]:
        for key in self._db.keys(from_key=kind + _NUMBER.pack(max(0, first))):
            if not isinstance(key, bytes) or key[:1] != kind or len(key) < 5:
                return
            number = _NUMBER.unpack_from(key, 1)[0]
            if number >= end:
                return
            yield Slot(number, key[5:].decode())

    def _get(self, keys: list[bytes]) -> list[bytes | None]:
        try:
            return cast("list[bytes | None]", self._db.get(cast("list[str | int | float | bytes | bool]", keys)))
        except Exception as error:
            raise LogUnavailable(f"samples cannot be read: {error}") from error

    def _write(self, put: Iterable[tuple[bytes, bytes]], gone: Iterable[bytes]) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in put:
            batch.put(key, value)
        for key in gone:
            batch.delete(key)
        try:
            self._db.write(batch)
        except Exception as error:
            raise LogUnavailable(f"samples cannot be written: {error}") from error


def _key(kind: bytes, number: int, node: str) -> bytes:
    return kind + _NUMBER.pack(number) + node.encode()


def open_rollups(path: Path) -> RollupStore:
    """One that cannot be read is set aside, and an empty one begun: what it holds is not worth a Nexus that does not
    start. Raises LogUnavailable."""
    try:
        return RollupStore(path)
    except LogUnavailable:
        aside = path.with_name(f"{path.name}.unusable")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            path.rename(aside)
        except OSError as error:
            raise LogUnavailable(f"the store of samples cannot be set aside: {error}") from error
        return RollupStore(path)
