"""The live stream: every watcher sees everything it asked for once and in order, or is told where to go on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.memory_runtime import MemoryRuntime

from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec, Resources
from omnitide.operations.events import WatchEventsRequest, watch_frames
from omnitide.operations.failures import Failed
from omnitide.operations.happenings import frames as frames_module
from omnitide.operations.happenings import hub as hub_module
from omnitide.operations.happenings.frames import Frame
from omnitide.operations.happenings.hub import hub_of
from omnitide.operations.happenings.known import KnownNames
from omnitide.operations.happenings.translate import Translator
from omnitide.operations.runtime import Limits, StreamEnded, Trimmed, WatchLagged

SPEC = AgentSpec(command=("x",), resources=Resources(cpu=1, memory=1))
DEADLINE_S = 10.0


def watch(runtime: MemoryRuntime, **asked: Any) -> AsyncIterator[Frame]:
    return watch_frames(runtime, WatchEventsRequest(**asked))


def say(runtime: MemoryRuntime, number: int) -> None:
    """Something happens: one event."""
    runtime.apply(cm.CreateNamespace(name=f"n{number}"))


def all_ids(runtime: MemoryRuntime, after: int = 0) -> list[str]:
    translator = Translator("log-1", "home", KnownNames(runtime.state))
    entries = list(enumerate(runtime.log, start=1))[after:]
    return [one.event.id for entry in entries for one in translator.translate(entry)]


def ids_of(frames: list[Frame]) -> list[str]:
    return [happening.event.id for frame in frames for happening in frame.happenings]


async def take(stream: AsyncIterator[Frame], until: int) -> list[Frame]:
    """Frames until the stream has come to a revision."""
    frames: list[Frame] = []
    async with asyncio.timeout(DEADLINE_S):
        while not frames or frames[-1].resume < until:
            frames.append(await anext(stream))
    return frames


async def close(stream: AsyncIterator[Frame]) -> None:
    await stream.aclose()  # type: ignore[attr-defined]


async def test_old_events_then_new_ones_without_a_gap() -> None:
    runtime = MemoryRuntime()
    for number in range(5):
        say(runtime, number)
    stream = watch(runtime, after=2)
    old = await take(stream, runtime.state.revision)
    assert ids_of(old) == all_ids(runtime, after=2)
    say(runtime, 9)
    new = await take(stream, runtime.state.revision)
    assert ids_of(new) == all_ids(runtime)[-1:]
    await close(stream)


async def test_without_a_revision_the_stream_begins_now() -> None:
    runtime = MemoryRuntime()
    say(runtime, 1)
    stream = watch(runtime)
    first = await anext(stream)
    assert (len(first), first.resume) == (0, runtime.state.revision)
    say(runtime, 2)
    assert len(ids_of(await take(stream, runtime.state.revision))) == 1
    await close(stream)


@settings(max_examples=30)
@given(st.integers(0, 30), st.lists(st.integers(0, 12), max_size=12), st.integers(0, 3))
async def test_however_writes_and_reads_interleave_nothing_is_missed_or_doubled(
    before: int, bursts: list[int], pauses: int
) -> None:
    runtime = MemoryRuntime()
    for number in range(before):
        say(runtime, number)
    after = before // 2
    other = watch(runtime)  # the live stream may be running before this watcher comes
    await anext(other)
    stream = watch(runtime, after=after)
    seen: list[Frame] = []
    number = before

    async def write() -> None:
        nonlocal number
        for burst in bursts:
            for _ in range(burst):
                say(runtime, number)
                number += 1
            for _ in range(pauses):
                await asyncio.sleep(0)

    writing = asyncio.ensure_future(write())
    final = runtime.state.revision + sum(bursts)
    async with asyncio.timeout(DEADLINE_S):
        while not seen or seen[-1].resume < final:
            seen.append(await anext(stream))
    await writing
    assert ids_of(seen) == all_ids(runtime, after=after)
    assert [frame.resume for frame in seen] == sorted(frame.resume for frame in seen)
    await close(stream)
    await close(other)


async def test_watchers_of_the_same_filter_are_given_the_same_frames_encoded_once() -> None:
    runtime = MemoryRuntime()
    streams = [watch(runtime, kinds=("namespace",)) for _ in range(5)]
    for stream in streams:
        await anext(stream)
    say(runtime, 1)
    frames = [(await take(stream, runtime.state.revision))[-1] for stream in streams]
    assert len({id(frame) for frame in frames}) == 1
    encoded = 0

    def encode(_: Frame) -> str:
        nonlocal encoded
        encoded += 1
        return "text"

    assert [frame.encoded("json", encode) for frame in frames] == ["text"] * 5
    assert encoded == 1
    for stream in streams:
        await close(stream)


async def test_the_log_is_read_once_for_all_watchers_and_not_without_any() -> None:
    runtime = MemoryRuntime()
    assert runtime.watches == 0
    streams = [watch(runtime) for _ in range(3)]
    for stream in streams:
        await anext(stream)
    await asyncio.sleep(0)
    assert runtime.watches == 1
    for stream in streams:
        await close(stream)
    assert hub_of(runtime).watchers == 0
    again = watch(runtime)
    await anext(again)
    await asyncio.sleep(0)
    assert runtime.watches == 2
    await close(again)


async def test_events_within_a_tick_leave_in_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "SHORT_TICK_S", 0.5)  # long, so that a busy machine cannot end it in between
    monkeypatch.setattr(hub_module, "TICK_S", 0.5)
    runtime = MemoryRuntime()
    stream = watch(runtime)
    await anext(stream)
    say(runtime, 0)
    await take(stream, runtime.state.revision)  # the next frame is a tick away
    for number in range(1, 21):
        say(runtime, number)
        await asyncio.sleep(0)
    frames = await take(stream, runtime.state.revision)
    assert (len(frames), len(frames[0])) == (1, 20)
    await close(stream)


async def test_a_slow_watcher_is_told_where_to_go_on_and_misses_nothing() -> None:
    runtime = MemoryRuntime()
    runtime.bounds = Limits(watcher_events=10)
    slow, quick = watch(runtime), watch(runtime)
    await anext(slow)
    await anext(quick)
    start = runtime.state.revision
    for number in range(40):
        say(runtime, number)
        await take(quick, runtime.state.revision)  # it has come to every watcher's queue
    seen: list[Frame] = []
    with pytest.raises(WatchLagged) as lagged:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                seen.append(await anext(slow))
    assert 0 < len(ids_of(seen)) <= 10
    resumed = watch(runtime, after=lagged.value.resume_from)
    seen += await take(resumed, runtime.state.revision)
    assert ids_of(seen) == all_ids(runtime, after=start)
    await close(resumed)
    await close(quick)


async def test_one_frame_larger_than_the_bound_still_comes_through() -> None:
    runtime = MemoryRuntime()
    runtime.bounds = Limits(watcher_events=3)
    stream = watch(runtime)
    await anext(stream)
    runtime.apply(cm.DeployAgent(agent="a-1", namespace="default", name="web", spec=SPEC, replicas=50))
    assert len(ids_of(await take(stream, runtime.state.revision))) == 51
    await close(stream)


async def test_a_revision_of_many_events_is_cut_into_frames_and_never_resumed_in_its_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames_module, "MAX_FRAME_EVENTS", 20)
    runtime = MemoryRuntime()
    stream = watch(runtime)
    await anext(stream)
    before = runtime.state.revision
    runtime.apply(cm.DeployAgent(agent="a-1", namespace="default", name="web", spec=SPEC, replicas=50))
    frames = await take(stream, runtime.state.revision)
    assert [len(frame) for frame in frames] == [20, 20, 11]
    assert [frame.resume for frame in frames] == [before, before, before + 1]
    await close(stream)


async def test_frames_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_module, "MAX_FRAME_BYTES", 1000)
    runtime = MemoryRuntime()
    for number in range(10):
        say(runtime, number)
    stream = watch(runtime, after=0)
    frames = await take(stream, runtime.state.revision)
    sizes = [sum(len(one.json) for one in frame.happenings) for frame in frames]
    assert max(sizes) <= 1000
    assert ids_of(frames) == all_ids(runtime)
    await close(stream)


async def test_a_revision_that_is_no_longer_kept_is_said_so() -> None:
    runtime = MemoryRuntime()
    for number in range(5):
        say(runtime, number)
    runtime.trim(4)
    with pytest.raises(Trimmed) as trimmed:
        await anext(watch(runtime, after=1))
    assert trimmed.value.first == 4
    assert hub_of(runtime).watchers == 0


async def test_a_revision_that_is_not_there_yet_is_waited_for_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from omnitide.operations import events

    monkeypatch.setattr(events, "_FUTURE_WAIT_S", 0.01)
    with pytest.raises(Failed) as caught:
        await anext(watch(MemoryRuntime(), after=1000))
    assert caught.value.problem.code == "unknown-revision"


async def test_the_number_of_watchers_is_bounded() -> None:
    runtime = MemoryRuntime()
    runtime.bounds = Limits(watchers=2)
    streams = [watch(runtime) for _ in range(3)]
    await anext(streams[0])
    await anext(streams[1])
    with pytest.raises(Failed) as caught:
        await anext(streams[2])
    assert caught.value.problem.code == "busy"
    await close(streams[0])
    again = watch(runtime)
    await anext(again)
    await close(again)
    await close(streams[1])


async def test_a_watcher_without_events_learns_how_far_the_stream_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would resume from a revision that is long gone."""
    monkeypatch.setattr(hub_module, "BOOKMARK_S", 0.05)
    runtime = MemoryRuntime()
    stream = watch(runtime, subject="agent/default/nobody")
    await anext(stream)
    for number in range(3):
        say(runtime, number)
    frames = await take(stream, runtime.state.revision)
    assert ids_of(frames) == []
    await close(stream)


async def test_when_the_reader_itself_falls_behind_it_goes_on_from_where_it_was() -> None:
    runtime = MemoryRuntime()
    runtime.watch_bound = 5
    stream = watch(runtime)
    await anext(stream)
    await asyncio.sleep(0)
    start = runtime.state.revision
    for number in range(20):
        say(runtime, number)
    runtime.watch_bound = 1000
    frames = await take(stream, runtime.state.revision)
    assert ids_of(frames) == all_ids(runtime, after=start)
    await close(stream)


async def test_watchers_are_told_when_the_nexus_stops() -> None:
    runtime = MemoryRuntime()
    stream = watch(runtime)
    await anext(stream)
    await asyncio.sleep(0)
    runtime.stopped.set()
    with pytest.raises(StreamEnded):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await anext(stream)


async def test_a_thousand_watchers_of_their_own_agents_each_see_their_own() -> None:
    runtime = MemoryRuntime()
    streams: dict[str, AsyncIterator[Frame]] = {}
    for number in range(1000):
        name = f"agent-{number}"
        streams[name] = watch(runtime, subject=f"agent/default/{name}")
        await anext(streams[name])
    for number in range(0, 1000, 100):
        name = f"agent-{number}"
        runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=SPEC, replicas=2))
    for number in range(0, 1000, 100):
        frame = await asyncio.wait_for(anext(streams[f"agent-{number}"]), DEADLINE_S)
        assert {one.event.subject for one in frame.happenings} == {
            f"agent/default/agent-{number}",
            f"instance/default/agent-{number}-1.1",
            f"instance/default/agent-{number}-2.1",
        }
    for stream in streams.values():
        await close(stream)
