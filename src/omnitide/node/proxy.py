"""The node proxy: the shell around the reconciler. Feeds it, remembers what it says, and has it carried out.

A *pass* takes in all stimuli that have come, in order; what is to be remembered of them is committed in one go;
only then does anything happen that others can see: driver calls, reports, timers. So a proxy that dies between any two
steps knows, when it returns, at least as much as anybody else.

Everything here runs in one task group. Cancelling `run` is the death of the process, as far as anyone outside can tell;
`stop` is the orderly end. Neither touches the instances.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from omnitide.drivers.protocol import Driver, DriverInfo, Run
from omnitide.model.spec import MAX_GRACE_MS
from omnitide.node.actions import Actions
from omnitide.node.asked_stops import as_told
from omnitide.node.clock import Clock
from omnitide.node.endpoints import Endpoints
from omnitide.node.facts import Facts, Host, HostUse
from omnitide.node.instructions import (
    BeginProbes,
    CancelTimer,
    EndProbes,
    Instruction,
    MeasureKept,
    RefreshValues,
    RemoveInstance,
    RemoveRun,
    Resync,
    SendReport,
    SetTimer,
    StartRun,
    StopRun,
)
from omnitide.node.launching import NodeContext
from omnitide.node.metrics.instances import RunningInstance
from omnitide.node.outbox import Outbox
from omnitide.node.preparing import Preparations
from omnitide.node.probes.prober import Prober
from omnitide.node.provisions.provisioner import NoProvisions, Provisions
from omnitide.node.provisions.refreshing import Refreshes
from omnitide.node.reconciler import Reconciler
from omnitide.node.records import Phase, Report
from omnitide.node.retention import Retention
from omnitide.node.session import Dialer, End, Session, Who
from omnitide.node.stimuli import (
    Connected,
    DesiredReceived,
    DriverLost,
    Leaving,
    Recovered,
    Restored,
    Stimulus,
    TimerFired,
)
from omnitide.node.timers import Timers
from omnitide.node.tunnels.serving import Reach, Tunnels
from omnitide.node.volumes import KeptVolumes
from omnitide.node.watching import Watching
from omnitide.telemetry import logs
from omnitide.telemetry.series.definition import Labels
from omnitide.wire import node_pb2 as pb

SURVEY_SECONDS: Final = 60.0
"""From one look at host and drivers to the next, while all is well."""
UNWELL_SECONDS: Final = 5.0
"""The same while a driver is not healthy or the outbox not on disk."""
SETTLE_DEADLINE: Final = 5.0
"""For the drivers to tell what they run, before the first hello."""
STOP_DEADLINE: Final = 2.0
EMPTYING_DEADLINE: Final = MAX_GRACE_MS / 1000 + 60.0
"""For instances to end on a node that was removed from the fabric; a grace may be as long."""
EMPTYING_POLL: Final = 0.2
SHUT_DOWN: Final = "this node is being shut down"
LEFT: Final = "left the fabric"

log = logs.get(__name__)


class Parts(NamedTuple):
    """What a proxy is made of. All that is not the same in a simulation."""

    who: Who
    context: NodeContext
    drivers: Sequence[Driver]
    host: Host
    outbox: Outbox
    dialer: Dialer
    endpoints: Endpoints
    clock: Clock
    rng: random.Random
    provisions: Provisions = NoProvisions()
    retention: Retention = Retention()
    volumes: str = ""
    """The folder of the volumes that the node keeps; empty where there is none."""
    told: Callable[[str, Run], Run] = as_told
    """See `asked_stops`."""
    on_first_start: Callable[[str], object] = lambda driver: None  # noqa: ARG005 (the shape of the call)
    """Called before a driver starts something for the first time. Raises OSError."""
    on_welcome: Callable[[], None] = lambda: None
    on_failure: Callable[[], None] = lambda: None
    on_settings: Callable[[pb.Settings], None] = lambda settings: None  # noqa: ARG005 (the shape of the call)


class _Finished(Exception):
    """Ends the task group with all that is in it."""


class Proxy:
    """One node. `run` once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._outbox = parts.outbox
        self._drivers = {driver.name: driver for driver in parts.drivers}
        self._reconciler = Reconciler(drivers=tuple(self._drivers), context=parts.context, retention=parts.retention)
        self._inbox: list[tuple[Stimulus | None, asyncio.Future[None] | None]] = []
        """As long as there are feeders, who each wait for their pass, and timers."""
        self._wake = asyncio.Event()
        self._timers = Timers(self._timer_fired)
        self._watching = {
            name: Watching(driver, self.feed, self._clock, parts.told) for name, driver in self._drivers.items()
        }
        self._facts = parts.host.facts()
        self._survey_wake = asyncio.Event()
        self._stopped = asyncio.Event()
        self._leaving = self._for_good = False
        self._session = Session(
            who=parts.who,
            dialer=parts.dialer,
            endpoints=parts.endpoints,
            outbox=parts.outbox,
            node=self,
            clock=parts.clock,
            rng=parts.rng,
            on_welcome=parts.on_welcome,
            on_failure=parts.on_failure,
        )
        self._group: asyncio.TaskGroup | None = None
        self._forgetting: set[asyncio.Task[None]] = set()
        """Secrets of instances that have just ended are being removed."""
        self._actions: Actions | None = None
        self._prober: Prober | None = None
        self._refreshing: Refreshes | None = None
        self._tunnels: Tunnels | None = None

    async def run(self) -> End:
        """Until `stop`, or until Nexus says that this node is removed and all its instances have ended.

        Raises an exception group for what is a defect of the proxy; what machines and networks do is dealt with.
        """
        end = End.STOPPED
        with logs.bound(node=self._parts.context.node_name):
            try:
                async with asyncio.TaskGroup() as group:
                    self._begin(group)
                    end = await self._until_end(group)
                    raise _Finished
            except* _Finished:
                pass
            finally:
                self._timers.close()
                for _, done in self._inbox:
                    if done is not None:
                        done.cancel()
        return end

    def leave(self, *, for_good: bool = False) -> None:
        """All instances here are about to be ended, by whoever says so: start none, count no such end as a failure,
        tell Nexus of them. `stop` is then a goodbye for good: Nexus has them run elsewhere at once, and if this node is
        started again, nothing starts before Nexus has said what should run. `for_good`: it is not started again as this
        node."""
        self._for_good |= for_good
        if not self._leaving:
            self._leaving = True
            # Told before any end: what takes the place of those that end must not be placed here.
            self._facts = replace(self._facts, drivers=self._offered(self._facts.drivers))
            self._session.changed()
            self._inbox.append((Leaving(at_ms=self._clock.now_ms()), None))
            self._wake.set()

    def stop(self, reason: str, back_within_ms: int, *, stopped: bool = False) -> None:
        """End in order: say goodbye, leave the instances as they are. `back_within_ms`: how long Nexus is to wait for
        this node and its instances; 0, or whatever is given after `leave`: not at all, and they have ended. `stopped`,
        or after `leave` but for good: its operator ends it, and nobody has said when it is back."""
        if self._leaving:
            reason, back_within_ms, stopped = (LEFT if self._for_good else SHUT_DOWN), 0, not self._for_good
        self._session.stop(reason, back_within_ms, stopped=stopped)
        self._stopped.set()

    def resync(self, reason: str) -> None:
        """Begin a new session, e.g. because the identity was renewed."""
        self._session.resync(reason)

    async def feed(self, stimulus: Stimulus | None) -> None:
        """Hand in a stimulus; returns when its pass is over. None only waits for a pass."""
        done = asyncio.get_running_loop().create_future()
        self._inbox.append((stimulus, done))
        self._wake.set()
        await done
        if isinstance(stimulus, DriverLost | Recovered):
            self._survey_wake.set()

    # What the session asks

    @property
    def connected_now(self) -> bool:
        """A session stands."""
        return self._session.stands

    @property
    def features(self) -> frozenset[str]:
        """Of the Nexus with which a session stands."""
        return self._session.features

    def runs(self) -> list[RunningInstance]:
        """What runs here now."""
        return self._reconciler.runs()

    def names(self) -> dict[str, Labels]:
        """The same by id, as their metrics call them."""
        return self._reconciler.names()

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def log_id(self) -> str:
        return self._reconciler.log_id

    @property
    def revision(self) -> int:
        return self._reconciler.revision

    def inventory(self) -> list[Report]:
        return self._reconciler.inventory()

    def live(self) -> int:
        return self._reconciler.live()

    async def connected(self, log_id: str) -> None:
        await self.feed(Connected(at_ms=self._clock.now_ms(), log_id=log_id))

    async def desired(self, stimulus: DesiredReceived) -> None:
        await self.feed(stimulus)

    async def beat(self) -> tuple[bool, HostUse]:
        await self.feed(None)
        infos = await self._probe()
        if _silent(infos) != _silent(self._facts.drivers):
            # Nexus is told soon, and not with the next look at everything: a runtime that hangs breaks no watch.
            self._survey_wake.set()
        return all(info.healthy or info.absent for info in infos), self._parts.host.use()

    def open_tunnel(self, endpoint: str, request: pb.OpenTunnel) -> None:
        assert self._tunnels is not None
        self._tunnels.open(endpoint, request)

    def _known(self) -> Restored:
        return self._reconciler.snapshot(self._clock.now_ms())

    def _reach_of(self, instance: str) -> Reach | None:
        running = self._reconciler.running(instance)
        if running is None:
            return None
        return Reach(running.driver, running.key, self._reconciler.ports(running))

    def settings(self, settings: pb.Settings) -> None:
        self._parts.on_settings(settings)

    # The shell

    def _prepares(self, instance: str, text: str) -> None:
        self._session.progressed(instance, text)

    def _begin(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._actions = Actions(
            group=group,
            drivers=self._drivers,
            watching=self._watching,
            feed=self.feed,
            host=self._parts.host,
            clock=self._clock,
            preparations=Preparations(self._prepares, self._parts.provisions),
            provisions=self._parts.provisions,
            on_first_start=self._parts.on_first_start,
        )
        self._refreshing = Refreshes(group=group, drivers=self._drivers, provisions=self._parts.provisions)
        self._prober = Prober(group=group, drivers=self._drivers, feed=self.feed, clock=self._clock)
        self._tunnels = Tunnels(
            group=group,
            dialer=self._parts.dialer,
            drivers=self._drivers,
            driver_of=self._reconciler.driver_of,
            retention=self._parts.retention,
            clock=self._clock,
            reach_of=self._reach_of,
            volumes=KeptVolumes(Path(self._parts.volumes), self._known) if self._parts.volumes else None,
        )
        # Before all else, what was remembered: nothing may be done or told that contradicts it.
        self._carry_out(self._reconciler.handle(self._outbox.restored(self._clock.now_ms())))
        group.create_task(self._parts.provisions.sweep(self._reconciler.lives), name="sweep-secrets")
        group.create_task(self._pass_forever(), name="passes")
        for name, watching in self._watching.items():
            group.create_task(watching.run(), name=f"watch-{name}")

    async def _until_end(self, group: asyncio.TaskGroup) -> End:
        with contextlib.suppress(TimeoutError):
            # The first hello says what runs here, which the drivers have to tell first.
            async with asyncio.timeout(SETTLE_DEADLINE):
                for watching in self._watching.values():
                    await watching.listed.wait()
        await self._survey()
        group.create_task(self._survey_forever(), name="survey")
        session = group.create_task(self._session.run(), name="session")
        stopped = group.create_task(self._stopped.wait(), name="stop")
        await asyncio.wait((session, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not session.done():
            await asyncio.wait((session,), timeout=STOP_DEADLINE)
        end = session.result() if session.done() else End.STOPPED
        if self._leaving and self._session.said_goodbye:
            self._outbox.forget_desired()
        if end is End.REMOVED:
            await self._empty()
        if self._forgetting:
            await asyncio.wait(self._forgetting, timeout=STOP_DEADLINE)
        return end

    async def _empty(self) -> None:
        """This node was removed from the fabric: whatever it runs is stale, and most likely runs elsewhere by now."""
        log.error("this node was removed from its fabric; stopping its instances", instances=self.live())
        await self.connected(self.log_id)
        await self.desired(DesiredReceived(at_ms=self._clock.now_ms(), full=True, revision=self.revision))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EMPTYING_DEADLINE):
                while self.live() and not self._stopped.is_set():
                    await asyncio.sleep(EMPTYING_POLL)

    async def _pass_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken, self._inbox = self._inbox, []
            instructions: list[Instruction] = []
            for stimulus, _ in taken:
                if stimulus is not None:
                    instructions += self._reconciler.handle(stimulus)
            self._carry_out(instructions)
            for _, done in taken:
                if done is not None and not done.done():
                    done.set_result(None)

    def _carry_out(self, instructions: list[Instruction]) -> None:
        assert self._actions is not None
        assert self._refreshing is not None
        assert self._prober is not None
        assert self._group is not None
        outbox_id = self._outbox.id
        self._outbox.commit(instructions)
        if self._outbox.id != outbox_id:
            self._session.resync("the outbox has a new id")
        for instruction in instructions:
            match instruction:
                case SendReport():
                    _tell(instruction)
                    if instruction.report.phase is Phase.ENDED:
                        self._refreshing.end(instruction.report.instance)
                        ended = self._parts.provisions.ended(instruction.report.instance)
                        task = self._group.create_task(ended, name="forget-secrets")
                        self._forgetting.add(task)
                        task.add_done_callback(self._forgetting.discard)
                    self._session.changed()
                case StartRun() | StopRun() | RemoveRun() | RemoveInstance() | MeasureKept():
                    self._actions.put(instruction)
                case RefreshValues():
                    self._refreshing.begin(instruction)
                case SetTimer(key=key, delay_ms=delay_ms):
                    self._timers.set(key, delay_ms)
                case CancelTimer(key=key):
                    self._timers.cancel(key)
                case BeginProbes():
                    self._prober.begin(instruction)
                case EndProbes(instance=instance):
                    self._prober.end(instance)
                case Resync(reason=reason):
                    log.warning("the desired state cannot be followed; beginning a new session", reason=reason)
                    self._session.resync(reason)
                case _:
                    pass  # the outbox has taken it

    def _timer_fired(self, key: tuple[str, str]) -> None:
        self._inbox.append((TimerFired(at_ms=self._clock.now_ms(), key=key), None))
        self._wake.set()

    async def _probe(self) -> list[DriverInfo]:
        return await asyncio.gather(*(watching.probe() for watching in self._watching.values()))

    async def _survey(self) -> bool:
        """Look at host and drivers; what has changed is told to Nexus. True if all is well."""
        infos = await self._probe()
        facts = replace(self._parts.host.facts(), drivers=self._offered(infos))
        for name in sorted(_silent(self._facts.drivers) - _silent(infos)):
            # What became of its runs meanwhile may have been told to nobody.
            self._watching[name].relist()
        if facts != self._facts:
            self._facts = facts
            self._session.changed()
        on_disk = not self._outbox.in_memory or self._outbox.return_to_disk()
        return on_disk and all(info.healthy or info.absent for info in infos)

    def _offered(self, infos: Iterable[DriverInfo]) -> tuple[DriverInfo, ...]:
        """The drivers as Nexus may count on them."""
        if not self._leaving:
            return tuple(infos)
        return tuple(replace(info, healthy=False, detail=SHUT_DOWN) for info in infos)

    async def _survey_forever(self) -> None:
        while True:
            well = await self._survey()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SURVEY_SECONDS if well else UNWELL_SECONDS):
                    await self._survey_wake.wait()
            self._survey_wake.clear()


def _silent(infos: Iterable[DriverInfo]) -> set[str]:
    return {info.name for info in infos if info.silent}


def _tell(sent: SendReport) -> None:
    report = sent.report
    fields: dict[str, object] = {"instance": sent.name or report.instance, "attempt": report.attempt}
    if sent.correlation:
        fields["correlation"] = sent.correlation
    if report.outcome is not None:
        fields["outcome"] = report.outcome.value
    if report.handle:
        fields["handle"] = report.handle
    ending = report.ending
    if ending is not None and report.phase in (Phase.WAITING, Phase.ENDED):
        told = {"reason": ending.reason, "code": ending.code, "signal": ending.signal, "cause": ending.cause}
        fields |= {key: value for key, value in told.items() if value not in (None, "")}
        if ending.message:
            fields["detail"] = ending.message
    log.info(f"instance {report.phase}", **fields)
