"""What the conformance suite needs of a driver beside its protocol, one `Kit` a driver."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from omnitide.drivers.protocol import Driver, Launch, LogChunk, Run, RunKey, RunState
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest

T = TypeVar("T")

DEADLINE_S = 60.0
ENDED = (RunState.EXITED, RunState.UNKNOWN)


@dataclass
class Kit:
    """`new_driver` makes another driver object over the same runtime, as the next node proxy does. `launch` turns words
    of the conformance program (tests/support/programs/conform.c) into a launch."""

    name: str
    new_driver: Callable[[], Driver]
    launch: Callable[[RunKey, tuple[str, ...]], Launch]
    left: Callable[[], list[str]]
    """What of any instance is still there, by name: processes, containers, directories."""
    program: tuple[str, ...] = ()
    """The command of the conformance program, as an exec gives it."""
    home: str = ""
    """A directory where a run may write."""
    lacks: frozenset[str] = frozenset()
    """What its programs cannot: heed `signals`, make processes (`forks`), have others beside them (`exec`) or
    their files copied (`files`), or what its engine does not tell (`oom-reason`)."""
    drivers: list[Driver] = field(default_factory=list)

    @property
    def driver(self) -> Driver:
        if not self.drivers:
            self.another()
        return self.drivers[-1]

    def another(self) -> Driver:
        self.drivers.append(self.new_driver())
        return self.drivers[-1]

    def needs(self, *what: str) -> None:
        """Skips a test that asks for what there is not."""
        missing = sorted(self.lacks.intersection(what))
        if missing:
            pytest.skip(f"this driver lacks [{', '.join(missing)}]")

    async def start(self, instance: str, *words: str, attempt: int = 1, **more: object) -> Run:
        launch = replace(self.launch(RunKey(instance, attempt), words), **more)
        await self.driver.prepare(launch, lambda text: None)
        return await self.driver.start(launch)

    async def end_of(self, instance: str, attempt: int = 1) -> Run:
        """The run when it has ended, as the driver tells of it by itself."""
        key = RunKey(instance, attempt)
        watch = self.driver.watch()
        first = asyncio.ensure_future(anext(watch))
        try:
            await asyncio.sleep(0)
            now = await self.driver.status(key)
            if now is not None and now.state in ENDED:
                return now
            async with asyncio.timeout(DEADLINE_S):
                run = await first
                while run.key != key or run.state not in ENDED:
                    run = await anext(watch)
                return run
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    async def until_output(self, instance: str, text: str) -> None:
        """Until the instance has said so."""
        said = b""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                async for chunk in self.driver.logs(instance, follow=True):
                    said += chunk.data
                    if text.encode() in said:
                        return
                raise AssertionError(f"{instance} has ended and said {said!r}, not {text!r}")

    async def output(self, instance: str, **how: object) -> list[LogChunk]:
        return [chunk async for chunk in self.driver.logs(instance, **how)]  # type: ignore[arg-type]

    async def text(self, instance: str, **how: object) -> str:
        return b"".join(chunk.data for chunk in await self.output(instance, **how)).decode(errors="replace")

    async def exec(self, instance: str, *words: str, attempt: int = 1, **more: object) -> Exec:
        request = replace(ExecRequest(command=(*self.program, *words)), **more)
        return await self.driver.exec(RunKey(instance, attempt), request)

    async def clear(self) -> None:
        """Kill and forget all that there is, and let go."""
        driver = self.another()
        with contextlib.suppress(Exception):
            for run in await driver.recover():
                await driver.stop(run.key, grace_ms=0)
            deadline = time.monotonic() + DEADLINE_S
            while any(run.state not in ENDED for run in await driver.recover()) and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            for instance in {run.key.instance for run in await driver.recover()}:
                await driver.remove_instance(instance)
        for one in self.drivers:
            await one.close()
        self.drivers.clear()


async def all_of(program: Exec) -> tuple[bytes, bytes, ExecEnded]:
    """Standard output, standard error, end."""
    out = {"stdout": b"", "stderr": b""}
    async with asyncio.timeout(DEADLINE_S):
        while isinstance(got := await program.receive(), ExecOutput):
            out[got.stream] += got.data
    assert isinstance(got, ExecEnded)
    return out["stdout"], out["stderr"], got


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def names_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
