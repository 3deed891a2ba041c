"""What a node answers about its volumes is waited for, but not for ever."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from omnitide.nexus import volumes
from omnitide.nexus.tunnels import Tunnels
from omnitide.operations.runtime import ReachFailed
from omnitide.wire import node_pb2 as pb


class Babbling:
    """A node that answers at once, and never to the end."""

    async def receive(self) -> pb.TunnelFrame:
        await asyncio.sleep(0)
        return pb.TunnelFrame(volumes=pb.VolumeFacts())

    @contextlib.asynccontextmanager
    async def connection(self, node: str, request: pb.OpenTunnel) -> AsyncGenerator[Any]:
        yield self


@pytest.mark.parametrize("question", ["list", "removal"])
async def test_an_answer_without_an_end_is_none(monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    monkeypatch.setattr(volumes, "ANSWER_S", 0.05)
    tunnels = cast("Tunnels", Babbling())
    with pytest.raises(ReachFailed) as failed:
        if question == "list":
            await volumes.node_volumes(tunnels, "alpha")
        else:
            await volumes.remove_node_volume(tunnels, "alpha", "default", "data")
    assert failed.value.cause == "silent"
