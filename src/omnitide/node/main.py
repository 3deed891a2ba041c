"""The node proxy process: `python -m omnitide.node --data DIR`, on a machine that has joined a fabric.

Exit codes: 0 stopped in order, 1 cannot run (the reason is on standard error), 2 wrong arguments or configuration,
4 removed from the fabric.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnitide import __version__
from omnitide.config import ConfigError, load
from omnitide.config.settings import Settings
from omnitide.config.watch import ConfigWatcher
from omnitide.drivers.process import ProcessDriver
from omnitide.model.names import suggest_name
from omnitide.node.clock import WallClock
from omnitide.node.endpoints import Endpoints
from omnitide.node.grpc_link import GrpcDialer
from omnitide.node.host import MachineHost
from omnitide.node.launching import NodeContext
from omnitide.node.lock import Locked, lock_directory
from omnitide.node.outbox import Outbox, OutboxLimits, OutboxUnusable, open_outbox
from omnitide.node.proxy import Parts, Proxy
from omnitide.node.renewal import Identities, Renewal
from omnitide.node.session import End, Who
from omnitide.security.errors import SecurityError
from omnitide.security.identity import IdentityStore
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


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    flags: dict[str, object] = {
        "node.data_dir": given.data,
        "node.name": given.name,
        "node.labels": dict(given.label) if given.label else None,
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
        ensure_private_directory(data)
        with lock_directory(data):
            return asyncio.run(_serve(watcher, data, tuple(given.endpoint or ()), given.cgroup))
    except (SecurityError, OutboxUnusable, Locked, LookupError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m omnitide.node", description="Run a node proxy.")
    parser.add_argument("--data", help="data directory: identity, outbox, instances and logs")
    parser.add_argument("--config", help="configuration file")
    parser.add_argument("--name", help="name of this node")
    parser.add_argument(
        "--label", action="append", metavar="KEY=VALUE", type=_label, help="label that placement may ask for"
    )
    parser.add_argument("--endpoint", action="append", metavar="HOST:PORT", help="Nexus to dial besides those known")
    parser.add_argument("--cgroup", choices=("auto", "off"), default="auto", help="whether to use control groups")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("console", "json"))
    return parser.parse_args(arguments)


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


async def _serve(watcher: ConfigWatcher, data: Path, endpoints: tuple[str, ...], cgroup: str) -> int:
    settings = watcher.settings
    store = IdentityStore(data / IDENTITY_DIRECTORY)
    identities = Identities(store)
    identity = identities.shown
    clock, rng, boot_id = WallClock(), random.Random(), _boot_id()
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
    name = settings.node.name or suggest_name(socket.gethostname()) or identity.node_id
    known = Endpoints(outbox.endpoints, (*endpoints, *identity.endpoints))
    dialer = GrpcDialer(lambda: identities.shown)
    proxy = Proxy(
        Parts(
            who=Who(node_id=identity.node_id, boot_id=boot_id, software=f"omnitide/{__version__}"),
            context=NodeContext(node_name=name, base_environment=_base_environment()),
            drivers=(driver,),
            host=_host(settings, name, data, known.current),
            outbox=outbox,
            dialer=dialer,
            endpoints=known,
            clock=clock,
            rng=rng,
            on_welcome=identities.welcomed,
            on_failure=identities.failed,
            on_settings=dialer.settings,
        )
    )
    renewal = Renewal(
        store=store,
        identities=identities,
        renewer=dialer,
        endpoint=lambda: known.current if proxy.connected_now else None,
        renewed=lambda: proxy.resync("the certificate was renewed"),
        clock=clock,
        rng=rng,
    )
    document = {"pid": os.getpid(), "node_id": identity.node_id, "name": name}
    write_private(data / READY_FILE, json.dumps(document).encode())
    log.info("node proxy starts", node=name, id=identity.node_id, version=__version__)
    try:
        end = await _run(proxy, watcher, renewal, outbox)
    finally:
        await driver.close()
        outbox.close()
        (data / READY_FILE).unlink(missing_ok=True)
    log.info("node proxy ends; its instances go on" if end is End.STOPPED else "node proxy ends", end=end.value)
    return EXIT_REMOVED if end is End.REMOVED else 0


async def _run(proxy: Proxy, watcher: ConfigWatcher, renewal: Renewal, outbox: Outbox) -> End:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, proxy.stop, "the node proxy stops", BACK_WITHIN_MS)

    def changed(_old: Settings, new: Settings) -> None:
        logs.set_level(new.log.level)
        outbox.set_limits(OutboxLimits(bytes=new.limits.outbox_bytes))

    watcher.subscribe(changed)
    # What is loaded by now stays for good: the collector need not look at it again, for ever.
    gc.collect()
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(watcher.run(), name="settings"), group.create_task(renewal.run(), name="renewal")]
        end = await proxy.run()
        for task in beside:
            task.cancel()
    return end


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
