"""Log tunnels: opened by the node when Nexus asks, read only as fast as the reader reads."""

import asyncio

import pytest

from omnitide.drivers.protocol import Exit, RunKey
from omnitide.model.spec import JobSpec
from omnitide.node.retention import Retention
from omnitide.node.tunnels.serving import MAX_TUNNELS
from omnitide.node.tunnels.talk import WINDOW, Talk, ignore
from omnitide.wire import node_pb2 as pb
from omnitide.wire.link import LinkClosed
from support.memory_link import NexusEnd, TunnelEnd
from support.node_world import NodeWorld, running, until, virtual


async def logging(world: NodeWorld) -> NexusEnd:
    link, _ = await world.nexus.welcomed()
    await world.desire(link, world.assignment("a"))
    await world.reports(link, running("a"))
    return link


async def ask(world: NodeWorld, link: NexusEnd, request: pb.LogsRequest, name: str = "secret") -> TunnelEnd:
    await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel=name, logs=request)))
    tunnel = await world.nexus.accept_tunnel()
    assert (await tunnel.receive()).tunnel == name
    return tunnel


async def read(tunnel: TunnelEnd) -> tuple[list[str], str]:
    """All data until the end, and how it ended."""
    found: list[str] = []
    while True:
        frame = await asyncio.wait_for(tunnel.receive(), 60)
        match frame.WhichOneof("body"):
            case "log" if not frame.log.data:
                assert frame.log.position
            case "log":
                found.append(f"{frame.log.stream} {frame.log.attempt} {frame.log.data.decode()}")
            case "error":
                return found, frame.error.reason
            case _:
                return found, "end"


def test_what_is_kept_is_sent_and_the_end_is_told() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        world.runtime.write("a", b"one")
        world.runtime.write("a", b"two", "stderr")
        tunnel = await ask(world, link, pb.LogsRequest(instance="a"))
        assert await read(tunnel) == (["stdout 1 one", "stderr 1 two"], "end")
        with pytest.raises(LinkClosed):
            await tunnel.receive()

    virtual(scenario)


def test_tail_and_since_are_the_drivers_business() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        for n in range(5):
            world.runtime.write("a", str(n).encode())
            await asyncio.sleep(1)
        since = world.clock.now_ms() - 2_500
        assert (await read(await ask(world, link, pb.LogsRequest(instance="a", tail_lines=1))))[0] == ["stdout 1 4"]
        assert (await read(await ask(world, link, pb.LogsRequest(instance="a", tail_lines=0))))[0] == []
        assert (await read(await ask(world, link, pb.LogsRequest(instance="a", since_ms=since))))[0] == [
            "stdout 1 3",
            "stdout 1 4",
        ]

    virtual(scenario)


def test_following_goes_on_until_the_instance_has_ended() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        tunnel = await ask(world, link, pb.LogsRequest(instance="a", follow=True))
        begin = (await tunnel.receive()).log
        assert (begin.data, begin.position) == (b"", "0")
        world.runtime.write("a", b"first")
        assert (await tunnel.receive()).log.data == b"first"
        world.runtime.write("a", b"last")
        await world.desire(link)
        assert await read(tunnel) == (["stdout 1 last"], "end")

    virtual(scenario)


def test_a_tunnel_goes_on_after_the_position_of_another() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        for n in range(5):
            world.runtime.write("a", str(n).encode())
        tunnel = await ask(world, link, pb.LogsRequest(instance="a"))
        positions = [(await tunnel.receive()).log.position for _ in range(3)]
        await tunnel.close()
        rest = await read(await ask(world, link, pb.LogsRequest(instance="a", after=positions[2]), "another"))
        assert rest == (["stdout 1 3", "stdout 1 4"], "end")

    virtual(scenario)


def test_a_reader_that_leaves_ends_the_tunnel_even_if_nothing_is_written() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        before = len(asyncio.all_tasks())
        tunnel = await ask(world, link, pb.LogsRequest(instance="a", follow=True))
        await until(lambda: len(asyncio.all_tasks()) > before)
        await tunnel.close()
        await until(lambda: len(asyncio.all_tasks()) == before)

    virtual(scenario)


def test_a_slow_reader_slows_its_own_tunnel_alone() -> None:
    async def scenario(world: NodeWorld) -> None:
        world.nexus.tunnel_credit = 2
        link = await logging(world)
        for n in range(100):
            world.runtime.write("a", f"{n}".encode())
        slow = await ask(world, link, pb.LogsRequest(instance="a"), "slow")
        fast = await ask(world, link, pb.LogsRequest(instance="a"), "fast")
        lines, end = await read(fast)
        assert (len(lines), end) == (100, "end")
        await link.send(pb.NexusMessage(beat=pb.Beat(number=1)))
        while (await asyncio.wait_for(link.receive(), 60)).WhichOneof("body") != "beat":
            pass
        lines, end = await read(slow)
        assert (lines[0], lines[-1], len(lines), end) == ("stdout 1 0", "stdout 1 99", 100, "end")

    virtual(scenario)


def test_what_is_not_there_and_what_is_not_known_is_said() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        assert await read(await ask(world, link, pb.LogsRequest(instance="nobody"))) == ([], "dropped")
        await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel="new purpose")))
        tunnel = await world.nexus.accept_tunnel()
        assert (await tunnel.receive()).tunnel == "new purpose"
        assert await read(tunnel) == ([], "unsupported")

    virtual(scenario)


def test_what_has_never_been_started_has_written_nothing() -> None:
    async def scenario(world: NodeWorld) -> None:
        link, _ = await world.nexus.welcomed()
        await world.desire(link, world.assignment("a", spec=JobSpec(command=("run", "--key=${API_KEY}"))))
        await world.reports(link, lambda report: report.phase == pb.PHASE_ENDED)
        assert await read(await ask(world, link, pb.LogsRequest(instance="a"))) == ([], "end")

    virtual(scenario)


def test_the_number_of_tunnels_is_bounded_and_the_next_one_is_told() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        request = pb.LogsRequest(instance="a", follow=True)
        tunnels = [await ask(world, link, request, str(n)) for n in range(MAX_TUNNELS)]
        assert await read(await ask(world, link, request)) == ([], "busy")
        await tunnels[0].close()
        await asyncio.sleep(1)
        again = await ask(world, link, request)
        await again.receive()  # where it begins
        world.runtime.write("a", b"x")
        assert (await again.receive()).log.data == b"x"

    virtual(scenario)


def test_logs_of_an_ended_instance_are_there_until_it_is_forgotten() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        world.runtime.write("a", b"why it died")
        await world.desire(link)
        await until(lambda: world.runtime.live() == [])
        world.runtime.finish(RunKey("a", 1), Exit(code=0))
        assert (await read(await ask(world, link, pb.LogsRequest(instance="a"))))[0] == ["stdout 1 why it died"]
        await asyncio.sleep(61)
        assert await read(await ask(world, link, pb.LogsRequest(instance="a"))) == ([], "dropped")

    virtual(scenario)


@pytest.mark.parametrize(
    ("retention", "text"),
    [
        (Retention(86_400_000, 200), "that of the last 200 ended instances, for 1 d"),
        (Retention(3_600_000, 1), "that of the last ended instance, for 1 h"),
        (Retention(0, 200), "none of ended instances"),
        (Retention(86_400_000, 200, 4 << 30), "that of the last 200 ended instances, for 1 d, and 4 GiB in all"),
        (Retention(86_400_000, 1, 4 << 30), "that of the last ended instance, for 1 d"),
    ],
)
def test_what_is_kept_is_said_in_words(retention: Retention, text: str) -> None:
    assert retention.text == text


def test_a_runtime_that_hangs_is_told_of_in_seconds_by_whatever_is_asked_of_it() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        world.runtime.write("a", b"one")
        world.runtime.answers.clear()
        asked = {
            "exec": pb.OpenTunnel(exec=pb.ExecRequest(instance="a", command=["well"])),
            "logs": pb.OpenTunnel(logs=pb.LogsRequest(instance="a")),
            "forward": pb.OpenTunnel(forward=pb.ForwardRequest(instance="a", port="http")),
            "archive": pb.OpenTunnel(archive=pb.ArchiveRequest(instance="a", path="x")),
        }
        for name, request in asked.items():
            request.tunnel = name
            await link.send(pb.NexusMessage(open_tunnel=request))
            tunnel = await world.nexus.accept_tunnel()
            began = asyncio.get_running_loop().time()
            assert (await tunnel.receive()).tunnel == name
            assert await read(tunnel) == ([], "driver-unavailable"), name
            assert asyncio.get_running_loop().time() - began < 5, name

    virtual(scenario)


def test_a_runtime_that_is_slow_and_answers_is_waited_for() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await logging(world)
        world.runtime.faults = world.runtime.faults._replace(call_seconds=(10.0, 10.0))
        request = pb.OpenTunnel(tunnel="t", exec=pb.ExecRequest(instance="a", command=["well"]))
        await link.send(pb.NexusMessage(open_tunnel=request))
        tunnel = await world.nexus.accept_tunnel()
        assert (await tunnel.receive()).tunnel == "t"
        assert (await asyncio.wait_for(tunnel.receive(), 60)).started

    virtual(scenario)


def test_no_more_data_is_under_way_than_the_other_side_has_said_it_can_take() -> None:
    class Line:
        """The other side, which takes nothing by itself."""

        def __init__(self) -> None:
            self.sent = 0
            self.said: asyncio.Queue[pb.TunnelFrame] = asyncio.Queue()

        async def send(self, frame: pb.TunnelFrame) -> None:
            await asyncio.sleep(0)
            self.sent += len(frame.data.data)

        async def receive(self) -> pb.TunnelFrame:
            return await self.said.get()

        async def close(self) -> None:
            await asyncio.sleep(0)

    async def scenario() -> None:
        line = Line()
        talk = Talk(line)
        listening = asyncio.create_task(talk.listen(ignore))
        sending = asyncio.create_task(talk.send_data(bytes(3 * WINDOW)))
        for allowed in (WINDOW, WINDOW + 100, 2 * WINDOW + 100):
            for _ in range(200):
                await asyncio.sleep(0)
            assert (line.sent, sending.done()) == (allowed, False)
            line.said.put_nowait(pb.TunnelFrame(taken=100 if allowed == WINDOW else WINDOW))
        await asyncio.wait_for(sending, 60)
        assert line.sent == 3 * WINDOW
        listening.cancel()

    asyncio.run(scenario())
