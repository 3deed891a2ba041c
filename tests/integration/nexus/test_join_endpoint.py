"""Joining over the API's real endpoint, with the real Nexus behind it: which texts let a node in."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.fabric.commands import Header, IssueToken
from omnitide.fabric.state import TokenPurpose
from omnitide.nexus.nexus import Nexus
from omnitide.security import tokens
from omnitide.security.certificates import make_csr, new_private_key
from omnitide.security.join_contract import JOIN_PATH
from omnitide.security.tokens import JoinToken

from .conftest import Served

Digest = str


class Stand:
    def __init__(self, nexus: Nexus, client: httpx.AsyncClient) -> None:
        self.nexus = nexus
        self.client = client

    async def issue(self, *, digest: Digest | None = None, ttl_ms: int = 60_000, uses: int = 1) -> JoinToken:
        """A token of the fabric; `digest`: kept in place of its own."""
        drawn = self.nexus.new_token(TokenPurpose.JOIN)
        command = IssueToken(
            id=drawn.id,
            purpose=TokenPurpose.JOIN,
            digest=digest if digest is not None else drawn.digest,
            uses=uses,
            expires_ms=self.nexus.now_ms() + ttl_ms,
        )
        assert not hasattr(await self.nexus.submit(command, Header(principal="system:test")), "code")
        return tokens.parse_join_token(drawn.text)

    async def join(self, token: str) -> httpx.Response:
        body = {"token": token, "csr_pem": make_csr(new_private_key()).decode(), "facts": {"host": "alpha"}}
        return await self.client.post(JOIN_PATH, json=body)


@pytest.fixture
async def stand(served: Served) -> AsyncIterator[Stand]:
    server = await ApiServer.start(make_app(served.nexus), "127.0.0.1", 0, None)
    async with httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False) as client:
        yield Stand(served.nexus, client)
    await server.close()


async def refused(stand: Stand, token: str) -> None:
    answer = await stand.join(token)
    assert answer.status_code == 403, answer.text
    assert answer.json()["code"] == "forbidden"
    assert "the join token is unknown" in answer.json()["detail"]
    assert not stand.nexus.committed().nodes


async def test_the_token_lets_a_node_in(stand: Stand) -> None:
    answer = await stand.join((await stand.issue()).text)
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["node_id"] in stand.nexus.committed().nodes
    assert "BEGIN CERTIFICATE" in answer.json()["certificate_pem"]


@pytest.mark.parametrize("place", [0, -1])
async def test_the_right_id_with_another_secret_is_refused_however_well_it_is_formed(stand: Stand, place: int) -> None:
    token = await stand.issue()
    secret = bytearray(token.secret)
    secret[place] ^= 1
    await refused(stand, replace(token, secret=bytes(secret)).text)
    assert (await stand.join(token.text)).status_code in (200, 201), "the attempt has used nothing up"


async def test_the_right_secret_with_another_id_is_refused(stand: Stand) -> None:
    first, second = await stand.issue(), await stand.issue()
    await refused(stand, replace(first, id=second.id).text)


async def test_a_token_that_was_never_issued_is_refused(stand: Stand) -> None:
    await refused(stand, stand.nexus.new_token(TokenPurpose.JOIN).text)


async def test_a_token_kept_without_a_keyring_is_taken_by_its_plain_digest(stand: Stand) -> None:
    drawn = tokens.parse_join_token(stand.nexus.new_token(TokenPurpose.JOIN).text)
    command = IssueToken(
        id=drawn.id,
        purpose=TokenPurpose.JOIN,
        digest=tokens.plain_digest(drawn),
        expires_ms=stand.nexus.now_ms() + 60_000,
    )
    await stand.nexus.submit(command, Header(principal="system:test"))
    other = replace(drawn, secret=bytes(len(drawn.secret)))
    await refused(stand, other.text)
    assert (await stand.join(drawn.text)).status_code in (200, 201)


@pytest.mark.parametrize("digest", ["sha512:00", "hmac-sha256:unknown-key:00", "-", "sha256:"])
async def test_a_digest_that_cannot_be_checked_lets_nobody_in(stand: Stand, digest: str) -> None:
    await refused(stand, (await stand.issue(digest=digest)).text)


async def test_an_api_token_is_no_join_token(stand: Stand) -> None:
    answer = await stand.join(stand.nexus.new_token(TokenPurpose.API).text)
    assert answer.status_code == 401, answer.text
    assert not stand.nexus.committed().nodes
