"""Where the drivers of a node have their folders below its data directory."""

from pathlib import Path
from typing import Final

from omnitide.drivers.protocol import DriverContext

KEEPER_DIRECTORY: Final = "keeper"
_DRIVERS_DIRECTORY: Final = "drivers"
"""With a folder for each but the process driver, whose folder is the keeper's."""


def context_of(data: Path, name: str, node_id: str, cgroup: str = "auto") -> DriverContext:
    """What the driver of that name is made with."""
    keeper = data / KEEPER_DIRECTORY
    return DriverContext(
        directory=str(keeper if name == "process" else data / _DRIVERS_DIRECTORY / name),
        node_id=node_id,
        cgroup=cgroup,
        passage=(str(data),),
        keeper=str(keeper),
    )
