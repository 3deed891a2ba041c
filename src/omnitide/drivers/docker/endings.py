"""A container as a run with all that can be known of its end, also what the engine does not tell by itself."""

import asyncio

from msgspec.structs import replace

from omnitide.drivers.docker.answers import Container
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.kernel_log import killed_for_memory
from omnitide.drivers.docker.never_ran import why
from omnitide.drivers.docker.notes import Stop
from omnitide.drivers.docker.runs import run_of
from omnitide.drivers.protocol import Run

KILL = 9


async def run_with_end(engine: Engine, container: Container, stop: Stop | None) -> Run | None:
    """As `run_of`. Raises DriverError."""
    run = run_of(container, stop)
    if run is None or run.exit is None or stop is not None or run.exit.out_of_memory:
        return run
    if run.exit.signal == KILL and await asyncio.to_thread(killed_for_memory, container.id):
        return replace(run, exit=replace(run.exit, reason="out-of-memory", out_of_memory=True))
    never = await why(engine, container)
    if never is not None:
        return replace(run, exit=replace(never, ended_at_ms=run.exit.ended_at_ms))
    return run
