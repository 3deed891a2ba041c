"""Output: in order, from exact positions, across attempts, and in any amount."""

import gc
import re
import time
from itertools import pairwise

import psutil
import pytest

from omnitide.drivers.protocol import LogPolicy, RunKey
from support.driver_kit import Kit

MIB = 1 << 20
MEMORY = 40 * MIB
"""What a reader may need more than before, however much there is to read."""


async def test_both_streams_are_kept_in_order(kit: Kit) -> None:
    await kit.start("a", "order", "100")
    await kit.end_of("a")
    found = await kit.output("a")
    for stream, first in (("stdout", 0), ("stderr", 1)):
        said = b"".join(chunk.data for chunk in found if chunk.stream == stream).decode().split("\n")
        assert said[:-1] == [f"line {i}" for i in range(first, 100, 2)]
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(found))


async def test_reading_goes_on_exactly_where_another_reader_stopped(kit: Kit) -> None:
    await kit.start("a", "order", "60")
    await kit.end_of("a")
    whole = await kit.output("a")
    text = b"".join(chunk.data for chunk in whole)
    read = b""
    for chunk in whole[:: max(1, len(whole) // 7)]:
        read = b"".join(one.data for one in whole[: whole.index(chunk) + 1])
        rest = await kit.output("a", after=chunk.position)
        assert read + b"".join(one.data for one in rest) == text
        assert not any(one.gap for one in rest)
    assert re.fullmatch(r"[A-Za-z0-9.:-]{1,60}", whole[-1].position)


async def test_a_follower_begins_with_a_position_and_ends_with_the_run(kit: Kit) -> None:
    await kit.start("a", "order", "20")
    found = await kit.output("a", follow=True)
    assert (found[0].data, bool(found[0].position)) == (b"", True)
    assert b"".join(chunk.data for chunk in found).count(b"line") == 20
    again = await kit.output("a", after=found[0].position)
    assert b"".join(chunk.data for chunk in again) == b"".join(chunk.data for chunk in found)


async def test_the_last_lines_alone(kit: Kit) -> None:
    # Of one stream: Podman's monitor reads two in whatever order it comes to them on a busy machine.
    await kit.start("a", "say", *(f"line {number}" for number in range(50)))
    await kit.end_of("a")
    assert (await kit.text("a", tail_lines=3)).split("\n")[:-1] == ["line 47", "line 48", "line 49"]
    assert await kit.text("a", tail_lines=0) == ""
    assert (await kit.text("a", tail_lines=1000)).count("line") == 50


async def test_what_is_older_is_left_out(kit: Kit) -> None:
    await kit.start("a", "order", "50")
    await kit.end_of("a")
    middle = (await kit.output("a"))[20]
    found = await kit.output("a", since_ms=middle.at_ms)
    assert found[0].at_ms >= middle.at_ms
    # Of each stream: an engine reads two in whatever order it comes to them on a busy machine.
    for stream, last in (("stdout", 48), ("stderr", 49)):
        assert b"".join(chunk.data for chunk in found if chunk.stream == stream).endswith(b"line %d\n" % last)
    assert await kit.text("a", since_ms=int(time.time() * 1000) + 3_600_000) == ""


async def test_the_output_of_earlier_attempts_comes_first(kit: Kit) -> None:
    for attempt in (1, 2, 3):
        await kit.start("a", "say", f"attempt {attempt}", "end", attempt=attempt)
        await kit.end_of("a", attempt)
        if attempt > 1:
            await kit.driver.remove(RunKey("a", attempt - 1))
    found = await kit.output("a")
    assert [chunk.attempt for chunk in found] == sorted(chunk.attempt for chunk in found)
    assert await kit.text("a") == "".join(f"attempt {attempt}\nend\n" for attempt in (1, 2, 3))
    assert (await kit.text("a", tail_lines=3)) == "end\nattempt 3\nend\n"
    first = next(chunk for chunk in found if chunk.attempt == 1 and chunk.data.endswith(b"end\n"))
    assert await kit.text("a", after=first.position) == "attempt 2\nend\nattempt 3\nend\n"


@pytest.mark.parametrize("flood", [60 * MIB, pytest.param(100 * MIB, marks=pytest.mark.soak)], ids=["60M", "100M"])
async def test_a_flood_keeps_its_newest_and_no_memory(kit: Kit, flood: int) -> None:
    await kit.start("warm", "flood", str(MIB))
    await kit.end_of("warm")
    await kit.output("warm")
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    policy = LogPolicy(max_file_bytes=8 * MIB, max_files=3)
    await kit.start("a", "flood", str(flood), log_policy=policy)
    most, last, size = 0, b"", 0
    position = ""
    while True:
        # As a reader does whose connection comes and goes.
        async for chunk in kit.driver.logs("a", after=position, follow=True):
            position = chunk.position
            size += len(chunk.data)
            last = (last + chunk.data)[-200:]
            most = max(most, process.memory_info().rss) if size % 50 == 0 else most
        run = await kit.driver.status(RunKey("a", 1))
        assert run is not None
        if run.exit is not None:
            break
    assert run.exit.code == 0
    most = max(most, process.memory_info().rss)
    assert most - before < MEMORY
    newest = f"{flood // 100 - 1:010d}"
    assert newest in last.decode()
    kept = 0
    async for chunk in kit.driver.logs("a"):
        kept += len(chunk.data)
        last = (last + chunk.data)[-200:]
    assert newest in last.decode()
    assert MIB < kept < flood / 2


async def test_a_follower_that_was_left_behind_still_gets_the_newest(kit: Kit) -> None:
    policy = LogPolicy(max_file_bytes=MIB, max_files=2)
    await kit.start("a", "flood", str(30 * MIB), log_policy=policy)
    last = b""
    waited = False
    async for chunk in kit.driver.logs("a", follow=True):
        last = (last + chunk.data)[-200:]
        if chunk.data and not waited:
            waited = True
            await kit.end_of("a")
    assert f"{30 * MIB // 100 - 1:010d}" in last.decode()
