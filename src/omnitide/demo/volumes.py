"""The volumes of simulated instances: empty folders, so that a node can tell which it keeps, and be rid of one."""

import asyncio
from pathlib import Path

from omnitide.drivers.protocol import Driver, Launch, Progress
from omnitide.node.provisions.needs import Needs
from omnitide.node.provisions.provisioner import NoProvisions, Ready


class SimulatedProvisions(NoProvisions):
    """Nothing else is provided: a simulated instance reads no file, and is asked for no secret."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of the machine's volumes; made when there is one."""
        self._folder = folder

    async def provide(self, driver: Driver, launch: Launch, needs: Needs, told: Progress, ready: Ready) -> Launch:
        for key, volume in needs.volumes.items():
            if not volume.source:
                path = self._folder / needs.namespace / (volume.name or key)
                await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        return await super().provide(driver, launch, needs, told, ready)
