"""The node proxy as a process, with the real process driver and keeper, over real gRPC and mTLS."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from omnitide.drivers.protocol import PortBinding
from omnitide.model.spec import AgentSpec, JobSpec, Logs, Port, Restart, WorkloadSpec
from omnitide.node.host import MachineHost
from omnitide.node.main import EXIT_HELD, EXIT_UNUSABLE
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from support.grpc_nexus import GrpcNexus, SessionEnd, TunnelEnd
from support.node_world import ended, running, short

from .conftest import DEADLINE_S, NodeProcess, shorts


def shell(script: str, **how: object) -> AgentSpec:
    return AgentSpec(command=("/bin/sh", "-c", script), **how)  # type: ignore[arg-type]


SLEEPER = shell("exec sleep 1000")
LOUD = 24_000_000
GROWTH = 64 << 10
"""Bytes in half a second: what a proxy reads beside its tunnels is less."""


async def gone(pid: int) -> None:
    async with asyncio.timeout(DEADLINE_S):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.02)


async def beat(link: SessionEnd, number: int) -> pb.Beat:
    """The node's answer to a beat."""
    await link.send(pb.NexusMessage(beat=pb.Beat(number=number)))
    async with asyncio.timeout(DEADLINE_S):
        while (message := await link.receive()).WhichOneof("body") != "beat" or message.beat.number != number:
            pass
    return message.beat


async def stands_still(value: Callable[[], int]) -> int:
    """A number that grows, once it has grown little for a while."""
    seen = [-GROWTH, value()]
    async with asyncio.timeout(DEADLINE_S):
        while seen[-1] - seen[-2] >= GROWTH:
            await asyncio.sleep(0.5)
            seen.append(value())
    return seen[-1] - seen[1]


async def read_log(node: NodeProcess, link: SessionEnd, request: pb.LogsRequest) -> tuple[bytes, str]:
    await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel="t", logs=request)))
    tunnel = await node.nexus.accept_tunnel()
    assert (await tunnel.receive()).tunnel == "t"
    return await drain(tunnel)


async def drain(tunnel: TunnelEnd) -> tuple[bytes, str]:
    data = bytearray()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            frame = await tunnel.receive()
            match frame.WhichOneof("body"):
                case "log":
                    assert len(frame.log.data) <= 64 << 10
                    data += frame.log.data
                case "error":
                    await tunnel.close()
                    return bytes(data), frame.error.reason
                case _:
                    await tunnel.close()
                    return bytes(data), "end"


async def test_a_program_runs_crashes_is_restarted_and_stopped(node: NodeProcess) -> None:
    await node.start("--label", "zone=a", "--name", "alpha")
    link, hello = await node.welcomed()
    assert hello.node_id == "n1" == node.nexus.peers[0].id
    assert dict(hello.facts.labels) == {"zone": "a"}
    assert (hello.facts.name, hello.facts.address) == ("alpha", "127.0.0.1")
    assert hello.facts.cpu_milli >= 1000
    assert hello.facts.memory_bytes > 1 << 28
    drivers = {one.name: one for one in hello.facts.drivers}
    assert drivers["process"].healthy
    assert all(one.healthy or one.absent for one in drivers.values()), "what is not installed is no fault"
    await node.desire(link, a=shell('echo "$OMNITIDE_INSTANCE on $OMNITIDE_NODE try ${OMNITIDE_ATTEMPT}"; sleep 1000'))
    await node.desire(link, a=shell('echo "$OMNITIDE_INSTANCE on $OMNITIDE_NODE try $OMNITIDE_ATTEMPT"; sleep 1000'))
    reports = await node.reports(link, running("a"))
    os.kill(int(reports[-1].handle), signal.SIGKILL)
    reports = await node.reports(link, running("a", 2))
    assert shorts(reports) == ["a waiting 1", "a starting 2", "a running 2"]
    assert (reports[0].exit.signal, reports[0].exit.reason) == (9, "signal")
    await node.desire(link)
    reports = await node.reports(link, ended("a"))
    assert shorts(reports) == ["a stopping 2", "a ended 2 stopped"]
    assert await node.terminate() == 0
    ours = [json.loads(line) for line in node.log.splitlines()]
    assert all({"event", "level"} <= set(line) for line in ours)


async def test_what_cannot_start_says_why(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    host = MachineHost("x", node.data, labels={}, ports=(1, 2))
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert host.busy_port((PortBinding(name="http", host=port, target=port),)) == port
        desired = pb.Desired(full=True, revision=1)
        for name, spec, ports in (
            ("absent", AgentSpec(command=("/no/such/program",)), {}),
            ("busy", AgentSpec(command=("/bin/true",), ports={"http": Port()}), {"http": port}),
        ):
            desired.assignments.append(
                pb.Assignment(instance=name, name=name, kind="agent", goal=pb.GOAL_RUN, spec_key=name, ports=ports)
            )
            import msgspec

            desired.specs[name] = msgspec.json.encode(spec)
        await link.send(pb.NexusMessage(desired=desired))
        seen: dict[str, pb.InstanceReport] = {}
        await node.reports(
            link, lambda r: bool(r.phase == pb.PHASE_ENDED and seen.update({r.instance: r})) or len(seen) == 2
        )
    assert (seen["absent"].exit.cause, seen["absent"].exit.permanent) == ("command-not-found", True)
    assert "/no/such/program" in seen["absent"].exit.message
    assert (seen["busy"].exit.cause, seen["busy"].exit.message) == ("port-busy", str(port))


async def test_a_job_ends_with_its_code(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    await node.desire(link, good=JobSpec(command=("/bin/true",)), bad=JobSpec(command=("/bin/sh", "-c", "exit 7")))
    seen: dict[str, pb.InstanceReport] = {}
    await node.reports(
        link, lambda r: bool(r.phase == pb.PHASE_ENDED and seen.update({r.instance: r})) or len(seen) == 2
    )
    assert (short(seen["good"]), short(seen["bad"])) == ("good ended 1 succeeded", "bad ended 1 failed")
    assert seen["bad"].exit.code == 7


async def test_the_proxy_dies_and_returns(node: NodeProcess) -> None:
    """While it is dead, one instance prints 5 MB and exits 7, another is killed, a third lives on."""
    await node.start()
    link, _ = await node.welcomed()
    go = node.data / "go"
    size = 5_000_000
    script = f"import os,sys,time\nwhile not os.path.exists({str(go)!r}): time.sleep(.01)\n"
    script += f"sys.stdout.write('0123456789abcde\\n' * {size // 16}); sys.stdout.flush(); os._exit(7)"
    specs: dict[str, WorkloadSpec] = {
        "printer": JobSpec(command=(sys.executable, "-c", script)),
        "killed": shell("exec sleep 1000", restart=Restart(policy="never")),
        "lives": SLEEPER,
    }
    await node.desire(link, **specs)
    pids: dict[str, int] = {}
    await node.reports(link, lambda r: bool(r.handle and pids.update({r.instance: int(r.handle)})) or len(pids) == 3)
    await node.kill()
    with pytest.raises(LinkClosed):
        while True:
            await link.receive()
    go.touch()
    os.kill(pids["killed"], signal.SIGKILL)
    await gone(pids["printer"])
    await gone(pids["killed"])
    assert psutil.pid_exists(pids["lives"])

    await node.start()
    link, hello = await node.welcomed()
    told = {report.instance: report for report in hello.instances}
    assert short(told["lives"]) == "lives running 1"
    assert int(told["lives"].handle) == pids["lives"]
    assert short(told["printer"]) == "printer ended 1 failed"
    assert told["printer"].exit.code == 7
    assert short(told["killed"]) == "killed ended 1 failed"
    assert (told["killed"].exit.signal, told["killed"].exit.reason) == (9, "signal")
    assert {report.attempt for report in hello.instances} == {1}, "nothing was started twice"
    data, end = await read_log(node, link, pb.LogsRequest(instance="printer"))
    assert end == "end"
    assert data == b"0123456789abcde\n" * (size // 16), "every byte is there"
    await node.desire(link, **specs)
    # What it does about that is done by the time that a later beat is answered: each goes through the reconciler.
    assert (await beat(link, 1)).host.instances_running == 1
    assert psutil.pid_exists(pids["lives"])


async def test_a_node_goes_on_alone_and_returns_when_nexus_does(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    await node.desire(link, a=SLEEPER)
    first = (await node.reports(link, running("a")))[-1]
    await node.nexus.stop()
    await node.kill()
    os.kill(int(first.handle), signal.SIGKILL)
    await gone(int(first.handle))
    await node.start()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(DEADLINE_S):
        while not any("instance running" in line and '"attempt":2' in line for line in node.log.splitlines()):
            await asyncio.sleep(0.02)
    await node.nexus.start()
    back = loop.time()
    _, hello = await node.welcomed()
    assert loop.time() - back < 10
    assert shorts(list(hello.instances)) == ["a running 2"], "restarted without Nexus"


async def test_a_slow_reader_of_a_log_holds_up_nothing_else(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    # By chance, as what can be compressed fits into any buffer.
    copy = node.data / "copy"
    script = f"head -c {LOUD} /dev/urandom | tee {copy}; sleep 1000"
    await node.desire(link, loud=shell(script, logs=Logs(max_file=2 * LOUD)), quiet=SLEEPER)
    seen: set[str] = set()
    await node.reports(link, lambda r: bool(r.phase == pb.PHASE_RUNNING and seen.add(r.instance)) or len(seen) == 2)
    request = pb.LogsRequest(instance="loud", follow=True)
    await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel="slow", logs=request)))
    slow = await node.nexus.accept_tunnel()
    assert (await slow.receive()).tunnel == "slow"
    assert node.process is not None
    proxy = psutil.Process(node.process.pid)
    read = await stands_still(lambda: proxy.io_counters().read_chars)
    assert read < LOUD // 2, "it reads no further than it can send"
    answer = await beat(link, 4)
    assert answer.keeper_alive
    assert answer.host.instances_running == 2
    data = bytearray()
    async with asyncio.timeout(DEADLINE_S):
        while len(data) < LOUD:
            data += (await slow.receive()).log.data
    assert bytes(data) == copy.read_bytes()
    await slow.close()


async def test_all_that_it_keeps_is_the_owners_alone(node: NodeProcess) -> None:
    """Whatever the umask (here none): specs, and so commands and environments, are in it."""
    await node.start()
    link, _ = await node.welcomed(session=3)
    await node.desire(link, a=shell("echo said; touch made; exec sleep 1000"))
    await node.reports(link, running("a"))
    assert (await read_log(node, link, pb.LogsRequest(instance="a", tail_lines=1)))[1] == "end"
    ours = [node.data, *(path for path in node.data.rglob("*") if path != node.data / "log")]
    work = node.data / "keeper" / "work" / "a"
    modes = {str(path): path.lstat().st_mode & 0o777 for path in ours if work not in path.parents}
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    assert str(node.data / "outbox.db") in modes
    assert str(node.data / "outbox.db-wal") in modes
    assert str(work) in modes


async def test_two_proxies_on_one_directory_refuse(node: NodeProcess) -> None:
    await node.start()
    await node.welcomed()
    second = NodeProcess(node.data, node.nexus)
    await second.start()
    assert second.process is not None
    assert await asyncio.wait_for(second.process.wait(), DEADLINE_S) == EXIT_HELD
    assert "is in use by the node proxy with process id" in node.log


async def test_a_machine_that_has_not_joined_says_so(tmp_path: Path, nexus: GrpcNexus) -> None:
    node = NodeProcess(tmp_path / "stranger", nexus)
    await node.start()
    assert node.process is not None
    assert await asyncio.wait_for(node.process.wait(), DEADLINE_S) == EXIT_UNUSABLE
    assert "has not joined a fabric" in node.log


async def test_a_node_of_another_fabric_gets_no_session(tmp_path: Path, nexus: GrpcNexus) -> None:
    other = GrpcNexus()
    other.port = nexus.port
    node = NodeProcess(tmp_path / "stranger", nexus)
    other.identity(node.data / "identity")
    await node.start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            while "cannot be reached" not in (node.data / "log").read_text():
                await asyncio.sleep(0.05)
        assert nexus.peers == []
    finally:
        await node.close()


async def test_a_removed_node_stops_all_and_exits_with_4(node: NodeProcess) -> None:
    await node.start()
    link, _ = await node.welcomed()
    await node.desire(link, a=SLEEPER)
    pid = int((await node.reports(link, running("a")))[-1].handle)
    await link.send(pb.NexusMessage(refused=pb.Refused(reason="removed", message="gone", permanent=True)))
    assert node.process is not None
    assert await asyncio.wait_for(node.process.wait(), DEADLINE_S) == 4
    assert not psutil.pid_exists(pid)


def open_the_way(place: Path) -> None:
    """Let others pass through the folders above, as they may on a machine with its data in /var/lib."""
    for parent in place.parents:
        status = parent.stat()
        if status.st_uid == os.geteuid() and parent != Path("/") and status.st_mode & 0o011 != 0o011:
            parent.chmod(status.st_mode | 0o011)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs instances as others")
async def test_an_instance_of_another_user_reaches_its_directory_and_survives_a_restart_of_the_proxy(
    node: NodeProcess,
) -> None:
    """Its way is open, what lies beside it is not, and the proxy starts again on folders that let it through."""
    open_the_way(node.data)
    script = (
        'exec 2>/dev/null; echo kept > "$PWD/file" && cat "$PWD/file"; '
        f"ls {node.data} {node.data}/keeper {node.data}/keeper/work; cat {node.data}/outbox.db {node.data}/node.json; "
        "id -un; exec sleep 1000"
    )
    await node.start()
    link, _ = await node.welcomed()
    await node.desire(link, web=shell(script, user="nobody"))
    (handle,) = {report.handle for report in await node.reports(link, running("web")) if report.handle}
    async with asyncio.timeout(DEADLINE_S):
        while b"nobody" not in (said := (await read_log(node, link, pb.LogsRequest(instance="web")))[0]):
            await asyncio.sleep(0.05)
    assert said == b"kept\nnobody\n"
    assert await node.terminate() == 0

    await node.start()
    _, hello = await node.welcomed()
    assert [(report.instance, report.handle) for report in hello.instances] == [("web", handle)]
