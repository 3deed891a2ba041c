"""Which containers of a node there are, by their labels."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Container, Listed
from omnitide.drivers.docker.errors import EngineRefused

if TYPE_CHECKING:
    from omnitide.drivers.docker.ended import Ended
    from omnitide.drivers.docker.engine import Engine
    from omnitide.drivers.docker.logs import Kept

T = TypeVar("T")

AT_ONCE: Final = 8
"""Requests about different containers that one call has under way."""
NOT_FOUND: Final = 404


async def inspect(engine: "Engine", name: str) -> Container | None:
    """By name or id. Raises DriverError."""
    try:
        return await engine.call("GET", f"containers/{name}/json", Container)
    except EngineRefused as error:
        if error.status == NOT_FOUND:
            return None
        raise


async def listed(engine: "Engine", *labels: str) -> list[Listed]:
    """All that have these labels, those that have ended too. Raises DriverError."""
    params = {"all": "1", "filters": json.dumps({"label": list(labels)})}
    return await engine.call("GET", "containers/json", list[Listed], params=params)


async def attempts(engine: "Engine", node_id: str, instance: str) -> list[tuple[int, Listed]]:
    """Those of an instance, the first attempt first. Raises DriverError."""
    found = await listed(engine, f"{naming.NODE}={node_id}", f"{naming.INSTANCE}={instance}")
    keys = ((naming.key_of(one.labels or {}), one) for one in found)
    return sorted(((key.attempt, one) for key, one in keys if key is not None), key=lambda pair: pair[0])


async def kept_output(engine: "Engine", node_id: str, instance: str, ended: "Ended") -> "list[Kept]":
    """Whose output there is of an instance, copies of what has no container any more too, the first attempt first.
    Raises DriverError."""
    from omnitide.drivers.docker.logs import Kept

    found = await gathered(
        [inspect(engine, one.id) for _, one in await attempts(engine, node_id, instance) if one.state != "created"]
    )
    # Only now: what is copied meanwhile is in both.
    kept = {
        record.run.key.attempt: Kept(
            record.run.key.attempt, "", record.tty, copy=str(ended.output(record.run.key)), cut=record.cut
        )
        for record in ended.of(instance)
    }
    for container in found:
        key = naming.key_of(container.config.labels or {}) if container is not None else None
        if container is not None and key is not None and key.attempt not in kept:
            kept[key.attempt] = Kept(key.attempt, container.id, container.config.tty, container.log_path)
    return [kept[attempt] for attempt in sorted(kept)]


async def gathered(calls: Sequence[Awaitable[T]]) -> list[T]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with turns:
            return await call

    return await asyncio.gather(*(one(call) for call in calls))
