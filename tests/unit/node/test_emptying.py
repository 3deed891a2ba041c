"""Emptying a node of what no keeper ends: told before it is done, and waited for as long as graces are."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnitide.config.emptying import Emptied, mark_used, used
from omnitide.drivers.protocol import DriverError, Exit, Launch, Run, RunKey, RunState
from omnitide.model.spec import MAX_GRACE_MS
from omnitide.node.asked_stops import AskedStops
from omnitide.node.emptying import empty
from simulation.virtual_loop import run as run_virtual
from support.fake_driver import FakeDriver, FakeRuntime
from support.node_world import NodeWorld, running, short, virtual


def runtime() -> FakeRuntime:
    return FakeRuntime(now_ms=lambda: int(asyncio.get_running_loop().time() * 1000), rng=random.Random(1))


async def started(made: FakeRuntime, instance: str, *command: str, grace_ms: int = 10_000) -> RunKey:
    key = RunKey(instance, 1)
    launch = Launch(key=key, name=instance, command=command, environment={}, stop_grace_ms=grace_ms)
    await FakeDriver(made).start(launch)
    return key


class Broken(FakeDriver):
    """An engine that says no, hangs, or is a defect of somebody's."""

    def __init__(self, how: str) -> None:
        super().__init__(runtime(), how)
        self._how = how

    async def recover(self) -> list[Run]:
        if self._how == "away":
            raise DriverError("the engine is away", cause="driver-unavailable", permanent=False)
        if self._how == "hangs":
            await asyncio.Event().wait()
        raise KeyError("x")


def test_all_is_ended_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        made = runtime()
        for name in ("a", "b"):
            await started(made, name, "run")
        await started(made, "ended", "exit", "0")
        await asyncio.sleep(0.1)
        assert await empty([FakeDriver(made, "fake")], None, AskedStops(tmp_path)) == Emptied(stopped=2)
        assert made.live() == []

    run_virtual(main())


def test_a_grace_of_hours_is_waited_for_and_a_given_one_counts_instead(tmp_path: Path) -> None:
    async def main() -> None:
        made = runtime()
        await started(made, "slow", "stubborn", grace_ms=3 * 3_600_000)
        assert await empty([FakeDriver(made, "fake")], None, AskedStops(tmp_path)) == Emptied(stopped=1)
        assert 3 * 3600 <= asyncio.get_running_loop().time() < MAX_GRACE_MS / 1000
        began = asyncio.get_running_loop().time()
        await started(made, "slower", "stubborn", grace_ms=3 * 3_600_000)
        assert await empty([FakeDriver(made, "fake")], 5_000, AskedStops(tmp_path)) == Emptied(stopped=1)
        assert asyncio.get_running_loop().time() - began < 10

    run_virtual(main())


def test_what_does_not_end_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        made = runtime()
        await started(made, "never", "stubborn", grace_ms=3_600_000)
        emptied = await empty([FakeDriver(made, "fake")], None, AskedStops(tmp_path), most_s=60)
        assert emptied == Emptied(stopped=1, left=("never",))

    run_virtual(main())


def test_a_broken_engine_is_told_and_keeps_up_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        made = runtime()
        await started(made, "a", "run")
        drivers = [Broken("away"), Broken("hangs"), Broken("defect"), FakeDriver(made, "fake")]
        emptied = await empty(drivers, None, AskedStops(tmp_path))
        assert (emptied.stopped, emptied.left) == (1, ())
        assert emptied.problems == (
            "away: the engine is away",
            "hangs: no answer within 30 s",
            "defect: KeyError: 'x'",
        )
        assert made.live() == []

    run_virtual(main())


def test_a_stop_is_noted_before_the_driver_is_asked(tmp_path: Path) -> None:
    """So that no end is seen by the proxy before it can know that it was asked for."""

    async def main() -> None:
        made = runtime()
        key = await started(made, "a", "run")
        ended = Run(key=key, state=RunState.EXITED, handle="1", exit=Exit(code=143))
        seen: list[str] = []

        class Asks(FakeDriver):
            async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
                told = AskedStops(tmp_path).told("fake", ended)
                seen.append(told.exit.reason if told.exit is not None else "")
                await super().stop(key, grace_ms=grace_ms)

        await empty([Asks(made, "fake")], None, AskedStops(tmp_path))
        assert seen == ["stopped"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("driver", "key", "exit_", "reason"),
    [
        ("fake", RunKey("a", 1), Exit(code=143), "stopped"),
        ("fake", RunKey("a", 1), Exit(code=None, signal=15, reason="signal"), "stopped"),
        ("fake", RunKey("a", 1), Exit(code=137, reason="out-of-memory"), "out-of-memory"),
        ("fake", RunKey("a", 2), Exit(code=143), "exited"),
        ("fake", RunKey("b", 1), Exit(code=143), "exited"),
        ("other", RunKey("a", 1), Exit(code=143), "exited"),
    ],
)
def test_an_end_that_was_asked_for_is_told_as_one(
    tmp_path: Path, driver: str, key: RunKey, exit_: Exit, reason: str
) -> None:
    proxys = AskedStops(tmp_path)
    run = Run(key=key, state=RunState.EXITED, handle="1", exit=exit_)
    assert proxys.told(driver, run) == run
    emptyings = AskedStops(tmp_path)
    emptyings.note("fake", [RunKey("a", 1)])
    emptyings.note("more", [RunKey("c", 1)])
    found = proxys.told(driver, run).exit
    assert found is not None
    assert (found.reason, found.code, found.signal) == (reason, exit_.code, exit_.signal)
    emptyings.clear()
    assert proxys.told(driver, run) == run


def test_a_proxy_that_runs_while_it_is_emptied_takes_no_end_for_a_failure(tmp_path: Path) -> None:
    """Its own driver was asked for nothing, and says of the end only how it was."""

    async def scenario(world: NodeWorld) -> None:
        await world.kill()
        world.told = AskedStops(tmp_path).told
        world.start()
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"), world.assignment("b"))
        await world.reports(link, running("b"))
        world.proxy.leave()
        AskedStops(tmp_path).note("process", [RunKey("a", 1)])
        world.runtime.finish(RunKey("a", 1), Exit(code=143))
        reports: list[str] = []
        await world.reports(link, lambda r: bool(reports.append(short(r))) or r.phase > 2)
        assert reports[-1] == "a ended 1 stopped"

    virtual(scenario)


def test_the_node_knows_of_every_driver_that_started_something_here(tmp_path: Path) -> None:
    assert used(tmp_path) == []
    mark_used(tmp_path, "docker")
    mark_used(tmp_path, "somebody-elses")
    mark_used(tmp_path, "docker")
    assert used(tmp_path) == ["docker", "somebody-elses"]


def test_a_driver_is_marked_before_it_starts_something_whatever_it_does_itself() -> None:
    async def scenario(world: NodeWorld) -> None:
        marked: list[str] = []
        await world.kill()
        world.on_first_start = lambda driver: marked.append(f"{driver} {len(world.runtime.started)}")
        world.start()
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"), world.assignment("b"))
        await world.reports(link, running("b"))
        assert marked == ["process 0"]

    virtual(scenario)


def test_a_marker_that_cannot_be_written_fails_the_start_and_not_the_node() -> None:
    async def scenario(world: NodeWorld) -> None:
        def full(driver: str) -> None:
            raise OSError(28, "No space left on device")

        await world.kill()
        refuse: Callable[[str], Any] = full
        world.on_first_start = refuse
        world.start()
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        reports: list[Any] = []
        await world.reports(link, lambda r: bool(reports.append(r)) or r.phase == 3)
        assert (reports[-1].exit.cause, reports[-1].exit.permanent) == ("resources", False)
        assert "No space left on device" in reports[-1].exit.message
        world.on_first_start = lambda driver: None
        assert not world.task.done()

    virtual(scenario)
