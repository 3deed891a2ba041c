"""The engine as the driver has it: found, connected to when first needed and again when it was lost, or not missed."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from omnitide.drivers.docker import address
from omnitide.drivers.docker.errors import unavailable
from omnitide.drivers.docker.notes import Notes
from omnitide.drivers.protocol import DriverError, Run

if TYPE_CHECKING:
    from omnitide.drivers.docker.connection import Connection
    from omnitide.drivers.docker.engine import Engine
    from omnitide.drivers.docker.moving import PutAway

ABSENT_POLL: Final = 5.0
"""Seconds from one look for an engine's socket to the next, on a node that has none."""


class Told(NamedTuple):
    """Who hears of what happens at the engine."""

    changed: Callable[[Run], None]
    lost: Callable[[DriverError], None]
    """Once, for each connection that goes."""
    tidy: Callable[[], Awaitable[None]]
    """Called now and then while there is a connection."""


class Access:
    """One connection at a time; `close` ends the last one."""

    def __init__(
        self,
        node_id: str,
        notes: Notes,
        find: Callable[[], str | None],
        making: Container[str],
        told: Told,
        put_away: "PutAway | None",
    ) -> None:
        """`find`: the engine's address now. `put_away`: for what another engine of before has left; None where the one
        of before is the one that is wanted."""
        self.find = find
        self.connection: Connection | None = None
        """As it was the last time; it may be lost by now."""
        self._node_id = node_id
        self._notes = notes
        self._making = making
        self._told = told
        self._put_away = put_away
        self._connecting = asyncio.Lock()
        self._closed = False

    async def connected(self) -> "Connection":
        """With its events followed. Raises DriverError."""
        if self.connection is not None and not self.connection.lost:
            return self.connection
        async with self._connecting:
            if self._closed:
                raise unavailable("this driver has been closed")
            if self.connection is not None and not self.connection.lost:
                return self.connection
            found = self.find()
            if found is None:
                raise unavailable(address.absent())
            # Only now: a node without containers does without the memory that the client takes.
            from omnitide.drivers.docker.connection import Connection

            if self.connection is not None:
                await self.connection.close()
                self.connection = None
            told = self._told
            made = await Connection.open(
                found, self._node_id, self._notes, told.changed, told.lost, self._making, told.tidy
            )
            try:
                await self._moved(made.engine)
            except BaseException:
                await made.close()
                raise
            self._notes.keeps(found, made.engine.info.docker_root_dir)
            self.connection = made
            return made

    async def engine(self) -> "Engine":
        """Raises DriverError."""
        return (await self.connected()).engine

    async def _moved(self, engine: "Engine") -> None:
        """Raises DriverError while another engine, of before, has to be seen to first."""
        before = self._notes.engine()
        if self._put_away is None or before in ("", engine.address):
            return
        from omnitide.drivers.docker.moving import leave

        await leave(before, engine, self._node_id, str(self._notes.note), self._put_away)
        self.used(engine.address)

    def used(self, engine: str) -> None:
        """A container is about to be started by the engine of this address. Raises DriverError."""
        try:
            self._notes.begin(engine)
        except OSError as error:
            raise DriverError(f"the driver's notes: {error}", cause="no-disk", permanent=False) from None

    def absent(self) -> bool:
        """No engine, and none is missed."""
        return not self._notes.used and self.find() is None

    async def watchable(self) -> None:
        """For a watch: an engine that nobody misses is waited for. Raises DriverError."""
        if self.absent():
            while self.absent():
                await asyncio.sleep(ABSENT_POLL)
            raise unavailable("a container engine has come; what it runs is to be listed")
        await self.connected()

    def places(self) -> Sequence[str]:
        """Of the engine, if it is this machine's: its socket, and where it has its files if it has ever said so, to an
        earlier node proxy too."""
        found = self.find() or ""
        scheme, _, socket = found.partition("://")
        if scheme != "unix":
            return ()
        folder = self._notes.folder(found)
        return (socket, folder) if folder else (socket,)

    def collect_soon(self) -> None:
        if self.connection is not None:
            self.connection.collect_soon()

    async def close(self) -> None:
        self._closed = True
        if self.connection is not None:
            await self.connection.close()
            self.connection = None
