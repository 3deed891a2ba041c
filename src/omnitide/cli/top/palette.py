"""The palette: pages, actions and every object by name. A name is text and nothing else."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from omnitide.cli.top import actions as ac
from omnitide.cli.top.bars import PAGES, TITLES
from omnitide.cli.top.listing import natural
from omnitide.cli.top.scene import Scene
from omnitide.cli.top.tables import full_name
from omnitide.cli.top.words import visible

T = TypeVar("T")

MOST: Final = 60
"""Found objects of a kind, the best; a longer text finds fewer."""


class Commanded(Protocol):
    """What the palette asks of the application."""

    @property
    def scene(self) -> Scene: ...
    def show_page(self, page: str) -> None: ...
    def open_object(self, kind: str, identifier: str) -> None: ...
    async def action_act(self, identifier: str) -> None: ...
    def act(self, action: ac.Action, targets: Sequence[ac.Target]) -> None: ...
    def choose_target(self, action: ac.Action) -> None: ...
    def chosen(self) -> list[ac.Target]: ...
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


def targets_of(action: ac.Action) -> type[Provider]:
    """What the action can be done to now, by name."""

    class Targets(Of):
        def _named(self) -> Iterator[tuple[str, ac.Target]]:
            scene = self.commanded.scene
            view = scene.view
            found: dict[ac.Kind, Sequence[ac.Target]] = {
                "node": list(view.nodes.values()),
                "agent": [view.agents[key] for key in scene.agents()],
                "instance": [view.instances[key] for key in scene.instances()],
            }
            able = [(ac.name_of(one), one) for one in found[action.kind] if not action.hindrance(one)]
            yield from sorted(able, key=lambda named: natural(named[0]))

        def _do(self, target: ac.Target) -> Callable[[], object]:
            return partial(self.commanded.act, action, [target])

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

    def _own(self) -> Iterator[tuple[str, Callable[[], object]]]:
        app = self.commanded
        for page in PAGES:
            yield f"Go to {TITLES[page].lower()}", partial(app.show_page, page)
        targets = app.chosen()
        if targets:
            name = visible(ac.name_of(targets[0])) if len(targets) == 1 else f"{len(targets)} chosen"
            for action in ac.ACTIONS:
                if action.kind == ac.kind_of_target(targets[0]) and not ac.hindered(action, targets):
                    yield action.named(name), partial(app.action_act, action.id)
        for action in ac.ACTIONS:
            yield (
                action.named(f"a{'' if action.kind == 'node' else 'n'} {action.kind}…"),
                partial(app.choose_target, action),
            )
        yield "Keys", app.action_keys
        yield "Colours: terminal, dark, light", app.action_colours
        yield "Quit", app.action_quit

    async def discover(self) -> Hits:
        for title, command in self._own():
            yield DiscoveryHit(Text(title), command, text=title)

    async def search(self, query: str) -> Hits:
        wanted = query.lower().strip()
        for title, command in self._own():
            score = rank(wanted, title)
            if score:
                yield Hit(score, Text(title), command, text=title)
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
