"""The drivers of a simulated machine: the protocol that real ones have, over a table of runs. Nothing is executed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from omnitide import __version__
from omnitide.demo.chance import between
from omnitide.demo.log_lines import SLOT_MS, Line, first_lines, last_lines, line_at
from omnitide.demo.machines import Machine
from omnitide.demo.runs import Entry, Runs, Watch
from omnitide.demo.workloads import HEALTHCHECK
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
from omnitide.drivers.streams import Exec, ExecEnded, ExecOutput, ExecRequest

_VERSIONS: Final = {"docker": "27.3.1", "process": __version__, "wasm": "42.0.0"}
_ENFORCES: Final = ("cpu", "memory", "pids")
KEPT_SLOTS: Final = 9000
"""Of output that can be read again: an hour of each attempt."""
SLOTS_AT_ONCE: Final = 250
_MIB: Final = 1 << 20


class SimulatedDriver:
    """A `protocol.Driver`."""

    def __init__(self, name: str, machine: Machine, runs: Runs) -> None:
        self._name = name
        self._machine = machine
        self._runs = runs
        self._watches: list[Watch] = []
        self._info = DriverInfo(
            name=name,
            version=_VERSIONS.get(name, __version__),
            healthy=True,
            detail="simulated",
            enforces=(*_ENFORCES, "sandbox") if name == "process" else _ENFORCES,
        )

    @property
    def name(self) -> str:
        return self._name

    async def probe(self) -> DriverInfo:
        return self._info

    async def prepare(self, launch: Launch, progress: Progress) -> None:
        """An image or a module takes the time that the machine's link needs for it, once."""
        what = launch.container.image if launch.container else launch.wasm.module if launch.wasm else ""
        if not what or what in self._runs.images:
            return
        seed = self._runs.world.seed
        size = between(30, 400, seed, "image", what) * _MIB if launch.container else between(1, 8, seed, what) * _MIB
        seconds = min(20.0, size * 8 / (self._machine.kind.mbit * 1e6) + 0.2)
        steps = max(1, min(8, int(seconds * 2)))
        for step in range(steps):
            progress(f"pulling {what}, {size * step / steps / _MIB:.1f} of {size / _MIB:.1f} MiB")
            await asyncio.sleep(seconds / steps)
        self._runs.images.add(what)

    async def start(self, launch: Launch) -> Run:
        being, fate = self._runs.plan(launch)
        if self._runs.find(launch.key) is None:
            await asyncio.sleep(fate.starts_in)
        return self._runs.begin(self._name, launch, being, fate)

    async def stop(self, key: RunKey, *, grace_ms: int | None = None) -> None:
        del grace_ms  # they all end well before
        self._runs.stop(key)

    async def signal(self, key: RunKey, signal: int) -> None:
        self._runs.end(self._live(key), Exit(code=None, signal=signal, reason="signal"))

    async def status(self, key: RunKey) -> Run | None:
        entry = self._runs.find(key)
        return entry.run if entry is not None else None

    async def exec(self, key: RunKey, request: ExecRequest) -> Exec:
        entry = self._live(key)
        if request.command[0] != HEALTHCHECK:
            raise _simulated(entry.being.name, f"no programs to run; it knows {HEALTHCHECK} alone")
        return _Healthcheck(well=self._runs.healthy(entry))

    async def archive(self, instance: str, path: str) -> AsyncIterator[bytes]:
        del path
        raise _simulated(self._name_of(instance), "no files")
        yield b""  # makes it an iterator

    async def extract(self, instance: str, path: str, data: AsyncIterator[bytes]) -> None:
        del path, data
        raise _simulated(self._name_of(instance), "no files")

    async def address(self, key: RunKey) -> str:
        raise _simulated(self._live(key).being.name, "no ports that could be reached")

    async def recover(self) -> list[Run]:
        return self._runs.of(self._name)

    async def remove(self, key: RunKey) -> None:
        self._runs.remove(key)

    async def remove_instance(self, instance: str) -> None:
        self._runs.remove_instance(instance)

    async def fence(self, keys: Sequence[RunKey], within_ms: int) -> None:
        pass

    def watch(self) -> AsyncIterator[Run]:
        watch = self._runs.watch(self._name)
        self._watches.append(watch)
        return watch

    async def stats(self, keys: Sequence[RunKey]) -> dict[RunKey, Usage]:
        found = {key: self._runs.find(key) for key in keys}
        return {key: self._runs.usage(entry) for key, entry in found.items() if entry is not None and entry.live}

    async def logs(
        self,
        instance: str,
        *,
        tail_lines: int | None = None,
        since_ms: int = 0,
        after: str = "",
        follow: bool = False,
    ) -> AsyncIterator[LogChunk]:
        """A position is `attempt-slot-line`: see `log_lines`. The first lines of an attempt are of slot 0, the last of
        the slot after its end."""
        begin = _read(after)
        if not self._runs.attempts(instance):
            raise DriverError(f"no logs of {instance}", cause="not-found", permanent=True)
        if not after:
            chunks = await self._kept(instance, tail_lines, since_ms)
            end = self._now_position(instance) if not chunks else _read(chunks[-1].position)
            if follow:
                at = _text(end) if not chunks else _before(chunks[0].position)
                yield LogChunk(at_ms=0, stream="stdout", data=b"", attempt=0, position=at)
            for chunk in chunks:
                yield chunk
            begin = end
        elif follow:
            yield LogChunk(at_ms=0, stream="stdout", data=b"", attempt=0, position=after)
        while True:
            attempts = self._runs.attempts(instance)
            over = not follow or not attempts or not attempts[-1].live
            for chunk in await self._since(instance, begin):
                begin = _read(chunk.position)
                yield chunk
            if over:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SLOT_MS / 1000):
                    await self._runs.changed.wait()

    async def _kept(self, instance: str, tail_lines: int | None, since_ms: int) -> list[LogChunk]:
        """What is kept, or its end, which mostly lies within a while of the last attempt."""
        if tail_lines is not None:
            last = self._runs.attempts(instance)[-1]
            begin, end = _slots(last, self._runs.now_ms())
            after = (last.being.attempt, max(begin, end - 4 * tail_lines - 20) - 1, 9)
            found = [chunk for chunk in await self._since(instance, after) if chunk.at_ms >= since_ms]
            if len(found) >= tail_lines:
                return found[len(found) - tail_lines :]
        found = [chunk for chunk in await self._since(instance, _BEGIN) if chunk.at_ms >= since_ms]
        return found if tail_lines is None else found[max(0, len(found) - tail_lines) :]

    async def close(self) -> None:
        for watch in self._watches:
            self._runs.unwatch(self._name, watch)
            watch.end(DriverError("closed", cause="driver-unavailable", permanent=False))
        self._watches.clear()

    def _live(self, key: RunKey) -> Entry:
        entry = self._runs.find(key)
        if entry is None or not entry.live:
            raise DriverError(f"{key.instance} does not run", cause="not-running", permanent=False)
        return entry

    def _name_of(self, instance: str) -> str:
        attempts = self._runs.attempts(instance)
        return attempts[-1].being.name if attempts else instance

    def _now_position(self, instance: str) -> "Position":
        """Where its output ends now."""
        attempts = self._runs.attempts(instance)
        if not attempts:
            return _BEGIN
        last = attempts[-1]
        return (last.being.attempt, _slots(last, self._runs.now_ms())[1] + (-1 if last.live else 1), 9)

    async def _since(self, instance: str, after: "Position") -> list[LogChunk]:
        """All that was printed until now, after a position."""
        found: list[LogChunk] = []
        now = self._runs.now_ms()
        for entry in self._runs.attempts(instance):
            attempt = entry.being.attempt
            if attempt < after[0]:
                continue
            begin, end = _slots(entry, now)
            if (attempt, 0, 9) > after:
                found += _chunks(attempt, 0, first_lines(entry.being, entry.run.started_at_ms), after)
            first = max(begin, end - KEPT_SLOTS, after[1] if attempt == after[0] else 0)
            for number, slot in enumerate(range(first, end), 1):
                if number % SLOTS_AT_ONCE == 0:
                    # All machines of the demo share this event loop.
                    await asyncio.sleep(0)
                line = line_at(entry.being, self._runs.world, slot) if (attempt, slot, 0) > after else None
                if line is not None:
                    found += _chunks(attempt, slot, [line], after)
            if not entry.live:
                found += _chunks(attempt, end + 1, _ending(entry), after)
        return found


Position = tuple[int, int, int]
"""Attempt, slot, line."""
_BEGIN: Final = (0, 0, -1)


def _slots(entry: Entry, now_ms: int) -> tuple[int, int]:
    """The first slot that is wholly within the run, and the one after the last."""
    run = entry.run
    end_ms = now_ms
    if run.state is RunState.EXITED and run.exit is not None:
        end_ms = run.exit.ended_at_ms
    elif not entry.live:
        end_ms = entry.counted_ms
    first = run.started_at_ms // SLOT_MS + 1
    return first, max(first, end_ms // SLOT_MS)


def _ending(entry: Entry) -> list[Line]:
    exit_ = entry.run.exit
    if exit_ is None:
        return []
    return last_lines(
        entry.being,
        exit_.ended_at_ms,
        exit_.code,
        out_of_memory=exit_.out_of_memory,
        asked=exit_.reason == "stopped",
    )


def _chunks(attempt: int, slot: int, lines: Sequence[Line], after: Position) -> list[LogChunk]:
    return [
        LogChunk(
            at_ms=line.at_ms,
            stream=line.stream,
            data=line.text.encode() + b"\n",
            attempt=attempt,
            position=_text((attempt, slot, number)),
        )
        for number, line in enumerate(lines)
        if (attempt, slot, number) > after
    ]


def _text(position: Position) -> str:
    attempt, slot, line = position
    return f"{attempt}-{slot}-{max(line, 0)}"


def _before(position: str) -> str:
    """A place before a line and after the one before it."""
    attempt, slot, line = _read(position)
    if line:
        return _text((attempt, slot, line - 1))
    return _text((attempt, slot - 1, 9)) if slot else _text((attempt - 1, 1 << 60, 9))


def _read(position: str) -> Position:
    """Raises DriverError for what is none of ours."""
    if not position:
        return _BEGIN
    try:
        attempt, slot, line = map(int, position.split("-"))
    except ValueError:
        raise DriverError(f"{position!r} is no place in this output", cause="invalid", permanent=True) from None
    return (attempt, slot, line)


def _simulated(name: str, lacks: str) -> DriverError:
    message = f"{name} is simulated, as all of this demo: it has {lacks}"
    return DriverError(message, cause="unsupported", permanent=True)


class _Healthcheck:
    """A `streams.Exec` that has ended by the time it is asked."""

    def __init__(self, *, well: bool) -> None:
        self._left: list[ExecOutput | ExecEnded] = [ExecEnded(0 if well else 1)]
        if not well:
            self._left.insert(0, ExecOutput("stdout", b"503 from /healthz: a dependency does not answer (simulated)\n"))

    async def receive(self) -> ExecOutput | ExecEnded:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]

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
