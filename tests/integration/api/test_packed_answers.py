"""Answers are packed for a browser, as far as that is worth it, and for nobody else."""

import gzip
import json
from typing import Any

import httpx
import pytest
from tests.support.served_api import Served

from omnitide.api import packing


@pytest.fixture
async def session(served: Served) -> dict[str, str]:
    """The headers by which a browser that is logged in asks."""
    code = (await served.client.post("/v1/tokens", json={"purpose": "login"})).json()["text"]
    origin = {"origin": served.server.url}
    async with httpx.AsyncClient(base_url=served.server.url) as client:
        answer = await client.post("/v1/session", json={"secret": code}, headers=origin)
    assert answer.status_code == 201, answer.text
    return {"cookie": answer.headers["set-cookie"].split(";")[0], "omnitide-proof": answer.json()["proof"], **origin}


async def body_as_sent(
    served: Served, headers: dict[str, str], path: str = "/v1/agents"
) -> tuple[httpx.Response, bytes]:
    async with (
        httpx.AsyncClient(base_url=served.server.url) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(raw)
    return answer, raw


async def test_a_browser_gets_what_is_long_packed(served: Served, session: dict[str, str]) -> None:
    for number in range(8):
        await served.deploy(f"hello-{number}")
    answer, raw = await body_as_sent(served, {**session, "accept-encoding": "gzip, deflate, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    found: dict[str, Any] = json.loads(gzip.decompress(raw))
    assert [one["name"] for one in found["items"]] == [f"hello-{number}" for number in range(8)]
    assert len(raw) * 4 < len(gzip.decompress(raw))

    answer, raw = await body_as_sent(served, {**session, "accept-encoding": "gzip;q=0, br"})
    assert "content-encoding" not in answer.headers
    assert json.loads(raw) == found


async def test_nothing_else_is_packed(served: Served, session: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        await served.deploy(f"hello-{number}")
    program = {"authorization": f"Bearer {served.token}", "accept-encoding": "gzip"}
    assert "content-encoding" not in (await body_as_sent(served, program))[0].headers
    browser = {**session, "accept-encoding": "gzip"}
    short, raw = await body_as_sent(served, browser, "/v1/session")
    assert len(raw) < packing.LEAST
    assert "content-encoding" not in short.headers
    monkeypatch.setattr(packing, "LARGEST", packing.LEAST)
    assert "content-encoding" not in (await body_as_sent(served, browser))[0].headers
