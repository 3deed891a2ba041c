"""Programs beside an event loop: each begins, beside gRPC's threads too, and none outlives its question."""

import asyncio
import os
import signal
import sys

import pytest
import uvloop
from grpc import aio

from omnitide import children

TIMES = 200
"""Forked by the loop, more than one in thirty ended before it began."""


async def ask_again_and_again(channel: aio.Channel) -> None:
    call = channel.unary_unary("/nobody/answers")
    while True:
        try:
            await call(b"")
        except aio.AioRpcError:
            continue


def test_each_begins_beside_the_threads_of_grpc() -> None:
    async def run() -> list[tuple[int | None, bytes]]:
        server = aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channels = [aio.insecure_channel(f"127.0.0.1:{port}") for _ in range(4)]
        traffic = [asyncio.create_task(ask_again_and_again(channel)) for channel in channels]
        found: list[tuple[int | None, bytes]] = []
        for _ in range(TIMES):
            child = children.start(["/bin/cat"])
            answer, _ = await children.communicate(child, b"heard", 60)
            found.append((child.returncode, answer))
        for task in traffic:
            task.cancel()
        await asyncio.gather(*traffic, return_exceptions=True)
        for channel in channels:
            await channel.close()
        await server.stop(None)
        return found

    assert set(uvloop.run(run())) == {(0, b"heard")}


def test_one_that_takes_too_long_is_ended() -> None:
    async def run() -> int | None:
        child = children.start([sys.executable, "-c", "import time; time.sleep(1000)"])
        with pytest.raises(TimeoutError):
            await children.communicate(child, b"", 0.05)
        return child.returncode

    assert asyncio.run(run()) == -signal.SIGKILL


def test_one_whose_answer_nobody_waits_for_any_more_is_ended() -> None:
    async def run() -> int | None:
        child = children.start(["/bin/sh", "-c", "echo begun >&2; exec sleep 1000"])
        asking = asyncio.create_task(children.communicate(child, b"", 1000))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)
        return child.returncode

    assert asyncio.run(run()) == -signal.SIGKILL


def test_one_that_does_not_read_its_input_is_heard_all_the_same() -> None:
    async def run() -> tuple[bytes, bytes]:
        return await children.communicate(children.start(["/bin/sh", "-c", "echo so; echo why >&2"]), b"x" * 10**6, 60)

    assert asyncio.run(run()) == (b"so\n", b"why\n")
