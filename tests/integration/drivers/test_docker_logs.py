"""What a container's output lacks is told: the engine's rotation says nothing of it."""

import asyncio

import pytest

from omnitide.drivers.protocol import LogChunk, LogPolicy, RunKey
from support.driver_kit import Kit

SMALL = LogPolicy(max_file_bytes=64 << 10, max_files=2)


def gaps(chunks: list[LogChunk]) -> list[bool]:
    return [chunk.gap for chunk in chunks if chunk.data]


async def test_output_that_rotation_took_while_nobody_read_is_told(docker: Kit) -> None:
    await docker.start("a", "flood", str(1 << 20), log_policy=SMALL)
    await docker.end_of("a")
    found = gaps(await docker.output("a"))
    assert found[0]
    assert not any(found[1:])
    assert not any(gaps(await docker.output("a", tail_lines=5))), "nobody asked for what was before"


async def test_output_that_is_all_kept_has_no_gap_also_after_a_rotation(docker: Kit) -> None:
    # Each line of 100 bytes is about 210 of the engine's.
    await docker.start("a", "flood", str(40 << 10), log_policy=SMALL)
    await docker.end_of("a")
    chunks = await docker.output("a")
    assert chunks[0].data.startswith(b"0000000000 ")
    assert not any(gaps(chunks))


async def test_it_is_told_of_each_attempt(docker: Kit) -> None:
    await docker.start("a", "flood", str(1 << 20), log_policy=SMALL)
    await docker.end_of("a")
    await docker.driver.remove(RunKey("a", 1))
    await docker.start("a", "say", "hello", attempt=2, log_policy=SMALL)
    await docker.end_of("a", 2)
    told = [(chunk.attempt, chunk.gap) for chunk in await docker.output("a") if chunk.gap]
    assert told == [(1, True)]
    last = await docker.output("a", tail_lines=1)
    assert [(chunk.data, chunk.gap) for chunk in last] == [(b"hello\n", False)]


async def test_a_reader_that_comes_back_after_a_rotation_is_told(docker: Kit) -> None:
    await docker.start("a", "flood", str(1 << 20), log_policy=SMALL)
    await docker.end_of("a")
    position = (await docker.output("a"))[0].position
    assert not any(gaps(await docker.output("a", after=position)))
    old = position.split(":")
    seconds, _, rest = old[1].partition(".")
    gone = f"{old[0]}:{int(seconds) - 60}.{rest}:1"
    found = gaps(await docker.output("a", after=gone))
    assert found[0]
    assert not any(found[1:])


@pytest.mark.parametrize("files", [1, 2])
async def test_the_newest_output_is_kept_however_few_files(docker: Kit, files: int) -> None:
    policy = LogPolicy(max_file_bytes=64 << 10, max_files=files)
    await docker.start("a", "flood", str(1 << 20), log_policy=policy)
    await asyncio.wait_for(docker.end_of("a"), 60)
    text = await docker.text("a")
    assert f"{(1 << 20) // 100 - 1:010d}" in text
    assert len(text) > 10_000
