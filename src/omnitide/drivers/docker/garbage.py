"""What of this driver's lies about without use: images that it pulled, and ended containers kept for their output.

By age, and sooner while the engine's disk is nearly full: then the oldest first, until it is not.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Listed
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.docker.notes import Notes

EVERY_S: Final = 600.0


class Keep(NamedTuple):
    image_ms: int = 7 * 24 * 3_600_000
    """Since its last use."""
    container_ms: int = 24 * 3_600_000
    """Ended, forgotten, and kept for its output; or made and never started."""
    full: float = 0.85
    """Of the engine's disk: above, age does not count."""
    most: int = 200
    """Removed in one go; the rest comes in the next."""


KEEP: Final = Keep()


def disk_use(folder: str) -> float:
    """Share of the disk that is used; 0 where the engine's folder is not of this machine."""
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        return 1 - usage.free / usage.total if usage.total else 0.0
    return 0.0


async def collect(
    engine: Engine,
    node_id: str,
    notes: Notes,
    now_ms: int,
    *,
    busy: Callable[[str], bool],
    keep: Keep = KEEP,
    used: Callable[[str], float] = disk_use,
) -> list[str]:
    """One round; what was removed. `busy`: names of containers that are just being made. Raises DriverError."""
    full = await asyncio.to_thread(used, engine.info.docker_root_dir) > keep.full
    params = {"all": "1", "filters": json.dumps({"label": [f"{naming.NODE}={node_id}"]})}
    listed = await engine.call("GET", "containers/json", list[Listed], params=params)
    removed: list[str] = []
    for one in sorted(listed, key=lambda each: each.created):
        key = naming.key_of(one.labels or {})
        if key is None:
            continue
        name = naming.container_name(node_id, key)
        idle = notes.is_forgotten(name) or (one.state == "created" and not busy(name))
        old = now_ms - one.created * 1000 > keep.container_ms
        # One that was never started may be about to be, by a proxy before this one: only its age tells.
        due = idle and (old or (full and one.state != "created")) and len(removed) < keep.most
        if due and await _removed(engine.do("DELETE", f"containers/{one.id}", params={"v": "1"})):
            notes.gone(name)
            removed.append(name)
    everything = await engine.call("GET", "containers/json", list[Listed], params={"all": "1"})
    in_use = {one.image_id for one in everything}
    for image, at_ms in sorted(notes.images.items(), key=lambda pair: pair[1]):
        if image in in_use or len(removed) >= keep.most:
            continue
        full = full and await asyncio.to_thread(used, engine.info.docker_root_dir) > keep.full
        if (full or now_ms - at_ms > keep.image_ms) and await _removed(engine.do("DELETE", f"images/{image}")):
            notes.image_gone(image)
            removed.append(image)
    return removed


async def _removed(call: Awaitable[None]) -> bool:
    """Also if it was gone already; False if the engine needs it still."""
    try:
        await call
    except EngineRefused as error:
        return error.status == NOT_FOUND
    return True


NOT_FOUND: Final = 404
