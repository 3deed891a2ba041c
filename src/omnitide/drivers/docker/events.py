"""The engine's events, followed: each end of a container of ours as a run. Nothing here asks again and again."""

import asyncio
import json
from collections.abc import Callable

import msgspec

from omnitide.drivers.docker import naming
from omnitide.drivers.docker.answers import Container, Event, nanoseconds
from omnitide.drivers.docker.endings import run_with_end
from omnitide.drivers.docker.engine import Engine, lines
from omnitide.drivers.docker.errors import EngineRefused, unavailable
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.docker.runs import exit_of, removed_run
from omnitide.drivers.protocol import Run, RunKey

ACTIONS = ("start", "die", "died")
"""`died` is Podman's word."""
OVERLAP_NS = 1_000_000_000
"""Events of so long before the connection are asked for too: the engine answers before it begins to listen to itself.
To hear of a change twice is harmless."""


class Events:
    """One stream of events; `run` goes on until the engine hangs up."""

    def __init__(self, engine: Engine, node_id: str, notes: Notes, tell: Callable[[Run], None]) -> None:
        self._engine = engine
        self._node_id = node_id
        self._notes = notes
        self._tell = tell
        self.began = asyncio.Event()
        """Nothing is missed any more."""

    async def run(self) -> None:
        """Raises DriverError, always."""
        filters = {"type": ["container"], "event": list(ACTIONS), "label": [f"{naming.NODE}={self._node_id}"]}
        since = nanoseconds(self._engine.info.system_time) - OVERLAP_NS
        params = {
            "filters": json.dumps(filters),
            "since": f"{since // 1_000_000_000}.{since % 1_000_000_000:09d}",
        }
        async with self._engine.stream("GET", "events", params=params) as answer:
            self.began.set()
            async for line in lines(answer):
                try:
                    event = msgspec.json.decode(line, type=Event)
                except msgspec.MsgspecError as error:
                    raise unavailable(f"an event of the engine is not understood: {error}") from None
                await self._take(event)
        raise unavailable("the engine has ended its stream of events")

    async def _take(self, event: Event) -> None:
        found = event.actor.attributes
        key = naming.key_of(found)
        if key is None or event.action not in ACTIONS:
            return
        name = found.get("name", "")
        if self._notes.is_forgotten(name):
            return
        try:
            container = await self._engine.call("GET", f"containers/{event.actor.id}/json", Container)
        except EngineRefused:
            # Somebody else has removed it: its last event says the rest.
            if event.action != "start":
                self._tell(self._removed(event, key, name))
            return
        run = await run_with_end(self._engine, container, self._notes.stop(name))
        if run is not None:
            self._tell(run)

    def _removed(self, event: Event, key: RunKey, name: str) -> Run:
        found = event.actor.attributes
        status = found.get("exitCode", "")
        ending = exit_of(
            int(status) if status.isdecimal() else 0,
            self._notes.stop(name),
            oom=False,
            at_ms=event.time_nano // 1_000_000,
            message="the container was removed by somebody else",
        )
        return removed_run(key, event.actor.id, found, ending)
