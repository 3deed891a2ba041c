"""The node proxy process: `python -m omnitide.node --data DIR`, on a machine that has joined a fabric."""

import argparse
import asyncio
import fcntl
import json
import os
import random
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnitide import __version__
from omnitide.config import ConfigError, load
from omnitide.config.settings import Settings
from omnitide.config.watch import ConfigWatcher
from omnitide.drivers.process import ProcessDriver
from omnitide.node.clock import WallClock
from omnitide.node.endpoints import Endpoints
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.host import MachineHost
from omnitide.node.launching import NodeContext
from omnitide.node.outbox import OutboxLimits, OutboxUnusable, open_outbox
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.session import End, Who
from omnitide.security.errors import SecurityError
from omnitide.security.identity import IdentityStore, NodeIdentity
from omnitide.security.private_files import ensure_private_directory, write_private
from omnitide.telemetry import logs

IDENTITY_DIRECTORY: Final = "identity"
KEEPER_DIRECTORY: Final = "keeper"
READY_FILE: Final = "node.json"
BACK_WITHIN_MS: Final = 30_000
"""Announced with an orderly end: a restart of the proxy, for which nothing is to be replaced."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REMOVED: Final = 4
"""Nexus says that this node is no longer of the fabric: starting it again cannot help."""

log = logs.get(__name__)


class AlreadyRunning(Exception):
    """Another node proxy holds this data directory."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m omnitide.node", description="Run a node proxy.")
    parser.add_argument("--data", help="data directory: identity, outbox, instances and logs")
    parser.add_argument("--config", help="configuration file")
    parser.add_argument("--name", help="name of this node")
    parser.add_argument("--label", action="append", metavar="KEY=VALUE", help="label that placement may ask for")
    parser.add_argument("--endpoint", action="append", metavar="HOST:PORT", help="Nexus to dial besides those known")
    parser.add_argument("--cgroup", choices=("auto", "off"), default="auto", help="whether to use control groups")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("console", "json"))
    given = parser.parse_args(arguments)
    labels = [label.partition("=") for label in given.label or ()]
    if any(not key or not separator for key, separator, _ in labels):
        parser.error("a label is written KEY=VALUE")
    flags: dict[str, object] = {
        "node.data_dir": given.data,
        "node.name": given.name,
        "node.labels": {key: value for key, _, value in labels} or None,
        "log.level": given.log_level,
        "log.format": given.log_format,
    }
    try:
        watcher = ConfigWatcher(load(flags, config=given.config))
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return EXIT_USAGE
    logs.configure(watcher.settings.log.level, watcher.settings.log.format)
    try:
        data = Path(watcher.settings.node.data_dir).expanduser().absolute()
        return asyncio.run(_run(watcher, data, tuple(given.endpoint or ()), given.cgroup))
    except (SecurityError, OutboxUnusable, AlreadyRunning, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED


async def _run(watcher: ConfigWatcher, data: Path, endpoints: tuple[str, ...], cgroup: str) -> int:
    ensure_private_directory(data)
    lock = _lock(data / "node.lock")
    try:
        store = IdentityStore(data / IDENTITY_DIRECTORY)
        identity = store.load()
        return await _serve(watcher, data, identity, (*endpoints, *identity.endpoints), cgroup)
    finally:
        os.close(lock)


async def _serve(
    watcher: ConfigWatcher, data: Path, identity: NodeIdentity, endpoints: tuple[str, ...], cgroup: str
) -> int:
    settings = watcher.settings
    clock = WallClock()
    boot_id = _boot_id()
    outbox = open_outbox(
        data / "outbox.db",
        boot_id=boot_id,
        new_id=lambda: secrets.token_hex(8),
        now_ms=clock.now_ms(),
        limits=OutboxLimits(bytes=settings.limits.outbox_bytes),
    )
    keeper = data / KEEPER_DIRECTORY
    ensure_private_directory(keeper)
    driver = ProcessDriver(str(keeper), cgroup=cgroup)
    name = settings.node.name or identity.node_id
    proxy = Proxy(
        Parts(
            who=Who(node_id=identity.node_id, boot_id=boot_id, software=f"omnitide/{__version__}"),
            context=NodeContext(node_name=name, base_environment=_base_environment()),
            drivers=(driver,),
            host=_host(settings, name, data),
            outbox=outbox,
            dialer=GrpcDialer(lambda: identity),
            endpoints=Endpoints(outbox.endpoints, endpoints),
            clock=clock,
            rng=random.Random(),
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, proxy.stop, "the node proxy stops", BACK_WITHIN_MS)
    watching = loop.create_task(watcher.run())
    watcher.subscribe(lambda old, new: logs.set_level(new.log.level) if old.log.level != new.log.level else None)
    document = {"pid": os.getpid(), "node_id": identity.node_id, "name": name}
    write_private(data / READY_FILE, json.dumps(document).encode())
    log.info("node proxy starts", node=name, id=identity.node_id, version=__version__)
    try:
        end = await proxy.run()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await driver.close()
        outbox.close()
        (data / READY_FILE).unlink(missing_ok=True)
    return EXIT_REMOVED if end is End.REMOVED else 0


def _host(settings: Settings, name: str, data: Path) -> MachineHost:
    node = settings.node
    return MachineHost(
        name,
        data,
        labels=node.labels,
        ports=node.port_range,
        reserve_cpu_milli=node.reserve_cpu,
        reserve_memory_bytes=node.reserve_memory,
    )


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _base_environment() -> dict[str, str]:
    """What every instance inherits of the proxy's own environment: where programs are, and the language."""
    return {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TZ") if key in os.environ}


def _lock(path: Path) -> int:
    """One proxy a data directory; the descriptor holds it. Raises AlreadyRunning."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise AlreadyRunning(f"another node proxy runs on {path.parent}") from None
    return descriptor
