"""A keeper of its own for each test, with everything that it started ended afterwards, however the test went."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Launch, LogChunk, Run, RunKey, RunState
from omnitide.node.keeper import cgroup_mounts, processes
from omnitide.node.keeper.launch import KeeperUnavailable, Talk, ensure_keeper, stop_keeper
from support.passable import passable_folder

DEADLINE_S = 30.0


async def eventually(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return when the condition holds; fail when it has not within the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < end, f"{what} did not come to hold in {DEADLINE_S:.0f} s"
        await asyncio.sleep(0.01)


class Home:
    """A keeper's directory and a driver on it."""

    def __init__(self, directory: Path, cgroup: str) -> None:
        self.directory = str(directory)
        self.cgroup = cgroup
        self.driver = ProcessDriver(self.directory, cgroup=cgroup)
        self.drivers = [self.driver]
        self.defaults: dict[str, object] = {}

    def another_driver(self) -> ProcessDriver:
        driver = ProcessDriver(self.directory, cgroup=self.cgroup)
        self.drivers.append(driver)
        return driver

    async def start(
        self, instance: str, *command: str, attempt: int = 1, driver: ProcessDriver | None = None, **more: object
    ) -> Run:
        fields: dict[str, object] = {"environment": {}, "name": instance, **self.defaults, **more}
        launch = Launch(key=RunKey(instance, attempt), command=list(command), **fields)  # type: ignore[arg-type]
        return await (driver or self.driver).start(launch)

    async def shell(self, instance: str, script: str, **more: object) -> Run:
        return await self.start(instance, "/bin/sh", "-c", script, **more)  # type: ignore[arg-type]

    async def python(self, instance: str, script: str, **more: object) -> Run:
        return await self.start(instance, sys.executable, "-I", "-S", "-c", script, **more)  # type: ignore[arg-type]

    async def find(self, instance: str, attempt: int = 1, driver: ProcessDriver | None = None) -> Run | None:
        runs = await (driver or self.driver).recover()
        return next((run for run in runs if run.key == RunKey(instance, attempt)), None)

    async def end_of(self, instance: str, attempt: int = 1, driver: ProcessDriver | None = None) -> Run:
        """The run when it has ended."""
        driver = driver or self.driver
        watch = driver.watch()
        now = await self.find(instance, attempt, driver)
        assert now is not None
        if now.state in (RunState.EXITED, RunState.UNKNOWN):
            return now
        async with asyncio.timeout(DEADLINE_S):
            async for run in watch:
                if run.key == RunKey(instance, attempt) and run.state in (RunState.EXITED, RunState.UNKNOWN):
                    return run
        raise AssertionError("unreachable")

    async def run(self, instance: str, script: str, **more: object) -> Run:
        await self.shell(instance, script, **more)
        return await self.end_of(instance)

    async def chunks(self, instance: str, **how: object) -> list[LogChunk]:
        return [chunk async for chunk in self.driver.logs(instance, **how)]  # type: ignore[arg-type]

    async def output(self, instance: str, stream: str = "stdout", **how: object) -> bytes:
        return b"".join(chunk.data for chunk in await self.chunks(instance, **how) if chunk.stream == stream)

    async def says(self, instance: str, text: bytes) -> None:
        """Wait until the instance has printed `text`."""
        seen = b""
        async with asyncio.timeout(DEADLINE_S):
            async for chunk in self.driver.logs(instance, follow=True):
                seen += chunk.data
                if text in seen:
                    return
        raise AssertionError(f"{instance} ended without saying {text!r}: {seen!r}")

    def tell(self, instance: str, name: str = "go") -> None:
        """Make a file in the instance's private directory: what its program waits for."""
        Path(self.directory, "work", instance, name).touch()

    def ask(self, operation: str, **fields: object) -> dict[str, object]:
        with Talk(self.directory) as talk:
            return talk.ask(operation, **fields)

    @property
    def keeper_pid(self) -> int:
        with Talk(self.directory) as talk:
            pid = talk.about["pid"]
            assert isinstance(pid, int)
            return pid

    @property
    def keeper_id(self) -> str:
        return Path(self.directory, "keeper.id").read_text()

    def processes(self) -> list[int]:
        """Everything on this machine that carries this keeper's marker."""
        return [
            pid
            for pid, process in processes.all_processes().items()
            if process.state not in "ZX" and processes.marker(pid).startswith(f"{self.keeper_id}/")
        ]

    async def kill_keeper(self) -> None:
        pid = self.keeper_pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not running(pid), "the keeper's death")

    async def close(self) -> None:
        for driver in self.drivers:
            await driver.close()
        below = [pid for keeper in self.keepers() for pid in self.descendants(keeper)]
        try:
            ensure_keeper(self.directory, cgroup=self.cgroup)  # if it was killed: the next one ends what it left
            with contextlib.suppress(KeeperUnavailable):
                stop_keeper(self.directory, stop_runs=True, grace_ms=0, timeout_s=DEADLINE_S)
            await eventually(lambda: not self.processes(), "the end of all that the keeper had started")
            await eventually(lambda: not any(map(running, below)), "the end of all that was below the keeper")
            await eventually(lambda: not self.groups(), "the end of the keeper's control groups")
        finally:
            self._sweep(below)

    def keepers(self) -> list[int]:
        """Keeper processes of this directory; more than one only where the keeper is broken."""
        argument = f"--directory\0{self.directory}\0".encode()
        return [pid for pid in processes.all_processes() if argument in _command_line(pid)]

    def _sweep(self, pids: list[int]) -> None:
        """A keeper that does not clean up fails its test, and the test cleans up."""
        for left in [*self.keepers(), *pids, *self.processes()]:
            if running(left):
                os.kill(left, signal.SIGKILL)
        for group in self.groups():
            for path in sorted(Path(group).rglob("*/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()
            with contextlib.suppress(OSError):
                os.rmdir(group)

    @staticmethod
    def descendants(pid: int) -> list[int]:
        return sorted(processes.with_descendants([pid], processes.all_processes()) - {pid})

    def groups(self) -> list[str]:
        """Control group directories of this keeper."""
        name = f"omnitide-{self.keeper_id}"
        mounts = {hierarchy.mount for hierarchy in cgroup_mounts.discover_here().values()}
        return [path for mount in mounts for path, _, _ in os.walk(mount) if os.path.basename(path) == name]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def running(pid: int) -> bool:
    process = processes.look_up(pid)
    return process is not None and process.state not in "ZX"


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Where the keepers of `home` and `one_home` have their directories: other users can pass through."""
    with passable_folder() as folder:
        yield folder


@pytest.fixture(params=["auto", "fork", "off"])
async def home(request: pytest.FixtureRequest, open_path: Path) -> AsyncIterator[Home]:
    """With control groups where this machine and user have them, and without; spawned and forked."""
    home = Home(open_path / "keeper", "off" if request.param == "off" else "auto")
    if request.param == "fork":
        home.defaults["fence_ms"] = 3_600_000  # far away; what has a fence is forked
    await home.driver.probe()
    yield home
    await home.close()


@pytest.fixture
async def one_home(open_path: Path) -> AsyncIterator[Home]:
    """With control groups where there are some; for what does not depend on them."""
    home = Home(open_path / "keeper", "auto")
    await home.driver.probe()
    yield home
    await home.close()


@pytest.fixture
def sync_home(tmp_path: Path) -> Iterator[Home]:
    """For tests that talk to the keeper without an event loop."""
    home = Home(tmp_path / "keeper", "off")
    ensure_keeper(home.directory, cgroup="off")
    yield home
    stop_keeper(home.directory, stop_runs=True, grace_ms=0)


@pytest.fixture
async def homes(tmp_path: Path) -> AsyncIterator[Callable[..., Home]]:
    """Makes several."""
    made: list[Home] = []

    def make(name: str, cgroup: str = "auto") -> Home:
        made.append(Home(tmp_path / name, cgroup))
        return made[-1]

    yield make
    for home in made:
        await home.close()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], str], Awaitable[None]]:
    return eventually


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    return running
