"""Copies into and out of instances over HTTP, as far as the API itself bounds them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support.served_api import Served, is_problem

from omnitide.operations.runtime import Limits, ReachFailed

DEADLINE_S = 10.0


async def until(condition: Any) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_copy_counts_from_before_its_way_is_opened(
    served: Served, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A node that is slow to answer lets no more of them in than there may be."""
    entering, let = 0, asyncio.Event()

    @contextlib.asynccontextmanager
    async def reach(instance: str, purpose: object) -> AsyncGenerator[None]:
        nonlocal entering
        entering += 1
        await let.wait()
        raise ReachFailed("no way there", cause="unsupported")
        yield

    await served.deploy()
    files = f"/v1/instances/{min(served.runtime.state.instances)}/files?path=/x"
    monkeypatch.setattr(served.runtime, "reach", reach)
    served.runtime.bounds = Limits(streams=2)
    first = [asyncio.ensure_future(served.client.request(method, files)) for _ in range(2)]
    await until(lambda: entering == 2)
    for _ in range(3):
        is_problem(await served.client.request(method, files), 503, "busy")
    assert entering == 2
    let.set()
    for response in await asyncio.gather(*first):
        assert response.status_code >= 400
    # Given back: two may again.
    assert (await served.client.request(method, files)).json()["code"] != "busy"
