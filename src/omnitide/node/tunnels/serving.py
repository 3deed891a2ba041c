"""Streams that Nexus asks for: each is opened by the node, has flow control of its own, and disturbs nothing else."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from omnitide.drivers.protocol import Driver, DriverError, PortBinding, RunKey
from omnitide.node.clock import Clock
from omnitide.node.retention import Retention
from omnitide.node.session import Dialer, TunnelLink
from omnitide.node.tunnels.errors import error_frame
from omnitide.node.tunnels.files import send_archive, take_archive
from omnitide.node.tunnels.logs import send_logs, send_while_read
from omnitide.node.tunnels.ports import forward
from omnitide.node.tunnels.programs import run_program
from omnitide.node.tunnels.search import Search
from omnitide.node.tunnels.talk import Overrun, Talk
from omnitide.node.volumes import KeptVolumes
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

MAX_TUNNELS: Final = 32
"""Log streams open at once; a further one is told that the node is busy."""
MOST: Final = {
    "logs": MAX_TUNNELS,
    "search": 32,
    "exec": 32,
    "archive": 16,
    "extract": 16,
    "forward": 128,
    "volumes": 4,
    "erase_volume": 4,
}
"""By purpose, so that none keeps out the others."""
MAX_REFUSALS: Final = 32
"""Told so at once; beyond that Nexus hears nothing and its own deadline ends the wait."""
DIAL_DEADLINE: Final = 10.0
CLOSE_DEADLINE: Final = 10.0
"""Until a reader has taken what is still under way to it."""

log = logs.get(__name__)


class Reach(NamedTuple):
    """How an instance that runs here is reached."""

    driver: str
    key: RunKey
    ports: Sequence[PortBinding]


class Tunnels:
    """The open tunnels of a node. They live on when the session breaks, as long as their own links do."""

    def __init__(
        self,
        *,
        group: asyncio.TaskGroup,
        dialer: Dialer,
        drivers: Mapping[str, Driver],
        driver_of: Callable[[str], str | None],
        reach_of: Callable[[str], Reach | None],
        retention: Retention,
        clock: Clock,
        volumes: KeptVolumes | None = None,
    ) -> None:
        self._group = group
        self._dialer = dialer
        self._drivers = drivers
        self._driver_of = driver_of
        self._reach_of = reach_of
        self._retention = retention
        self._clock = clock
        self._volumes = volumes
        self._serving: Counter[str] = Counter()
        self._refusing = 0

    def open(self, endpoint: str, request: pb.OpenTunnel) -> None:
        """Serve a tunnel in a task of its own."""
        purpose = request.WhichOneof("purpose") or ""
        if self._serving[purpose] < MOST.get(purpose, MAX_TUNNELS):
            self._serving[purpose] += 1
            self._group.create_task(self._serve(endpoint, request, purpose), name="tunnel")
        elif self._refusing < MAX_REFUSALS:
            self._refusing += 1
            self._group.create_task(self._refuse(endpoint, request, purpose), name="tunnel-refusal")
        else:
            log.warning("too many tunnels asked for at once; one is not answered")

    async def _serve(self, endpoint: str, request: pb.OpenTunnel, purpose: str) -> None:
        # When the question came, before anything that takes time.
        now_ms = self._clock.now_ms()
        try:
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with self._link(endpoint, request.tunnel) as link:
                    if purpose == "logs":
                        await send_logs(link, self._drivers, self._driver_of, request.logs, self._retention)
                    elif purpose == "search":
                        search = Search(self._drivers, self._driver_of, request.search, self._retention, now_ms)
                        await send_while_read(link, search.frames())
                    else:
                        await self._reach(link, request, purpose)
        except Exception as error:
            # Drivers are written by others too: a defect of one costs its tunnel.
            log.error("a tunnel broke off", purpose=purpose, error=f"{type(error).__name__}: {error}")
        finally:
            self._serving[purpose] -= 1

    async def _reach(self, link: TunnelLink, request: pb.OpenTunnel, purpose: str) -> None:
        """Raises LinkClosed."""
        talk = Talk(link)
        try:
            match purpose:
                case "exec":
                    driver, reach = self._find(request.exec.instance, purpose)
                    await run_program(talk, driver, reach.key, request.exec)
                case "archive":
                    await send_archive(talk, self._find(request.archive.instance, purpose)[0], request.archive)
                case "extract":
                    await take_archive(talk, self._find(request.extract.instance, purpose)[0], request.extract)
                case "forward":
                    driver, reach = self._find(request.forward.instance, purpose)
                    await forward(talk, driver, reach.key, reach.ports, request.forward)
                case "volumes" if self._volumes is not None:
                    await self._volumes.send(talk)
                case "erase_volume" if self._volumes is not None:
                    await self._volumes.remove(talk, request.erase_volume)
                case _:
                    await talk.send(error_frame("unsupported", "this node's software does not know this purpose"))
        except DriverError as error:
            await talk.send(error_frame(error.cause, str(error)))
        except Overrun as error:
            await talk.send(error_frame("overrun", str(error)))

    def _find(self, instance: str, purpose: str) -> tuple[Driver, Reach]:
        """Raises DriverError unless it runs here."""
        reach = self._reach_of(instance)
        driver = self._drivers.get(reach.driver) if reach is not None else None
        if reach is None or driver is None:
            raise DriverError("the instance does not run", cause="not-running", permanent=False)
        log.info("an instance is reached into", instance=instance, purpose=purpose)
        return driver, reach

    async def _refuse(self, endpoint: str, request: pb.OpenTunnel, purpose: str) -> None:
        try:
            with contextlib.suppress(LinkClosed, TimeoutError):
                async with self._link(endpoint, request.tunnel) as link:
                    most = MOST.get(purpose, MAX_TUNNELS)
                    await link.send(error_frame("busy", f"this node has {most} tunnels open; close one first"))
        finally:
            self._refusing -= 1

    @contextlib.asynccontextmanager
    async def _link(self, endpoint: str, tunnel: str) -> AsyncGenerator[TunnelLink]:
        """A link whose first frame names the tunnel."""
        try:
            async with asyncio.timeout(DIAL_DEADLINE):
                link = await self._dialer.open_tunnel(endpoint)
        except (LinkClosed, TimeoutError) as error:
            log.warning("a tunnel could not be opened", endpoint=endpoint, error=str(error) or "no answer in time")
            raise
        try:
            await link.send(pb.TunnelFrame(tunnel=tunnel))
            yield link
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_DEADLINE):
                    await link.close()
