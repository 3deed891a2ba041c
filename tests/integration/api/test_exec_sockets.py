"""A terminal by a browser's session: who may open one, and whoever is refused can hear why."""

from typing import Any

import httpx
import pytest
from tests.support.served_api import Served, is_problem
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from omnitide.operations.runtime import Limits


class Browser:
    """Logged in: its cookie goes with all that it asks, the proof only with what the panel's own pages ask."""

    def __init__(self, served: Served, cookie: str, proof: str) -> None:
        self.origin = served.server.url
        self.cookie = cookie
        self.proof = proof

    def socket(self, path: str, *, origin: str = "", proof: str | None = None) -> connect:
        shown = self.proof if proof is None else proof
        return connect(
            self.origin.replace("http", "ws", 1) + path,
            additional_headers={"cookie": self.cookie, "origin": origin or self.origin},
            subprotocols=[Subprotocol("omnitide.v1"), *([Subprotocol(f"proof.{shown}")] if shown else [])],
        )

    async def ask(self, path: str) -> httpx.Response:
        headers = {"cookie": self.cookie, "omnitide-proof": self.proof, "origin": self.origin}
        async with httpx.AsyncClient(base_url=self.origin, headers=headers) as client:
            return await client.get(path)


@pytest.fixture
async def browser(served: Served) -> Browser:
    await served.deploy()
    code = (await served.client.post("/v1/tokens", json={"purpose": "login"})).json()["text"]
    async with httpx.AsyncClient(base_url=served.server.url) as client:
        answer = await client.post("/v1/session", json={"secret": code, "note": "a browser"})
    return Browser(served, answer.headers["set-cookie"].split(";")[0], answer.json()["proof"])


async def refused(opening: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as failed:
        async with opening:
            pass
    body = failed.value.response.body
    return failed.value.response.status_code, body.decode() if body else ""


async def test_a_cookie_alone_or_from_elsewhere_opens_no_terminal(served: Served, browser: Browser) -> None:
    path = f"/v1/instances/{min(served.runtime.state.instances)}/exec"
    assert (await refused(browser.socket(path, proof="")))[0] == 401
    assert (await refused(browser.socket(path, proof="wrong")))[0] == 401
    # A page that an agent serves on another port of this host is sent the cookie too.
    for origin in ("https://elsewhere.example", browser.origin.rpartition(":")[0] + ":1"):
        assert (await refused(browser.socket(path, origin=origin)))[0] == 403


async def test_the_same_question_as_a_request_is_answered_with_the_reason(served: Served, browser: Browser) -> None:
    path = f"/v1/instances/{min(served.runtime.state.instances)}/exec"
    is_problem(await browser.ask(path), 426, "upgrade-required")
    served.runtime.bounds = Limits(streams=0)
    for there, status, code in ((path, 503, "busy"), ("/v1/instances/no-such/exec", 404, "not-found")):
        told, text = await refused(browser.socket(there))
        assert told == status
        assert code in text
        is_problem(await browser.ask(there), status, code)
        served.runtime.bounds = Limits()
