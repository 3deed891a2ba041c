"""The palette: pages, actions and every object by name. A name is text and nothing else."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from omnitide.cli.top.action import Action, hindered
from omnitide.cli.top.actions import ACTIONS
from omnitide.cli.top.bars import PAGES, TITLES
from omnitide.cli.top.listing import natural
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import full_name
from omnitide.cli.top.targets import Kind, Target, kind_of_target, name_of, subject_of
from omnitide.cli.top.verbs import VERBS, Verb, verbs_before, verbs_like
from omnitide.cli.top.words import visible

T = TypeVar("T")

MOST: Final = 60
"""Found objects of a kind, the best; a longer text finds fewer."""

MOST_DONE: Final = 20
"""The same of those that a verb with a name behind it can be done to."""


class Commanded(Protocol):
    """What the palette asks of the application."""

    @property
    def scene(self) -> Scene: ...
    def show_page(self, page: str) -> None: ...
    def open_object(self, kind: str, identifier: str) -> None: ...
    async def action_act(self, identifier: str) -> None: ...
    def act(self, action: Action, targets: Sequence[Target]) -> None: ...
    def show_output(self, targets: Sequence[Target]) -> None: ...
    def reach(self, one: Target) -> None: ...
    def choose_target(self, verb: Verb) -> None: ...
    def chosen(self) -> list[Target]: ...
    def action_colours(self) -> None: ...
    def action_keys(self) -> None: ...
    async def action_quit(self) -> None: ...


def rank(wanted: str, name: str) -> float:
    """0: not found. A beginning is better than a middle, be a namespace before it, and letters in order are something
    too."""
    name = name.lower()
    if name.startswith(wanted) or f"/{wanted}" in name:
        return 1.0
    if wanted in name:
        return 0.8
    letters = iter(name)
    return 0.4 if all(letter in letters for letter in wanted) else 0.0


def best(wanted: str, named: Iterable[tuple[str, T]]) -> list[tuple[float, str, T]]:
    """With the rank of each, the highest first; of the same rank by name."""
    ranked = ((rank(wanted, name), name, one) for name, one in named)
    return heapq.nsmallest(MOST, (one for one in ranked if one[0]), key=lambda one: (-one[0], natural(one[1])))


class Of(Provider):
    """What `top` has."""

    @property
    def commanded(self) -> Commanded:
        # Textual types it as any App; the only one that names this provider is `top`'s.
        return self.app  # pyright: ignore[reportReturnType]


def _named(verb: Verb, scene: Scene) -> list[tuple[str, Target]]:
    """What it can be done to now."""
    view = scene.view
    found: dict[Kind, Callable[[], Sequence[Target]]] = {
        "node": lambda: list(view.nodes.values()),
        "agent": lambda: [view.agents[key] for key in scene.agents()],
        "instance": lambda: [view.instances[key] for key in scene.instances()],
    }
    return [(name_of(one), one) for one in found[verb.kind]() if not verb.hindrance(one)]


def _doing(app: Commanded, verb: Verb, target: Target) -> Callable[[], object]:
    if isinstance(verb, Action):
        return partial(app.act, verb, [target])
    return partial(app.reach, target) if verb.title == "Terminal" else partial(app.show_output, [target])


def targets_of(verb: Verb) -> type[Provider]:
    """What it can be done to now, by name."""

    class Targets(Of):
        def _named(self) -> list[tuple[str, Target]]:
            return sorted(_named(verb, self.commanded.scene), key=lambda named: natural(named[0]))

        def _do(self, target: Target) -> Callable[[], object]:
            return _doing(self.commanded, verb, target)

        async def discover(self) -> Hits:
            for name, target in islice(self._named(), MOST):
                yield DiscoveryHit(Text(visible(name)), self._do(target), text=visible(name))

        async def search(self, query: str) -> Hits:
            wanted = query.lower().strip()
            for score, name, target in best(wanted, self._named()):
                yield Hit(score, Text(visible(name)), self._do(target), text=visible(name))

    return Targets


class Everything(Of):
    """All that can be gone to or done."""

    def _own(self) -> Iterator[tuple[str, tuple[str, ...], Callable[[], object]]]:
        """Its title, what else it is found by, and what it does."""
        app = self.commanded
        for page in PAGES:
            yield f"Go to {TITLES[page].lower()}", (), partial(app.show_page, page)
        targets = app.chosen()
        if targets:
            name = visible(name_of(targets[0])) if len(targets) == 1 else f"{len(targets)} chosen"
            for action in ACTIONS:
                if action.kind == kind_of_target(targets[0]) and not hindered(action, targets):
                    words = tuple(f"{word} {name}" for word in action.words)
                    yield action.named(name), words, partial(app.action_act, action.id)
        for verb in VERBS:
            title = verb.named(f"a{'' if verb.kind == 'node' else 'n'} {verb.kind}…")
            yield title, verb.words, partial(app.choose_target, verb)
        yield "Keys", (), app.action_keys
        yield "Colours: terminal, dark, light", (), app.action_colours
        yield "Quit", (), app.action_quit

    def _done(self, meant: Iterable[tuple[Verb, str]], weight: float) -> Iterator[Hit]:
        """A verb and a name: what it can be done to that is called that."""
        app = self.commanded
        chosen = {subject_of(one) for one in app.chosen()}
        for verb, wanted in meant:
            for score, name, target in best(wanted, _named(verb, app.scene))[:MOST_DONE]:
                # What is chosen has its actions already.
                if not (isinstance(verb, Action) and subject_of(target) in chosen):
                    title = verb.named(visible(name))
                    yield Hit(score * weight, Text(title), _doing(app, verb, target), text=title)

    async def discover(self) -> Hits:
        for title, _, command in self._own():
            yield DiscoveryHit(Text(title), command, text=title)

    async def search(self, query: str) -> Hits:
        wanted = query.lower().strip()
        for title, words, command in self._own():
            score = max(rank(wanted, one) for one in (title, *words))
            if score:
                yield Hit(score, Text(title), command, text=title)
        done = list(self._done(verbs_before(wanted), 0.95))
        for hit in done or self._done(verbs_like(wanted), 0.3):
            yield hit
        app, scene = self.commanded, self.commanded.scene
        view = scene.view
        named = (
            ("node", ((one.name, key) for key, one in view.nodes.items())),
            ("agent", ((full_name(view.agents[key]), key) for key in scene.agents())),
            ("instance", ((full_name(view.instances[key]), key) for key in scene.instances())),
        )
        for kind, names in named:
            for score, name, key in best(wanted, names):
                title = f"{kind} {visible(name)}"
                yield Hit(score * 0.9, Text(title), partial(app.open_object, kind, key), text=title)
