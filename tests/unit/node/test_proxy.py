"""The whole proxy, production code throughout, over a fake driver and a Nexus played by hand, on a virtual clock."""

import asyncio

from omnitide.drivers.protocol import Exit, RunKey
from omnitide.model.spec import AgentSpec, JobSpec, Restart, Stop
from omnitide.node.session import End
from omnitide.wire import node_pb2 as pb
from support.fake_driver import Faults
from support.node_world import NodeWorld, ended, running, short, until, virtual


def test_what_nexus_wants_runs_and_is_reported() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, hello = await world.nexus.welcomed()
        assert [(d.name, d.healthy) for d in hello.facts.drivers] == [("process", True)]
        await world.desire(link, world.assignment("a"), world.assignment("b"))
        found = await world.reports(link, running("b"))
        assert sorted(found) == ["a running 1", "a starting 1", "b running 1", "b starting 1"]
        assert world.runtime.live() == [RunKey("a", 1), RunKey("b", 1)]
        await until(lambda: world.memory.execute("SELECT count(*) FROM reports").fetchone() == (0,))

    virtual(scenario)


def test_a_crash_is_restarted_here_and_told() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        world.runtime.finish(RunKey("a", 1), Exit(code=None, signal=9, reason="signal"))
        found = await world.reports(link, running("a", 2))
        assert found == ["a waiting 1", "a starting 2", "a running 2"]
        assert world.runtime.launch(RunKey("a", 2)).environment["OMNITIDE_ATTEMPT"] == "2"

    virtual(scenario)


def test_a_crashing_program_waits_longer_and_longer_and_then_has_failed() -> None:
    async def scenario(world: NodeWorld) -> None:
        spec = AgentSpec(command=("exit", "3"), restart=Restart(attempts=3, backoff=1_000))
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a", spec=spec))
        found = await world.reports(link, ended("a"))
        assert found[-1] == "a ended 4 failed"
        assert 3.0 <= asyncio.get_running_loop().time() < 3.5, "0 s, 1 s and 2 s of waiting"
        assert [key.attempt for key in world.runtime.started] == [1, 2, 3, 4]

    virtual(scenario)


def test_removal_stops_with_grace_and_keeps_the_logs_for_a_while() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        spec = AgentSpec(command=("stubborn",), stop=Stop(grace=2_000))
        await world.desire(link, world.assignment("a", spec=spec))
        await world.reports(link, running("a"))
        world.runtime.write("a", b"last words\n")
        await world.desire(link)
        assert await world.reports(link, ended("a")) == ["a stopping 1", "a ended 1 stopped"]
        assert len(world.runtime.runs()) == 1
        await until(lambda: world.runtime.runs() == [], seconds=61)

    virtual(scenario)


def test_a_busy_port_is_told_by_its_number() -> None:
    async def scenario(world: NodeWorld) -> None:
        world.host.busy.add(20_417)
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a", ports={"http": 20_417, "admin": 20_418}))
        reports: list[pb.InstanceReport] = []
        await world.reports(link, lambda r: bool(reports.append(r)) or r.phase == pb.PHASE_ENDED)
        exit_ = reports[-1].exit
        assert (exit_.reason, exit_.cause, exit_.message) == ("start-failed", "port-busy", "20417")
        assert world.runtime.started == []

    virtual(scenario)


# Cut off


def test_a_node_that_is_cut_off_restarts_what_crashes_and_tells_it_later() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        await until(lambda: world.memory.execute("SELECT count(*) FROM reports").fetchone() == (0,))
        world.nexus.down.add("*")
        await link.cut()
        world.runtime.finish(RunKey("a", 1), Exit(code=1))
        await until(lambda: world.runtime.live() == [RunKey("a", 2)])
        await asyncio.sleep(30)
        world.nexus.down.clear()
        link, hello = await world.nexus.welcomed(acknowledged=2)
        assert [short(r) for r in hello.instances] == ["a running 2"]
        assert await world.reports(link, running("a", 2)) == ["a waiting 1", "a starting 2", "a running 2"]

    virtual(scenario)


def test_a_proxy_that_dies_finds_everything_again_and_starts_nothing_twice() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        job = JobSpec(command=("run",))
        await world.desire(link, world.assignment("on"), world.assignment("killed"), world.assignment("done", spec=job))
        for name in ("on", "killed", "done"):
            await until(lambda name=name: RunKey(name, 1) in world.runtime.live())
        await asyncio.sleep(1)
        await world.kill()
        world.nexus.down.add("*")
        world.runtime.finish(RunKey("done", 1), Exit(code=0))
        world.runtime.finish(RunKey("killed", 1), Exit(code=None, signal=9, reason="signal"))
        world.start()
        # Alone: Nexus is away, and the restart policy is the node's.
        await until(lambda: RunKey("killed", 2) in world.runtime.live())
        await asyncio.sleep(5)
        assert world.runtime.live() == [RunKey("killed", 2), RunKey("on", 1)]
        world.nexus.down.clear()
        _, hello = await world.nexus.welcomed()
        assert sorted(short(r) for r in hello.instances) == [
            "done ended 1 succeeded",
            "killed running 2",
            "on running 1",
        ]
        assert len(world.runtime.started) == 4

    virtual(scenario)


def test_a_proxy_that_dies_with_its_memory_adopts_what_runs() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        wanted = world.assignment("a")
        await world.desire(link, wanted, world.assignment("stale"))
        await world.reports(link, running("stale"))
        await world.kill()
        world.memory.executescript("".join(f"DELETE FROM {t};" for t in ("assignments", "specs", "records", "meta")))
        world.start()
        link, hello = await world.nexus.welcomed()
        assert sorted(short(r) for r in hello.instances) == ["a running 1", "stale running 1"]
        assert hello.outbox_id == "outbox-2"
        await world.desire(link, wanted)
        await world.reports(link, ended("stale"))
        assert world.runtime.live() == [RunKey("a", 1)]
        assert len(world.runtime.started) == 2

    virtual(scenario)


# The driver in trouble


def test_a_supervisor_that_dies_takes_its_runs_along_and_they_are_started_anew() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        world.runtime.crash()
        found = await world.reports(link, running("a", 2))
        assert found == ["a waiting 1", "a starting 2", "a running 2"]

    virtual(scenario)


def test_a_supervisor_that_is_away_is_shown_and_nothing_is_counted_against_the_instance() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        world.runtime.available = False
        world.runtime.break_watches()
        while True:
            message = await link.receive()
            if message.WhichOneof("body") == "facts":
                break
        assert not message.facts.drivers[0].healthy
        await link.send(pb.NexusMessage(beat=pb.Beat(number=1)))
        while (message := await link.receive()).WhichOneof("body") != "beat":
            pass
        assert not message.beat.keeper_alive
        await world.desire(link, world.assignment("a"))
        await asyncio.sleep(60)
        assert world.runtime.started == []
        world.runtime.available = True
        assert await world.reports(link, running("a")) == ["a starting 1", "a running 1"]

    virtual(scenario)


def test_a_runtime_that_hangs_is_told_of_with_the_next_beat_and_asked_anew_once_it_answers() -> None:
    async def scenario(world: NodeWorld) -> None:
        async def told() -> pb.DriverFact:
            while (message := await link.receive()).WhichOneof("body") != "facts":
                pass
            return message.facts.drivers[0]

        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        world.runtime.answers.clear()
        await link.send(pb.NexusMessage(beat=pb.Beat(number=1)))
        began = asyncio.get_running_loop().time()
        driver = await told()
        assert (driver.healthy, driver.silent, driver.detail) == (False, True, "no answer within 2 s")
        assert asyncio.get_running_loop().time() - began < 10
        world.runtime.finish(RunKey("a", 1), Exit(code=1))
        await asyncio.sleep(60)
        assert world.runtime.started == [RunKey("a", 1)]
        world.runtime.answers.set()
        driver = await told()
        assert (driver.healthy, driver.silent) == (True, False)
        assert await world.reports(link, running("a", 2)) == ["a waiting 1", "a starting 2", "a running 2"]

    virtual(scenario)


SLOW = Faults(start_seconds=(0.0, 0.3), call_seconds=(0.0, 0.3), watch_seconds=(0.0, 1.0))


def all_running(world: NodeWorld, count: int) -> bool:
    return sum(r.phase == "running" for r in world.proxy.inventory()) == count


def test_answers_that_are_lost_start_nothing_twice() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, *(world.assignment(f"i{n}") for n in range(20)))
        await until(lambda: all_running(world, 20), seconds=600)
        assert [key.attempt for key in world.runtime.started] == [1] * 20

    virtual(scenario, SLOW._replace(start_answer_lost=0.5))


def test_stops_that_fail_are_soon_asked_for_again() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, *(world.assignment(f"i{n}") for n in range(20)))
        await until(lambda: all_running(world, 20))
        await world.desire(link)
        await until(lambda: world.runtime.live() == [], seconds=20)

    virtual(scenario, SLOW._replace(stop_fails=0.5))


def test_a_stop_never_overtakes_the_start_before_it() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, *(world.assignment(f"i{n}") for n in range(20)))
        await world.desire(link)
        await until(lambda: len(world.runtime.started) == 20)
        await until(lambda: world.runtime.live() == [], seconds=10)
        await until(lambda: world.proxy.live() == 0, seconds=10)

    virtual(scenario, SLOW)


def test_a_list_that_is_old_when_it_comes_ends_nothing() -> None:
    """Lists are asked for again and again while starts are under way, and answered late."""

    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        for n in range(40):
            await world.desire(link, *(world.assignment(f"i{k}") for k in range(n + 1)))
            await asyncio.sleep(0.2)
            if n % 10 == 9:
                world.runtime.break_watches()
        await until(lambda: all_running(world, 40), seconds=600)
        assert [key.attempt for key in world.runtime.started] == [1] * 40

    virtual(scenario, Faults(start_lost=0.3, start_answer_lost=0.3, start_seconds=(0, 2), call_seconds=(0, 1)))


def test_the_first_hello_waits_for_what_the_driver_has_to_tell() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        await world.kill()
        world.memory.executescript("".join(f"DELETE FROM {t};" for t in ("assignments", "specs", "records", "meta")))
        world.runtime.faults = Faults(call_seconds=(1.0, 1.0))
        world.start()
        _, hello = await world.nexus.welcomed()
        assert [short(r) for r in hello.instances] == ["a running 1"]

    virtual(scenario)


# The end


def test_an_orderly_stop_leaves_the_instances_alone() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"))
        await world.reports(link, running("a"))
        assert await world.stop() is End.STOPPED
        assert world.runtime.live() == [RunKey("a", 1)]

    virtual(scenario)


def test_a_node_that_leaves_its_fabric_says_that_and_not_that_it_was_stopped() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        world.proxy.leave(for_good=True)
        assert await world.stop() is End.STOPPED
        while (message := await link.receive()).WhichOneof("body") != "goodbye":
            pass
        told = message.goodbye
        assert (told.reason, told.back_within_ms, told.stopped) == ("left the fabric", 0, False)

    virtual(scenario)


def test_a_node_that_is_left_says_goodbye_for_good_and_starts_nothing_before_nexus_has_spoken() -> None:
    async def scenario(world: NodeWorld) -> None:
        wanted = world.assignment("a"), world.assignment("b", spec=AgentSpec(command=("run",), on_disconnect="keep"))
        link, _ = await world.nexus.welcomed()
        await world.desire(link, *wanted)
        await until(lambda: all_running(world, 2))
        world.proxy.leave()
        async with asyncio.timeout(60):
            while (message := await link.receive()).WhichOneof("body") != "facts":
                pass
        assert [driver.healthy for driver in message.facts.drivers] == [False], "nothing more is to be placed here"
        for name in ("a", "b"):
            world.runtime.finish(RunKey(name, 1), Exit(code=None, signal=15, reason="stopped"))
        seen = await world.reports(link, lambda r: r.instance == "b" and r.phase == pb.PHASE_WAITING)
        assert "a ended 1 stopped" in seen
        assert await world.stop() is End.STOPPED
        while (message := await link.receive()).WhichOneof("body") != "goodbye":
            pass
        assert (message.goodbye.reason, message.goodbye.back_within_ms) == ("this node is being shut down", 0)
        assert message.goodbye.stopped

        await world.driver.close()
        world.start()
        link, hello = await world.nexus.welcomed()
        assert [short(r) for r in hello.instances] == ["a ended 1 stopped", "b waiting 1"]
        assert world.runtime.live() == []
        await world.desire(link, wanted[1])
        await world.reports(link, running("b", 2))
        assert world.runtime.live() == [RunKey("b", 2)]

    virtual(scenario)


def test_a_stop_does_not_wait_for_a_nexus_that_does_not_answer() -> None:
    async def scenario(world: NodeWorld) -> None:
        await world.nexus.accept()
        before = asyncio.get_running_loop().time()
        await world.stop()
        assert asyncio.get_running_loop().time() - before <= 3.1

    virtual(scenario)


def test_a_removed_node_stops_everything_and_ends() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a"), world.assignment("b", "stubborn"))
        await world.reports(link, running("b"))
        await link.send(pb.NexusMessage(refused=pb.Refused(reason="removed", message="gone", permanent=True)))
        assert await asyncio.wait_for(world.task, 60) is End.REMOVED
        assert world.runtime.live() == []

    virtual(scenario)


def test_facts_that_change_are_told() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        world.host.cpu_milli = 8000
        while (message := await link.receive()).WhichOneof("body") != "facts":
            pass
        assert message.facts.cpu_milli == 8000
        assert asyncio.get_running_loop().time() <= 61

    virtual(scenario)
