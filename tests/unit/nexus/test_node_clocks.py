"""A node whose clock is wrong by minutes: that is known and said, and what it tells of times is shown by Nexus's."""

import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime
from tests.unit.nexus.test_sessions import Stand, deploy, stand

from omnitide.nexus.clock import SystemClock
from omnitide.nexus.translate import SAME_CLOCK_MS, ahead_ms, node_time
from omnitide.operations.concerns import concerns
from omnitide.operations.views.inventory import show_node
from omnitide.wire import node_pb2 as pb

__all__ = ["stand"]
MINUTES = 60_000


@pytest.mark.parametrize("off_ms", [10 * MINUTES, -10 * MINUTES])
async def test_when_an_instance_ended_is_told_by_nexuss_clock(stand: Stand, off_ms: int) -> None:
    (instance,) = await deploy(stand)
    now_ms = SystemClock().now_ms()
    pipe, _ = await stand.live(now_ms=now_ms + off_ms)
    session = stand.sessions.get("n1")
    assert session is not None
    assert abs(session.clock_ahead_ms - off_ms) <= SAME_CLOCK_MS
    ended = pb.Exit(code=1, reason="exited", ended_at_ms=now_ms + off_ms)
    report = pb.InstanceReport(
        instance=instance,
        attempt=1,
        phase=pb.PHASE_WAITING,
        exit=ended,
        next_attempt_at_ms=now_ms + off_ms + MINUTES,
    )
    await pipe.say(pb.NodeMessage(reports=pb.Reports(first_sequence=1, reports=[report])))
    await pipe.hear("ack")
    found = stand.engine.committed().instances[instance]
    assert found.exit is not None
    assert abs(found.exit.ended_ms - now_ms) <= SAME_CLOCK_MS, "neither long ago nor in the future"
    assert abs(found.next_attempt_ms - now_ms - MINUTES) <= SAME_CLOCK_MS


async def test_a_clock_that_is_set_while_the_node_is_connected_is_seen_with_its_beats(stand: Stand) -> None:
    stand.beat_ms = 20
    pipe, _ = await stand.live(now_ms=SystemClock().now_ms())
    session = stand.sessions.get("n1")
    assert session is not None
    assert session.clock_ahead_ms == 0
    for off_ms in (5 * MINUTES, 0):
        number = (await pipe.hear("beat")).beat.number
        told_ms = SystemClock().now_ms() + off_ms
        await pipe.say(pb.NodeMessage(beat=pb.Beat(number=number, keeper_alive=True, now_ms=told_ms)))
        await stand.until(lambda off_ms=off_ms: abs(session.clock_ahead_ms - off_ms) <= SAME_CLOCK_MS)


def test_what_is_on_its_way_for_a_while_makes_no_clock_wrong_and_none_waver() -> None:
    assert ahead_ms(1_000_000, 1_000_000 + SAME_CLOCK_MS - 1, 0) == 0
    assert ahead_ms(0, 1_000_000, 0) == 0, "a node of before does not tell"
    found = ahead_ms(1_300_300, 1_000_000, 0)
    assert found == 300_000
    assert ahead_ms(1_302_000, 1_003_100, found) == found, "beats take longer or shorter"
    assert ahead_ms(1_000_000, 1_000_000, found) == 0
    assert node_time(0, found) == 0, "a time that there is none of"


async def test_it_is_a_concern_and_part_of_the_node() -> None:
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.live["n-alpha"] = replace(runtime.live["n-alpha"], clock_ahead_ms=-3 * MINUTES)
    (concern,) = await concerns(runtime, runtime.state, runtime.now_ms())
    assert (concern.subject, concern.text) == ("node alpha", "its clock is 3 m behind Nexus's")
    assert show_node(runtime.state.nodes["n-alpha"], runtime.live["n-alpha"]).clock_ahead_ms == -3 * MINUTES
