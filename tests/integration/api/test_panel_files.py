"""How the panel is served: from memory, packed, kept where names tell contents apart, and fenced in."""

import base64
import hashlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.support.served_api import Served, is_problem

from omnitide.api import panel
from omnitide.api.panel import Panel

PAGE = {"accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/app-1.js").write_bytes(b"js")
    (tmp_path / "assets/app-1.js.br").write_bytes(b"js in br")
    (tmp_path / "assets/app-1.js.gz").write_bytes(b"js in gz")
    (tmp_path / "index.html").write_bytes(b"<html>1")
    (tmp_path / "secret.key").write_bytes(b"no")
    return tmp_path


@pytest.fixture
async def browser(folder: Path) -> AsyncGenerator[httpx.AsyncClient]:
    served = Panel(folder)

    async def answer(request: Request) -> Response:
        return served.respond(request) or PlainTextResponse("not the panel's", 404)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "HEAD", "POST"])])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://panel", headers=PAGE) as client:
        yield client


async def test_the_index_is_asked_for_anew_and_the_rest_is_kept(browser: httpx.AsyncClient) -> None:
    index = await browser.get("/")
    assert index.text == "<html>1"
    assert index.headers["cache-control"] == "no-cache"
    again = await browser.get("/", headers={"if-none-match": f'W/"x", {index.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    script = await browser.get("/assets/app-1.js", headers={"accept-encoding": ""})
    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip"), ("identity", None), ("", None)],
)
async def test_what_was_packed_is_sent_packed(browser: httpx.AsyncClient, accepted: str, encoding: str | None) -> None:
    async with browser.stream("GET", "/assets/app-1.js", headers={"accept-encoding": accepted}) as answer:
        assert answer.headers.get("content-encoding") == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert raw == {"br": b"js in br", "gzip": b"js in gz", None: b"js"}[encoding]


async def test_pages_are_fenced_in(browser: httpx.AsyncClient) -> None:
    headers = (await browser.get("/")).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=()" in headers["permissions-policy"]


async def test_a_page_is_obeyed_in_the_styles_that_were_built_into_it_and_in_no_others(
    browser: httpx.AsyncClient, folder: Path
) -> None:
    styles = ["p{color:red}", "\na{}\n"]
    page = "".join(f"<style>{style}</style>" for style in styles)
    (folder / "index.html").write_text(f"<html>{page}<script>no</script>")

    def allowed(answer: httpx.Response) -> list[str]:
        rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
        assert rules["script-src"] == "'self'"
        return rules["style-src"].split()

    digests = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    assert allowed(await browser.get("/")) == ["'self'", *(f"'sha256-{digest}'" for digest in digests)]
    assert allowed(await browser.head("/assets/app-1.js")) == ["'self'"]


@pytest.mark.parametrize("path", ["/nodes", "/agents/default/hello", "/no/such/page"])
async def test_an_address_that_is_opened_as_a_page_gets_the_index(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).text == "<html>1"
    assert (await browser.get(path, headers={"accept": "application/json"})).status_code == 404


async def test_at_the_root_whoever_takes_anything_gets_the_panel(browser: httpx.AsyncClient) -> None:
    for anything in ("*/*", "", "  "):
        assert (await browser.get("/", headers={"accept": anything})).text == "<html>1"
    assert (await browser.get("/", headers={"accept": "application/json"})).status_code == 404
    assert (await browser.get("/nodes", headers={"accept": "*/*"})).status_code == 404


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1", "/health/x", "/secret.key", "/assets/../secret.key", "/%2e%2e/etc/passwd"]
)
async def test_nothing_else_is_the_panels(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.get(path, headers={"accept": "*/*"})
    assert answer.status_code == 404


async def test_a_panel_that_is_built_anew_is_served_without_a_restart(browser: httpx.AsyncClient, folder: Path) -> None:
    await browser.get("/")
    (folder / "assets/app-2.js").write_bytes(b"2")
    (folder / "index.new").write_bytes(b"<html>2")
    os.replace(folder / "index.new", folder / "index.html")
    assert (await browser.get("/")).text == "<html>2"
    assert (await browser.get("/assets/app-2.js")).text == "2"


async def test_without_a_build_it_says_so_and_why(browser: httpx.AsyncClient, folder: Path) -> None:
    (folder / "index.html").unlink()
    (folder / panel.NOT_BUILT).write_text("npm could not reach its registry")
    answer = await browser.get("/")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/plain")
    assert "npm could not reach its registry" in answer.text
    assert "make web" in answer.text


async def test_the_api_answers_by_problems_whatever_a_browser_asks_of_it(served: Served) -> None:
    is_problem(await served.client.get("/v1/nothing", headers=PAGE), 404, "no-route")
    is_problem(await served.client.post("/", headers=PAGE), 404, "no-route")
    is_problem(await served.client.delete("/v1/nodes", headers=PAGE), 405, "method-not-allowed")
    is_problem(await served.client.get("/nothing"), 404, "no-route")
