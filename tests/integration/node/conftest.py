"""A node proxy as a process of its own, its keeper, and a Nexus played by hand over mTLS on loopback."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from omnitide.model.spec import AgentSpec, WorkloadSpec
from omnitide.node.keeper.launch import KeeperUnavailable, stop_keeper
from omnitide.wire import node_pb2 as pb
from support.grpc_nexus import GrpcNexus, SessionEnd
from support.node_world import short

DEADLINE_S = 60.0


class NodeProcess:
    """One data directory and the proxy that runs on it, if it does."""

    def __init__(self, data: Path, nexus: GrpcNexus) -> None:
        self.data = data
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.nexus = nexus
        self.process: asyncio.subprocess.Process | None = None
        self.errors = b""
        self.revision = 0
        self.outbox_id = ""

    async def start(self, *arguments: str) -> None:
        with (self.data / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "omnitide.node", "--data", str(self.data), "--log-format", "json", *arguments,
                stdout=log, stderr=log, umask=0,
            )  # fmt: skip

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        with contextlib.suppress(KeeperUnavailable, FileNotFoundError):
            await asyncio.to_thread(
                stop_keeper, str(self.data / "keeper"), stop_runs=True, grace_ms=0, timeout_s=DEADLINE_S
            )

    @property
    def log(self) -> str:
        return (self.data / "log").read_text()

    async def welcomed(self, acknowledged: int = 0, **settings: int) -> tuple[SessionEnd, pb.Hello]:
        link, hello = await self.nexus.welcomed(acknowledged, **settings)
        self.outbox_id = hello.outbox_id
        return link, hello

    async def desire(self, link: SessionEnd, **specs: WorkloadSpec) -> None:
        """A full desired state of one instance a spec."""
        self.revision += 1
        desired = pb.Desired(full=True, revision=self.revision)
        for name, spec in specs.items():
            desired.assignments.append(
                pb.Assignment(
                    instance=name, name=f"{name}-0.1", namespace="default", workload=name, version=1, generation=1,
                    kind="agent" if isinstance(spec, AgentSpec) else "job", goal=pb.GOAL_RUN, spec_key=name,
                )
            )  # fmt: skip
            desired.specs[name] = msgspec.json.encode(spec)
        await link.send(pb.NexusMessage(desired=desired))

    async def reports(
        self, link: SessionEnd, until: Callable[[pb.InstanceReport], bool], acknowledge: bool = True
    ) -> list[pb.InstanceReport]:
        """Reports up to one that fits."""
        found: list[pb.InstanceReport] = []
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message = await link.receive()
                if message.WhichOneof("body") != "reports":
                    continue
                found += message.reports.reports
                if acknowledge:
                    sequence = message.reports.first_sequence + len(message.reports.reports) - 1
                    await link.send(pb.NexusMessage(ack=pb.Ack(outbox_id=self.outbox_id, sequence=sequence)))
                if any(until(report) for report in message.reports.reports):
                    return found


def shorts(reports: list[pb.InstanceReport]) -> list[str]:
    return [short(report) for report in reports]


@pytest.fixture
async def nexus() -> AsyncIterator[GrpcNexus]:
    nexus = GrpcNexus()
    await nexus.start()
    yield nexus
    await nexus.stop()


@pytest.fixture
async def node(tmp_path: Path, nexus: GrpcNexus) -> AsyncIterator[NodeProcess]:
    """Joined, not yet started."""
    node = NodeProcess(tmp_path / "node", nexus)
    nexus.identity(node.data / "identity")
    yield node
    await node.close()
