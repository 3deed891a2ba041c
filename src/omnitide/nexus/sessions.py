"""Node sessions: what is said to one node and what it says, over a link of whatever carriage.

A session tells its node what should be there (a full sync, then what changed) and takes its reports. It talks to the
engine by commands only and reads the committed state only, so it can move to a process of its own (DESIGN, "Nodes").
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from omnitide.fabric import commands as cm
from omnitide.fabric import events as ev
from omnitide.fabric.decide import Decision
from omnitide.fabric.rejection import Rejection
from omnitide.fabric.state import FabricState, NodeFacts, NodeStatus, Phase
from omnitide.nexus import greeting, translate
from omnitide.nexus.clock import Clock
from omnitide.nexus.desired import DesiredLoad, desired_messages
from omnitide.nexus.engine import Engine
from omnitide.nexus.greeting import Peer, SessionSettings, settings_message
from omnitide.nexus.kept import Kept, KeptSessions
from omnitide.nexus.leases import Leases
from omnitide.nexus.manners import Complaints, ProtocolFault, require_asked, require_hello, require_reports
from omnitide.nexus.provisioning import nodes_using, versions
from omnitide.nexus.routing import nodes_of
from omnitide.nexus.watching import Committed
from omnitide.operations.runtime import InternalFault, NotServing
from omnitide.telemetry import logs
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import Link, LinkClosed

_log = logs.get(__name__)

HELLO_TIMEOUT_S: Final = 10.0
FAREWELL_S: Final = 1.0
"""For the reason of an end to be sent to a node that may not be reading."""
RETRY_S: Final = 0.25
MAX_PROGRESS: Final = 2000
"""Instances of a node whose preparation is told of."""
MAX_PROGRESS_TEXT: Final = 200
MAX_TUNNELS_WAITING: Final = 64
"""Tunnels asked for that could not be told to the node yet; it opens 32 at a time."""

_Told = tuple[int, int, dict[str, int], dict[str, int]]
"""Goal, its own version, and those of secrets and configs."""

NodeLink = Link[pb.NexusMessage, pb.NodeMessage]


class HostSample(NamedTuple):
    """A node's last answer to a beat."""

    at_ms: int
    keeper_alive: bool
    use: pb.HostUse


class TunnelsFull(Exception):
    """The node takes up tunnels more slowly than they are asked for."""

    def __init__(self, node: str) -> None:
        super().__init__(f"{MAX_TUNNELS_WAITING} streams wait to be told to node {node} already; try again later")
        self.node = node


class NodeSession:
    """One session, from Hello to the end of its link."""

    def __init__(self, sessions: "Sessions", link: NodeLink, peer: Peer) -> None:
        self._sessions = sessions
        self._engine = sessions.engine
        self._link = link
        self.peer = peer
        self.epoch = 0
        self.sample: HostSample | None = None
        self.stalled_since_ms = 0
        self.clock_ahead_ms = 0
        """How far the node's clock is ahead of the log's; 0: by little."""
        self._outbox = ""
        self._software = ""
        self._boot = ""
        self._known: dict[str, _Told] = {}
        """What the node has been told of each instance."""
        self._load = DesiredLoad()
        self.withheld: dict[str, str] = {}
        """Why the node is not told of an instance that was placed on it."""
        self._dirty = asyncio.Event()
        self._ack = 0
        self._acked = 0
        self._tunnels: dict[str, pb.OpenTunnel] = {}
        """Those that the node has not been told of yet, by name."""
        self._beat = 0
        self._answered = 0
        self._settings_changed = False
        self.progress: dict[str, str] = {}
        """How far the node's preparations have come, by instance."""

    @property
    def memory(self) -> tuple[str, str]:
        """What tells two proxies with one identity apart: where they remember, and since when their machine runs."""
        return self._outbox, self._boot

    # -- the life of a session ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until the link ends. Never raises LinkClosed."""
        log = _log.bind(node=self.peer.node)
        # Of one that comes again and again to say what it may not, the complaints tell enough.
        tell = log.debug if self._sessions.complaints.recent(self.peer.node) else log.info
        try:
            if not await self._handshake():
                return
            tell("node connected", session=self.epoch, address=self.peer.address)
            await self._serve()
        except ProtocolFault as fault:
            await self._turn_away(fault)
        except InternalFault as fault:
            # The engine has told of it, with its cause.
            await self._turn_away(ProtocolFault(fault.reason))
        except LinkClosed as closed:
            tell("node session ended", session=self.epoch, reason=closed.reason)
        finally:
            await self._link.close()
            if self.epoch:
                self._sessions.ended(self)

    async def _serve(self) -> None:
        tasks = [
            asyncio.get_running_loop().create_task(part) for part in (self._receive(), self._send(), self._beats())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self) -> None:
        await self._link.close()

    async def _turn_away(self, fault: ProtocolFault) -> None:
        """Tell the node and the log what it said that it may not. It may come again: it may be mended by then."""
        with contextlib.suppress(LinkClosed, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._refuse("protocol", fault.reason, permanent=False)

    async def _refuse(self, reason: str, message: str, *, permanent: bool) -> None:
        node, address = self.peer.node, self.peer.address
        complain = self._sessions.complaints.write
        complain("node refused", node, reason, node=node, address=address, reason=reason, detail=message)
        await self._link.send(pb.NexusMessage(refused=pb.Refused(reason=reason, message=message, permanent=permanent)))

    async def _handshake(self) -> bool:
        try:
            first = await asyncio.wait_for(self._link.receive(), HELLO_TIMEOUT_S)
        except TimeoutError:
            raise LinkClosed(f"no hello within {HELLO_TIMEOUT_S:.0f} s") from None
        if first.WhichOneof("body") != "hello":
            raise ProtocolFault("the first message has to be a hello")
        hello = first.hello
        require_hello(hello)
        self._outbox, self._boot, self._software = hello.outbox_id, hello.boot_id, hello.software
        used_from = self._sessions.used_elsewhere(self)
        copied = self._sessions.kept.refusal(self.peer.node, hello.last_session)
        refused = greeting.refusal(hello, self.peer, used_from, copied)
        if refused is not None:
            await self._refuse(refused.reason, refused.message, permanent=refused.permanent)
            return False
        outcome = await self._connect(hello)
        if isinstance(outcome, Rejection):
            gone = self.peer.node not in self._engine.committed().nodes
            reason = "removed" if gone else "identity" if outcome.code == "forbidden" else outcome.code
            await self._refuse(reason, outcome.message, permanent=outcome.code in ("not-found", "forbidden"))
            return False
        self.epoch = int(outcome.result["session"])
        self._ack = self._acked = int(outcome.result["sequence"])
        self._sessions.began(self)
        welcome = greeting.welcome(
            hello,
            self._sessions.settings(),
            session=self.epoch,
            acknowledged=self._acked,
            time_ms=self._engine.time.wall.now_ms(),
        )
        await self._link.send(pb.NexusMessage(welcome=welcome))
        return True

    async def _connect(self, hello: pb.Hello) -> Decision | Rejection:
        self._note_clock(hello.now_ms)
        reports = [translate.report_from(message, self.clock_ahead_ms) for message in hello.instances]
        command = cm.ConnectNode(
            node=self.peer.node,
            key_digest=self.peer.key_digest,
            facts=self._facts(hello.facts),
            outbox=hello.outbox_id,
            instances=tuple(report for report in reports if report is not None),
        )
        return await self._submit(command)

    def _facts(self, facts: pb.Facts) -> NodeFacts:
        return translate.facts_from(facts, software=self._software, boot_id=self._boot)

    async def _submit(self, command: cm.Command) -> Decision | Rejection:
        """Until the engine takes it: a node's reports wait for the disk to have room, they are not lost."""
        header = cm.Header(principal=f"node:{self.peer.node}")
        while True:
            try:
                return await self._engine.submit(command, header)
            except InternalFault:
                raise
            except NotServing as refusal:
                if not refusal.retryable:
                    raise LinkClosed(str(refusal)) from refusal
                await asyncio.sleep(RETRY_S)

    # -- what the node says ------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        while True:
            message = await self._link.receive()
            body = message.WhichOneof("body")
            if body == "reports":
                await self._reports(message.reports)
            elif body == "hello":
                raise ProtocolFault("a second hello: a session has one")
            elif body == "beat":
                require_asked(message.beat, self._beat)
                self._beat_answered(message.beat)
            elif body == "kept":
                if message.kept.session == self.epoch:
                    self._sessions.kept.add(self.peer.node, Kept(self.epoch, self.peer.address))
            elif body == "progress":
                self._progressed(message.progress)
            elif body == "facts":
                facts = self._facts(message.facts)
                self._require(
                    await self._submit(cm.ChangeNodeFacts(node=self.peer.node, session=self.epoch, facts=facts))
                )
            elif body == "goodbye":
                goodbye = message.goodbye
                self._require(
                    await self._submit(
                        cm.DepartNode(
                            node=self.peer.node,
                            session=self.epoch,
                            reason=goodbye.reason[:200] or "left",
                            back_within_ms=goodbye.back_within_ms,
                            stopped=goodbye.stopped,
                        )
                    )
                )
                raise LinkClosed(f"the node said goodbye: {goodbye.reason[:200]}")
            # Anything else is of a newer protocol; a feature that matters would have been negotiated.

    async def _reports(self, message: pb.Reports) -> None:
        require_reports(message)
        reports = [translate.report_from(report, self.clock_ahead_ms) for report in message.reports]
        # A report of a phase not known here keeps its place in the sequence as one of an instance that nobody has.
        command = cm.ReportInstances(
            node=self.peer.node,
            session=self.epoch,
            outbox=self._outbox,
            first_sequence=message.first_sequence,
            reports=tuple(report or _NOTHING for report in reports),
        )
        decision = self._require(await self._submit(command))
        self._ack = max(self._ack, int(decision.result["sequence"]))
        self._dirty.set()

    def _require(self, outcome: Decision | Rejection) -> Decision:
        if isinstance(outcome, Rejection):
            cannot_be = outcome.code in ("invalid", "limit")
            raise ProtocolFault(outcome.message) if cannot_be else LinkClosed(outcome.message)
        return outcome

    def _progressed(self, progress: pb.Progress) -> None:
        for instance in sorted(progress.texts):
            text = progress.texts[instance]
            if not text:
                self.progress.pop(instance, None)
            elif instance in self._known and (instance in self.progress or len(self.progress) < MAX_PROGRESS):
                self.progress[instance] = text[:MAX_PROGRESS_TEXT]

    def _beat_answered(self, beat: pb.Beat) -> None:
        self._answered = max(self._answered, beat.number)
        self.sample = HostSample(self._sessions.clock.now_ms(), beat.keeper_alive, beat.host)
        self._note_clock(beat.now_ms)
        if self._answered == self._beat and beat.keeper_alive:
            self.stalled_since_ms = 0

    def _note_clock(self, told_ms: int) -> None:
        self.clock_ahead_ms = translate.ahead_ms(told_ms, self._engine.time.now_ms(), self.clock_ahead_ms)

    # -- what the node is told ---------------------------------------------------------------------------------------

    def mark_dirty(self) -> None:
        """Something about this node's instances may have changed."""
        self._dirty.set()

    def settings_changed(self) -> None:
        self._settings_changed = True
        self._dirty.set()

    def open_tunnel(self, request: pb.OpenTunnel) -> None:
        """Ask the node to open a tunnel. Raises TunnelsFull."""
        if len(self._tunnels) >= MAX_TUNNELS_WAITING:
            raise TunnelsFull(self.peer.node)
        self._tunnels[request.tunnel] = request
        self._dirty.set()

    def withdraw_tunnel(self, tunnel: str) -> None:
        """Nobody waits for it any more: if the node has not been told yet, it never is."""
        self._tunnels.pop(tunnel, None)

    async def _send(self) -> None:
        await self._sync(full=True)
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if self._ack > self._acked:
                self._acked = self._ack
                await self._link.send(pb.NexusMessage(ack=pb.Ack(outbox_id=self._outbox, sequence=self._acked)))
            await self._sync(full=False)
            while self._tunnels:
                request = self._tunnels.pop(next(iter(self._tunnels)))
                await self._link.send(pb.NexusMessage(open_tunnel=request))
            if self._settings_changed:
                self._settings_changed = False
                await self._link.send(pb.NexusMessage(settings=settings_message(self._sessions.settings())))

    async def _sync(self, *, full: bool) -> None:
        """Tell the node what differs between what it was told and what the committed state wants of it."""
        state = self._engine.committed()
        node = state.nodes.get(self.peer.node)
        if node is None:
            await self._refuse("removed", "this node has been removed from the fabric", permanent=True)
            raise LinkClosed("the node was removed")
        self.withheld = self._load.fit(state, node)
        changed: list[str] = []
        wanted: dict[str, _Told] = {}
        for identifier in node.instances:
            instance = state.instances[identifier]
            goal = translate.goal_of(instance)
            if goal != pb.GOAL_UNSPECIFIED and identifier not in self.withheld:
                told = wanted[identifier] = (goal, instance.version, *versions(state, instance))
                if self._known.get(identifier) != told:
                    changed.append(identifier)
        removed = sorted(identifier for identifier in self._known if identifier not in wanted)
        changed.sort()
        if not full and not changed and not removed:
            return
        self._known = wanted
        for desired in desired_messages(state, changed, removed, full=full):
            await self._link.send(pb.NexusMessage(desired=desired))

    async def _beats(self) -> None:
        """A beat proves the node, keepalive only the path: one that is not answered makes the node stalled."""
        while True:
            await asyncio.sleep(self._sessions.settings().beat_ms / 1000)
            if self._answered < self._beat and not self.stalled_since_ms:
                self.stalled_since_ms = self._sessions.clock.now_ms()
                _log.warning("node is stalled", node=self.peer.node, beat=self._beat)
            self._beat += 1
            await self._link.send(pb.NexusMessage(beat=pb.Beat(number=self._beat)))


_NOTHING: Final = cm.InstanceReport(instance="", attempt=0, phase=Phase.NONE)


class Sessions:
    """All sessions of this Nexus, by node, and the routing of commits to them."""

    def __init__(self, engine: Engine, clock: Clock, leases: Leases, settings: Callable[[], SessionSettings]) -> None:
        self.engine = engine
        self.clock = clock
        self.settings = settings
        self._leases = leases
        self._live: dict[str, NodeSession] = {}
        self._began_ms = clock.now_ms()
        self._broken_ms: dict[str, int] = {}
        """When the last session of a node ended, of those that have had one and have none."""
        self.kept = KeptSessions()
        self.complaints = Complaints()
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = False
        engine.subscribe(self._on_commit)

    def __len__(self) -> int:
        return len(self._live)

    def get(self, node: str) -> NodeSession | None:
        return self._live.get(node)

    def silent_since_ms(self, node: str) -> int:
        """Since when nothing has been heard of a node without a session: one that counts as live by the log may have
        connected long ago, and was heard until its session ended, or before this Nexus began. 0: it is not known."""
        known = self.engine.committed().nodes.get(node)
        if known is None or known.status is not NodeStatus.LIVE:
            return known.since_ms if known is not None else 0
        return max(known.since_ms, self._broken_ms.get(node, self._began_ms))

    async def serve(self, link: NodeLink, peer: Peer) -> None:
        """Run one session until its link ends."""
        if self._closing:
            await link.close()
            return
        await NodeSession(self, link, peer).run()

    async def close(self) -> None:
        """End all sessions, as when this process stops: nodes go on and find the next one."""
        self._closing = True
        for session in list(self._live.values()):
            await session.end()

    def settings_changed(self) -> None:
        for session in self._live.values():
            session.settings_changed()

    def began(self, session: NodeSession) -> None:
        """The newest session of a node takes over; the one before has lost its epoch already."""
        before = self._live.get(session.peer.node)
        self._live[session.peer.node] = session
        self._broken_ms.pop(session.peer.node, None)
        self._leases.session_opened(session.peer.node)
        if before is not None:
            task = asyncio.get_running_loop().create_task(before.end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def ended(self, session: NodeSession) -> None:
        if self._live.get(session.peer.node) is session:
            del self._live[session.peer.node]
            if session.peer.node in self.engine.committed().nodes:
                self._broken_ms[session.peer.node] = self.clock.now_ms()
            if not self._closing:
                self._leases.session_closed(session.peer.node, session.epoch)

    def used_elsewhere(self, newer: NodeSession) -> str | None:
        """From where, if a session stands that is not this node's own from before: another outbox or another boot is
        another place. One node has one memory, so the same of both takes over its last session."""
        session = self._live.get(newer.peer.node)
        return session.peer.address if session is not None and session.memory != newer.memory else None

    def _on_commit(self, before: FabricState, after: FabricState, entries: list[Committed]) -> None:
        if not self._live and not self.kept and not self._broken_ms:
            return
        touched: dict[str, None] = {}
        for _, entry in entries:
            for event in entry.events:
                if isinstance(event, ev.NodeRemoved):
                    self.kept.forget(event.node)
                    self._broken_ms.pop(event.node, None)
                touched.update(dict.fromkeys(nodes_of(before, event)))
                if isinstance(event, ev.SecretChanged | ev.SecretRemoved):
                    touched.update(dict.fromkeys(nodes_using(after, "secret", event.namespace, event.name)))
                elif isinstance(event, ev.ConfigChanged | ev.ConfigRemoved):
                    touched.update(dict.fromkeys(nodes_using(after, "config", event.namespace, event.name)))
        for node in touched:
            session = self._live.get(node)
            if session is not None:
                session.mark_dirty()
