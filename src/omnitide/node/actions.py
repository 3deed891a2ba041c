"""Carries out what the reconciler asks of drivers and answers it with stimuli."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, runtime_checkable

from omnitide.drivers.protocol import Driver, DriverError
from omnitide.node.clock import Clock
from omnitide.node.facts import Host
from omnitide.node.instructions import MeasureKept, RemoveInstance, RemoveRun, StartRun, StopRun
from omnitide.node.lanes import Lanes
from omnitide.node.preparing import Preparations
from omnitide.node.provisions.provisioner import Provisions
from omnitide.node.restarts import PORT_BUSY
from omnitide.node.start_traces import StartTrace
from omnitide.node.stimuli import (
    InstanceRemoved,
    KeptMeasured,
    Started,
    StartFailed,
    StartUnknown,
    Stimulus,
    StopFailed,
)
from omnitide.node.watching import Watching
from omnitide.telemetry import logs

MAX_STARTS: Final = 16
"""Starts under way at once, of each driver; further ones wait their turn."""
START_DEADLINE: Final = 30.0
CALL_DEADLINE: Final = 10.0
MAX_COMPLAINTS: Final = 1000
"""That are remembered, so as not to be told again."""
DRIVER_UNAVAILABLE: Final = "driver-unavailable"
"""Cause of errors that do not tell whether what was asked has been done."""

DEFECT: Final = "driver-defect"

DriverAction = StartRun | StopRun | RemoveRun | RemoveInstance | MeasureKept

log = logs.get(__name__)


@runtime_checkable
class KeepsFiles(Protocol):
    """A driver that keeps output and files of ended instances on this machine's disk by itself."""

    async def kept_bytes(self, instance: str) -> int:
        """What they take of it. Raises DriverError, OSError."""
        ...


@runtime_checkable
class PutsAway(Protocol):
    """A driver whose runtime is not to be left with ended runs for as long as their output is kept."""

    async def put_away(self, instance: str) -> None:
        """The instance is over: keep what it said, and nothing else of it. Idempotent. Raises DriverError; the driver
        tries again by itself."""
        ...


class Actions:
    """Lanes of driver calls, one an instance."""

    def __init__(
        self,
        *,
        group: asyncio.TaskGroup,
        drivers: Mapping[str, Driver],
        watching: Mapping[str, Watching],
        feed: Callable[[Stimulus], Awaitable[None]],
        host: Host,
        clock: Clock,
        preparations: Preparations,
        provisions: Provisions,
        on_first_start: Callable[[str], object] = lambda driver: None,  # noqa: ARG005 (the shape of the call)
    ) -> None:
        """`on_first_start`: called before a driver starts something for the first time. Raises OSError."""
        self._on_first_start = on_first_start
        self._started = set[str]()
        """Drivers for which it was called."""
        self._provisions = provisions
        self._drivers = drivers
        self._watching = watching
        self._feed = feed
        self._host = host
        self._clock = clock
        self._preparations = preparations
        self._complained: dict[tuple[str, str], str] = {}
        """What could not be done, to which instance, and why."""
        self._starts = {name: asyncio.Semaphore(MAX_STARTS) for name in drivers}
        self._lanes = Lanes[DriverAction](group, self._run)

    def put(self, action: DriverAction) -> None:
        if isinstance(action, StopRun):
            self._preparations.call_off(action.key)
        self._lanes.put(_instance(action), action)

    async def _run(self, action: DriverAction) -> None:
        driver = self._drivers[action.driver]
        with logs.bound(instance=_instance(action)):
            match action:
                case StartRun():
                    trace = StartTrace.of(action)
                    answer = await self._start(driver, action, trace)
                    if trace is not None:
                        trace.end(answer)
                    await self._feed(answer)
                    if isinstance(answer, StartUnknown):
                        # Only now: a list that came before the answer would have been taken to be too early.
                        self._watching[driver.name].relist()
                case StopRun(key=key, grace_ms=grace_ms):
                    if not await self._call("stop", key.instance, driver.stop(key, grace_ms=grace_ms)):
                        await self._feed(StopFailed(at_ms=self._clock.now_ms(), key=key))
                case RemoveRun(key=key):
                    await self._call("remove a run", key.instance, driver.remove(key))
                case RemoveInstance(instance=instance):
                    done = await self._call("remove an instance", instance, driver.remove_instance(instance))
                    if done:
                        await self._provisions.removed(instance)
                    await self._feed(InstanceRemoved(at_ms=self._clock.now_ms(), instance=instance, done=done))

                case MeasureKept(instance=instance):
                    if isinstance(driver, PutsAway):
                        await self._call("put an instance away", instance, driver.put_away(instance))
                    await self._measure(driver, instance)

    async def _measure(self, driver: Driver, instance: str) -> None:
        """What could not be measured counts for nothing until the next proxy measures it."""
        try:
            size = await self._provisions.kept_bytes(instance)
            if isinstance(driver, KeepsFiles):
                size += await driver.kept_bytes(instance)
        except Exception as error:
            log.warning("could not measure what is kept", error=f"{type(error).__name__}: {error}")
            return
        await self._feed(KeptMeasured(at_ms=self._clock.now_ms(), instance=instance, bytes=size))

    async def _start(self, driver: Driver, action: StartRun, trace: StartTrace | None) -> Stimulus:
        key = action.launch.key
        try:
            launch = await self._preparations.prepare(driver, action.launch, action.needs)
            if trace is not None:
                trace.prepared()
            async with self._starts[driver.name]:
                busy = self._host.busy_port(launch.ports) if launch.ports else None
                if busy is not None:
                    # The number alone: Nexus reads it from there to give another one.
                    raise DriverError(str(busy), cause=PORT_BUSY, permanent=False)
                if driver.name not in self._started:
                    self._on_first_start(driver.name)
                    self._started.add(driver.name)
                async with asyncio.timeout(START_DEADLINE):
                    run = await driver.start(launch)
        except DriverError as error:
            log.warning("start failed", attempt=key.attempt, cause=error.cause, error=str(error))
            if error.cause != DRIVER_UNAVAILABLE:
                return StartFailed(
                    at_ms=self._clock.now_ms(),
                    key=key,
                    message=str(error),
                    cause=error.cause,
                    permanent=error.permanent,
                )
        except TimeoutError:
            log.warning("no answer to a start", attempt=key.attempt, seconds=START_DEADLINE)
        except OSError as error:
            # Whatever of the machine failed under a driver or what it needs: the instance's start, and never the node.
            log.warning("start failed", attempt=key.attempt, error=str(error))
            message = f"the node could not start it: {error}"
            return StartFailed(at_ms=self._clock.now_ms(), key=key, message=message, cause="resources", permanent=False)
        except Exception as error:
            # Drivers are written by others too: a defect of one costs what it was asked for.
            log.error("start failed", attempt=key.attempt, error=f"{type(error).__name__}: {error}")
            message = f"a defect of the driver {driver.name}: {type(error).__name__}: {error}"
            return StartFailed(at_ms=self._clock.now_ms(), key=key, message=message, cause=DEFECT, permanent=False)
        else:
            self._watching[driver.name].started(key)
            return Started(at_ms=self._clock.now_ms(), driver=driver.name, run=run)
        return StartUnknown(at_ms=self._clock.now_ms(), key=key)

    async def _call(self, what: str, instance: str, call: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(CALL_DEADLINE):
                await call
        except Exception as error:
            said = str(error) or f"no answer within {CALL_DEADLINE:g} s"
            if not isinstance(error, DriverError | OSError):
                said = f"a defect of the driver: {type(error).__name__}: {error}"
            if self._complained.get((what, instance)) != said:
                if len(self._complained) >= MAX_COMPLAINTS:
                    self._complained.clear()
                # Once, not at each try.
                self._complained[what, instance] = said
                log.warning(f"could not {what}", error=said)
            return False
        self._complained.pop((what, instance), None)
        return True


def _instance(action: DriverAction) -> str:
    match action:
        case StartRun(launch=launch):
            return launch.key.instance
        case RemoveInstance(instance=instance) | MeasureKept(instance=instance):
            return instance
        case StopRun(key=key) | RemoveRun(key=key):
            return key.instance
