"""What has to be there before a run starts and may take long to get: bounded, told of, and called off at a stop."""

import asyncio
from collections.abc import Callable
from typing import Final

from omnitide.drivers.protocol import Driver, DriverError, Launch
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import NoProvisions, Provisions

MAX_PREPARATIONS: Final = 8
"""Under way at once; further ones wait their turn."""
DEADLINE: Final = 1800.0

Told = Callable[[str, str], None]
"""Is told an instance and how far its preparation has come; an empty text when it is over."""


class CalledOff(DriverError):
    """The instance is not wanted any more."""

    def __init__(self) -> None:
        super().__init__("stopped before it could start", cause="called-off", permanent=False)


class Preparations:
    """Preparations by instance."""

    def __init__(self, told: Told, provisions: Provisions | None = None) -> None:
        self._told = told
        self._provisions = provisions or NoProvisions()
        self._turns = asyncio.Semaphore(MAX_PREPARATIONS)
        self._open: dict[str, asyncio.Task[Launch]] = {}

    async def prepare(self, driver: Driver, launch: Launch, needs: Needs | None = None) -> Launch:
        """The launch with all that it needs in its place. Raises DriverError."""
        instance = launch.key.instance

        def told(text: str) -> None:
            self._told(instance, text)

        async def work() -> Launch:
            async with self._turns, asyncio.timeout(DEADLINE):
                whole = launch if needs is None else await self._provisions.provide(driver, launch, needs, told)
                await driver.prepare(whole, told)
                return whole

        task = self._open[instance] = asyncio.create_task(work(), name="prepare")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise CalledOff from None
            task.cancel()
            raise
        except TimeoutError:
            message = f"it was not ready within {DEADLINE:.0f} s"
            raise DriverError(message, cause="preparation", permanent=False) from None
        finally:
            if self._open.get(instance) is task:
                del self._open[instance]
            self._told(instance, "")

    def call_off(self, instance: str) -> None:
        """End an instance's preparation, if one is under way."""
        task = self._open.get(instance)
        if task is not None:
            task.cancel()
