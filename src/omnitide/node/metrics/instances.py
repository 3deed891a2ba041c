"""What the instances here use, as their drivers say."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from omnitide.drivers.protocol import Driver, DriverError, PortBinding, RunKey, Usage
from omnitide.model.scrape import Metrics
from omnitide.node.metrics.host import Sample
from omnitide.telemetry.series.definition import Series

DEADLINE_S: Final = 2.0
"""For a driver to say what its runs use."""
_PREFIX: Final = "omnitide_instance_"


class RunningInstance(NamedTuple):
    """An attempt that runs now."""

    key: RunKey
    driver: str
    ports: tuple[PortBinding, ...] = ()
    metrics: Metrics | None = None
    """Its own endpoint, where its spec names one."""


class _Of(NamedTuple):
    """The series of an instance."""

    cpu: Series
    memory: Series
    tasks: Series
    attempts: Series


class InstanceSampler:
    """Asks each driver about all its runs at once."""

    def __init__(self, drivers: Mapping[str, Driver], running: Callable[[], Iterable[RunningInstance]]) -> None:
        self._drivers = drivers
        self._running = running
        self._known: dict[str, _Of] = {}
        self._asked: dict[str, asyncio.Task[dict[RunKey, Usage]]] = {}
        """Questions that a driver has not answered yet: it is asked no other meanwhile."""

    async def sample(self) -> list[Sample]:
        by_driver: dict[str, list[RunKey]] = {}
        for run in self._running():
            by_driver.setdefault(run.driver, []).append(run.key)
        live = {key.instance for keys in by_driver.values() for key in keys}
        for gone in self._known.keys() - live:
            del self._known[gone]
        found: list[Sample] = []
        for name, keys in by_driver.items():
            driver = self._drivers.get(name)
            if driver is not None and name not in self._asked:
                self._asked[name] = asyncio.ensure_future(driver.stats(keys))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=DEADLINE_S / 4)
        for name, task in list(self._asked.items()):
            if not task.done():
                continue
            del self._asked[name]
            if not task.cancelled() and isinstance(task.exception(), DriverError | None):
                answer = {} if task.exception() is not None else task.result()
                for key, usage in answer.items():
                    if key.instance in live:
                        found += self._samples(key, usage)
        return found

    def close(self) -> None:
        for task in self._asked.values():
            task.cancel()

    def _samples(self, key: RunKey, usage: Usage) -> Iterable[Sample]:
        of = self._known.get(key.instance)
        if of is None:
            of = self._known[key.instance] = _series_of(key.instance)
        yield of.cpu, usage.cpu_ms
        yield of.memory, usage.memory_bytes
        yield of.tasks, usage.pids
        yield of.attempts, key.attempt


def _series_of(instance: str) -> _Of:
    labels = (("instance", instance),)
    return _Of(
        cpu=Series(
            f"{_PREFIX}cpu_seconds_total",
            labels,
            "counter",
            "seconds",
            "Processor time of an instance: its rate is processors in use.",
            -3,
        ),
        memory=Series(
            f"{_PREFIX}memory_working_set_bytes", labels, "gauge", "bytes", "Memory that an instance cannot do without."
        ),
        tasks=Series(f"{_PREFIX}tasks", labels, "gauge", "", "Processes and threads of an instance."),
        attempts=Series(f"{_PREFIX}attempt", labels, "gauge", "", "Number of the attempt that runs on its node."),
    )
