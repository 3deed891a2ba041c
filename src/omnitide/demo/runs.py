"""The runs of one simulated machine: entries in a table, with their lives on the event loop's clock."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from msgspec.structs import replace

from omnitide.demo.life import Being, Fate, being_of, cpu_milli, fate_of, memory_bytes, pids, stops_in, well
from omnitide.demo.world import World
from omnitide.drivers.protocol import DriverError, Exit, Launch, Run, RunKey, RunState, Usage
from omnitide.node.metrics.instances import RunningInstance

ENDED: Final = (RunState.EXITED, RunState.UNKNOWN)
MAX_EVENTS: Final = 10_000
"""Changes that wait for a watcher; beyond, its watch ends."""
LOOK_MS: Final = 300
KEPT_ATTEMPTS: Final = 20
"""Of an instance, whose output can be read."""


class Watch:
    """One watcher's queue of changes."""

    def __init__(self) -> None:
        self._events: deque[Run] = deque()
        self._wake = asyncio.Event()
        self._error: DriverError | None = None

    def put(self, run: Run) -> None:
        if self._error is None and len(self._events) >= MAX_EVENTS:
            self.end(DriverError("a watcher that is too slow", cause="driver-unavailable", permanent=False))
        if self._error is None:
            self._events.append(run)
            self._wake.set()

    def end(self, error: DriverError) -> None:
        self._error = error
        self._wake.set()

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Run:
        while not self._events:
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()


class Entry:
    """One run."""

    __slots__ = ("being", "counted_ms", "cpu_ms", "driver", "fate", "looked_ms", "memory", "rate", "run", "timer")

    def __init__(self, driver: str, being: Being, fate: Fate, run: Run) -> None:
        self.driver = driver
        self.being = being
        self.fate = fate
        self.run = run
        self.timer: asyncio.TimerHandle | None = None
        self.cpu_ms = 0.0
        self.counted_ms = run.started_at_ms
        self.looked_ms = 0
        self.rate = 0.0
        """Thousandths of a core that it uses, and the bytes, as of then."""
        self.memory = 0

    @property
    def live(self) -> bool:
        return self.run.state not in ENDED


class Runs:
    """What outlives the node proxy of a machine, and ends with its power."""

    def __init__(self, world: World, now_ms: Callable[[], int]) -> None:
        self.world = world
        self.now_ms = now_ms
        self.images: set[str] = set()
        """What was fetched once."""
        self.changed = asyncio.Event()
        """Set and cleared with each change: whoever waits looks again."""
        self._entries: dict[RunKey, Entry] = {}
        self._live: dict[RunKey, Entry] = {}
        self._past: dict[str, deque[Entry]] = {}
        """Of each instance its last attempts."""
        self._watches: dict[str, list[Watch]] = {}
        self._handles = 1000

    def of(self, driver: str) -> list[Run]:
        return [self._entries[key].run for key in sorted(self._entries) if self._entries[key].driver == driver]

    def find(self, key: RunKey) -> Entry | None:
        return self._entries.get(key)

    def attempts(self, instance: str) -> list[Entry]:
        """The last ones of it, oldest first."""
        return list(self._past.get(instance, ()))

    def live(self) -> Collection[Entry]:
        return self._live.values()

    def running(self) -> list[RunningInstance]:
        """For whoever samples. None has figures of its own that could be scraped: it has no ports."""
        return [RunningInstance(key, entry.driver) for key, entry in self._live.items()]

    def plan(self, launch: Launch) -> tuple[Being, Fate]:
        being = being_of(launch)
        return being, fate_of(being, self.world)

    def begin(self, driver: str, launch: Launch, being: Being, fate: Fate) -> Run:
        known = self._entries.get(launch.key)
        if known is not None:
            return known.run
        self._handles += 1
        run = Run(
            key=launch.key,
            state=RunState.RUNNING,
            handle=str(self._handles),
            started_at_ms=self.now_ms(),
            labels=dict(launch.labels),
        )
        entry = self._entries[launch.key] = self._live[launch.key] = Entry(driver, being, fate, run)
        self._past.setdefault(launch.key.instance, deque(maxlen=KEPT_ATTEMPTS)).append(entry)
        self._tell(entry)
        if fate.ends_after < 30 * 86_400:
            entry.timer = self._later(fate.ends_after, entry, fate.exit)
        return run

    def stop(self, key: RunKey) -> None:
        entry = self._entries.get(key)
        if entry is None or entry.run.state in (*ENDED, RunState.STOPPING):
            return
        if entry.timer is not None:
            entry.timer.cancel()
        entry.run = replace(entry.run, state=RunState.STOPPING)
        self._tell(entry)
        entry.timer = self._later(stops_in(entry.being, self.world.seed), entry, Exit(code=0, reason="stopped"))

    def end(self, entry: Entry, exit_: Exit) -> None:
        if not entry.live:
            return
        if entry.timer is not None:
            entry.timer.cancel()
        self._count(entry)
        self._live.pop(entry.run.key, None)
        entry.run = replace(entry.run, state=RunState.EXITED, exit=replace(exit_, ended_at_ms=self.now_ms()))
        self._tell(entry)

    def lose_power(self) -> None:
        """Everything is gone at once, and nobody saw how it ended."""
        for entry in self._live.values():
            if entry.timer is not None:
                entry.timer.cancel()
            self._count(entry)
            entry.run = replace(entry.run, state=RunState.UNKNOWN, exit=None)
        self._live.clear()
        for watches in self._watches.values():
            for watch in watches:
                watch.end(DriverError("the power is off", cause="driver-unavailable", permanent=False))
        self._watches.clear()
        self._stir()

    def remove(self, key: RunKey) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry.live:
            raise DriverError(f"{key} runs", cause="busy", permanent=False)
        self._entries.pop(key, None)

    def remove_instance(self, instance: str) -> None:
        for key in [key for key in self._entries if key.instance == instance]:
            self.remove(key)
        self._past.pop(instance, None)
        self._stir()

    def watch(self, driver: str) -> Watch:
        watch = Watch()
        self._watches.setdefault(driver, []).append(watch)
        return watch

    def unwatch(self, driver: str, watch: Watch) -> None:
        watches = self._watches.get(driver, [])
        if watch in watches:
            watches.remove(watch)

    # What they use

    def usage(self, entry: Entry) -> Usage:
        self._count(entry)
        return Usage(cpu_ms=int(entry.cpu_ms), memory_bytes=entry.memory, pids=pids(entry.being, self.world.seed))

    def look(self, entry: Entry) -> None:
        """Have its `rate` and `memory` as of now, or a moment ago: it is asked for them from several sides."""
        now = self.now_ms()
        if now - entry.looked_ms >= LOOK_MS:
            entry.looked_ms = now
            hour = self.world.hour(now)
            since_s = (now - entry.run.started_at_ms) / 1000
            entry.rate = cpu_milli(entry.being, self.world, hour)
            entry.memory = memory_bytes(entry.being, entry.fate, self.world, since_s, hour)

    def healthy(self, entry: Entry) -> bool:
        now = self.now_ms()
        since_s = (now - entry.run.started_at_ms) / 1000
        return well(entry.being, entry.fate, self.world, since_s, self.world.hour(now))

    def _count(self, entry: Entry) -> None:
        """Add what it used since it was counted last, as if it were then as now."""
        now = self.now_ms()
        passed = max(0, now - entry.counted_ms)
        self.look(entry)
        entry.cpu_ms += entry.rate * passed / 1000
        entry.counted_ms = now

    def _later(self, seconds: float, entry: Entry, exit_: Exit) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self.end, entry, exit_)

    def _tell(self, entry: Entry) -> None:
        for watch in self._watches.get(entry.driver, ()):
            watch.put(entry.run)
        self._stir()

    def _stir(self) -> None:
        self.changed.set()
        self.changed.clear()
