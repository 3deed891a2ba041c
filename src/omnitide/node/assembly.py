"""The parts of a node proxy as they are on a real machine, put together and run until a signal ends them."""

import asyncio
import contextlib
import gc
import os
import random
import secrets
import signal
import socket
from pathlib import Path
from typing import Final

from omnitide import __version__
from omnitide.config.emptying import MARGIN_S, leaves_for_good, mark_used
from omnitide.config.settings import Settings
from omnitide.config.watch import ConfigWatcher
from omnitide.drivers.loading import load
from omnitide.drivers.process import ProcessDriver
from omnitide.drivers.wasm.driver import WasmDriver
from omnitide.model.names import suggest_name
from omnitide.model.spec import MAX_GRACE_MS
from omnitide.node.asked_stops import AskedStops
from omnitide.node.claim import claim
from omnitide.node.clock import WallClock
from omnitide.node.driver_places import KEEPER_DIRECTORY, context_of, of_keeper
from omnitide.node.endpoints import Endpoints
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.host import MachineHost
from omnitide.node.identities import Identities, IdentityUnusable, IdentityVault
from omnitide.node.identity_view import Shown
from omnitide.node.keeper.launch import KeeperUnavailable, stop_keeper
from omnitide.node.keeper.protocol import Refused
from omnitide.node.launching import NodeContext
from omnitide.node.metrics.gpu import GpuSampler
from omnitide.node.metrics.host import HostSampler
from omnitide.node.metrics.instances import InstanceSampler
from omnitide.node.metrics.sampling import Sampling, since_boot
from omnitide.node.metrics.scraping import Scraper
from omnitide.node.metrics.serving import serve_metrics
from omnitide.node.outbox import OutboxLimits, OutboxUnusable, open_outbox
from omnitide.node.own_places import OwnPlaces
from omnitide.node.provisions.provisioner import VOLUMES, NodeProvisions
from omnitide.node.provisions.supply import NexusSupply
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.renewal import Renewal
from omnitide.node.retention import Retention
from omnitide.node.session import SAMPLES, End, Who
from omnitide.node.telling import Telling
from omnitide.security.private_files import ensure_private_directory
from omnitide.telemetry import logs
from omnitide.telemetry.tracing import otlp, spans

__all__ = ["End", "Node"]

OUTBOX_FILE: Final = "outbox.db"
BACK_WITHIN_MS: Final = 30_000
"""With an orderly end, what Nexus waits for: it may be a restart of the proxy, for which nothing is to be replaced."""
LEAVING_MOST_S: Final = MAX_GRACE_MS / 1000 + MARGIN_S
"""For instances to end that somebody said he would end."""
LEAVING_LINGER_S: Final = 10.0
"""After that, for this process to be ended by whom it may concern. One that nobody ends does so itself, and is started
again where somebody wants it."""
LEAVING_POLL_S: Final = 0.2
KEEPER_ENDS_S: Final = 5.0
"""For a keeper to end that runs nothing."""

log = logs.get(__name__)


class Node:
    """A proxy with its drivers, outbox, dialer and renewal, over one data directory."""

    def __init__(
        self,
        watcher: ConfigWatcher,
        data: Path,
        vault: IdentityVault,
        shown: Shown,
        *,
        endpoints: tuple[str, ...],
        cgroup: str,
    ) -> None:
        """Raises IdentityUnusable, FolderCopied, OSError."""
        self._watcher = watcher
        self._left = asyncio.Event()
        self._data = data
        settings = watcher.settings
        identities = Identities(shown)
        identity = shown.current
        clock, rng, boot_id = WallClock(), random.Random(), _boot_id()
        try:
            self._outbox = open_outbox(
                data / OUTBOX_FILE,
                boot_id=boot_id,
                new_id=lambda: secrets.token_hex(8),
                now_ms=clock.now_ms(),
                limits=OutboxLimits(bytes=settings.limits.outbox_bytes),
            )
        except OutboxUnusable as error:
            raise OSError(str(error)) from error
        keeper = data / KEEPER_DIRECTORY
        claim(self._outbox, data, keeper)
        ensure_private_directory(keeper, passable=True)
        own = OwnPlaces(data, os.environ, (settings.nexus.data_dir,))
        self._drivers = load(
            lambda name: context_of(data, name, identity.node_id, cgroup, hidden=own),
            settings.node.drivers,
        )
        own.know(self._drivers)
        self._name = settings.node.name or suggest_name(socket.gethostname()) or identity.node_id
        self._node_id = identity.node_id
        self._export = otlp.begin(
            settings.otel.endpoint,
            settings.otel.protocol,
            "omnitide-node",
            {
                "service.version": __version__,
                "service.instance.id": identity.node_id,
                "host.name": socket.gethostname(),
                "omnitide.node": self._name,
            },
        )
        known = Endpoints(self._outbox.endpoints, identity.endpoints, given=endpoints)
        if not known.known:
            raise IdentityUnusable("no Nexus endpoint is known; give one with --endpoint HOST:PORT")
        dialer = GrpcDialer(lambda: identities.shown)
        provisions = self._provisions = NodeProvisions(
            data,
            NexusSupply(dialer, lambda: known.current),
            node_id=identity.node_id,
            cache_bytes=settings.node.cache_bytes,
            most=settings.node.max_artifact_bytes,
            allowed=settings.node.volume_paths,
            devices=settings.node.devices,
            own=own,
        )
        self._telling = Telling(data, identity.node_id, self._name, lambda: known.current)

        def welcomed() -> None:
            identities.welcomed()
            self._telling.welcomed()

        self._proxy = Proxy(
            Parts(
                who=Who(node_id=identity.node_id, boot_id=boot_id, software=f"omnitide/{__version__}"),
                context=NodeContext(
                    node_name=self._name,
                    base_environment=_base_environment(),
                    files_root=provisions.root,
                    traced=spans.on(),
                ),
                provisions=provisions,
                drivers=self._drivers,
                host=_host(settings, self._name, data, known.current),
                outbox=self._outbox,
                dialer=dialer,
                endpoints=known,
                clock=clock,
                rng=rng,
                told=AskedStops(data).told,
                on_first_start=self._starts,
                on_welcome=welcomed,
                on_failure=identities.failed,
                on_settings=dialer.settings,
                volumes=str(data / VOLUMES),
                retention=Retention(
                    settings.node.keep_ended_ms, settings.node.keep_ended, settings.node.keep_ended_bytes
                ),
            )
        )
        drivers_by_name = {driver.name: driver for driver in self._drivers}
        self._sampling = Sampling(
            host=HostSampler(str(data), live=self._proxy.live),
            gpu=GpuSampler(),
            instances=InstanceSampler(drivers_by_name, self._proxy.runs),
            scraper=lambda take: Scraper(
                drivers_by_name,
                self._proxy.runs,
                take,
                since_boot,
                lambda: watcher.settings.metrics.scraped_series,
            ),
            dialer=dialer,
            endpoint=lambda: known.current if self._proxy.connected_now and SAMPLES in self._proxy.features else None,
            names=self._proxy.names,
            rng=rng,
        )
        self._renewal = Renewal(
            vault=vault,
            identities=identities,
            renewer=dialer,
            endpoint=lambda: known.current if self._proxy.connected_now else None,
            renewed=lambda: self._proxy.resync("the certificate was renewed"),
            clock=clock,
            rng=rng,
        )

    async def run(self) -> End:
        """Until SIGTERM or SIGINT, or until Nexus has removed this node.

        They leave the instances running; Nexus is told that this node was stopped, and waits for it a while. SIGUSR1
        before them says that its sender is going to end all instances, and that the node goes; `leaving` in node.json
        answers that it was heard.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._leave)
        self._watcher.subscribe(self._reload)
        self._telling.begin()
        # What is loaded by now stays for good: the collector need not look at it again, for ever.
        gc.collect()
        gc.freeze()
        log.info("node proxy starts", node=self._name, id=self._node_id, version=__version__)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._watcher.run(), name="settings"),
                    group.create_task(self._renewal.run(), name="renewal"),
                    group.create_task(self._sampling.run(), name="sampling"),
                    *self._served(group),
                    *self._sent(group),
                    group.create_task(self._telling.run(lambda: self._proxy.connected_now), name="telling"),
                    group.create_task(self._end_when_left(), name="leaving"),
                ]
                end = await self._proxy.run()
                for task in beside:
                    task.cancel()
        finally:
            for driver in self._drivers:
                await driver.close()
            self._provisions.leave()
            self._outbox.close()
            self._telling.end()
            if self._export is not None:
                self._export.close()
        if end is End.REMOVED:
            await asyncio.to_thread(_end_keeper, self._data / KEEPER_DIRECTORY)
        log.info("node proxy ends", why=end.value, instances_left_running=self._proxy.live())
        return end

    def _served(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        port = self._watcher.settings.metrics.node_port
        return [group.create_task(serve_metrics(port, self._sampling.latest), name="metrics")] if port else []

    def _sent(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        export = self._export
        return [group.create_task(export.send_metrics(self._sampling.latest), name="otlp")] if export else []

    def _starts(self, driver: str) -> None:
        """Whatever the driver itself remembers: this node is to be emptied of what it starts. Raises OSError."""
        if not any(of_keeper(one) for one in self._drivers if one.name == driver):
            mark_used(self._data, driver)

    def _stop(self) -> None:
        # Whether whoever sent the signal starts a proxy again, and when, the signal does not say.
        self._proxy.stop("the node proxy was stopped", BACK_WITHIN_MS, stopped=True)

    def _leave(self) -> None:
        log.info("this node is shut down: its instances are ended, and Nexus has them run elsewhere")
        for driver in self._drivers:
            if isinstance(driver, ProcessDriver | WasmDriver):
                driver.retire()
        self._proxy.leave(for_good=leaves_for_good(self._data))
        self._telling.leaving()
        self._left.set()

    async def _end_when_left(self) -> None:
        await self._left.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVING_MOST_S):
                while self._proxy.live():
                    await asyncio.sleep(LEAVING_POLL_S)
        await asyncio.sleep(LEAVING_LINGER_S)
        self._proxy.stop("this node was shut down", 0)

    def _reload(self, _old: Settings, new: Settings) -> None:
        logs.set_level(new.log.level)
        self._outbox.set_limits(OutboxLimits(bytes=new.limits.outbox_bytes))


def _host(settings: Settings, name: str, data: Path, towards: str) -> MachineHost:
    node = settings.node
    return MachineHost(
        name,
        data,
        labels=node.labels,
        ports=node.port_range,
        reserve_cpu_milli=node.reserve_cpu,
        reserve_memory_bytes=node.reserve_memory,
        towards=towards,
        devices=node.devices,
    )


def _end_keeper(directory: Path) -> None:
    """Of a node that is in no fabric any more. One whose runs do not end stays, for `omnitide leave` or a signal."""
    try:
        stop_keeper(str(directory), stop_runs=False, timeout_s=KEEPER_ENDS_S)
    except (Refused, KeeperUnavailable) as error:
        log.warning("the keeper stays", why=str(error))


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _base_environment() -> dict[str, str]:
    """What every instance inherits of the proxy's own environment: where programs are, and the language."""
    return {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TZ") if key in os.environ}
