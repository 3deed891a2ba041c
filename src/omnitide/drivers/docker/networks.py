"""Named networks: one of the engine's for each name of a namespace, made when the first container asks for it and
removed with its last."""

import asyncio
import json
from typing import TYPE_CHECKING, Final

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Network
from omnitide.drivers.docker.creating import NETWORK_MODES
from omnitide.drivers.docker.errors import EngineRefused
from omnitide.drivers.protocol import DriverError

if TYPE_CHECKING:
    from omnitide.drivers.docker.engine import Engine

NOT_FOUND: Final = 404


class Networks:
    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self.lock = asyncio.Lock()
        """Held while a network is made and its container started, and while one is removed: none falls between."""

    async def ensure(self, engine: "Engine", namespace: str, network: str) -> str:
        """The engine's name of a network that is there. Raises DriverError."""
        if network in NETWORK_MODES:
            return network
        name = naming.network_name(self._node_id, namespace, network)
        if await self._exists(engine, name):
            return name
        body: dict[str, object] = {
            "Name": name,
            "CheckDuplicate": True,
            "Labels": {naming.NODE: self._node_id, naming.NAMESPACE: namespace, naming.NETWORK: network},
        }
        try:
            await engine.do("POST", "networks/create", body=body)
        except EngineRefused as error:
            if not await self._exists(engine, name):
                raise DriverError(f"the network {network}: {error}", cause="network", permanent=False) from None
        return name

    async def _exists(self, engine: "Engine", name: str) -> bool:
        params = {"filters": json.dumps({"name": [f"^{name}$"]})}
        found = await engine.call("GET", "networks", list[Network], params=params)
        return any(one.name == name for one in found)

    async def remove_unused(self, engine: "Engine", name: str) -> None:
        """Remove a network of ours if no container is made for it. Raises DriverError."""
        if not name or name in NETWORK_MODES:
            return
        async with self.lock:
            params = {"all": "1", "filters": json.dumps({"label": [f"{naming.NETWORK}={name}"]})}
            if await engine.call("GET", "containers/json", list[dict[str, object]], params=params):
                return
            try:
                await engine.do("DELETE", f"networks/{name}")
            except EngineRefused:
                # Gone already, or somebody has put a container of his own into it: it is his then.
                return
