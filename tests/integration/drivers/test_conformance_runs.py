"""Starting, ending and stopping, as every driver has to do it."""

import asyncio
import re
import signal
import time

import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import DriverError, Exit, Limit, RunKey, RunState
from omnitide.model.container import Container, Wasm
from omnitide.model.spec import AgentSpec
from omnitide.node.launching import NodeContext, make_launch
from omnitide.node.records import Assignment, Goal
from omnitide.telemetry.tracing.context import Place, correlation_of
from support.driver_kit import ENDED, Kit


@pytest.mark.parametrize("code", [0, 1, 42])
async def test_exit_codes_are_those_of_the_program(kit: Kit, code: int) -> None:
    await kit.start("a", "exit", str(code))
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.code, run.exit.signal, run.exit.reason) == (code, None, "exited")
    assert run.exit.ended_at_ms >= run.started_at_ms > 0


async def test_a_signal_that_ends_a_program_is_told(kit: Kit) -> None:
    await kit.start("a", "run")
    await kit.until_output("a", "ready")
    await kit.driver.signal(RunKey("a", 1), signal.SIGKILL)
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.code, run.exit.signal, run.exit.reason) == (None, signal.SIGKILL, "signal")


async def test_a_program_that_there_is_not_is_named_and_cannot_be_helped(kit: Kit) -> None:
    kit.needs("exec")
    part = kit.launch(RunKey("a", 1), ()).container
    named: dict[str, object] = {"command": ("no-such-program",)}
    if part is not None:
        named = {"container": replace(part, entrypoint=("no-such-program",))}
    try:
        await kit.start("a", "b", **named)
    except DriverError as error:
        found: Exit | DriverError = error
    else:
        ended = (await kit.end_of("a")).exit
        assert ended is not None
        assert (ended.code, ended.reason) == (None, "start-failed")
        found = ended
    assert (found.cause, found.permanent) == ("command-not-found", True)
    assert "no-such-program" in (found.message if isinstance(found, Exit) else str(found))


async def test_a_start_that_is_asked_for_twice_happens_once(kit: Kit) -> None:
    first = await kit.start("a", "run")
    second = await kit.start("a", "run")
    assert second.handle == first.handle
    assert [run.handle for run in await kit.driver.recover()] == [first.handle]


async def test_starts_at_the_same_time_of_one_run_give_one(kit: Kit) -> None:
    await kit.start("warm", "exit", "0")
    runs = await asyncio.gather(*(kit.start("a", "run") for _ in range(4)), return_exceptions=True)
    handles = {run.handle for run in runs if not isinstance(run, BaseException)}
    assert len(handles) == 1
    assert sum(run.key.instance == "a" for run in await kit.driver.recover()) == 1


async def test_a_run_that_has_ended_is_not_started_again(kit: Kit) -> None:
    await kit.start("a", "exit", "3")
    ended = await kit.end_of("a")
    again = await kit.start("a", "exit", "3")
    assert again.state is RunState.EXITED
    assert again.exit == ended.exit


async def test_stop_gives_the_program_its_grace(kit: Kit) -> None:
    kit.needs("signals")
    await kit.start("a", "heed")
    await kit.until_output("a", "ready")
    await kit.driver.stop(RunKey("a", 1))
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.code, run.exit.reason) == (0, "stopped")
    assert "signal 15" in await kit.text("a")


async def test_what_heeds_no_signal_is_killed_after_its_grace(kit: Kit) -> None:
    kit.needs("signals")
    await kit.start("a", "stubborn", stop_grace_ms=300)
    await kit.until_output("a", "ready")
    began = time.monotonic()
    await kit.driver.stop(RunKey("a", 1))
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.signal, run.exit.reason) == (signal.SIGKILL, "killed")
    assert time.monotonic() - began >= 0.3


async def test_a_second_stop_with_less_grace_counts(kit: Kit) -> None:
    kit.needs("signals")
    await kit.start("a", "stubborn", stop_grace_ms=600_000)
    await kit.until_output("a", "ready")
    await kit.driver.stop(RunKey("a", 1))
    await kit.driver.stop(RunKey("a", 1), grace_ms=0)
    run = await kit.end_of("a")
    assert run.exit is not None
    assert run.exit.reason == "killed"


async def test_stop_of_what_is_not_there_or_has_ended_is_no_error(kit: Kit) -> None:
    await kit.driver.stop(RunKey("nobody", 1))
    await kit.start("a", "exit", "0")
    await kit.end_of("a")
    await kit.driver.stop(RunKey("a", 1))
    assert await kit.driver.status(RunKey("nobody", 1)) is None


async def test_signals_arrive(kit: Kit) -> None:
    kit.needs("signals")
    await kit.start("a", "heed")
    await kit.until_output("a", "ready")
    await kit.driver.signal(RunKey("a", 1), signal.SIGUSR1)
    await kit.until_output("a", f"signal {int(signal.SIGUSR1)}")
    run = await kit.driver.status(RunKey("a", 1))
    assert run is not None
    assert run.state is RunState.RUNNING


async def test_a_signal_to_what_has_ended_is_refused(kit: Kit) -> None:
    await kit.start("a", "exit", "0")
    await kit.end_of("a")
    with pytest.raises(DriverError):
        await kit.driver.signal(RunKey("a", 1), signal.SIGUSR1)


async def test_the_environment_is_what_the_launch_says(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_NODE_PROXY", "1")
    await kit.start("a", "environment", environment={"GREETING": "hello world", "EMPTY": "", "PATH": "/bin"})
    await kit.end_of("a")
    said = (await kit.text("a")).splitlines()
    assert {"GREETING=hello world", "EMPTY=", "PATH=/bin"} <= set(said)
    assert not any(line.startswith(("OF_THE_NODE_PROXY", "PYTEST")) for line in said)


async def test_it_is_handed_the_trace_that_it_comes_of(kit: Kit) -> None:
    """What a node gives each kind of instance that a traced call deploys, whatever runs it."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assignment = Assignment(
        instance="a",
        name="a.1",
        namespace="default",
        kind="agent",
        workload="a",
        version=1,
        slot=1,
        generation=1,
        goal=Goal.RUN,
        spec_key="a/1",
        correlation=correlation_of(Place(trace, "00f067aa0ba902b7"), "deploy"),
    )
    kinds = {
        "process": AgentSpec(command=("x",)),
        "docker": AgentSpec(driver="docker", container=Container(image="x")),
        "wasm": AgentSpec(driver="wasm", wasm=Wasm(module="/x.wasm")),
    }
    made = make_launch(assignment, kinds[kit.name], "", 1, NodeContext(node_name="alpha", traced=True))
    await kit.start("a", "environment", environment=made.environment)
    await kit.end_of("a")
    (told,) = (line for line in (await kit.text("a")).splitlines() if line.startswith("TRACEPARENT="))
    assert re.fullmatch(rf"TRACEPARENT=00-{trace}-[0-9a-f]{{16}}-01", told)


async def test_a_later_driver_finds_what_runs_and_what_has_ended(kit: Kit) -> None:
    labels = {"generation": "7", "spec_digest": "sha256:ab"}
    running = await kit.start("a", "run", labels=labels)
    await kit.start("b", "exit", "5")
    await kit.end_of("b")
    await kit.driver.close()
    driver = kit.another()
    found = {run.key.instance: run for run in await driver.recover()}
    assert found["a"].handle == running.handle
    assert found["a"].state is RunState.RUNNING
    assert found["a"].started_at_ms == running.started_at_ms
    assert found["a"].labels == labels
    assert found["b"].exit is not None
    assert found["b"].exit.code == 5


async def test_an_end_while_no_driver_looked_is_told_with_its_cause(kit: Kit) -> None:
    heeds = "signals" not in kit.lacks
    await kit.start("a", "heed" if heeds else "run")
    await kit.until_output("a", "ready")
    await kit.driver.signal(RunKey("a", 1), signal.SIGTERM)
    await kit.driver.close()
    kit.another()
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.code, run.exit.signal) == ((0, None) if heeds else (None, signal.SIGTERM))


async def test_what_has_no_handler_ends_at_its_stop_signal(kit: Kit) -> None:
    if "signals" not in kit.lacks:
        pytest.skip("this driver can")
    await kit.start("a", "run", stop_grace_ms=600_000)
    await kit.until_output("a", "ready")
    await kit.driver.stop(RunKey("a", 1))
    run = await kit.end_of("a")
    assert run.exit is not None
    assert (run.exit.signal, run.exit.reason) == (signal.SIGTERM, "stopped")


async def test_a_stop_that_was_asked_for_is_known_to_the_next_driver(kit: Kit) -> None:
    kit.needs("signals")
    await kit.start("a", "stubborn", stop_grace_ms=1_000)
    await kit.until_output("a", "ready")
    await kit.driver.stop(RunKey("a", 1))
    await kit.driver.close()
    driver = kit.another()
    (run,) = await driver.recover()
    assert run.state is RunState.STOPPING
    await driver.stop(RunKey("a", 1))  # as the reconciler does, which knows that it is stopping
    ended = await kit.end_of("a")
    assert ended.exit is not None
    assert ended.exit.reason == "killed"


async def test_an_ended_run_is_forgotten_and_a_living_one_is_not(kit: Kit) -> None:
    await kit.start("a", "run")
    with pytest.raises(DriverError):
        await kit.driver.remove(RunKey("a", 1))
    with pytest.raises(DriverError):
        await kit.driver.remove_instance("a")
    await kit.driver.stop(RunKey("a", 1), grace_ms=0)
    await kit.end_of("a")
    await kit.driver.remove(RunKey("a", 1))
    await kit.driver.remove(RunKey("a", 1))
    assert await kit.driver.recover() == []
    assert await kit.driver.status(RunKey("a", 1)) is None


async def test_removing_an_instance_leaves_nothing_behind(kit: Kit) -> None:
    for attempt in (1, 2):
        await kit.start("a", "say", "x", attempt=attempt)
        await kit.end_of("a", attempt)
    await kit.driver.remove(RunKey("a", 1))
    assert kit.left()
    await kit.driver.remove_instance("a")
    await kit.driver.remove_instance("a")
    assert kit.left() == []
    assert await kit.driver.recover() == []


async def test_changes_are_told_as_they_happen(kit: Kit) -> None:
    watch = kit.driver.watch()
    first = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await kit.driver.recover()
    await kit.start("a", "exit", "4")
    async with asyncio.timeout(60):
        run = await first
        while run.state not in ENDED:
            run = await anext(watch)
    assert run.key == RunKey("a", 1)
    assert run.exit is not None
    assert run.exit.code == 4


async def test_a_run_may_be_fenced_or_the_driver_says_that_it_cannot(kit: Kit) -> None:
    if (await kit.driver.probe()).fences:
        await kit.start("a", "run", fence_ms=400)
        run = await kit.end_of("a")
        assert run.exit is not None
        assert run.exit.reason == "fenced"
    else:
        with pytest.raises(DriverError, match="fence"):
            await kit.start("a", "run", fence_ms=400)
        assert kit.left() == []


async def test_what_a_run_uses_is_measured(kit: Kit) -> None:
    await kit.start("a", "spin", limits=Limit(cpu_milli=500))
    await kit.until_output("a", "ready")
    key = RunKey("a", 1)
    async with asyncio.timeout(60):
        while (found := await kit.driver.stats([key])).get(key) is None or found[key].cpu_ms < 50:
            await asyncio.sleep(0.05)
    assert found[key].memory_bytes > 0
    assert found[key].pids >= 1
    assert await kit.driver.stats([RunKey("nobody", 1)]) == {}


async def test_the_address_is_told(kit: Kit) -> None:
    await kit.start("a", "run")
    address = await kit.driver.address(RunKey("a", 1))
    assert address.startswith(("172.", "10.")) if kit.name == "docker" else address == "127.0.0.1"


async def test_a_probe_says_what_there_is(kit: Kit) -> None:
    info = await kit.driver.probe()
    assert (info.name, info.healthy) == (kit.name, True)
    assert info.version
