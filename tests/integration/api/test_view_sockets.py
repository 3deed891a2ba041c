"""The live view over a WebSocket, with a real server and a real client."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.served_api import Served
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from omnitide.fabric import commands as cm
from omnitide.security.tokens import parse_api_token

DEADLINE_S = 10.0


def view(served: Served, query: str = "", **options: Any) -> connect:
    url = served.server.url.replace("http", "ws", 1) + "/v1/view" + query
    headers = {"Authorization": f"Bearer {served.token}", **options.pop("headers", {})}
    return connect(url, additional_headers=headers, **options)


async def take_until(stream: ClientConnection, revision: int) -> dict[str, dict[str, Any]]:
    """What the messages up to a revision amount to."""
    seen: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(DEADLINE_S):
        async for text in stream:
            message = json.loads(text)
            for kind, objects in message.get("objects", {}).items():
                seen.setdefault(kind, {}).update(objects)
            if message.get("revision", 0) >= revision and message.get("part") == message.get("parts"):
                return seen
    raise AssertionError("the view ended")


async def test_the_whole_fabric_and_then_what_changes(served: Served) -> None:
    await served.deploy()
    async with view(served) as stream:
        seen = await take_until(stream, served.runtime.state.revision)
        assert {shown["name"] for shown in seen["agent"].values()} == {"hello"}
        # What the lists show.
        listed = (await served.client.get("/v1/instances")).json()["items"]
        assert [seen["instance"][shown["id"]] for shown in listed] == listed
        await served.deploy("more")
        seen = await take_until(stream, served.runtime.state.revision)
        assert {shown["name"] for shown in seen["agent"].values()} == {"more"}


async def test_a_token_that_is_revoked_sees_nothing_more(served: Served) -> None:
    async with view(served) as stream:
        await take_until(stream, served.runtime.state.revision)
        served.runtime.apply(cm.RevokeToken(id=parse_api_token(served.token).id, force=True))
        with pytest.raises(ConnectionClosed) as closed:
            await take_until(stream, 1 << 50)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_strangers_see_nothing(served: Served) -> None:
    for headers, status in (({"Authorization": "Bearer no"}, 401), ({"Origin": "https://elsewhere.example"}, 403)):
        with pytest.raises(InvalidStatus) as refused:
            async with view(served, headers=headers):
                pass
        assert refused.value.response.status_code == status


async def test_the_fabric_as_it_was(served: Served) -> None:
    await served.deploy()
    then = served.runtime.state.revision
    shown = (await served.client.get("/v1/instances")).json()["items"]
    await served.client.delete("/v1/namespaces/default/agents/hello")
    served.runtime.settle()
    async with view(served, f"?at={then}") as stream:
        messages = [json.loads(text) async for text in stream]
        assert stream.close_code == 1000
    assert {message["kind"] for message in messages} == {"snapshot"}
    assert messages[-1]["part"] == messages[-1]["parts"]
    was = {
        identifier: one for message in messages for identifier, one in message["objects"].get("instance", {}).items()
    }
    assert [was[one["id"]] for one in shown] == shown
    for revision, code in ((2, 4410), (1 << 40, 4409)):
        served.runtime.trim(5)
        async with view(served, f"?at={revision}") as stream:
            with pytest.raises(ConnectionClosed):
                await stream.recv()
            assert stream.close_code == code


async def test_it_is_a_websocket_and_says_so(served: Served) -> None:
    answer = await served.client.get("/v1/view")
    assert answer.status_code == 426, answer.text
    assert answer.json()["code"] == "upgrade-required"
