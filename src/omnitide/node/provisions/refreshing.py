"""Newer secrets and configs for what runs: fetched, swapped, and told by a signal; tried again while Nexus is away."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError
from omnitide.node.instructions import RefreshValues
from omnitide.node.provisions.provisioner import Provisions
from omnitide.telemetry import logs

AGAIN_S: Final = 5.0
"""Until it has succeeded, is asked for anew, or the instance has ended."""

log = logs.get(__name__)


class Refreshes:
    """At most one an instance."""

    def __init__(self, *, group: asyncio.TaskGroup, drivers: Mapping[str, Driver], provisions: Provisions) -> None:
        self._group = group
        self._drivers = drivers
        self._provisions = provisions
        self._open: dict[str, asyncio.Task[None]] = {}
        self._owed: dict[str, frozenset[str]] = {}
        """Signals of one that was overtaken before it could send them."""

    def begin(self, wanted: RefreshValues) -> None:
        instance = wanted.key.instance
        self.end(instance, keep_signals=True)
        signals = self._owed.get(instance, frozenset()) | frozenset(wanted.signals)
        self._owed[instance] = signals
        self._open[instance] = self._group.create_task(self._run(wanted, signals), name="refresh")

    def end(self, instance: str, *, keep_signals: bool = False) -> None:
        task = self._open.pop(instance, None)
        if task is not None:
            task.cancel()
        if not keep_signals:
            self._owed.pop(instance, None)

    async def _run(self, wanted: RefreshValues, signals: frozenset[str]) -> None:
        instance = wanted.key.instance
        told = ""
        while True:
            try:
                await self._provisions.refresh(wanted.needs)
                for name in sorted(signals):
                    await self._drivers[wanted.driver].signal(wanted.key, signal.Signals[name].value)
                break
            except DriverError as error:
                if error.permanent or error.cause == "not-running":
                    log.warning("newer secrets could not be handed over", instance=instance, error=str(error))
                    break
                if str(error) != told:
                    told = str(error)
                    log.warning("newer secrets are handed over later", instance=instance, error=told)
            except Exception as error:
                # Drivers are written by others too: a defect of one costs what it was asked for.
                defect = f"{type(error).__name__}: {error}"
                log.error("newer secrets could not be handed over", instance=instance, error=defect)
                break
            await asyncio.sleep(AGAIN_S)
        self._open.pop(instance, None)
        self._owed.pop(instance, None)
