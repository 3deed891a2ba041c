"""What the command line and a node's `emptying` share: which drivers have run something on a node that no keeper ends,
and what is answered when it has been ended."""

from pathlib import Path
from typing import Final

import msgspec

_USED: Final = "used-drivers"
"""Folder in the node's, with an empty file for each of them."""
_FOR_GOOD: Final = "leaves-for-good"
"""File in the node's folder while `omnitide leave` is at work."""
MARGIN_S: Final = 60.0
"""Behind the longest grace: for what was killed to be seen to have ended."""


class Emptied(msgspec.Struct, frozen=True):
    stopped: int = 0
    """Instances that ran."""
    left: tuple[str, ...] = ()
    """Those that did not end in time."""
    problems: tuple[str, ...] = ()


def mark_used(node: Path, driver: str) -> None:
    """The driver is about to start something on the node with this folder. Raises OSError."""
    folder = node / _USED
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / driver).touch()


def mark_for_good(node: Path, *, leaves: bool) -> None:
    """Whether the node, which is to be told that it is emptied, is one no more after that. Raises OSError."""
    if leaves:
        (node / _FOR_GOOD).touch(mode=0o600)
    else:
        (node / _FOR_GOOD).unlink(missing_ok=True)


def leaves_for_good(node: Path) -> bool:
    return (node / _FOR_GOOD).exists()


def used(node: Path) -> list[str]:
    """Names of the drivers that have started something there."""
    try:
        return sorted(path.name for path in (node / _USED).iterdir())
    except OSError:
        return []
