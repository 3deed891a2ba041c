"""Turns: so many at once, in the order in which they were asked for, each with an end of its own."""

import asyncio
from collections.abc import Callable

import pytest

from omnitide.drivers.protocol import DriverError
from omnitide.node.turns import Turns

DEADLINE_S = 10.0
LONG_S = 60.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0)


class Work:
    """Pieces of work that each go on until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.began: list[str] = []
        self.said: dict[str, list[str]] = {}
        self._let: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str) -> None:
        self._let[name] = asyncio.Event()
        self._tasks[name] = asyncio.ensure_future(self._run(name))

    async def _run(self, name: str) -> None:
        async with self._turns.turn(name, self.said.setdefault(name, []).append, LONG_S):
            self.began.append(name)
            await self._let[name].wait()

    async def finish(self, *names: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            for name in names:
                self._let[name].set()
                await self._tasks[name]

    async def call_off(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)


async def test_they_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    work = Work(Turns("fetch", "downloads", 1))
    for name in ("a", "b", "c"):
        work.begin(name)
        await until(lambda name=name: name in work.said)
    await work.finish("a", "b", "c")
    assert work.began == ["a", "b", "c"]


async def test_what_has_ended_or_was_called_off_is_not_told_as_under_way() -> None:
    work = Work(Turns("fetch", "downloads", 2))
    for name in ("done", "called-off", "third", "fourth"):
        work.begin(name)
    await until(lambda: work.began == ["done", "called-off"])
    await work.finish("done")
    await work.call_off("called-off")
    await until(lambda: "fourth" in work.began)
    work.begin("last")
    await until(lambda: work.said.get("last"))
    assert work.said["last"] == [
        "waiting to fetch last: 2 downloads are under way, the most at once (third, fourth)",
    ]
    await work.finish("third", "fourth", "last")


async def test_a_time_that_is_over_within_the_work_is_the_works_own_and_not_the_turns() -> None:
    turns = Turns("fetch", "downloads", 1)
    with pytest.raises(TimeoutError) as own:
        async with turns.turn("x", lambda _: None, LONG_S):
            raise TimeoutError("the server's")
    assert str(own.value) == "the server's"
    with pytest.raises(DriverError) as over:
        async with turns.turn("x", lambda _: None, 0.01):
            await asyncio.Event().wait()
    assert (str(over.value), over.value.cause, over.value.permanent) == (
        "this node could not fetch x within 0.01 s",
        "preparation",
        False,
    )
    async with asyncio.timeout(DEADLINE_S), turns.turn("next", lambda _: None, LONG_S):
        pass
