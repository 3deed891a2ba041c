"""Removing containers of what has ended, with or without a copy of what they said, and what was there only for them."""

from asyncio import Lock
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from omnitide.drivers.docker import containers, naming
from omnitide.drivers.docker.answers import Container as Inspected
from omnitide.drivers.docker.answers import Listed
from omnitide.drivers.docker.ended import Ended
from omnitide.drivers.docker.errors import CONFLICT, EngineRefused
from omnitide.drivers.docker.networks import Networks
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.docker.runs import LIVE
from omnitide.drivers.protocol import DriverError, Run, RunKey

if TYPE_CHECKING:
    from omnitide.drivers.docker.engine import Engine

KEPT_ATTEMPTS: Final = 3
"""Ended containers of an instance that are kept for their output beside the last."""


class Removing:
    """Of one node. `run`: a container as a run; `making`: names of containers that are being made."""

    def __init__(
        self,
        node_id: str,
        notes: Notes,
        ended: Ended,
        networks: Networks,
        making: WeakValueDictionary[str, Lock],
        run: "Callable[[Engine, Inspected | None], Awaitable[Run | None]]",
    ) -> None:
        self._node_id = node_id
        self._notes = notes
        self._ended = ended
        self._networks = networks
        self._making = making
        self._run = run

    async def superseded(self, engine: "Engine", instance: str) -> None:
        """All forgotten containers of an instance that goes on but the newest few. Raises DriverError."""
        attempts = await containers.attempts(engine, self._node_id, instance)
        forgotten = [
            (attempt, one)
            for attempt, one in attempts[:-1]
            if self._notes.is_forgotten(naming.container_name(self._node_id, RunKey(instance, attempt)))
        ]
        for attempt, one in forgotten[:-KEPT_ATTEMPTS]:
            await self._delete(engine, RunKey(instance, attempt), one)

    async def put_away(self, engine: "Engine", instance: str, *, forgotten: bool = False) -> None:
        """Those of an instance that has ended, with a copy of what is to be known of them. `forgotten`: only of what
        they said. Raises DriverError."""
        await self._all(engine, instance, copy=True, forgotten=forgotten)

    async def all_of(self, engine: "Engine", instance: str) -> None:
        """Raises DriverError if one runs."""
        await self._all(engine, instance, copy=False, forgotten=True)

    async def of_node(self, engine: "Engine") -> None:
        """All that has ended, with a copy. Raises DriverError."""
        listed = await containers.listed(engine, f"{naming.NODE}={self._node_id}")
        for instance in sorted({key.instance for one in listed if (key := naming.key_of(one.labels or {}))}):
            try:
                await self.put_away(engine, instance)
            except DriverError as error:
                if error.cause != RUNNING:
                    raise

    async def _all(self, engine: "Engine", instance: str, *, copy: bool, forgotten: bool) -> None:
        attempts = await containers.attempts(engine, self._node_id, instance)
        if any(one.state in LIVE for _, one in attempts):
            raise still_runs(instance)
        for attempt, one in attempts:
            key = RunKey(instance, attempt)
            if copy and self._ended.get(key) is None:
                found = await containers.inspect(engine, one.id)
                run = await self._run(engine, found)
                if found is not None and run is not None:
                    over = forgotten or self._notes.is_forgotten(found.name.lstrip("/"))
                    await self._ended.put(engine, found, run, forgotten=over)
            await self._delete(engine, key, one)
        self._notes.put_away(instance)
        for network in {(one.labels or {}).get(naming.NETWORK, "") for _, one in attempts}:
            await self._networks.remove_unused(engine, network)
        if attempts:
            await self._end(engine)

    async def _end(self, engine: "Engine") -> None:
        """Where that was the last container of the node, no engine is missed any more."""
        begun = self._notes.begun
        left = await containers.listed(engine, f"{naming.NODE}={self._node_id}")
        if not left and not self._making and begun == self._notes.begun and engine.address == self._notes.engine():
            self._notes.end()

    async def _delete(self, engine: "Engine", key: RunKey, one: Listed) -> None:
        try:
            await engine.do("DELETE", f"containers/{one.id}", params={"v": "1"})
        except EngineRefused as error:
            if error.status == CONFLICT and "already in progress" in str(error):
                return
            if error.still_runs:
                raise still_runs(key.instance) from None
            if error.status != containers.NOT_FOUND:
                raise
        self._notes.gone(naming.container_name(self._node_id, key))


RUNNING: Final = "running"


def still_runs(instance: str) -> DriverError:
    return DriverError(f"a run of {instance} has not ended", cause=RUNNING, permanent=False)
