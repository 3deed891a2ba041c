"""Logging in to the panel: a link once, a session by cookie and proof, and nothing by either alone."""

import re
from typing import Any

import httpx
import pytest
from tests.support.served_api import Served, is_problem
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from omnitide.api.authenticate import MAX_FAILURES
from omnitide.fabric import commands as cm
from omnitide.operations.logins import cookie_name
from omnitide.security.tokens import parse_api_token
from omnitide.telemetry.masking import mask_text


@pytest.fixture
async def browser(served: Served) -> Any:
    """Without a token."""
    async with httpx.AsyncClient(base_url=served.server.url, timeout=10) as client:
        yield client


async def link(served: Served, **more: str) -> str:
    made = await served.client.post("/v1/tokens", json={"purpose": "login", **more})
    assert made.status_code == 201, made.text
    return made.json()["text"]


class Session:
    def __init__(self, served: Served, answer: httpx.Response) -> None:
        assert answer.status_code == 201, answer.text
        self.set_cookie = answer.headers["set-cookie"]
        self.cookie = self.set_cookie.split(";")[0]
        self.proof = answer.json()["proof"]
        self.id = answer.json()["session"]["id"]
        self.text = answer.text
        self.origin = served.server.url

    def headers(self, **more: str) -> dict[str, str]:
        return {"cookie": self.cookie, "omnitide-proof": self.proof, "origin": self.origin, **more}


async def log_in(served: Served, browser: httpx.AsyncClient, secret: str = "") -> Session:
    code = secret or await link(served)
    answer = await browser.post("/v1/session", json={"secret": code, "note": "a browser"})
    session = Session(served, answer)
    browser.cookies.clear()
    return session


async def test_a_link_opens_one_session(served: Served, browser: httpx.AsyncClient) -> None:
    code = await link(served)
    session = await log_in(served, browser, code)
    shown = await browser.get("/v1/session", headers=session.headers())
    assert shown.json()["token"]["purpose"] == "session"
    assert shown.json()["token"]["note"] == "a browser"
    assert shown.json()["token"]["created_by"] == f"token:{parse_api_token(served.token).id}"
    again = await browser.post("/v1/session", json={"secret": code})
    assert "has been used" in is_problem(again, 401, "unauthenticated")["detail"]
    states = {one["purpose"]: one["state"] for one in (await served.client.get("/v1/tokens")).json()["items"]}
    assert (states["api"], states["login"], states["session"]) == ("valid", "used-up", "valid")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    served: Served, browser: httpx.AsyncClient
) -> None:
    session = await log_in(served, browser)
    name = re.escape(cookie_name(served.runtime.state.fabric_id))
    form = rf"{name}=oms_[0-9a-z_]+; Max-Age=43200; Path=/; Secure; HttpOnly; SameSite=Strict"
    assert re.fullmatch(form, session.set_cookie)
    assert session.cookie.partition("=")[2] not in session.text


async def test_neither_code_nor_cookie_is_ever_logged(served: Served, browser: httpx.AsyncClient) -> None:
    code = await link(served)
    session = await log_in(served, browser, code)
    for text in (code, session.cookie):
        shown = mask_text(f"somebody wrote {text} here")
        assert text.rpartition("_")[2] not in shown
        assert "***" in shown


async def test_an_api_token_opens_sessions_too(served: Served, browser: httpx.AsyncClient) -> None:
    first, second = [await log_in(served, browser, served.token) for _ in range(2)]
    assert first.id != second.id


async def test_a_link_is_valid_for_ten_minutes(served: Served, browser: httpx.AsyncClient) -> None:
    code = await link(served)
    served.runtime.clock_ms += 600_001
    answer = await browser.post("/v1/session", json={"secret": code})
    assert "expired" in is_problem(answer, 401, "unauthenticated")["detail"]
    refused = await served.client.post("/v1/tokens", json={"purpose": "login", "ttl": "25h"})
    is_problem(refused, 422, "invalid")


async def test_a_session_lasts_as_long_as_the_settings_say(served: Served, browser: httpx.AsyncClient) -> None:
    session = await log_in(served, browser)
    served.runtime.clock_ms += 12 * 3_600_000 - 1000
    assert (await browser.get("/v1/fabric", headers=session.headers())).status_code == 200
    served.runtime.clock_ms += 2000
    ended = is_problem(await browser.get("/v1/fabric", headers=session.headers()), 401, "unauthenticated")
    assert ended["detail"] == "your session has ended"


@pytest.mark.parametrize("secret", ["nonsense", "oml_x", "omt_0000000000000000_x", "a" * 256])
async def test_what_is_no_code_is_refused(secret: str, served: Served, browser: httpx.AsyncClient) -> None:
    problem = is_problem(await browser.post("/v1/session", json={"secret": secret}), 401, "unauthenticated")
    assert "omnitide panel" in problem["hint"]
    assert secret not in problem["detail"]


async def test_a_link_of_another_fabric_is_unknown(served: Served, browser: httpx.AsyncClient) -> None:
    code = await link(served)
    other = code.replace(code.split("_")[1], "0" * 16)
    is_problem(await browser.post("/v1/session", json={"secret": other}), 401, "unauthenticated")


async def test_who_tries_on_and_on_has_to_wait_and_a_right_link_does_not(
    served: Served, browser: httpx.AsyncClient
) -> None:
    for _ in range(MAX_FAILURES):
        is_problem(await browser.post("/v1/session", json={"secret": "oml_x"}), 401, "unauthenticated")
    is_problem(await browser.post("/v1/session", json={"secret": "oml_x"}), 429, "throttled")
    await log_in(served, browser)


@pytest.mark.parametrize(
    ("without", "status"),
    [({"omnitide-proof": ""}, 401), ({"omnitide-proof": "0" * 64}, 401), ({"cookie": ""}, 401)],
    ids=["no proof", "another proof", "no cookie"],
)
async def test_cookie_and_proof_open_nothing_without_each_other(
    without: dict[str, str], status: int, served: Served, browser: httpx.AsyncClient
) -> None:
    session = await log_in(served, browser)
    answer = await browser.get("/v1/fabric", headers={**session.headers(), **without})
    is_problem(answer, status, "unauthenticated")


@pytest.mark.parametrize(
    "more",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://[oops"},
        # A page that an agent serves on another port of the same host.
        {"origin": "http://127.0.0.1:20417"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
async def test_no_other_page_rides_on_a_session(
    more: dict[str, str], served: Served, browser: httpx.AsyncClient
) -> None:
    session = await log_in(served, browser)
    for method, path in (("GET", "/v1/fabric"), ("DELETE", "/v1/session")):
        is_problem(await browser.request(method, path, headers=session.headers(**more)), 403, "forbidden")
    opened = await browser.post("/v1/session", json={"secret": await link(served)}, headers=more)
    is_problem(opened, 403, "forbidden")


async def test_a_change_says_from_where_it_comes(served: Served, browser: httpx.AsyncClient) -> None:
    session = await log_in(served, browser)
    headers = session.headers()
    del headers["origin"]
    assert (await browser.get("/v1/fabric", headers=headers)).status_code == 200
    is_problem(await browser.post("/v1/namespaces", json={"name": "blue"}, headers=headers), 403, "forbidden")
    made = await browser.post("/v1/namespaces", json={"name": "blue"}, headers=session.headers())
    assert made.status_code == 201
    assert served.runtime.log[-1].principal == f"token:{session.id}"


async def test_logging_out_ends_the_session_and_has_the_cookie_forgotten(
    served: Served, browser: httpx.AsyncClient
) -> None:
    session = await log_in(served, browser)
    gone = await browser.delete("/v1/session", headers=session.headers())
    assert gone.status_code == 200
    assert "=; Max-Age=0;" in gone.headers["set-cookie"]
    is_problem(await browser.get("/v1/fabric", headers=session.headers()), 401, "unauthenticated")
    is_problem(await served.client.delete("/v1/session"), 409, "conflict")


async def test_a_session_can_be_revoked_as_any_token(served: Served, browser: httpx.AsyncClient) -> None:
    session = await log_in(served, browser)
    assert (await served.client.delete(f"/v1/tokens/{session.id}")).status_code == 200
    is_problem(await browser.get("/v1/fabric", headers=session.headers()), 401, "unauthenticated")


async def test_a_session_ends_with_the_token_that_let_it_in(served: Served, browser: httpx.AsyncClient) -> None:
    other = served.runtime.api_token()
    by_token = await log_in(served, browser, other)
    made = await browser.post("/v1/tokens", json={"purpose": "login"}, headers=by_token.headers())
    by_link = await log_in(served, browser, made.json()["text"])
    unused = (await browser.post("/v1/tokens", json={"purpose": "login"}, headers=by_link.headers())).json()["text"]
    served.runtime.apply(cm.RevokeToken(id=parse_api_token(other).id))
    for session in (by_token, by_link):
        is_problem(await browser.get("/v1/fabric", headers=session.headers()), 401, "unauthenticated")
    is_problem(await browser.post("/v1/session", json={"secret": unused}), 401, "unauthenticated")


async def test_a_login_and_a_session_are_no_api_tokens(served: Served, browser: httpx.AsyncClient) -> None:
    session = await log_in(served, browser)
    for text in (await link(served), session.cookie.partition("=")[2]):
        answer = await browser.get("/v1/fabric", headers={"authorization": f"Bearer {text}"})
        is_problem(answer, 401, "unauthenticated")


async def test_a_socket_is_opened_by_cookie_and_proof_from_the_panels_own_page(
    served: Served, browser: httpx.AsyncClient
) -> None:
    session = await log_in(served, browser)
    url = served.server.url.replace("http", "ws", 1) + "/v1/view"

    def opening(proof: str, origin: str | None) -> connect:
        offered = [Subprotocol("omnitide.v1"), Subprotocol(f"proof.{proof}")]
        headers = {"cookie": session.cookie}
        return connect(url, subprotocols=offered, additional_headers=headers, origin=origin)  # type: ignore[arg-type]

    async with opening(session.proof, served.server.url) as socket:
        assert socket.subprotocol == "omnitide.v1"
        assert '"kind":"snapshot"' in str(await socket.recv())
    for proof, origin, status in (
        ("0" * 64, served.server.url, 401),
        (session.proof, None, 403),
        (session.proof, "http://127.0.0.1:20417", 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with opening(proof, origin):
                pass
        assert refused.value.response.status_code == status
