"""Nexus: the parts of the control plane put together, as operations see it (`operations.runtime.Runtime`).

No listening happens here: `node_service` carries sessions and the API carries requests, so that the whole of this runs
in the simulation too.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from omnitide import __version__
from omnitide.config.settings import Settings
from omnitide.fabric.commands import Command, CreateFabric, Forget, Header
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, InstanceStatus, TokenPurpose
from omnitide.model.blobs import BlobError
from omnitide.nexus.clock import Clock
from omnitide.nexus.ends import Ends
from omnitide.nexus.engine import Engine, EngineLimits
from omnitide.nexus.greeting import SessionSettings
from omnitide.nexus.joining import Joining
from omnitide.nexus.leases import Leases, LeaseTimes
from omnitide.nexus.log_search import search_logs
from omnitide.nexus.past import Past
from omnitide.nexus.placer import Placer
from omnitide.nexus.rollouts import Rollouts
from omnitide.nexus.samples import Samples
from omnitide.nexus.services import Services
from omnitide.nexus.sessions import HostSample, Sessions
from omnitide.nexus.traces import Traces
from omnitide.nexus.tunnel_reach import open_reach
from omnitide.nexus.tunnels import Tunnels
from omnitide.nexus.values import ClosedValues
from omnitide.nexus.volumes import node_volumes, remove_node_volume
from omnitide.nexus.watching import Committed
from omnitide.operations.blobs import users_of_blobs
from omnitide.operations.closing import closing
from omnitide.operations.runtime import (
    Check,
    HostUse,
    Limits,
    LogPiece,
    LogsUnavailable,
    NewToken,
    NodeLive,
    NodeVolume,
    NotServing,
    Queue,
    ReachFailed,
    RuntimeAway,
)
from omnitide.operations.searched import FoundBatch, OutputQuestion
from omnitide.operations.tunnels import Purpose, Reached
from omnitide.scheduler.explain import explain_instance
from omnitide.scheduler.explanation import Explanation
from omnitide.security.join_contract import JoinAnswer
from omnitide.security.keyring import Keyring
from omnitide.store.blobs import BlobStore
from omnitide.store.protocol import EventLog
from omnitide.store.rollups import RollupStore
from omnitide.telemetry import logs
from omnitide.telemetry.tracing import spans

_log = logs.get(__name__)

BEAT_MS: Final = 10_000
STARTUP_MARGIN_MS: Final = 6_000
"""On top of a full lease, a new leader waits for the longest pause between a node's tries to connect."""
SILENT_OUTPUT_S: Final = 1.5
"""For the first output of an instance whose runtime is known not to answer its node."""
JANITOR_S: Final = 600.0
KEEP_FINISHED_MS: Final = 24 * 3600 * 1000
KEEP_FINISHED_JOBS: Final = 1000
KEEP_ENDED_TOKENS: Final = 1000
"""Of each purpose: about 250 bytes each in a snapshot."""


class WrongFabric(Exception):
    """The event log and the keyring belong to different fabrics."""


class Ports(NamedTuple):
    """Where nodes reach this Nexus; known once the server listens."""

    node_endpoints: tuple[str, ...] = ()


def _random_id() -> str:
    return secrets.token_hex(6)


class Nexus:
    """Made by `Nexus.start`."""

    def __init__(
        self,
        engine: Engine,
        keyring: Keyring,
        clock: Clock,
        settings: Callable[[], Settings],
        random_id: Callable[[], str],
        blobs: BlobStore | None,
        values: ClosedValues | None,
        rollups: RollupStore | None,
    ) -> None:
        self._blobs = blobs
        self._values = values
        self.engine = engine
        self.keyring = keyring
        self.clock = engine.time
        """The log's time; what certificates and files go by is its `wall`."""
        self.settings = settings
        self.ports = Ports()
        self._random_id = random_id
        self._started_ms = self.clock.now_ms()
        self.leases = Leases(engine, self.clock, self._lease_times)
        self.sessions = Sessions(engine, self.clock, self.leases, self._session_settings)
        self.tunnels = Tunnels(self.sessions)
        self.placer = Placer(engine, self.clock)
        self.rollouts = Rollouts(engine, self.clock)
        self.joining = Joining(engine, keyring, clock, lambda: self.ports.node_endpoints)
        self.services = Services()
        self._ends = Ends()
        engine.subscribe(self._ends.on_commit)
        self._traces = Traces(engine, clock) if spans.on() else None
        self._past = Past(engine.log)
        self.samples = Samples(
            engine.committed, self.clock.now_ms, self.sessions.complaints, settings().metrics.memory, rollups
        )

    @classmethod
    async def start(
        cls,
        log: EventLog,
        keyring: Keyring,
        clock: Clock,
        settings: Callable[[], Settings],
        *,
        random_id: Callable[[], str] = _random_id,
        limits: EngineLimits | None = None,
        blobs: BlobStore | None = None,
        values: ClosedValues | None = None,
        rollups: RollupStore | None = None,
    ) -> "Nexus":
        """Open the engine on the log and start every background part. Raises WrongFabric, and as `Engine.open`."""
        engine = await Engine.open(log, clock, limits or _engine_limits(settings()))
        known = engine.committed().fabric_id
        if not known:
            outcome = await engine.submit(
                CreateFabric(fabric_id=keyring.fabric_id), Header(principal="system:bootstrap")
            )
            if isinstance(outcome, Rejection):
                raise WrongFabric(outcome.message)
        elif known != keyring.fabric_id:
            await engine.close()
            raise WrongFabric(f"the event log is of fabric {known}, the keyring of {keyring.fabric_id}")
        nexus = cls(engine, keyring, clock, settings, random_id, blobs, values, rollups)
        nexus.leases.start()
        nexus.services.begin("placer", nexus.placer.run)
        nexus.services.begin("rollouts", nexus.rollouts.run)
        nexus.services.begin("janitor", nexus._clean_up)
        nexus.services.begin("samples", nexus.samples.sweep_forever)
        if nexus.samples.rolled is not None:
            nexus.services.begin("samples by the minute", nexus.samples.rolled.run)
        return nexus

    async def close(self) -> None:
        """Orderly: sessions end, nothing more is decided. What nodes run goes on."""
        await self.services.end("janitor", "samples by the minute")
        await self.samples.close()
        await self.sessions.close()
        await self.leases.close()
        await self.services.end()
        await self.engine.close()

    def settings_changed(self) -> None:
        """Tell the parts that keep copies; everything else reads settings anew."""
        self.sessions.settings_changed()

    # -- settings for the parts --------------------------------------------------------------------------------------

    def _lease_times(self) -> LeaseTimes:
        lease = self.settings().lease
        startup = lease.keepalive_ms + lease.keepalive_timeout_ms + lease.reconnect_grace_ms + STARTUP_MARGIN_MS
        return LeaseTimes(lease.reconnect_grace_ms, lease.lost_after_ms, startup)

    def _session_settings(self) -> SessionSettings:
        lease = self.settings().lease
        return SessionSettings(
            fabric_id=self.keyring.fabric_id,
            log_id=self.log_id(),
            software=f"omnitide/{__version__}",
            endpoints=self.ports.node_endpoints,
            keepalive_ms=lease.keepalive_ms,
            keepalive_timeout_ms=lease.keepalive_timeout_ms,
            lost_after_ms=lease.lost_after_ms,
            beat_ms=BEAT_MS,
        )

    async def _clean_up(self) -> None:
        """Finished jobs leave the state after a day, or when there are too many; dead tokens after a day, those that
        say who did what when there are too many."""
        while True:
            await asyncio.sleep(JANITOR_S)
            command = Forget(
                finished_before_ms=self.clock.now_ms() - KEEP_FINISHED_MS,
                keep_jobs=KEEP_FINISHED_JOBS,
                keep_tokens=KEEP_ENDED_TOKENS,
            )
            try:
                await self.engine.submit(command, Header(principal="system:janitor"))
            except NotServing as refusal:
                _log.info("clean-up put off", reason=refusal.reason)
            await self._clean_up_store()

    async def _clean_up_store(self) -> None:
        """Blobs that no spec names go when they are old, closed values when no secret names them."""
        if self._values is not None:
            await self._values.sweep(self.committed())
        if self._blobs is None:
            return
        oldest = self.clock.wall.now_ms() - self.settings().limits.blob_keep_ms
        try:
            old = [blob for blob in await self._blobs.all() if blob.put_ms < oldest]
            used = users_of_blobs(self.committed()) if old else {}
            for blob in old:
                if blob.digest not in used:
                    _log.info("a blob that nothing names is removed", digest=blob.digest, bytes=blob.size)
                    await self._blobs.remove(blob.digest)
        except BlobError as error:
            _log.warning("the blob store could not be cleaned up", error=str(error))

    # -- Runtime -----------------------------------------------------------------------------------------------------

    def log_id(self) -> str:
        return self.engine.log.identity.log_id

    def committed(self) -> FabricState:
        return self.engine.committed()

    async def submit(self, command: Command, header: Header) -> Decision | Rejection:
        if self._traces is None:
            return await self.engine.submit(command, header)
        return await self._traces.submit(command, header)

    def dry_run(self, command: Command, header: Header) -> Decision | Rejection:
        return self.engine.dry_run(command, header)

    async def wait_for(self, revision: int, timeout_s: float) -> bool:
        return await self.engine.wait_for(revision, timeout_s)

    async def entries(self, after: int, limit: int) -> list[Committed]:
        return await self.engine.entries(after, limit)

    async def state_at(self, revision: int) -> FabricState:
        return await self._past.state_at(revision)

    def watch(self, after: int) -> AsyncIterator[list[Committed]]:
        return self.engine.watchers.watch(after, self.engine.entries)

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{self._random_id()}"

    def now_ms(self) -> int:
        return self.clock.now_ms()

    def clock_ahead_ms(self) -> int:
        return self.clock.ahead_ms()

    def started_ms(self) -> int:
        return self._started_ms

    def node_live(self, node_id: str) -> NodeLive | None:
        session = self.sessions.get(node_id)
        if session is None:
            return None
        sample = session.sample
        return NodeLive(
            last_beat_ms=sample.at_ms if sample else 0,
            stalled_since_ms=session.stalled_since_ms,
            session_address=session.peer.address,
            use=_host_use(sample) if sample else None,
            clock_ahead_ms=session.clock_ahead_ms,
            preparing=session.progress,
            withheld=session.withheld,
        )

    def silent_since_ms(self, node_id: str) -> int:
        return self.sessions.silent_since_ms(node_id)

    def logs(
        self, instance_id: str, *, follow: bool, tail_lines: int | None, since_ms: int, after: str = "", node: str = ""
    ) -> AsyncIterator[LogPiece]:
        known = self.engine.committed().instances.get(instance_id)
        if known is None and node:
            return self.tunnels.logs(
                node, instance_id, follow=follow, tail_lines=tail_lines, since_ms=since_ms, after=after
            )
        if known is None:
            raise LogsUnavailable(f"instance {instance_id} is not known any more")
        if not known.node:
            raise LogsUnavailable(f"{known.name} has not been placed on a node yet")
        pieces = self.tunnels.logs(
            known.node, instance_id, follow=follow, tail_lines=tail_lines, since_ms=since_ms, after=after
        )
        return self._told(instance_id, known.name, pieces)

    def search_logs(self, node_id: str, question: OutputQuestion) -> AsyncIterator[FoundBatch]:
        return search_logs(self.tunnels, node_id, question)

    async def _told(self, instance_id: str, name: str, pieces: AsyncIterator[LogPiece]) -> AsyncIterator[LogPiece]:
        """The output, or that there is none any more, in the words of whoever asks.

        A runtime that does not answer its node may have left output there all the same, or let whoever asks wait.
        """
        away = self.tunnels.away(instance_id)
        silent = isinstance(away, RuntimeAway) and away.since_ms
        try:
            async with closing(pieces):
                try:
                    async with asyncio.timeout(SILENT_OUTPUT_S if silent else None):
                        piece = await anext(pieces, None)
                except TimeoutError:
                    raise away from None
                while piece is not None:
                    yield piece
                    piece = await anext(pieces, None)
        except LogsUnavailable as error:
            if not error.dropped:
                raise
            state = self.engine.committed()
            known = state.instances.get(instance_id)
            if known is not None and known.status is InstanceStatus.PLACED:
                raise LogsUnavailable(f"{name} has not been started on its node yet") from error
            job = state.jobs.get(known.workload) if known is not None else None
            who = f"job {job.name}" if job is not None else name
            raise LogsUnavailable(f"the output of {who} was dropped: {error.reason}", dropped=True) from error

    @contextlib.asynccontextmanager
    async def reach(self, instance_id: str, purpose: Purpose) -> AsyncGenerator[Reached]:
        known = self.engine.committed().instances.get(instance_id)
        if known is None or not known.node:
            raise ReachFailed(f"instance {instance_id} does not run", cause="not-running")
        async with open_reach(self.tunnels, known.node, instance_id, purpose) as reached:
            yield reached

    async def node_volumes(self, node_id: str) -> Sequence[NodeVolume]:
        return await node_volumes(self.tunnels, node_id)

    async def remove_node_volume(self, node_id: str, namespace: str, name: str) -> None:
        await remove_node_volume(self.tunnels, node_id, namespace, name)

    def readiness(self) -> list[Check]:
        refusing = self.engine.refusing
        failed = self.engine.failed.done()
        return [
            Check("engine", not failed, "the engine has failed" if failed else ""),
            Check("event-log", not refusing, refusing),
            *self.services.checks(),
        ]

    def queues(self) -> list[Queue]:
        return self.engine.queues()

    def limits(self) -> Limits:
        settings = self.settings()
        limits = settings.limits
        return Limits(
            body_bytes=limits.max_body_bytes,
            spec_bytes=limits.max_spec_bytes,
            watcher_events=limits.watcher_buffer,
            blob_bytes=limits.blob_bytes,
            session_ms=settings.panel.session_ms,
            demo=settings.nexus.demo,
        )

    def endpoints(self) -> tuple[str, ...]:
        return self.ports.node_endpoints

    def new_token(self, purpose: TokenPurpose) -> NewToken:
        return self.joining.new_token(purpose)

    def token_keys(self) -> Mapping[str, bytes]:
        return self.keyring.token_keys

    def ca_bundle_pem(self) -> str:
        return self.keyring.authority.trust_bundle().pem.decode()

    async def join(
        self, token_text: str, csr_pem: str, facts: Mapping[str, object], peer: str
    ) -> JoinAnswer | Rejection:
        return await self.joining.join(token_text, csr_pem, facts, peer)

    def blobs(self) -> BlobStore:
        if self._blobs is None:
            raise NotServing("this Nexus was started without a blob store", retryable=False)
        return self._blobs

    def values(self) -> ClosedValues:
        if self._values is None:
            raise NotServing("this Nexus was started without a place for secrets", retryable=False)
        return self._values

    def metrics(self) -> Samples:
        return self.samples

    def ends(self) -> Mapping[str, int]:
        return self._ends.by_agent()

    async def explain(self, instance_id: str, node_limit: int) -> Explanation:
        state = self.committed()
        instance = state.instances[instance_id]
        return explain_instance(state, self.placer.table, instance, now_ms=self.clock.now_ms(), node_limit=node_limit)


def _host_use(sample: HostSample) -> HostUse:
    use = sample.use
    return HostUse(
        at_ms=sample.at_ms,
        cpu_milli_used=use.cpu_milli_used,
        memory_used_bytes=use.memory_used_bytes,
        disk_used_bytes=use.disk_used_bytes,
        network_received_bytes=use.network_received_bytes,
        network_sent_bytes=use.network_sent_bytes,
        load_milli=use.load_milli,
        instances_running=use.instances_running,
    )


def _engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(snapshot_every=settings.snapshots.every_records, watcher_entries=settings.limits.watcher_buffer)
