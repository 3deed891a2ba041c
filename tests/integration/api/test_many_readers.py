"""Hundreds who read what happened before this Nexus started: each has its turn at the log, and none is an error."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from omnitide.config.descriptors import raise_open_files
from omnitide.config.settings import Settings
from omnitide.fabric.commands import CreateNamespace, Header
from omnitide.nexus.clock import SystemClock
from omnitide.nexus.engine import EngineLimits
from omnitide.nexus.identity import now_of
from omnitide.nexus.nexus import Nexus
from omnitide.nexus.opening import issue_admin_token
from omnitide.operations.runtime import NotServing
from omnitide.security.keyring import Keyring, new_keyring
from omnitide.security.pki import create_authority
from omnitide.store.rocksdb import open_rocksdb_log

ENTRIES = 40
DEADLINE_S = 120.0


class Stand:
    def __init__(self, nexus: Nexus, server: ApiServer, token: str) -> None:
        self.nexus = nexus
        self.server = server
        self.headers = {"Authorization": f"Bearer {token}"}

    @property
    def stream(self) -> str:
        return self.server.url.replace("http", "ws", 1) + "/v1/events/stream"


async def begin(directory: Path, keyring: Keyring, limits: EngineLimits | None = None) -> Nexus:
    log = await open_rocksdb_log(directory / "log")
    return await Nexus.start(log, keyring, SystemClock(), Settings, limits=limits)


@pytest.fixture
async def restarted(tmp_path: Path) -> AsyncIterator[Stand]:
    """A Nexus that has just been started again, with everything that happened behind it."""
    raise_open_files()
    keyring = new_keyring(create_authority("readers", now_of(SystemClock())))
    nexus = await begin(tmp_path, keyring)
    for number in range(ENTRIES):
        await nexus.submit(CreateNamespace(name=f"n{number}"), Header(principal="system:test"))
    token = await issue_admin_token(nexus)
    await nexus.close()
    await nexus.engine.log.close()
    nexus = await begin(tmp_path, keyring)
    server = await ApiServer.start(make_app(nexus), "127.0.0.1", 0, None)
    yield Stand(nexus, server, token)
    await server.close()
    await nexus.close()
    await nexus.engine.log.close()


async def test_seven_hundred_reads_of_old_events_at_once_are_all_answered(restarted: Stand) -> None:
    async def some(count: int) -> list[httpx.Response]:
        # Several clients: a pool of httpx looks at all of its connections for each request.
        async with httpx.AsyncClient(
            base_url=restarted.server.url, headers=restarted.headers, timeout=DEADLINE_S, trust_env=False
        ) as client:
            return await asyncio.gather(*(client.get("/v1/events", params={"limit": 10}) for _ in range(count)))

    answers = [answer for part in await asyncio.gather(*(some(50) for _ in range(14))) for answer in part]
    assert Counter(answer.status_code for answer in answers) == {200: 700}


@pytest.mark.parametrize("watchers", [600, 1000])
async def test_hundreds_of_watchers_come_back_after_a_restart(restarted: Stand, watchers: int) -> None:
    last = restarted.nexus.committed().revision

    async def follow(number: int) -> ClientConnection:
        stream = await stack.enter_async_context(
            connect(
                restarted.stream + "?after=1", additional_headers=restarted.headers, open_timeout=DEADLINE_S, proxy=None
            )
        )
        await until(stream, last)
        return stream

    async def until(stream: ClientConnection, revision: int) -> None:
        while json.loads(await stream.recv())[-1]["revision"] < revision:
            pass

    async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE_S):
        streams = await asyncio.gather(*(follow(number) for number in range(watchers)))
        outcome = await restarted.nexus.submit(CreateNamespace(name="live"), Header(principal="system:test"))
        assert getattr(outcome, "revision", 0) == last + 1
        await asyncio.gather(*(until(stream, last + 1) for stream in streams))


async def test_a_read_that_gets_no_turn_is_told_to_come_again(tmp_path: Path) -> None:
    keyring = new_keyring(create_authority("readers", now_of(SystemClock())))
    nexus = await begin(tmp_path, keyring)
    for number in range(5):
        await nexus.submit(CreateNamespace(name=f"n{number}"), Header(principal="system:test"))
    await nexus.close()
    await nexus.engine.log.close()
    nexus = await begin(tmp_path, keyring, EngineLimits(log_reads=1, log_reads_waiting=2, log_read_wait_s=0.05))
    outcomes = await asyncio.gather(*(nexus.entries(0, 10) for _ in range(4)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, NotServing)]
    assert refused
    assert all(refusal.retryable and "overloaded" in refusal.reason for refusal in refused)
    assert len(outcomes) - len(refused) >= 1
    await nexus.close()
    await nexus.engine.log.close()
