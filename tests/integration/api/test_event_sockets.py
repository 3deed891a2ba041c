"""The stream of events over a WebSocket, with a real server and a real client."""

import asyncio
import json
import logging
import socket
from typing import Any

import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.support.served_api import Served
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from omnitide.api import event_sockets, stream_sockets
from omnitide.api.server import MAX_SOCKET_MESSAGE, STUCK_MS
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec
from omnitide.operations.happenings import hub as hub_module
from omnitide.operations.happenings.hub import hub_of
from omnitide.operations.runtime import Limits
from omnitide.security.tokens import parse_api_token

DEADLINE_S = 10.0


def say(runtime: MemoryRuntime, number: int) -> None:
    runtime.apply(cm.CreateNamespace(name=f"n{number}"))


def shout(runtime: MemoryRuntime, number: int) -> None:
    """An event of 60 KB, to fill buffers with."""
    spec = AgentSpec(command=("x" * 30_000, "y" * 30_000))
    command = cm.DeployAgent(agent=f"a{number}", namespace="default", name=f"a{number}", spec=spec, replicas=0)
    runtime.apply(command)


def small_socket(served: Served) -> socket.socket:
    """One that holds little that has not been read."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((served.server.host, served.server.port))
    made.setblocking(False)
    return made


async def take_until(stream: ClientConnection, revision: int) -> list[dict[str, Any]]:
    """Events, without bookmarks, until the stream has come to a revision."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE_S):
        async for message in stream:
            events = json.loads(message)
            found += [event for event in events if event["type"] != event_sockets.BOOKMARK]
            if events[-1]["revision"] >= revision:
                return found
    raise AssertionError("the stream ended")


async def refused(served: Served, query: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as caught:
        async with served.watch(query, **options):
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_happens_is_seen_as_cloud_events(served: Served) -> None:
    async with served.watch() as stream:
        await take_until(stream, served.runtime.state.revision)
        await served.deploy()
        seen = await take_until(stream, served.runtime.state.revision)
    created = seen[0]
    assert created["type"] == "omnitide.agent.created.v1"
    assert created["subject"] == "agent/default/hello"
    assert created["specversion"] == "1.0"
    assert {event["type"] for event in seen} >= {"omnitide.instance.placed.v1", "omnitide.instance.running.v1"}


async def test_a_stream_resumes_where_it_broke_off_without_a_gap(served: Served) -> None:
    runtime = served.runtime
    whole: list[str] = []
    after = 0
    for burst in range(4):
        for number in range(5):
            say(runtime, burst * 10 + number)
        async with served.watch(f"?after={after}") as stream:
            seen = await take_until(stream, runtime.state.revision)
        whole += [event["id"] for event in seen]
        after = seen[-1]["revision"]
    listed = (await served.client.get("/v1/events?limit=1000")).json()["items"]
    assert whole == [event["id"] for event in listed]


async def test_filters(served: Served) -> None:
    await served.deploy("hello")
    await served.deploy("other")
    revision = served.runtime.state.revision
    query = "?after=0&subject=agent/default/other&kinds=instance.placed,agent&namespace=default"
    async with served.watch(query) as stream:
        seen = await take_until(stream, revision)
    assert [event["type"] for event in seen] == ["omnitide.agent.created.v1", "omnitide.instance.placed.v1"]
    assert {event["data"]["namespace"] for event in seen} == {"default"}


async def test_a_quiet_stream_says_how_far_it_has_come(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "BOOKMARK_S", 0.05)
    async with served.watch("?kinds=job") as stream:
        say(served.runtime, 1)
        assert await take_until(stream, served.runtime.state.revision) == []


async def test_the_token_may_come_as_a_subprotocol_as_browsers_must(served: Served) -> None:
    options = {"headers": {"Authorization": ""}, "subprotocols": ["omnitide.v1", f"bearer.{served.token}"]}
    del options["headers"]
    from websockets.asyncio.client import connect

    origin = served.server.url
    async with connect(
        served.socket_url, subprotocols=["omnitide.v1", f"bearer.{served.token}"], origin=origin
    ) as stream:
        assert stream.subprotocol == "omnitide.v1"
        await take_until(stream, served.runtime.state.revision)


async def test_strangers_see_nothing(served: Served) -> None:
    from websockets.asyncio.client import connect

    for options in ({}, {"subprotocols": ["omnitide.v1", "bearer.oma_wrong"]}):
        with pytest.raises(InvalidStatus) as caught:
            async with connect(served.socket_url, **options):
                pass
        assert caught.value.response.status_code == 401
    assert (await refused(served, headers={"Authorization": "Bearer nonsense"}))[0] == 401


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/agents"])
async def test_a_websocket_where_there_is_none_is_told_so(served: Served, path: str) -> None:
    """404 with a problem, as over HTTP: 403 would send people to look for a better token."""
    from websockets.asyncio.client import connect

    with pytest.raises(InvalidStatus) as caught:
        async with connect(served.server.url.replace("http", "ws") + path):
            pass
    response = caught.value.response
    assert response.status_code == 404
    problem = json.loads(response.body or b"{}")
    assert (problem["code"], problem["instance"]) == ("no-route", path)
    assert "/v1/events/stream" in problem["hint"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null", "file://"])
async def test_a_page_of_another_site_is_refused(served: Served, origin: str) -> None:
    status, problem = await refused(served, origin=origin)
    assert (status, problem["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?after=x", 422, "invalid"),
        ("?after=-1", 422, "invalid"),
        ("?nonsense=1", 422, "invalid"),
        ("?subject=" + "x" * 300, 422, "invalid"),
        ("?kinds=" + ",".join(f"k{n}" for n in range(50)), 422, "invalid"),
        ("?kinds=zzz", 422, "invalid"),
    ],
)
async def test_questions_that_mean_nothing_are_refused_before_the_stream(
    served: Served, query: str, status: int, code: str
) -> None:
    answer, problem = await refused(served, query)
    assert (answer, problem["code"], problem["instance"]) == (status, code, "/v1/events/stream")


async def closed(stream: ClientConnection) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await stream.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, json.loads(caught.value.rcvd.reason)


async def test_events_that_are_no_longer_kept_close_the_stream_with_the_oldest_that_are(served: Served) -> None:
    served.runtime.trim(5)
    async with served.watch("?after=1") as stream:
        assert await closed(stream) == (4410, {"code": "trimmed", "first": 5})


async def test_a_revision_of_another_log_is_not_waited_for_for_ever(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omnitide.operations import events as operations

    monkeypatch.setattr(operations, "_FUTURE_WAIT_S", 0.01)
    async with served.watch("?after=100000") as stream:
        newest = served.runtime.state.revision
        assert await closed(stream) == (4409, {"code": "unknown-revision", "resume": newest})


async def test_a_slow_watcher_is_told_where_to_resume_and_the_writer_does_not_wait(served: Served) -> None:
    """Its socket's buffers are full, then its queue; the close frame says from where on it missed something."""
    runtime = served.runtime
    runtime.bounds = Limits(watcher_events=20)
    start = runtime.state.revision
    async with (
        served.watch(f"?after={start}", sock=small_socket(served), max_queue=1) as slow,
        served.watch() as quick,
    ):
        written = 0
        async with asyncio.timeout(60):
            while not _is_lagging(runtime):
                for _ in range(8):
                    shout(runtime, written)
                    written += 1
                await take_until(quick, runtime.state.revision)
        ids: list[str] = []
        with pytest.raises(ConnectionClosed) as caught:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    ids += [event["id"] for event in json.loads(await slow.recv())]
        ids = [identifier for identifier in ids if "." in identifier]  # a bookmark's has no index
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4408
        resume = json.loads(caught.value.rcvd.reason)["resume"]
        assert start <= resume < runtime.state.revision
    async with served.watch(f"?after={resume}") as again:
        ids += [event["id"] for event in await take_until(again, runtime.state.revision)]
    listed: list[str] = []
    after = start
    while after < runtime.state.revision:
        page = (await served.client.get(f"/v1/events?after={after}&limit=1000")).json()
        listed += [event["id"] for event in page["items"]]
        after = page["next_after"]
    assert list(dict.fromkeys(ids)) == listed


def _is_lagging(runtime: MemoryRuntime) -> bool:
    live = hub_of(runtime)._live
    return live is not None and any(watcher.lagged for watcher in live.watchers())


async def test_a_watcher_that_takes_nothing_at_all_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_sockets, "SEND_TIME_S", 0.3)
    runtime = served.runtime
    stream = await served.watch(sock=small_socket(served), max_queue=1, ping_interval=None, close_timeout=0.1)
    await wait_until(lambda: hub_of(runtime).watchers == 1)
    written = 0
    async with asyncio.timeout(STUCK_MS / 1000 / 2):  # sooner than the kernel would cut it
        while hub_of(runtime).watchers:
            for _ in range(8):
                shout(runtime, written)
                written += 1
            await asyncio.sleep(0.05)
    stream.transport.abort()


async def test_a_watcher_that_says_too_much_is_closed_for_it_and_no_fault_of_ours_is_logged(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def happen() -> None:
        """So much that frames are on their way to it whenever its message is refused."""
        while True:
            served.runtime.apply(cm.CreateNamespace(name="noise"))
            served.runtime.apply(cm.DeleteNamespace(name="noise"))
            await asyncio.sleep(0)

    happening = asyncio.ensure_future(happen())
    try:
        for number in range(40):
            stream = await served.watch("?after=0", ping_interval=None)
            if number % 2:
                await stream.recv()
            await stream.send("x" * (MAX_SOCKET_MESSAGE + 1 + 1000 * number))
            with pytest.raises(ConnectionClosed) as caught:
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        await stream.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
    finally:
        happening.cancel()
        await asyncio.gather(happening, return_exceptions=True)
    await wait_until(lambda: hub_of(served.runtime).watchers == 0)
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_watcher_that_leaves_frees_its_place(served: Served) -> None:
    for _ in range(3):
        async with served.watch():
            await wait_until(lambda: hub_of(served.runtime).watchers == 1)
        await wait_until(lambda: hub_of(served.runtime).watchers == 0)


async def test_a_watcher_that_vanishes_frees_its_place(served: Served) -> None:
    stream = await served.watch()
    await wait_until(lambda: hub_of(served.runtime).watchers == 1)
    stream.transport.abort()
    await wait_until(lambda: hub_of(served.runtime).watchers == 0)


async def test_streams_are_bounded(served: Served) -> None:
    served.runtime.bounds = Limits(watchers=1)
    async with served.watch() as first:
        await first.recv()
        async with served.watch() as second:
            assert await closed(second) == (1013, {"code": "busy"})


async def test_what_a_watcher_says_is_not_listened_to_and_not_kept(served: Served) -> None:
    async with served.watch() as stream:
        await stream.recv()
        for _ in range(100):
            await stream.send("x" * 1000)
        say(served.runtime, 1)
        assert len(await take_until(stream, served.runtime.state.revision)) == 1
        await stream.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as caught:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await stream.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


async def test_a_token_that_is_revoked_ends_its_streams(served: Served) -> None:
    async with served.watch() as stream:
        await stream.recv()
        served.runtime.apply(cm.RevokeToken(id=parse_api_token(served.token).id, force=True))
        code, reason = await closed(stream)
        assert (code, reason["code"]) == (4403, "forbidden")


async def test_when_the_nexus_stops_streams_are_told_to_come_again(served: Served) -> None:
    async with served.watch() as stream:
        await stream.recv()
        served.runtime.stopped.set()
        assert await closed(stream) == (1012, {"code": "not-serving"})


async def test_when_the_server_closes_so_do_its_streams(served: Served) -> None:
    async with served.watch() as stream:
        await stream.recv()
        await served.server.close()
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await stream.recv()


async def test_a_dead_connection_is_noticed_by_pings(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server asks by itself whether its watchers are there."""
    assert served.server._server.config.ws_ping_interval
    async with served.watch() as stream:
        waiter = await stream.ping()
        async with asyncio.timeout(DEADLINE_S):
            await waiter


async def test_a_hundred_watchers_share_frames(served: Served) -> None:
    encoded = 0
    original = event_sockets.EventSockets._text

    def counting(self: event_sockets.EventSockets, frame: Any) -> str:
        nonlocal encoded
        encoded += len(frame) > 0
        return original(self, frame)

    streams = [await served.watch("?kinds=namespace") for _ in range(100)]
    event_sockets.EventSockets._text = counting  # type: ignore[method-assign]
    try:
        await wait_until(lambda: hub_of(served.runtime).watchers == 100)
        say(served.runtime, 1)
        for stream in streams:
            assert len(await take_until(stream, served.runtime.state.revision)) == 1
    finally:
        event_sockets.EventSockets._text = original  # type: ignore[method-assign]
    assert encoded == 1
    await asyncio.gather(*(stream.close() for stream in streams))


async def test_a_watch_goes_on_in_the_log_that_it_has_seen_and_in_no_other(served: Served) -> None:
    log = served.runtime.log_id()
    async with served.watch(f"?after=1&log={log}") as stream:
        await take_until(stream, served.runtime.state.revision)
    async with served.watch("?after=1&log=log-before-the-restore") as stream:
        code, told = await closed(stream)
    assert (code, told["resume"]) == (4409, served.runtime.state.revision)
