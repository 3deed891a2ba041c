"""Where the drivers of a node have their folders below its data directory, and whose runs the keeper has."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.protocol import Driver, DriverContext
from omnitide.drivers.wasm.driver import WasmDriver

KEEPER_DIRECTORY: Final = "keeper"
_DRIVERS_DIRECTORY: Final = "drivers"
"""With a folder for each but the process driver, whose folder is the keeper's."""


def context_of(
    data: Path,
    name: str,
    node_id: str,
    cgroup: str = "auto",
    *,
    hidden: Callable[[], Sequence[str]] = tuple,
    only_to_end: bool = False,
) -> DriverContext:
    """What the driver of that name is made with."""
    keeper = data / KEEPER_DIRECTORY
    return DriverContext(
        directory=str(keeper if name == "process" else data / _DRIVERS_DIRECTORY / name),
        node_id=node_id,
        cgroup=cgroup,
        passage=(str(data),),
        keeper=str(keeper),
        hidden=hidden,
        only_to_end=only_to_end,
    )


def of_keeper(driver: Driver) -> bool:
    """Its runs are processes of the keeper, which ends them when it is told to."""
    return isinstance(driver, ProcessDriver | WasmDriver)
