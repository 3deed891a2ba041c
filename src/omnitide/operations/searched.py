"""What a node is asked for when output is searched, and what it finds."""

from typing import Literal, NamedTuple


class OutputQuestion(NamedTuple):
    """Lines of instances of one node. Times are by the log's clock, in milliseconds."""

    instances: tuple[str, ...]
    now_ms: int
    since_ms: int = 0
    """0: from the first line on."""
    until_ms: int = 0
    """Before it; 0: no end."""
    pattern: str = ""
    regular: bool = False
    ignore_case: bool = False
    stream: str = ""
    last: int = 0
    """Only the newest so many of all; 0: all."""
    follow: bool = False


class FoundLine(NamedTuple):
    instance: int
    """Which of those that were asked for."""
    at_ms: int
    """By the node's clock."""
    stream: Literal["stdout", "stderr"]
    attempt: int
    text: bytes
    gap: bool = False
    cut: bool = False
    trouble: str = ""
    """It is no line, but the reason why there are no more of the instance, which the text says."""


class FoundBatch(NamedTuple):
    lines: tuple[FoundLine, ...] = ()
    ahead_ms: int | None = None
    """In the first: how far the node's clock is ahead of the one that asked."""
    caught_up: bool = False
    """What follows has been written since it was asked."""
