"""Output of many instances in one stream: in order of time over clocks that differ, searched, bounded, and followed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.memory_runtime import START_MS, MemoryRuntime, until

from omnitide.fabric import commands as cm
from omnitide.model.happenings import OutputLine
from omnitide.model.spec import AgentSpec
from omnitide.operations.closing import closing
from omnitide.operations.failures import Failed
from omnitide.operations.operation import AnyStream, Context
from omnitide.operations.perform import stream
from omnitide.operations.registry import REGISTRY

SEARCH: AnyStream = REGISTRY["logs.search"]  # type: ignore[assignment]


def deploy(runtime: MemoryRuntime, name: str) -> str:
    """The id of its one instance, on the node that takes something."""
    spec = AgentSpec(command=("x",))
    runtime.apply(cm.DeployAgent(agent=name, namespace="default", name=name, spec=spec, replicas=1))
    runtime.settle()
    (found,) = (one.id for one in runtime.state.instances.values() if one.workload == name)
    return found


@pytest.fixture
def runtime() -> MemoryRuntime:
    """web-1.1 on alpha, db-1.1 on beta."""
    runtime = MemoryRuntime()
    runtime.add_node("alpha")
    runtime.web = deploy(runtime, "web")  # type: ignore[attr-defined]
    runtime.apply(cm.CordonNode(node="n-alpha"))
    runtime.add_node("beta")
    runtime.db = deploy(runtime, "db")  # type: ignore[attr-defined]
    runtime.apply(cm.UncordonNode(node="n-alpha"))
    runtime.tick(60_000)
    return runtime


def write(runtime: MemoryRuntime, name: str, second: float, text: str, **how: object) -> None:
    output = runtime.writes(getattr(runtime, name))
    output.write(text + "\n", at_ms=START_MS + int(second * 1000), **how)  # type: ignore[arg-type]


def asking(runtime: MemoryRuntime, *of: str, **how: object) -> AsyncIterator[OutputLine]:
    value = SEARCH.input(of=of or ("agent:web", "agent:db"), **how)
    return stream(SEARCH, runtime, Context("system:test", "c"), value)


async def read(runtime: MemoryRuntime, *of: str, **how: object) -> list[str]:
    return [
        f"{one.name} {one.code or one.text}" if one.name else f"{one.node} {one.code}"
        async for one in asking(runtime, *of, **how)
    ]


async def test_lines_of_several_agents_come_in_order_of_time(runtime: MemoryRuntime) -> None:
    write(runtime, "web", 1, "one")
    write(runtime, "db", 2, "two")
    write(runtime, "web", 3, "three")
    write(runtime, "db", 3, "three")
    expected = ["web-1.1 one", "db-1.1 two", "db-1.1 three", "web-1.1 three"]
    assert await read(runtime) == expected
    assert await read(runtime, last=3) == expected[1:]
    assert await read(runtime, "node:alpha", "instance:db-1.1") == expected
    assert await read(runtime, "instance:web-1", f"instance:{runtime.web}") == ["web-1.1 one", "web-1.1 three"]  # type: ignore[attr-defined]


async def test_a_clock_that_is_off_does_not_disturb_the_order(runtime: MemoryRuntime) -> None:
    runtime.clocks_ahead["n-beta"] = 180_000
    write(runtime, "web", 1, "one")
    write(runtime, "db", 182, "two")
    write(runtime, "web", 3, "three")
    assert await read(runtime) == ["web-1.1 one", "db-1.1 two", "web-1.1 three"]
    found = [one async for one in asking(runtime, "agent:db")]
    assert [(one.at_ms, one.node_at_ms) for one in found] == [(START_MS + 2_000, START_MS + 182_000)]
    # Now is a minute after the start: 59 s ago, by Nexus's clock, on both nodes.
    assert await read(runtime, since="58500ms") == ["db-1.1 two", "web-1.1 three"]


async def test_a_difference_that_the_way_there_may_make_is_none(runtime: MemoryRuntime) -> None:
    runtime.clocks_ahead["n-beta"] = 200
    write(runtime, "db", 1, "one")
    assert [one.at_ms async for one in asking(runtime, "agent:db")] == [START_MS + 1_000]


async def test_times_of_day_and_patterns_are_looked_for_on_the_nodes(runtime: MemoryRuntime) -> None:
    for second in range(5):
        write(runtime, "web", second, f"GET /{second}", stream="stderr" if second == 3 else "stdout")
    start = "2023-11-14T23:13:2{}+01:00"  # START_MS is 22:13:20 UTC
    assert await read(runtime, since=start.format(1), until=start.format(3)) == ["web-1.1 GET /1", "web-1.1 GET /2"]
    assert await read(runtime, grep="get /[04]", regex=True, ignore_case=True) == ["web-1.1 GET /0", "web-1.1 GET /4"]
    assert await read(runtime, grep="[04]") == []
    assert await read(runtime, stream="stderr") == ["web-1.1 GET /3"]


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"grep": "(", "regex": True}, "grep"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-26T14:05:00"}, "since"),
        ({"since": "1m", "until": "2m"}, "until"),
        ({"until": "1m", "follow": True}, "until"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_its_field(
    runtime: MemoryRuntime, how: dict[str, object], field: str
) -> None:
    with pytest.raises(Failed) as refused:
        await read(runtime, **how)
    assert refused.value.problem.errors[0].field == field


@pytest.mark.parametrize(
    ("of", "code"), [("web", "invalid"), ("agent:wob", "not-found"), ("instance:a-1", "not-found")]
)
async def test_who_is_not_there_is_said(runtime: MemoryRuntime, of: str, code: str) -> None:
    with pytest.raises(Failed) as refused:
        await read(runtime, of)
    assert refused.value.problem.code == code


async def test_a_node_that_does_not_answer_is_a_note_before_the_lines_of_the_others(runtime: MemoryRuntime) -> None:
    write(runtime, "web", 1, "here")
    runtime.silence("beta")
    assert await read(runtime) == ["beta node-away", "web-1.1 here"]
    assert await read(runtime, last=1) == ["beta node-away", "web-1.1 here"]
    (said, _) = [one async for one in asking(runtime)]
    assert "lines of db-1.1 are missing" in said.text


async def test_output_that_is_not_kept_any_more_is_a_note_in_its_place(runtime: MemoryRuntime) -> None:
    write(runtime, "db", 1, "one")
    write(runtime, "web", 2, "two", gap=True)
    assert await read(runtime) == ["db-1.1 one", "web-1.1 gap", "web-1.1 two"]


async def test_an_answer_that_is_too_long_says_where_to_go_on(runtime: MemoryRuntime) -> None:
    for second in range(4):
        write(runtime, "web", second, str(second))
    found = [one async for one in asking(runtime, limit=3)]
    assert [one.text for one in found[:3]] == ["0", "1", "2"]
    assert (found[3].code, len(found)) == ("limit", 4)
    assert await read(runtime, since=found[3].text.rpartition("since=")[2]) == ["web-1.1 3"]


async def following(runtime: MemoryRuntime, found: list[str], *of: str, **how: object) -> "asyncio.Task[None]":
    async def take() -> None:
        async with closing(asking(runtime, *of, follow=True, **how)) as lines:
            async for one in lines:
                found.append(  # noqa: PERF401 - it is looked at meanwhile
                    f"{one.name} {one.code or one.text}" if one.name else f"{one.node} {one.code}"
                )

    return asyncio.create_task(take())


async def test_what_is_followed_is_in_order_and_joined_by_what_comes_to_be(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.operations.log_following.HOLD_S", 1.0)
    found: list[str] = []
    write(runtime, "web", 0, "old")
    write(runtime, "db", 1, "old")
    task = await following(runtime, found, last=1)
    await until(lambda: found == ["db-1.1 old"])
    write(runtime, "web", 3, "later")
    await asyncio.sleep(0.1)  # it has come, and is held back
    write(runtime, "db", 2, "sooner")
    await until(lambda: len(found) == 3)
    assert found[1:] == ["db-1.1 sooner", "web-1.1 later"]
    runtime.apply(cm.ScaleAgent(namespace="default", name="web", replicas=2))
    runtime.settle()
    (second,) = (one.id for one in runtime.state.instances.values() if one.name == "web-2.1")
    runtime.writes(second).write("hello\n", at_ms=START_MS + 4_000)
    await until(lambda: found[3:] == ["web-2.1 hello"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not [one for one in asyncio.all_tasks() if one.get_name() in ("logs-follow", "search-follow")]


async def test_a_node_that_comes_back_goes_on_without_a_line_twice(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.operations.log_following.AGAIN_S", 0.05)
    found: list[str] = []
    for _ in range(2):
        write(runtime, "web", 59, "same")
    task = await following(runtime, found, "agent:web")
    await until(lambda: len(found) == 2)
    runtime.log_cut.set()
    await until(lambda: found[2:] == ["alpha logs-unavailable"])
    for text in ("same", "new"):
        write(runtime, "web", 59, text)
    runtime.log_cut.clear()
    await until(lambda: len(found) == 5)
    assert found[3:] == ["web-1.1 same", "web-1.1 new"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_following_ends_with_the_last_that_can_write(
    runtime: MemoryRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnitide.operations.log_following.QUIET_S", 0.1)
    monkeypatch.setattr("omnitide.operations.log_following.LOOK_S", 0.05)
    found: list[str] = []
    task = await following(runtime, found, "instance:web-1.1")
    write(runtime, "web", 1, "last")
    await until(lambda: found == ["web-1.1 last"])
    runtime.apply(cm.StopAgent(namespace="default", name="web"))
    runtime.settle()
    await asyncio.wait_for(task, 10)


async def test_where_all_that_there_was_has_been_given_is_marked_for_whoever_asks_for_it(
    runtime: MemoryRuntime,
) -> None:
    """An answer that has nothing in it yet is no answer that there is nothing."""
    found: list[str] = []
    for _ in range(2):
        write(runtime, "web", 59, "here")
    write(runtime, "db", 58, "other")
    task = await following(runtime, found, grep="here", mark_caught_up=True)
    await until(lambda: len(found) == 3)
    assert found == ["web-1.1 here", "web-1.1 here", " caught-up"]
    write(runtime, "db", 60, "here too")
    await until(lambda: found[3:] == ["db-1.1 here too"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    nothing: list[str] = []
    task = await following(runtime, nothing, grep="nowhere", mark_caught_up=True)
    await until(lambda: nothing == [" caught-up"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await read(runtime, grep="nowhere", mark_caught_up=True), "what is not followed ends, which says it too"
