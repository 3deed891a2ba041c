"""What an image has at a path, put into an empty directory of the node: the engine's own copying, with owners, modes
and attributes, as it does it for a new volume of its own. A container is made for that, whose program is a directory so
that nothing can be executed, and removed.
"""

import contextlib
import re
from typing import Final

from omnitide.drivers.docker.answers import Created
from omnitide.drivers.docker.creating import start_error
from omnitide.drivers.docker.engine import Engine
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import DriverError

_NO_PROGRAM: Final = re.compile(r"exec|OCI permission denied", re.IGNORECASE)
COPY_DEADLINE: Final = 600.0
"""Seconds for one image's files; then the start is tried again."""


async def fill(engine: Engine, image: str, target: str, directory: str, name: str) -> None:
    """`name`: of the container and the engine's volume, one at a time. Raises DriverError."""
    await _remove(engine, name)
    # By itself: Podman forgets what a container's own mount says of a volume.
    options = {"type": "none", "o": "bind", "device": directory}
    volume: dict[str, object] = {"Name": name, "Driver": "local", "DriverOpts": options}
    mount = {"Type": "volume", "Source": name, "Target": target}
    body = {"Image": image, "Entrypoint": ["/"], "NetworkDisabled": True, "HostConfig": {"Mounts": [mount]}}
    try:
        await engine.do("POST", "volumes/create", body=volume)
        await engine.call(
            "POST", "containers/create", Created, params={"name": name}, body=body, deadline=COPY_DEADLINE
        )
        if engine.version.podman:
            # It copies when a container is about to be started; that there is no program comes after.
            await _begin(engine, name)
    except EngineRefused as error:
        raise start_error(error) from None
    finally:
        with contextlib.suppress(DriverError):
            await _remove(engine, name)


async def _begin(engine: Engine, name: str) -> None:
    """Have it refused. Raises EngineRefused for another reason than that its program is none."""
    try:
        await engine.do("POST", f"containers/{name}/start", deadline=COPY_DEADLINE)
    except EngineRefused as error:
        if not _NO_PROGRAM.search(str(error)):
            raise


async def _remove(engine: Engine, name: str) -> None:
    for path in (f"containers/{name}", f"volumes/{name}"):
        with contextlib.suppress(EngineRefused):
            await engine.do("DELETE", path, params={"force": "1"})
