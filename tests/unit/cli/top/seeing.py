"""`top` without a terminal over a fabric in memory: what stands on its screen, and keys."""

import asyncio
from collections.abc import Callable

import pytest
from tests.support.memory_runtime import MemoryRuntime
from textual.pilot import Pilot

from omnitide.api.server import ApiServer
from omnitide.cli.top.app import Top
from omnitide.model.spec import AgentSpec
from omnitide.sdk.async_client import AsyncClient

DEADLINE_S = 20.0


class Seen:
    """`top` and the fabric that it shows."""

    def __init__(self, runtime: MemoryRuntime, server: ApiServer, client: AsyncClient, top: Top, pilot: Pilot) -> None:
        self.runtime = runtime
        self.server = server
        self.client = client
        self.top = top
        self.pilot = pilot

    @property
    def text(self) -> str:
        strips = self.top.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def until(self, condition: Callable[[], object] | str, without: str = "") -> str:
        """Until a text stands on the screen, or a condition is so."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                # Once all widgets have done what they had to; that the whole process idles would be waited for else,
                # which beside other tests it seldom does.
                await self.pilot.pause(0)
                text = self.text
                met = condition in text if isinstance(condition, str) else condition()
                if met and not (without and without in text):
                    return text
                await asyncio.sleep(0.02)

    async def press(self, *keys: str) -> None:
        """At one go, as they come over a slow line; until all that they led to is done."""
        with pytest.MonkeyPatch.context() as patch:
            # Textual waits twice for each key until the process idles.
            patch.setattr("textual.app.wait_for_idle", _at_once)
            await self.pilot.press(*keys)
        await self.pilot.pause()

    async def deploy(self, name: str, replicas: int) -> None:
        await self.client.deploy_agent(name, AgentSpec(command=("serve",)), replicas=replicas)
        self.runtime.settle()


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)
