"""Whether a driver's runtime answers at all, asked beside what waits for it: one that hangs is known in seconds."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from omnitide.drivers.protocol import Driver, DriverError

T = TypeVar("T")

RUNTIME_S: Final = 2.0
"""For a runtime to say that it is there."""
PATIENCE_S: Final = 2.0
"""Before it is asked: most answers are there by then."""


async def answers(driver: Driver) -> bool:
    """Whether its runtime does."""
    try:
        async with asyncio.timeout(RUNTIME_S):
            return (await driver.probe()).healthy
    except (DriverError, TimeoutError):
        return False


async def unless_silent(driver: Driver, call: Coroutine[Any, Any, T]) -> T:
    """What the driver answers to a call that may take its time, as long as its runtime answers anything. Raises
    DriverError (cause `driver-unavailable`) if it does not, and what the call raises."""
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait((task,), timeout=PATIENCE_S)
        if not task.done() and not await answers(driver) and not task.done():
            message = f"the driver {driver.name} does not answer"
            raise DriverError(message, cause="driver-unavailable", permanent=False)
        return await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
