"""The live view: a snapshot and the patches after it are always what a fresh look shows, for every watcher."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.support.memory_runtime import MemoryRuntime, until

from omnitide.fabric import commands as cm
from omnitide.fabric.state import FabricState, Instance
from omnitide.model.spec import AgentSpec, Resources
from omnitide.operations.failures import Failed
from omnitide.operations.runtime import HostUse, Limits, NodeLive, StreamEnded, WatchLagged
from omnitide.operations.view import WatchViewRequest, watch_view
from omnitide.operations.viewing import frames as frames_module
from omnitide.operations.viewing import hub as hub_module
from omnitide.operations.viewing.frames import ViewFrame
from omnitide.operations.viewing.hub import view_hub_of
from omnitide.operations.viewing.showing import Showing, everything
from omnitide.operations.views import silence
from omnitide.telemetry.series.definition import SeriesInfo
from omnitide.telemetry.series.recent import NODE_CPU, NODE_MEMORY

SPEC = AgentSpec(command=("x",), resources=Resources(cpu=1, memory=1))
DEADLINE_S = 10.0
Seen = dict[str, dict[str, Any]]


def deploy(runtime: MemoryRuntime, name: str, replicas: int = 2) -> None:
    runtime.apply(cm.DeployAgent(agent=f"a-{name}", namespace="default", name=name, spec=SPEC, replicas=replicas))


def fresh(runtime: MemoryRuntime) -> Seen:
    """All objects as they look now."""
    showing = Showing(runtime.state, runtime.node_live, runtime.now_ms())
    seen: Seen = {}
    for kind, identifier in everything(runtime.state):
        seen.setdefault(kind, {})[identifier] = json.loads(showing.encoded(kind, identifier) or b"null")
    return seen


class Watching:
    """A client of the view, as a panel is one."""

    def __init__(self, runtime: MemoryRuntime) -> None:
        self.stream: AsyncIterator[ViewFrame] = watch_view(runtime, WatchViewRequest())
        self.objects: Seen = {}
        self.use: dict[str, list[int]] = {}
        self.revision = 0
        self.kinds: list[str] = []
        self._parts: Seen = {}

    async def take(self) -> str:
        async with asyncio.timeout(DEADLINE_S):
            frame = await anext(self.stream)
        message = json.loads(frame.json)
        self.kinds.append(message["kind"])
        match message["kind"]:
            case "snapshot":
                for kind, objects in message["objects"].items():
                    self._parts.setdefault(kind, {}).update(objects)
                if message["part"] == message["parts"]:
                    self.objects, self.revision = self._parts, message["revision"]
            case "patch":
                assert message["revision"] >= self.revision
                self.revision = message["revision"]
                for kind, objects in message["objects"].items():
                    for identifier, shown in objects.items():
                        if shown is None:
                            self.objects[kind].pop(identifier, None)
                        else:
                            self.objects.setdefault(kind, {})[identifier] = shown
            case "use":
                self.use.update(message["node"])
            case other:
                assert other == "beat"
        return str(message["kind"])

    async def come_to(self, revision: int) -> None:
        while self.revision < revision:
            await self.take()

    async def close(self) -> None:
        await self.stream.aclose()  # type: ignore[attr-defined]


def without_empty(seen: Seen) -> Seen:
    return {kind: objects for kind, objects in seen.items() if objects}


async def check(runtime: MemoryRuntime, *watching: Watching) -> None:
    for one in watching:
        await one.come_to(runtime.state.revision)
        assert without_empty(one.objects) == without_empty(fresh(runtime))


@pytest.fixture
def runtime() -> MemoryRuntime:
    made = MemoryRuntime()
    made.add_node("alpha")
    made.add_node("beta")
    return made


async def test_a_watcher_sees_everything_and_then_what_changes(runtime: MemoryRuntime) -> None:
    deploy(runtime, "hello")
    one = Watching(runtime)
    await check(runtime, one)
    runtime.settle()
    await check(runtime, one)
    assert {shown["status"] for shown in one.objects["instance"].values()} == {"running"}
    runtime.apply(cm.DeleteAgent(namespace="default", name="hello"))
    runtime.settle()
    await check(runtime, one)
    assert not one.objects.get("agent")
    await one.close()


async def test_one_that_comes_later_sees_the_same(runtime: MemoryRuntime) -> None:
    """It takes the snapshot that was made for the first, and what came since."""
    deploy(runtime, "hello")
    first = Watching(runtime)
    await check(runtime, first)
    runtime.settle()
    await check(runtime, first)
    later = Watching(runtime)
    await check(runtime, later, first)
    assert "patch" in later.kinds
    deploy(runtime, "more")
    runtime.settle()
    await check(runtime, first, later)
    await first.close()
    deploy(runtime, "most")
    await check(runtime, later)
    await later.close()


async def test_with_too_much_since_a_new_snapshot_is_made(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "KEPT_BYTES", 1)
    first = Watching(runtime)
    await check(runtime, first)
    deploy(runtime, "hello")
    await check(runtime, first)
    later = Watching(runtime)
    await check(runtime, later)
    assert set(later.kinds) == {"snapshot"}
    deploy(runtime, "more")
    await check(runtime, first, later)
    await first.close()
    await later.close()


async def test_a_snapshot_comes_in_parts_that_are_bounded(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "PART_BYTES", 2000)
    for number in range(20):
        deploy(runtime, f"agent-{number}")
    one = Watching(runtime)
    frame = await anext(one.stream)
    first = json.loads(frame.json)
    assert first["parts"] > 5
    assert len(frame.json) < 4000
    await one.close()
    whole = Watching(runtime)
    await check(runtime, whole)
    assert whole.kinds.count("snapshot") == first["parts"]
    await whole.close()


async def test_what_a_silent_node_runs_is_unknown_in_the_view_too(runtime: MemoryRuntime) -> None:
    deploy(runtime, "hello")
    runtime.settle()
    one = Watching(runtime)
    await check(runtime, one)
    runtime.silence("alpha")
    await check(runtime, one)
    hidden = [shown for shown in one.objects["instance"].values() if shown["node"] == "alpha"]
    assert hidden
    assert {shown["status"] for shown in hidden} == {"unknown"}
    assert one.objects["agent"]["a-hello"]["status"] == "unknown"
    runtime.connect("alpha")
    await check(runtime, one)
    await one.close()


async def test_what_silent_nodes_hide_is_looked_at_again_only_where_it_is_another(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(runtime, "many", 40)
    runtime.settle()
    runtime.apply(cm.SuspectNode(node="n-alpha", session=runtime.nodes["alpha"].session))
    hidden = set(runtime.state.nodes["n-alpha"].instances)
    assert len(hidden) >= 10
    looked: list[str] = []
    ask = silence.silent_since

    def asked(state: FabricState, instance: Instance) -> int:
        looked.extend([instance.id] if instance.id in hidden else [])
        return ask(state, instance)

    monkeypatch.setattr(silence, "silent_since", asked)
    one = Watching(runtime)
    await check(runtime, one)
    assert hidden <= set(looked), "once, by who comes first"
    deploy(runtime, "few", 1)
    looked.clear()
    await one.come_to(runtime.state.revision)
    assert not looked, "what has changed is elsewhere"
    await check(runtime, one)

    runtime.apply(cm.StopAgent(namespace="default", name="many"))
    looked.clear()
    await one.come_to(runtime.state.revision)
    assert hidden <= set(looked), "they are to stop now"
    await check(runtime, one)
    await one.close()


async def test_what_time_alone_changes_is_seen(runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that waits too long is in trouble, without any event; a node that misses its beats is stalled."""
    monkeypatch.setattr(hub_module, "LOOK_S", 0.01)
    runtime.apply(
        cm.DeployAgent(
            agent="a-big",
            namespace="default",
            name="big",
            spec=replace(SPEC, resources=Resources(cpu=3_000, memory=1)),
            replicas=3,
        )
    )
    one = Watching(runtime)
    await check(runtime, one)
    assert one.objects["agent"]["a-big"]["status"] == "progressing"
    runtime.tick(60_000)
    while one.objects["agent"]["a-big"]["status"] != "degraded":
        await one.take()
    node = next(iter(runtime.state.nodes))
    runtime.live[node] = NodeLive(last_beat_ms=1, stalled_since_ms=77)
    while one.objects["node"][node]["status"] != "stalled":
        await one.take()
    assert one.objects["node"][node]["stalled_since_ms"] == 77
    await one.close()


async def test_how_busy_nodes_are_comes_apart_and_only_when_it_changes(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LOOK_S", 0.01)
    monkeypatch.setattr(hub_module, "BEAT_S", 0.05)
    node = next(iter(runtime.state.nodes))
    runtime.live[node] = NodeLive(last_beat_ms=5, use=HostUse(at_ms=5, cpu_milli_used=1500, memory_used_bytes=7))
    one = Watching(runtime)
    await one.come_to(runtime.state.revision)
    while one.use.get(node) != [1500, 7]:
        await one.take()
    assert one.objects["node"][node]["use"] is None
    one.kinds.clear()
    while one.kinds.count("beat") < 3:
        await one.take()
    assert "use" not in one.kinds
    later = Watching(runtime)
    await later.come_to(runtime.state.revision)
    while node not in later.use:
        await later.take()
    await one.close()
    await later.close()


async def test_a_revision_that_changes_nothing_that_is_seen_is_told_all_the_same(runtime: MemoryRuntime) -> None:
    """Who waits for what they did to be seen waits for its revision."""
    one = Watching(runtime)
    await check(runtime, one)
    runtime.api_token()
    async with asyncio.timeout(DEADLINE_S):
        await check(runtime, one)
    assert one.kinds[-1] == "patch"
    await one.close()


async def test_how_busy_a_node_is_is_taken_from_its_samples_where_there_are_some(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of this second; what a beat says is of the last ten."""
    monkeypatch.setattr(hub_module, "LOOK_S", 0.01)
    for node in runtime.state.nodes:
        runtime.live[node] = NodeLive(last_beat_ms=5, use=HostUse(at_ms=5, cpu_milli_used=1500, memory_used_bytes=7))
    recent, now = runtime.metrics().recent, runtime.metrics().now_s()
    for name, values, counter in ((NODE_CPU, [10.0, 12.5], True), (NODE_MEMORY, [1.0, 3.0], False)):
        entry = recent.entry("n-alpha", SeriesInfo(name, (("node", "alpha"),), "counter" if counter else "gauge"), 1)
        assert entry is not None
        entry.ring.write(np.array([entry.row]), now - 1, np.array([values]), np.array([counter]), None)
    one = Watching(runtime)
    await check(runtime, one)
    while len(one.use) < 2:
        await one.take()
    assert one.use == {"n-alpha": [2500, 3], "n-beta": [1500, 7]}
    await one.close()


async def test_what_a_node_used_goes_with_it(runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LOOK_S", 0.01)
    monkeypatch.setattr(hub_module, "SNAPSHOT_S", 0.0)
    for node in runtime.state.nodes:
        runtime.live[node] = NodeLive(last_beat_ms=5, use=HostUse(at_ms=5, cpu_milli_used=1500, memory_used_bytes=7))
    one = Watching(runtime)
    await check(runtime, one)
    while len(one.use) < 2:
        await one.take()
    runtime.apply(cm.RemoveNode(node="beta", force=True))
    await check(runtime, one)
    later = Watching(runtime)
    while not later.use:
        await later.take()
    assert later.use.keys() == {"n-alpha"}
    await one.close()
    await later.close()


async def test_a_slow_watcher_has_to_begin_anew_and_others_do_not_notice(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "QUEUE_BYTES", 3000)
    slow, quick = Watching(runtime), Watching(runtime)
    await check(runtime, slow, quick)
    for number in range(30):
        deploy(runtime, f"agent-{number}", replicas=0)
        await check(runtime, quick)
    with pytest.raises(WatchLagged):
        while True:
            await slow.take()
    deploy(runtime, "another")
    await check(runtime, quick)
    await quick.close()


async def test_a_hub_that_falls_behind_the_log_looks_at_everything(runtime: MemoryRuntime) -> None:
    one = Watching(runtime)
    await check(runtime, one)
    deploy(runtime, "gone")
    await check(runtime, one)
    deploy(runtime, "hidden", 10)
    runtime.settle()
    await check(runtime, one)
    runtime.watch_bound = 1
    runtime.apply(cm.DeleteAgent(namespace="default", name="gone"))
    # What it hides is counted anew as well.
    runtime.silence("alpha")
    for number in range(10):
        deploy(runtime, f"agent-{number}")
    runtime.settle()
    await check(runtime, one)
    await one.close()


async def test_the_view_ends_when_nexus_stops(runtime: MemoryRuntime) -> None:
    one = Watching(runtime)
    await check(runtime, one)
    runtime.stopped.set()
    with pytest.raises(StreamEnded):
        while True:
            await one.take()


async def test_one_that_comes_soon_after_the_last_has_left_finds_all_made(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []
    encoded = Showing.encoded

    def counted(showing: Showing, kind: str, identifier: str) -> bytes | None:
        made.append((kind, identifier))
        return encoded(showing, kind, identifier)

    deploy(runtime, "before")
    one = Watching(runtime)
    await check(runtime, one)
    await one.close()
    monkeypatch.setattr(Showing, "encoded", counted)
    deploy(runtime, "meanwhile")
    await until(lambda: ("agent", "a-meanwhile") in made)
    again = Watching(runtime)
    while not again.objects:
        await again.take()
    assert again.revision == runtime.state.revision, "the snapshot is of now"
    assert ("agent", "a-meanwhile") in made
    assert ("agent", "a-before") not in made
    monkeypatch.undo()
    await check(runtime, again)
    await again.close()


async def test_what_is_made_for_nobody_is_kept_for_a_minute(runtime: MemoryRuntime) -> None:
    """So long a page may take to be loaded anew and still find the view as it was."""
    one = Watching(runtime)
    await check(runtime, one)
    hub = view_hub_of(runtime)
    assert hub._ending is None
    await one.close()
    assert hub._ending is not None
    left = hub._ending.when() - asyncio.get_running_loop().time()
    assert 59 < left <= 60
    again = Watching(runtime)
    await check(runtime, again)
    assert hub._ending is None
    await again.close()


async def test_what_is_kept_for_nobody_does_not_end_under_one_that_comes_just_then(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "UNWATCHED_S", 0.0)
    one = Watching(runtime)
    await check(runtime, one)
    await one.close()
    again = Watching(runtime)
    await check(runtime, again)
    deploy(runtime, "later")
    await again.come_to(runtime.state.revision)
    await check(runtime, again)
    await again.close()


async def test_watchers_are_bounded_and_the_last_one_leaves_nothing_running(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "UNWATCHED_S", 0.0)
    runtime.bounds = Limits(watchers=1)
    one = Watching(runtime)
    await check(runtime, one)
    with pytest.raises(Failed) as refused:
        await Watching(runtime).take()
    assert refused.value.problem.code == "busy"
    await one.close()
    assert view_hub_of(runtime).watchers == 0
    names = ("view-hub", "view-snapshot")
    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() in names])
    again = Watching(runtime)
    await check(runtime, again)
    await again.close()


async def test_a_thousand_that_come_back_at_once_are_sent_one_snapshot_and_miss_nothing(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    make = hub_module.snapshot_parts

    def counted(*given: Any) -> Any:
        nonlocal made
        made += 1
        return make(*given)

    monkeypatch.setattr(hub_module, "snapshot_parts", counted)
    deploy(runtime, "before")
    streams = [watch_view(runtime, WatchViewRequest()) for _ in range(1000)]
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    deploy(runtime, "after")
    newest = runtime.state.revision

    async def until_newest(stream: AsyncIterator[ViewFrame]) -> ViewFrame:
        async with asyncio.timeout(DEADLINE_S):
            while (frame := await anext(stream)).resume < newest:
                pass
        return frame

    lasts = await asyncio.gather(*(until_newest(stream) for stream in streams))
    assert made == 1
    assert len({id(frame) for frame in firsts}) == 1, "the same bytes for all"
    assert all(b"after" in frame.json for frame in lasts)
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
