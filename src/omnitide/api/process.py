"""The Nexus process: the control plane and its surfaces, from the first start to an orderly end.

`python -m omnitide.api --data DIR`. When it is ready it writes `nexus.json` into the data directory, with its
addresses; at the first start of a fabric also `ca.pem` and `admin-token`, which nobody but the owner can read.

Exit codes: 0 ended in order, 1 cannot run now, 2 wrong arguments or configuration, 3 the engine failed, 5 its keys or
data cannot be used, 6 another Nexus has the data directory. Starting it again can help after 0, 1 and 3 only.
"""

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from omnitide import __version__
from omnitide.api.app import make_app
from omnitide.api.call_counts import CallCounts
from omnitide.api.call_traces import CallTraces
from omnitide.api.grpc_server import GrpcServer
from omnitide.api.metrics_page import plain_app
from omnitide.api.ports import Ports as OwnPorts
from omnitide.api.server import ApiServer
from omnitide.config import ConfigError, load
from omnitide.config.descriptors import raise_open_files
from omnitide.config.disks import words_of
from omnitide.config.folders import settled
from omnitide.config.neighbours import Neighbours, whole
from omnitide.config.settings import Settings
from omnitide.config.watch import ConfigWatcher
from omnitide.model.addresses import bracketed, host_port
from omnitide.nexus.admin_token import AdminToken
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.collector import Collector
from omnitide.nexus.engine import EngineFailed
from omnitide.nexus.identity import NexusIdentity, now_of
from omnitide.nexus.nexus import Nexus, Ports, WrongFabric
from omnitide.nexus.node_service import NodeServicer, server_credentials, start_node_server
from omnitide.nexus.opening import DataUnusable, open_nexus
from omnitide.operations.exposing import samples
from omnitide.operations.runtime import NotServing
from omnitide.security.data_lock import DataInUse
from omnitide.security.errors import SecurityError
from omnitide.security.private_files import PRIVATE_UMASK, write_private
from omnitide.telemetry import logs
from omnitide.telemetry.log_file import LogFile
from omnitide.telemetry.tracing import spans
from omnitide.telemetry.tracing.choosing import Choice, UnknownSampler
from omnitide.telemetry.tracing.otlp import Export, begin

_log = logs.get(__name__)

READY_FILE: Final = "nexus.json"
CA_FILE: Final = "ca.pem"
METRICS_CONNECTIONS: Final = 16
STOP_NODES_S: Final = 1.0

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_ENGINE_FAILED: Final = 3
"""The engine cannot go on; a supervisor should start the process again, which rebuilds it from the log."""
EXIT_UNUSABLE: Final = 5
"""Its keys, or the data of another fabric or a damaged log, need a person: starting it again cannot help."""
EXIT_HELD: Final = 6
"""Another Nexus has the data directory."""


class Addresses(NamedTuple):
    """Where this Nexus can be reached from this machine, and what it tells others."""

    url: str
    node_endpoint: str
    grpc_endpoint: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m omnitide.api", description="Run a Nexus.")
    parser.add_argument("--data", help="data directory: event log, snapshots, keys")
    parser.add_argument("--config", help="configuration file")
    parser.add_argument("--listen", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--public-name", action="append", help="name or address by which others reach it")
    parser.add_argument("--api-port", type=int)
    parser.add_argument("--node-port", type=int)
    parser.add_argument("--grpc-port", type=int)
    parser.add_argument("--log-file", help="file to log to, which is then bounded (default: standard error)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("console", "json"))
    given = parser.parse_args(arguments)
    flags: dict[str, object] = {
        "nexus.data_dir": given.data,
        "nexus.listen": given.listen,
        "nexus.public_names": tuple(given.public_name) if given.public_name else None,
        "nexus.api_port": given.api_port,
        "nexus.node_port": given.node_port,
        "nexus.grpc_port": given.grpc_port,
        "log.level": given.log_level,
        "log.format": given.log_format,
    }
    try:
        watcher = ConfigWatcher(load(flags, config=given.config))
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return EXIT_USAGE
    settings = watcher.settings
    data = settled(settings.nexus.data_dir)
    os.umask(PRIVATE_UMASK)
    Neighbours.of(os.environ).note(whole(data))
    raise_open_files()
    try:
        log = settings.log
        file = LogFile(given.log_file, log.max_bytes, log.keep) if given.log_file else None
        logs.configure(log.level, log.format, file=file)
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(NexusProcess(watcher).run())
    except (SecurityError, DataUnusable, WrongFabric, DataInUse, NotServing, OSError) as error:
        logs.last_words("Nexus cannot start", words_of(error, data))
        # A log that cannot be opened may have met a full disk or one that comes back; a damaged one stays so.
        match error:
            case DataInUse() | DataUnusable(why="held"):
                return EXIT_HELD
            case SecurityError() | WrongFabric() | DataUnusable(why="damaged"):
                return EXIT_UNUSABLE
            case _:
                return EXIT_FAILED


class NexusProcess:
    """One run of the process."""

    def __init__(self, watcher: ConfigWatcher, environment: Mapping[str, str] = os.environ) -> None:
        self._watcher = watcher
        self._environment = environment
        self._data = settled(watcher.settings.nexus.data_dir)
        self._stop = asyncio.Event()
        self._counts = CallCounts()

    @property
    def _settings(self) -> Settings:
        return self._watcher.settings

    async def run(self) -> int:
        """Until a signal asks it to end or the engine fails. Raises what keeps it from starting."""
        clock = SystemClock()
        settings = self._settings.nexus
        # Before anything else is done, as it is the likeliest of all that can be wrong.
        OwnPorts(self._data, settings.listen).check(
            node=settings.node_port, grpc=settings.grpc_port, api=settings.api_port
        )
        export = self._export()
        try:
            return await self._run(clock, export)
        finally:
            if export is not None:
                export.close()

    def _export(self) -> Export | None:
        otel = self._settings.otel
        described = {"service.version": __version__, "host.name": socket.gethostname()}
        return begin(otel.endpoint, otel.protocol, "omnitide-nexus", described, self._environment)

    def _traces(self) -> CallTraces:
        if not spans.on():
            return CallTraces()
        try:
            return CallTraces(Choice(self._settings.otel.traces_per_second, self._environment))
        except UnknownSampler as error:
            _log.error("calls are not traced", reason=str(error))
            return CallTraces()

    async def _run(self, clock: SystemClock, export: Export | None) -> int:
        async with open_nexus(self._data, clock, lambda: self._settings, self._environment) as nexus:
            if export is not None:
                nexus.services.begin(
                    "otlp", lambda: export.send_metrics(lambda: chain(samples(nexus), self._counts.samples()))
                )
            identity = NexusIdentity(nexus.keyring, self._settings.nexus.public_names, clock)
            return await self._serve(nexus, identity)

    async def _serve(self, nexus: Nexus, identity: NexusIdentity) -> int:
        settings = self._settings.nexus
        traces = self._traces()
        servicer = NodeServicer(
            nexus.sessions,
            nexus.tunnels,
            nexus.keyring.authority,
            nexus.keyring.authority.trust_bundle,
            lambda: now_of(nexus.clock),
            nexus.blobs(),
            nexus.values(),
            nexus.samples,
        )
        lease = self._settings.lease
        ports = OwnPorts(self._data, settings.listen)
        node_server, node_port = await ports.listen(
            "node",
            settings.node_port,
            lambda port: start_node_server(
                servicer,
                host_port(settings.listen, port),
                lambda: identity.material,
                keepalive_ms=lease.keepalive_ms,
                keepalive_timeout_ms=lease.keepalive_timeout_ms,
            ),
        )
        nexus.ports = Ports(tuple(f"{host}:{node_port}" for host in self._public_hosts()))

        def start_grpc(port: int) -> Awaitable[GrpcServer]:
            # Credentials of its own for each try: gRPC cannot use those of a port that could not be had once more.
            credentials = server_credentials(lambda: identity.material, require_client_auth=False)
            return GrpcServer.start(nexus, settings.listen, port, credentials, traces=traces, counts=self._counts)

        grpc_server = await ports.listen("grpc", settings.grpc_port, start_grpc)
        app = make_app(nexus, traces=traces, counts=self._counts)
        api = await ports.listen(
            "api", settings.api_port, lambda port: ApiServer.start(app, settings.listen, port, identity.ssl_context)
        )
        metrics = await self._serve_metrics(nexus)
        collector = Collector(lambda: nexus.engine.committed().revision)
        nexus.services.begin("configuration", self._watcher.run)
        nexus.services.begin("certificate", identity.keep_fresh)
        nexus.services.begin("collector", collector.run)
        self._watcher.subscribe(lambda old, new: self._settings_changed(nexus, old, new))
        try:
            await self._first_start(nexus)
            host = _reachable(settings.listen)
            addresses = Addresses(
                url=f"https://{host_port(host, api.port)}",
                node_endpoint=host_port(host, node_port),
                grpc_endpoint=host_port(host, grpc_server.port),
            )
            ports.remember(api=api.port, node=node_port, grpc=grpc_server.port)
            self._write_ready(nexus, addresses)
            _log.info("Nexus is ready", **addresses._asdict(), fabric=nexus.keyring.fabric_id, version=__version__)
            return await self._until_stopped(nexus)
        finally:
            (self._data / READY_FILE).unlink(missing_ok=True)
            await nexus.services.end("configuration", "certificate", "collector", "administrator's token")
            await api.close()
            if metrics is not None:
                await metrics.close()
            await grpc_server.close()
            await nexus.sessions.close()
            await node_server.stop(STOP_NODES_S)

    async def _serve_metrics(self, nexus: Nexus) -> ApiServer | None:
        """On loopback, without TLS, where the settings say so. A port that cannot be had keeps nothing else from
        being served."""
        port = self._settings.metrics.nexus_port
        if not port:
            return None
        try:
            return await ApiServer.start(
                plain_app(nexus, self._counts), "127.0.0.1", port, None, connections=METRICS_CONNECTIONS
            )
        except OSError as error:
            _log.error("metrics are not served", port=port, reason=error.strerror or str(error))
            return None

    async def _until_stopped(self, nexus: Nexus) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        stopping = loop.create_task(self._stop.wait())
        await asyncio.wait((stopping, nexus.engine.failed), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if nexus.engine.failed.done():
            failure: EngineFailed = nexus.engine.failed.result()
            _log.error("Nexus stops, to be started again", reason=str(failure))
            return EXIT_ENGINE_FAILED
        _log.info("Nexus is stopping")
        return 0

    def _settings_changed(self, nexus: Nexus, old: Settings, new: Settings) -> None:
        if new.log.level != old.log.level:
            logs.set_level(new.log.level)
        nexus.settings_changed()

    def _public_hosts(self) -> tuple[str, ...]:
        """What nodes are told: the configured names first, then the address that is listened on."""
        settings = self._settings.nexus
        hosts = [*settings.public_names, _reachable(settings.listen)]
        return tuple(dict.fromkeys(bracketed(host) for host in hosts))

    async def _first_start(self, nexus: Nexus) -> None:
        """The CA certificate and an administrator's token, for whoever owns the data directory."""
        write_private(self._data / CA_FILE, nexus.ca_bundle_pem().encode())
        admin = AdminToken(nexus, self._data)
        await admin.ensure()
        nexus.services.begin("administrator's token", admin.keep)

    def _write_ready(self, nexus: Nexus, addresses: Addresses) -> None:
        document = {**addresses._asdict(), "pid": os.getpid(), "fabric_id": nexus.keyring.fabric_id}
        write_private(self._data / READY_FILE, json.dumps(document, indent=2).encode())


def _reachable(listen: str) -> str:
    """An address of this machine that reaches what listens: any interface is also loopback."""
    address = ipaddress.ip_address(listen)
    if address.is_unspecified:
        return "::1" if address.version == 6 else "127.0.0.1"
    return listen
