"""What Nexus says to a node and what it makes of what the node says: over a link in memory, with the real engine."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from omnitide.fabric.commands import (
    CreateFabric,
    DeployAgent,
    Header,
    IssueToken,
    JoinNode,
    PlaceChoice,
    PlaceInstances,
    RemoveNode,
    RollBackAgent,
    ScaleAgent,
)
from omnitide.fabric.state import InstanceStatus, NodeFacts, NodeStatus, TokenPurpose
from omnitide.model.spec import AgentSpec
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.engine import Engine
from omnitide.nexus.greeting import Peer, SessionSettings
from omnitide.nexus.leases import Leases, LeaseTimes
from omnitide.nexus.manners import MAX_REPORTS
from omnitide.nexus.sessions import (
    MAX_TUNNELS_WAITING,
    Sessions,
    TunnelsFull,
)
from omnitide.nexus.tunnels import Tunnels
from omnitide.operations.runtime import LogsUnavailable, NodeAway
from omnitide.store.memory import MemoryLog, MemoryStorage
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed

ADMIN = Header(principal="system:test")
DEADLINE_S = 20.0


class Pipe:
    """Both ends of a link; `node` is the test's."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[pb.NodeMessage | None] = asyncio.Queue()
        self.down: asyncio.Queue[pb.NexusMessage | None] = asyncio.Queue()
        self.closed = False

    # the end that Nexus holds
    async def send(self, message: pb.NexusMessage) -> None:
        if self.closed:
            raise LinkClosed("closed")
        await self.down.put(pb.NexusMessage.FromString(message.SerializeToString()))

    async def receive(self) -> pb.NodeMessage:
        message = await self.up.get()
        if message is None:
            raise LinkClosed("the node is gone")
        return message

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            await self.down.put(None)
            await self.up.put(None)

    # the end that the test holds
    async def say(self, message: pb.NodeMessage) -> None:
        await self.up.put(pb.NodeMessage.FromString(message.SerializeToString()))

    async def hear(self, body: str) -> pb.NexusMessage:
        """The next message of a kind; others before it are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await self.down.get()
                if message is None:
                    raise LinkClosed(f"the link ended before {body}")
                if message.WhichOneof("body") == body:
                    return message


class Stand:
    """An engine with one node that has joined."""

    def __init__(self, engine: Engine, leases: Leases, sessions: Sessions, times: LeaseTimes) -> None:
        self.engine, self.leases, self.sessions, self.times = engine, leases, sessions, times
        self.beat_ms = 60_000
        self.tasks: list[asyncio.Task[None]] = []

    def connect(self, node: str = "n1", key: str = "k1") -> Pipe:
        pipe = Pipe()
        self.tasks.append(asyncio.ensure_future(self.sessions.serve(pipe, Peer(node, key, "test"))))
        return pipe

    async def live(self, **changes: object) -> tuple[Pipe, pb.Welcome]:
        pipe = self.connect()
        await pipe.say(pb.NodeMessage(hello=hello(**changes)))
        return pipe, (await pipe.hear("welcome")).welcome

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(0.005)


def hello(**changes: object) -> pb.Hello:
    fields: dict[str, object] = {
        "protocol_min": 1,
        "protocol_max": 1,
        "software": "omnitide/test",
        "node_id": "n1",
        "outbox_id": "o1",
        "facts": pb.Facts(
            name="alpha", cpu_milli=4000, memory_bytes=8 << 30, drivers=[pb.DriverFact(name="process", healthy=True)]
        ),
    }
    return pb.Hello(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    engine = await Engine.open(MemoryLog(MemoryStorage()), SystemClock())
    times = LeaseTimes(reconnect_grace_ms=20, lost_after_ms=60, startup_grace_ms=50)
    leases = Leases(engine, SystemClock(), lambda: times)
    made: list[Stand] = []
    sessions = Sessions(
        engine,
        SystemClock(),
        leases,
        lambda: SessionSettings("f", "log", "omnitide/test", ("nexus:7401",), 1000, 1500, 60, made[0].beat_ms),
    )
    stand = Stand(engine, leases, sessions, times)
    made.append(stand)
    await engine.submit(CreateFabric(fabric_id="f"), ADMIN)
    token = IssueToken(id="t", purpose=TokenPurpose.JOIN, digest="-", uses=9, expires_ms=SystemClock().now_ms() + 10**7)
    await engine.submit(token, ADMIN)
    await engine.submit(JoinNode(token="t", node="n1", name="alpha", key_digest="k1", facts=NodeFacts()), ADMIN)
    yield stand
    await sessions.close()
    await leases.close()
    for task in stand.tasks:
        task.cancel()
    await asyncio.gather(*stand.tasks, return_exceptions=True)
    await engine.close()


async def deploy(stand: Stand, replicas: int = 1) -> list[str]:
    """Put instances on the node, which has to have been there once."""
    grace, stand.times.reconnect_grace_ms = stand.times.reconnect_grace_ms, 60_000
    pipe, _ = await stand.live()
    spec = AgentSpec(command=("run",))
    command = DeployAgent(agent="a", namespace="default", name="hello", spec=spec, replicas=replicas)
    await stand.engine.submit(command, ADMIN)
    pending = sorted(stand.engine.committed().pending)
    choices = tuple(PlaceChoice(instance, "n1", ()) for instance in pending)
    await stand.engine.submit(PlaceInstances(seen_revision=0, choices=choices), ADMIN)
    await pipe.close()
    await stand.until(lambda: len(stand.sessions) == 0)
    stand.times.reconnect_grace_ms = grace
    return pending


def running(instance: str, attempt: int = 1) -> pb.InstanceReport:
    return pb.InstanceReport(instance=instance, attempt=attempt, phase=pb.PHASE_RUNNING)


async def test_a_hello_is_answered_with_session_settings_and_endpoints(stand: Stand) -> None:
    _, welcome = await stand.live()
    assert welcome.protocol == 1
    assert welcome.session == stand.engine.committed().nodes["n1"].session
    assert [endpoint.address for endpoint in welcome.endpoints] == ["nexus:7401"]
    assert welcome.endpoints[0].leader
    assert stand.engine.committed().nodes["n1"].status is NodeStatus.LIVE
    assert stand.engine.committed().nodes["n1"].facts.cpu_milli == 4000


@pytest.mark.parametrize(
    ("changes", "reason", "permanent"),
    [
        ({"protocol_min": 9, "protocol_max": 12}, "version", True),
        ({"protocol_min": 0, "protocol_max": 0}, "version", True),
        ({"node_id": "n2"}, "identity", True),
    ],
)
async def test_a_hello_that_cannot_be_accepted_is_refused_with_the_reason(
    stand: Stand, changes: dict[str, object], reason: str, permanent: bool
) -> None:
    pipe = stand.connect()
    await pipe.say(pb.NodeMessage(hello=hello(**changes)))
    refused = (await pipe.hear("refused")).refused
    assert (refused.reason, refused.permanent) == (reason, permanent)
    assert refused.message


async def test_a_newer_node_speaks_the_newest_protocol_that_both_know(stand: Stand) -> None:
    _, welcome = await stand.live(protocol_min=1, protocol_max=7, features=["logs", "time-travel"])
    assert welcome.protocol == 1
    assert list(welcome.features) == ["logs"]


async def test_another_key_for_a_known_node_is_refused(stand: Stand) -> None:
    pipe = stand.connect(key="stolen")
    await pipe.say(pb.NodeMessage(hello=hello()))
    assert (await pipe.hear("refused")).refused.reason == "identity"


async def test_a_node_that_was_removed_is_told_so(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await stand.engine.submit(RemoveNode(node="n1", force=True), ADMIN)
    refused = (await pipe.hear("refused")).refused
    assert (refused.reason, refused.permanent) == ("removed", True)
    again = stand.connect()
    await again.say(pb.NodeMessage(hello=hello()))
    assert (await again.hear("refused")).refused.reason == "removed"


async def test_the_first_message_must_be_a_hello(stand: Stand) -> None:
    pipe = stand.connect()
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1)))
    assert (await pipe.hear("refused")).refused.reason == "protocol"


async def test_a_second_session_of_a_node_ends_the_first(stand: Stand) -> None:
    first, one = await stand.live()
    _, two = await stand.live()
    assert two.session > one.session
    await stand.until(lambda: first.closed)
    assert len(stand.sessions) == 1
    await stand.until(lambda: stand.engine.committed().nodes["n1"].status is NodeStatus.LIVE)


@pytest.mark.parametrize("changes", [{"outbox_id": "o2"}, {"boot_id": "another"}])
async def test_a_copied_identity_is_refused_while_the_node_is_connected(
    stand: Stand, changes: dict[str, object]
) -> None:
    first, _ = await stand.live()
    copy = stand.connect()
    await copy.say(pb.NodeMessage(hello=hello(**changes)))
    refused = (await copy.hear("refused")).refused
    assert (refused.reason, refused.permanent) == ("in-use", False)
    assert not first.closed
    await first.close()
    await stand.until(lambda: len(stand.sessions) == 0)
    await stand.live(**changes)


async def keeps(stand: Stand, pipe: Pipe, session: int) -> None:
    """The node says that it has the session on its disk, and Nexus has heard it."""
    await pipe.say(pb.NodeMessage(kept=pb.Kept(session=session)))
    await stand.until(lambda: stand.sessions.kept.refusal("n1", 1) is not None)


async def away(stand: Stand, pipe: Pipe) -> None:
    await pipe.close()
    await stand.until(lambda: len(stand.sessions) == 0)


async def refusal(stand: Stand, **changes: object) -> pb.Refused:
    pipe = stand.connect()
    await pipe.say(pb.NodeMessage(hello=hello(**changes)))
    return (await pipe.hear("refused")).refused


async def test_a_copy_that_lags_behind_its_node_is_refused_while_the_node_is_away(stand: Stand) -> None:
    first, one = await stand.live()
    await away(stand, first)
    second, two = await stand.live(last_session=one.session)
    await keeps(stand, second, two.session)
    await away(stand, second)
    refused = await refusal(stand, last_session=one.session, outbox_id="o1")
    assert (refused.reason, refused.permanent) == ("copied", True)
    assert f"remembers session {one.session}, and session {two.session} was kept" in refused.message
    assert "identity at test" in refused.message
    await stand.live(last_session=two.session)


async def test_when_a_copy_came_first_the_node_itself_is_refused_and_told_where_the_other_is(
    stand: Stand,
) -> None:
    """Nobody can tell the two apart by what they show: the second is told of the first, and the log names both."""
    node, one = await stand.live()
    await keeps(stand, node, one.session)
    await away(stand, node)
    copy, stolen = await stand.live(last_session=one.session, boot_id="copy")
    await keeps(stand, copy, stolen.session)
    live = await refusal(stand, last_session=one.session)
    assert (live.reason, live.permanent) == ("in-use", False)
    assert "from test" in live.message
    await away(stand, copy)
    gone = await refusal(stand, last_session=one.session)
    assert (gone.reason, gone.permanent) == ("copied", True)
    await stand.live(last_session=stolen.session, boot_id="copy")


async def test_a_welcome_that_was_lost_under_way_makes_no_copy_of_a_node(stand: Stand) -> None:
    """The node died, or the link broke, before it had the session on its disk: it comes with the one before."""
    first, one = await stand.live()
    await keeps(stand, first, one.session)
    for _ in range(3):
        lost, _ = await stand.live(last_session=one.session)
        await away(stand, lost)
    await stand.live(last_session=one.session)


async def test_a_node_that_has_lost_its_memory_is_taken_at_its_word(stand: Stand) -> None:
    first, one = await stand.live()
    await keeps(stand, first, one.session)
    await away(stand, first)
    await stand.live(outbox_id="o2", last_session=0)


async def test_only_the_number_of_its_own_session_can_be_kept(stand: Stand) -> None:
    pipe, one = await stand.live()
    await pipe.say(pb.NodeMessage(kept=pb.Kept(session=one.session + 1000)))
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[running("x.1.1")])))
    await pipe.hear("ack")
    assert stand.sessions.kept.refusal("n1", 1) is None


async def test_what_was_kept_is_forgotten_with_the_node(stand: Stand) -> None:
    pipe, one = await stand.live()
    await keeps(stand, pipe, one.session)
    await stand.engine.submit(RemoveNode(node="n1", force=True), ADMIN)
    assert stand.sessions.kept.refusal("n1", 1) is None


async def test_streams_that_a_node_does_not_take_up_are_bounded_and_withdrawn(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await pipe.hear("desired")
    session = stand.sessions.get("n1")
    assert session is not None
    # Without a turn of the loop the session cannot tell the node of any of them.
    for number in range(MAX_TUNNELS_WAITING):
        session.open_tunnel(pb.OpenTunnel(tunnel=f"t{number}"))
    with pytest.raises(TunnelsFull, match=f"{MAX_TUNNELS_WAITING} streams wait to be told to node n1"):
        session.open_tunnel(pb.OpenTunnel(tunnel="one too many"))
    session.withdraw_tunnel("t0")
    session.open_tunnel(pb.OpenTunnel(tunnel="last"))
    told = [(await pipe.hear("open_tunnel")).open_tunnel.tunnel for _ in range(MAX_TUNNELS_WAITING)]
    assert told == [*(f"t{number}" for number in range(1, MAX_TUNNELS_WAITING)), "last"]


async def test_a_reader_of_a_node_with_too_many_waiting_is_told_so(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await pipe.hear("desired")
    session = stand.sessions.get("n1")
    assert session is not None
    tunnels = Tunnels(stand.sessions)
    for number in range(MAX_TUNNELS_WAITING):
        session.open_tunnel(pb.OpenTunnel(tunnel=f"t{number}"))
    with pytest.raises(LogsUnavailable, match="streams wait"):
        await anext(tunnels.logs("n1", "late", follow=False, tail_lines=None, since_ms=0, after=""))


async def test_desired_state_comes_whole_and_then_by_what_changed(stand: Stand) -> None:
    await deploy(stand, 2)
    pipe, _ = await stand.live()
    whole = (await pipe.hear("desired")).desired
    assert whole.full
    assert sorted(a.instance for a in whole.assignments) == ["a.1.1", "a.2.1"]
    assert b'"run"' in next(iter(whole.specs.values()))
    await stand.engine.submit(ScaleAgent(namespace="default", name="hello", replicas=1), ADMIN)
    change = (await pipe.hear("desired")).desired
    assert not change.full
    assert [(a.instance, a.goal) for a in change.assignments] == [("a.2.1", pb.GOAL_STOP)]
    assert change.revision > whole.revision
    ended = pb.InstanceReport(instance="a.2.1", attempt=1, phase=pb.PHASE_ENDED, outcome="stopped")
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[ended])))
    assert list((await pipe.hear("desired")).desired.removed) == ["a.2.1"]


async def test_reports_are_taken_once_and_acknowledged(stand: Stand) -> None:
    await deploy(stand)
    pipe, _ = await stand.live()
    message = pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[running("a.1.1")]))
    await pipe.say(message)
    assert (await pipe.hear("ack")).ack.sequence == 1
    revision = stand.engine.committed().revision
    await pipe.say(message)
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=2, reports=[running("a.1.1")])))
    assert (await pipe.hear("ack")).ack.sequence == 2
    assert stand.engine.committed().revision == revision + 1
    assert stand.engine.committed().instances["a.1.1"].status is InstanceStatus.RUNNING


async def test_a_newer_peer_is_tolerated(stand: Stand) -> None:
    """Unknown kinds of messages, phases and fields: passed over, and their place in the sequence kept."""
    await deploy(stand)
    pipe, _ = await stand.live()
    # Field 99 of a later protocol, as bytes on the wire.
    await pipe.up.put(pb.NodeMessage.FromString(b"\x9a\x06\x02hi"))
    strange = pb.InstanceReport(instance="a.1.1", attempt=1)
    strange.phase = 77  # type: ignore[assignment]
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[strange, running("a.1.1")])))
    assert (await pipe.hear("ack")).ack.sequence == 2
    assert stand.engine.committed().instances["a.1.1"].status is InstanceStatus.RUNNING


async def test_too_many_reports_in_one_message_end_the_session(stand: Stand) -> None:
    pipe, _ = await stand.live()
    flood = [running(f"x.{number}.1") for number in range(MAX_REPORTS + 1)]
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=flood)))
    await stand.until(lambda: pipe.closed)


async def test_a_node_that_answers_no_beat_is_stalled_and_not_replaced(stand: Stand) -> None:
    stand.beat_ms = 20
    pipe, _ = await stand.live()
    session = stand.sessions.get("n1")
    assert session is not None
    await stand.until(lambda: session.stalled_since_ms > 0)
    assert stand.engine.committed().nodes["n1"].status is NodeStatus.LIVE
    number = (await pipe.hear("beat")).beat.number

    async def answer() -> None:
        nonlocal number
        while session.stalled_since_ms:
            await pipe.say(pb.NodeMessage(beat=pb.Beat(number=number, keeper_alive=True)))
            number = (await pipe.hear("beat")).beat.number

    async with asyncio.timeout(DEADLINE_S):
        await answer()


async def test_a_node_whose_supervisor_does_not_answer_stays_stalled(stand: Stand) -> None:
    stand.beat_ms = 20
    pipe, _ = await stand.live()
    session = stand.sessions.get("n1")
    assert session is not None
    await stand.until(lambda: session.stalled_since_ms > 0)
    for _ in range(5):
        number = (await pipe.hear("beat")).beat.number
        await pipe.say(pb.NodeMessage(beat=pb.Beat(number=number, keeper_alive=False)))
        await stand.until(lambda number=number: session._answered >= number)
        assert session.stalled_since_ms > 0
    assert session.sample is not None
    assert not session.sample.keeper_alive


class TunnelPipe:
    """What a node opens; both ends are the test's."""

    def __init__(self, first: pb.TunnelFrame) -> None:
        self.frames = [first]
        self.sent: list[pb.TunnelFrame] = []
        self.closed = asyncio.Event()

    async def send(self, message: pb.TunnelFrame) -> None:
        self.sent.append(message)

    async def receive(self) -> pb.TunnelFrame:
        if self.frames:
            return self.frames.pop(0)
        await self.closed.wait()
        raise LinkClosed("closed")

    async def close(self) -> None:
        self.closed.set()


async def test_only_the_node_that_was_asked_may_open_a_tunnel_whoever_knows_its_name(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await pipe.hear("desired")
    tunnels = Tunnels(stand.sessions)

    async def ask() -> TunnelPipe:
        async with tunnels.connection("n1", pb.OpenTunnel(logs=pb.LogsRequest(instance="x"))) as link:
            assert isinstance(link, TunnelPipe)
            return link

    asking = asyncio.ensure_future(ask())
    name = (await pipe.hear("open_tunnel")).open_tunnel.tunnel
    strange = TunnelPipe(pb.TunnelFrame(tunnel=name))
    await tunnels.accept(strange, "n2")
    assert strange.sent[0].error.reason == "unknown-tunnel"
    assert not asking.done()
    right = TunnelPipe(pb.TunnelFrame(tunnel=name))
    serving = asyncio.ensure_future(tunnels.accept(right, "n1"))
    assert await asking is right
    await serving


async def test_a_broken_session_leads_to_unreachable_then_lost_then_replaced(stand: Stand) -> None:
    await deploy(stand)
    pipe, _ = await stand.live()
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[running("a.1.1")])))
    await pipe.hear("ack")
    await pipe.close()
    state = stand.engine.committed
    await stand.until(lambda: state().nodes["n1"].status is NodeStatus.UNREACHABLE)
    assert state().instances["a.1.1"].status is InstanceStatus.RUNNING
    await stand.until(lambda: state().nodes["n1"].status is NodeStatus.LOST)
    assert state().instances["a.1.1"].status is InstanceStatus.LOST
    assert "a.1.2" in state().pending


async def test_a_node_without_a_session_is_silent_since_it_was_heard_and_not_since_it_connected(stand: Stand) -> None:
    stand.times.reconnect_grace_ms = 60_000
    pipe, _ = await stand.live()
    connected = stand.engine.committed().nodes["n1"].since_ms
    await stand.until(lambda: SystemClock().now_ms() > connected + 20)
    closing = SystemClock().now_ms()
    await pipe.close()
    await stand.until(lambda: len(stand.sessions) == 0)
    with pytest.raises(NodeAway) as away:
        async with Tunnels(stand.sessions).connection("n1", pb.OpenTunnel()):
            pass
    assert away.value.since_ms >= closing

    # Another Nexus over the same log has heard nothing since it began.
    began = SystemClock().now_ms()
    later = Sessions(stand.engine, SystemClock(), stand.leases, stand.sessions.settings)
    assert later.silent_since_ms("n1") >= began


async def test_a_node_that_is_back_in_time_loses_nothing(stand: Stand) -> None:
    stand.times.reconnect_grace_ms = 10_000
    await deploy(stand)
    pipe, _ = await stand.live()
    await pipe.close()
    await stand.until(lambda: len(stand.sessions) == 0)
    await stand.live(instances=[running("a.1.1")])
    assert stand.engine.committed().nodes["n1"].status is NodeStatus.LIVE
    assert stand.engine.committed().instances["a.1.1"].status is InstanceStatus.RUNNING


async def test_a_goodbye_buys_the_time_that_it_announces(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await pipe.say(pb.NodeMessage(goodbye=pb.Goodbye(reason="upgrade", back_within_ms=60_000)))
    await stand.until(lambda: len(stand.sessions) == 0)
    node = stand.engine.committed().nodes["n1"]
    assert (node.departing, node.stopped_ms) == ("upgrade", 0), "as of a proxy that does not know the word"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await stand.until(lambda: stand.engine.committed().nodes["n1"].status is not NodeStatus.LIVE)


async def test_a_node_that_its_operator_stops_is_known_to_be_stopped_until_it_is_back(stand: Stand) -> None:
    pipe, _ = await stand.live()
    await pipe.say(pb.NodeMessage(goodbye=pb.Goodbye(reason="stopped", back_within_ms=60_000, stopped=True)))
    await stand.until(lambda: len(stand.sessions) == 0)
    node = stand.engine.committed().nodes["n1"]
    assert node.status is NodeStatus.LIVE
    assert node.stopped_ms > 0
    await stand.live()
    assert stand.engine.committed().nodes["n1"].stopped_ms == 0


async def test_after_a_goodbye_for_good_nothing_is_waited_for(stand: Stand) -> None:
    stand.times.reconnect_grace_ms = stand.times.lost_after_ms = 3_600_000
    await deploy(stand)
    pipe, _ = await stand.live()
    await pipe.say(pb.NodeMessage(goodbye=pb.Goodbye(reason="shut down")))
    await stand.until(lambda: len(stand.sessions) == 0)
    state = stand.engine.committed()
    assert state.nodes["n1"].status is NodeStatus.LOST
    assert state.instances["a.1.1"].status is InstanceStatus.LOST
    assert "a.1.2" in state.pending


async def test_a_new_leader_gives_every_node_a_full_lease(stand: Stand) -> None:
    await stand.live()
    stand.leases.start()
    pipe, _ = await stand.live()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await stand.until(lambda: stand.engine.committed().nodes["n1"].status is not NodeStatus.LIVE)
    assert not pipe.closed


async def test_a_node_hears_that_what_it_runs_is_of_another_version_by_a_rollback(stand: Stand) -> None:
    """Version 2 takes the first replica; the other one is kept, and its next attempt is of version 3."""
    await deploy(stand, replicas=2)
    pipe, _ = await stand.live()
    assert {one.version for one in (await pipe.hear("desired")).desired.assignments} == {1}
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[running("a.1.1"), running("a.2.1")])))
    await stand.until(lambda: stand.engine.committed().agents["a"].counts.running == 2)
    other = DeployAgent(agent="a", namespace="default", name="hello", spec=AgentSpec(command=("run", "2")), replicas=2)
    await stand.engine.submit(other, ADMIN)
    assert [one.goal for one in (await pipe.hear("desired")).desired.assignments] == [pb.GOAL_STOP]
    await stand.engine.submit(RollBackAgent(namespace="default", name="hello", version=1), ADMIN)
    desired = (await pipe.hear("desired")).desired
    told = {one.instance: (one.version, one.goal, one.spec_key) for one in desired.assignments}
    assert told == {"a.2.1": (3, pb.GOAL_RUN, "a/3")}
    assert b'"run"' in desired.specs["a/3"]
