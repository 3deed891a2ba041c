"""The driver `wasm`: the keeper's runs, as for processes, of modules instead of programs.

Modules are compiled by a process apart, once for their content and this version of wasmtime, and kept in the driver's
directory. The zygote is started when first needed and is again when it has ended.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from omnitide.drivers import process_request
from omnitide.drivers.process import ProcessDriver, signal_number
from omnitide.drivers.protocol import (
    Driver,
    DriverContext,
    DriverError,
    DriverInfo,
    Launch,
    Limit,
    LogChunk,
    Progress,
    Run,
    RunKey,
    Usage,
)
from omnitide.drivers.streams import Exec, ExecRequest
from omnitide.drivers.wasm.cache import Cache, Compiled

KEEPER: Final = "keeper"
CACHE: Final = "modules"
_NO_COPY: Final = (
    "of a WebAssembly module no files can be copied, in or out: that takes programs (sh, tar) beside it, with its "
    "rights and its view of the machine, and a module has none; hand it files as `files`, `artifacts` or a volume in "
    "its spec, and read on its node what it writes into a volume"
)


def make(context: DriverContext) -> Driver:
    """The entry point. Raises ImportError without the extra."""
    if importlib.util.find_spec("wasmtime") is None:
        message = "wasmtime is not installed; install omnitide[wasm] on this node"
        raise ImportError(message)
    return WasmDriver(context)


def _python() -> list[str]:
    """How a program of ours is started, wherever this one is installed."""
    return [sys.executable, "-P", "-m"]


def _program() -> str:
    """Tells a zygote's program from another one: a zygote outlives the node proxy, and may be of an earlier version."""
    made = hashlib.sha256(sys.executable.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        made.update(source.read_bytes())
    return made.hexdigest()[:8]


class WasmDriver:
    """See `drivers.protocol.Driver`."""

    def __init__(self, context: DriverContext) -> None:
        self._directory = context.directory
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        self._runs = ProcessDriver(
            context.keeper or os.path.join(self._directory, KEEPER),
            cgroup=context.cgroup,
            passage=context.passage,
            zygotes=True,
        )
        self._version = importlib.metadata.version("wasmtime")
        self._program = _program()
        self._info: DriverInfo | None = None
        """What the keeper can enforce, as last heard."""
        self._cache = Cache(os.path.join(self._directory, CACHE), self._version)

    @property
    def name(self) -> str:
        return "wasm"

    async def probe(self) -> DriverInfo:
        info = await self._runs.probe()
        self._info = info if info.healthy else None
        # A module has one thread and no processes: its limit of them holds by itself. wasmtime bounds its memory.
        enforces = ("memory", "pids", *(limit for limit in info.enforces if limit == "cpu"))
        return msgspec.structs.replace(info, name=self.name, version=f"wasmtime {self._version}", enforces=enforces)

    # -- starting --------------------------------------------------------------------------------------------------

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        """Compile the module unless that has been done. Raises DriverError."""
        await self._compiled(launch, progress)
        await self._ensure_zygote()

    async def start(self, launch: Launch) -> Run:
        if launch.pre_stop:
            message = "a module has no programs beside it: pre_stop is not for the driver wasm"
            raise DriverError(message, cause="unsupported", permanent=True)
        compiled = await self._compiled(launch, lambda _: None)
        try:
            return await self._start(launch, compiled)
        except DriverError as error:
            if error.cause != "module":
                raise
        # What lay in the cache fits its name but cannot be loaded, or is gone: it is made again, once.
        await self._cache.discard(compiled)
        return await self._start(launch, await self._compiled(launch, lambda _: None))

    async def _start(self, launch: Launch, compiled: Compiled) -> Run:
        if self._info is None:
            await self.probe()
        able = self._info.enforces if self._info is not None else ()
        memory = _ceiling(launch.limits.memory_bytes) if "memory" in able else 0
        identity = await self._runs.identity(launch)
        request = process_request.of_launch(
            msgspec.structs.replace(
                launch,
                command=[launch.wasm.module if launch.wasm is not None else "", *launch.command],
                limits=Limit(cpu_milli=launch.limits.cpu_milli, memory_bytes=memory),
                limits_required=launch.limits_required and bool(launch.limits.cpu_milli),
            ),
            identity,
            signal_number(launch.stop_signal),
        )
        request["zygote"] = {"name": self._zygote_name(), "work": _work(launch, compiled)}
        try:
            return await self._runs.start_request(request)
        except DriverError as error:
            if error.cause != "zygote":
                raise
        await self._ensure_zygote()
        return await self._runs.start_request(request)

    async def _compiled(self, launch: Launch, progress: Progress) -> Compiled:
        if launch.wasm is None:
            raise DriverError("a module is needed", cause="invalid", permanent=True)
        path = os.path.join(launch.working_directory or self._runs.private_directory(launch), launch.wasm.module)
        return await self._cache.compiled(path, progress)

    def _zygote_name(self) -> str:
        return f"wasmtime-{self._version}-{self._program}"

    async def _ensure_zygote(self) -> None:
        environment = {"PATH": os.environ.get("PATH", "")}
        command = [*_python(), "omnitide.drivers.wasm.zygote"]
        await self._runs.ensure_zygote(self._zygote_name(), command, environment)

    def directory(self, instance: str) -> str:
        """As the processes' (`ProcessDriver.directory`): the module finds it as `.`."""
        return self._runs.directory(instance)

    # -- the rest is as for processes ------------------------------------------------------------------------------

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        await self._runs.stop(key, grace_ms=grace_ms)

    async def signal(self, key: RunKey, signal: int) -> None:
        await self._runs.signal(key, signal)

    async def status(self, key: RunKey) -> Run | None:
        return await self._runs.status(key)

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:  # noqa: ARG002 - the protocol's
        message = "nothing else can be executed beside a module"
        raise DriverError(message, cause="unsupported", permanent=True)

    def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:  # noqa: ARG002 - the protocol's
        raise DriverError(_NO_COPY, cause="unsupported", permanent=True)

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:  # noqa: ARG002
        raise DriverError(_NO_COPY, cause="unsupported", permanent=True)

    async def address(self, key: RunKey) -> str:
        return await self._runs.address(key)

    async def recover(self) -> list[Run]:
        return await self._runs.recover()

    async def remove(self, key: RunKey) -> None:
        await self._runs.remove(key)

    async def remove_instance(self, instance: str) -> None:
        await self._runs.remove_instance(instance)

    async def kept_bytes(self, instance: str) -> int:
        return await self._runs.kept_bytes(instance)

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        await self._runs.fence(keys, within_ms)

    def watch(self) -> AsyncIterator[Run]:
        return self._runs.watch()

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        return await self._runs.stats(keys)

    def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        return self._runs.logs(instance, tail_lines=tail_lines, since_ms=since_ms, after=after, follow=follow)

    def retire(self) -> None:
        """Start no keeper from now on."""
        self._runs.retire()

    async def close(self) -> None:
        await self._runs.close()


_RUNTIME_BYTES: Final = 64 << 20
"""As `memory.RUNTIME_BYTES`, which is not imported here: with it comes wasmtime."""


def _ceiling(memory_bytes: int) -> int:
    return memory_bytes + _RUNTIME_BYTES if memory_bytes else 0


def _work(launch: Launch, compiled: Compiled) -> dict[str, object]:
    assert launch.wasm is not None
    preopens: list[tuple[str, str, bool, bool]] = []
    for mount in launch.mounts:
        if not os.path.isdir(mount.source):
            message = f"{mount.target}: a module is given directories, and {mount.source} is none"
            raise DriverError(message, cause="mount", permanent=True)
        preopens.append((mount.source, mount.target, mount.read_only, mount.firm))
    return {
        "compiled": compiled.path,
        "component": compiled.component,
        "arguments": [os.path.basename(launch.wasm.module), *launch.command],
        "variables": dict(launch.environment),
        "preopens": preopens,
        "memory_bytes": launch.limits.memory_bytes,
    }
