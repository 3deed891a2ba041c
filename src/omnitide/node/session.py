"""The node's talk with Nexus: dials, says hello, carries desired state in and reports out, and comes back when cut off.

Knows nothing of carriage (`Dialer`) nor of instances (`SessionNode`); time and chance come from outside, so that the
same code runs on a virtual clock. One task receives, one sends; nobody else touches the link.
"""

import asyncio
import contextlib
import enum
import random
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from omnitide.node.backoff import Backoff
from omnitide.node.clock import Clock
from omnitide.node.endpoints import Endpoints
from omnitide.node.facts import Facts, HostUse
from omnitide.node.hello import fitting_inventory
from omnitide.node.outbox import Outbox
from omnitide.node.records import Report
from omnitide.node.stimuli import DesiredReceived
from omnitide.node.translate import beat_message, desired_stimulus, facts_message, report_message
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1
SAMPLES: Final = "samples"
FEATURES: Final = ("logs", "desired-parts", SAMPLES)
"""Named extras that this software has: log tunnels; a full desired state in several messages; a stream of samples."""

DIAL_DEADLINE: Final = 10.0
"""Seconds until the first answer to a hello; a dial that takes longer is a failure."""
GOODBYE_DEADLINE: Final = 1.0
SILENT_BEATS: Final = 3
"""So many beats that did not come mean that the other side is gone, whatever the carriage thinks."""
REPORTS_PER_MESSAGE: Final = 64
BYTES_PER_MESSAGE: Final = 1 << 20
MAX_IN_FLIGHT: Final = 512
"""Reports sent and not acknowledged; further ones wait in the outbox."""
MAX_DESIRED_BYTES: Final = 64 << 20
"""Of a full desired state in all its parts."""
MAX_COMPLAINTS: Final = 64
"""Different ones in one session; a further one is not told."""
REFUSED_WAIT: Final = (30.0, 60.0)
"""Seconds between tries when Nexus refused for good: somebody may put it right there."""

log = logs.get(__name__)

NodeLink = Link[pb.NodeMessage, pb.NexusMessage]
TunnelLink = Link[pb.TunnelFrame, pb.TunnelFrame]


class Dialer(Protocol):
    """Opens links to a Nexus. Carriage, identity and encryption are its business."""

    async def dial(self, endpoint: str) -> NodeLink:
        """Raises LinkClosed."""
        ...

    async def open_tunnel(self, endpoint: str) -> TunnelLink:
        """Raises LinkClosed."""
        ...


PROGRESS_EVERY: Final = 0.5
"""Seconds between two messages about preparations."""


class SessionNode(Protocol):
    """What the session asks of the node."""

    @property
    def facts(self) -> Facts: ...
    @property
    def log_id(self) -> str: ...
    @property
    def revision(self) -> int: ...
    def inventory(self) -> list[Report]: ...
    def live(self) -> int: ...
    async def connected(self, log_id: str) -> None: ...
    async def desired(self, stimulus: DesiredReceived) -> None:
        """Returns when it has been applied and remembered."""
        ...

    async def beat(self) -> tuple[bool, HostUse]:
        """Whether reconciler and supervisor answer, and what the host uses."""
        ...

    def open_tunnel(self, endpoint: str, request: pb.OpenTunnel) -> None: ...
    def settings(self, settings: pb.Settings) -> None: ...


class Who(NamedTuple):
    """How a node introduces itself."""

    node_id: str
    boot_id: str
    software: str


class End(enum.Enum):
    """Why `Session.run` returned."""

    STOPPED = "stopped"
    REMOVED = "removed"
    """Nexus says that this node is no longer of the fabric."""


class _Refused(Exception):
    def __init__(self, refused: pb.Refused) -> None:
        super().__init__(f"Nexus refuses this node ({refused.reason}): {refused.message}")
        self.reason = refused.reason
        self.permanent = refused.permanent


class _Redirected(Exception):
    def __init__(self, addresses: list[str]) -> None:
        super().__init__(f"another Nexus leads: {', '.join(addresses) or 'none is named'}")
        self.addresses = addresses


class Session:
    """One node's session, again and again until `stop`."""

    def __init__(
        self,
        *,
        who: Who,
        dialer: Dialer,
        endpoints: Endpoints,
        outbox: Outbox,
        node: SessionNode,
        clock: Clock,
        rng: random.Random,
        on_welcome: Callable[[], None] = lambda: None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_welcome`, `on_failure`: whether the identity that the dialer showed served."""
        self._who = who
        self._dialer = dialer
        self._endpoints = endpoints
        self._outbox = outbox
        self._node = node
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(rng)
        self._on_welcome = on_welcome
        self._on_failure = on_failure
        self._stopping = asyncio.Event()
        self._goodbye = pb.Goodbye()
        self.said_goodbye = False
        """It was sent: Nexus knows, unless the connection broke at the same time."""
        self._stands = False
        self.features: frozenset[str] = frozenset()
        """What the Nexus of this session, or the last, can do besides."""
        self._wake = asyncio.Event()
        """Something is to be sent."""
        self._facts_sent: Facts | None = None
        self._sent = self._acknowledged = 0
        """Sequences, of this session."""
        self._kept: int | None = None
        """This session's number, while Nexus does not know yet that it is on disk."""
        self._beat_asked: int | None = None
        self._beat_wake = asyncio.Event()
        self._beat_answer: pb.Beat | None = None
        self._silence: float | None = None
        """Seconds without a message after which the link counts as dead."""
        self._resync: str | None = None
        self._progress: dict[str, str] = {}
        """How far preparations have come, as far as that has not been told."""
        self._progress_after = 0.0
        """Loop time before which it is not told again."""
        self._said: set[str] = set()
        """What was complained about in this session, so as to do it once."""

    @property
    def stands(self) -> bool:
        """Nexus has welcomed this node and the link holds, as far as anyone knows."""
        return self._stands

    def changed(self) -> None:
        """There may be something to send: reports in the outbox, other facts."""
        self._wake.set()

    def progressed(self, instance: str, text: str) -> None:
        """How far the preparation of an instance has come; told now and then, while a session stands."""
        if not self._stands:
            return
        if not self._progress:
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, self._progress_after - loop.time()), self._wake.set)
        self._progress[instance] = text

    def resync(self, reason: str) -> None:
        """End this session and begin another, which says everything anew."""
        if self._stands:
            self._resync = self._resync or reason
            self._wake.set()

    def stop(self, reason: str, back_within_ms: int, *, stopped: bool = False) -> None:
        """Say what there is to say, then goodbye, and end; `run` returns soon after. `back_within_ms` 0: not by itself,
        and nothing runs here any more. `stopped`: by the operator, who has not said for how long."""
        self._goodbye = pb.Goodbye(reason=reason, back_within_ms=back_within_ms, stopped=stopped)
        self._stopping.set()
        self._wake.set()

    async def run(self) -> End:
        """Until `stop`, or until Nexus says that this node was removed. Raises LookupError if no endpoint is known."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            endpoint = self._endpoints.current
            began = loop.time()
            wait: float | None = None
            try:
                stood = await self._converse(endpoint)
                wait = self._backoff.failed(loop.time(), stood_for=stood)
            except _Redirected as redirected:
                log.info("sent to another Nexus", endpoint=endpoint, endpoints=redirected.addresses)
                if not self._endpoints.redirected(redirected.addresses):
                    wait = self._backoff.failed(loop.time())
            except _Refused as refused:
                self._complain(f"refused {refused.reason}", str(refused), endpoint)
                if refused.reason == "identity":
                    self._on_failure()
                if refused.permanent and refused.reason == "removed":
                    return End.REMOVED
                wait = self._backoff.failed(loop.time())
                if self._endpoints.failed() and refused.permanent:
                    wait = self._rng.uniform(*REFUSED_WAIT)
            except (LinkClosed, TimeoutError) as error:
                reason = error.reason if isinstance(error, LinkClosed) else "no answer in time"
                self._on_failure()
                self._complain("unreachable", f"Nexus cannot be reached: {reason}", endpoint)
                wait = self._backoff.failed(loop.time()) if self._endpoints.failed() else None
                log.debug("dialling failed", endpoint=endpoint, reason=reason, seconds=loop.time() - began)
            if wait is not None:
                await self._pause(wait)
        return End.STOPPED

    async def _converse(self, endpoint: str) -> float:
        """One session. Returns for how long it stood when it is over; raises LinkClosed, TimeoutError, _Refused or
        _Redirected if it never did."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DIAL_DEADLINE):
            link = await self._dialer.dial(endpoint)
        try:
            async with asyncio.timeout(DIAL_DEADLINE):
                hello = self._hello()
                await link.send(pb.NodeMessage(hello=hello))
                welcome = self._first_answer(await link.receive())
            if not self._accept(welcome, endpoint, hello.outbox_id):
                return 0.0
            since = loop.time()
            await self._node.connected(welcome.log_id)
            self._stands = True
            reason = await self._carry(link, endpoint)
            log.info("the session ended", endpoint=endpoint, reason=reason, seconds=round(loop.time() - since, 3))
            return loop.time() - since
        finally:
            self._stands = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_DEADLINE):
                    await link.close()

    def _hello(self) -> pb.Hello:
        self._resync = None
        self._facts_sent = self._node.facts
        return pb.Hello(
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_MAX,
            features=FEATURES,
            software=self._who.software,
            node_id=self._who.node_id,
            boot_id=self._who.boot_id,
            facts=facts_message(self._facts_sent),
            outbox_id=self._outbox.id,
            instances=fitting_inventory(self._node.inventory()),
            log_id=self._node.log_id,
            desired_revision=self._node.revision,
            last_session=self._outbox.session,
            now_ms=self._clock.now_ms(),
        )

    def _first_answer(self, message: pb.NexusMessage) -> pb.Welcome:
        match message.WhichOneof("body"):
            case "welcome":
                return message.welcome
            case "refused":
                raise _Refused(message.refused)
            case "redirect":
                raise _Redirected(_addresses(message.redirect.endpoints))
            case other:
                raise LinkClosed(f"the first message from Nexus is {other or 'unknown'}, not a welcome")

    def _accept(self, welcome: pb.Welcome, endpoint: str, outbox_id: str) -> bool:
        """Take in what the welcome says. False if the session has to be begun again at once."""
        if not PROTOCOL_MIN <= welcome.protocol <= PROTOCOL_MAX:
            reason = f"Nexus ({welcome.software}) speaks protocol {welcome.protocol}"
            raise _Refused(pb.Refused(reason="version", message=f"{reason}, which is not known here", permanent=True))
        self.features = frozenset(welcome.features)
        self._endpoints.welcomed(_addresses(welcome.endpoints), endpoint)
        self._outbox.save_endpoints(self._endpoints.known)
        self._on_welcome()
        # Durable before anything is said in it: from then on this node is known by having had it.
        kept = bool(welcome.session) and self._outbox.save_session(welcome.session)
        if outbox_id != self._outbox.id:
            return False  # the outbox changed between hello and welcome
        if welcome.acknowledged_sequence > self._outbox.last_sequence:
            log.error("Nexus has reports that this node has forgotten; the outbox gets a new id")
            self._outbox.renew_id()
            return False
        self._outbox.acknowledge(welcome.acknowledged_sequence)
        self._outbox.dropped = 0
        self._sent = self._acknowledged = welcome.acknowledged_sequence
        self._beat_asked = self._beat_answer = self._silence = None
        self._said.clear()
        self._progress.clear()
        self._kept = welcome.session if kept else None
        self._take_settings(welcome.settings)
        log.info(
            "connected",
            endpoint=endpoint,
            session=welcome.session,
            nexus=welcome.software,
            pending_reports=self._outbox.pending_count,
        )
        return True

    async def _carry(self, link: NodeLink, endpoint: str) -> str:
        """Send and receive until the session is over; returns why."""
        self._wake.set()
        tasks = [
            asyncio.create_task(self._receive(link, endpoint), name="session-receive"),
            asyncio.create_task(self._send(link), name="session-send"),
            asyncio.create_task(self._answer_beats(), name="session-beats"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # The first in the order of `tasks`, not of the set: two may end at once, and chance decides nothing here.
        first = next(task for task in tasks if task in done)
        try:
            return first.result()
        except LinkClosed as closed:
            return closed.reason
        except TimeoutError:
            return "Nexus has fallen silent"

    async def _receive(self, link: NodeLink, endpoint: str) -> str:
        parts: list[pb.Desired] = []
        size = 0
        while True:
            async with asyncio.timeout(self._silence):
                message = await link.receive()
            kind = message.WhichOneof("body")
            match kind:
                case "desired":
                    part = message.desired
                    if part.full:
                        parts, size = [], 0
                    parts.append(part)
                    size += part.ByteSize()
                    if size > MAX_DESIRED_BYTES:
                        # Nexus gives a node less. One that does not would fill this machine's memory and disk.
                        text = f"Nexus wants more of this node than the {MAX_DESIRED_BYTES >> 20} MiB of specs it takes"
                        self._complain("desired", f"{text}: use smaller specs, or more nodes", endpoint)
                        return text
                    if not part.more:
                        await self._node.desired(desired_stimulus(parts, self._clock.now_ms()))
                        parts, size = [], 0
                case "ack":
                    self._acknowledge(message.ack)
                case "beat":
                    self._beat_asked = message.beat.number
                    self._beat_wake.set()
                case "open_tunnel":
                    self._node.open_tunnel(endpoint, message.open_tunnel)
                case "settings":
                    self._take_settings(message.settings)
                case "redirect":
                    self._endpoints.redirected(_addresses(message.redirect.endpoints))
                    return "another Nexus leads"
                case "refused":
                    raise _Refused(message.refused)
                case "welcome" | None:
                    self._complain(f"message {kind}", f"ignoring a message that is {kind or 'unknown here'}", endpoint)

    async def _send(self, link: NodeLink) -> str:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_DEADLINE):
                        await self._send_reports(link)
                        await link.send(pb.NodeMessage(goodbye=self._goodbye))
                        self.said_goodbye = True
                return "goodbye"
            if self._resync is not None:
                return self._resync
            if self._kept is not None:
                kept, self._kept = self._kept, None
                await link.send(pb.NodeMessage(kept=pb.Kept(session=kept)))
            if self._beat_answer is not None:
                answer, self._beat_answer = self._beat_answer, None
                await link.send(pb.NodeMessage(beat=answer))
            if self._facts_sent != self._node.facts:
                self._facts_sent = self._node.facts
                await link.send(pb.NodeMessage(facts=facts_message(self._facts_sent)))
            await self._send_reports(link)
            await self._send_progress(link)

    async def _send_progress(self, link: NodeLink) -> None:
        now = asyncio.get_running_loop().time()
        if self._progress and now >= self._progress_after:
            texts, self._progress = self._progress, {}
            self._progress_after = now + PROGRESS_EVERY
            await link.send(pb.NodeMessage(progress=pb.Progress(texts=texts)))

    async def _send_reports(self, link: NodeLink) -> None:
        while self._sent - self._acknowledged < MAX_IN_FLIGHT:
            batch = self._outbox.pending(self._sent, REPORTS_PER_MESSAGE, BYTES_PER_MESSAGE)
            if not batch:
                return
            reports = pb.Reports(
                first_sequence=batch[0].sequence, reports=[report_message(pending.report) for pending in batch]
            )
            self._sent = batch[-1].sequence
            await link.send(pb.NodeMessage(reports=reports))

    async def _answer_beats(self) -> str:
        """Beats are answered apart from the sender, which must not wait for a supervisor that hangs. Beats that come
        while one is being answered are answered together, by the last one's number."""
        while True:
            await self._beat_wake.wait()
            self._beat_wake.clear()
            keeper_alive, use = await self._node.beat()
            number, self._beat_asked = self._beat_asked, None
            if number is not None:
                running = self._node.live()
                self._beat_answer = beat_message(
                    number,
                    keeper_alive=keeper_alive,
                    use=use,
                    instances_running=running,
                    now_ms=self._clock.now_ms(),
                )
                self._wake.set()

    def _acknowledge(self, ack: pb.Ack) -> None:
        if ack.outbox_id != self._outbox.id or ack.sequence > self._sent:
            self._complain("ack", "ignoring an acknowledgement of reports that were not sent", "")
            return
        if ack.sequence > self._acknowledged:
            self._acknowledged = ack.sequence
            self._outbox.acknowledge(ack.sequence)
            if self._outbox.dropped:
                self.resync("reports were dropped from the full outbox; a hello tells all")
            self._wake.set()

    def _take_settings(self, settings: pb.Settings) -> None:
        self._silence = settings.beat_ms * SILENT_BEATS / 1000 if settings.beat_ms else None
        self._node.settings(settings)

    def _complain(self, what: str, message: str, endpoint: str) -> None:
        if what not in self._said and len(self._said) < MAX_COMPLAINTS:
            self._said.add(what)
            log.warning(message, endpoint=endpoint)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _addresses(endpoints: Iterable[pb.Endpoint]) -> list[str]:
    """The leader first."""
    known = list(endpoints)
    return [e.address for e in known if e.leader] + [e.address for e in known if not e.leader]
