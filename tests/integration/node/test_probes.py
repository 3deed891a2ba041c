"""Probes against real servers on loopback, and the prober in time."""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from omnitide.drivers.protocol import DriverError, DriverInfo, PortBinding, RunKey
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest
from omnitide.model.probes import Probe, Probes
from omnitide.node.clock import WallClock
from omnitide.node.instructions import BeginProbes
from omnitide.node.probes.asking import NoAnswer, Place, RuntimeSilent, Target, ask
from omnitide.node.probes.prober import MAX_ASKED, Prober
from omnitide.node.records import Health
from omnitide.node.stimuli import Probed

DEADLINE_S = 20.0
KEY = RunKey("a", 1)


class Program:
    """What an exec gives, played: output, then an end; or nothing at all."""

    def __init__(self, output: bytes, code: int | None) -> None:
        self._pieces: list[ExecOutput | ExecEnded] = [ExecOutput("stdout", output), ExecEnded(code)]
        self._hangs = code is None
        self.closed = False

    async def receive(self) -> ExecOutput | ExecEnded:
        if self._hangs:
            await asyncio.Event().wait()
        return self._pieces.pop(0)

    async def write(self, data: bytes) -> None: ...

    async def end_input(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def signal(self, number: int) -> None: ...

    async def close(self) -> None:
        self.closed = True


class Runtime:
    """The methods of a driver that probes use. What `exec` really does, the conformance suite of drivers shows."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._address = address
        self.program: Program | DriverError = Program(b"", 0)
        self.asked: list[ExecRequest] = []
        self.state: Literal["well", "gone", "hangs"] = "well"

    async def probe(self) -> DriverInfo:
        await self._answer()
        return DriverInfo("docker", "1", healthy=True)

    async def address(self, key: RunKey) -> str:
        await self._answer()
        return self._address

    async def _answer(self) -> None:
        if self.state == "gone":
            raise DriverError("the engine has hung up", cause="driver-unavailable", permanent=False)
        if self.state == "hangs":
            await asyncio.Event().wait()

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        self.asked.append(request)
        await self._answer()
        if isinstance(self.program, DriverError):
            raise self.program
        return self.program


def target(port: int, runtime: Runtime | None = None, inside: int = 0) -> Target:
    driver: Any = runtime or Runtime()
    return Target(driver, KEY, (PortBinding("http", port, inside or port),))


@contextlib.asynccontextmanager
async def server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await talk(reader, writer)
        writer.close()

    running = await asyncio.start_server(serve, host, 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


def answering(text: bytes, heard: list[bytes] | None = None) -> Callable[..., Awaitable[None]]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(head)
        writer.write(text)
        await writer.drain()

    return talk


async def closed_port() -> int:
    async with server(answering(b"")) as port:
        return port


HTTP = Probe(type="http", path="/ready", headers={"X-Asked-By": "node"})


async def test_http_is_well_from_200_to_399() -> None:
    for status, well in ((200, True), (204, True), (302, True), (399, True), (404, False), (503, False)):
        heard: list[bytes] = []
        async with server(answering(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status, heard)) as port:
            answer = await ask(HTTP, target(port))
        assert answer.well is well
        assert answer.message == ("" if well else f"GET /ready answers {status}")
        assert heard[0].startswith(b"GET /ready HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{port}\r\n".encode().lower() in heard[0].lower()
        assert b"x-asked-by: node\r\n" in heard[0].lower()


@pytest.mark.parametrize("text", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000])
async def test_what_is_no_http_is_not_well(text: bytes) -> None:
    async with server(answering(text)) as port:
        answer = await ask(HTTP, target(port))
    assert not answer.well
    assert answer.message


async def test_a_closed_port_is_not_well_and_says_so() -> None:
    port = await closed_port()
    for kind in ("http", "tcp"):
        answer = await ask(Probe(type=kind), target(port))
        assert not answer.well
        assert f"port {port}" in answer.message


async def test_no_answer_in_time_is_not_well() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with server(silent) as port:
        answer = await ask(Probe(type="http", timeout=100), target(port))
        assert (await ask(Probe(type="tcp", timeout=1_000), target(port))).well
    assert answer.message == "no answer within 100 ms"


async def test_an_instance_with_an_address_of_its_own_is_asked_there_at_its_own_port() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n"), host="127.0.0.2") as port:
        assert (await ask(HTTP, target(1, Runtime("127.0.0.2"), inside=port))).well


@pytest.mark.parametrize(("status", "well"), [("SERVING", True), ("NOT_SERVING", False)])
async def test_grpc_health(status: str, well: bool) -> None:
    running = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("shop", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    try:
        asked = Probe(type="grpc", service="shop", timeout=10_000)
        assert (await ask(asked, target(port))).well is well
        unknown = await ask(Probe(type="grpc", service="other", timeout=10_000), target(port))
        assert not unknown.well
        assert "not_found" in unknown.message
    finally:
        await running.stop(None)


async def test_an_exec_probe_is_well_when_its_command_ends_with_0() -> None:
    runtime = Runtime()
    probe = Probe(type="exec", command=("check", "--all"))
    assert (await ask(probe, target(1, runtime))).well
    assert runtime.asked[0].command == ("check", "--all")
    runtime.program = Program(b"disk is full\n", 3)
    answer = await ask(probe, target(1, runtime))
    assert answer == (False, "check ended with 3: disk is full")
    runtime.program = DriverError("not on the PATH", cause="command-not-found", permanent=True)
    assert not (await ask(probe, target(1, runtime))).well


async def test_an_exec_probe_that_hangs_is_ended() -> None:
    runtime = Runtime()
    program = runtime.program = Program(b"", None)
    answer = await ask(Probe(type="exec", command=("check",), timeout=100), target(1, runtime))
    assert answer.message == "no answer within 100 ms"
    assert program.closed


async def test_a_program_that_the_runtime_does_not_start_in_time_says_nothing_about_the_instance() -> None:
    class Stuck(Runtime):
        async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
            await asyncio.Event().wait()
            raise AssertionError

    with pytest.raises(NoAnswer, match="could not be put to it within 100 ms"):
        await ask(Probe(type="exec", command=("check",), timeout=100), target(1, Stuck()))


async def test_a_node_that_does_not_come_to_listen_takes_nothing_for_silence() -> None:
    """The answer comes in time, while this process does something else for longer than the timeout."""
    asked = threading.Event()
    stall_s, timeout_ms = 2.0, 1_000

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            asked.set()
            # Long after the stall has begun, and as long before the timeout.
            time.sleep(timeout_ms / 2000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    def stall() -> None:
        assert asked.wait(DEADLINE_S)
        time.sleep(stall_s)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        asking = asyncio.ensure_future(ask(Probe(type="http", timeout=timeout_ms), target(listening.getsockname()[1])))
        while not asked.is_set():
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_soon(stall)
        assert await asking == (True, "")
        thread.join()


async def test_a_node_without_descriptors_left_says_nothing_about_the_instance() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    filling: list[int] = []
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        # What earlier tests have left behind is not to be closed, and so made room of, in the middle of this one.
        gc.collect()
        try:
            with contextlib.suppress(OSError):
                while True:
                    filling.append(os.dup(0))
            for kind in ("tcp", "http"):
                with pytest.raises(NoAnswer, match="this node cannot ask: Too many open files"):
                    await ask(Probe(type=kind), target(port))
        finally:
            for one in filling:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_runtime_that_is_away_says_nothing_about_the_instance() -> None:
    runtime = Runtime()
    runtime.program = DriverError("the keeper has hung up", cause="driver-unavailable", permanent=False)
    with pytest.raises(NoAnswer):
        await ask(Probe(type="exec", command=("check",)), target(1, runtime))


@pytest.mark.parametrize("state", ["gone", "hangs"])
async def test_over_the_network_it_is_asked_where_it_was_last_while_its_runtime_does_not_answer(
    state: Literal["gone", "hangs"],
) -> None:
    runtime, place = Runtime(), Place()
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        probe = Probe(type="http", timeout=200)
        assert (await ask(probe, target(port, runtime), place)).well
        runtime.state = state
        assert (await ask(probe, target(port, runtime), place)).well
    answer = await ask(probe, target(port, runtime), place)
    assert not answer.well
    assert answer.message.startswith(f"port {port}: ")


@pytest.mark.parametrize("kind", ["tcp", "exec"])
@pytest.mark.parametrize("state", ["gone", "hangs"])
async def test_what_nobody_can_ask_as_the_runtime_does_not_answer_is_told_apart(
    state: Literal["gone", "hangs"], kind: Literal["tcp", "exec"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.node.answering.RUNTIME_S", 0.1)
    runtime = Runtime()
    runtime.state = state
    with pytest.raises(RuntimeSilent):
        await ask(Probe(type=kind, command=("check",), timeout=100), target(1, runtime))


async def test_a_program_that_was_asked_when_the_runtime_began_to_hang_has_not_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("omnitide.node.answering.RUNTIME_S", 0.1)

    class Stops(Runtime):
        async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
            self.state = "hangs"
            return Program(b"", None)

    with pytest.raises(RuntimeSilent):
        await ask(Probe(type="exec", command=("check",), timeout=100), target(1, Stops()))


# -- in time ----------------------------------------------------------------------------------------------------------


class Watched:
    """A prober on a runtime, and what it told."""

    def __init__(self, group: asyncio.TaskGroup, runtime: Runtime) -> None:
        self.told: list[Probed] = []
        drivers: Any = {"process": runtime, "slow": Runtime()}
        drivers["slow"].program = Program(b"", None)
        self.prober = Prober(group=group, drivers=drivers, feed=self._feed, clock=WallClock())

    async def _feed(self, probed: Probed) -> None:
        self.told.append(probed)

    def begin(
        self,
        probes: Probes,
        port: int,
        health: Health = Health.UNKNOWN,
        *,
        driver: str = "process",
        instance: str = "a",
    ) -> None:
        self.prober.begin(
            BeginProbes(
                driver=driver,
                key=RunKey(instance, 1),
                probes=probes,
                ports=(PortBinding("http", port, port),),
                started_at_ms=0,
                health=health,
            )
        )

    async def until(self, count: int) -> list[Probed]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.told) < count:
                await asyncio.sleep(0.005)
        return self.told


async def test_only_changes_are_told_and_what_is_ready_is_known_before_its_interval() -> None:
    port = await closed_port()
    async with asyncio.TaskGroup() as group:
        watched = Watched(group, Runtime())
        watched.begin(Probes(readiness=Probe(type="tcp", interval=3_600_000)), port)
        await asyncio.sleep(0.1)
        running = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
        (first,) = await watched.until(1)
        assert (first.key, first.health, first.restart) == (KEY, Health.HEALTHY, False)
        running.close()
        watched.prober.end("a")


async def test_liveness_begins_only_after_startup_has_succeeded() -> None:
    heard: list[bytes] = []
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n", heard)) as port, asyncio.TaskGroup() as group:
        watched = Watched(group, Runtime())
        startup = Probe(type="exec", command=("started",), interval=100)
        liveness = Probe(type="http", interval=100, timeout=100)
        runtime: Any = watched.prober._drivers["process"]
        runtime.program = DriverError("no", cause="command-not-found", permanent=True)
        watched.begin(Probes(startup=startup, liveness=liveness), port)
        async with asyncio.timeout(DEADLINE_S):
            while len(runtime.asked) < 2:
                await asyncio.sleep(0.005)
        assert heard == []
        runtime.program = Program(b"", 0)
        assert [one.health for one in await watched.until(1)] == [Health.HEALTHY]
        async with asyncio.timeout(DEADLINE_S):
            while not heard:
                await asyncio.sleep(0.005)
        watched.prober.end("a")


async def test_a_server_that_dies_is_to_be_restarted_after_its_threshold() -> None:
    async with asyncio.TaskGroup() as group:
        watched = Watched(group, Runtime())
        async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
            watched.begin(Probes(liveness=Probe(type="tcp", interval=100, timeout=100, failure_threshold=2)), port)
            await watched.until(1)
        _, second = await watched.until(2)
        assert (second.health, second.restart) == (Health.UNHEALTHY, True)
        assert second.message.startswith("liveness probe failed 2 times in a row: port")


async def test_slow_probes_of_many_hold_up_nobody_else() -> None:
    port = await closed_port()
    hangs = Probes(liveness=Probe(type="exec", command=("check",), interval=600_000, timeout=600_000))
    async with asyncio.TaskGroup() as group:
        watched = Watched(group, Runtime())
        names = [f"slow-{number}" for number in range(2 * MAX_ASKED)]
        for name in names:
            watched.begin(hangs, port, driver="slow", instance=name)
        slow: Any = watched.prober._drivers["slow"]
        async with asyncio.timeout(DEADLINE_S):
            while len(slow.asked) < MAX_ASKED:
                await asyncio.sleep(0.005)
        watched.begin(Probes(readiness=Probe(type="exec", command=("check",))), port)
        (first,) = await watched.until(1)
        assert (first.key, first.health) == (KEY, Health.HEALTHY)
        for name in ("a", *names):
            watched.prober.end(name)
    assert slow.program.closed


async def test_health_that_cannot_be_asked_is_unknown_until_it_can_be_and_nothing_is_restarted() -> None:
    class Well(Runtime):
        async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
            self.program = Program(b"", 0)
            return await super().exec(key, request)

    check = Probe(type="exec", command=("check",), interval=100, timeout=100, failure_threshold=2)
    async with asyncio.TaskGroup() as group:
        watched = Watched(group, Well())
        watched.begin(Probes(readiness=check, liveness=check), await closed_port())
        await watched.until(1)
        runtime: Any = watched.prober._drivers["process"]
        runtime.state = "gone"
        _, unknown = await watched.until(2)
        assert (unknown.health, unknown.restart) == (Health.UNKNOWN, False)
        assert unknown.message == "the readiness probe cannot be asked: the engine has hung up"
        runtime.state = "well"
        *_, well = await watched.until(3)
        assert (well.health, well.message) == (Health.HEALTHY, "")
        watched.prober.end("a")
