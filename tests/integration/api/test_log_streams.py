"""The output of instances over HTTP."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.support.memory_runtime import START_MS
from tests.support.served_api import Served, is_problem

from omnitide.api import log_streams
from omnitide.operations.runtime import Limits, LogsUnavailable

DEADLINE_S = 10.0


@pytest.fixture
async def logs(served: Served) -> str:
    """Where the output of a running instance is."""
    await served.deploy()
    return f"/v1/instances/{instance_of(served)}/logs"


def instance_of(served: Served) -> str:
    return min(served.runtime.state.instances)


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_output_comes_as_one_object_a_line(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    output.write("out\n", at_ms=START_MS)
    output.write("err\n", stream="stderr", at_ms=START_MS + 5, attempt=2)
    response = await served.client.get(logs)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert lines(response) == [
        {"at_ms": START_MS, "stream": "stdout", "attempt": 1, "text": "out\n", "position": "1", "gap": False},
        {
            "at_ms": START_MS + 5,
            "stream": "stderr",
            "attempt": 2,
            "text": "err\n",
            "position": "2",
            "gap": False,
        },
    ]


async def test_output_comes_as_bare_text_if_that_is_asked_for(served: Served, logs: str) -> None:
    served.runtime.writes(instance_of(served)).write("grüße\n")
    response = await served.client.get(logs, headers={"Accept": "text/plain"})
    assert (response.headers["content-type"], response.text) == ("text/plain; charset=utf-8", "grüße\n")


async def test_a_gap_is_told_in_bare_text_too(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    output.write("early\n")
    output.write("late\n", gap=True)
    text = (await served.client.get(logs, headers={"Accept": "text/plain"})).text
    assert text == "early\n\n--- omnitide: output that was here is not kept any more\nlate\n"
    assert [line["gap"] for line in lines(await served.client.get(logs))] == [False, True]


async def test_a_format_that_there_is_not(served: Served, logs: str) -> None:
    is_problem(await served.client.get(logs, headers={"Accept": "image/png"}), 406, "not-acceptable")


async def test_characters_that_are_cut_between_pieces_are_whole_again(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    for byte in "ä€𝄞".encode():
        output.write(bytes([byte]))
    output.write(b"\xff!")
    assert "".join(line["text"] for line in lines(await served.client.get(logs))) == "ä€𝄞\ufffd!"


async def test_after_a_break_it_goes_on_with_the_next_byte_even_within_a_character(served: Served, logs: str) -> None:
    """Whatever chunk was the last one seen, what follows it makes the text whole."""
    output = served.runtime.writes(instance_of(served))
    for number, byte in enumerate("aä€𝄞z".encode()):
        output.write(bytes([byte]), stream="stderr" if number % 3 == 1 else "stdout")
    whole = lines(await served.client.get(logs))
    for seen in range(1, len(whole)):
        response = await served.client.get(logs, params={"after": whole[seen - 1]["position"]})
        for stream in ("stdout", "stderr"):
            shown = [line["text"] for line in [*whole[:seen], *lines(response)] if line["stream"] == stream]
            assert "".join(shown) == "".join(line["text"] for line in whole if line["stream"] == stream)


async def test_tail_zero_that_broke_before_the_first_byte_goes_on_where_it_began(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    output.write("old\n")
    async with served.client.stream("GET", logs + "?follow=true&tail=0") as response:
        begin = json.loads(await anext(response.aiter_lines()))
    output.write("while nobody read\n")
    rest = lines(await served.client.get(logs, params={"after": begin["position"]}))
    assert [line["text"] for line in rest] == ["while nobody read\n"]


async def test_a_character_that_a_process_never_finished_is_shown_as_such(served: Served, logs: str) -> None:
    """And what its successor writes is not taken for the rest of it."""
    output = served.runtime.writes(instance_of(served))
    output.write(b"a\xe2\x82")
    output.write(b"\xac!", attempt=2)
    output.write(b"\xc3", attempt=2)
    output.ended = True
    response = await served.client.get(logs + "?follow=true")
    assert [line["text"] for line in lines(response)] == ["", "a", "\ufffd", "\ufffd!", "\ufffd"]


@pytest.mark.parametrize("query", ["after=no+position", "after=1%2Bzz%2B", "after=1&tail=5", "after=1&since=5m"])
async def test_a_place_to_go_on_from_that_means_nothing_is_refused(served: Served, logs: str, query: str) -> None:
    problem = is_problem(await served.client.get(f"{logs}?{query}"), 422, "invalid")
    assert problem["errors"][0]["field"] == "after"


async def test_tail_and_since(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    for number in range(10):
        output.write(f"{number}\n", at_ms=START_MS + number * 1000)
    served.runtime.tick(10_000)
    assert [line["text"] for line in lines(await served.client.get(logs + "?tail=2"))] == ["8\n", "9\n"]
    assert len(lines(await served.client.get(logs + "?since=3s"))) == 3
    assert lines(await served.client.get(logs + "?tail=0")) == []
    is_problem(await served.client.get(logs + "?tail=-1"), 422, "invalid")
    is_problem(await served.client.get(logs + "?since=yesterday"), 422, "invalid")


async def test_following_goes_on_until_the_output_ends(served: Served, logs: str) -> None:
    output = served.runtime.writes(instance_of(served))
    output.write("1\n")
    async with served.client.stream("GET", logs + "?follow=true") as response:
        stream = response.aiter_lines()
        begin = json.loads(await anext(stream))
        assert (begin["text"], begin["position"]) == ("", "0")
        assert json.loads(await anext(stream))["text"] == "1\n"
        output.write("2\n")
        assert json.loads(await anext(stream))["text"] == "2\n"
        output.ended = True
        output.write("3\n")
        assert json.loads(await anext(stream))["text"] == "3\n"
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_following_an_instance_that_is_silent_begins_at_once(served: Served, logs: str) -> None:
    async with asyncio.timeout(DEADLINE_S), served.client.stream("GET", logs + "?follow=true") as response:
        assert response.status_code == 200


async def test_a_reader_that_leaves_ends_the_stream_on_the_node(served: Served, logs: str) -> None:
    """Also while nothing is written, which is when leaving is hardest to notice."""
    async with served.client.stream("GET", logs + "?follow=true"):
        await wait_until(lambda: served.runtime.log_streams == 1)
    await wait_until(lambda: served.runtime.log_streams == 0)


async def test_a_node_that_is_away_is_said_at_once_with_since_when(served: Served, logs: str) -> None:
    served.runtime.tick(5000)
    served.runtime.silence("alpha")
    for query in ("", "?follow=true"):
        async with asyncio.timeout(DEADLINE_S):
            problem = is_problem(await served.client.get(logs + query), 503, "node-away")
        assert problem["since_ms"] == served.runtime.clock_ms
        assert problem["subject"] == "node alpha"


async def test_output_that_there_is_not(served: Served) -> None:
    made = await served.client.post(
        "/v1/namespaces/default/jobs",
        json={"name": "wait", "spec": {"driver": "docker", "container": {"image": "alpine:3.20"}}},
    )
    assert made.status_code == 201, made.text
    problem = is_problem(await served.client.get(f"/v1/instances/{instance_of(served)}/logs"), 404, "logs-unavailable")
    assert "has not been placed" in problem["detail"]


async def test_what_was_removed_is_read_from_the_node_that_it_was_on_while_that_keeps_it(
    served: Served, logs: str
) -> None:
    gone = instance_of(served)
    served.runtime.writes(gone).write("last words\n")
    removed = await served.client.delete("/v1/namespaces/default/agents/hello")
    assert removed.status_code == 200, removed.text
    served.runtime.settle()
    assert gone not in served.runtime.state.instances
    served.runtime.writes(gone).ended = True
    for query in ("", "?follow=true"):
        assert "".join(line["text"] for line in lines(await served.client.get(logs + query))) == "last words\n"
    # Longer ago than the log goes back, the nodes that are there are asked.
    served.runtime.trim(served.runtime.state.revision + 1)
    assert [line["text"] for line in lines(await served.client.get(logs))] == ["last words\n"]
    served.runtime.trim(1)
    del served.runtime.output[gone]
    problem = is_problem(await served.client.get(logs), 404, "logs-unavailable")
    assert "the output of hello-1.1 was on node " in problem["detail"]
    assert "is not kept any more: its node keeps none" in problem["detail"]
    for name in ("alpha", "beta"):
        served.runtime.silence(name)
    is_problem(await served.client.get(logs), 503, "node-away")
    served.runtime.trim(served.runtime.state.revision + 1)
    problem = is_problem(await served.client.get(logs), 404, "not-found")
    assert "no node is there that could have" in problem["detail"]


async def test_a_failure_on_the_way_is_the_last_line(
    served: Served, logs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omnitide.operations.runtime import LogPiece

    async def breaking(*_: Any, **__: Any) -> Any:
        yield LogPiece(START_MS, "stdout", 1, b"before\n")
        await asyncio.sleep(0)
        raise LogsUnavailable("the file is damaged")

    monkeypatch.setattr(served.runtime, "logs", breaking)
    found = lines(await served.client.get(logs))
    assert found[0]["text"] == "before\n"
    assert found[1]["problem"]["code"] == "logs-unavailable"
    text = (await served.client.get(logs, headers={"Accept": "text/plain"})).text
    assert text == "before\n\n--- omnitide: the file is damaged\n"


async def test_log_streams_are_bounded_and_places_are_given_back(served: Served, logs: str) -> None:
    served.runtime.bounds = Limits(streams=1)
    for _ in range(3):
        async with served.client.stream("GET", logs + "?follow=true"):
            await wait_until(lambda: served.runtime.log_streams == 1)
            is_problem(await served.client.get(logs), 503, "busy")
        await wait_until(lambda: served.runtime.log_streams == 0)
    served.runtime.silence("alpha")
    for _ in range(3):
        is_problem(await served.client.get(logs), 503, "node-away")


async def test_a_reader_that_stands_still_is_left(served: Served, logs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_streams, "SEND_TIME_S", 0.3)
    output = served.runtime.writes(instance_of(served))
    reader, writer = await asyncio.open_connection(served.server.host, served.server.port, limit=1024)
    writer.write(f"GET {logs}?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token}\r\n\r\n".encode())
    await wait_until(lambda: served.runtime.log_streams == 1)
    async with asyncio.timeout(60):
        while served.runtime.log_streams:
            for _ in range(50):
                output.write("x" * 60_000)
            await asyncio.sleep(0.01)
            output.pieces[:-1] = [piece._replace(data=b"") for piece in output.pieces[:-1]]
    del reader
    writer.transport.abort()


async def test_a_head_of_output_is_refused(served: Served, logs: str) -> None:
    assert (await served.client.head(logs)).status_code == 405
