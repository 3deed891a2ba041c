"""What the director does through the API, where a story is told for the second time in the same fabric."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

from omnitide.demo.director import Director
from omnitide.demo.plot import Happening
from omnitide.demo.world import World
from omnitide.sdk import AsyncClient

WORLD = World(seed=7, speed=60, began_ms=1_700_000_000_000)


class Told:
    """A client of a fabric in which some jobs have run."""

    def __init__(self, *jobs: str) -> None:
        self.ran: list[str] = []
        self._jobs = jobs

    async def namespaces(self) -> AsyncIterator[Any]:
        for name in ("office", "research", "sensors", "shop"):
            yield SimpleNamespace(name=name)

    async def jobs(self) -> AsyncIterator[Any]:
        for one in self._jobs:
            namespace, _, name = one.partition("/")
            yield SimpleNamespace(namespace=namespace, name=name)

    async def run_job(self, spec: object, *, name: str, namespace: str) -> None:
        del spec
        self.ran.append(f"{namespace}/{name}")


async def ran(*jobs: str) -> list[str]:
    told = Told(*jobs)
    director = Director(cast("AsyncClient", told), WORLD, {}, [])
    await director.deploy(lambda: None)
    for name in ("shop/report-1", "office/backup-1", "shop/report-2"):
        await director.do(Happening(9.0, "job", name))
    return told.ran


async def test_jobs_are_counted_from_the_first() -> None:
    assert await ran() == ["shop/report-1", "office/backup-1", "shop/report-2"]


async def test_jobs_of_a_demo_that_goes_on_have_names_of_their_own() -> None:
    """A finished job keeps its name: under that none of the story would run again."""
    assert await ran("shop/report-9", "shop/report-10", "shop/somebody-s", "office/report-77", "shop/report-x") == [
        "shop/report-11",
        "office/backup-1",
        "shop/report-12",
    ]
