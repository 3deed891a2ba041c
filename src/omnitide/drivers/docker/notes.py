"""What the engine does not remember for us: which stops were asked for, which ended runs are forgotten, which instances
are over, which images this driver pulled. Small files in the driver's directory, so that the next node proxy knows."""

import contextlib
import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from omnitide.drivers.docker.naming import word

T = TypeVar("T")

STOPS: Final = "stops"
FORGOTTEN: Final = "forgotten"
OVER: Final = "over"
IMAGES: Final = "images.json"
USED: Final = "used"
KEEPS: Final = "keeps.json"


class Stop(msgspec.Struct, frozen=True):
    at_ms: int
    grace_ms: int
    killed: bool = False


class _Kept(msgspec.Struct, frozen=True):
    engine: str
    folder: str


class Notes:
    """Read once; written through. One driver writes."""

    def __init__(self, directory: str) -> None:
        self._root = Path(directory)
        self._stops = {name: stop for name in self._names(STOPS) if (stop := self._read(Path(STOPS, name), Stop))}
        self._forgotten = set(self._names(FORGOTTEN))
        self._over = {name: instance for name in self._names(OVER) if (instance := self._read(Path(OVER, name), str))}
        self._images = self._read(Path(IMAGES), dict[str, int]) or {}
        self._kept = self._read(Path(KEEPS), _Kept)
        self.used = (self._root / USED).exists()
        """A container was started once: an engine that is away now is missed."""
        self._engine = self.engine() if self.used else ""
        self.begun = 0
        """Starts, so that one is noticed during a look at what there is."""

    def begin(self, engine: str) -> None:
        """A container is about to be started by the engine of this address. Raises OSError."""
        self.begun += 1
        if not self.used or self._engine != engine:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._root / f"{USED}.new"
            fresh.write_text(engine)
            fresh.replace(self._root / USED)
            self.used, self._engine = True, engine

    def end(self) -> None:
        """No container of this node is there any more: no engine is missed."""
        with contextlib.suppress(OSError):
            self.note.unlink(missing_ok=True)
            self.used, self._engine = False, ""

    @property
    def note(self) -> Path:
        """The file with the address of the engine that was used last."""
        return self._root / USED

    def engine(self) -> str:
        """The address of the engine that was used last; empty where none is known."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return (self._root / USED).read_text()
        return ""

    def keeps(self, engine: str, folder: str) -> None:
        """Where the engine of this address has its files."""
        kept = _Kept(engine, folder)
        if kept != self._kept:
            self._kept = kept
            self._write(Path(KEEPS), msgspec.json.encode(kept))

    def folder(self, engine: str) -> str:
        """Where the engine of this address has its files; empty where it has never said so."""
        return self._kept.folder if self._kept is not None and self._kept.engine == engine else ""

    # -- stops -------------------------------------------------------------------------------------------------------

    def stop(self, name: str) -> Stop | None:
        return self._stops.get(name)

    def stops(self, name: str, stop: Stop) -> None:
        self._stops[name] = stop
        self._write(Path(STOPS, name), msgspec.json.encode(stop))

    # -- ended runs whose container is kept only for its output ------------------------------------------------------

    def is_forgotten(self, name: str) -> bool:
        return name in self._forgotten

    def forget(self, name: str) -> None:
        self._forgotten.add(name)
        self._write(Path(FORGOTTEN, name), b"")

    def gone(self, name: str) -> None:
        """The container is no more."""
        if self._stops.pop(name, None) is not None:
            self._remove(Path(STOPS, name))
        if name in self._forgotten:
            self._forgotten.discard(name)
            self._remove(Path(FORGOTTEN, name))

    def keep_only(self, names: set[str]) -> None:
        """Let go of what is noted of containers that are no more."""
        for name in (self._stops.keys() | self._forgotten) - names:
            self.gone(name)

    # -- instances that are over, whose containers are to be removed -------------------------------------------------

    @property
    def over(self) -> list[str]:
        return list(self._over.values())

    def is_over(self, instance: str) -> None:
        if word(instance) not in self._over:
            self._over[word(instance)] = instance
            self._write(Path(OVER, word(instance)), msgspec.json.encode(instance))

    def put_away(self, instance: str) -> None:
        """None of its containers is there any more."""
        if self._over.pop(word(instance), None) is not None:
            self._remove(Path(OVER, word(instance)))

    # -- images ------------------------------------------------------------------------------------------------------

    @property
    def images(self) -> dict[str, int]:
        """Those that this driver pulled, by id, and when each was last used, milliseconds since 1970."""
        return dict(self._images)

    def image_used(self, image: str, at_ms: int, *, pulled: bool) -> None:
        if pulled or image in self._images:
            self._images[image] = at_ms
            self._write(Path(IMAGES), msgspec.json.encode(self._images))

    def image_gone(self, image: str) -> None:
        if self._images.pop(image, None) is not None:
            self._write(Path(IMAGES), msgspec.json.encode(self._images))

    # -- files -------------------------------------------------------------------------------------------------------

    def _names(self, folder: str) -> list[str]:
        with contextlib.suppress(OSError):
            return [name for name in os.listdir(self._root / folder) if not name.endswith(".new")]
        return []

    def _read(self, path: Path, kind: type[T]) -> T | None:
        """None as well for what a crash has left half written: at worst an end is not known to have been asked for."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self._root / path).read_bytes(), type=kind)
        return None

    def _write(self, path: Path, data: bytes) -> None:
        """A disk that is full costs what the next proxy would have known, and no more: a stop has to go on."""
        target = self._root / path
        fresh = target.with_name(target.name + ".new")
        with contextlib.suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_bytes(data)
            fresh.replace(target)

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            (self._root / path).unlink()
