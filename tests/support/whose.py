"""Whose a process is, by the paths in its command line."""

from collections.abc import Sequence
from pathlib import Path


def works_in(words: Sequence[str], place: str | Path) -> bool:
    """Whether an argument is a folder or something in it, but for those that a sandbox hides: a stranger's sandbox
    names the folders of all fabrics that there are, and is to be left alone."""
    return any(
        (word == str(place) or f"{place}/" in word) and before not in ("--tmpfs", "/dev/null")
        for before, word in zip(("", *words), words, strict=False)
    )
