"""A node whose certificate is good and whose words are not: each session ends with a reason, Nexus goes on.

Over the real gRPC server and mutual TLS. Seeded: a seed that fails fails again.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc
import grpc.aio
import pytest

from omnitide.fabric.commands import DeployAgent, Header
from omnitide.fabric.events import decode_entry, encode_entry
from omnitide.fabric.state import NodeStatus
from omnitide.model.spec import AgentSpec
from omnitide.nexus.node_service import MAX_RECEIVED_BYTES, MAX_SESSIONS_OF_ONE
from omnitide.wire import node_pb2 as pb

from .conftest import DEADLINE_S, Served

SERVICE = "/omnitide.v1.NodeService/"
MOST = 2**64 - 1
STREAMS = 40


def hello(node: str, **changes: object) -> pb.Hello:
    drivers = [pb.DriverFact(name="process", healthy=True)]
    facts = pb.Facts(name="alpha", cpu_milli=4000, memory_bytes=8 << 30, drivers=drivers)
    fields: dict[str, object] = {"protocol_min": 1, "protocol_max": 1, "node_id": node, "outbox_id": "o"}
    return pb.Hello(**{**fields, "facts": facts, **changes})  # type: ignore[arg-type]


class Raw:
    """A session of which the test writes the bytes."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def say(self, *messages: bytes | pb.NodeMessage) -> None:
        """As much of them as is taken before the session ends."""
        for message in messages:
            raw = message if isinstance(message, bytes) else message.SerializeToString()
            try:
                await self._call.write(raw)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return

    async def heard(self) -> list[pb.NexusMessage]:
        """All that Nexus says until the session ends."""
        found: list[pb.NexusMessage] = []
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                found.append(message)
        except grpc.aio.AioRpcError:
            pass
        return found

    async def done(self) -> None:
        """Say no more."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def cancel(self) -> None:
        self._call.cancel()

    @property
    def ended(self) -> bool:
        return bool(self._call.done())

    async def code(self) -> grpc.StatusCode:
        return await self._call.code()

    async def first(self) -> pb.NexusMessage:
        message = await self._call.read()
        assert isinstance(message, pb.NexusMessage)
        return message


class Hostile:
    """One channel of a node that has joined."""

    def __init__(self, served: Served, node: str, channel: Any) -> None:
        self.served, self.node, self.channel = served, node, channel

    def session(self, method: str = "Session") -> Raw:
        # The stubs decode; `None` hands over bytes as they are.
        channel: Any = self.channel
        answers = pb.NexusMessage.FromString if method == "Session" else None
        return Raw(channel.stream_stream(SERVICE + method, None, answers)())

    async def welcome(self, **changes: object) -> tuple[Raw, pb.Welcome]:
        raw = self.session()
        await raw.say(pb.NodeMessage(hello=hello(self.node, **changes)))
        first = await raw.first()
        assert first.WhichOneof("body") == "welcome", first
        return raw, first.welcome

    async def ends(self, raw: Raw) -> list[pb.NexusMessage]:
        async with asyncio.timeout(DEADLINE_S):
            return await raw.heard()


@pytest.fixture
async def hostile(served: Served) -> AsyncIterator[Hostile]:
    node = await served.join()
    async with served.channel(served.key, served.certificate) as channel:
        yield Hostile(served, node, channel)


def told(caplog: pytest.LogCaptureFixture, node: str) -> list[logging.LogRecord]:
    """Lines that someone has to read, about this node."""
    return [one for one in caplog.records if one.levelno >= logging.WARNING and node in _text(one)]


def _text(record: logging.LogRecord) -> str:
    return f"{record.getMessage()} {record.__dict__}"


def assert_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    """No traceback and no error: what a node says is no fault of Nexus's."""
    loud = [one for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR]
    assert [(one.name, one.getMessage(), one.exc_info) for one in loud] == []


async def test_bytes_that_are_no_message_make_one_line_for_the_node(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(STREAMS):
        raw = hostile.session()
        await raw.say(b"\xff" * 20)
        (answer,) = await hostile.ends(raw)
        assert (answer.refused.reason, answer.refused.permanent) == ("protocol", False)
        assert "no NodeMessage" in answer.refused.message
    assert_no_alarm(caplog)
    lines = told(caplog, hostile.node)
    assert len(lines) == 1, [_text(line) for line in lines]
    await hostile.welcome()


async def test_a_session_that_ends_for_what_was_said_tells_the_node_why(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    raw, welcome = await hostile.welcome()
    await raw.say(b"\xff" * 20)
    *_, last = await hostile.ends(raw)
    assert (last.refused.reason, last.refused.permanent) == ("protocol", False)
    assert_no_alarm(caplog)
    assert len(told(caplog, hostile.node)) == 1
    _, again = await hostile.welcome()
    assert again.session > welcome.session
    state = hostile.served.nexus.committed()
    assert state.nodes[hostile.node].status is NodeStatus.LIVE


def reports(first: int, *items: pb.InstanceReport) -> pb.NodeMessage:
    return pb.NodeMessage(reports=pb.Reports(first_sequence=first, reports=items))


ONE = pb.InstanceReport(instance="a-1.1.1", attempt=1, phase=pb.PHASE_RUNNING)
WRONG: dict[str, Callable[[str], list[pb.NodeMessage]]] = {
    "a second hello": lambda node: [pb.NodeMessage(hello=hello(node))],
    "more reports than are taken at once": lambda _: [reports(1, *[ONE] * 1001)],
    "a sequence of none": lambda _: [reports(0, ONE)],
    "a sequence that no outbox reaches": lambda _: [reports(MOST, ONE)],
    "a beat that was never asked for": lambda _: [pb.NodeMessage(beat=pb.Beat(number=MOST, keeper_alive=True))],
    "an attempt that no instance reaches": lambda _: [
        reports(1, pb.InstanceReport(instance="a-1.1.1", attempt=2**32 - 1, phase=pb.PHASE_RUNNING))
    ],
    "impossible facts": lambda _: [pb.NodeMessage(facts=pb.Facts(cpu_milli=MOST))],
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_may_not_be_said_ends_the_session_with_a_reason(
    hostile: Hostile, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    raw, _ = await hostile.welcome()
    await raw.say(*WRONG[what](hostile.node))
    *_, last = await hostile.ends(raw)
    assert (last.WhichOneof("body"), last.refused.permanent) == ("refused", False)
    assert last.refused.message
    assert_no_alarm(caplog)
    assert len(told(caplog, hostile.node)) == 1
    _, welcome = await hostile.welcome()
    assert welcome.acknowledged_sequence == 0, "nothing of it was taken"


BAD_HELLOS: dict[str, dict[str, object]] = {
    "an outbox id of a megabyte": {"outbox_id": "o" * (1 << 20)},
    "another node's id, of a megabyte": {"node_id": "n" * (1 << 20)},
    "instances without number": {"instances": [pb.InstanceReport()] * 100_000},
    "a protocol of nobody": {"protocol_min": 2**32 - 1, "protocol_max": 2**32 - 1},
    "impossible facts": {"facts": pb.Facts(memory_bytes=MOST, port_first=2**32 - 1, port_last=1)},
    "labels without end": {"facts": pb.Facts(labels={f"l{number}": "x" * 2000 for number in range(1000)})},
}


@pytest.mark.parametrize("what", BAD_HELLOS)
async def test_a_hello_that_cannot_be_is_refused_in_few_words(
    hostile: Hostile, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    raw = hostile.session()
    await raw.say(pb.NodeMessage(hello=hello(hostile.node, **BAD_HELLOS[what])))
    (answer,) = await hostile.ends(raw)
    assert answer.WhichOneof("body") == "refused"
    assert 0 < len(answer.refused.message) < 600
    assert_no_alarm(caplog)
    (line,) = told(caplog, hostile.node)
    assert len(_text(line)) < 4000
    await hostile.welcome()


async def test_a_message_above_the_bound_ends_the_session(hostile: Hostile, caplog: pytest.LogCaptureFixture) -> None:
    raw, _ = await hostile.welcome()
    await raw.say(b"\0" * (MAX_RECEIVED_BYTES + 1))
    await hostile.ends(raw)
    assert_no_alarm(caplog)
    await hostile.welcome()


async def test_a_report_that_comes_again_changes_nothing(hostile: Hostile) -> None:
    raw, _ = await hostile.welcome()
    deploy = DeployAgent(agent="a-1", namespace="default", name="web", spec=AgentSpec(command=("run",)), replicas=1)
    await hostile.served.nexus.submit(deploy, Header(principal="system:test"))
    said = reports(1, *[ONE] * 10)
    revisions: list[int] = []
    for _ in range(3):
        await raw.say(said)
        raw, welcome = await hostile.welcome()
        assert welcome.acknowledged_sequence in (0, 10)
        revisions.append(hostile.served.nexus.committed().nodes[hostile.node].sequence)
    assert revisions[-1] == 10


async def test_questions_that_are_no_message_are_refused_in_words(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    for method in ("Renew", "FetchValues", "FetchBlob"):
        for _ in range(5):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _ask(hostile.channel, method, b"\xff" * 20)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT, method
    assert_no_alarm(caplog)
    assert len(told(caplog, hostile.node)) == 1


async def _ask(channel: Any, method: str, raw: bytes) -> None:
    async with asyncio.timeout(DEADLINE_S):
        if method == "FetchBlob":
            async for _ in channel.unary_stream(SERVICE + method, None, None)(raw):
                pass
        else:
            await channel.unary_unary(SERVICE + method, None, None)(raw)


async def test_one_node_has_a_few_control_streams_and_leaves_the_rest_to_others(hostile: Hostile) -> None:
    held = [hostile.session() for _ in range(MAX_SESSIONS_OF_ONE + 4)]
    async with asyncio.timeout(DEADLINE_S):
        while sum(raw.ended for raw in held) < 4:
            await asyncio.sleep(0.01)
    codes = [await raw.code() for raw in held if raw.ended]
    assert codes == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 4
    for raw in held:
        await raw.cancel()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(AssertionError, grpc.aio.AioRpcError):
                await hostile.welcome()
                return


async def test_a_tunnel_of_garbage_ends(hostile: Hostile, caplog: pytest.LogCaptureFixture) -> None:
    for raw in (b"\xff" * 20, pb.TunnelFrame(tunnel="nobody").SerializeToString(), b""):
        tunnel = hostile.session("Tunnel")
        await tunnel.say(raw)
        await hostile.ends(tunnel)
    assert_no_alarm(caplog)
    assert len(told(caplog, hostile.node)) == 1


# -- fuzz ------------------------------------------------------------------------------------------------------------


def _number(rng: random.Random, bits: int) -> int:
    return rng.choice((0, 1, 2, 7, rng.getrandbits(bits), 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1))


def _word(rng: random.Random) -> str:
    return rng.choice(("", "a-1.1.1", "a-1.2.1", "process", "\0", "é" * 2000, "x" * 70_000, "succeeded", "port-busy"))


def _fill(rng: random.Random, message: Any, depth: int = 0) -> Any:
    """Any valid message of this kind: numbers at their ends, words of all lengths, lists of none to many."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is None and rng.random() < 0.3:
            continue
        if field.containing_oneof is not None and field.name != rng.choice(field.containing_oneof.fields).name:
            continue
        _set(rng, message, field, depth)
    return message


def _set(rng: random.Random, message: Any, field: Any, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        kind = field.message_type.fields_by_name["value"]
        for _ in range(rng.choice((0, 1, 300))):
            getattr(message, field.name)[_word(rng) + str(rng.random())] = _value(rng, kind)
    elif field.is_repeated:
        for _ in range(rng.choice((0, 1, 3))):
            if field.message_type is not None:
                _fill(rng, getattr(message, field.name).add(), depth + 1)
            else:
                getattr(message, field.name).append(_value(rng, field))
    elif field.message_type is not None:
        _fill(rng, getattr(message, field.name), depth + 1)
    else:
        setattr(message, field.name, _value(rng, field))


def _value(rng: random.Random, field: Any) -> Any:
    if field.type == field.TYPE_STRING:
        return _word(rng)
    if field.type == field.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 1000)))
    if field.type == field.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == field.TYPE_ENUM:
        return rng.choice((*range(6), 99))
    if field.type in (field.TYPE_INT32, field.TYPE_INT64):
        bits = 32 if field.type == field.TYPE_INT32 else 64
        number = _number(rng, bits)
        return number - (1 << (bits - 1)) if number >= 1 << (bits - 1) else rng.choice((number, -number))
    return _number(rng, 32 if field.type == field.TYPE_UINT32 else 64)


def _words(rng: random.Random, node: str, session: int) -> Iterable[bytes]:
    """What one session says after its hello."""
    for _ in range(rng.randrange(1, 6)):
        message = _fill(rng, pb.NodeMessage())
        if message.WhichOneof("body") == "kept" and rng.random() < 0.5:
            message.kept.session = session
        if message.WhichOneof("body") == "reports" and rng.random() < 0.7:
            message.reports.first_sequence = rng.randrange(1, 50)
            for report in message.reports.reports:
                report.attempt = rng.randrange(3)
        raw = bytearray(message.SerializeToString())
        if raw and rng.random() < 0.3:
            for _ in range(rng.randrange(1, 8)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        yield bytes(raw)


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_that_a_node_says_is_more_than_the_end_of_its_session(
    hostile: Hostile, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    rng = random.Random(seed)
    nexus = hostile.served.nexus
    raw, _ = await hostile.welcome()
    deploy = DeployAgent(agent="a-1", namespace="default", name="web", spec=AgentSpec(command=("run",)), replicas=2)
    await nexus.submit(deploy, Header(principal="system:test"))
    for _ in range(STREAMS):
        if rng.random() < 0.3:
            raw = hostile.session()
            first = hello(hostile.node)
            if rng.random() < 0.7:
                first = _fill(rng, pb.Hello())
                first.node_id = rng.choice((hostile.node, first.node_id))
                first.protocol_min = first.protocol_max = 1
                # Of another memory it would be another proxy, and refused for that alone.
                first.outbox_id, first.boot_id = "o", ""
            await raw.say(pb.NodeMessage(hello=first), *_words(rng, hostile.node, 0))
        else:
            raw, welcome = await hostile.welcome(last_session=0)
            await raw.say(*_words(rng, hostile.node, welcome.session))
        if rng.random() < 0.8:
            # All of it is looked at, before the next session takes this one's place.
            await raw.done()
            await hostile.ends(raw)
        assert nexus.sessions.engine.stumbles == 0
    assert_no_alarm(caplog)
    assert len(told(caplog, hostile.node)) <= 12, "each kind of fault once"
    for _, entry in await nexus.entries(0, 100_000):
        assert decode_entry(encode_entry(entry)) == entry, "what was taken can be read again"
    await raw.cancel()
    async with asyncio.timeout(DEADLINE_S):
        while nexus.sessions.get(hostile.node) is not None:
            await asyncio.sleep(0.01)
    # The node's own outbox begins anew after such a day, and is heard.
    raw, welcome = await hostile.welcome(outbox_id="new")
    assert welcome.acknowledged_sequence == 0
    await raw.say(reports(1, ONE))
    async with asyncio.timeout(DEADLINE_S):
        while nexus.committed().nodes[hostile.node].sequence != 1:
            await asyncio.sleep(0.01)
