"""Stopping a container: what its spec wants done before, its signal, and after the grace the end of all in it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Final

import msgspec

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Container, Waited
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.execs import open_exec
from omnitide.drivers.docker.notes import Notes, Stop
from omnitide.drivers.protocol import DriverError
from omnitide.drivers.streams import ExecEnded, ExecRequest

KILL_WAIT: Final = 60.0
"""For the engine to see the end of what was killed; then whoever wants it stopped asks again."""
DEFAULT_GRACE_MS: Final = 10_000


class Stops:
    """Those under way, one task each; as many as there are containers."""

    def __init__(self, notes: Notes, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._notes = notes
        self._now_ms = now_ms
        self._open: dict[str, asyncio.Task[None]] = {}

    def begin(self, engine: Engine, container: Container, grace_ms: int | None) -> None:
        """Returns at once. Asked again, a shorter grace counts. A stop that a proxy before this one began goes on."""
        name = container.name.lstrip("/")
        found = container.config.labels or {}
        told = found.get(naming.STOP_GRACE, "")
        grace = grace_ms if grace_ms is not None else int(told) if told.isdecimal() else DEFAULT_GRACE_MS
        before = self._notes.stop(name)
        under_way = self._open.get(name)
        if before is not None:
            left = before.at_ms + before.grace_ms - self._now_ms()
            if under_way is not None and not under_way.done() and left <= grace:
                return
            stop = msgspec.structs.replace(before, grace_ms=before.grace_ms - max(0, left - grace))
        else:
            stop = Stop(self._now_ms(), grace)
        self._notes.stops(name, stop)
        if under_way is not None:
            under_way.cancel()
        task = asyncio.create_task(self._run(engine, container, name, stop, first=before is None), name=f"stop-{name}")
        self._open[name] = task
        task.add_done_callback(lambda done: self._over(name, done))

    def _over(self, name: str, task: "asyncio.Task[None]") -> None:
        if self._open.get(name) is task:
            del self._open[name]

    async def _run(self, engine: Engine, container: Container, name: str, stop: Stop, *, first: bool) -> None:
        found = container.config.labels or {}
        # An engine that is gone is waited for by whoever asked: he asks again.
        with contextlib.suppress(DriverError):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, (stop.at_ms + stop.grace_ms - self._now_ms()) / 1000)):
                    if first:
                        await _before(engine, container, found.get(naming.PRE_STOP, ""))
                    await _signal(engine, container.id, found.get(naming.STOP_SIGNAL, "") or "SIGTERM")
                    await _wait(engine, container.id)
                    return
            self._notes.stops(name, msgspec.structs.replace(stop, killed=True))
            await _signal(engine, container.id, "SIGKILL")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILL_WAIT):
                    await _wait(engine, container.id)

    async def close(self) -> None:
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _before(engine: Engine, container: Container, told: str) -> None:
    """The spec's `pre_stop`; that it fails keeps nothing from being stopped."""
    command = [str(word) for word in json.loads(told)] if told else []
    if not command:
        return
    with contextlib.suppress(DriverError):
        program = await open_exec(engine, container.id, ExecRequest(command=command))
        try:
            await program.end_input()
            while not isinstance(await program.receive(), ExecEnded):
                pass
        finally:
            await program.close()


async def _signal(engine: Engine, container: str, name: str) -> None:
    # Refused for one that has ended meanwhile.
    with contextlib.suppress(EngineRefused):
        await engine.do("POST", f"containers/{container}/kill", params={"signal": name})


async def _wait(engine: Engine, container: str) -> None:
    with contextlib.suppress(EngineRefused):
        await engine.call("POST", f"containers/{container}/wait", Waited, deadline=None)
