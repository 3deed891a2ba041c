"""Under which names a place of this machine can be found: mounts show the same directory at several paths.

Whoever may ask for a path, or is to see all but some, could be given what is kept from him under another name. Each
line of mountinfo says which directory of which file system is seen where; a place is at each mount of its file system
whose directory holds it, or is in it. Not found are the names that it has in file systems which show others (overlays,
network exports).
"""

import os
import posixpath
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MOUNTS: Final = "/proc/self/mountinfo"
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class Mounted(NamedTuple):
    """What is seen at `point`: the directory `root` of a file system."""

    device: str
    root: str
    point: str


def mounted() -> list[Mounted]:
    """What this process sees, in the order of mounting; empty where the system does not tell."""
    try:
        with open(MOUNTS, errors="surrogateescape") as file:
            return parse(file.read())
    except OSError:
        return []


def parse(text: str) -> list[Mounted]:
    found: list[Mounted] = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[3].startswith("/"):  # a namespace's file has no path
            found.append(Mounted(fields[2], _plain(fields[3]), _plain(fields[4])))
    return found


def names(places: Iterable[str], mounts: Iterable[Mounted]) -> tuple[str, ...]:
    """Every path at which one of the places, or something in it, is seen; the places themselves come first. They are
    to be without links on their way."""
    known = list(mounts)
    given = list(dict.fromkeys(places))
    found = dict.fromkeys(given)
    for device, inner in {spot for place in given for spot in _spots(place, known)}:
        for mount in known:
            if mount.device != device:
                continue
            if within(inner, mount.root):
                found[_joined(mount.point, posixpath.relpath(inner, mount.root))] = None
            elif within(mount.root, inner):
                found[mount.point] = None
    return tuple(found)


def within(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def overlap(one: str, other: str) -> bool:
    """Whether who is given the one has the other with it, or a part of it."""
    return within(one, other) or within(other, one)


def _spots(place: str, mounts: list[Mounted]) -> list[tuple[str, str]]:
    """Where it really is, and what is mounted below it: file systems with directories of theirs."""
    found = [(mount.device, mount.root) for mount in mounts if mount.point != place and within(mount.point, place)]
    above = [mount for mount in mounts if within(place, mount.point)]
    if above:
        # Of mounts at one point the last covers the others.
        mount = max(enumerate(above), key=lambda pair: (len(pair[1].point), pair[0]))[1]
        found.append((mount.device, _joined(mount.root, posixpath.relpath(place, mount.point))))
    return found


def _joined(above: str, below: str) -> str:
    return above if below == "." else posixpath.join(above, below)


def _plain(field: str) -> str:
    """Blanks and backslashes come as octal numbers, each of them one byte."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), field) if "\\" in field else field


def real(paths: Iterable[str]) -> list[str]:
    """Without the links on the way."""
    return [os.path.realpath(path) for path in paths]
