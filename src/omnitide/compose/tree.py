"""A Compose document as plain values that remember where they were written."""

from collections.abc import Iterator
from typing import NamedTuple

from omnitide.model.manifest import ManifestError, ManifestFault

Step = str | int
Path = tuple[Step, ...]


class Place(NamedTuple):
    """Where something is written."""

    file: str
    line: int
    """From 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Map(dict[str, object]):
    """A mapping with the place of each key. Values are Map, Seq, text, numbers, booleans and None."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: dict[str, Place] = {}
        self.replaces: set[str] = set()
        """Keys tagged `!reset` or `!override`: what an earlier file says of them is forgotten."""

    def put(self, key: str, value: object, place: Place) -> None:
        self[key] = value
        self.places[key] = place

    def drop(self, key: str) -> object:
        self.places.pop(key, None)
        return self.pop(key, None)

    def at(self, key: str) -> Place:
        return self.places.get(key, self.place)

    def map(self, key: str) -> "Map":
        """The mapping under a key; an empty one if there is none."""
        value = self.get(key)
        return value if isinstance(value, Map) else Map(self.at(key))


class Seq(list[object]):
    """A list with the place of each element."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.places: list[Place] = []
        self.aside = ""
        """Of a text that became this list: the end of it that Compose passes over."""

    def add(self, value: object, place: Place) -> None:
        self.append(value)
        self.places.append(place)

    def pairs(self) -> Iterator[tuple[object, Place]]:
        return zip(self, self.places, strict=True)


def copied(value: object) -> object:
    """A copy that shares nothing that can be changed."""
    if isinstance(value, Map):
        made = Map(value.place)
        made.replaces = set(value.replaces)
        for key, below in value.items():
            made.put(key, copied(below), value.at(key))
        return made
    if isinstance(value, Seq):
        listed = Seq(value.place)
        listed.aside = value.aside
        for below, place in value.pairs():
            listed.add(copied(below), place)
        return listed
    return value


def paths_of(value: object, path: Path = ()) -> Iterator[tuple[Path, Place]]:
    """Every key and element below, parents before their children, with its place."""
    if isinstance(value, Map):
        for key, below in value.items():
            yield (*path, key), value.at(key)
            yield from paths_of(below, (*path, key))
    elif isinstance(value, Seq):
        for index, (below, place) in enumerate(value.pairs()):
            yield (*path, index), place
            yield from paths_of(below, (*path, index))


def place_of(value: object, path: Path, default: Place) -> Place:
    """Where the thing at a path is written, or the nearest above it."""
    found = default
    for step in path:
        if isinstance(value, Map):
            found = value.places.get(str(step), found)
            value = value.get(str(step))
        elif isinstance(value, Seq) and isinstance(step, int) and step < len(value):
            found = value.places[step]
            value = value[step]
        else:
            break
    return found


def dotted(path: Path) -> str:
    """`services.web.ports[0].target`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def refuse(place: Place, field: str, message: str, hint: str = "") -> ManifestError:
    """One thing for which the files are refused."""
    return ManifestError([ManifestFault(place.file, place.line, field, message, hint)])
