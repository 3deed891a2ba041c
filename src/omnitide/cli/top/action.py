"""What an action is: whether it can be done to an object now, what happens, what is lost by it, and the same on the
command line; and what a person has to say for it besides.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from omnitide.cli.top.figures import plural
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.targets import Kind, Target
from omnitide.model.inventory import Node
from omnitide.model.objects import AgentSummary, Instance

if TYPE_CHECKING:
    from omnitide.sdk.async_client import AsyncClient

Ask = Literal["", "replicas", "version", "node"]
T = TypeVar("T", Node, AgentSummary, Instance)

MAX_NUMBER: Final = 1_000_000


class Input(NamedTuple):
    """What a person says besides."""

    replicas: int = 0
    version: int = 0
    """0: the newest earlier one that is known to work, with another spec."""
    node: str = ""
    """Empty: Nexus chooses."""


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    title: str
    key: str
    kind: Kind
    hindrance: Callable[[Target], str]
    """Why it cannot be done now; empty if it can."""
    perform: "Callable[[AsyncClient, Target, Input], Awaitable[object]]"
    command: Callable[[str, Input], str]
    """Behind `omnitide`."""
    effect: Callable[[Target, Input, Scene], str]
    losses: Callable[[Target, Input, Scene], Sequence[str]]
    """What is lost or interrupted; each in a sentence."""
    done: Callable[[Input], str]
    """Behind the name: `web` `is to have 5 replicas`."""
    grave: bool = False
    many: bool = True
    """Whether it can be done to several at once."""
    ask: Ask = ""
    words: tuple[str, ...] = ()
    """What else it is found by: as the command line has it, if that is not the title, and synonyms; in lower case."""

    def named(self, what: str) -> str:
        """What is done to something, as one says it: `Scale agent web`, `Pause rollout of agent web`."""
        return f"{self.title} of {what}" if self.title.endswith("rollout") else f"{self.title} {what}"


def _nothing(_target: object, _said: Input, _scene: Scene) -> Sequence[str]:
    return ()


def made(
    of: type[T],
    identifier: str,
    title: str,
    key: str,
    *,
    perform: "Callable[[AsyncClient, T, Input], Awaitable[object]]",
    command: Callable[[str, Input], str],
    effect: Callable[[T, Input, Scene], str],
    done: Callable[[Input], str],
    hindrance: Callable[[T], str] = lambda _: "",
    losses: Callable[[T, Input, Scene], Sequence[str]] = _nothing,
    grave: bool = False,
    many: bool = True,
    ask: Ask = "",
    words: tuple[str, ...] = (),
) -> Action:
    """An action of one kind of objects."""

    def own(target: Target) -> T:
        assert isinstance(target, of), f"{identifier} is not for {type(target).__name__}"
        return target

    kind: Kind = "node" if of is Node else "agent" if of is AgentSummary else "instance"
    return Action(
        id=identifier,
        title=title,
        key=key,
        kind=kind,
        hindrance=lambda target: hindrance(own(target)),
        perform=lambda client, target, said: perform(client, own(target), said),
        command=command,
        effect=lambda target, said, scene: effect(own(target), said, scene),
        losses=lambda target, said, scene: losses(own(target), said, scene),
        done=done,
        grave=grave,
        many=many,
        ask=ask,
        words=words,
    )


def hindered(action: Action, targets: Sequence[Target]) -> str:
    """Why it can be done to none of them; empty if to some."""
    if not targets:
        return f"no {action.kind} is chosen"
    if len(targets) > 1 and not action.many:
        return f"{action.title.lower()} is for one {action.kind} at a time"
    said = [action.hindrance(one) for one in targets]
    return "" if not all(said) else said[0]


def read_input(action: Action, text: str) -> Input | str:
    """What was typed; a text says what is wrong with it."""
    text = text.strip()
    if action.ask == "node":
        return Input(node=text)
    if action.ask == "version" and not text:
        return Input()
    if not action.ask:
        return Input()
    number = text.removeprefix("v") if action.ask == "version" else text
    if not number.isascii() or not number.isdecimal() or int(number) > MAX_NUMBER:
        return f"{action.ask} is a whole number" + (
            ", or empty for the version before" if action.ask == "version" else ""
        )
    return Input(replicas=int(number)) if action.ask == "replicas" else Input(version=int(number))


def in_memory(count: int, noun: str) -> str:
    """`3 instances have in memory`: what is lost with them."""
    return f"{plural(count, noun)} {'has' if count == 1 else 'have'} in memory"
