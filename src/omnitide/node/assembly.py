"""The parts of a node proxy as they are on a real machine, put together and run until a signal ends them."""

import asyncio
import gc
import json
import os
import random
import secrets
import signal
import socket
from pathlib import Path
from typing import Final

from omnitide import __version__
from omnitide.config.settings import Settings
from omnitide.config.watch import ConfigWatcher
from omnitide.drivers.process import ProcessDriver
from omnitide.model.names import suggest_name
from omnitide.node.clock import WallClock
from omnitide.node.endpoints import Endpoints
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.host import MachineHost
from omnitide.node.identities import Identities, IdentityUnusable, IdentityVault
from omnitide.node.identity_view import Shown
from omnitide.node.launching import NodeContext
from omnitide.node.outbox import OutboxLimits, OutboxUnusable, open_outbox
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.renewal import Renewal
from omnitide.node.session import End, Who
from omnitide.security.private_files import ensure_private_directory, write_private
from omnitide.telemetry import logs

__all__ = ["End", "Node"]

KEEPER_DIRECTORY: Final = "keeper"
OUTBOX_FILE: Final = "outbox.db"
READY_FILE: Final = "node.json"
BACK_WITHIN_MS: Final = 30_000
"""Announced with an orderly end: a restart of the proxy, for which nothing is to be replaced."""

log = logs.get(__name__)


class Node:
    """A proxy with its driver, outbox, dialer and renewal, over one data directory."""

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
        """Raises IdentityUnusable, OSError."""
        self._watcher = watcher
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
        ensure_private_directory(data / KEEPER_DIRECTORY)
        self._driver = ProcessDriver(str(data / KEEPER_DIRECTORY), cgroup=cgroup)
        self._name = settings.node.name or suggest_name(socket.gethostname()) or identity.node_id
        self._node_id = identity.node_id
        known = Endpoints(self._outbox.endpoints, identity.endpoints, given=endpoints)
        if not known.known:
            raise IdentityUnusable("no Nexus endpoint is known; give one with --endpoint HOST:PORT")
        dialer = GrpcDialer(lambda: identities.shown)
        self._proxy = Proxy(
            Parts(
                who=Who(node_id=identity.node_id, boot_id=boot_id, software=f"omnitide/{__version__}"),
                context=NodeContext(node_name=self._name, base_environment=_base_environment()),
                drivers=(self._driver,),
                host=_host(settings, self._name, data, known.current),
                outbox=self._outbox,
                dialer=dialer,
                endpoints=known,
                clock=clock,
                rng=rng,
                on_welcome=identities.welcomed,
                on_failure=identities.failed,
                on_settings=dialer.settings,
            )
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
        """Until SIGTERM or SIGINT, which leave the instances running, or until Nexus has removed this node."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._proxy.stop, "the node proxy stops", BACK_WITHIN_MS)
        self._watcher.subscribe(self._reload)
        document = {"pid": os.getpid(), "node_id": self._node_id, "name": self._name}
        write_private(self._data / READY_FILE, json.dumps(document).encode())
        # What is loaded by now stays for good: the collector need not look at it again, for ever.
        gc.collect()
        gc.freeze()
        log.info("node proxy starts", node=self._name, id=self._node_id, version=__version__)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._watcher.run(), name="settings"),
                    group.create_task(self._renewal.run(), name="renewal"),
                ]
                end = await self._proxy.run()
                for task in beside:
                    task.cancel()
        finally:
            await self._driver.close()
            self._outbox.close()
            (self._data / READY_FILE).unlink(missing_ok=True)
        log.info("node proxy ends", why=end.value, instances_left_running=self._proxy.live())
        return end

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
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _base_environment() -> dict[str, str]:
    """What every instance inherits of the proxy's own environment: where programs are, and the language."""
    return {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TZ") if key in os.environ}
