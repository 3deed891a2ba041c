"""The nodes of a YAML text, with a bound on how deep they are nested.

Without one a small text costs seconds: to tell a key from a value ruamel.yaml's scanner reads on ahead, and with each
token it looks through all flow collections (`[`, `{`) that are open.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn, Protocol, cast


class Mark(Protocol):
    line: int
    """From 0."""
    column: int
    """From 0."""


class Node(Protocol):
    """A node of ruamel.yaml, which declares no types for them."""

    id: str
    """mapping, sequence or scalar."""
    tag: object
    value: object
    start_mark: Mark


class NestedTooDeep(ValueError):
    """Where a text goes deeper than it may. `line` and `column` count from 1."""

    def __init__(self, most: int, line: int, column: int) -> None:
        super().__init__(f"is nested more than {most} deep, at column {column}")
        self.line = line
        self.column = column


def nodes_of(text: str, most_deep: int) -> Iterator[Node | None]:
    """The root of each document; None: an empty one. `most_deep`: keys and indexes that lead to a value. Raises
    NestedTooDeep, and what ruamel.yaml raises."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import MaxDepthExceededError

    yaml: Any = YAML(typ="safe", pure=True)  # ruamel.yaml declares hardly any types
    yaml.Scanner = _scanner(most_deep)
    yaml.max_depth = most_deep + 1  # the root is one
    try:
        yield from cast("Iterator[Node | None]", yaml.compose_all(text))
    except MaxDepthExceededError as error:
        _refuse(most_deep, cast("Any", error).problem_mark)


@cache
def _scanner(most_deep: int) -> type:
    from ruamel.yaml.scanner import Scanner

    class Bounded(Scanner):
        def fetch_flow_collection_start(self, TokenClass: Any, to_push: Any) -> None:  # noqa: N803 (their name)
            own: Any = self
            above: Any = super()
            if own.flow_level > most_deep:
                _refuse(most_deep, own.reader.get_mark())
            above.fetch_flow_collection_start(TokenClass, to_push)

    return Bounded


def _refuse(most: int, mark: Mark) -> NoReturn:
    raise NestedTooDeep(most, mark.line + 1, mark.column + 1)
