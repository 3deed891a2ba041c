"""What can be done, by whatever it is called, as the panel has it (web/src/palette/verbs.ts)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from omnitide.cli.top.action import Action
from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.reaching import unreachable
from omnitide.cli.top.targets import Kind, Target
from omnitide.model.objects import Instance


@dataclass(frozen=True, slots=True)
class Opening:
    """A screen that is opened for one thing. Nothing is changed by it, so nothing is asked."""

    id: str
    title: str
    preposition: str
    kind: Kind
    words: tuple[str, ...]
    """What else it is found by: the command that does it without `top`, then plain synonyms; lower case."""
    hindrance: Callable[[Target], str] = lambda _: ""

    def named(self, what: str) -> str:
        """`Output of web`, `Terminal in web-1.1`."""
        return f"{self.title} {self.preposition} {what}"


Verb = Action | Opening


def _unplaced(target: Target) -> str:
    return "it is on no node yet" if isinstance(target, Instance) and not target.node else ""


def _out_of_reach(target: Target) -> str:
    return unreachable(target) if isinstance(target, Instance) else "no instance is chosen"


_LOGS: Final = ("logs", "tail")
OPENINGS: Final = (
    Opening("agent.output", "Output", "of", "agent", _LOGS),
    Opening("node.output", "Output", "of", "node", _LOGS),
    Opening("instance.output", "Output", "of", "instance", _LOGS, _unplaced),
    Opening("instance.terminal", "Terminal", "in", "instance", ("exec", "shell", "console"), _out_of_reach),
)
VERBS: Final[tuple[Verb, ...]] = (*ACTIONS, *OPENINGS)


def names_of(verb: Verb) -> tuple[str, ...]:
    """All that it is called, in lower case; its title first."""
    return verb.title.lower(), *verb.words


def verbs_before(typed: str) -> list[tuple[Verb, str]]:
    """`drain n-3`, `rollback web`: a name of a verb or its beginning, and the name behind it; as many verbs as it may
    be. `typed` is in lower case."""
    found: list[tuple[Verb, str]] = []
    unfinished = _is_unfinished(typed)
    for verb in VERBS:
        names = names_of(verb)
        rest = next((rest for head, rest in _splits(typed) if head in names), "")
        if not rest and not unfinished:
            rest = next((rest for head, rest in _splits(typed) if any(name.startswith(head) for name in names)), "")
        if rest:
            found.append((verb, rest))
    return found


def verbs_like(typed: str) -> list[tuple[Verb, str]]:
    """`scl web`: the letters of a verb in their order, from its first one on; those that leave out the fewest first."""
    found: list[tuple[int, Verb, str]] = []
    for verb in () if _is_unfinished(typed) else VERBS:
        for head, rest in _splits(typed):
            left = [len(name) - len(head) for name in names_of(verb) if len(head) > 1 and _is_within(head, name)]
            if left:
                found.append((min(left), verb, rest))
                break
    return [(verb, rest) for _, verb, rest in sorted(found, key=lambda one: one[0])]


def _is_unfinished(typed: str) -> bool:
    """`roll ba` is still a verb, and no agent named ba."""
    return any(name.startswith(typed) for verb in VERBS for name in names_of(verb))


def _is_within(letters: str, name: str) -> bool:
    others = iter(name)
    return letters[0] == name[0] and all(letter in others for letter in letters)


def _splits(typed: str) -> Iterator[tuple[str, str]]:
    """A text at each of its spaces, the longest beginning first."""
    parts = re.split(r"\s+", typed)
    for at in range(len(parts) - 1, 0, -1):
        yield " ".join(parts[:at]), " ".join(parts[at:])
