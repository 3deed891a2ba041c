"""A search through the output of a node's instances: lines in order, what is wanted of them, and what is missing."""

import asyncio

from omnitide.drivers.protocol import LogChunk
from omnitide.node.tunnels import search
from omnitide.node.tunnels.lines import MAX_LINE, Lines
from omnitide.wire import node_pb2 as pb
from support.memory_link import NexusEnd, TunnelEnd
from support.node_world import NodeWorld, running, until, virtual


async def two(world: NodeWorld) -> NexusEnd:
    link, _ = await world.nexus.welcomed()
    await world.desire(link, world.assignment("a"), world.assignment("b"))
    there: set[str] = set()

    def both(report: pb.InstanceReport) -> bool:
        there.update(name for name in ("a", "b") if running(name)(report))
        return len(there) == 2

    await world.reports(link, both)
    return link


async def ask(world: NodeWorld, link: NexusEnd, **how: object) -> TunnelEnd:
    how = {"instances": ["a", "b"], "now_ms": world.clock.now_ms(), **how}
    request = pb.SearchRequest(**how)  # type: ignore[arg-type]
    await link.send(pb.NexusMessage(open_tunnel=pb.OpenTunnel(tunnel="secret", search=request)))
    tunnel = await world.nexus.accept_tunnel()
    await tunnel.receive()
    return tunnel


async def read(tunnel: TunnelEnd) -> tuple[list[str], str]:
    """All lines until the end, and how it ended; `caught up` is one of them."""
    found: list[str] = []
    while True:
        frame = await asyncio.wait_for(tunnel.receive(), 60)
        match frame.WhichOneof("body"):
            case "lines":
                found += [
                    f"{'ab'[one.instance]} {one.trouble or one.text.decode(errors='replace')}"
                    for one in frame.lines.lines
                ]
                if frame.lines.caught_up:
                    return found, "caught up"
            case "error":
                return found, frame.error.reason
            case _:
                return found, "end"


async def written(world: NodeWorld, *lines: str) -> None:
    """A second apart: `a one`."""
    for line in lines:
        who, _, text = line.partition(" ")
        world.runtime.write(who, text.encode() + b"\n")
        await asyncio.sleep(1)


def test_lines_of_many_instances_come_in_order_of_time() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        await written(world, "a one", "b two", "a three", "b four")
        assert await read(await ask(world, link)) == (["a one", "b two", "a three", "b four"], "end")
        assert await read(await ask(world, link, last=2)) == (["a three", "b four"], "end")

    virtual(scenario)


def test_lines_of_one_time_stand_in_the_order_that_was_asked_for() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        world.runtime.write("b", b"b1\nb2\n")
        world.runtime.write("a", b"a1\na2\n")
        expected = ["a a1", "a a2", "b b1", "b b2"]
        assert (await read(await ask(world, link)))[0] == expected
        assert (await read(await ask(world, link, last=9)))[0] == expected

    virtual(scenario)


def test_only_what_is_asked_for_is_sent() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        await written(world, "a GET /one 200", "b GET /two 500", "a GET /three 500", "b get /four 200")
        world.runtime.write("a", b"to stderr 500\n", "stderr")

        async def texts(**how: object) -> list[str]:
            return [line.rpartition(" ")[0] for line in (await read(await ask(world, link, **how)))[0]]

        assert await texts(pattern="500") == ["b GET /two", "a GET /three", "a to stderr"]
        assert await texts(pattern="500", stream="stderr") == ["a to stderr"]
        assert await texts(pattern="500", last=1) == ["a to stderr"]
        assert await texts(pattern="get", ignore_case=True, last=2) == ["a GET /three", "b get /four"]
        assert await texts(pattern="^get .*2..$", regular=True) == ["b get /four"]
        now = world.clock.now_ms()
        assert await texts(since_ms=now - 3_500, until_ms=now - 1_500) == ["b GET /two", "a GET /three"]

    virtual(scenario)


def test_a_pattern_that_would_keep_others_waiting_for_years_is_done_at_once() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        world.runtime.write("a", b"a" * 15_000 + b"!\n")
        assert await read(await ask(world, link, pattern="^(a+)+$", regular=True)) == ([], "end")
        assert (await read(await ask(world, link, pattern="(", regular=True)))[1] == "bad-pattern"

    virtual(scenario)


def test_times_are_by_the_clock_of_who_asks() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        await written(world, "a one", "a two")
        # Nexus's clock is an hour behind: "since one and a half seconds" is meant by it.
        now = world.clock.now_ms() - 3_600_000
        tunnel = await ask(world, link, now_ms=now, since_ms=now - 1_500)
        assert (await tunnel.receive()).lines.ahead_ms == 3_600_000
        assert (await read(tunnel))[0] == ["a two"]

    virtual(scenario)


def test_following_goes_on_with_all_that_is_written() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        world.runtime.write("a", b"whole\nhalf")
        tunnel = await ask(world, link, last=10, follow=True, pattern="l")
        assert await read(tunnel) == (["a whole"], "caught up")
        world.runtime.write("b", b"left out\nlive\n")
        world.runtime.write("a", b" and the rest\n")
        found: set[str] = set()
        while len(found) < 3:
            found |= {one.text.decode() for one in (await asyncio.wait_for(tunnel.receive(), 60)).lines.lines}
        assert found == {"left out", "live", "half and the rest"}
        await tunnel.close()

    virtual(scenario)


def test_a_reader_that_leaves_ends_a_search_that_follows() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        tunnel = await ask(world, link, follow=True)
        assert (await read(tunnel))[1] == "caught up"

        def serving() -> int:
            return sum(task.get_name() in ("tunnel", "search-follow") for task in asyncio.all_tasks())

        await until(lambda: serving() == 3)
        await tunnel.close()
        await until(lambda: serving() == 0)

    virtual(scenario)


def test_what_cannot_be_read_is_said_and_the_rest_is_shown() -> None:
    async def scenario(world: NodeWorld) -> None:
        link = await two(world)
        await written(world, "b here")
        assert await read(await ask(world, link, instances=["gone", "b"])) == (["a dropped", "b here"], "end")
        many = [str(number) for number in range(search.MAX_INSTANCES + 1)]
        assert (await read(await ask(world, link, instances=many)))[1] == "too-many"

    virtual(scenario)


def chunk(data: bytes, at_ms: int = 1, stream: str = "stdout", attempt: int = 1, *, gap: bool = False) -> LogChunk:
    return LogChunk(at_ms, stream, data, attempt, f"1-{at_ms}", gap)


def taken(lines: Lines, *chunks: LogChunk) -> list[tuple[int, bytes]]:
    return [(one.at_ms, one.text) for each in chunks for one in lines.take(each)]


def test_a_line_is_put_together_and_dated_by_its_beginning() -> None:
    lines = Lines()
    found = taken(lines, chunk(b"he", 1), chunk(b"oh\n", 2, "stderr"), chunk(b"llo\r\nand", 3))
    assert found == [(2, b"oh"), (1, b"hello")]
    assert [(one.at_ms, one.text) for one in lines.end()] == [(3, b"and")]


def test_another_attempt_does_not_finish_the_line_of_the_one_before() -> None:
    assert taken(Lines(), chunk(b"half", 1), chunk(b"new\n", 2, attempt=2)) == [(1, b"half"), (2, b"new")]


def test_what_is_not_kept_any_more_is_said_at_the_next_line() -> None:
    lines = Lines()
    found = [(one.text, one.gap) for each in (chunk(b"half"), chunk(b"x\ny\n", gap=True)) for one in lines.take(each)]
    assert found == [(b"half", False), (b"x", True), (b"y", False)]


def test_a_line_of_any_length_is_given_in_pieces() -> None:
    found = list(Lines().take(chunk(b"x" * (2 * MAX_LINE + 5) + b"\n")))
    assert [(len(one.text), one.cut) for one in found] == [(MAX_LINE, True), (MAX_LINE, True), (5, False)]
