"""A driver without processes, for tests and for the simulation: runs are entries in a table, time is the event loop's.

`FakeRuntime` is what outlives a node proxy (the keeper and its processes); a `FakeDriver` is one proxy's view of it.
What a program does is written in its command: `run` (until it is stopped), `exit CODE [AFTER_MS]`, `die SIGNAL
[AFTER_MS]`, `refuse CAUSE` (a start that fails for good), `needs THING` (the same, where that is lacking), `stubborn`
(ends only when it is killed, after its grace).
All chance comes from the one `random.Random` that is handed in.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from omnitide.drivers.protocol import (
    DriverError,
    DriverInfo,
    Exit,
    Launch,
    LogChunk,
    Progress,
    Run,
    RunKey,
    RunState,
    Usage,
)
from omnitide.drivers.streams import Exec, ExecEnded, ExecRequest

ENDED = (RunState.EXITED, RunState.UNKNOWN)
MAX_EVENTS = 10_000
"""Changes that wait for a watcher; beyond, its watch ends."""


class Faults(NamedTuple):
    """Chances between 0 and 1, and seconds."""

    start_fails: float = 0.0
    """For this attempt only."""
    start_lost: float = 0.0
    """The driver says that it is unavailable, and nothing starts."""
    start_answer_lost: float = 0.0
    """The run starts, and the driver says that it is unavailable."""
    stop_fails: float = 0.0
    start_seconds: tuple[float, float] = (0.0, 0.0)
    stop_seconds: tuple[float, float] = (0.0, 0.0)
    call_seconds: tuple[float, float] = (0.0, 0.0)
    """To the runtime, and back again from a list of runs, which is old by then."""
    watch_seconds: tuple[float, float] = (0.0, 0.0)
    """From a change to its watchers, in order."""


NO_FAULTS = Faults()


@dataclass
class _Entry:
    launch: Launch
    run: Run
    killer: asyncio.TimerHandle | None = None


@dataclass
class _Logs:
    chunks: list[LogChunk] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class _Watch:
    """One watcher's queue of changes."""

    def __init__(self) -> None:
        self._events: deque[Run] = deque()
        self._wake = asyncio.Event()
        self._error: DriverError | None = None
        self._told_at = 0.0

    def put_later(self, run: Run, seconds: float) -> None:
        """After a while, and never before what was put earlier."""
        loop = asyncio.get_running_loop()
        self._told_at = max(loop.time() + seconds, self._told_at)
        loop.call_at(self._told_at, self.put, run)

    def put(self, run: Run) -> None:
        if self._error is not None:
            return
        if len(self._events) >= MAX_EVENTS:
            self.end(DriverError("a watcher that is too slow", cause="driver-unavailable", permanent=False))
            return
        self._events.append(run)
        self._wake.set()

    def end(self, error: DriverError) -> None:
        self._error = error
        self._wake.set()

    def __aiter__(self) -> "_Watch":
        return self

    async def __anext__(self) -> Run:
        while not self._events:
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class FakeRuntime:
    """The runs of one node. Checks by itself that no instance ever has two live runs."""

    def __init__(self, *, now_ms: Callable[[], int], rng: random.Random, faults: Faults = NO_FAULTS) -> None:
        self.now_ms = now_ms
        self.rng = rng
        self.faults = faults
        self.available = True
        self.answers = asyncio.Event()
        """Cleared: it hangs, and tells nobody of anything that happens meanwhile."""
        self.answers.set()
        self.unwell: set[str] = set()
        """Instances whose probes fail."""
        self.lacks: tuple[str, ...] = ()
        """What programs that `needs` it cannot be started without."""
        self.started: list[RunKey] = []
        """Every run that really began, in order."""
        self.latest: dict[str, int] = {}
        """The last attempt of each instance that somebody remembers."""
        self.violations: list[str] = []
        """What must never happen, and did."""
        self._entries: dict[RunKey, _Entry] = {}
        self._logs: dict[str, _Logs] = {}
        self._watches: list[_Watch] = []
        self._pids = 1000

    def runs(self) -> list[Run]:
        return [self._entries[key].run for key in sorted(self._entries)]

    def live(self) -> list[RunKey]:
        return [run.key for run in self.runs() if run.state not in ENDED]

    def launch(self, key: RunKey) -> Launch:
        return self._entries[key].launch

    def finish(self, key: RunKey, exit_: Exit) -> None:
        """A live run ends by itself."""
        entry = self._entries.get(key)
        if entry is None or entry.run.state in ENDED:
            return
        if entry.killer is not None:
            entry.killer.cancel()
        self._change(entry, replace(entry.run, state=RunState.EXITED, exit=replace(exit_, ended_at_ms=self.now_ms())))

    def crash(self) -> None:
        """The supervisor dies and comes back: everything that ran is gone, and nobody knows how it ended."""
        for entry in self._entries.values():
            if entry.run.state not in ENDED:
                if entry.killer is not None:
                    entry.killer.cancel()
                entry.run = replace(entry.run, state=RunState.UNKNOWN, exit=None)
        self.break_watches()

    def forget(self) -> None:
        """The node has lost its memory: only the runs that are still known here are remembered."""
        self.latest = {key.instance: key.attempt for key in sorted(self._entries)}

    def break_watches(self) -> None:
        for watch in self._watches:
            watch.end(DriverError("the runtime went away", cause="driver-unavailable", permanent=False))
        self._watches.clear()

    def write(self, instance: str, data: bytes, stream: str = "stdout") -> None:
        """Output of an instance's last attempt."""
        attempt = max((key.attempt for key in self._entries if key.instance == instance), default=1)
        logs = self._logs.setdefault(instance, _Logs())
        logs.chunks.append(LogChunk(at_ms=self.now_ms(), stream=stream, data=data, attempt=attempt))
        logs.changed.set()

    def begin(self, launch: Launch) -> Run:
        """Start a run now. Raises DriverError."""
        known = self._entries.get(launch.key)
        if known is not None:
            return known.run
        words = list(launch.command)
        if words[0] == "refuse" or (words[0] == "needs" and words[1] in self.lacks):
            raise DriverError(f"{words[1]} by order", cause=words[1], permanent=True)
        if self.rng.random() < self.faults.start_fails:
            raise DriverError("no luck", cause="resources", permanent=False)
        for key in self.live():
            if key.instance == launch.key.instance:
                self.violations.append(f"{launch.key} started while {key} is live")
        if self.latest.get(launch.key.instance, 0) >= launch.key.attempt:
            self.violations.append(f"{launch.key} started after a later attempt")
        self._pids += 1
        run = Run(
            key=launch.key,
            state=RunState.RUNNING,
            handle=str(self._pids),
            started_at_ms=self.now_ms(),
            labels=launch.labels,
        )
        entry = self._entries[launch.key] = _Entry(launch, run)
        self.started.append(launch.key)
        self.latest[launch.key.instance] = launch.key.attempt
        self._change(entry, run)
        if words[0] in ("exit", "die"):
            value = int(words[1])
            exit_ = Exit(code=value) if words[0] == "exit" else Exit(code=None, signal=value, reason="signal")
            self._later(float(words[2]) / 1000 if len(words) > 2 else 0.0, lambda: self.finish(launch.key, exit_))
        return run

    def stop(self, key: RunKey, grace_ms: int | None) -> None:
        entry = self._entries.get(key)
        if entry is None or entry.run.state in (*ENDED, RunState.STOPPING):
            return
        self._change(entry, replace(entry.run, state=RunState.STOPPING))
        exit_ = Exit(code=None, signal=15, reason="stopped")
        delay = self.rng.uniform(*self.faults.stop_seconds)
        if entry.launch.command[0] == "stubborn":
            exit_ = Exit(code=None, signal=9, reason="killed")
            delay = (entry.launch.stop_grace_ms if grace_ms is None else grace_ms) / 1000
        entry.killer = self._later(delay, lambda: self.finish(key, exit_))

    def remove(self, key: RunKey) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.run.state not in ENDED:
            raise DriverError(f"{key} runs", cause="busy", permanent=False)
        self._entries.pop(key, None)

    def remove_instance(self, instance: str) -> None:
        for key in [key for key in self._entries if key.instance == instance]:
            self.remove(key)
        self._logs.pop(instance, None)

    def watch(self) -> _Watch:
        watch = _Watch()
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: _Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)

    def logs_of(self, instance: str) -> _Logs:
        if instance not in self._logs and not any(key.instance == instance for key in self._entries):
            raise DriverError(f"no logs of {instance}", cause="not-found", permanent=True)
        return self._logs.setdefault(instance, _Logs())

    def _change(self, entry: _Entry, run: Run) -> None:
        entry.run = run
        for watch in list(self._watches) if self.answers.is_set() else ():
            if self.faults.watch_seconds[1]:
                watch.put_later(run, self.rng.uniform(*self.faults.watch_seconds))
            else:
                watch.put(run)
        logs = self._logs.get(run.key.instance)
        if logs is not None:
            logs.changed.set()

    def _later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, call)


class FakeExec:
    """A program that has ended by the time it is asked."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def receive(self) -> ExecEnded:
        return ExecEnded(self._code)

    async def write(self, data: bytes) -> None:
        pass

    async def end_input(self) -> None:
        pass

    async def resize(self, rows: int, columns: int) -> None:
        pass

    async def signal(self, number: int) -> None:
        pass

    async def close(self) -> None:
        pass


class FakeDriver:
    """A Driver over a FakeRuntime. Make one for each proxy; `close` ends its watches."""

    def __init__(self, runtime: FakeRuntime, name: str = "process") -> None:
        self.runtime = runtime
        self._name = name
        self._watches: list[_Watch] = []

    @property
    def name(self) -> str:
        return self._name

    async def probe(self) -> DriverInfo:
        await self.runtime.answers.wait()
        return DriverInfo(
            name=self._name,
            version="1",
            healthy=self.runtime.available,
            detail="" if self.runtime.available else "away",
            silent=not self.runtime.available,
            enforces=("cpu", "memory", "pids"),
        )

    async def start(self, launch: Launch) -> Run:
        await self._arrive()
        if self.runtime.rng.random() < self.runtime.faults.start_lost:
            raise DriverError("the request was lost", cause="driver-unavailable", permanent=False)
        run = self.runtime.begin(launch)
        await asyncio.sleep(self.runtime.rng.uniform(*self.runtime.faults.start_seconds))
        if self.runtime.rng.random() < self.runtime.faults.start_answer_lost:
            raise DriverError("the answer was lost", cause="driver-unavailable", permanent=False)
        return run

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        await self._arrive()
        if self.runtime.rng.random() < self.runtime.faults.stop_fails:
            raise DriverError("no luck", cause="resources", permanent=False)
        self.runtime.stop(key, grace_ms)

    async def signal(self, key: RunKey, signal: int) -> None:
        await self._arrive()
        if key not in self.runtime.live():
            raise DriverError(f"{key} does not run", cause="not-found", permanent=True)
        self.runtime.finish(key, Exit(code=None, signal=signal, reason="signal"))

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        progress("looking")

    async def status(self, key: RunKey) -> Run | None:
        return next((run for run in await self.recover() if run.key == key), None)

    async def address(self, key: RunKey) -> str:
        await self.runtime.answers.wait()
        return "127.0.0.1"

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        """Of all programs it knows `well` alone, which ends with 0 in instances that are."""
        if request.command[0] != "well":
            raise DriverError("programs of this runtime are not real", cause="unsupported", permanent=True)
        await self._arrive()
        if key not in self.runtime.live():
            raise DriverError(f"{key} does not run", cause="not-running", permanent=False)
        return FakeExec(1 if key.instance in self.runtime.unwell else 0)

    async def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:
        await self.runtime.answers.wait()
        raise DriverError("this runtime has no files", cause="unsupported", permanent=True)
        yield b""

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:
        raise DriverError("this runtime has no files", cause="unsupported", permanent=True)

    async def recover(self) -> list[Run]:
        await self._arrive()
        runs = self.runtime.runs()
        await asyncio.sleep(self.runtime.rng.uniform(*self.runtime.faults.call_seconds))
        return runs

    async def remove(self, key: RunKey) -> None:
        await self._arrive()
        self.runtime.remove(key)

    async def remove_instance(self, instance: str) -> None:
        await self._arrive()
        self.runtime.remove_instance(instance)

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        await self._arrive()

    def watch(self) -> AsyncIterator[Run]:
        watch = self.runtime.watch()
        if not self.runtime.available:
            watch.end(_away())
        self._watches.append(watch)
        return watch

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        live = set(self.runtime.live())
        return {key: Usage(cpu_ms=0, memory_bytes=1 << 20, pids=1) for key in keys if key in live}

    async def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """A chunk's position is its number, from 1; a chunk is a line."""
        await self.runtime.answers.wait()
        logs = self.runtime.logs_of(instance)
        position = int(after or 0)
        if tail_lines is not None and not after:
            position = max(0, len(logs.chunks) - tail_lines)
        while not after and position < len(logs.chunks) and logs.chunks[position].at_ms < since_ms:
            position += 1
        if follow:
            yield LogChunk(at_ms=0, stream="stdout", data=b"", attempt=0, position=str(position))
        while True:
            while position < len(logs.chunks):
                position += 1
                yield replace(logs.chunks[position - 1], position=str(position))
            if not follow:
                return
            runs = [run for run in self.runtime.runs() if run.key.instance == instance]
            if not runs or runs[-1].state in ENDED:
                return
            logs.changed.clear()
            await logs.changed.wait()

    async def close(self) -> None:
        for watch in self._watches:
            self.runtime.unwatch(watch)
            watch.end(_away())
        self._watches.clear()

    async def _arrive(self) -> None:
        """The way to the runtime."""
        await self.runtime.answers.wait()
        await asyncio.sleep(self.runtime.rng.uniform(*self.runtime.faults.call_seconds))
        if not self.runtime.available:
            raise _away()


def _away() -> DriverError:
    return DriverError("the runtime is away", cause="driver-unavailable", permanent=False)
