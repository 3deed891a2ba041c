"""A simulated machine's driver: the driver protocol over lives that are made up."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from omnitide.demo.driver import SimulatedDriver
from omnitide.demo.host import SimulatedHost
from omnitide.demo.log_lines import SLOT_MS
from omnitide.demo.machines import machines
from omnitide.demo.runs import Runs
from omnitide.demo.workloads import FATE, HEALTHCHECK
from omnitide.demo.world import World
from omnitide.drivers.protocol import Driver, DriverError, Launch, LogChunk, Run, RunKey, RunState
from omnitide.drivers.streams import ExecEnded, ExecOutput, ExecRequest
from simulation.virtual_loop import run as run_virtual

EPOCH_MS = 1_700_000_000_000
MACHINE = machines(1, 1)[0]


def now_ms() -> int:
    return EPOCH_MS + int(asyncio.get_running_loop().time() * 1000)


class Bench:
    def __init__(self) -> None:
        self.runs = Runs(World(seed=1, speed=1, began_ms=EPOCH_MS), now_ms)
        self.driver: Driver = SimulatedDriver("docker", MACHINE, self.runs)
        self.host = SimulatedHost(MACHINE, self.runs)

    async def start(self, attempt: int = 1, **environment: str) -> Run:
        return await self.driver.start(
            Launch(
                key=RunKey("i1", attempt),
                name="storefront-1.1",
                command=(),
                environment=environment,
                namespace="shop",
                workload="storefront",
                labels={"generation": "1"},
            )
        )

    async def ended(self, key: RunKey) -> Run:
        while True:
            run = await self.driver.status(key)
            assert run is not None
            if run.state in (RunState.EXITED, RunState.UNKNOWN):
                return run
            await asyncio.sleep(0.1)

    async def healthcheck(self) -> tuple[int | None, bytes]:
        program = await self.driver.exec(RunKey("i1", 1), ExecRequest(command=(HEALTHCHECK,)))
        said = b""
        while isinstance(piece := await program.receive(), ExecOutput):
            said += piece.data
        assert isinstance(piece, ExecEnded)
        return piece.code, said


def virtual(test: Callable[[Bench], object]) -> None:
    async def main() -> None:
        bench = Bench()
        await test(bench)  # type: ignore[misc]
        await bench.driver.close()

    run_virtual(main())


async def read(lines: AsyncIterator[LogChunk], most: int = 100_000) -> list[LogChunk]:
    found: list[LogChunk] = []
    async for chunk in lines:
        found.append(chunk)
        if len(found) >= most:
            break
    return found


def test_a_run_starts_once_and_its_watchers_see_it_end() -> None:
    async def scenario(bench: Bench) -> None:
        watch = bench.driver.watch()
        run = await bench.start(**{FATE: "crash-loop"})
        assert await bench.start(**{FATE: "crash-loop"}) == run
        assert run.labels == {"generation": "1"}
        seen = [await anext(watch), await anext(watch)]
        assert [one.state for one in seen] == [RunState.RUNNING, RunState.EXITED]
        assert seen[1].exit is not None
        assert seen[1].exit.code == 78
        assert await bench.driver.recover() == [seen[1]]
        await bench.driver.remove(run.key)
        assert await bench.driver.recover() == []

    virtual(scenario)


def test_one_that_is_asked_to_end_does_and_is_not_forgotten_before() -> None:
    async def scenario(bench: Bench) -> None:
        run = await bench.start()
        with pytest.raises(DriverError, match="runs"):
            await bench.driver.remove(run.key)
        await bench.driver.stop(run.key)
        await bench.driver.stop(run.key)
        ended = await bench.ended(run.key)
        assert ended.exit is not None
        assert (ended.exit.code, ended.exit.reason) == (0, "stopped")

    virtual(scenario)


def test_the_kernel_ends_one_for_want_of_memory() -> None:
    async def scenario(bench: Bench) -> None:
        run = await bench.start(**{FATE: "out-of-memory"})
        before = (await bench.driver.stats([run.key]))[run.key].memory_bytes
        await asyncio.sleep(5)
        assert (await bench.driver.stats([run.key]))[run.key].memory_bytes > before
        ended = await bench.ended(run.key)
        assert ended.exit is not None
        assert ended.exit.out_of_memory

    virtual(scenario)


def test_its_probe_is_content_after_a_while_and_never_where_it_is_unready() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start()
        assert await bench.healthcheck() == (1, b"503 from /healthz: a dependency does not answer (simulated)\n")
        await asyncio.sleep(20)
        assert await bench.healthcheck() == (0, b"")
        await bench.driver.stop(RunKey("i1", 1))
        await bench.ended(RunKey("i1", 1))
        with pytest.raises(DriverError, match="does not run"):
            await bench.healthcheck()

    virtual(scenario)

    async def unready(bench: Bench) -> None:
        await bench.start(**{FATE: "unready"})
        await asyncio.sleep(600)
        assert (await bench.healthcheck())[0] == 1

    virtual(unready)


def test_whoever_wants_in_is_told_plainly_that_it_is_simulated() -> None:
    async def scenario(bench: Bench) -> None:
        run = await bench.start()
        for attempt in (
            bench.driver.exec(run.key, ExecRequest(command=("sh",))),
            read(bench.driver.archive("i1", "/etc")),
            bench.driver.address(run.key),
        ):
            with pytest.raises(DriverError, match=r"storefront-1\.1 is simulated") as raised:
                await attempt
            assert raised.value.permanent

    virtual(scenario)


def test_output_is_read_on_from_any_place_without_gap_or_repetition() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start(**{FATE: "crash-loop"})
        await bench.ended(RunKey("i1", 1))
        await bench.start(attempt=2)
        await asyncio.sleep(60)
        whole = await read(bench.driver.logs("i1"))
        texts = [chunk.data for chunk in whole]
        assert b"sync.mode" in b"".join(texts)
        assert {chunk.attempt for chunk in whole} == {1, 2}
        for number in (0, 1, 2, len(whole) // 2, len(whole) - 1):
            rest = await read(bench.driver.logs("i1", after=whole[number].position))
            assert [chunk.data for chunk in rest] == texts[number + 1 :]
        for many in (0, 1, 5, len(texts) - 2, len(texts) + 7):
            tail = await read(bench.driver.logs("i1", tail_lines=many))
            assert [chunk.data for chunk in tail] == texts[max(0, len(texts) - many) :]
        since = await read(bench.driver.logs("i1", since_ms=whole[-3].at_ms))
        assert [chunk.data for chunk in since] == texts[-3:]
        with pytest.raises(DriverError, match="no place"):
            await read(bench.driver.logs("i1", after="nonsense"))
        with pytest.raises(DriverError, match="no logs"):
            await read(bench.driver.logs("stranger"))

    virtual(scenario)


def test_whoever_follows_gets_what_comes_up_to_the_end() -> None:
    async def scenario(bench: Bench) -> None:
        run = await bench.start()
        await asyncio.sleep(10)
        before = await read(bench.driver.logs("i1"))
        following = asyncio.ensure_future(read(bench.driver.logs("i1", tail_lines=2, follow=True)))
        await asyncio.sleep(20)
        await bench.driver.stop(run.key)
        await bench.ended(run.key)
        followed = await asyncio.wait_for(following, 5 * SLOT_MS / 1000)
        assert followed[0].data == b""
        whole = await read(bench.driver.logs("i1"))
        assert len(whole) > len(before)
        assert b"SIGTERM" in followed[-1].data
        assert [chunk.data for chunk in followed[1:]] == [chunk.data for chunk in whole][len(before) - 2 :]
        begun_there = await read(bench.driver.logs("i1", after=followed[0].position))
        assert [chunk.data for chunk in begun_there] == [chunk.data for chunk in followed[1:]]

    virtual(scenario)


@pytest.mark.parametrize("seconds", [10.1, 10.5, 11.0, 11.4, 12.2, 13.3])
def test_whoever_asks_for_no_old_output_misses_none_that_comes(seconds: float) -> None:
    async def scenario(bench: Bench) -> None:
        run = await bench.start()
        await asyncio.sleep(seconds)
        before = len(await read(bench.driver.logs("i1")))
        following = asyncio.ensure_future(read(bench.driver.logs("i1", tail_lines=0, follow=True)))
        await asyncio.sleep(15)
        await bench.driver.stop(run.key)
        await bench.ended(run.key)
        followed = await asyncio.wait_for(following, 5)
        whole = await read(bench.driver.logs("i1"))
        assert [chunk.data for chunk in followed[1:]] == [chunk.data for chunk in whole][before:]

    virtual(scenario)


def test_without_power_everything_is_gone_and_nobody_knows_how() -> None:
    async def scenario(bench: Bench) -> None:
        watch = bench.driver.watch()
        run = await bench.start()
        await anext(watch)
        bench.runs.lose_power()
        with pytest.raises(DriverError, match="power"):
            await anext(watch)
        found = await bench.driver.status(run.key)
        assert found is not None
        assert (found.state, found.exit) == (RunState.UNKNOWN, None)
        assert await bench.driver.stats([run.key]) == {}

    virtual(scenario)


def test_the_host_is_as_busy_as_what_runs_on_it() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(1)
        idle = bench.host.use()
        run = await bench.start()
        await asyncio.sleep(30)
        busy = bench.host.use()
        used = (await bench.driver.stats([run.key]))[run.key]
        assert busy.memory_used_bytes - idle.memory_used_bytes > used.memory_bytes * 0.8
        assert used.cpu_ms > 0
        samples = {series.name: value for series, value in bench.host.sample() if not series.labels}
        assert samples["omnitide_node_instances"] == 1
        assert samples["omnitide_node_memory_used_bytes"] == busy.memory_used_bytes
        await asyncio.sleep(10)
        later = {series.name: value for series, value in bench.host.sample() if not series.labels}
        assert later["omnitide_node_cpu_used_seconds_total"] > samples["omnitide_node_cpu_used_seconds_total"]

    virtual(scenario)


def test_an_image_takes_the_time_of_its_way_once() -> None:
    async def scenario(bench: Bench) -> None:
        from omnitide.model.container import Container

        told: list[str] = []
        launch = Launch(
            key=RunKey("i1", 1), name="x", command=(), environment={}, container=Container(image="registry.example/x:1")
        )
        began = asyncio.get_running_loop().time()
        await bench.driver.prepare(launch, told.append)
        took = asyncio.get_running_loop().time() - began
        assert 0.2 < took < 21
        assert told
        assert "pulling registry.example/x:1" in told[0]
        await bench.driver.prepare(launch, told.append)
        assert asyncio.get_running_loop().time() - began == pytest.approx(took)

    virtual(scenario)
