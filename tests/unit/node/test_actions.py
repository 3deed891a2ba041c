"""What a driver may do to whoever calls it: nothing of it ends the node."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from omnitide.drivers.protocol import RunKey
from omnitide.wire import node_pb2 as pb
from support.fake_driver import FakeDriver
from support.node_world import NodeWorld, ended, running, until, virtual

BROKEN = {
    "a disk": OSError(28, "No space left on device"),
    "descriptors": OSError(24, "Too many open files"),
    "a defect": KeyError("x"),
}


def failing(error: Exception, times: int, then: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    left = times

    async def call(*arguments: object, **options: object) -> object:
        nonlocal left
        if left:
            left -= 1
            raise error
        return await then(*arguments, **options)

    return call


@pytest.mark.parametrize("kind", sorted(BROKEN))
@pytest.mark.parametrize("method", ["prepare", "start"])
def test_what_fails_under_a_driver_fails_the_start_and_the_next_attempt_runs(method: str, kind: str) -> None:
    error = BROKEN[kind]

    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        driver: FakeDriver = world.driver
        setattr(driver, method, failing(error, 1, getattr(driver, method)))
        await world.desire(link, world.assignment("a"), world.assignment("b"))
        reports: list[pb.InstanceReport] = []
        await world.reports(link, lambda r: bool(reports.append(r)) or running("a", 2)(r))
        (failed,) = [one for one in reports if one.phase == pb.PHASE_WAITING]
        cause = "driver-defect" if isinstance(error, KeyError) else "resources"
        assert (failed.exit.reason, failed.exit.cause, failed.exit.permanent) == ("start-failed", cause, False)
        assert str(error) in failed.exit.message
        await until(lambda: set(world.runtime.live()) == {RunKey("a", 2), RunKey("b", 1)})
        assert not world.task.done()

    virtual(scenario)


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_stop_and_a_removal_that_fail_are_asked_for_again(kind: str) -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        driver: FakeDriver = world.driver
        for method in ("stop", "remove_instance"):
            setattr(driver, method, failing(BROKEN[kind], 2, getattr(driver, method)))
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        await world.desire(link)
        await world.reports(link, ended("a"))
        await until(lambda: world.runtime.runs() == [], seconds=600)
        assert not world.task.done()

    virtual(scenario)
