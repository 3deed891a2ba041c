"""What agents and jobs have in common as things with a name in a namespace: pages in its order, answers to changes."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from immutables import Map

from omnitide.fabric.state import FabricState, scoped
from omnitide.operations.changing import Made
from omnitide.operations.operation import Answer
from omnitide.operations.ordering import after_name, names_from
from omnitide.operations.paging import Key, Page, page_of
from omnitide.operations.runtime import Runtime


class Named(Protocol):
    """A workload of the state."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> int: ...


class Listing(Protocol):
    """A request for a page of them."""

    @property
    def namespace(self) -> str: ...
    @property
    def cursor(self) -> str: ...
    @property
    def limit(self) -> int: ...


W = TypeVar("W", bound=Named)
V = TypeVar("V")


async def page_by_name(
    runtime: Runtime,
    asked: Listing,
    list_name: str,
    names_and_objects: Callable[[FabricState], tuple[Map[str, str], Map[str, W]]],
    wanted: Callable[[W], bool] = lambda _: True,
) -> Page[W]:
    """A page of those of a namespace, or of all. `list_name` names every other filter too. Raises Failed."""
    prefix = f"{asked.namespace}/" if asked.namespace else ""

    def walk(state: FabricState, after: Key | None) -> Iterator[W | None]:
        names, objects = names_and_objects(state)
        for key in names_from(names, after_name(after), prefix):
            found = objects[names[key]]
            yield found if wanted(found) else None

    return await page_of(
        runtime,
        list_name=f"{list_name} {asked.namespace}",
        cursor=asked.cursor,
        limit=asked.limit,
        shape=(str,),
        walk=walk,
        key=lambda _, found: (scoped(found.namespace, found.name),),
    )


def answer_of(made: Made, value: V, changed: Named | None, *, created: bool = False) -> Answer[V]:
    """The answer to a change; `changed` is the object after it, None if it is gone."""
    return Answer(
        value,
        made.revision,
        etag=changed.revision if changed is not None and not made.dry_run else None,
        created=created and not made.dry_run,
        replayed=made.replayed,
    )
