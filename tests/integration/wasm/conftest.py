"""A driver `wasm` on a directory of its own for each test; its keeper and all that runs there is ended afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnitide.drivers.protocol import DriverContext, Launch, LogChunk, Run, RunKey, RunState
from omnitide.drivers.wasm.driver import WasmDriver
from omnitide.model.container import Wasm
from omnitide.node.keeper.launch import stop_keeper
from support import wasi_compiler
from support.container_engine import PROGRAMS

DEADLINE_S = 60.0


class Modules:
    """What tests do with the driver."""

    def __init__(self, directory: Path, *, cgroup: str = "auto") -> None:
        self.directory = directory
        self._cgroup = cgroup
        self.keeper = str(directory / "keeper")
        self.driver = self._new()
        self.told: list[str] = []

    def _new(self) -> WasmDriver:
        return WasmDriver(DriverContext(directory=str(self.directory), node_id="test", cgroup=self._cgroup))

    async def another(self) -> None:
        """The driver of the next node proxy."""
        await self.driver.close()
        self.driver = self._new()

    def launch(self, instance: str, module: str, *arguments: str, attempt: int = 1, **more: object) -> Launch:
        fields: dict[str, object] = {"environment": {}, **more}
        wasm = Wasm(module=module)
        key = RunKey(instance, attempt)
        return Launch(key=key, name=instance, command=arguments, wasm=wasm, **fields)  # type: ignore[arg-type]

    async def start(self, instance: str, module: str, *arguments: str, **more: object) -> Run:
        launch = self.launch(instance, module, *arguments, **more)  # type: ignore[arg-type]
        await self.driver.prepare(launch, self.told.append)
        return await self.driver.start(launch)

    async def end_of(self, instance: str, attempt: int = 1) -> Run:
        watch = self.driver.watch()
        now = await self.driver.status(RunKey(instance, attempt))
        assert now is not None
        if now.state in (RunState.EXITED, RunState.UNKNOWN):
            return now
        async with asyncio.timeout(DEADLINE_S):
            async for run in watch:
                if run.key == RunKey(instance, attempt) and run.state in (RunState.EXITED, RunState.UNKNOWN):
                    return run
        raise AssertionError("unreachable")

    async def run(self, instance: str, module: str, *arguments: str, **more: object) -> Run:
        await self.start(instance, module, *arguments, **more)
        return await self.end_of(instance)

    async def chunks(self, instance: str) -> list[LogChunk]:
        return [chunk async for chunk in self.driver.logs(instance)]

    async def output(self, instance: str, stream: str = "stdout") -> bytes:
        return b"".join(chunk.data for chunk in await self.chunks(instance) if chunk.stream == stream)

    async def says(self, instance: str, text: bytes) -> None:
        seen = b""
        async with asyncio.timeout(DEADLINE_S):
            async for chunk in self.driver.logs(instance, follow=True):
                seen += chunk.data
                if text in seen:
                    return
        raise AssertionError(f"{instance} ended without saying {text!r}: {seen!r}")


@pytest.fixture(scope="session")
def conform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The conformance program as a module of WASI."""
    return wasi_compiler.compiled(PROGRAMS / "conform.c", tmp_path_factory.mktemp("conform"))


@pytest.fixture
async def wasm(tmp_path: Path) -> AsyncIterator[Modules]:
    pytest.importorskip("wasmtime")
    modules = Modules(tmp_path / "wasm")
    try:
        yield modules
    finally:
        await modules.driver.close()
        await asyncio.to_thread(stop_keeper, modules.keeper, stop_runs=True, grace_ms=0)
