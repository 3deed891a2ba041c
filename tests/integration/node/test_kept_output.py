"""What a node keeps of ended instances is bounded in bytes over all of them, however small each one's own limit is."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from omnitide.model.spec import JobSpec
from omnitide.wire import node_pb2 as pb
from support.grpc_nexus import SessionEnd
from support.node_world import ended

from .conftest import DEADLINE_S, NodeProcess


def prints(size: int, keeps: int = 0) -> JobSpec:
    """A job that writes so much output, and leaves so much in its working directory."""
    script = f"head -c {size} /dev/zero; head -c {keeps} /dev/zero > left-behind; echo done"
    return JobSpec(command=("/bin/sh", "-c", script))


async def becomes(value: Callable[[], Sequence[str]], wanted: Sequence[str]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while sorted(value()) != sorted(wanted):
            await asyncio.sleep(0.02)


async def logs(node: NodeProcess, link: SessionEnd, instance: str) -> pb.TunnelFrame:
    """The last frame of what there is."""
    request = pb.LogsRequest(instance=instance, tail_lines=1)
    await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel=instance, logs=request)))
    tunnel = await node.nexus.accept_tunnel()
    async with asyncio.timeout(DEADLINE_S):
        while (frame := await tunnel.receive()).WhichOneof("body") not in ("error", "end"):
            pass
    await tunnel.close()
    return frame


async def test_many_short_instances_do_not_fill_the_disk_and_the_last_one_is_kept_whatever_its_size(
    node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNITIDE_NODE_KEEP_ENDED_BYTES", "1MiB")
    await node.start()
    link, _ = await node.welcomed()

    def kept() -> list[str]:
        return [path.name for path in Path(node.data / "keeper" / "logs").iterdir()]

    async def run(name: str, job: JobSpec) -> None:
        await node.desire(link, **{name: job})
        await node.reports(link, ended(name))
        await node.desire(link)

    for name in ("a", "b"):
        await run(name, prints(400_000))
    await becomes(kept, ("a", "b"))
    await run("c", prints(400_000))
    await becomes(kept, ("b", "c"))
    async with asyncio.timeout(DEADLINE_S):
        # The files are gone a moment before the node has forgotten it.
        while (dropped := await logs(node, link, "a")).error.reason != "dropped":
            await asyncio.sleep(0.02)
    assert dropped.error.message == "its node keeps that of the last 200 ended instances, for 1 d, and 1 MiB in all"
    assert (await logs(node, link, "b")).end

    await run("large", prints(100, keeps=3 << 20))
    await becomes(kept, ("large",))
    assert (node.data / "keeper" / "work" / "large" / "left-behind").exists()
    await node.kill()
    await node.start()
    link, _ = await node.welcomed()
    await run("last", prints(100))
    await becomes(kept, ("last",))
    await becomes(lambda: [path.name for path in (node.data / "keeper" / "work").iterdir()], ("last",))
